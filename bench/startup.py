"""How soon the server answers, how small it is, and how soon a model's process is there.

Every plugin that is installed takes part. Models are the echo backend's, so that only the process counts.
"""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from bench.comparison import Comparison, Found, Goal
from bench.servers import OURS, free_port
from bench.setting import Setting
from installed import on_path, write_distribution
from server import running_server

ATTEMPTS = 2000
PAUSE = 0.005


def health(port: int) -> bool:
    """Whether /health answers 200 on a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def start() -> tuple[float, float]:
    """Return the seconds from a server's start to its first 200 of /health, and its resident megabytes then."""
    port = free_port()
    began = time.perf_counter()
    command = [sys.executable, "-m", "universal_core", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(ATTEMPTS):
            if health(port):
                break
            time.sleep(PAUSE)
        return time.perf_counter() - began, psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait()


def workers() -> list[float]:
    """Return the seconds that the first three models of a kind take to load."""
    with running_server() as server:
        took = []
        for name in ("echo/one", "echo/two", "echo/three"):
            began = time.perf_counter()
            httpx.post(f"{server.url}/v1/models/load", json={"model": name}).raise_for_status()
            took.append(time.perf_counter() - began)
        return took


def measure(setting: Setting) -> Found:
    """Start servers, and models of one kind in each of them."""
    found = [start() for _ in range(setting.rounds)]
    with tempfile.TemporaryDirectory() as folder:
        write_distribution(Path(folder), "echo", "universal_core.testing.echo")
        with on_path(Path(folder)):
            loads = [workers() for _ in range(setting.rounds)]
    comparisons = [
        _one("the server", "first 200 of /health", "s", [seconds for seconds, _ in found], most=0.5),
        _one("the server", "resident memory then", "MB", [size for _, size in found], most=80),
    ]
    for place, most in enumerate((None, 0.05, None)):
        case = f"{('first', 'second', 'third')[place]} worker of a kind"
        comparisons.append(_one(case, "ready", "s", [times[place] for times in loads], most=most))
    return Found("every plugin installed, models that compute nothing", comparisons)


def _one(case: str, quantity: str, unit: str, values: list[float], most: float | None) -> Comparison:
    return Comparison(case, quantity, unit, {OURS: values}, (Goal(most=most),) if most else ())
