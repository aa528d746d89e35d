"""llama.cpp's log, as lines of ours."""

import ctypes
import logging
import threading
from collections import deque
from contextvars import ContextVar

import llama_cpp
from llama_cpp import mtmd_cpp

log = logging.getLogger("llama.cpp")

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_CONTINUED = 5
_KEPT = 20
# The cache of all requests together may well be larger than the context of each; and its full size is what we ask for.
_KNOWN = ("possible training context overflow", "using full-size SWA cache")

errors: ContextVar[deque[str] | None] = ContextVar("errors", default=None)
"""Where what llama.cpp calls an error is kept as well, for the refusal that follows."""

interrupted = threading.Event()
"""Set while a step is ended early on purpose, which llama.cpp calls an error."""


class _Lines:
    """Puts pieces of lines together: llama.cpp logs some lines in several calls."""

    def __init__(self) -> None:
        self._text = ""
        self._level = logging.INFO

    def add(self, level: int, text: bytes, _: object) -> None:
        """Take a piece; a line goes out when it is whole."""
        if level != _CONTINUED:
            self._flush()
            self._level = _LEVELS.get(level, logging.DEBUG)
        self._text += text.decode(errors="replace")
        if self._text.endswith("\n"):
            self._flush()

    def _flush(self) -> None:
        text, self._text = self._text.strip(), ""
        if not text or set(text) == {"."}:
            return
        known = interrupted.is_set() or any(words in text for words in _KNOWN)
        level = logging.DEBUG if known else self._level
        log.log(level, "%s", text)
        kept = errors.get()
        if self._level >= logging.ERROR and kept is not None:
            kept.append(text)


# The library calls it as long as the process lives.
_callback = llama_cpp.llama_log_callback(_Lines().add)


def route() -> None:
    """Send llama.cpp's log to the logger ``llama.cpp``, each line at its own level.

    It tells more than a hundred lines about every load at the level of information; they are shown where the server
    logs at the level of debugging.
    """
    if logging.getLogger().getEffectiveLevel() > logging.DEBUG and log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
    llama_cpp.llama_log_set(_callback, ctypes.c_void_p(0))
    mtmd_cpp.mtmd_helper_log_set(_callback, ctypes.c_void_p(0))


def collect_errors() -> deque[str]:
    """Return a list that the errors of this thread's next calls go to."""
    found: deque[str] = deque(maxlen=_KEPT)
    errors.set(found)
    return found
