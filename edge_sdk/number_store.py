"""A store's numbers on disk: what is shown is committed, and survives a power cut.

One file of one sub-pool. Each operation is one transaction (WAL, synchronous FULL), done before the
answer is given; one that cannot be committed was not done. The file belongs to the place where it
lies: a copy that is opened elsewhere is another file to the bridge, and lends nothing of what the
first was given (docs/decisions/0030-blocks-come-back-by-hand.md).
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path

from edge_sdk import touchpoints
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
from edge_sdk.errors import CorruptError, StorageError
from edge_sdk.numbers.blocks import Block, Reply, Report
from edge_sdk.numbers.lease import SESSION, Lease
from edge_sdk.numbers.ledger_rows import DOUBTFUL, Counters, Done, NumberRow
from edge_sdk.numbers.lending import FreeNumbers
from edge_sdk.numbers.sub_pool import FileRow, SubPool, SubRows
from edge_sdk.numbers.terms import Terms
from edge_sdk.wire.touchpoint import Touchpoint

log = logging.getLogger(__name__)

FILE_NAME = "numbers.sqlite"
_MACHINE_ID = Path("/etc/machine-id")
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS file (one INTEGER PRIMARY KEY CHECK (one = 1), place TEXT NOT NULL,"
    " row TEXT NOT NULL, counters TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS blocks (id INTEGER PRIMARY KEY, row TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS numbers (number TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, told INTEGER NOT NULL,"
    " row TEXT NOT NULL) WITHOUT ROWID",
    "PRAGMA user_version = 1",
)


def place_of(path: Path) -> str:
    """What tells a file from its copies: the machine, and the file within its file system."""
    try:
        machine = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    return hashlib.sha256(f"{machine} {path.stat().st_ino}".encode()).hexdigest()[:32]


class NumberStore:
    """`open`, then operations from one thread, then `close`. `free` makes an empty order."""

    def __init__(
        self,
        home: Path,
        free: Callable[[], FreeNumbers],
        *,
        tenant: str,
        site: str,
        pool: str,
        open_database: OpenConnection = open_connection,
        place: Callable[[Path], str] = place_of,
    ) -> None:
        self.path = home / FILE_NAME
        self.copied = False  # the file was found to be a copy, and began anew
        self._free = free
        self._names = {"tenant": tenant, "site": site, "pool": pool}
        self._open_database = open_database
        self._place = place
        self._database: Connection | None = None
        self._sub_pool: SubPool | None = None
        self._commits = 0  # since the last checkpoint

    @property
    def sub_pool(self) -> SubPool:
        """What is lent, to look at; operations go through this store."""
        if self._sub_pool is None:
            raise RuntimeError("the numbers are not open")
        return self._sub_pool

    def open(self, now_ms: int) -> None:
        """Open or create the file.

        Raises CorruptError where it is damaged: nobody but it knows what is lent, so it is not set
        aside by itself. An operator removes it and has its blocks written off. Raises StorageError
        where another process is the owner.
        """
        create_private(self.path)
        self._database = database = self._open_database(self.path)
        configure(database, self.path)
        place = self._place(self.path)
        with transaction(database, self.path):
            for statement in _SCHEMA:
                database.execute(statement)
            found = list(database.execute("SELECT place FROM file"))
        if not found:
            self._begin(place)
        self._load()
        if found and found[0][0] != place:
            log.warning("%s is a copy, or was moved: it lends nothing of its blocks", self.path)
            self._begin_anew(now_ms, place)

    def close(self) -> None:
        database, self._database, self._sub_pool = self._database, None, None
        if database is not None:
            with translated(self.path):
                database.close()

    # Operations; each raises StorageError, and was not done then

    def lend(
        self, holder: str, now_ms: int, *, kind: str = SESSION, intent: float | None = None
    ) -> Done:
        """As `SubPool.lend`, committed."""
        return self._kept(self.sub_pool.lend(holder, now_ms, kind=kind, intent=intent))

    def heartbeat(self, lease_id: str, now_ms: int) -> Done:
        """As `SubPool.heartbeat`, committed."""
        return self._kept(self.sub_pool.heartbeat(lease_id, now_ms))

    def release(self, lease_id: str, now_ms: int) -> Done:
        """As `SubPool.release`, committed."""
        return self._kept(self.sub_pool.release(lease_id, now_ms))

    def erase(self, holder: str, now_ms: int) -> Done:
        """As `SubPool.erase`, committed."""
        return self._kept(self.sub_pool.erase(holder, now_ms))

    def tick(self, now_ms: int) -> Done:
        """As `SubPool.tick`, committed."""
        return self._kept(self.sub_pool.tick(now_ms))

    def hand_back(
        self, now_ms: int, *, block: int | None = None, numbers: Iterable[str] = ()
    ) -> Done:
        """As `SubPool.hand_back`, committed."""
        return self._kept(self.sub_pool.hand_back(now_ms, block=block, numbers=numbers))

    def report(self, now_ms: int, *, wants: int = 0) -> tuple[Done, Report | None]:
        """As `SubPool.report`, committed: it may be sent."""
        done, report = self.sub_pool.report(now_ms, wants=wants)
        return self._kept(done), report

    def receive(self, reply: Reply, now_ms: int) -> Done:
        """As `SubPool.receive`, committed. A file that turns out to be a copy begins anew."""
        done = self._kept(self.sub_pool.receive(reply, now_ms))
        if done.refused == DOUBTFUL:
            log.warning("%s has a copy, or was put back: it lends nothing of its blocks", self.path)
            self._begin_anew(now_ms, self._place(self.path))
        return done

    @property
    def wants_checkpoint(self) -> bool:
        """Whether `checkpoint` should be called when nothing waits."""
        return self._commits >= CHECKPOINT_EVERY

    def checkpoint(self) -> None:
        """Copy SQLite's log into its file."""
        self._commits = 0
        checkpoint(self._connection(), self.path)

    # Within

    def _connection(self) -> Connection:
        if self._database is None:
            raise RuntimeError("the numbers are not open")
        return self._database

    def _kept(self, done: Done) -> Done:
        changes = done.changes
        assert isinstance(changes, SubRows)
        if not changes:
            return done
        try:
            with transaction(self._connection(), self.path):
                self._write(changes)
        except StorageError:
            self._load()  # memory is as the file is: the operation was not done
            raise
        self._commits += 1
        return done

    def _begin(self, place: str) -> None:
        file = json.dumps(astuple(FileRow(secrets.token_hex(8))))
        counters = json.dumps(astuple(Counters()))
        database = self._connection()
        with transaction(database, self.path):
            database.execute("INSERT INTO file VALUES (1, ?, ?, ?)", (place, file, counters))

    def _begin_anew(self, now_ms: int, place: str) -> None:
        done = self.sub_pool.restart(secrets.token_hex(8), now_ms)
        assert isinstance(done.changes, SubRows)
        try:
            with transaction(self._connection(), self.path):
                self._write(done.changes)
                self._connection().execute("UPDATE file SET place = ?", (place,))
        except StorageError:
            self._load()
            raise
        self.copied = True

    def _write(self, rows: SubRows) -> None:
        database = self._connection()
        database.executemany("DELETE FROM leases WHERE id = ?", [(id_,) for id_ in rows.forgotten])
        database.executemany("DELETE FROM numbers WHERE number = ?", [(key,) for key in rows.gone])
        database.executemany("DELETE FROM blocks WHERE id = ?", [(id_,) for id_ in rows.lots_gone])
        put = "INSERT OR REPLACE INTO"
        told = [(id_,) for id_ in rows.told]
        database.executemany("UPDATE leases SET told = 1 WHERE id = ?", told)
        leases = [(lease.id, _json(lease)) for lease in rows.leases]
        database.executemany(f"{put} leases VALUES (?, 0, ?)", leases)
        numbers = [(row.number, _json(row)) for row in rows.numbers]
        database.executemany(f"{put} numbers VALUES (?, ?)", numbers)
        blocks = [(block.id, _json(block)) for block in rows.granted]
        database.executemany(f"{put} blocks VALUES (?, ?)", blocks)
        if rows.file is not None:
            database.execute("UPDATE file SET row = ?", (_json(rows.file),))
        if rows.counters is not None:
            database.execute("UPDATE file SET counters = ?", (_json(rows.counters),))

    def _load(self) -> None:
        database = self._connection()
        with translated(self.path):
            [(file, counters)] = list(database.execute("SELECT row, counters FROM file"))
            numbers = [row for (row,) in database.execute("SELECT row FROM numbers")]
            blocks = [row for (row,) in database.execute("SELECT row FROM blocks")]
            leases = list(database.execute("SELECT id, told, row FROM leases"))
        try:
            rows = SubRows(
                leases=tuple(Lease(*json.loads(row)) for _, _, row in leases),
                numbers=tuple(NumberRow(*json.loads(row)) for row in numbers),
                counters=Counters(*json.loads(counters)),
                file=FileRow(*json.loads(file)),
                granted=tuple(_block(json.loads(row)) for row in blocks),
                told=tuple(id_ for id_, told, _ in leases if told),
            )
            self._sub_pool = SubPool.restored(self._free(), rows, **self._names)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptError(f"{self.path}: the file is damaged") from error


def lease_touchpoints(done: Done, now_ms: int) -> list[Touchpoint]:
    """What an operation did to leases, to be captured: the bridge may read it before a report."""
    return [
        touchpoints.number_lease(
            pool=lease.pool,
            number=lease.number,
            session=lease.holder,
            ttl_ms=max(0, lease.until_ms - now_ms),
            lease=lease.id,
            kind=lease.kind,
            ended=lease.ended_ms is not None,
            at_ms=now_ms if lease.ended_ms is None else lease.ended_ms,
        )
        for lease in done.changes.leases
        if lease.holder
    ]


def _json(row: Lease | NumberRow | Block | FileRow | Counters) -> str:
    return json.dumps(astuple(row), separators=(",", ":"))


def _block(fields: list[object]) -> Block:
    values = dict(zip(Block.__slots__, fields, strict=True))
    values["terms"] = Terms(*values["terms"])  # type: ignore[misc]
    values["numbers"] = tuple(values["numbers"])  # type: ignore[arg-type]
    return Block(**values)  # type: ignore[arg-type]
