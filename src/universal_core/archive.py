"""The file where conversations are kept: each answer with the items that were new when it was asked for.

An answer names the one before it, so that the last of a conversation leads to all of it. Everything here reads and
writes disks, so it is called in threads and never on the event loop.
"""

import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from universal_core.config import ResponsesConfig
from universal_core.errors import PayloadTooLarge, StorageFailed

SWEEP_INTERVAL = 60.0
"""Seconds between two looks for answers to remove."""

BUSY_SECONDS = 10.0
"""Seconds to wait while another process writes to the same file."""

PAGES_AT_ONCE = 20_000
"""Pages of 4 KiB that one look gives back to the file system: everybody waits for it."""

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS answer (
    id TEXT PRIMARY KEY, previous TEXT, used REAL NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS answer_used ON answer (used, bytes);
CREATE TABLE IF NOT EXISTS item (
    answer TEXT NOT NULL REFERENCES answer ON DELETE CASCADE, position INTEGER NOT NULL, written INTEGER NOT NULL,
    id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (answer, position)
);
CREATE INDEX IF NOT EXISTS item_id ON item (id) WHERE written;
PRAGMA user_version = {_VERSION};
"""
_CHAIN = """
WITH RECURSIVE chain (id, previous, bytes, depth) AS (
    SELECT id, previous, bytes, 0 FROM answer WHERE id = ?
    UNION ALL
    SELECT answer.id, answer.previous, answer.bytes, depth + 1 FROM answer JOIN chain ON answer.id = chain.previous
)
"""

log = logging.getLogger(__name__)


class Item(msgspec.Struct, frozen=True):
    """A part of a conversation as JSON; ``written`` says that the model wrote it."""

    id: str
    body: bytes
    written: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as JSON, what was new when it was asked for and what was written, and the answer before it."""

    id: str
    body: bytes
    items: Sequence[Item]
    previous: str | None = None


class Missing(Exception):
    """An answer that is not there: ``id``."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class Archive:
    """Keeps answers in the file of the configuration, and removes those that nobody has used for long."""

    def __init__(self, config: ResponsesConfig) -> None:
        self._config = config
        self._path = Path(config.path).expanduser().absolute()
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._swept = -math.inf

    def configure(self, config: ResponsesConfig) -> None:
        """Keep to other limits from now on; the file stays."""
        self._config = config

    def prepare(self) -> None:
        """Make the file where it is missing. Raises StorageFailed where nothing can be written."""
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()

    def save(self, answer: Answer) -> None:
        """Keep an answer, and make room where there is too much. Raises StorageFailed, and keeps nothing then."""
        size = len(answer.body) + sum(len(item.body) for item in answer.items)
        rows = [(answer.id, at, item.written, item.id, item.body) for at, item in enumerate(answer.items)]
        row = (answer.id, answer.previous, time.time(), size, answer.body)
        with self._opened() as database:
            with database:
                database.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?)", row)
                database.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", rows)
            try:
                self._sweep(database)
            except sqlite3.Error as error:
                log.warning("no room can be made in %s: %s", self._path, error)

    def find(self, id: str) -> Answer:
        """Return an answer with its items. Raises Missing, StorageFailed."""
        with self._opened() as database:
            row = database.execute("SELECT body, previous FROM answer WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise Missing(id)
            items = database.execute("SELECT id, body, written FROM item WHERE answer = ? ORDER BY position", (id,))
            found = [Item(name, body, bool(written)) for name, body, written in items]
        return Answer(id=id, body=row[0], items=found, previous=row[1])

    def remove(self, id: str) -> None:
        """Remove an answer and its items. Raises Missing, StorageFailed."""
        with self._opened() as database, database:
            if not database.execute("DELETE FROM answer WHERE id = ?", (id,)).rowcount:
                raise Missing(id)

    def conversation(self, id: str, limit: int) -> list[Item]:
        """Return all items that led to an answer, and its own, the oldest first; none of it counts as unused now.

        Raises Missing where it or one before it is not there, PayloadTooLarge for more bytes than ``limit``, and
        StorageFailed.
        """
        with self._opened() as database, database:
            rows = database.execute(f"{_CHAIN} SELECT id, previous, bytes FROM chain ORDER BY depth", (id,)).fetchall()
            gap = rows[-1][1] if rows else id
            if gap is not None:
                raise Missing(gap)
            size = sum(row[2] for row in rows)
            if size > limit:
                raise PayloadTooLarge(
                    f"previous_response_id: the conversation so far takes {size} bytes, over the limit of {limit} "
                    "(server.max_body_bytes); begin a new one",
                    param="previous_response_id",
                )
            database.execute(
                f"{_CHAIN} UPDATE answer SET used = ? WHERE id IN (SELECT id FROM chain)", (id, time.time())
            )
            items = database.execute(
                f"{_CHAIN} SELECT item.id, item.body, item.written FROM chain JOIN item ON item.answer = chain.id "
                "ORDER BY depth DESC, position",
                (id,),
            )
            return [Item(name, body, bool(written)) for name, body, written in items]

    def written(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the items that models wrote under these ids, but for those that are missing. Raises StorageFailed."""
        with self._opened() as database:
            query = "SELECT body FROM item WHERE id = ? AND written LIMIT 1"
            rows = {id: database.execute(query, (id,)).fetchone() for id in ids}
        return {id: row[0] for id, row in rows.items() if row is not None}

    def _sweep(self, database: sqlite3.Connection) -> None:
        if time.monotonic() - self._swept < SWEEP_INTERVAL:
            return
        self._swept = time.monotonic()
        with database:
            if self._config.max_age:
                database.execute("DELETE FROM answer WHERE used < ?", (time.time() - self._config.max_age,))
            if self._config.max_bytes:
                # The newest stays whatever the limit is: whoever asked for it goes on from it.
                database.execute(
                    "DELETE FROM answer WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS place, "
                    "sum(bytes) OVER newest AS total FROM answer WINDOW newest AS (ORDER BY used DESC, rowid DESC)) "
                    "WHERE total > ? AND place > 1)",
                    (self._config.max_bytes,),
                )
        database.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Give the file to one thread at a time; after a failure it is opened anew."""
        with self._lock:
            try:
                if self._database is None:
                    self._database = self._open()
                yield self._database
            except (OSError, sqlite3.Error) as error:
                self.close()
                raise StorageFailed(
                    f"responses cannot be kept in {self._path}: {error}; make room there, or set responses.path to a "
                    "file that can be written. With store false nothing is kept"
                ) from None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def __del__(self) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite would let others of this machine read it, as the folder allows.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise OSError(f"a newer version of this server made it (form {version}, this one knows {_VERSION})")
            # What is removed is overwritten, and its room is given back to the file system.
            database.executescript(
                "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
                f"PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; {'' if version else _SCHEMA}"
            )
        except BaseException:
            database.close()
            raise
        return database
