"""Device time: the wall clock as it was at the start, carried on by a clock that cannot jump."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the edge takes its time from."""

    def now_ms(self) -> int:
        """Device time, ms since 1970: may be years wrong, never runs backwards or jumps."""
        ...


class PacedClock(Clock, Protocol):
    """A clock that one can also wait by, for whatever watches, ticks and tries again."""

    async def sleep(self, seconds: float) -> None:
        """Return when so many of this clock's seconds have passed."""
        ...


class SteadyClock:
    """Wall clock read once, plus `time.monotonic`.

    A device that learns the true time later keeps its straight line until it restarts: the bridge
    knows each epoch's offset, and order never depended on it.
    """

    def __init__(self) -> None:
        self._offset_ms = int(max(0.0, time.time()) * 1000) - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self._offset_ms

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ScaledClock:
    """A clock that runs `speed` times as fast from now on; it begins at `start_ms`."""

    def __init__(self, speed: float, start_ms: int = 0) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError("speed is more than 0, and finite")
        self.speed = speed
        self._start_ms = start_ms
        self._began_s = time.monotonic()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._began_s) * 1000 * self.speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)
