"""From a presence engine into the outbox: in shared commits, in order, and through a full disk.

An engine cannot wait, and a commit takes its time, so touchpoints wait here, in one of two lanes.
Visits, scans and calls must not pass each other, an exit its enter above all, not even when the
disk refuses the one and takes the other: so one batch of them is on its way at a time, and the next
one is all that has come meanwhile. Sightings and positions stand for themselves: they linger in the
outbox, and what is urgent takes them along.

While the disk refuses, all is kept and tried again; when too much waits, sightings and then
positions are given up, and counted. The others never are: sources are held up instead.
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

_LOOSE = (SIGHTINGS, POSITIONS)  # the least precious first
_TOGETHER = 256
_MOST_TOGETHER = 4096  # as many as the outbox puts into one commit
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class Captures(Protocol):
    """What is needed of a device."""

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        """Return when they are durable; at once: without waiting for others to share the commit.

        Raises TouchpointError, StorageError, ClosedError.
        """
        ...


class Capturing:
    """`add` what is to be captured, `flush` now and then; `room` before more is added.

    captured   that the device has; `refused`: malformed, so that no device takes them
    given_up   sightings and positions that were one too many while the disk refused
    again      batches that were tried once more; `lost`: what a stop could not wait for
    """

    def __init__(self, device: Captures, clock: PacedClock, most: int = 16_384) -> None:
        self.counts = dict.fromkeys(("captured", "refused", "given_up", "again", "lost"), 0)
        self._most = most
        self._progress = asyncio.Event()
        self._loose = _Lane(device, clock, self.counts, self._progress, at_once=False)
        self._strict = _Lane(device, clock, self.counts, self._progress, at_once=True)
        # In this order: what lingers in the outbox is taken along by what does not.
        self._lanes = (self._loose, self._strict)

    @property
    def is_full(self) -> bool:
        """Whether whoever adds should wait for `room`."""
        return sum(lane.size for lane in self._lanes) >= self._most

    def add(self, touchpoints: Sequence[Touchpoint]) -> None:
        """Take them over."""
        urgent = False
        for touchpoint in touchpoints:
            is_loose = PRIORITY.get(touchpoint.code) in _LOOSE
            (self._loose if is_loose else self._strict).waiting.append(touchpoint)
            urgent = urgent or PROMPTING.get(touchpoint.code, False)
        if urgent or any(len(lane.waiting) >= _TOGETHER for lane in self._lanes):
            self.flush()

    def flush(self) -> None:
        """Let go what waits, as soon as what went before in its lane has arrived."""
        if any(lane.refused for lane in self._lanes):
            self._give_up()
        for lane in self._lanes:
            lane.flush()

    async def room(self) -> None:
        """Return when there is room for more."""
        while self.is_full:
            self.flush()
            if self.is_full:
                self._progress.clear()
                await self._progress.wait()

    async def finish(self, within_s: float) -> None:
        """Return when all is captured, or when that takes too long: then the rest is lost."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while any(lane.size for lane in self._lanes):
                        self.flush()
                        self._progress.clear()
                        await self._progress.wait()
        finally:
            for lane in self._lanes:
                await lane.end()

    def _give_up(self) -> None:
        """Make room among what waits for the disk: the least precious first."""
        for least in _LOOSE:
            if not self.is_full:
                return
            waiting = self._loose.waiting
            kept = [t for t in waiting if PRIORITY.get(t.code) != least]
            self.counts["given_up"] += len(waiting) - len(kept)
            self._loose.waiting = kept


class _Lane:
    """What must stay in order: one batch on its way, and what waits behind it."""

    def __init__(
        self,
        device: Captures,
        clock: PacedClock,
        counts: dict[str, int],
        progress: asyncio.Event,
        *,
        at_once: bool,
    ) -> None:
        self.waiting: list[Touchpoint] = []
        self.refused = False  # by the disk
        self._batch: list[Touchpoint] = []  # on its way
        self._device = device
        self._clock = clock
        self._counts = counts
        self._progress = progress
        self._at_once = at_once
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        return len(self.waiting) + len(self._batch)

    def flush(self) -> None:
        if self.waiting:
            self._wanted.set()
            if self._task is None:
                self._task = asyncio.create_task(self._send(), name="capture")

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._lose(self.size, "the disk did not take them before the stop")
        self.waiting, self._batch = [], []

    async def _send(self) -> None:
        """Batch after batch; what came while one was on its way is the next."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._batch = self.waiting[:_MOST_TOGETHER]
            del self.waiting[:_MOST_TOGETHER]
            if self.waiting:
                self._wanted.set()
            try:
                await self._through(self._batch)
            except EdgeError as error:  # closed beneath us: nothing can be captured any more
                self._lose(len(self._batch), str(error))
            except Exception:  # the top of a task: the next batch may fare better
                log.exception("capturing failed")
                self._lose(len(self._batch), "see above")
            self._batch = []
            self._progress.set()

    async def _through(self, batch: list[Touchpoint]) -> None:
        """Capture a batch, however often that must be tried."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._capture(batch)
                break
            except StorageError as error:
                if not self.refused:
                    log.warning("capturing: %s; all is kept and tried again", error)
                self.refused = True
                await self._clock.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
                self._counts["again"] += 1
        if self.refused:
            self.refused = False
            log.info("capturing: the disk takes touchpoints again")

    async def _capture(self, batch: list[Touchpoint]) -> None:
        """Capture a batch; of one with a malformed touchpoint, the rest.

        Raises StorageError: what is left in `batch` is not known to be durable.
        """
        try:
            await self._device.capture_many(batch, at_once=self._at_once)
        except TouchpointError:
            while batch:
                try:
                    await self._device.capture_many(batch[:1], at_once=self._at_once)
                except TouchpointError as error:
                    self._counts["refused"] += 1
                    log.warning("capturing: a malformed touchpoint is left out: %s", error)
                else:
                    self._counts["captured"] += 1
                del batch[0]
        else:
            self._counts["captured"] += len(batch)
            batch.clear()

    def _lose(self, count: int, why: str) -> None:
        self._counts["lost"] += count
        if count:
            log.error("capturing: %d touchpoints are lost: %s", count, why)
