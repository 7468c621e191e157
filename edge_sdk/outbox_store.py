"""The outbox on disk: sealed batches until the bridge holds them, and prompts once shown.

Only ciphertext is stored, so a stolen disk opens nothing; the priority class stands beside it,
because a full outbox must choose what to shed unopened. One thread calls this, and each `commit` is
one transaction. A damaged file is set aside, and the device goes on with a new one.
"""

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

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
from edge_sdk.batching import by_class, encode
from edge_sdk.damaged import set_aside
from edge_sdk.epoch import Epoch
from edge_sdk.errors import CorruptError, StorageError
from edge_sdk.key_slots import KeySlots
from edge_sdk.rows import Changes, Committed, Row, row_id
from edge_sdk.wire import seal
from edge_sdk.wire.control import (
    CORRUPT,
    SHED,
    Hello,
    encode_hello,
    encode_notice,
    held_runs,
)
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.touchpoint import (
    CLASS_NAMES,
    CONTROL,
    PROMPTING,
    SIGHTINGS,
    Touchpoint,
)

log = logging.getLogger(__name__)

FILE_NAME = "outbox.sqlite"
_SCHEMA = (
    # id = epoch << 16 | seq: the order of sealing, and the batch's name for ever.
    "CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, class INTEGER NOT NULL,"
    " prompting INTEGER NOT NULL, touchpoints INTEGER NOT NULL, sealed_ms INTEGER NOT NULL,"
    " crc INTEGER NOT NULL, message BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS batches_by_class ON batches (class, id)",
    # state: 0 marked for display, 1 its outcome is in the outbox
    "CREATE TABLE IF NOT EXISTS prompts (place INTEGER PRIMARY KEY, id INTEGER UNIQUE NOT NULL,"
    " state INTEGER NOT NULL, offer TEXT NOT NULL, surface TEXT NOT NULL)",
    "PRAGMA user_version = 1",
)
_KEPT_PROMPTS = 4096
_ROW_OVERHEAD_BYTES = 64


class OutboxFullError(StorageError):
    """Ours or the link's: all that waits is more precious than what was captured now."""


