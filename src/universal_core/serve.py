"""Serves the application with Hypercorn until it is told to stop, and stops it in order."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig

from universal_core import logs
from universal_core.app import create_app
from universal_core.config import ConfigError, Loaded, ServerConfig
from universal_core.errors import UniversalError
from universal_core.runtime import Runtime

log = logging.getLogger(__name__)

BACKLOG = 1024


def bind(server: ServerConfig) -> socket.socket:
    """Return a listening socket. Raises ConfigError where the address cannot be used."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot listen on {server.host}:{server.port}: {reason}; choose another --host or --port"
        ) from None
    return listener


def url_of(server: ServerConfig, listener: socket.socket) -> str:
    """Return the address that clients use."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if server.certfile else 'http'}://{host}:{port}"


def serve(loaded: Loaded, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; ``ready`` is told the address once the models to preload are there.

    At SIGHUP the configuration is read again.
    """
    config = loaded.config
    logs.configure(config.logging)
    listener = bind(config.server)
    runtime = Runtime(config, loaded.sources)
    runtime.watch(lambda later: logs.configure(later.logging))
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(runtime, listener, ready))


async def _serve(runtime: Runtime, listener: socket.socket, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        if stop.is_set():
            log.warning("stopping at once")
            finished.set()
        stop.set()

    reloading: set[asyncio.Task[None]] = set()

    def ask_to_reload() -> None:
        task = loop.create_task(_reload(runtime))
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    finished = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, ask_to_reload)

    async def shutdown() -> None:
        await stop.wait()
        seconds = runtime.config.server.drain_timeout
        log.info("stopping: running requests have %.0f s to finish", seconds)
        draining = asyncio.ensure_future(runtime.drain(seconds))
        hurried = asyncio.ensure_future(finished.wait())
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurried):
            task.cancel()
        # Before Hypercorn cuts connections: so whatever still runs is told why it ends.
        await runtime.pool.close(at_once=finished.is_set())

    server = runtime.config.server
    url = url_of(server, listener)
    announcing = asyncio.ensure_future(_announce(url, runtime, ready))
    app: Any = create_app(runtime)
    await hypercorn_serve(app, hypercorn_config(server, listener), shutdown_trigger=shutdown, mode="asgi")
    announcing.cancel()


async def _reload(runtime: Runtime) -> None:
    try:
        await runtime.reload()
    except UniversalError as error:
        log.error("the configuration stays as it is: %s", error.message)


async def _announce(url: str, runtime: Runtime, ready: Callable[[str], None]) -> None:
    plugins = [plugin for plugin in runtime.plugins.installed if plugin.state == "active"]
    log.info("serving on %s with %s", url, ", ".join(plugin.origin for plugin in plugins) or "no plugins")
    if not plugins:
        log.warning('no plugin is installed, so no model can run; for text models: pip install "universal-core[text]"')
    await runtime.preloaded.wait()
    ready(url)


def hypercorn_config(server: ServerConfig, listener: socket.socket) -> HypercornConfig:
    """Return Hypercorn's configuration for an open socket."""
    config = HypercornConfig()
    config.bind = [f"fd://{listener.fileno()}"]
    config.certfile, config.keyfile = server.certfile, server.keyfile
    config.graceful_timeout = 3.0
    # Streams of slow models are silent for long; our own keep-alive lines and deadlines decide about them.
    config.keep_alive_timeout = 75.0
    # Closing a connection after a number of requests would now and then cut off a client that is about to send.
    config.keep_alive_max_requests = sys.maxsize
    config.accesslog, config.errorlog = None, logging.getLogger("hypercorn.error")
    config.loglevel = "WARNING"
    config.include_server_header = False
    return config
