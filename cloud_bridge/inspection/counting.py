"""How much there is, told at once even of a big store: few rows are counted, many are sampled.

Rows of the log are numbered without holes, and so are handles but for those that were destroyed: a
number drawn is a row, or tells that there is none. SQLite finds one row among millions by a few
pages, and reads of a long row only what is asked for.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import NoneType

from cloud_bridge.inspection.facts import Count
from cloud_bridge.inspection.reading import typed
from cloud_bridge.schemes import KIND_BITS
from edge_sdk.adapters.sqlite import Connection

# So many rows are counted one by one, in some milliseconds; of more, so many are looked at.
EXACT_ROWS = 20_000
SAMPLES = 2_000
# A full count goes in steps, so that a bridge never waits for the end of a long reading.
_STEP_ROWS = 50_000

_SUMS = (int, NoneType), int, int, int, int

# Is told how much of a full count is done, 0 to 1.
Progress = Callable[[float], None]


@dataclass(slots=True)
class DeviceSums:
    """What the log holds of one device."""

    batches: int = 0
    touchpoints: int = 0
    heard_ms: int = 0


@dataclass(slots=True)
class LogSums:
    """What some rows of the log hold; `by_device` after a full count alone.

    `since_ms`: when the first of them that has touchpoints was received.
    """

    touchpoints: Count
    body_bytes: Count
    since_ms: int | None = None
    by_device: dict[int, DeviceSums] = field(default_factory=dict)


def log_sums(database: Connection, first: int, last: int) -> LogSums:
    """Of the rows `first` to `last`."""
    rows = max(0, last - first + 1)
    if rows > EXACT_ROWS:
        return _sampled(database, first, rows)
    sql = (
        "SELECT coalesce(sum(touchpoints), 0), coalesce(sum(length(body)), 0),"
        " min(CASE WHEN touchpoints > 0 THEN received_ms END) FROM log WHERE id BETWEEN ? AND ?"
    )
    [row] = database.execute(sql, (first, last))
    touchpoints, body_bytes, since_ms = typed(row, (int, int, (int, NoneType)))
    return LogSums(Count(touchpoints), Count(body_bytes), since_ms)


def _sampled(database: Connection, first: int, rows: int) -> LogSums:
    sql = "SELECT touchpoints, length(body), received_ms FROM log WHERE id = ?"
    touchpoints = body_bytes = 0
    since_ms: int | None = None
    for id_ in samples(first, rows):
        for row in database.execute(sql, (id_,)):
            row_touchpoints, row_bytes, received_ms = typed(row, (int, int, int))
            touchpoints += row_touchpoints
            body_bytes += row_bytes
            if row_touchpoints and since_ms is None:
                since_ms = received_ms
    return LogSums(
        _scaled(touchpoints, rows, SAMPLES), _scaled(body_bytes, rows, SAMPLES), since_ms
    )


def full_log_sums(database: Connection, first: int, last: int, progress: Progress) -> LogSums:
    """Of the rows `first` to `last`, all looked at: minutes, where there are many millions."""
    sql = (
        "SELECT device, count(*) FILTER (WHERE touchpoints > 0), sum(touchpoints),"
        " sum(length(body)), max(received_ms) FROM log WHERE id BETWEEN ? AND ? GROUP BY device"
    )
    touchpoints = body_bytes = 0
    by_device: dict[int, DeviceSums] = {}
    for start in range(first, last + 1, _STEP_ROWS):
        progress((start - first) / (last - first + 1))
        found = database.execute(sql, (start, min(last, start + _STEP_ROWS - 1)))
        for row in found:
            device, batches, some, some_bytes, heard_ms = typed(row, _SUMS)
            touchpoints += some
            body_bytes += some_bytes
            if device is not None:
                sums = by_device.setdefault(device, DeviceSums())
                sums.batches += batches
                sums.touchpoints += some
                sums.heard_ms = max(sums.heard_ms, heard_ms)
    return LogSums(Count(touchpoints), Count(body_bytes), by_device=by_device)


def handles(database: Connection, table: str, next_number: int, full: bool) -> Count:
    """Rows of a table that has at most one for each handle, but for handle 0."""
    count = _few(database, f"{table} WHERE handle > 0", full)
    if count is not None:
        return Count(count)
    sql = f"SELECT count(*) FROM {table} WHERE handle BETWEEN ? AND ?"  # noqa: S608  ours
    found = 0
    for number in samples(1, next_number - 1):
        lowest = number << KIND_BITS
        [(there,)] = database.execute(sql, (lowest, lowest + (1 << KIND_BITS) - 1))
        found += there
    return _scaled(found, next_number - 1, SAMPLES)


def collected(database: Connection, first: int, last: int, full: bool) -> Count:
    """Keys of web bodies that the log holds."""
    count = _few(database, "collected", full)
    if count is not None:
        return Count(count)
    sql = "SELECT count(*) FROM collected WHERE log_id = ?"
    found = 0
    for id_ in samples(first, last - first + 1):
        [(there,)] = database.execute(sql, (id_,))
        found += there
    return _scaled(found, last - first + 1, SAMPLES)


def settled(database: Connection, waiting_state: str, full: bool) -> tuple[Count, dict[str, int]]:
    """Prompts that have an outcome: how many, and of each."""
    # The index has all that is asked for here, in a few bytes a prompt.
    [(total,)] = database.execute(
        f"SELECT count(*) FROM prompts WHERE state <> '{waiting_state}'"  # noqa: S608  ours
    )
    # A prompt's id is a digest, so the first ones are as good a sample as any.
    limit = -1 if full else EXACT_ROWS
    sql = (
        "SELECT state, count(*) FROM (SELECT state FROM prompts ORDER BY id LIMIT ?)"
        " WHERE state <> ? GROUP BY state ORDER BY state"
    )
    by_state = dict(database.execute(sql, (limit, waiting_state)))
    seen = sum(by_state.values())
    if seen < total:
        by_state = {state: round(n * total / seen) for state, n in by_state.items()}
    return Count(total, seen >= total), by_state


def samples(first: int, rows: int) -> list[int]:
    """SAMPLES numbers among `rows` numbers from `first` on: one by lot of each equal part.

    At even distances they would meet the same device each time, where devices take turns.
    """
    lot = random.Random(rows)
    bounds = [first + at * rows // SAMPLES for at in range(SAMPLES + 1)]
    return [lot.randrange(low, high) for low, high in pairwise(bounds)]


def _few(database: Connection, rows: str, full: bool) -> int | None:
    """How many rows there are, unless they are too many to be counted now."""
    limit = -1 if full else EXACT_ROWS + 1
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {limit})"  # noqa: S608  ours
    [(count,)] = database.execute(sql)
    return None if count > EXACT_ROWS and not full else int(count)


def _scaled(found: int, of: int, looked_at: int) -> Count:
    return Count(round(found * of / looked_at), exact=False)
