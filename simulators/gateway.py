"""One gateway with twelve radios: a store's day as the touchpoints that it captures."""

import heapq
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.store_day import Arrival, StoreDay

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

TICK_MS = 1_000
LINGER_MS = 30_000  # after the last reading, so that silence closes every visit


def presence_of(day: StoreDay) -> NearestReceiver:
    """The presence engine of this store, as it is when the store opens."""
    return NearestReceiver(day.zones, day.places_m)


def captured(day: StoreDay, engine: "PresenceEngine") -> Iterator[Touchpoint]:
    """What the gateway captures, in that order; `at_ms` counts from the store's opening.

    The engine hears every reading and a tick a second; an arrival is captured just before the
    shopper's first reading. When the day is over, no visit is open.
    """
    tick_ms = TICK_MS
    happenings: Iterator[Arrival | Reading] = heapq.merge(
        day.arrivals(), day.readings(), key=attrgetter("at_ms")
    )
    for happening in happenings:
        while tick_ms <= happening.at_ms:
            yield from engine.tick(tick_ms)
            tick_ms += TICK_MS
        if isinstance(happening, Arrival):
            said = happening.touchpoint
            yield Touchpoint(said.code, happening.at_ms, said.values)
        else:
            yield from engine.hear(*happening)
    while tick_ms <= day.end_ms + LINGER_MS:
        yield from engine.tick(tick_ms)
        tick_ms += TICK_MS
