"""A real server process on a free port, for tests that need everything at once."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import psutil

START_SECONDS = 60
STOP_SECONDS = 30
ADDRESS = r"serving on (http\S+)"


class Server:
    """A running server: its address, its process, and what it has logged so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._news = threading.Condition()
        self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until something like this is logged; return the match."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match for line in self.lines if (match := re.search(pattern, line))]
            return bool(found) or self._closed

        with self._news:
            self._news.wait_for(look, START_SECONDS)
        if not found:
            raise RuntimeError(f"{pattern!r} was never logged:\n{self.log}")
        return found[-1]

    def wait(self) -> None:
        """Wait until the server answers."""
        self.url = self.wait_for(ADDRESS)[1]

    def finish(self) -> None:
        """Wait until everything that was logged is read."""
        self._reader.join(STOP_SECONDS)

    def children(self) -> list[psutil.Process]:
        """Return every process that the server has started, directly or not."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def model(self, name: str) -> dict[str, object]:
        """Return a model's row of /health, empty where it is not in memory."""
        rows = httpx.get(f"{self.url}/health").json()["models"]
        return next((row for row in rows if row["id"] == name), {})

    def worker_of(self, name: str) -> psutil.Process:
        """Return the process of a loaded model."""
        pid = self.model(name)["pid"]
        assert isinstance(pid, int)
        return psutil.Process(pid)

    def stop(self) -> int:
        """Ask the server to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_server(*flags: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run ``universal serve`` with these flags; on leaving, it and all that it started must be gone."""
    command = [sys.executable, "-m", "universal_core", "serve", "--port", "0", *flags]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **(env or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    server = Server(process)
    try:
        server.wait()
        yield server
        children = server.children() if process.poll() is None else []
        if process.poll() is None:
            server.stop()
        _, alive = psutil.wait_procs(children, STOP_SECONDS)
        assert not alive, f"left running: {alive}\n{server.log}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        server.finish()
        if process.stderr is not None:
            process.stderr.close()
