"""What a tenant's store holds, from a connection that can only read."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any

from cloud_bridge.inspection import counting
from cloud_bridge.inspection.counting import LogSums, Progress
from cloud_bridge.inspection.facts import (
    DiskFacts,
    LogFacts,
    PromptFacts,
    RowFacts,
    SnapshotFacts,
    StoreFacts,
    VaultFacts,
)
from cloud_bridge.inspection.reading import size_of, typed
from cloud_bridge.restoring import trouble_of
from cloud_bridge.schemes import KIND_BITS
from cloud_bridge.sqlite_schema import GIVEN_UP, VERSION
from cloud_bridge.store import BATCH, DECISION, GAPS, JOIN, WAITING, Marks
from edge_sdk.adapters.sqlite import Connection
from edge_sdk.errors import ConfigError, CorruptError, StorageError

# What devices did lately is read from so many of the newest rows.
RECENT_ROWS = 20_000
# Rows about what never came that are read; older ones only by a full count.
GIVEN_UP_ROWS = 10_000
# How far back one device's rows are looked for.
_FAR_ROWS = 200_000
_EPOCH = int, int, (int, NoneType), int, int, int, bytes
_RECENT = int, int, int, int, int
_ROW = int, int, str, (int, NoneType), int, int, int, int, int, int
_KINDS: dict[object, str] = {BATCH: "batch", GAPS: "gaps", DECISION: "decision", JOIN: "join"}


def _no_progress(_done: float) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator wants to know.

    device     this one alone, with its epochs and gaps
    log_rows   so many of the newest rows of the log
    full       count what would be reckoned, and check the whole file
    """

    device: int | None = None
    log_rows: int = 0
    full: bool = False
    progress: Progress = _no_progress


@dataclass(frozen=True, slots=True)
class KnownEpoch:
    """A row of `epochs`; of its state, what can be known without a key."""

    epoch: int
    clock_ms: int | None
    batches: int
    touchpoints: int
    received_ms: int
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recent:
    """A newest row of the log that came from a device."""

    generation: int
    epoch: int
    seq: int
    received_ms: int


@dataclass(slots=True)
class OfDevices:
    """What a store knows of its devices, by their numbers.

    `known`: (generation, next_epoch). `given_up`: (received_ms, body of a GAPS row).
    """

    known: dict[int, tuple[int, int]] = field(default_factory=dict)
    epochs: dict[int, list[KnownEpoch]] = field(default_factory=dict)
    recent: dict[int, list[Recent]] = field(default_factory=dict)
    given_up: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    set_aside: dict[int, int] = field(default_factory=dict)
    sums: dict[int, counting.DeviceSums] | None = None


Found = tuple[StoreFacts, OfDevices, tuple[RowFacts, ...]]


def store_found(database: Connection, path: Path, now_ms: int, asked: Asked) -> Found | None:
    """What there is; None: no bridge has begun it.

    Raises ConfigError for a file that is none of ours or of another version, StorageError and its
    children, sqlite3's errors.
    """
    if not asked.full:  # all of one moment; a bridge's checkpoints can wait for as long as that
        database.execute("BEGIN")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return None
    meta = _meta(database, tables, path)
    if asked.full:
        _check(database, path)
    # Each by itself is one step down the tree; asked for together SQLite walks through all rows.
    [(first, last)] = database.execute(
        "SELECT coalesce((SELECT min(id) FROM log), 0), coalesce((SELECT max(id) FROM log), 0)"
    )
    sums = (
        counting.full_log_sums(database, first, last, asked.progress)
        if asked.full
        else counting.log_sums(database, first, last)
    )
    given_up_since = _given_up_since(database, GIVEN_UP in tables, first, last, asked.full)
    hint = f"INDEXED BY {GIVEN_UP}" if GIVEN_UP in tables else ""
    of_devices = _of_devices(database, last, given_up_since, hint, asked)
    of_devices.sums = sums.by_device if asked.full else None
    facts = StoreFacts(
        tenant=str(meta["tenant"]),
        term=meta["term"],
        log=_log(database, first, last, meta["pruned_to"], sums),
        disk=_disk(database, path),
        snapshot=_snapshot(database, first, last, meta, asked.full),
        vault=_vault(database, meta, asked.full),
        prompts=_prompts(database, now_ms, asked.full),
        collected=counting.collected(database, first, last, asked.full),
        set_aside=sum(of_devices.set_aside.values()),
        given_up_since=given_up_since,
    )
    return facts, of_devices, _rows(database, last, asked)


def _meta(database: Connection, tables: set[str], path: Path) -> dict[str, Any]:
    if not {"meta", "log", "epochs"} <= tables:
        raise ConfigError(f"{path}: not the store of a bridge")
    # The pepper stays where it is.
    meta = dict(database.execute("SELECT name, value FROM meta WHERE name <> 'pepper'"))
    if meta.get("version") != VERSION:
        raise ConfigError(
            f"{path}: written by another version of the bridge ({meta.get('version')}, this one"
            f" reads {VERSION}); inspect it with that one"
        )
    numbers = ("term", "pruned_to", "watermark", "snapshot", "next_number")
    if not all(isinstance(meta.get(name), int) for name in numbers):
        raise CorruptError(f"{path}: its marks are damaged")
    return meta


def _check(database: Connection, path: Path) -> None:
    """Read every page. Raises CorruptError."""
    if [row[0] for row in database.execute("PRAGMA quick_check(1)")] != ["ok"]:
        raise CorruptError(f"{path}: the file is damaged")


