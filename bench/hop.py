"""What the server adds to a model: CPU and time a request and a token, beside a server that does nothing.

The model is the echo backend, which computes nothing, so that everything measured is ours. ``direct`` iterates the
model's own generator in one process. ``bare`` is Hypercorn with an application of five lines and no worker: the
floor, on the same machine in the same minute, under what the server can reach.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from hypercorn.asyncio import serve as hypercorn_serve

from bench.comparison import Comparison, Found, Goal, Samples, median
from bench.setting import Setting
from installed import on_path, write_distribution
from server import Server, running_server
from universal_core import ModelInfo, ModelRef
from universal_core.config import ServerConfig
from universal_core.serve import bind, hypercorn_config
from universal_core.testing import chat_request
from universal_core.testing.echo import EchoModel, EchoOptions

MODEL = "echo/bench"
PACE = 0.005
PACED_TOKENS = 200
TIMEOUT = 60
PACED = "a token, 5 ms apart"
GOALS = {
    "a request: CPU of the HTTP process": 250,
    f"{PACED}: CPU of the HTTP process": 100,
    f"{PACED}: CPU of the worker": 50,
}
"""Most microseconds."""

CHUNK = b"data: " + b"x" * 250 + b"\n\n"


class Sizes(NamedTuple):
    """How many requests a round has, and how many tokens each stream."""

    requests: int = 500
    tokens: int = 256


QUICK = Sizes(20, 32)


async def direct(tokens: int) -> None:
    """Iterate the model itself."""
    model = EchoModel(ModelInfo(id=MODEL, ref=ModelRef.parse(MODEL), source="echo"), EchoOptions())
    async for _ in model.chat(chat_request(f"repeat {tokens}", tokens)):
        pass


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer like the server does, without doing anything: plain, or paced chunks where the query asks for them."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(PACED_TOKENS if scope["query_string"] else 0):
        await asyncio.sleep(PACE)
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": CHUNK})


def serve_bare() -> None:
    """Serve ``bare`` on a free port, which is printed, until killed."""
    with bind(ServerConfig(port=0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        app: Any = bare
        asyncio.run(hypercorn_serve(app, hypercorn_config(ServerConfig(), listener), mode="asgi"))


class Connection:
    """The thinnest HTTP client there is, so that a client's own work does not count."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT)
        self._file = self._socket.makefile("rb")

    def post(self, body: dict[str, object], path: str = "/v1/chat/completions") -> float:
        """Send a chat and read the whole answer; return the seconds until its first byte."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(data)}\r\n"
        began = time.perf_counter()
        self._socket.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + data)
        self._file.peek(1)
        first = time.perf_counter() - began
        length, chunked = 0, False
        while (line := self._file.readline()) != b"\r\n":
            assert line, "the server hung up"
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
            chunked = chunked or name == b"transfer-encoding"
        self._read(length, chunked)
        return first

    def _read(self, length: int, chunked: bool) -> None:
        if not chunked:
            self._file.read(length)
            return
        while size := int(self._file.readline(), 16):
            self._file.read(size + 2)
        self._file.readline()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def measured(server: Server, work: Callable[[], None]) -> tuple[float, float, float]:
    """Return the seconds that some work took: on the clock, of the HTTP process's CPU, and of the worker's."""
    http, worker = psutil.Process(server.process.pid), server.worker_of(MODEL)
    before, began = (cpu(http), cpu(worker)), time.perf_counter()
    work()
    return time.perf_counter() - began, cpu(http) - before[0], cpu(worker) - before[1]


def one_round(server: Server, requests: int, tokens: int, results: Samples) -> None:
    """Measure plain requests, streams of many tokens, and the same streams directly."""
    connection = Connection(server.url)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "repeat 1"}]}
    many = {**body, "messages": [{"role": "user", "content": f"repeat {tokens}"}], "max_tokens": tokens, "stream": True}
    for _ in range(20):
        connection.post(body)
    wall, http, worker = measured(server, lambda: [connection.post(body) for _ in range(requests)] and None)
    results.setdefault("a request: time until it is answered", []).append(wall / requests)
    results.setdefault("a request: CPU of the HTTP process", []).append(http / requests)
    results.setdefault("a request: CPU of the worker", []).append(worker / requests)
    streams = max(requests // 10, 1)
    firsts: list[float] = []
    wall, http, worker = measured(server, lambda: firsts.extend(connection.post(many) for _ in range(streams)))
    results.setdefault("a stream: time to its first byte", []).append(median(firsts))
    results.setdefault("a token, as fast as they come: time", []).append(wall / streams / tokens)
    results.setdefault("a token, as fast as they come: CPU of the HTTP process", []).append(http / streams / tokens)
    results.setdefault("a token, as fast as they come: CPU of the worker", []).append(worker / streams / tokens)
    paced(connection, server, results)
    began = time.perf_counter()
    for _ in range(streams):
        asyncio.run(direct(tokens))
    results.setdefault("a token, directly: time", []).append((time.perf_counter() - began) / streams / tokens)
    connection.close()


def paced(connection: Connection, server: Server, results: Samples) -> None:
    """Measure a stream whose tokens come apart, so that nothing can be sent together."""
    body = {"model": "echo/paced", "messages": [{"role": "user", "content": f"repeat {PACED_TOKENS}"}], "stream": True}
    connection.post({**body, "max_tokens": 1})
    http, worker = psutil.Process(server.process.pid), server.worker_of("echo/paced")
    before = cpu(http), cpu(worker)
    connection.post(body)
    results.setdefault(f"{PACED}: CPU of the HTTP process", []).append((cpu(http) - before[0]) / PACED_TOKENS)
    results.setdefault(f"{PACED}: CPU of the worker", []).append((cpu(worker) - before[1]) / PACED_TOKENS)


def floor(requests: int, results: Samples) -> None:
    """Measure the same of Hypercorn alone."""
    with subprocess.Popen([sys.executable, "-m", "bench.hop"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        connection = Connection(server.stdout.readline().strip())
        process = psutil.Process(server.pid)
        for _ in range(20):
            connection.post({})
        before = cpu(process)
        for _ in range(requests):
            connection.post({})
        results.setdefault("bare: a request: CPU of the HTTP process", []).append((cpu(process) - before) / requests)
        before = cpu(process)
        connection.post({}, "/?paced")
        results.setdefault(f"bare: {PACED}: CPU of the HTTP process", []).append((cpu(process) - before) / PACED_TOKENS)
        connection.close()
        server.kill()


class Ball(asyncio.Protocol):
    """Throws back what it gets, until it has done so often enough."""

    def __init__(self, throws: int, done: asyncio.Event) -> None:
        self._throws, self._done = throws, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to throw with."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Throw it back."""
        self._throws -= 1
        if self._throws < 0:
            self._done.set()
        else:
            self._transport.write(data)


