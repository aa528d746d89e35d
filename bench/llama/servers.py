"""The servers that are compared, each started as a user would, with the same file, threads, slots and context."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx

from llama_server import find
from server import running_server
from setting import Setting

OURS, LLAMA_SERVER, LLAMA_CPP_SERVER = "universal", "llama-server", "llama_cpp.server"
PEERS = (LLAMA_SERVER, LLAMA_CPP_SERVER)

LOAD_SECONDS = 600
PAUSE = 0.005
PACKAGES = ("uvicorn", "fastapi", "pydantic-settings", "sse-starlette", "starlette-context<0.4")
"""What llama-cpp-python's own server needs beside it."""

Options = dict[str, Any]


class Server(NamedTuple):
    """A server that answers: what it is called, where it is, and the name of its model."""

    name: str
    url: str
    model: str = "bench"


@contextmanager
def every(setting: Setting, file: Path, *, peers: tuple[str, ...] = PEERS) -> Iterator[list[Server]]:
    """Run our server and those peers that are there and wanted, each with the file loaded."""
    with ExitStack() as stack:
        ours = stack.enter_context(universal({"bench": (file, options_of(setting))}))
        theirs = [name for name in setting.peers if name in peers and available(setting, name)]
        yield [ours, *(stack.enter_context(peer(setting, name, file)) for name in theirs)]


@contextmanager
def universal(models: Mapping[str, tuple[Path, Options]], *, wait: bool = True) -> Iterator[Server]:
    """Run ``universal serve`` with models under these names, each with its file and options.

    They are loaded from the start; without ``wait`` the server is given as soon as it listens.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "universal.toml"
        settings.write_text("\n".join(_table(name, *of) for name, of in models.items()))
        flags = ["--config", str(settings), "--pool-unload-timeout", "0", "--logging-access", "false"]
        flags += ["--models-preload", ",".join(models)]
        # The tests' servers are kept to one thread by this variable.
        with running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server:
            for name in models if wait else ():
                answer = httpx.post(f"{server.url}/v1/models/load", json={"model": name}, timeout=LOAD_SECONDS)
                if not answer.is_success:
                    raise RuntimeError(f"{name} was not loaded: {answer.text}\n{server.log}")
            yield Server(OURS, server.url, next(iter(models)))


def options_of(setting: Setting) -> Options:
    """Return the plugin's options that stand for the setting."""
    return {
        "n_threads": setting.threads,
        "slots": setting.slots,
        "n_ctx": setting.context,
        "cache_tokens": setting.context,
    }


def available(setting: Setting, name: str) -> bool:
    """Whether a peer can be started; says what to do where it cannot."""
    if name == LLAMA_SERVER:
        there = find(setting.llama_server, setting.folder) is not None
    else:
        there = _packages(setting.folder).exists()
    if not there:
        print(f"{name} is left out: `python bench/llama prepare` gets it", flush=True)
    return there


def install_packages(folder: Path) -> None:
    """Install what llama-cpp-python's server needs into a folder of its own, which only that server sees."""
    if not _packages(folder).exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(_packages(folder)))
        subprocess.run((*pip, *PACKAGES), check=True)


@contextmanager
def peer(setting: Setting, name: str, file: Path, *flags: str) -> Iterator[Server]:
    """Run another server with a file loaded."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    if name == LLAMA_SERVER:
        program = str(find(setting.llama_server, setting.folder))
        command = [
            program,
            "-m",
            str(file),
            "--port",
            str(port),
            "-t",
            str(setting.threads),
            "-c",
            str(setting.context),
        ]
        # As in our server, all slots share one cache, so that a long prompt finds room.
        command += ["-np", str(setting.slots), "--kv-unified", *flags]
        with _child(command, f"{url}/health", {}):
            yield Server(name, url)
        return
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--port", str(port), *flags]
    command += ["--n_threads", str(setting.threads), "--n_threads_batch", str(setting.threads)]
    # Unless told not to, it ends the running stream when another request comes.
    command += ["--n_ctx", str(setting.context), "--interrupt_requests", "false"]
    with _child(command, f"{url}/v1/models", {"PYTHONPATH": str(_packages(setting.folder))}):
        yield Server(name, url)


def _table(name: str, file: Path, options: Options) -> str:
    values = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f'[model.{name}]\nmodel = "{file}"\noptions = {{{values}}}\n'


def _packages(folder: Path) -> Path:
    return folder / "llama-cpp-python-server"


@contextmanager
def _child(command: list[str], health: str, env: Mapping[str, str]) -> Iterator[None]:
    """Run a program, from its first good answer until the block is left."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env})
        try:
            _wait(process, health, log)
            yield
        finally:
            process.terminate()
            process.wait()


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
    raise RuntimeError(f"{health} never answered:\n{log.read()[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
