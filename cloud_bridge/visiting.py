"""What a store's separate receivers heard becomes visits: a presence engine for each store.

The sightings of a site that has a plan go into one engine, under handles in the place of
identifiers. What comes out is logged, folded and decided upon in the transaction of the turn that
brought it about, so it is there with its cause or not at all. Which visits are open is stored with
them. After a start the engine is warmed from the end of the log, without a word, and then agrees
with what is stored: a visit goes on under its number, or it ends.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from cloud_bridge.batch import Batch
from cloud_bridge.clock import Offset
from cloud_bridge.registry import Device
from cloud_bridge.schemes import LAST_NOBODY
from cloud_bridge.store import BATCH, LogRow, Marks, VisitRow
from cloud_bridge.turn import Origin, Turn
from edge_sdk.plan_file import StorePlan
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.presence.polygons import zones_of_receivers
from edge_sdk.wire.touchpoint import CODES, FIELDS, Touchpoint, make

log = logging.getLogger(__name__)

SIGHTING = CODES["sighting"]
ENTER, DWELL, EXIT = CODES["visit.enter"], CODES["visit.dwell"], CODES["visit.exit"]
_VISITS = frozenset({ENTER, DWELL, EXIT})
_PREFIX = "h:"
_SPANS = ("dwell_ms", "dwell_low_ms", "dwell_high_ms")

# A sighting that comes later than this is history: no engine hears it.
LATE_MS = 15_000
TICK_MS = 1_000
# A wall clock that goes back by more than this was set: the engine would stand still until then.
BACK_MS = 60_000
# How much of the log warms an engine.
WARM_MS = 300_000
WARM_ROWS = 20_000
# Touchpoints in one row of the log, as in a device's batch.
_MOST = 4096
_PLACE_BITS = 12

MAX_BEACONS = 512


class People(Protocol):
    """What has to be in memory before it is folded."""

    def prefetch(self, handles: set[int], /) -> None:
        """Raises StorageError."""
        ...


class Storage(Protocol):
    """What is asked at a start. Each raises StorageError."""

    def visits(self) -> Iterable[VisitRow]: ...
    def marks(self) -> Marks: ...
    def erased(self) -> set[int]: ...
    def log(self, after: int = 0) -> Iterator[LogRow]: ...


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


class _Nearest(NearestReceiver):
    """To the simple engine a sighting is one reading, however many it sums up."""

    def hear_summary(
        self, at_ms: int, receiver: str, beacon: str, _w: int, _n: int, dbm: int, _sd: int
    ) -> list[Touchpoint]:
        return self.hear(at_ms, receiver, beacon, dbm)


def engine_of(store: StorePlan) -> Engine:
    """The engine that hears a store's sightings.

    A receiver sums up 5 s: its memory holds two of them, and a silence is several that lack.
    """
    return _Nearest(
        zones_of_receivers(store.plan),
        memory_ms=12_000,
        settle_ms=5_000,
        silence_ms=30_000,
        max_beacons=MAX_BEACONS,
        probability_pct=None,
    )


class Visiting:
    """`planned` when plans change, `hear` each folded batch, `tick` now and then, then `visits`.

    fold    logs and folds a batch
    note    decides upon it
    log_id  of the next row of the log
    """

    def __init__(
        self,
        people: People,
        storage: Storage,
        counted: Counter[str],
        *,
        fold: Callable[[Turn, Origin, Batch], None],
        note: Callable[[Turn, Origin, Batch], None],
        log_id: Callable[[], int],
    ) -> None:
        self.stores: dict[str, _Store] = {}
        self._people = people
        self._storage = storage
        self._counted = counted
        self._fold = fold
        self._note = note
        self._log_id = log_id
        self._begun = False
        self._ticked_ms = 0
        self._erased: set[int] = set()

    @property
    def open_visits(self) -> int:
        """How many visits are open, in all stores."""
        return sum(len(store.open) for store in list(self.stores.values()))

    @property
    def dropped(self) -> dict[str, int]:
        """What the engines of now did not hear, by why."""
        total: Counter[str] = Counter()
        for store in list(self.stores.values()):  # asked from another thread
            if store.engine is not None:
                total.update(store.engine.dropped)
        return dict(total)

    def planned(self, plans: Mapping[str, StorePlan], now_ms: int) -> None:
        """The plans as they are now: a changed one ends its store's visits and begins anew.

        The first call warms the engines. Raises StorageError, and then nothing has changed.
        """
        if not self._begun:
            self._begin(plans, now_ms)
            return
        for site in {*self.stores, *plans}:
            old, plan = self.stores.get(site), plans.get(site)
            if old is None or old.plan is not plan:
                new = self.stores[site] = _Store(site, plan)
                if old is not None:
                    new.follow(old, now_ms)

    def placed(self, devices: Iterable[Device]) -> list[Device]:
        """Devices, with the zone that a plan says of a kiosk of that name, if no other was said."""
        found = []
        for device in devices:
            store = self.stores.get(device.site)
            if store is not None and store.plan is not None and not device.zone:
                for kiosk in store.plan.plan.kiosks:
                    if kiosk.name == device.name:
                        device = replace(device, zone=kiosk.zone)
            found.append(device)
        return found

    def hear(self, origin: Origin, batch: Batch) -> None:
        """A batch of a device that has been folded. Changes memory alone, and cannot fail."""
        store = self.stores.get(origin.site)
        if store is None or store.engine is None or origin.device is None:
            return
        if not _VISITS.isdisjoint(batch.groups):
            store.fusing.add(origin.device)
        if SIGHTING not in batch.groups:
            return
        if origin.device in store.fusing:
            # A gateway that makes visits itself: to make them here as well would double them.
            self._counted["presence.fused_elsewhere"] += batch.counts()[SIGHTING]
            return
        if origin.offset.ms > 0 and not origin.offset.sure:
            # Its clock was never set: nobody knows how old this is.
            self._counted["presence.unsure"] += batch.counts()[SIGHTING]
            return
        self._counted["presence.late"] += store.hear(batch, origin.received_ms)

    def tick(self, now_ms: int) -> None:
        """Time goes on. Changes memory alone."""
        if 0 <= now_ms - self._ticked_ms < TICK_MS:
            return
        self._ticked_ms = now_ms
        for site, store in list(self.stores.items()):
            if store.engine is None:
                if not store.open and not store.drafts:
                    del self.stores[site]
            elif now_ms < store.newest_ms - BACK_MS:
                log.warning("the clock went back: the visits of site %s end", site)
                new = self.stores[site] = _Store(site, store.plan)
                new.follow(store, now_ms)
            else:
                store.tick(now_ms)

    def visits(self, turn: Turn, now_ms: int) -> None:
        """Put into the turn what came out. Raises StorageError; what was left is put in later."""
        for store in self.stores.values():
            while store.drafts:
                self._put(turn, store, now_ms)

    def _put(self, turn: Turn, store: "_Store", now_ms: int) -> None:
        drafts = store.drafts[:_MOST]
        whose = [_handle(draft) for draft in drafts]
        handles = {handle for handle in whose if handle not in self._erased}
        self._people.prefetch(handles)
        del store.drafts[:_MOST]
        log_id = self._log_id()
        told: list[Touchpoint] = []
        for draft, handle in zip(drafts, whose, strict=True):
            if handle not in handles and draft.code != EXIT:
                continue
            number = log_id << _PLACE_BITS | len(told)
            numbered = store.numbered(draft, handle, number, turn)
            if numbered is not None and handle in handles:
                told.append(numbered)
        if not told:
            return
        batch = Batch.of(told)
        batch.resolve({f"{_PREFIX}{handle}": handle for handle in handles})
        # As a body of POST /collect it is of no device; unlike one it has a number.
        origin = Origin(store.site, None, 0, now_ms, log_id, now_ms, Offset(0, sure=True))
        self._fold(turn, origin, batch)
        self._note(turn, origin, batch)

    def forget(self, handles: Iterable[int]) -> None:
        """Of handles that are destroyed no visit is told any more; storage drops its rows."""
        self._erased.update(handles)

    # After a start

    def _begin(self, plans: Mapping[str, StorePlan], now_ms: int) -> None:
        stores = {site: _Store(site, plan) for site, plan in plans.items()}
        rows: dict[str, list[VisitRow]] = {}
        for row in self._storage.visits():
            rows.setdefault(row.site, []).append(row)
        if stores:
            self._warm(stores, now_ms)
        for site in rows.keys() - stores.keys():
            stores[site] = _Store(site, None)
        for site, store in stores.items():
            store.agree(rows.get(site, []), now_ms)
        self.stores = stores
        self._begun = True

    def _warm(self, stores: Mapping[str, "_Store"], now_ms: int) -> None:
        erased = self._storage.erased()
        for row in self._storage.log(max(0, self._storage.marks().last - WARM_ROWS)):
            store = stores.get(row.site)
            told_lately = 0 <= now_ms - row.received_ms <= WARM_MS
            if row.kind != BATCH or store is None or not told_lately:
                continue
            # Rows of our own as well: they say how far time had gone when a silence ended a visit.
            store.pass_time(row.received_ms)
            if row.device is None:
                continue
            try:
                batch = Batch.from_body(row.body)
                if erased:
                    batch.without(erased)
                if not _VISITS.isdisjoint(batch.groups):
                    store.fusing.add(row.device)
                if row.device not in store.fusing and SIGHTING in batch.groups:
                    store.hear(batch, row.received_ms)
            except (msgspec.DecodeError, ValueError, LookupError) as error:
                log.error("row %d of the log is passed over: %s", row.id, type(error).__name__)


class _Store:
    """One store: its engine (None: it has no plan any more), and its open visits.

    open    the engine's number of a visit -> what is stored of it
    drafts  what came out of the engine and is not in a turn yet
    fusing  devices that make visits themselves
    """

    def __init__(self, site: str, plan: StorePlan | None) -> None:
        self.site = site
        self.plan = plan
        self.engine = None if plan is None else engine_of(plan)
        self.open: dict[int, VisitRow] = {}
        self.drafts: list[Touchpoint] = []
        self.fusing: set[int] = set()
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
                name = f"{_PREFIX}{beacon}"
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
            self.drafts += [touchpoint for touchpoint in told if touchpoint.code in _VISITS]

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
                warm[_handle(draft)] = draft
            elif draft.code == EXIT:
                warm.pop(_handle(draft), None)
        self.drafts.clear()
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

    def follow(self, old: "_Store", now_ms: int) -> None:
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
                visitor=f"{_PREFIX}{row.visitor}",
                zone=row.zone,
                dwell_ms=row.dwell_ms,
            )
        )


def _with(draft: Touchpoint, **values: int) -> Touchpoint:
    """The same, but for these."""
    fields = [name for name, _ in FIELDS[draft.code]]
    pairs = zip(fields, draft.values, strict=True)
    return Touchpoint(draft.code, draft.at_ms, tuple(values.get(n, value) for n, value in pairs))


def _handle(draft: Touchpoint) -> int:
    return int(draft.get("visitor")[len(_PREFIX) :])
