"""Another try where the hub or the way to it fails: soon, a few times, and never for minutes."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Value = TypeVar("Value")
PATIENCE = 30.0
"""Seconds that may be waited for the hub before what it says is passed on."""
_PASSING = (408, 429, 500, 502, 503, 504)
_LONGEST = 8.0
_RESET = re.compile(r"(?:^|;)\s*t=(\d+)")


class Patience:
    """Waits before another try, longer each time, until it has waited for too long altogether."""

    def __init__(self, limit: float = PATIENCE, network: bool = True) -> None:
        """``network`` says whether a hub that cannot be reached is tried again too."""
        self._limit = limit
        self._network = network
        self.renew()

    def renew(self) -> None:
        """Begin afresh, because something has come."""
        self._left = self._limit
        self._delay = 0.0

    def wait(self, error: Exception) -> None:
        """Wait as long as the hub asks for, or else longer than before; raise the error if that is too long."""
        seconds = self._seconds(error)
        if seconds is None or seconds > self._left:
            raise error
        if seconds:
            log.warning("%s; trying again in %.0f s", reason(error), seconds)
            time.sleep(seconds)
        self._left -= seconds
        self._delay = min(max(1.0, self._delay * 2), _LONGEST)

    def _seconds(self, error: Exception) -> float | None:
        from httpx2 import TransportError

        status = status_of(error)
        if status in _PASSING:
            asked = retry_after(error)
            return max(self._delay, 1.0) if asked is None else asked
        return self._delay if self._network and isinstance(error, TransportError) else None


def patiently(work: Callable[[], Value], patience: Patience | None = None) -> Value:
    """Return what the work returns, tried again where the hub fails in passing. Raises what the last try did."""
    from httpx2 import HTTPError

    patience = patience or Patience()
    while True:
        try:
            return work()
        except HTTPError as error:
            patience.wait(error)


def status_of(error: Exception) -> int | None:
    """Return the status with which the hub answered, None where it did not."""
    return getattr(getattr(error, "response", None), "status_code", None)


def retry_after(error: Exception) -> float | None:
    """Return the seconds after which the hub wants to be asked again, None where it does not say."""
    headers: Any = getattr(getattr(error, "response", None), "headers", {})
    asked = headers.get("retry-after", "")
    if asked.isdecimal():
        return float(asked)
    reset = _RESET.search(headers.get("ratelimit", ""))
    return float(reset[1]) if reset else None


def reason(error: Exception) -> str:
    """Return in one line what went wrong, in the hub's own words where it has any."""
    if status_of(error) == 429:
        wait = retry_after(error)
        asks = "" if wait is None else f" and asks to wait {wait:.0f} s"
        return f"the hub had too many requests from here (429){asks}; with an HF_TOKEN it allows more"
    return f"{type(error).__name__}: {error}".splitlines()[0]
