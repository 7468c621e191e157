"""From a presence engine into the outbox: in shared commits, in order, and through a full disk.

An engine cannot wait, and a commit takes its time, so touchpoints wait here. One that can trigger a
prompt leaves at once and takes along what waits; the others leave together, by number or with the
gateway's tick. While the disk refuses, all is kept and tried again; when too much waits, sightings
and then positions are given up, and counted. A visit, a scan or a call never is: sources are held
up instead.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from edge_sdk.clock import PacedClock
from edge_sdk.errors import EdgeError, StorageError
from edge_sdk.wire.touchpoint import (
    POSITIONS,
    PRIORITY,
    PROMPTING,
    SIGHTINGS,
    Touchpoint,
    TouchpointError,
)

log = logging.getLogger(__name__)

_TOGETHER = 256
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class Captures(Protocol):
    """What is needed of a device."""

    async def capture_many(self, touchpoints: Iterable[Touchpoint]) -> None:
        """Return when they are durable. Raises TouchpointError, StorageError, ClosedError."""
        ...


class Capturing:
    """`add` what is to be captured, `flush` now and then; `room` before more is added.

    captured   that the device has; `refused`: malformed, so that no device takes them
    given_up   sightings and positions that were one too many while the disk refused
    again      captures that were tried once more; `lost`: what a stop could not wait for
    """

    def __init__(self, device: Captures, clock: PacedClock, most: int = 16_384) -> None:
        self.counts = dict.fromkeys(("captured", "refused", "given_up", "again", "lost"), 0)
        self._device = device
        self._clock = clock
        self._most = most
        self._waiting: list[Touchpoint] = []
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbered = 0
        self._failed: dict[int, list[Touchpoint]] = {}
        self._retrying: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether whoever adds should wait for `room`."""
        return self._in_flight + len(self._waiting) >= self._most

    def add(self, touchpoints: Sequence[Touchpoint]) -> None:
        """Take them over; they leave in the order in which they came."""
        self._waiting += touchpoints
        if len(self._waiting) >= _TOGETHER or any(PROMPTING.get(t.code) for t in touchpoints):
            self.flush()

    def flush(self) -> None:
        """Let go what waits, unless the disk refuses."""
        if self._retrying is not None:
            self._give_up()
        elif self._waiting:
            batch, self._waiting = self._waiting, []
            self._in_flight += len(batch)
            self._numbered += 1
            task = asyncio.create_task(self._capture(self._numbered, batch), name="capture")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def room(self) -> None:
        """Return when there is room for more."""
        while self.is_full:
            self.flush()
            if self.is_full:
                self._progress.clear()
                await self._progress.wait()

    async def finish(self, within_s: float) -> None:
        """Return when all is captured, or when that takes too long: then the rest is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._waiting or self._in_flight:
                    self.flush()
                    self._progress.clear()
                    await self._progress.wait()
        tasks = [*self._tasks, *([self._retrying] if self._retrying else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lost = len(self._waiting) + self._in_flight
        self.counts["lost"] += lost
        if lost:
            log.error("capturing: stopped with %d touchpoints that the disk did not take", lost)

    async def _capture(self, number: int, batch: list[Touchpoint]) -> None:
        try:
            await self._captured(batch)
        except StorageError:
            self._failed[number] = batch
            if self._retrying is None:
                log.warning("capturing: the disk refuses; trying again")
                self._retrying = asyncio.create_task(self._retry(), name="capture again")
        else:
            self._done(batch)

    async def _captured(self, batch: Sequence[Touchpoint]) -> None:
        """Capture a batch; of one with a malformed touchpoint, the rest. Raises StorageError."""
        try:
            await self._device.capture_many(batch)
        except TouchpointError:
            for touchpoint in batch:
                try:
                    await self._device.capture_many([touchpoint])
                except TouchpointError as error:
                    self.counts["refused"] += 1
                    log.warning("capturing: a malformed touchpoint: %s", error)
                else:
                    self.counts["captured"] += 1
        except StorageError:
            raise
        except EdgeError as error:
            # Closed beneath us: nothing can be captured any more.
            log.error("capturing: %s", error)
            self.counts["lost"] += len(batch)
        else:
            self.counts["captured"] += len(batch)

    async def _retry(self) -> None:
        """Once nothing is on its way any more, capture what failed, in its order."""
        pause_s = _FIRST_PAUSE_S
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        while self._failed:
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            with contextlib.suppress(StorageError):
                while self._failed:
                    first = min(self._failed)
                    self.counts["again"] += 1
                    await self._captured(self._failed[first])
                    self._done(self._failed.pop(first))
        self._retrying = None
        log.info("capturing: the disk takes touchpoints again")
        self.flush()

    def _done(self, batch: Sequence[Touchpoint]) -> None:
        self._in_flight -= len(batch)
        self._progress.set()

    def _give_up(self) -> None:
        """Make room among what waits for the disk: the least precious first."""
        for least in (SIGHTINGS, POSITIONS):
            if not self.is_full:
                return
            kept = [t for t in self._waiting if PRIORITY.get(t.code) != least]
            self.counts["given_up"] += len(self._waiting) - len(kept)
            self._waiting = kept
