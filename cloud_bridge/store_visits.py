"""The visits of one store whose receivers are separate: its presence engine, and what is stored.

The engine counts its visits from 1 at each start; in the log a visit has a number for ever. Which
is which, and how long a visit had lasted before the engine knew of it, is kept here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from cloud_bridge.batch import Batch
from cloud_bridge.schemes import LAST_NOBODY
from cloud_bridge.store import VisitRow
from cloud_bridge.turn import Turn
from edge_sdk.plan_file import StorePlan
from edge_sdk.store_engine import of_summaries
from edge_sdk.wire.touchpoint import CODES, FIELDS, Touchpoint, make

SIGHTING = CODES["sighting"]
ENTER, DWELL, EXIT = CODES["visit.enter"], CODES["visit.dwell"], CODES["visit.exit"]
VISITS = frozenset({ENTER, DWELL, EXIT})
PREFIX = "h:"  # before a handle, where an engine wants an identifier

# A sighting that comes later than this is history: no engine hears it.
LATE_MS = 15_000
TICK_MS = 1_000
MAX_BEACONS = 512
WINDOW_MS = 5_000  # that a receiver sums up

_SPANS = ("dwell_ms", "dwell_low_ms", "dwell_high_ms")


class Engine(Protocol):
    """A presence engine (`edge_sdk.presence.engine`) that hears what receivers have summed up."""

    dropped: dict[str, int]

    def hear_summary(  # noqa: PLR0917  the fields of a sighting, in their order
        self,
        at_ms: int,
        receiver: str,
        beacon: str,
        window_ms: int,
        readings: int,
        rssi_median_dbm: int,
        rssi_spread_db: int,
    ) -> list[Touchpoint]:
        """A sighting: its values in the order of their fields. Nothing that is heard can raise."""
        ...

    def tick(self, at_ms: int) -> list[Touchpoint]: ...


def engine_of(store: StorePlan) -> Engine:
    """The engine that hears a store's sightings. Raises ConfigError: its survey is faulty."""
    return of_summaries(store, WINDOW_MS, MAX_BEACONS)


class StoreVisits:
    """One store: its engine (None: it has no plan any more), and its open visits.

    open    the engine's number of a visit -> what is stored of it
    drafts  what came out of the engine and is not in a turn yet
    fusing  devices that make visits themselves
    ended   handles whose visit has been told to be over, and that nobody has heard since
    """

    def __init__(self, site: str, plan: StorePlan | None) -> None:
        self.site = site
        self.plan = plan
        self.engine = None if plan is None else engine_of(plan)
        self.open: dict[int, VisitRow] = {}
        self.drafts: list[Touchpoint] = []
        self.fusing: set[int] = set()
        self.ended: set[int] = set()
        self.newest_ms = 0
        self._late_ms: dict[int, int] = {}  # an engine that was warmed knows less of a dwell
        self._ended = 0

    def hear(self, batch: Batch, now_ms: int) -> int:
        """Its sightings; how many of them came too late."""
        assert self.engine is not None
        late = 0
        for _, _, at_ms, values in batch.told((SIGHTING,)):
            receiver, beacon, *summary = values
            if now_ms - at_ms > LATE_MS:
                late += 1
            elif beacon is not None and beacon > LAST_NOBODY:
                self.ended.discard(beacon)
                name = f"{PREFIX}{beacon}"
                self._keep(at_ms, self.engine.hear_summary(at_ms, receiver, name, *summary))
        return late

    def pass_time(self, now_ms: int) -> None:
        """All ticks up to now, as they were when it was."""
        for at_ms in range(self.newest_ms + TICK_MS, now_ms, TICK_MS) if self.newest_ms else ():
            self.tick(at_ms)
        self.tick(now_ms)

    def tick(self, now_ms: int) -> None:
        if self.engine is not None:
            self._keep(now_ms, self.engine.tick(now_ms))

    def _keep(self, at_ms: int, told: Sequence[Touchpoint]) -> None:
        # Sightings are facts already, and positions can be had from them.
        self.newest_ms = max(self.newest_ms, at_ms)
        if told:
            self.drafts += [touchpoint for touchpoint in told if touchpoint.code in VISITS]

    def numbered(
        self, draft: Touchpoint, handle: int, number: int, turn: Turn
    ) -> Touchpoint | None:
        """A draft with the number that its visit has in the log; `number` is a new one's.

        What is stored of the visit goes into the turn. None: it is of no open visit.
        """
        visit: int = draft.get("visit")
        if draft.code == ENTER:
            zone = draft.get("zone") or ""
            row = VisitRow(self.site, number, handle, zone, draft.at_ms or 0, 0)
            self.open[visit] = turn.writes.visits[self.site, number] = row
            return _with(draft, visit=number)
        found = self.open.get(visit)
        if found is None:
            return None
        late_ms = self._late_ms.get(visit, 0)
        spans = {name: draft.get(name) for name in _SPANS}
        longer = {name: ms + late_ms for name, ms in spans.items() if ms is not None}
        row = replace(found, dwell_ms=max(found.dwell_ms, longer.get("dwell_ms", 0)))
        if draft.code == EXIT:
            del self.open[visit]
            self._late_ms.pop(visit, None)
            turn.writes.visits[self.site, row.visit] = None
        else:
            self.open[visit] = turn.writes.visits[self.site, row.visit] = row
        return _with(draft, visit=row.visit, **longer)

    def agree(self, rows: Iterable[VisitRow], now_ms: int) -> None:
        """Go on with the stored visits that the warmed engine has as well, and end the others."""
        warm: dict[int, Touchpoint] = {}
        for draft in self.drafts:
            if draft.code == ENTER:
                warm[handle_of(draft)] = draft
            elif draft.code == EXIT:
                warm.pop(handle_of(draft), None)
        self.drafts.clear()
        for handle in self.ended:  # whose end an engine that knew more has seen
            warm.pop(handle, None)
        self.ended.clear()
        for row in rows:
            same = warm.get(row.visitor)
            if same is not None and same.get("zone") == row.zone:
                del warm[row.visitor]
                self.open[same.get("visit")] = row
                late_ms = max(0, (same.at_ms or 0) - row.entered_ms)
                self._late_ms[same.get("visit")] = late_ms
            else:
                self._end(row, now_ms)
        self.drafts += [
            Touchpoint(draft.code, max(draft.at_ms or 0, now_ms), draft.values)
            for draft in warm.values()
        ]

    def follow(self, old: "StoreVisits", now_ms: int) -> None:
        """In the place of another, whose visits end. What it had not said yet, nobody knows of."""
        self.fusing = old.fusing
        for row in old.open.values():
            self._end(row, now_ms)

    def _end(self, row: VisitRow, now_ms: int) -> None:
        self._ended -= 1
        self.open[self._ended] = row
        self.drafts.append(
            make(
                "visit.exit",
                now_ms,
                visit=self._ended,
                visitor=f"{PREFIX}{row.visitor}",
                zone=row.zone,
                dwell_ms=row.dwell_ms,
            )
        )


def _with(draft: Touchpoint, **values: int) -> Touchpoint:
    """The same, but for these."""
    fields = [name for name, _ in FIELDS[draft.code]]
    pairs = zip(fields, draft.values, strict=True)
    return Touchpoint(draft.code, draft.at_ms, tuple(values.get(n, value) for n, value in pairs))


def handle_of(draft: Touchpoint) -> int:
    """Whose visit an engine tells of."""
    return int(draft.get("visitor")[len(PREFIX) :])
