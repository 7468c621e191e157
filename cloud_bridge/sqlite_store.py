"""The store in one SQLite file of which this process is the one owner."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from cloud_bridge.store import WAITING, DeviceRow, EpochRow, LogRow, PromptRow, Writes
from edge_sdk.adapters.sqlite import (
    CHECKPOINT_EVERY,
    Connection,
    OpenConnection,
    checkpoint,
    configure,
    open_connection,
    transaction,
    translated,
)
from edge_sdk.errors import ConfigError

FILE_NAME = "bridge.sqlite"
VERSION = "1"
# Bytes of malformed batches are evidence for a developer; the newest are enough.
MAX_SET_ASIDE = 1000

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS log (
        id INTEGER PRIMARY KEY, site TEXT NOT NULL, device INTEGER, generation INTEGER NOT NULL,
        epoch INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
        received_ms INTEGER NOT NULL, offset_ms INTEGER NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS devices (
        device INTEGER PRIMARY KEY, generation INTEGER NOT NULL, next_epoch INTEGER NOT NULL,
        revoked INTEGER NOT NULL, chain_key BLOB NOT NULL, ear BLOB NOT NULL,
        old_ear BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS epochs (
        device INTEGER NOT NULL, epoch INTEGER NOT NULL, clock_ms INTEGER, state BLOB NOT NULL,
        PRIMARY KEY (device, epoch)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS prompts (
        id INTEGER PRIMARY KEY, device INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL, state TEXT NOT NULL, dispatches INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    f"CREATE INDEX IF NOT EXISTS waiting ON prompts (id) WHERE state = '{WAITING}'",
    """CREATE TABLE IF NOT EXISTS collected (
        key BLOB PRIMARY KEY, log_id INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS set_aside (
        place INTEGER PRIMARY KEY, device INTEGER NOT NULL, epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (device, epoch, seq))""",
)
_COLUMNS = {
    table: tuple(column.name for column in fields(row_type))
    for table, row_type in (
        ("log", LogRow),
        ("devices", DeviceRow),
        ("epochs", EpochRow),
        ("prompts", PromptRow),
    )
}
Row = TypeVar("Row")


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read, unless it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


class SqliteStore:
    """`open(tenant)`, then the methods of `Store`, then `close`, even where `open` has raised."""

    def __init__(self, home: Path, open_database: OpenConnection = open_connection) -> None:
        self.path = home / FILE_NAME
        self._open_database = open_database
        self._database: Connection | None = None
        self._commits = 0  # since the last checkpoint

    def open(self, tenant: str) -> None:
        """Own the file, and create it if need be.

        Raises StorageError where another process owns it, ConfigError where it is another
        tenant's or a later version's.
        """
        create_private(self.path)
        with translated(self.path):
            database = self._database = self._open_database(self.path)
        configure(database, self.path)
        with translated(self.path):
            database.execute("PRAGMA secure_delete = ON")
        with transaction(database, self.path):
            for statement in _SCHEMA:
                database.execute(statement)
            for name, value in (("version", VERSION), ("tenant", tenant)):
                database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
        with translated(self.path):
            meta = dict(database.execute("SELECT name, value FROM meta"))
        if meta["version"] != VERSION:
            raise ConfigError(f"{self.path}: written by another version ({meta['version']})")
        if meta["tenant"] != tenant:
            raise ConfigError(f"{self.path}: belongs to tenant {meta['tenant']}, not to {tenant}")

    def close(self) -> None:
        """Give the file up."""
        database, self._database = self._database, None
        if database is not None:
            with translated(self.path):
                database.close()

    def tidy(self) -> None:
        """See Store."""
        if self._commits >= CHECKPOINT_EVERY:
            self._commits = 0
            checkpoint(self._connection(), self.path)

    def commit(self, writes: Writes) -> None:
        """See Store."""
        database = self._connection()
        self._commits += 1
        gone = [key for key, row in writes.epochs.items() if row is None]
        with transaction(database, self.path):
            _put(database, "log", writes.log)
            _put(database, "devices", writes.devices.values())
            _put(database, "epochs", [row for row in writes.epochs.values() if row])
            _put(database, "prompts", writes.prompts.values())
            if writes.collected:
                sql = "INSERT OR REPLACE INTO collected VALUES (?, ?)"
                database.executemany(sql, writes.collected.items())
            if gone:
                database.executemany("DELETE FROM epochs WHERE device = ? AND epoch = ?", gone)
            if writes.set_aside:
                database.executemany(
                    "INSERT OR IGNORE INTO set_aside (device, epoch, seq, body)"
                    " VALUES (?, ?, ?, ?)",
                    writes.set_aside,
                )
                database.execute(
                    "DELETE FROM set_aside WHERE place <= (SELECT max(place) FROM set_aside) - ?",
                    (MAX_SET_ASIDE,),
                )

    def devices(self) -> Iterator[DeviceRow]:
        """See Store."""
        return self._rows("devices", DeviceRow)

    def epochs(self) -> Iterator[EpochRow]:
        """See Store."""
        return self._rows("epochs", EpochRow)

    def prompts(self) -> Iterator[PromptRow]:
        """See Store."""
        return self._rows("prompts", PromptRow, f"WHERE state = '{WAITING}'")

    def log(self) -> Iterator[LogRow]:
        """See Store. Reads as it goes: a log of any length takes little memory."""
        return self._rows("log", LogRow, "ORDER BY id")

    def is_collected(self, key: bytes) -> bool:
        """See Store."""
        with translated(self.path):
            sql = "SELECT 1 FROM collected WHERE key = ?"
            return bool(list(self._connection().execute(sql, (key,))))

    def _rows(self, table: str, row_type: Callable[..., Row], which: str = "") -> Iterator[Row]:
        with translated(self.path):
            sql = f"SELECT {', '.join(_COLUMNS[table])} FROM {table} {which}"  # noqa: S608  ours
            for row in self._connection().execute(sql):
                yield row_type(*row)

    def _connection(self) -> Connection:
        if self._database is None:
            raise RuntimeError("the store is not open")
        return self._database


def _put(database: Connection, table: str, rows: Iterable[object]) -> None:
    columns = _COLUMNS[table]
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    database.executemany(sql, map(attrgetter(*columns), rows))
