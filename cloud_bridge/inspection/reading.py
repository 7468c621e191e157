"""SQLite files read without leaving a trace: no lock is taken for long, no file made or changed.

A WAL store is read in one of three ways. While a bridge runs, or after it was killed, `-wal` and
`-shm` are there and are shared with it (`readonly_shm`: without it SQLite would make or change the
second one). After a clean stop neither is there, and nobody can write without making them: the file
is read as it lies, and read again if a bridge has started meanwhile. Where `-wal` came without
`-shm`, as in a copy, only the file itself can be read.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from edge_sdk.adapters.sqlite import Connection, translated
from edge_sdk.errors import StorageError

_WAIT_S = 5.0
_TRIES = 3
_READ_ONLY_CODE = 8

Result = TypeVar("Result")


def read_store(path: Path, work: Callable[[Connection], Result]) -> tuple[Result, str]:
    """What `work` makes of a WAL store, and a note where it is not the newest state.

    `work` may be called again. Raises StorageError and its children, and what `work` raises.
    """
    for _ in range(_TRIES):
        there = _has(path, "-wal"), _has(path, "-shm")
        how = "mode=ro&readonly_shm=1" if all(there) else "immutable=1"
        try:
            result = _read(path, how, work)
        except StorageError:
            if there != (_has(path, "-wal"), _has(path, "-shm")):
                continue  # a bridge has started or stopped meanwhile
            raise
        if how == "immutable=1" and there[0]:
            return result, f"{path.name}-wal is not counted: there is no {path.name}-shm beside it"
        if all(there) or not _has(path, "-wal"):
            return result, ""
    raise StorageError(f"{path}: a bridge starts and stops; look again in a moment")


def read_registry(path: Path, work: Callable[[Connection], Result]) -> Result:
    """What `work` makes of a file with a rollback journal. Raises as `read_store` does."""
    return _read(path, "mode=ro", work)


def typed(row: Sequence[Any], types: Sequence[type | tuple[type, ...]]) -> Sequence[Any]:
    """A row of which each value is what it should be. Raises TypeError: SQLite checks none."""
    if not all(map(isinstance, row, types)):
        raise TypeError("a value is of another type than its column")
    return row


def size_of(path: Path, suffix: str = "") -> int:
    """Bytes of a file; 0: there is none."""
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0


def _has(path: Path, suffix: str) -> bool:
    return path.with_name(path.name + suffix).exists()


def _read(path: Path, how: str, work: Callable[[Connection], Result]) -> Result:
    if not os.access(path, os.R_OK):
        raise StorageError(f"{path}: may not be read; be the user that runs the bridge")
    with translated(path):
        try:
            uri = f"{path.absolute().as_uri()}?{how}"
            with closing(
                sqlite3.connect(uri, timeout=_WAIT_S, uri=True, isolation_level=None)
            ) as database:
                return work(database)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == _READ_ONLY_CODE:
                raise StorageError(
                    f"{path}: a write was cut off; a bridge that starts, or `cloud-bridge devices`,"
                    " puts it right"
                ) from error
            raise