class OutboxStore:
    """`open`, then `commit` and `rows_after` from one thread, then `close`."""

    def __init__(
        self,
        home: Path,
        suite: Suite,
        slots: KeySlots,
        *,
        agent: str,
        max_bytes: int,
        open_database: OpenConnection = open_connection,
    ) -> None:
        self.path = home / FILE_NAME
        self.size_bytes = 0
        self.batches = 0
        self.shed_batches = 0
        self.shed_touchpoints = 0
        self._suite = suite
        self._slots = slots
        self._agent = agent
        self._max_bytes = max_bytes
        self._open_database = open_database
        self._database: Connection | None = None
        self._epoch: Epoch | None = None
        self._burned: list[tuple[int, int, int, int, int]] = []
        self._shed_now: set[int] = set()
        self._commits = 0  # since the last checkpoint

    @property
    def epoch(self) -> Epoch:
        if self._epoch is None:
            raise RuntimeError("the outbox is not open")
        return self._epoch

    def open(self, now_ms: int) -> list[tuple[int, str, str]]:
        """Open the file and an epoch. Raises StorageError where another process is the owner.

        Gives the prompts that were marked and never reported, as (id, offer, surface).
        """
        try:
            self._connect()
        except CorruptError as error:
            self._set_aside(error)
            self._connect()
        self.open_epoch(now_ms)
        database = self._connection()
        with translated(self.path):
            marked = "SELECT id, offer, surface FROM prompts WHERE state = 0"
            return [(row[0], row[1], row[2]) for row in database.execute(marked)]

    @property
    def has_notice(self) -> bool:
        """Whether the next commit, even of nothing, tells the bridge of batches given up."""
        return bool(self._burned)

    @property
    def wants_checkpoint(self) -> bool:
        """Whether `checkpoint` should be called when nothing waits."""
        return self._commits >= CHECKPOINT_EVERY

    def checkpoint(self) -> None:
        """Copy SQLite's log into its file: two syncs that no commit has to wait for then."""
        self._commits = 0
        checkpoint(self._connection(), self.path)

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with translated(self.path):
                database.close()

    def commit(self, changes: Changes, now_ms: int) -> Committed:
        """Seal and store, forget what is held, mark prompts: one transaction, durable on return.

        Raises StorageError: then nothing of `changes` is kept, and the sequence numbers that were
        burned are declared in a later notice. A damaged file is set aside and the call repeated.
        """
        try:
            return self._commit(changes, now_ms)
        except CorruptError as error:
            self._set_aside(error)
            self._connect()
            self.open_epoch(now_ms)
            return self._commit(changes, now_ms)

    def rows_after(self, after_id: int, limit: int) -> list[Row]:
        """The next rows in the order of sealing. A row that rotted is declared and skipped."""
        rows = []
        with translated(self.path):
            for id_, prompting, sealed_ms, crc, message in self._connection().execute(
                "SELECT id, prompting, sealed_ms, crc, message FROM batches WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after_id, limit),
            ):
                if zlib.crc32(message) == crc:
                    rows.append(Row(id_, bool(prompting), sealed_ms, message))
                else:
                    self._give_up(id_ >> 16, id_ & 0xFFFF)
        return rows

    # One transaction

    def _commit(self, changes: Changes, now_ms: int) -> Committed:
        if changes.touchpoints and self.epoch.room() < 64 + len(changes.touchpoints):
            self.open_epoch(now_ms)
        counted = (self.size_bytes, self.batches, self.shed_batches, self.shed_touchpoints)
        declared = list(self._burned)
        self._shed_now.clear()
        first_seq = self.epoch.next_seq
        rows: list[Row] = []
        try:
            with transaction(self._connection(), self.path):
                self._delete(changes.held)
                for priority, touchpoints in by_class(changes.touchpoints):
                    rows += self._add_batches(priority, touchpoints, now_ms)
                rows += self._add_notice(now_ms)
                marked = self._mark(changes.marks, changes.outcomes)
        except BaseException:
            self.size_bytes, self.batches, self.shed_batches, self.shed_touchpoints = counted
            self._burned = declared
            if self.epoch.next_seq > first_seq:
                last = self.epoch.next_seq - 1
                self._burned.append((self.epoch.number, first_seq, last, 0, SHED))
            raise
        self._commits += 1
        kept = [row for row in rows if row.id not in self._shed_now]
        return Committed(kept, marked)

    def _add_batches(
        self, priority: int, touchpoints: Sequence[Touchpoint], now_ms: int
    ) -> list[Row]:
        prompting = any(PROMPTING.get(touchpoint.code, False) for touchpoint in touchpoints)
        rows = []
        for kind, plaintext, count in encode(touchpoints):
            seq, message = self.epoch.seal(kind, plaintext)
            self._make_room(priority, len(message))
            row = Row(row_id(self.epoch.number, seq), prompting, now_ms, message)
            rows.append(self._add(row, priority, count))
        return rows

    def _add(self, row: Row, priority: int, count: int) -> Row:
        self._connection().execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                priority,
                int(row.prompting),
                count,
                row.sealed_ms,
                zlib.crc32(row.message),
                row.message,
            ),
        )
        self.size_bytes += len(row.message) + _ROW_OVERHEAD_BYTES
        self.batches += 1
        return row

    def _add_notice(self, now_ms: int) -> list[Row]:
        if not self._burned:
            return []
        notice, self._burned = _merged(self._burned), []
        damaged = [gap for gap in notice if gap[4] == CORRUPT]
        self._delete((epoch, first, last) for epoch, first, last, _, _ in damaged)
        seq, message = self.epoch.seal(seal.NOTICE, encode_notice(notice))
        return [self._add(Row(row_id(self.epoch.number, seq), False, now_ms, message), CONTROL, 0)]

    def _make_room(self, priority: int, size: int) -> None:
        """Shed the oldest of the least precious, but nothing more precious than `priority`."""
        missing = self.size_bytes + size + _ROW_OVERHEAD_BYTES - self._max_bytes
        if missing <= 0:
            return
        for victim in range(SIGHTINGS, max(priority, CONTROL + 1) - 1, -1):
            while missing > 0:
                found = list(
                    self._connection().execute(
                        "SELECT id, length(message), touchpoints FROM batches"
                        " WHERE class = ? ORDER BY id LIMIT 32",
                        (victim,),
                    )
                )
                if not found:
                    break
                missing -= self._shed(victim, found)
        if missing > 0:
            raise OutboxFullError(
                f"{self.path}: full of more precious batches ({self._max_bytes} bytes)"
            )

    def _shed(self, victim: int, found: Iterable[tuple[int, int, int]]) -> int:
        freed = 0
        for id_, size, touchpoints in found:
            epoch, seq = id_ >> 16, id_ & 0xFFFF
            self._delete([(epoch, seq, seq)])
            self._burned.append((epoch, seq, seq, touchpoints, SHED))
            self._shed_now.add(id_)
            self.shed_batches += 1
            self.shed_touchpoints += touchpoints
            freed += size + _ROW_OVERHEAD_BYTES
        log.warning("outbox full: %s shed, and declared upstream", CLASS_NAMES[victim])
        return freed

    def _give_up(self, epoch: int, seq: int) -> None:
        gap = (epoch, seq, seq, 0, CORRUPT)
        if gap not in self._burned:
            log.error("outbox: batch (%d, %d) is damaged on disk and is given up", epoch, seq)
            self._burned.append(gap)

    def _delete(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        database = self._connection()
        for epoch, first, last in ranges:
            between = (row_id(epoch, first), row_id(epoch, last))
            for count, size in database.execute(
                "SELECT count(*), coalesce(sum(length(message)), 0) FROM batches"
                " WHERE id BETWEEN ? AND ?",
                between,
            ):
                if count:
                    self.batches -= count
                    self.size_bytes -= size + count * _ROW_OVERHEAD_BYTES
            database.execute("DELETE FROM batches WHERE id BETWEEN ? AND ?", between)

    def _mark(self, marks: Iterable[tuple[int, str, str]], outcomes: Iterable[int]) -> set[int]:
        database = self._connection()
        marked = set()
        for id_, offer, surface in marks:
            if not list(database.execute("SELECT 1 FROM prompts WHERE id = ?", (id_,))):
                database.execute(
                    "INSERT INTO prompts (id, state, offer, surface) VALUES (?, 0, ?, ?)",
                    (id_, offer, surface),
                )
                marked.add(id_)
        for id_ in outcomes:
            database.execute("UPDATE prompts SET state = 1 WHERE id = ?", (id_,))
        if marked:
            database.execute(
                "DELETE FROM prompts WHERE state = 1 AND place <="
                " (SELECT max(place) FROM prompts) - ?",
                (_KEPT_PROMPTS,),
            )
        return marked

    # Files and epochs

    def _connection(self) -> Connection:
        if self._database is None:
            raise RuntimeError("the outbox is not open")
        return self._database

    def _connect(self) -> None:
        with translated(self.path):
            database = self._database = self._open_database(self.path)
        configure(database, self.path)
        with translated(self.path):
            for row in database.execute("PRAGMA quick_check(1)"):
                if row[0] != "ok":
                    raise CorruptError(f"{self.path}: the file is damaged")
        with transaction(database, self.path):
            for statement in _SCHEMA:
                database.execute(statement)
        self.path.chmod(0o600)
        with translated(self.path):
            for count, size in database.execute(
                "SELECT count(*), coalesce(sum(length(message)), 0) FROM batches"
            ):
                self.batches, self.size_bytes = count, size + count * _ROW_OVERHEAD_BYTES

    def _set_aside(self, error: CorruptError) -> None:
        """Keep the damaged file for a repairer, under another name; a few of them at most."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):  # the file is lost either way
                database.close()
        aside = set_aside(self.path)
        self.size_bytes = self.batches = 0
        log.error("%s; it is kept as %s, and the device goes on with a new outbox", error, aside)

    def open_epoch(self, now_ms: int) -> Row:
        """Step the chain and commit the epoch's hello, which names the older epochs still held.

        Raises StorageError: then the epoch before, if any, is still the open one.
        """
        database = self._connection()
        epoch = Epoch(self._slots, self._suite)
        with translated(self.path):
            held = [
                (row[0], row[1])
                for row in database.execute(
                    "SELECT id >> 16, max(id & 65535) FROM batches GROUP BY id >> 16 ORDER BY 1"
                )
            ]
        # The next hello tells the bridge all that notices of an older epoch would have.
        self._burned = [gap for gap in self._burned if gap[0] in {number for number, _ in held}]
        hello = Hello(now_ms, self._agent, held_runs(held))
        _, message = epoch.seal(seal.HELLO, encode_hello(hello))
        with transaction(database, self.path):
            row = self._add(Row(row_id(epoch.number, 0), False, now_ms, message), CONTROL, 0)
        # Only now: a batch of an epoch without a stored hello could never be delivered.
        self._epoch = epoch
        return row


def _merged(gaps: list[tuple[int, int, int, int, int]]) -> list[tuple[int, int, int, int, int]]:
    """Neighbouring gaps of one reason as one."""
    merged: list[tuple[int, int, int, int, int]] = []
    for epoch, first, last, count, reason in sorted(gaps):
        if merged:
            before = merged[-1]
            if before[0] == epoch and before[2] + 1 == first and before[4] == reason:
                merged[-1] = (epoch, before[1], last, before[3] + count, reason)
                continue
        merged.append((epoch, first, last, count, reason))
    return merged
