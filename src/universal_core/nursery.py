"""Forks workers from a small process in which a backend's imports are done and nothing else has ever run."""

import asyncio
import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from contextlib import suppress

import msgspec

from universal_core import logs, worker
from universal_core.plugins import Plugins
from universal_core.worker import Setup, die_with_parent, spin_briefly

log = logging.getLogger(__name__)

_MESSAGE = 4096


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Fork a worker on the file descriptor that comes with this."""

    number: int


class Signal(msgspec.Struct, frozen=True, tag=True):
    """Send a signal to a worker that lives."""

    pid: int
    signal: int


class Forked(msgspec.Struct, frozen=True, tag=True):
    """Worker ``number`` is there; pid 0 means that forking is unsafe here."""

    number: int
    pid: int


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A worker has ended; a negative code is the signal that ended it."""

    pid: int
    code: int


class Nursery:
    """The process's side: waits for orders, forks, and reaps."""

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._plugins = Plugins(setup.block)
        self._workers: set[int] = set()
        for module in setup.preload:
            try:
                importlib.import_module(module)
            except ImportError as error:
                # The load itself will fail with the plugin's own words, where someone waits for them.
                log.warning("preloading %s failed: %s", module, error)
        # Objects from before the fork are never freed, so collecting them would only unshare their pages.
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Obey until the server closes the connection."""
        wakeup, waker = socket.socketpair()
        wakeup.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wakeup:
                        wakeup.recv(_MESSAGE)
                        self._reap()
                    elif not self._obey():
                        return

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE, 1)
        if not data:
            return False
        match msgspec.msgpack.decode(data, type=Fork | Signal):
            case Fork(number):
                self._fork(number, descriptors[0])
            case Signal(pid, number) if pid in self._workers:
                os.kill(pid, number)
        return True

    def _fork(self, number: int, descriptor: int) -> None:
        # A thread that an import started does not exist in the child, and a lock that it held stays locked there.
        safe = threading.active_count() == 1
        parent = os.getpid()
        pid = os.fork() if safe else 0
        if safe and pid == 0:
            self._become_worker(descriptor, parent)
        os.close(descriptor)
        if pid:
            self._workers.add(pid)
        self._control.send(msgspec.msgpack.encode(Forked(number, pid)))

    def _become_worker(self, descriptor: int, parent: int) -> None:
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(parent)
            self._control.close()
            worker.host(socket.socket(fileno=descriptor), self._plugins)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            worker.leave(code)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._workers.discard(pid)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(OSError):
                self._control.send(msgspec.msgpack.encode(Exited(pid, os.waitstatus_to_exitcode(status))))


class NurseryClient:
    """The server's side of one nursery process."""

    def __init__(self, setup: Setup) -> None:
        """Start the process; it can be asked to fork at once, and will when its imports are done."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), msgspec.json.encode(setup).decode()]
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        self.ready = False
        self.alive = True
        self._numbers = 0
        self._forking: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        asyncio.get_running_loop().add_reader(self._control, self._read)

    @property
    def busy(self) -> bool:
        """Whether any worker of this nursery lives or is being forked."""
        return bool(self._forking or self._exits)

    async def fork(self, connection: socket.socket) -> int:
        """Return the pid of a new worker on this end of a socketpair, or 0 where forking is unsafe."""
        self._numbers += 1
        future = self._forking[self._numbers] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(self._control, [msgspec.msgpack.encode(Fork(self._numbers))], [connection.fileno()])
        except OSError:
            self._lose()
        pid: int = await future
        return pid

    def exited(self, pid: int) -> asyncio.Future[int]:
        """Return the future exit code of a worker."""
        return self._exits[pid]

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a worker, if it still lives."""
        with suppress(OSError):
            self._control.send(msgspec.msgpack.encode(Signal(pid, number)))

    def _read(self) -> None:
        try:
            data = self._control.recv(_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        match msgspec.msgpack.decode(data, type=Forked | Exited):
            case Forked(number, pid):
                self.ready = True
                if pid:
                    self._exits[pid] = asyncio.get_running_loop().create_future()
                if not (forked := self._forking.pop(number)).done():
                    forked.set_result(pid)
            case Exited(pid, code):
                if not (future := self._exits.pop(pid)).done():
                    future.set_result(code)

    def _lose(self) -> None:
        """The nursery is gone, and its workers with it."""
        self.close()
        code = -signal.SIGKILL
        for future in self._exits.values():
            if not future.done():
                future.set_result(code)
        for future in self._forking.values():
            if not future.done():
                future.set_result(0)
        self._exits.clear()
        self._forking.clear()

    def close(self) -> None:
        """End the process; idle or not, it has nothing to save."""
        if self.alive:
            self.alive = False
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self.process.kill()
            self.process.wait()


def main(arguments: list[str]) -> None:
    """Run a nursery: ``python -m universal_core.nursery FD SETUP``."""
    # Python warns of native threads too; those are pools of BLAS libraries, which have fork handlers of their own.
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
    setup = msgspec.json.decode(arguments[1], type=Setup)
    logs.configure(setup.logging)
    spin_briefly()
    Nursery(socket.socket(fileno=int(arguments[0])), setup).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
