"""A gateway: sources and a presence engine on one side, a device on the other."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

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
_ENGINE_FAILED = "the presence engine failed; this is said once, and counted"


class Source(Protocol):
    """Hardware: entered, it hands over readings or touchpoints, until it is left.

    Entering raises ConfigError for what no second try will change. `counts` are for the log.
    """

    @property
    def counts(self) -> Mapping[str, int]: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *exc_info: object) -> object: ...

    def __aiter__(self) -> AsyncIterator[object]: ...


@runtime_checkable
class EndsVisits(Protocol):
    """A source that makes visits of its own, as a fence does: left, it ends those that are open."""

    def close(self, at_ms: int) -> Sequence[Touchpoint]: ...


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
    told      what else these lines are to say

    Entering starts the sources and raises ConfigError if one cannot work. A source that ends or
    fails is entered again, ever less often. Leaving ends the sources first, then every open visit,
    and returns when the device has all that came of them. A source that does not let go is left
    behind after ten seconds, and so is what the disk does not take in ten more.
    """

    def __init__(
        self,
        device: GatewayDevice,
        engine: "PresenceEngine",
        sources: Mapping[str, Source],
        *,
        report_s: float = 300.0,
        told: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._clock = device.clock
        self._engine = engine
        self._sources = sources
        self._report_s = report_s
        self._told = told
        self._counts = dict.fromkeys(
            ("readings", "touchpoints", "unknown", "restarts", "engine_failed"), 0
        )
        self._capturing = Capturing(device, self._clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False

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
        self._leaving = False
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
            await self._capturing.finish(_STOP_WITHIN_S)
            raise
        self._tasks.append(asyncio.create_task(self._tick(), name="gateway tick"))
        log.info("gateway starts: sources=%s", ",".join(self._sources))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._end_tasks()
        now_ms = self._clock.now_ms()
        self._ask(self._engine.close, now_ms)
        for source in self._sources.values():
            if isinstance(source, EndsVisits):
                self._capturing.add(source.close(now_ms))
        await self._capturing.finish(_STOP_WITHIN_S)
        self._report("gateway stops")

    async def _end_tasks(self) -> None:
        self._leaving = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_WITHIN_S)
        for task in self._tasks:
            if not task.done():
                log.error("%s: does not let go; it is left behind", task.get_name())
            elif not task.cancelled() and task.exception() is not None:
                log.error("%s: failed as it was left", task.get_name(), exc_info=task.exception())
        self._tasks = []

    async def _pull(self, name: str, source: Source, entered: "asyncio.Future[None]") -> None:
        """Take what a source gives, for ever; what fails is begun again."""
        pause_s = _FIRST_PAUSE_S
        while not self._leaving:
            began_ms = self._clock.now_ms()
            try:
                async with source:
                    _settle(entered)
                    await self._take_all(source)
                log.warning("source %s: ended by itself; it is begun again", name)
            except ConfigError as error:
                if not entered.done():
                    entered.set_exception(error)
                    return
                log.error("source %s: %s; it is tried again", name, error)
            except Exception:  # the top of a task: a source is somebody's driver
                log.exception("source %s: failed; it is begun again", name)
            _settle(entered)
            if self._leaving:  # it failed while it was left, in the place of being cancelled
                return
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
                try:
                    told = hear(item.at_ms, item.receiver, item.beacon, item.rssi_dbm)
                except Exception:  # the radio is not to be begun again for it
                    if self._engine_failed():
                        log.exception(_ENGINE_FAILED)
                else:
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
            self._ask(self._engine.tick, now_ms)
            self._capturing.flush()
            if now_ms - reported_ms >= 1000 * self._report_s:
                reported_ms = now_ms
                self._report("gateway")

    def _ask(self, engine: Callable[[int], Sequence[Touchpoint]], now_ms: int) -> None:
        """What time or the end brings."""
        try:
            self._capturing.add(engine(now_ms))
        except Exception:  # a bug of the engine's ends no task, and stops no stop
            if self._engine_failed():
                log.exception(_ENGINE_FAILED)

    def _engine_failed(self) -> bool:
        """Count it; whether it was the first time."""
        self._counts["engine_failed"] += 1
        return self._counts["engine_failed"] == 1

    def _report(self, what: str) -> None:
        counted = {name: count for name, count in self.counts.items() if count}
        said = {**self._told(), **counted}
        log.info("%s: %s", what, " ".join(f"{name}={value}" for name, value in said.items()))


def _settle(entered: "asyncio.Future[None]") -> None:
    if not entered.done():
        entered.set_result(None)
