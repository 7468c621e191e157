"""SQLite as this project uses it: WAL, synchronous FULL, one owner, errors in our own words.

Every commit is one fdatasync of the log; in 400 simulated power cuts this lost nothing that was
committed, while synchronous NORMAL did in 255 (docs/decisions/0002-sqlite-wal-full.md).
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from edge_sdk.errors import CorruptError, DiskFullError, StorageError


class Connection(Protocol):
    """What we use of a connection: `sqlite3` and `apsw` both have it."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterable[Any]: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any: ...

    def close(self) -> None: ...


# How long a write waits for another process's.
BUSY_MS = 500

# How a file becomes a connection. A campaign passes one that records every write and sync.
OpenConnection = Callable[[Path], Connection]


def open_connection(path: Path) -> Connection:
    """Connection of the standard library, in autocommit: transactions are begun by name."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read, unless it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():  # closing it would give up what locks this process has on it
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def configure(connection: Connection, path: Path, *, shared: bool = False) -> None:
    """Make each commit durable, and this process the file's one owner unless others may read.

    Raises StorageError.
    """
    with translated(path):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        # Of a new file only. A commit writes whole pages: small ones, as most rows are small.
        connection.execute("PRAGMA page_size = 1024")
        if not shared:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL").__iter__().__next__()
        connection.execute("PRAGMA synchronous = FULL")
        # Checkpoints are made between commits (`checkpoint`); this one is for when there is no
        # between.
        connection.execute("PRAGMA wal_autocheckpoint = 8192")
        connection.execute("PRAGMA journal_size_limit = 16777216")


# What a library that speaks SQLite raises; each is known once it has opened a file.
_foreign: tuple[type[Exception], ...] = (sqlite3.Error,)


def also_translate(errors: type[Exception]) -> None:
    """From here on these are SQLite's errors too: apsw's, which the core does not import."""
    global _foreign  # noqa: PLW0603  set once, as an opener is first used
    if errors not in _foreign:
        _foreign = (*_foreign, errors)


@contextmanager
def transaction(connection: Connection, path: Path) -> Iterator[None]:
    """All or nothing, durable when the block has ended. Raises StorageError and its children."""
    with translated(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may have rolled back by itself: then there is nothing to roll back.
            with suppress(*_foreign):
                connection.execute("ROLLBACK")
            raise


# After so many commits there is little to copy, and a commit that waits for it waits briefly.
CHECKPOINT_EVERY = 200


def checkpoint(connection: Connection, path: Path, *, emptied: bool = False) -> bool:
    """Copy the log into the file, so that no commit has to. Raises StorageError.

    Also empty it, where that is wanted; False: somebody is reading, so not all could be done.
    Waits for nobody.
    """
    mode = "TRUNCATE" if emptied else "PASSIVE"
    with translated(path):
        for _ in connection.execute("PRAGMA busy_timeout = 0"):
            pass
        [(busy, _, _)] = connection.execute(f"PRAGMA wal_checkpoint({mode})")
        for _ in connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}"):
            pass
    return not busy


_FULL, _BUSY, _LOCKED, _CORRUPT, _NOT_A_DATABASE = 13, 5, 6, 11, 26


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: they name the file, the trouble and what to do, never a value."""
    try:
        yield
    except _foreign as error:
        # sqlite3 tells SQLite's result under the one name, apsw under the other.
        code = getattr(error, "sqlite_errorcode", getattr(error, "result", 0)) & 0xFF
        if code == _FULL:
            raise DiskFullError(f"{path}: the disk is full; make room and go on") from error
        if code in (_CORRUPT, _NOT_A_DATABASE):
            raise CorruptError(f"{path}: the file is damaged") from error
        if code in (_BUSY, _LOCKED):
            raise StorageError(f"{path}: another process is using it; stop that one") from error
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise StorageError(f"{path}: the disk failed ({name}: {error})") from error
