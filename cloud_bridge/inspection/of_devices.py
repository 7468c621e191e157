"""Each device as registry, cursors and log know it together."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cloud_bridge.holding import missing_in
from cloud_bridge.inspection.counting import DeviceSums
from cloud_bridge.inspection.facts import DeviceFacts, EpochFacts, GivenUp
from cloud_bridge.inspection.of_store import KnownEpoch, OfDevices, Recent
from cloud_bridge.inspection.reading import typed
from cloud_bridge.receiving import GAP_REASONS
from edge_sdk.adapters.sqlite import Connection
from edge_sdk.wire.control import ControlError, decode_notice

_ENROLLED = int, str, str, str, str, int, int, int

NEW, IN_USE, REVOKED = "new", "in use", "revoked"
WITHOUT_KEY, NOT_ENROLLED = "without key", "not enrolled"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A row of the registry, without its key."""

    number: int
    site: str
    name: str
    surface: str
    zone: str
    generation: int
    revoked: bool
    has_root_key: bool


def enrolled(database: Connection) -> dict[int, Enrolled]:
    """All that the registry has. Raises sqlite3's errors."""
    sql = (
        "SELECT number, site, name, surface, zone, generation, revoked, root_key IS NOT NULL"
        " FROM devices"
    )
    return {row[0]: Enrolled(*typed(row, _ENROLLED)) for row in database.execute(sql)}


def devices_found(
    registry: dict[int, Enrolled] | None, of: OfDevices, at_ms: int, device: int | None
) -> tuple[DeviceFacts, ...]:
    """All devices, or the one that is asked for with its details; none: it is unknown.

    `registry` None: it could not be read, so that the store alone is asked. `at_ms`: the moment
    for which it is told how long something has lasted.
    """
    numbers = {*(registry or ()), *of.known}
    if device is not None:
        numbers &= {device}
    return tuple(
        _device(number, registry, of, at_ms, device is not None) for number in sorted(numbers)
    )


def _device(
    number: int, registry: dict[int, Enrolled] | None, of: OfDevices, at_ms: int, details: bool
) -> DeviceFacts:
    entry = (registry or {}).get(number)
    known = of.known.get(number)
    epochs = sorted(of.epochs.get(number, []), key=lambda epoch: epoch.epoch)
    recent = of.recent.get(number, [])
    given_up = _given_up(of.given_up.get(number, []))
    missing = [(e.epoch, *gap) for e in epochs for gap in missing_in(e.state)]
    pause_ms, span_ms = _habit(recent)
    batches, touchpoints, heard_ms = _sums(number, epochs, recent, of)
    by_reason: Counter[str] = Counter()
    for given in given_up:
        by_reason[given.reason] += given.batches
    return DeviceFacts(
        device=number,
        site=entry.site if entry else "",
        name=entry.name if entry else "",
        surface=entry.surface if entry else "",
        zone=entry.zone if entry else "",
        state=_state(entry, known, registry is None),
        newest_epoch=known[1] - 1 if known and known[1] else None,
        epochs_open=len(epochs),
        counted="open epochs" if of.sums is None else "log",
        batches=batches,
        touchpoints=touchpoints,
        heard_ms=heard_ms or None,
        pause_ms=pause_ms,
        span_ms=span_ms,
        missing=sum(last - first + 1 for _, first, last in missing),
        missing_ms=_missing_for(missing, recent, known, at_ms),
        given_up=dict(sorted(by_reason.items())),
        set_aside=of.set_aside.get(number, 0),
        clock_ms=next((e.clock_ms for e in reversed(epochs) if e.clock_ms is not None), None),
        epochs=tuple(map(_epoch, epochs)) if details else (),
        given_up_ranges=tuple(given_up) if details else (),
    )


def _sums(
    number: int, epochs: Sequence[KnownEpoch], recent: Sequence[Recent], of: OfDevices
) -> tuple[int, int, int]:
    """(batches, touchpoints, when it was last heard of; 0: never)."""
    heard = [epoch.received_ms for epoch in epochs] + [row.received_ms for row in recent]
    heard_ms = max(heard, default=0)
    if of.sums is None:
        return sum(e.batches for e in epochs), sum(e.touchpoints for e in epochs), heard_ms
    sums = of.sums.get(number, DeviceSums())
    return sums.batches, sums.touchpoints, max(heard_ms, sums.heard_ms)


def _state(entry: Enrolled | None, known: tuple[int, int] | None, registry_unread: bool) -> str:
    if entry is None:
        return IN_USE if registry_unread else NOT_ENROLLED
    if entry.revoked:
        return REVOKED
    if entry.has_root_key:
        return NEW
    return IN_USE if known is not None and known[0] == entry.generation else WITHOUT_KEY


def _epoch(known: KnownEpoch) -> EpochFacts:
    return EpochFacts(
        known.epoch,
        known.batches,
        known.touchpoints,
        known.received_ms or None,
        known.clock_ms,
        tuple(missing_in(known.state)),
    )


def _habit(recent: Sequence[Recent]) -> tuple[int | None, int]:
    """(its longest pause, how long it was watched), in milliseconds."""
    times = sorted(row.received_ms for row in recent)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    return (max(pauses), times[-1] - times[0]) if pauses else (None, 0)


def _missing_for(
    missing: Sequence[tuple[int, int, int]],
    recent: Sequence[Recent],
    known: tuple[int, int] | None,
    at_ms: int,
) -> int:
    """For how long at least the oldest gap has been open: since something behind it came."""
    if not missing or known is None:
        return 0
    behind = sorted(
        ((row.epoch, row.seq), row.received_ms) for row in recent if row.generation == known[0]
    )
    since = [received_ms for _, received_ms in behind]
    for at in range(len(since) - 2, -1, -1):
        since[at] = min(since[at], since[at + 1])
    places = [place for place, _ in behind]
    longest = 0
    for epoch, _, last in missing:
        at = bisect_right(places, (epoch, last))
        if at < len(since):
            longest = max(longest, at_ms - since[at])
    return longest


def _given_up(rows: Sequence[tuple[int, bytes]]) -> list[GivenUp]:
    found: list[GivenUp] = []
    for received_ms, body in rows:
        try:
            ranges = decode_notice(body)
        except ControlError:
            continue  # a damaged row: its batches are not counted
        for epoch, first, last, batches, reason in ranges:
            name = GAP_REASONS[reason] if reason < len(GAP_REASONS) else f"reason_{reason}"
            found.append(GivenUp(epoch, first, last, batches, name, received_ms))
    return found
