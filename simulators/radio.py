"""A store day for a gateway: on the air, where bleak can hear it, or else as readings.

On Linux the day goes through the real bleak. Elsewhere, and without the extra, it enters at the
radio port, which is where bleak would hand it over; whoever runs it can say which (`Radio.way`).
"""

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from edge_sdk.clock import ScaledClock
from edge_sdk.errors import ConfigError
from edge_sdk.gateway import Source
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.store_day import StoreDay, replay

_NO_BLEAK = ""
try:
    from simulators import bleak_radio
except (ConfigError, ImportError):
    _NO_BLEAK = "without the extra edge-sdk[bluetooth]"
if sys.platform != "linux":
    _NO_BLEAK = "BlueZ is Linux's"

BLEAK = "bleak over D-Bus"
READINGS = "readings at the radio port"


@dataclass(frozen=True, slots=True)
class Radio:
    """A source for a gateway, and `play`, which returns when the day's last reading was sent."""

    way: str
    source: Source
    play: Callable[[], Awaitable[None]]


@asynccontextmanager
async def radio_of(day: StoreDay, clock: ScaledClock) -> AsyncIterator[Radio]:
    """The radio of a day that passes as fast as `clock`, by the best way that there is here."""
    if _NO_BLEAK:
        port = RadioPort(day, clock)
        yield Radio(f"{READINGS} ({_NO_BLEAK})", port, port.play)
        return
    async with bleak_radio.on_bleak(day, clock) as (source, peer):
        play = functools.partial(bleak_radio.broadcast, day, peer, clock.speed)
        yield Radio(BLEAK, source, play)


async def on_the_air(day: StoreDay, speed: float, say: Callable[[str], None]) -> None:
    """Play a day to another process that scans; `say` is given what that one has to export.

    Raises ConfigError where there is no bleak.
    """
    if _NO_BLEAK:
        raise ConfigError(f"no radio to play to bleak ({_NO_BLEAK})")
    async with bleak_radio.BlueZ([*bleak_radio.adapters_of(day)], export=False) as peer:
        say(f"export DBUS_SYSTEM_BUS_ADDRESS='{peer.address}'")
        adapters = bleak_radio.adapters_of(day).items()
        say("# " + " ".join(f"{adapter}={receiver}" for adapter, receiver in adapters))
        await bleak_radio.broadcast(day, peer, speed)


class RadioPort:
    """A day's readings as a source, without a radio."""

    def __init__(self, day: StoreDay, clock: ScaledClock) -> None:
        self.counts: Mapping[str, int] = {}
        self._day = day
        self._clock = clock
        self._queue: asyncio.Queue[Reading] = asyncio.Queue(1024)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Reading]:
        while True:
            yield await self._queue.get()

    async def play(self) -> None:
        async for heard in replay(self._day.readings(), self._clock.speed):
            await self._queue.put(heard._replace(at_ms=self._clock.now_ms()))


class StoreApps:
    """What the apps of a day's shoppers say as they enter, as a source."""

    def __init__(self, day: StoreDay, clock: ScaledClock) -> None:
        self.counts: Mapping[str, int] = {}
        self._day = day
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Touchpoint]:
        async for arrival in replay(self._day.arrivals(), self._clock.speed):
            yield arrival.touchpoint
        await asyncio.Event().wait()  # the last one has come; a source does not end
