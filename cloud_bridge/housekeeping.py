"""Keeping files small: what is old enough is dropped, what was erased is put out of the log.

A little at a time, between turns: it never waits for an end, and a crash in the middle leaves only
work that the next start finds again.
"""

import logging

import msgspec

from cloud_bridge.batch import Batch
from cloud_bridge.calling import Calling
from cloud_bridge.clock import Clock
from cloud_bridge.people import NOBODY, People, unpack_joined, unpack_offered, without_dead
from cloud_bridge.resolving import Resolving
from cloud_bridge.store import BATCH, DECISION, JOIN, Store, Writes
from cloud_bridge.vault import Vault

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
# Rows in one step: some milliseconds.
_LOG_ROWS = 200
_SUBJECT_ROWS = 1000
_SCRUB_ROWS = 100
# How often there is a look whether something has grown old.
_LOOK_S = 10.0
# How often what was learnt of beacons' clocks is written, and of how many at once.
_CLOCKS_S = 30.0
_CLOCKS = 500
# After work on the tables of beacons, so many times as long is left to others.
_REST = 4


class Housekeeping:
    """`step` when there is time. `keep_days`: how long the log is kept; 0: for ever.

    due_s  when there will be more to do that must not wait long; None: there is none
    """

    def __init__(
        self,
        store: Store,
        people: People,
        vault: Vault,
        clock: Clock,
        keep_days: float,
        *,
        resolving: Resolving | None = None,
        calling: Calling | None = None,
    ) -> None:
        self.due_s: float | None = None
        self.dropped = 0
        self.forgotten = 0
        self._store = store
        self._people = people
        self._vault = vault
        self._clock = clock
        self._keep_ms = int(keep_days * DAY_MS)
        self._resolving = resolving
        self._calling = calling
        self._clocks_s = float("-inf")
        self._look_s = float("-inf")
        self._behind = -1  # the stranger to go on behind; -1: no round is under way

    def step(self, now_s: float) -> bool:
        """Do a little, if there is anything; whether there is more. Raises StorageError."""
        if self._resolving is not None and self._resolving.handles:
            self._tend(self._resolving, now_s)
        if self._behind >= 0:
            self._forget_strangers()
            return True
        if now_s < self._look_s:
            return False
        more = False
        if self._keep_ms:
            gone = self._store.prune(self._clock.wall_ms() - self._keep_ms, _LOG_ROWS)
            self.dropped += gone
            more = gone == _LOG_ROWS
            if gone and not more:
                self._behind = 0
                more = True
        more = self._store.scrub(_SCRUB_ROWS, without) > 0 or more
        if self._calling is not None:
            more = self._forget_numbers(self._calling) or more
        if not more:
            self._look_s = now_s + _LOOK_S
        return more

    def _forget_numbers(self, calling: Calling) -> bool:
        """Numbers of callers whom nobody will call back any more; whether there are more."""
        before_ms = self._clock.wall_ms() - calling.routing().keep_ms
        gone = self._store.forget_numbers(before_ms, _LOG_ROWS)
        if gone:
            calling.forget_numbers(before_ms)
        return gone == _LOG_ROWS

    def _tend(self, resolving: Resolving, now_s: float) -> None:
        """The tables of beacons: kept up to date, searched, and what they learnt written."""
        if self.due_s is None or now_s >= self.due_s:
            more = resolving.step(self._clock.wall_ms() // 1000, self._clock.steady_s)
            ended_s = self._clock.steady_s()
            self.due_s = ended_s + _REST * (ended_s - now_s) if more else None
        if now_s >= self._clocks_s:
            rows = resolving.learned(_CLOCKS)
            if rows:
                self._store.commit(Writes(identities={(r.handle, r.kind): r for r in rows}))
                resolving.written(rows)
            if len(rows) < _CLOCKS:
                self._clocks_s = now_s + _CLOCKS_S

    def _forget_strangers(self) -> None:
        """Handles that no row of the log can hold any more, and that lead to nobody."""
        before_day = (self._clock.wall_ms() - self._keep_ms) // DAY_MS
        found, self._behind = self._store.strangers(before_day, self._behind, _SUBJECT_ROWS)
        # Memory may know that one of them has come back; a registered beacon may at any time.
        kept = self._resolving.handles if self._resolving is not None else {}
        gone = [
            handle
            for handle in found
            if handle not in kept and not self._people.touched_since(handle, before_day)
        ]
        if gone:
            self._vault.forget(gone)
            self._people.forget(gone)
            self._store.commit(Writes(forgotten=gone))
            self.forgotten += len(gone)


def without(kind: int, body: bytes, erased: set[int]) -> bytes | None:
    """The body of a log row in which these handles mean nobody; None: it has none of them.

    A body that cannot be read stays: whom it may mean, no key of the vault tells any more.
    """
    try:
        return _without(kind, body, erased)
    except (msgspec.DecodeError, ValueError, LookupError) as error:
        log.error("a row of the log cannot be read and stays: %s", type(error).__name__)
        return None


def _without(kind: int, body: bytes, erased: set[int]) -> bytes | None:
    if kind == DECISION:
        offered = unpack_offered(body)
        if offered.visitor not in erased:
            return None
        return msgspec.msgpack.encode(msgspec.structs.replace(offered, visitor=NOBODY))
    if kind == JOIN:
        joined = unpack_joined(body)
        changed = without_dead(joined, erased)
        return None if changed == joined else msgspec.msgpack.encode(changed)
    if kind != BATCH:
        return None
    batch = Batch.from_body(body)
    if batch.known().isdisjoint(erased):
        return None
    batch.without(erased)
    return batch.to_body()