async def play(side: socket.socket, throws: int, *, begin: bool) -> None:
    """Play one side of a game of catch."""
    done = asyncio.Event()
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: Ball(throws, done), sock=side)
    if begin:
        transport.write(b"x" * 300)
    await done.wait()
    transport.close()


def round_trips(count: int, results: Samples) -> None:
    """Measure what a message to another process and back costs at least, through asyncio as it comes."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        asyncio.run(play(theirs, count, begin=False))
        os._exit(0)
    theirs.close()
    before = time.process_time()
    asyncio.run(play(ours, count - 1, begin=True))
    results.setdefault("bare: a round trip over a socketpair: CPU of one side", []).append(
        (time.process_time() - before) / count
    )
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def measure(setting: Setting) -> Found:
    """Measure plain requests and streams, and what they cost at least."""
    requests, tokens = setting.sizes(Sizes(), QUICK)
    results: Samples = {}
    with tempfile.TemporaryDirectory() as folder:
        write_distribution(Path(folder), "echo", "universal_core.testing.echo")
        settings = Path(folder) / "universal.toml"
        settings.write_text('[model."echo/paced"]\noptions = {delay = 0.005}\n')
        with on_path(Path(folder)), running_server("--config", str(settings), "--logging-access", "false") as server:
            for _ in range(setting.rounds):
                one_round(server, requests, tokens, results)
                floor(requests, results)
                round_trips(requests, results)
    about = f"a model that computes nothing; {requests} requests, streams of {tokens} tokens"
    return Found(about, [_compared(name, values) for name, values in results.items()])


def _compared(name: str, values: list[float]) -> Comparison:
    case, _, quantity = name.rpartition(": ")
    most = GOALS.get(name)
    samples = {"universal" if "bare" not in name else "bare": [value * 1e6 for value in values]}
    return Comparison(case, quantity, "µs", samples, (Goal(most=most),) if most else ())


if __name__ == "__main__":
    serve_bare()
