"""The store in one SQLite file of which this process is the one owner.

Two things keep a second owner out. A lock on a file beside it, which the system gives up when a
process dies, turns away whoever comes while the first one lives. And each open raises the `term`
that every write checks within its transaction: so one that was taken for dead, or whose file was
put somewhere else under it, can write nothing any more.
"""

import secrets
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, TypeVar

from cloud_bridge.errors import FencedError
from cloud_bridge.pool_rows import PoolRow
from cloud_bridge.schemes import KIND_BITS
from cloud_bridge.sqlite_schema import COLUMNS, PUT, SELECT, TABLES, VERSION
from cloud_bridge.store import (
    SNAPSHOT_VERSION,
    WAITING,
    CallRow,
    DeviceRow,
    EpochRow,
    IdentityRow,
    LogRow,
    Marks,
    PromptRow,
    Rewrite,
    SubjectRow,
    VaultRow,
    VisitRow,
    Writes,
)
from cloud_bridge.vault import PEPPER_BYTES
from edge_sdk.adapters.sqlite import (
    CHECKPOINT_EVERY,
    Connection,
    OpenConnection,
    checkpoint,
    configure,
    create_private,
    open_connection,
    transaction,
    translated,
)
from edge_sdk.errors import ConfigError, StorageError

if sys.platform != "win32":
    import fcntl

FILE_NAME = "bridge.sqlite"
LOCK_NAME = "bridge.lock"
# Bytes of malformed batches are evidence for a developer; the newest are enough.
MAX_SET_ASIDE = 1000
# Whoever restores a copy in which these are not there begins with them.
_FIRST_MARKS = {"term": 0, "pruned_to": 0, "watermark": 0, "snapshot": 0, "next_number": 1}

_values = {table: attrgetter(*columns) for table, columns in COLUMNS.items()}
Row = TypeVar("Row")


