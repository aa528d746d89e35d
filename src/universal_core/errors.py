"""Everything that may go wrong in a way that a client can see.

Each class is one row of the documented error table: its HTTP status, OpenAI's ``type`` and a stable ``code``.

    UniversalError
    ├── BadRequest                  400  the request is at fault; ``param`` names the field
    │   ├── UnsupportedField        400  a known field that this model cannot honour
    │   ├── PreviousResponseNotFound 400 the response to go on from is not there, or one before it
    │   ├── ContextLengthExceeded   400  prompt and answer do not fit into the model's context
    │   └── ContentPolicyViolation  400  what the model made is not to be shown, by its own safety checker
    ├── Unauthorized                401  no key, or a wrong one
    ├── Forbidden                   403  understood and not allowed
    ├── NotFound                    404  no such path or thing
    │   └── ModelNotFound           404  no source has this model
    ├── MethodNotAllowed            405  the path exists for another method
    ├── ModelInUse                  409  the model is at work, or being downloaded, and cannot be deleted
    ├── PayloadTooLarge             413  the body is over the configured limit
    ├── UnsupportedMediaType        415  the body is not of a type that this endpoint reads
    ├── QueueFull                   429  the model has all the waiting requests that it may have
    ├── RequestAborted              499  the client went away; logged, never sent
    ├── InternalError               500  a defect in the server or a plugin
    ├── TaskNotSupported            501  no installed plugin runs this model, or not for this task
    ├── WorkerDied                  502  the model's process ended while it answered; safe to retry
    ├── LoadFailed                  503  the model could not be loaded; says why
    ├── InsufficientMemory          503  the model cannot fit, with the numbers
    ├── Draining                    503  the server is shutting down
    ├── DeadlineExceeded            504  not finished within the configured time
    ├── StorageFailed               507  what is to be kept cannot be written; says where and why
    └── InsufficientDisk            507  a model does not fit on the disk, with the numbers

Raise these from a plugin too: they reach the client unchanged, from whichever process raised them.
"""

from typing import Any, ClassVar

import msgspec


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A UniversalError on its way between processes."""

    error: str
    message: str
    param: str | None = None
    retry_after: float | None = None


class UniversalError(Exception):
    """An error with an HTTP status and OpenAI's shape; the message says what was expected and what to do."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error object."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def to_failure(self) -> Failure:
        """Return the form that crosses a process border."""
        return Failure(type(self).__name__, self.message, self.param, self.retry_after)


class BadRequest(UniversalError):
    """The request is at fault; ``param`` names the field."""

    status, type, code = 400, "invalid_request_error", "invalid_value"


class UnsupportedField(BadRequest):
    """A field of the API that this model cannot honour; it is refused because dropping it would change the answer."""

    code = "unsupported_field"


class PreviousResponseNotFound(BadRequest):
    """The response that a conversation is to go on from is not there, or one before it."""

    code = "previous_response_not_found"


class ContextLengthExceeded(BadRequest):
    """Prompt and answer do not fit into the model's context; refused before any work, with the numbers."""

    code = "context_length_exceeded"


class ContentPolicyViolation(BadRequest):
    """What the model made is not to be shown: its safety checker hides it."""

    code = "content_policy_violation"


class Unauthorized(UniversalError):
    """No API key came with the request, or a wrong one."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class Forbidden(UniversalError):
    """The request was understood and is not allowed."""

    status, type, code = 403, "permission_error", "forbidden"


class NotFound(UniversalError):
    """No such path or thing."""

    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    """No source has this model; the message names near matches that are on this machine."""

    code = "model_not_found"


class MethodNotAllowed(UniversalError):
    """The path exists, but not for this method."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class ModelInUse(UniversalError):
    """The model is at work, or being downloaded, so that its files cannot be deleted; the message says what to do."""

    status, type, code = 409, "invalid_request_error", "model_in_use"


class PayloadTooLarge(UniversalError):
    """The body is over the configured limit."""

    status, type, code = 413, "invalid_request_error", "payload_too_large"


class UnsupportedMediaType(UniversalError):
    """The body is not of a type that this endpoint reads."""

    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class QueueFull(UniversalError):
    """The model already has as many waiting requests as it may have."""

    status, type, code, retryable = 429, "rate_limit_error", "queue_full", True


class RequestAborted(UniversalError):
    """The client went away before the answer was complete; logged, never sent."""

    status, type, code = 499, "request_aborted", "request_aborted"


class InternalError(UniversalError):
    """A defect in the server or in a plugin; the log has the details under the request id."""

    code = "internal_error"


class TaskNotSupported(UniversalError):
    """No installed plugin runs this model for this task; the message names the plugin to install."""

    status, type, code = 501, "invalid_request_error", "task_not_supported"


class WorkerDied(UniversalError):
    """The model's process ended while it was answering; the next request loads the model again."""

    status, code, retryable = 502, "worker_died", True


class LoadFailed(UniversalError):
    """The model could not be loaded; the message carries the plugin's own words."""

    status, code = 503, "model_load_failed"


class InsufficientMemory(UniversalError):
    """The model cannot fit beside what is in use; the message has the numbers."""

    status, code = 503, "insufficient_memory"


class Draining(UniversalError):
    """The server is shutting down and takes no new work."""

    status, code, retryable = 503, "draining", True


class DeadlineExceeded(UniversalError):
    """The answer was not ready within the configured time."""

    status, type, code = 504, "timeout_error", "deadline_exceeded"


class StorageFailed(UniversalError):
    """What was to be kept could not be written; the message names the folder and the setting."""

    status, code = 507, "storage_failed"


class InsufficientDisk(UniversalError):
    """What is missing of a model does not fit on the cache's disk; the message has the numbers and what to do."""

    status, code = 507, "insufficient_disk"


def error_classes() -> dict[str, type[UniversalError]]:
    """Return every class of the tree by name."""
    found: dict[str, type[UniversalError]] = {}
    waiting = [UniversalError]
    while waiting:
        cls = waiting.pop()
        found[cls.__name__] = cls
        waiting.extend(cls.__subclasses__())
    return found


def from_failure(failure: Failure) -> UniversalError:
    """Return the error that a Failure describes; a class unknown here becomes an InternalError."""
    cls = error_classes().get(failure.error, InternalError)
    return cls(failure.message, param=failure.param, retry_after=failure.retry_after)
