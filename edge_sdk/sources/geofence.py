"""Visits to fenced places of the one who carries a GNSS receiver: fixes in, `visit.*` out."""

import asyncio
from collections import deque
from typing import Self

from edge_sdk.clock import Clock, SteadyClock
from edge_sdk.presence.geofence import Geofences
from edge_sdk.sources.gnss import Gnss
from edge_sdk.sources.serial_line import Port
from edge_sdk.wire.touchpoint import Touchpoint

__all__ = ["GeofenceSource", "Gnss", "Port"]

_TICK_S = 1.0


class GeofenceSource:
    """`async with GeofenceSource(gnss, geofences) as source`, then `async for` of touchpoints.

    It opens and closes the receiver. Their time is this device's: a receiver may not know the date.
    """

    def __init__(self, gnss: Gnss, geofences: Geofences, *, clock: Clock | None = None) -> None:
        self.gnss = gnss
        self.geofences = geofences
        self._clock = clock or SteadyClock()
        self._ready: deque[Touchpoint] = deque()

    @property
    def counts(self) -> dict[str, int]:
        """The receiver's, and `unsure` and dropped fixes of the fences (`bad_` and the reason)."""
        dropped = {f"bad_{reason}": count for reason, count in self.geofences.dropped.items()}
        return {**self.gnss.counts, "unsure": self.geofences.unsure, **dropped}

    async def __aenter__(self) -> Self:
        await self.gnss.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.gnss.__aexit__(*exc_info)

    def close(self, at_ms: int) -> list[Touchpoint]:
        """The ends of the open visits, once this source is left for good."""
        told = [*self._ready, *self.geofences.close(at_ms)]
        self._ready.clear()
        return told

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Touchpoint:
        while not self._ready:
            try:
                async with asyncio.timeout(_TICK_S):  # wait_for may lose a cancellation
                    fix = await anext(self.gnss)
            except TimeoutError:
                self._ready.extend(self.geofences.tick(self._clock.now_ms()))
                continue
            self._ready.extend(
                self.geofences.fix(
                    self._clock.now_ms(), fix.latitude_deg, fix.longitude_deg, fix.accuracy_m
                )
            )
        return self._ready.popleft()
