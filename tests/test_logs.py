"""The log: one line an entry, readable or as JSON."""

import json
import logging
import re
import sys

import pytest

from universal_core import logs
from universal_core.config import LoggingConfig
from universal_core.logs import JsonFormatter, TextFormatter


def record(message: str = "hello %s", *arguments: object, failed: bool = False, **extra: object) -> logging.LogRecord:
    trouble = None
    if failed:
        try:
            raise ValueError("broken")
        except ValueError:
            trouble = sys.exc_info()
    logger = logging.getLogger("universal_core.test")
    return logger.makeRecord(logger.name, logging.WARNING, __file__, 1, message, arguments, trouble, extra=extra)


def test_a_text_entry_is_a_line_with_time_level_message_and_what_it_carries() -> None:
    line = TextFormatter().format(record("hello %s", "world", status=200, model="m"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING hello world status=200 model=m", line)


def test_a_text_entry_of_a_failure_has_its_traceback_below() -> None:
    first, *rest = TextFormatter().format(record("oh", failed=True)).splitlines()
    assert first.endswith("WARNING oh")
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: broken"


def test_nobody_can_write_further_lines_into_the_log() -> None:
    entry = record("GET /v1/models/%s", "a\n12:00:00 INFO    serving\x1b[2J", model="b\r\nc\x9b2J")
    line = TextFormatter().format(entry)
    assert line.endswith("/a\\x0a12:00:00 INFO    serving\\x1b[2J model=b\\x0d\\x0ac\\x9b2J")


def test_a_json_entry_is_one_object_on_one_line() -> None:
    line = JsonFormatter().format(record("hello %s", "wörld\n", status=200, odd={1}))
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "universal_core.test", "hello wörld\n")
    assert entry["status"] == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])


def test_a_json_entry_can_carry_anything_and_its_traceback() -> None:
    entry = json.loads(JsonFormatter().format(record("oh", failed=True, thing=object)))
    assert entry["thing"] == "<class 'object'>"
    assert entry["exception"].endswith("ValueError: broken")


@pytest.fixture
def own_logging() -> object:
    """Give back what the test runner has set up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("own_logging")
def test_a_process_writes_to_standard_error_what_is_severe_enough(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LoggingConfig(level="warning", format="json"))
    logging.getLogger("universal_core.test").info("too little")
    logging.getLogger("universal_core.test").error("enough", extra={"n": 1})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [(e["message"], e["n"]) for e in map(json.loads, captured.err.splitlines())] == [("enough", 1)]


@pytest.mark.usefixtures("own_logging")
def test_libraries_that_narrate_every_request_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LoggingConfig(level="debug"))
    logging.getLogger("httpx2").info("HTTP Request: GET …")
    logging.getLogger("universal_core.test").debug("ours")
    assert "HTTP Request" not in capsys.readouterr().err
