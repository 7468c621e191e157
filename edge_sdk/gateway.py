"""A gateway: sources and a presence engine on one side, a device on the other."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Protocol, Self

from edge_sdk.capturing import Captures, Capturing
from edge_sdk.clock import PacedClock
from edge_sdk.errors import ConfigError
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

log = logging.getLogger(__name__)

_TICK_S = 1.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 60.0  # a source that has lived so long is tried again at once
_STOP_WITHIN_S = 10.0
_LET_OTHERS_RUN = 256  # items


class Source(Protocol):
    """Hardware: entered, it hands over readings or touchpoints, until it is left.

    Entering raises ConfigError for what no second try will change. `counts` are for the log.
    """

    @property
    def counts(self) -> Mapping[str, int]: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *exc_info: object) -> object: ...

    def __aiter__(self) -> AsyncIterator[object]: ...


class GatewayDevice(Captures, Protocol):
    """What a gateway needs of `edge_sdk.Device`."""

    @property
    def clock(self) -> PacedClock:
        """Its time, which readings have to be stamped with."""
        ...


class Gateway:
    """`async with Gateway(device, engine, {"radio": Bluetooth({"hci0": "entrance"})})`.

    device    an entered Device; it outlives the gateway
    engine    makes visits of readings. A privacy mode (edge_sdk/presence/privacy.py) is an engine
              as well, around another: what it withholds is never captured
    sources   by a name for the log: whatever gives Readings, which the engine hears, or
              Touchpoints, which are captured as they are; anything else is counted and dropped
    report_s  between two log lines of counts

    Entering starts the sources and raises ConfigError if one cannot work. A source that ends or
    fails is entered again, ever less often. Leaving ends the sources first and returns when the
    device has all that came of them, or after ten seconds: nothing is left half done.
    """

    def __init__(
        self,
        device: GatewayDevice,
        engine: "PresenceEngine",
        sources: Mapping[str, Source],
        *,
        report_s: float = 300.0,
    ) -> None:
        self._clock = device.clock
        self._engine = engine
        self._sources = sources
        self._report_s = report_s
        self._counts = dict.fromkeys(("readings", "touchpoints", "unknown", "restarts"), 0)
        self._capturing = Capturing(device, self._clock)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> dict[str, int]:
        """Since the start; of a source as "radio.heard", of the engine as "presence.rssi"."""
        return {
            **self._counts,
            **self._capturing.counts,
            **{f"presence.{why}": count for why, count in self._engine.dropped.items()},
            **{
                f"{name}.{what}": count
                for name, source in self._sources.items()
                for what, count in source.counts.items()
            },
        }

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        entered = [loop.create_future() for _ in self._sources]
        self._tasks = [
            asyncio.create_task(self._pull(name, source, done), name=f"source {name}")
            for (name, source), done in zip(self._sources.items(), entered, strict=True)
        ]
        try:
            await asyncio.gather(*entered)
        except BaseException:
            await self._end_tasks()
            raise
        self._tasks.append(asyncio.create_task(self._tick(), name="gateway tick"))
        log.info("gateway starts: sources=%s", ",".join(self._sources))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._end_tasks()
        self._capturing.add(self._engine.tick(self._clock.now_ms()))
        await self._capturing.finish(_STOP_WITHIN_S)
        self._report("gateway stops")

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self, name: str, source: Source, entered: "asyncio.Future[None]") -> None:
        """Take what a source gives, for ever; what fails is begun again."""
        pause_s = _FIRST_PAUSE_S
        while True:
            began_ms = self._clock.now_ms()
            try:
                async with source:
                    _settle(entered)
                    await self._take_all(source)
                log.warning("source %s: ended; it is begun again", name)
            except ConfigError as error:
                if not entered.done():
                    entered.set_exception(error)
                    return
                log.error("source %s: %s", name, error)
            except Exception:  # the top of a task: a source is somebody's driver
                log.exception("source %s: failed; it is begun again", name)
            _settle(entered)
            self._counts["restarts"] += 1
            if self._clock.now_ms() - began_ms >= 1000 * _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _take_all(self, source: Source) -> None:
        hear, capturing, counts = self._engine.hear, self._capturing, self._counts
        taken = 0
        async for item in source:
            if isinstance(item, Reading):
                counts["readings"] += 1
                told = hear(item.at_ms, item.receiver, item.beacon, item.rssi_dbm)
                if told:
                    capturing.add(told)
            elif isinstance(item, Touchpoint):
                counts["touchpoints"] += 1
                if item.at_ms is None:  # it may wait for the disk
                    item = Touchpoint(item.code, self._clock.now_ms(), item.values)
                capturing.add([item])
                capturing.flush()
            else:
                counts["unknown"] += 1
            taken += 1
            if taken % _LET_OTHERS_RUN == 0:
                await asyncio.sleep(0)
            if capturing.is_full:
                await capturing.room()

    async def _tick(self) -> None:
        """Every second, tell the engine the time; every few minutes, tell people how it goes."""
        reported_ms = self._clock.now_ms()
        while True:
            await self._clock.sleep(_TICK_S)
            now_ms = self._clock.now_ms()
            self._capturing.add(self._engine.tick(now_ms))
            self._capturing.flush()
            if now_ms - reported_ms >= 1000 * self._report_s:
                reported_ms = now_ms
                self._report("gateway")

    def _report(self, what: str) -> None:
        told = " ".join(f"{name}={count}" for name, count in self.counts.items() if count)
        log.info("%s: %s", what, told)


def _settle(entered: "asyncio.Future[None]") -> None:
    if not entered.done():
        entered.set_result(None)