class SqliteStore:
    """`open(tenant)`, then the methods of `Store`, then `close`, even where `open` has raised."""

    def __init__(self, home: Path, open_database: OpenConnection = open_connection) -> None:
        self.path = home / FILE_NAME
        self._open_database = open_database
        self._database: Connection | None = None
        self._lock: IO[bytes] | None = None
        self._term = 0
        self._commits = 0  # since the last checkpoint
        self._leaves_traces = True  # in the log beside the file, maybe, of what was erased

    def open(self, tenant: str) -> None:
        """Own the file, and create it if need be.

        Raises StorageError where another process owns it, ConfigError where it is another
        tenant's or a later version's.
        """
        create_private(self.path)
        self._lock_out_others()
        with translated(self.path):
            database = self._database = self._open_database(self.path)
        configure(database, self.path, shared=True)
        with translated(self.path):
            database.execute("PRAGMA secure_delete = ON")
            # A store of an earlier version has other columns: read before anything is written.
            known = list(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'"))
        if known:
            self._check(tenant)
        with transaction(database, self.path):
            for statement in TABLES:
                database.execute(statement)
            firsts = {"version": VERSION, "tenant": tenant, **_FIRST_MARKS}
            firsts["pepper"] = secrets.token_bytes(PEPPER_BYTES)
            for item in firsts.items():
                database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", item)
            database.execute("UPDATE meta SET value = value + 1 WHERE name = 'term'")
            # Read before anybody else can raise it again: no term has two owners.
            [(self._term,)] = database.execute("SELECT value FROM meta WHERE name = 'term'")

    def _check(self, tenant: str) -> None:
        meta = self._meta()
        if meta["version"] != VERSION:
            raise ConfigError(f"{self.path}: written by another version ({meta['version']})")
        if meta["tenant"] != tenant:
            raise ConfigError(f"{self.path}: belongs to tenant {meta['tenant']}, not to {tenant}")

    def close(self) -> None:
        """Give the file up."""
        database, self._database = self._database, None
        lock, self._lock = self._lock, None
        try:
            if database is not None:
                with translated(self.path):
                    database.close()
        finally:
            if lock is not None:
                lock.close()

    def tidy(self) -> None:
        """See Store."""
        if self._leaves_traces:
            self._wipe()
        elif self._commits >= CHECKPOINT_EVERY:
            self._commits = 0
            checkpoint(self._connection(), self.path)

    def commit(self, writes: Writes) -> None:
        """See Store."""
        self._commits += 1
        with self._owned() as database:
            put = database.executemany
            if writes.vault:
                put(PUT["vault"], map(_values["vault"], writes.vault))
                # Kept apart from the vault: a copy without it must not give them out again.
                highest = max(row.handle for row in writes.vault)
                _mark(database, "next_number", (highest >> KIND_BITS) + 1)
            if writes.identities:
                self._identities(database, writes.identities)
            put(PUT["log"], map(_values["log"], writes.log))
            put(PUT["devices"], map(_values["devices"], writes.devices.values()))
            epochs = [row for row in writes.epochs.values() if row is not None]
            put(PUT["epochs"], map(_values["epochs"], epochs))
            put(PUT["prompts"], map(_values["prompts"], writes.prompts.values()))
            if writes.visits:
                self._visits(database, writes.visits)
            if writes.calls:
                put(PUT["calls"], map(_values["calls"], writes.calls.values()))
            if writes.pools:
                self._pools(database, writes.pools.values())
            if writes.collected:
                put("INSERT OR REPLACE INTO collected VALUES (?, ?)", writes.collected.items())
            gone = [key for key, row in writes.epochs.items() if row is None]
            if gone:
                put("DELETE FROM epochs WHERE device = ? AND epoch = ?", gone)
            if writes.set_aside:
                self._set_aside(database, writes.set_aside)
            self._derive(database, writes)
            self._destroy(database, writes)

    def _identities(
        self, database: Connection, identities: Mapping[tuple[int, str], IdentityRow | None]
    ) -> None:
        rows = [row for row in identities.values() if row is not None]
        database.executemany(PUT["identities"], map(_values["identities"], rows))
        gone = [key for key, row in identities.items() if row is None]
        database.executemany("DELETE FROM identities WHERE handle = ? AND kind = ?", gone)

    def _visits(
        self, database: Connection, visits: Mapping[tuple[str, int], VisitRow | None]
    ) -> None:
        rows = [row for row in visits.values() if row is not None]
        database.executemany(PUT["visits"], map(_values["visits"], rows))
        ended = [key for key, row in visits.items() if row is None]
        database.executemany("DELETE FROM visits WHERE site = ? AND visit = ?", ended)

    def _pools(self, database: Connection, rows: Collection[PoolRow]) -> None:
        gone = [(row.pool, row.kind, row.key) for row in rows if not row.body]
        if gone:
            database.executemany("DELETE FROM pools WHERE pool = ? AND kind = ? AND key = ?", gone)
        database.executemany(PUT["pools"], map(_values["pools"], (r for r in rows if r.body)))

    def _set_aside(self, database: Connection, rows: Sequence[tuple[int, int, int, bytes]]) -> None:
        database.executemany(
            "INSERT OR IGNORE INTO set_aside (device, epoch, seq, body) VALUES (?, ?, ?, ?)", rows
        )
        database.execute(
            "DELETE FROM set_aside WHERE place <= (SELECT max(place) FROM set_aside) - ?",
            (MAX_SET_ASIDE,),
        )

    def _derive(self, database: Connection, writes: Writes) -> None:
        if writes.subjects:
            rows = [writes.subjects[handle] for handle in sorted(writes.subjects)]
            database.executemany(PUT["subjects"], map(_values["subjects"], rows))
            _mark(database, "snapshot", SNAPSHOT_VERSION)
        if writes.watermark is not None:
            _mark(database, "watermark", writes.watermark)

    def _destroy(self, database: Connection, writes: Writes) -> None:
        gone = [(handle,) for handle in (*writes.erased, *writes.forgotten)]
        if not gone:
            return
        # The highest number may go with them, and must not be given out again.
        _mark(database, "next_number", self._next_number(database))
        database.executemany("DELETE FROM vault WHERE handle = ?", gone)
        database.executemany("DELETE FROM subjects WHERE handle = ?", gone)
        database.executemany("DELETE FROM identities WHERE handle = ?", gone)
        database.executemany("DELETE FROM visits WHERE visitor = ?", gone)
        database.executemany("DELETE FROM calls WHERE caller = ?", gone)
        database.executemany("UPDATE calls SET whose = 0 WHERE whose = ?", gone)
        if writes.erased:
            erased = [(handle,) for handle in writes.erased]
            database.executemany("INSERT OR IGNORE INTO erased VALUES (?)", erased)
            database.execute("DELETE FROM set_aside")  # whom they name, nobody can read
            for name in ("scrubbed_to", "scrub_end"):
                database.execute("DELETE FROM meta WHERE name = ?", (name,))

    # Facts

    def devices(self) -> Iterator[DeviceRow]:
        """See Store."""
        return self._rows("devices", DeviceRow)

    def epochs(self) -> Iterator[EpochRow]:
        """See Store."""
        return self._rows("epochs", EpochRow)

    def prompts(self) -> Iterator[PromptRow]:
        """See Store."""
        return self._rows("prompts", PromptRow, f"WHERE state = '{WAITING}'")

    def visits(self) -> Iterator[VisitRow]:
        """See Store."""
        return self._rows("visits", VisitRow)

    def calls(self, names: Sequence[tuple[str, str]]) -> list[CallRow]:
        """See Store."""
        sql = f"{SELECT['calls']} WHERE site = ? AND call = ?"
        found = []
        with translated(self.path):
            for name in names:
                found += [CallRow(*row) for row in self._connection().execute(sql, name)]
        return found

    def calls_waiting(self) -> Iterator[CallRow]:
        """See Store."""
        return self._rows("calls", CallRow, "WHERE waits = 1")

    def pool_rows(self) -> Iterator[PoolRow]:
        """See Store."""
        return self._rows("pools", PoolRow)

    def log(self, after: int = 0) -> Iterator[LogRow]:
        """See Store. Reads as it goes: a log of any length takes little memory."""
        return self._rows("log", LogRow, f"WHERE id > {int(after)} ORDER BY id")

    def collected(self, keys: Sequence[bytes]) -> set[bytes]:
        """See Store."""
        sql = "SELECT key FROM collected WHERE key = ?"
        return {row[0] for row in self._each(sql, keys)}

    def handles(self, digests: Sequence[bytes]) -> Mapping[bytes, int]:
        """See Store."""
        sql = "SELECT digest, handle FROM vault WHERE digest = ?"
        return dict(self._each(sql, digests))

    def vault_rows(self, handles: Sequence[int]) -> Mapping[int, VaultRow]:
        """See Store."""
        sql = f"{SELECT['vault']} WHERE handle = ?"
        return {row[0]: VaultRow(*row) for row in self._each(sql, handles)}

    def identities(self) -> Iterator[IdentityRow]:
        """See Store."""
        return self._rows("identities", IdentityRow)

    def erased(self) -> set[int]:
        """See Store."""
        with translated(self.path):
            return {row[0] for row in self._connection().execute("SELECT handle FROM erased")}

    # Derived

    def marks(self) -> Marks:
        """See Store."""
        meta = self._meta()
        with translated(self.path):
            database = self._connection()
            # One each: together they would walk through the whole table.
            [(first,)] = database.execute("SELECT min(id) FROM log")
            [(last,)] = database.execute("SELECT max(id) FROM log")
            next_number = self._next_number(database)
        return Marks(
            first or 0,
            max(last or 0, meta["pruned_to"]),
            meta["pruned_to"],
            meta["watermark"],
            meta["snapshot"],
            next_number,
            meta["pepper"],
        )

    def subjects(self, handles: Sequence[int]) -> list[SubjectRow]:
        """See Store."""
        sql = f"{SELECT['subjects']} WHERE handle = ?"
        return [SubjectRow(*row) for row in self._each(sql, handles)]

    def all_subjects(self, after: int = -1) -> Iterator[SubjectRow]:
        """See Store."""
        return self._rows("subjects", SubjectRow, f"WHERE handle > {int(after)} ORDER BY handle")

    def drop_derived(self) -> None:
        """See Store."""
        with self._owned() as database:
            database.execute("DELETE FROM subjects")
            database.execute("UPDATE meta SET value = 0 WHERE name = 'snapshot'")
            database.execute(
                "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'pruned_to')"
                " WHERE name = 'watermark'"
            )

    # Keeping it small

    def prune(self, before_ms: int, most: int) -> int:
        """See Store."""
        watermark = self._meta()["watermark"]
        gone = 0
        with self._owned() as database:
            sql = "SELECT id, received_ms FROM log WHERE id <= ? ORDER BY id LIMIT ?"
            last = 0
            for id_, received_ms in database.execute(sql, (watermark, most)):
                if received_ms >= before_ms:
                    break
                last, gone = id_, gone + 1
            if gone:
                database.execute("DELETE FROM log WHERE id <= ?", (last,))
                database.execute("DELETE FROM collected WHERE log_id <= ?", (last,))
                _mark(database, "pruned_to", last)
            database.execute(
                "DELETE FROM prompts WHERE id IN"
                " (SELECT id FROM prompts WHERE state <> 'waiting' AND expires_ms < ? LIMIT ?)",
                (before_ms, most),
            )
            database.execute(
                "DELETE FROM calls WHERE (site, call) IN"
                " (SELECT site, call FROM calls WHERE seen_ms < ? LIMIT ?)",
                (before_ms, most),
            )
        return gone

    def forget_numbers(self, before_ms: int, most: int) -> int:
        """See Store."""
        sql = "SELECT site, call FROM calls WHERE sealed <> x'' AND seen_ms < ? LIMIT ?"
        with self._owned() as database:
            rows = list(database.execute(sql, (before_ms, most)))
            database.executemany(
                "UPDATE calls SET sealed = x'', waits = 0 WHERE site = ? AND call = ?", rows
            )
        return len(rows)

    def strangers(self, before_day: int, after: int, most: int) -> tuple[list[int], int]:
        """See Store."""
        pruned_to = self._meta()["pruned_to"]
        sql = (
            "SELECT handle, is_stranger AND day < ? AND as_of <= ? FROM subjects"
            " WHERE handle > max(?, 0) ORDER BY handle LIMIT ?"
        )
        with translated(self.path):
            rows = list(self._connection().execute(sql, (before_day, pruned_to, after, most)))
        found = [handle for handle, is_old in rows if is_old]
        return found, rows[-1][0] if len(rows) == most else -1

    def scrub(self, most: int, rewritten: Rewrite) -> int:
        """See Store."""
        erased = self.erased()
        if not erased:
            return 0
        meta = self._meta()
        with self._owned() as database:
            end = meta.get("scrub_end")
            if end is None:
                [(end,)] = database.execute("SELECT coalesce(max(id), 0) FROM log")
                database.execute("INSERT OR REPLACE INTO meta VALUES ('scrub_end', ?)", (end,))
            sql = "SELECT id, kind, body FROM log WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
            rows = list(database.execute(sql, (meta.get("scrubbed_to", 0), end, most)))
            for id_, kind, body in rows:
                changed = rewritten(kind, body, erased)
                if changed is not None:
                    database.execute("UPDATE log SET body = ? WHERE id = ?", (changed, id_))
            if rows:
                done = ("scrubbed_to", rows[-1][0])
                database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", done)
            else:
                database.execute("DELETE FROM erased")
        if not rows:
            self._leaves_traces = True
            self._wipe()
        return len(rows)

    def _wipe(self) -> None:
        """Empty the log beside the file. Whoever reads just now keeps it: then the next time."""
        self._leaves_traces = not checkpoint(self._connection(), self.path, emptied=True)

    # The connection

    def _lock_out_others(self) -> None:
        path = self.path.with_name(LOCK_NAME)
        if sys.platform == "win32":
            return  # the term has to do
        try:
            lock = self._lock = path.open("ab")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{self.path}: another process is using it; stop that one") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be locked ({error.strerror})") from error

    @contextmanager
    def _owned(self) -> Iterator[Connection]:
        """A transaction of this term's owner. Raises FencedError where there is a later one."""
        database = self._connection()
        with transaction(database, self.path):
            [(term,)] = database.execute("SELECT value FROM meta WHERE name = 'term'")
            if term != self._term:
                raise FencedError(f"{self.path}: another bridge owns it now; stop this one")
            yield database

    def _meta(self) -> dict[str, Any]:
        with translated(self.path):
            return dict(self._connection().execute("SELECT name, value FROM meta"))

    def _next_number(self, database: Connection) -> int:
        [(highest,)] = database.execute("SELECT coalesce(max(handle), 0) FROM vault")
        [(next_number,)] = database.execute("SELECT value FROM meta WHERE name = 'next_number'")
        number: int = max((highest >> KIND_BITS) + 1, next_number)
        return number

    def _each(self, sql: str, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement asked once for each key: it stays prepared."""
        found: list[tuple[Any, ...]] = []
        with translated(self.path):
            execute = self._connection().execute
            for key in keys:
                found.extend(execute(sql, (key,)))
        return found

    def _rows(self, table: str, row_type: Callable[..., Row], which: str = "") -> Iterator[Row]:
        with translated(self.path):
            for row in self._connection().execute(f"{SELECT[table]} {which}"):
                yield row_type(*row)

    def _connection(self) -> Connection:
        if self._database is None:
            raise RuntimeError("the store is not open")
        return self._database


def _mark(database: Connection, name: str, value: int) -> None:
    """Marks rise; only dropping what was derived sets them back."""
    database.execute("UPDATE meta SET value = max(value, ?) WHERE name = ?", (value, name))
