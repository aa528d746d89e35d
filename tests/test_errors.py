"""The error tree: what a client sees, and how an error crosses a process border."""

import pytest

from universal_core.errors import (
    BadRequest,
    Failure,
    InternalError,
    QueueFull,
    UniversalError,
    WorkerDied,
    error_classes,
    from_failure,
)

CLASSES = sorted(error_classes().values(), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_has_the_shape_that_openai_clients_parse(cls: type[UniversalError]) -> None:
    body = cls("what to do", param="model").body()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "what to do"
    assert body["error"]["param"] == "model"
    assert isinstance(body["error"]["type"], str)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_crosses_a_process_border_unchanged(cls: type[UniversalError]) -> None:
    error = cls("the words", param="n", retry_after=2.5)
    back = from_failure(error.to_failure())
    assert type(back) is cls
    assert (back.message, back.param, back.retry_after, str(back)) == ("the words", "n", 2.5, "the words")


def test_an_error_of_a_class_that_is_unknown_here_is_an_internal_error() -> None:
    back = from_failure(Failure("ErrorOfAPluginThatIsNotHere", "the words", "n"))
    assert type(back) is InternalError
    assert (back.message, back.param) == ("the words", "n")


def test_an_error_class_of_a_plugin_keeps_its_own_status() -> None:
    class TooManyCats(BadRequest):
        code = "too_many_cats"

    back = from_failure(TooManyCats("one is enough").to_failure())
    assert isinstance(back, TooManyCats)
    assert (back.status, back.body()["error"]["code"]) == (400, "too_many_cats")


def test_statuses_are_those_of_the_documented_table() -> None:
    expected = {
        "BadRequest": 400,
        "UnsupportedField": 400,
        "PreviousResponseNotFound": 400,
        "ContextLengthExceeded": 400,
        "Unauthorized": 401,
        "Forbidden": 403,
        "NotFound": 404,
        "ModelNotFound": 404,
        "MethodNotAllowed": 405,
        "PayloadTooLarge": 413,
        "UnsupportedMediaType": 415,
        "QueueFull": 429,
        "RequestAborted": 499,
        "InternalError": 500,
        "TaskNotSupported": 501,
        "WorkerDied": 502,
        "LoadFailed": 503,
        "InsufficientMemory": 503,
        "Draining": 503,
        "DeadlineExceeded": 504,
    }
    found = error_classes()
    assert {name: found[name].status for name in expected} == expected


def test_codes_that_clients_match_on_are_stable() -> None:
    found = error_classes()
    assert found["ModelNotFound"].code == "model_not_found"
    assert found["ContextLengthExceeded"].code == "context_length_exceeded"
    assert found["WorkerDied"].code == "worker_died"


def test_only_errors_that_are_safe_to_repeat_say_so() -> None:
    assert QueueFull.retryable
    assert WorkerDied.retryable
    assert not BadRequest.retryable
    assert not InternalError.retryable
