"""How soon the server answers, how small it is, and how soon a model's process is there.

    python bench/startup.py [--rounds 5]

Every plugin that is installed takes part. Models are the echo backend's, so that only the process counts.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from installed import on_path, write_distribution
from server import running_server

ATTEMPTS = 2000
PAUSE = 0.005


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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


def main() -> None:
    """Run the rounds and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found = [start() for _ in range(rounds)]
    print(f"process start to the first 200 of /health  {statistics.median(seconds for seconds, _ in found):6.3f} s")
    print(f"resident memory then                       {statistics.median(size for _, size in found):6.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        write_distribution(Path(folder), "echo", "universal_core.testing.echo")
        with on_path(Path(folder)):
            loads = [workers() for _ in range(rounds)]
    for name, times in zip(("first", "second", "third"), zip(*loads, strict=True), strict=True):
        print(f"{name} worker of a kind ready".ljust(42), f"{statistics.median(times):6.3f} s")


if __name__ == "__main__":
    main()