def _log(database: Connection, first: int, last: int, pruned_to: int, sums: LogSums) -> LogFacts:
    sql = "SELECT id, received_ms FROM log WHERE id IN (?, ?)"
    found = database.execute(sql, (first, last))
    received: dict[int, int] = {row[0]: typed(row, (int, int))[1] for row in found}
    rows = last - first + 1 if last else 0
    return LogFacts(
        rows,
        first,
        last,
        pruned_to,
        received.get(first),
        received.get(last),
        sums.touchpoints,
        sums.body_bytes,
    )


def _disk(database: Connection, path: Path) -> DiskFacts:
    [(page_bytes,)] = database.execute("PRAGMA page_size")
    [(unused,)] = database.execute("PRAGMA freelist_count")
    try:
        disk = shutil.disk_usage(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: the disk does not answer ({error.strerror})") from error
    return DiskFacts(
        size_of(path), page_bytes * unused, size_of(path, "-wal"), disk.free, disk.total
    )


def _next_number(database: Connection, meta: dict[str, Any]) -> int:
    [(highest,)] = database.execute("SELECT coalesce(max(handle), 0) FROM vault")
    return int(max((highest >> KIND_BITS) + 1, meta["next_number"]))


def _snapshot(
    database: Connection, first: int, last: int, meta: dict[str, Any], full: bool
) -> SnapshotFacts:
    watermark, pruned_to = meta["watermark"], meta["pruned_to"]
    marks = Marks(
        first, max(last, pruned_to), pruned_to, watermark, meta["snapshot"], 1, pepper=b""
    )
    begin = max(first, watermark + 1)
    tail = counting.log_sums(database, begin, last)
    return SnapshotFacts(
        meta["snapshot"],
        watermark,
        counting.handles(database, "subjects", _next_number(database, meta), full),
        max(0, last - begin + 1) if last else 0,
        tail.touchpoints,
        tail.since_ms,
        trouble_of(marks),
    )


def _vault(database: Connection, meta: dict[str, Any], full: bool) -> VaultFacts:
    next_number = _next_number(database, meta)
    [(erased,)] = database.execute("SELECT count(*) FROM erased")
    return VaultFacts(
        counting.handles(database, "vault", next_number, full),
        next_number - 1,
        erased,
        meta.get("scrubbed_to", 0) if erased else 0,
        meta.get("scrub_end", 0) if erased else 0,
    )


def _prompts(database: Connection, now_ms: int, full: bool) -> PromptFacts:
    sql = (
        "SELECT count(*), coalesce(sum(expires_ms < ?), 0) FROM prompts"  # noqa: S608  ours
        f" WHERE state = '{WAITING}'"
    )
    [(waiting, overdue)] = database.execute(sql, (now_ms,))
    return PromptFacts(waiting, overdue, *counting.settled(database, WAITING, full))


def _given_up_since(
    database: Connection, has_index: bool, first: int, last: int, full: bool
) -> int:
    """From which row of the log on the rows about what never came are read."""
    if full:
        return first
    if not has_index:  # a store that was made by an earlier build
        return max(first, last - RECENT_ROWS + 1)
    sql = (
        f"SELECT id FROM log INDEXED BY {GIVEN_UP} WHERE kind = {GAPS}"  # noqa: S608  ours
        " ORDER BY id DESC LIMIT 1 OFFSET ?"
    )
    oldest = list(database.execute(sql, (GIVEN_UP_ROWS - 1,)))
    return int(oldest[0][0]) if oldest else first


def _of_devices(
    database: Connection, last: int, given_up_since: int, hint: str, asked: Asked
) -> OfDevices:
    """Of one device, where one is asked for."""
    of = OfDevices()
    which = "" if asked.device is None else f" AND device = {int(asked.device)}"
    sql = f"SELECT device, generation, next_epoch FROM devices WHERE 1{which}"  # noqa: S608  ours
    for row in database.execute(sql):
        device, generation, next_epoch = typed(row, (int, int, int))
        of.known[device] = generation, next_epoch
    columns = "device, epoch, clock_ms, batches, touchpoints, received_ms, state"
    for row in database.execute(f"SELECT {columns} FROM epochs WHERE 1{which}"):  # noqa: S608
        device, *values = typed(row, _EPOCH)
        of.epochs.setdefault(device, []).append(KnownEpoch(*values))
    sql = (
        "SELECT device, generation, epoch, seq, received_ms FROM log"  # noqa: S608  ours
        f" WHERE id > ? AND device IS NOT NULL{which}"
    )
    for row in database.execute(sql, (last - RECENT_ROWS,)):
        device, *values = typed(row, _RECENT)
        of.recent.setdefault(device, []).append(Recent(*values))
    sql = (
        f"SELECT device, received_ms, body FROM log {hint}"  # noqa: S608  ours
        f" WHERE kind = {GAPS} AND device IS NOT NULL AND id >= ?{which} ORDER BY id"
    )
    for row in database.execute(sql, (given_up_since,)):
        device, received_ms, body = typed(row, (int, int, bytes))
        of.given_up.setdefault(device, []).append((received_ms, body))
    sql = f"SELECT device, count(*) FROM set_aside WHERE 1{which} GROUP BY device"  # noqa: S608
    of.set_aside.update(database.execute(sql))
    return of


def _rows(database: Connection, last: int, asked: Asked) -> tuple[RowFacts, ...]:
    if not asked.log_rows:
        return ()
    sql = (
        "SELECT id, received_ms, site, device, epoch, seq, kind, touchpoints, length(body),"
        " offset_ms FROM log WHERE id > ? AND device IS coalesce(?, device)"
        " ORDER BY id DESC LIMIT ?"
    )
    after = 0 if asked.device is None else last - _FAR_ROWS
    found = database.execute(sql, (after, asked.device, asked.log_rows))
    rows = [RowFacts(*typed(row, _ROW)) for row in found]
    return tuple(replace(row, kind=_KINDS.get(row.kind, f"kind {row.kind}")) for row in rows)
