"""What a store's separate receivers heard becomes visits: a presence engine for each store.

The sightings of a site that has a plan go into one engine, under handles in the place of
identifiers. What comes out is logged, folded and decided upon in the transaction of the turn that
brought it about, so it is there with its cause or not at all. Which visits are open is stored with
them. After a start the engine is warmed from the end of the log, without a word, and then agrees
with what is stored: a visit goes on under its number, or it ends.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import msgspec

from cloud_bridge.batch import Batch
from cloud_bridge.clock import Offset
from cloud_bridge.registry import Device
from cloud_bridge.store import BATCH, LogRow, Marks, VisitRow
from cloud_bridge.store_visits import (
    EXIT,
    PREFIX,
    SIGHTING,
    TICK_MS,
    VISITS,
    StoreVisits,
    handle_of,
)
from cloud_bridge.turn import Origin, Turn
from edge_sdk.plan_file import StorePlan
from edge_sdk.wire.touchpoint import Touchpoint

log = logging.getLogger(__name__)

# A wall clock that goes back by more than this was set: the engine would stand still until then.
BACK_MS = 60_000
# How much of the log warms an engine.
WARM_MS = 300_000
WARM_ROWS = 20_000
# Touchpoints in one row of the log, as in a device's batch.
_MOST = 4096
_PLACE_BITS = 12


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
        self.stores: dict[str, StoreVisits] = {}
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
                new = self.stores[site] = StoreVisits(site, plan)
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
        if not VISITS.isdisjoint(batch.groups):
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
                new = self.stores[site] = StoreVisits(site, store.plan)
                new.follow(store, now_ms)
            else:
                store.tick(now_ms)

    def visits(self, turn: Turn, now_ms: int) -> None:
        """Put into the turn what came out. Raises StorageError; what was left is put in later."""
        for store in self.stores.values():
            while store.drafts:
                self._put(turn, store, now_ms)

    def _put(self, turn: Turn, store: StoreVisits, now_ms: int) -> None:
        drafts = store.drafts[:_MOST]
        whose = [handle_of(draft) for draft in drafts]
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
        batch.resolve({f"{PREFIX}{handle}": handle for handle in handles})
        # As a body of POST /collect it is of no device; unlike one it has a number.
        origin = Origin(store.site, None, 0, now_ms, log_id, now_ms, Offset(0, sure=True))
        self._fold(turn, origin, batch)
        self._note(turn, origin, batch)

    def forget(self, handles: Iterable[int]) -> None:
        """Of handles that are destroyed no visit is told any more; storage drops its rows."""
        self._erased.update(handles)

    # After a start

    def _begin(self, plans: Mapping[str, StorePlan], now_ms: int) -> None:
        stores = {site: StoreVisits(site, plan) for site, plan in plans.items()}
        rows: dict[str, list[VisitRow]] = {}
        for row in self._storage.visits():
            rows.setdefault(row.site, []).append(row)
        if stores:
            self._warm(stores, now_ms)
        for site in rows.keys() - stores.keys():
            stores[site] = StoreVisits(site, None)
        for site, store in stores.items():
            store.pass_time(now_ms)
            store.agree(rows.get(site, []), now_ms)
        self.stores = stores
        self._begun = True

    def _warm(self, stores: Mapping[str, StoreVisits], now_ms: int) -> None:
        erased = self._storage.erased()
        for row in self._storage.log(max(0, self._storage.marks().last - WARM_ROWS)):
            store = stores.get(row.site)
            told_lately = 0 <= now_ms - row.received_ms <= WARM_MS
            if row.kind != BATCH or store is None or not told_lately:
                continue
            # Rows of our own as well: they say how far time had gone when a silence ended a visit.
            store.pass_time(row.received_ms)
            try:
                batch = Batch.from_body(row.body)
                if row.device is None:
                    store.ended.update(values[1] for *_, values in batch.told((EXIT,)))
                    continue
                if erased:
                    batch.without(erased)
                if not VISITS.isdisjoint(batch.groups):
                    store.fusing.add(row.device)
                if row.device not in store.fusing and SIGHTING in batch.groups:
                    store.hear(batch, row.received_ms)
            except (msgspec.DecodeError, ValueError, LookupError) as error:
                log.error("row %d of the log is passed over: %s", row.id, type(error).__name__)
