"""One gateway with twelve radios: a store's day as the touchpoints that it captures."""

import heapq
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.zone_belief import ZoneBeliefs
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.floor import store_plan
from simulators.store_day import Arrival, StoreDay

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

TICK_MS = 1_000
LINGER_MS = 30_000  # after the last reading, so that silence may close visits


# For prompts that come while she is still there: earlier than the defaults, and less sure.
SETTINGS = PresenceSettings(min_dwell_ms=3_000, change_ms=4_000, forget_ms=25_000)
_EXPONENT = 1.8  # an open room
_TEMPERING = 0.6
_OUTSIDE = 0.05  # the walks begin and end inside


def presence_of(day: StoreDay) -> Presence:
    """The presence engine of this store, as it is when the store opens; nobody has surveyed it."""
    plan = store_plan().plan
    radio = PathLoss(plan, exponent=_EXPONENT)
    beliefs = ZoneBeliefs(plan, radio, tempering=_TEMPERING, outside=_OUTSIDE)
    return Presence(beliefs, sorted(day.zones), SETTINGS)


def simple_presence_of(day: StoreDay) -> NearestReceiver:
    """The simple engine, whose figures do not change when the other one is tuned."""
    return NearestReceiver(day.zones, day.places_m)


def captured(day: StoreDay, engine: "PresenceEngine") -> Iterator[Touchpoint]:
    """What the gateway captures, in that order; `at_ms` counts from the store's opening.

    The engine hears every reading and a tick a second; an arrival is captured just before the
    shopper's first reading. When the day is over, the engine is closed, and no visit is open.
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
    yield from engine.close(tick_ms)
