"""The servers that are compared with GGUF files, each with the same file, threads, slots and context."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.llama.llama_server import find
from bench.llama.setting import Sizes
from bench.servers import Options, Server, free_port, program, universal
from bench.setting import Setting

LLAMA_SERVER, LLAMA_CPP_SERVER = "llama-server", "llama_cpp.server"
PEERS = (LLAMA_SERVER, LLAMA_CPP_SERVER)
PACKAGES = ("uvicorn", "fastapi", "pydantic-settings", "sse-starlette", "starlette-context<0.4")
"""What llama-cpp-python's own server needs beside it."""


@contextmanager
def every(
    setting: Setting, sizes: Sizes, file: Path, notes: list[str], peers: tuple[str, ...] = PEERS
) -> Iterator[dict[str, Server]]:
    """Run our server and those peers that are there and wanted, each with the file loaded."""
    with ExitStack() as stack:
        ours = stack.enter_context(universal({"bench": (file, options_of(setting, sizes))}))
        names = [name for name in peers if available(setting, name, notes)]
        theirs = [stack.enter_context(peer(setting, sizes, name, file)) for name in names]
        yield {server.name: server for server in (ours, *theirs)}


def options_of(setting: Setting, sizes: Sizes) -> Options:
    """Return the plugin's options that stand for the setting."""
    return {
        "n_threads": setting.threads,
        "slots": sizes.slots,
        "n_ctx": sizes.context,
        "cache_tokens": sizes.context,
    }


def available(setting: Setting, name: str, notes: list[str]) -> bool:
    """Whether a peer is wanted and can be started; says once what to do where it cannot."""
    if not setting.wants(name):
        return False
    there = find(setting.folder) is not None if name == LLAMA_SERVER else _packages(setting.folder).exists()
    note = f"{name} is left out: `python -m bench prepare gguf-chats` gets it"
    if not there and note not in notes:
        notes.append(note)
    return there


def install_packages(folder: Path) -> None:
    """Install what llama-cpp-python's server needs into a folder of its own, which only that server sees."""
    if not _packages(folder).exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", str(_packages(folder)))
        subprocess.run((*pip, *PACKAGES), check=True)


@contextmanager
def peer(setting: Setting, sizes: Sizes, name: str, file: Path, *flags: str) -> Iterator[Server]:
    """Run another server with a file loaded."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if name == LLAMA_SERVER:
        command = [str(find(setting.folder)), "-m", str(file), "--port", str(port), "-t", str(setting.threads)]
        # As in our server, all slots share one cache, so that a long prompt finds room.
        command += ["-c", str(sizes.context), "-np", str(sizes.slots), "--kv-unified", *flags]
        health, env = f"{url}/health", dict[str, str]()
    else:
        command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--port", str(port), *flags]
        command += ["--n_threads", str(setting.threads), "--n_threads_batch", str(setting.threads)]
        # Unless told not to, it ends the running stream when another request comes.
        command += ["--n_ctx", str(sizes.context), "--interrupt_requests", "false"]
        health, env = f"{url}/v1/models", {"PYTHONPATH": str(_packages(setting.folder))}
    with program(command, health, env):
        yield Server(name, url)


def _packages(folder: Path) -> Path:
    return folder / "llama-cpp-python-server"
