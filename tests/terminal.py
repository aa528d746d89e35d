"""The command line in a terminal of its own, and in a pipe."""

import errno
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from click.testing import CliRunner, Result

from universal_core.cli.main import universal

COMMAND = [sys.executable, "-m", "universal_core"]
# Stdin becomes the terminal of the new session, so that Ctrl-C is sent to it; a test run in the background ignores it.
OWN_TERMINAL = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from universal_core.cli.main import main
main()
"""
PATIENCE = 30.0
CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"


class Terminal:
    """A terminal in which a command runs: what is shown in it, and what is typed."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self.process = process
        self.shown = ""
        self._descriptor = descriptor
        self._read = 0

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until something like this is shown, after what was last expected."""
        if (found := self._find(pattern, PATIENCE)) is None:
            raise AssertionError(f"{pattern!r} was never shown:\n{self.shown[self._read :]!r}")
        return found

    def _find(self, pattern: str, seconds: float) -> re.Match[str] | None:
        deadline = time.monotonic() + seconds
        while not (found := re.compile(pattern).search(self.shown, self._read)):
            if not self._more(deadline):
                return None
        self._read = found.end()
        return found

    def interrupt(self) -> None:
        """Type Ctrl-C at a prompt until there is another one.

        Readline does not hear a signal that comes when it has shown something, and does not wait yet.
        """
        while self.process.poll() is None:
            self.type(CTRL_C)
            if self._find(">>> ", 1.0):
                return

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._descriptor, text.encode())

    def enter(self, line: str) -> None:
        """Type a line at the prompt."""
        self.expect(r">>> ")
        self.type(line + ENTER)

    def end(self) -> int:
        """Wait until the command has ended; return its status."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self.process.wait(PATIENCE)

    def leave(self) -> int:
        """Type Ctrl-C at an empty prompt until the command has ended, see interrupt; return its status."""
        while self.process.poll() is None:
            self.type(CTRL_C)
            self._find("never shown", 1.0)
        return self.process.wait(PATIENCE)

    def _more(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux says so when nobody has the other end any more.
                raise
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run ``universal`` with these arguments in a terminal; it must be gone at the end."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", **(env or {})}
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        os.close(ours)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if process.poll() is None:
            process.kill()
            process.wait()


def piped(*arguments: str, given: str | bytes | None = None) -> Result:
    """Run a command in this process, without a terminal, and with this piped in, or nothing."""
    return CliRunner().invoke(universal, arguments, input=given)


def run_alone(
    *arguments: str, given: str | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``universal`` with these arguments in a process of its own, without a terminal."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=given or "",
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=PATIENCE,
    )
