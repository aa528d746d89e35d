"""Servers that are compared: ours, started as a user would, and programs of others."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx

from server import running_server

OURS = "universal"
LOAD_SECONDS = 600
STOP_SECONDS = 30
PAUSE = 0.005
LOG_SHOWN = 4000

COUNTED = {"stream_options": {"include_usage": True}}
"""Has a server say how many tokens it wrote, where it does not by itself."""

Options = dict[str, Any]


class Server(NamedTuple):
    """A server that answers: what it is called, where it is, and the name of its model."""

    name: str
    url: str
    model: str = "bench"
    fields: Mapping[str, Any] = {}

    def body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request for this server: its name of the model, and the fields that only it knows."""
        return {**body, **self.fields, "model": self.model}


@contextmanager
def universal(models: Mapping[str, tuple[Path, Options]], *, wait: bool = True) -> Iterator[Server]:
    """Run ``universal serve`` with models under these names, each with its file or folder and options.

    They are loaded from the start; without ``wait`` the server is given as soon as it listens.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "universal.toml"
        settings.write_text("\n".join(_table(name, *of) for name, of in models.items()))
        flags = ["--config", str(settings), "--pool-unload-timeout", "0", "--logging-access", "false"]
        flags += ["--models-preload", ",".join(models)]
        # The tests' servers are kept to one thread by this variable.
        with running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server, _explained(server):
            for name in models if wait else ():
                answer = httpx.post(f"{server.url}/v1/models/load", json={"model": name}, timeout=LOAD_SECONDS)
                if not answer.is_success:
                    raise RuntimeError(f"{name} was not loaded: {answer.text}\n{server.log}")
            yield Server(OURS, server.url, next(iter(models)), COUNTED)


@contextmanager
def program(command: Sequence[str], health: str, env: Mapping[str, str]) -> Iterator[None]:
    """Run a program, from its first good answer under the address ``health`` until the block is left."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env})
        try:
            _wait(process, health, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _explained(server: Any) -> Iterator[None]:
    """Add to an error what the server has logged."""
    try:
        yield
    except RuntimeError as error:
        error.add_note(server.log[-LOG_SHOWN:])
        raise


def _table(name: str, path: Path, options: Options) -> str:
    values = ", ".join(f"{key} = {_toml(value)}" for key, value in options.items())
    return f'[model.{name}]\nmodel = "{path}"\noptions = {{{values}}}\n'


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _wait(process: "subprocess.Popen[bytes]", health: str, log: IO[str]) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    with httpx.Client(timeout=LOAD_SECONDS) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(health).is_success:
                    return
            except httpx.TransportError:
                pass  # Nobody listens yet.
            time.sleep(PAUSE)
    log.seek(0)
    raise RuntimeError(f"{health} never answered:\n{log.read()[-LOG_SHOWN:]}")
