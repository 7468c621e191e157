"""A shopper's app that embeds the SDK: it hears the store's beacons, and does what she has allowed.

Nothing is captured, sent or shown before she allows it, and from the moment she takes it back. What
she said, and what was captured while it held, is on disk; all else is in memory and may be lost at
any moment, because systems suspend and kill apps without a word. docs/store-app.md.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from edge_sdk import touchpoints
from edge_sdk.beacon_windows import BeaconWindows
from edge_sdk.consent_file import ConsentFile
from edge_sdk.device import Device, DeviceConfig, Status
from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.gateway import Source
from edge_sdk.prompts import Prompt
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import ID, Touchpoint, fits

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

log = logging.getLogger(__name__)

GEOLOCATION = "geolocation"

_TICK_S = 1.0
_TRY_AGAIN_TICKS = 15
_JUMP_MS = 5_000
_COUNTS = ("not_allowed", "sightings", "sessions", "jumps", "failed", "lost")


class AppClock:
    """Device time of an app: straight between two sessions, and read anew where one begins.

    While a phone sleeps, its monotonic clock often stands still. Without this, all that follows
    would be told hours too late.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset_ms = 0.0
        self.read()

    def read(self) -> None:
        """Take the wall clock's word from here on."""
        self._offset_ms = (self._wall() - self._monotonic()) * 1000

    def now_ms(self) -> int:
        return max(0, int(self._monotonic() * 1000 + self._offset_ms))

    def jumped_ms(self) -> float:
        """How far the wall clock has moved away since: the phone slept, or somebody set it."""
        return abs((self._wall() - self._monotonic()) * 1000 - self._offset_ms)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# Makes the source of readings, which stamps them with this clock; anew for each session.
Radio = Callable[[AppClock], Source]


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What a store app is made of. Raises ConfigError.

    device     the enrolled home of this installation, and the broker
    who        this installation, "app:" and what is random and its own; no person, no device's id
    beacons    the store's: identifier on the air ("ibeacon:...") -> name in the store's plan
    purpose    what she allows: without it nothing at all is captured or shown
    window_ms  what one `sighting` sums up
    """

    device: DeviceConfig
    who: str = field(repr=False)
    beacons: Mapping[str, str]
    purpose: str = "in_store_prompts"
    window_ms: int = 5_000

    def __post_init__(self) -> None:
        if not (fits(ID, self.who) and self.who.startswith("app:") and len(self.who) > 4):
            raise ConfigError('who is "app:" and something of this installation\'s own')
        if not self.purpose or self.purpose == GEOLOCATION:
            raise ConfigError("purpose names what the app is allowed to do in a store")
        if not 1_000 <= self.window_ms <= 60_000:
            raise ConfigError("window_ms is 1 to 60 seconds")


class StoreApp:
    """`async with StoreApp(config, radio) as app`, then `allow` when she says so.

    Tell `pause` and `resume` what the system tells the app; being frozen or killed without a word
    is survived as well. All methods belong to one event loop.

    radio         makes the readings; None: this phone has none
    fresh_engine  makes an engine that finds this phone by the beacons that it hears, if the bridge
                  of the store does not: its visits and positions are captured as well

    counts  what was dropped and why: "foreign", "rssi", "stale" readings (beacon_windows.py),
            "not_allowed" touchpoints, those "lost" because the disk did not take them; and
            "sightings", "sessions", "jumps" of the clock, "failed"
    """

    def __init__(
        self,
        config: AppConfig,
        radio: Radio | None = None,
        fresh_engine: "Callable[[], PresenceEngine] | None" = None,
        *,
        clock: AppClock | None = None,
    ) -> None:
        self.clock = clock or AppClock()
        self._config = config
        self._radio = radio
        self._consent = ConsentFile(config.device.home)
        self._windows = BeaconWindows(config.who, config.beacons, config.window_ms)
        self._fresh_engine = fresh_engine
        self._engine: PresenceEngine | None = None
        self._found: list[Touchpoint] = []
        self._counts = Counter(dict.fromkeys(_COUNTS, 0))
        self._lock = asyncio.Lock()  # held while a session begins or ends
        self._session: AsyncExitStack | None = None
        self._device: Device | None = None
        self._changed = asyncio.Event()
        self._paused = self._left = False
        self._try_again_in = 0
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Go on as she allowed before. Raises ConfigError, StorageError."""
        if not self._config.device.home.is_dir():
            raise ConfigError("this installation is not enrolled yet: edge_sdk.enrol(token, home)")
        await asyncio.to_thread(self._consent.load)
        self._paused = self._left = False
        async with self._lock:
            await self._open()
        self._watch = asyncio.create_task(self._keep(), name="store app")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._left = True
        async with self._lock:
            await self._close()

    @property
    def counts(self) -> dict[str, int]:
        return {**self._windows.dropped, **self._counts}

    def status(self) -> Status | None:
        """Of the device, while it runs."""
        return self._device.status() if self._device is not None else None

    # What she allows

    def allows(self, purpose: str | None = None) -> bool:
        """Whether she has allowed a purpose; without one, that of the app."""
        return self._consent.allows(purpose or self._config.purpose)

    async def allow(self, purpose: str | None = None) -> None:
        """She says yes. Durable when this returns. Raises StorageError, ConfigError."""
        await self._say(purpose or self._config.purpose, granted=True)

    async def withdraw(self, purpose: str | None = None) -> None:
        """She says no: from the call on nothing is captured or shown for it.

        What waits in memory is forgotten; the bridge is told as soon as it can be reached, and
        then the app hangs up. Raises StorageError: it holds now, and may not after a restart.
        """
        await self._say(purpose or self._config.purpose, granted=False)

    async def _say(self, purpose: str, granted: bool) -> None:
        if not granted:
            self._consent.say(purpose, granted=False)  # before anything is waited for
            self._forget()
        async with self._lock:
            try:
                await self._close()  # with all that it has in memory
            finally:  # whatever became of the session, what she said has to last
                self._consent.say(purpose, granted)
                await asyncio.to_thread(self._consent.save)
            await self._open()

    # What the app captures

    async def capture(self, touchpoint: Touchpoint) -> bool:
        """Whether it was captured: only if she allows, and while the app is not paused.

        True: it is durable. Raises TouchpointError, StorageError, ClosedError.
        """
        device = self._device
        if device is None or not self.allows():
            self._counts["not_allowed"] += 1
            return False
        await device.capture(touchpoint)
        return True

    async def log_in(self, known_as: str) -> bool:
        """She logged in, as "loyalty:17" or the like. As `capture`."""
        return await self.capture(
            touchpoints.identify(seen=self._config.who, known_as=known_as, method="app")
        )

    async def locate(
        self, latitude_deg: float, longitude_deg: float, accuracy_m: float | None = None
    ) -> bool:
        """Where she is, if she allows GEOLOCATION besides. As `capture`.

        Raises ValueError where there is no such place.
        """
        if not (abs(latitude_deg) <= 90 and abs(longitude_deg) <= 180):
            raise ValueError("degrees are -90 to 90 north and -180 to 180 east")
        if accuracy_m is not None and not 0 <= accuracy_m < math.inf:
            raise ValueError("accuracy_m is a distance in metres")
        if not self.allows(GEOLOCATION):
            self._counts["not_allowed"] += 1
            return False
        return await self.capture(
            touchpoints.geolocation(
                visitor=self._config.who,
                latitude_e7=round(latitude_deg * 1e7),
                longitude_e7=round(longitude_deg * 1e7),
                accuracy_cm=None if accuracy_m is None else round(accuracy_m * 100),
            )
        )

    async def drained(self) -> None:
        """Return when the bridge holds what was captured, or the session has ended."""
        device = self._device
        if device is not None:
            drained = asyncio.ensure_future(device.drained())
            ended = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait((drained, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                drained.cancel()
                ended.cancel()

    # What the app shows

    async def prompts(self) -> AsyncIterator[Prompt]:
        """Each prompt that arrives, while she allows; through all pauses, until the app is left."""
        while not self._left:
            device, changed = self._device, self._changed
            if device is None or not self.allows():
                await changed.wait()
                continue
            async for prompt in device.prompts:  # ends with the session
                if self.allows():
                    yield prompt

    # What the system does

    async def pause(self) -> None:
        """The app is about to be suspended: commit what was captured, hear nothing, hang up."""
        self._paused = True
        async with self._lock:
            await self._close()

    async def resume(self) -> None:
        """The app is back, after a second or a month. Raises ConfigError, StorageError."""
        self._paused = False
        async with self._lock:
            await self._open()

    # Sessions: from one waking to the next sleep

    async def _open(self) -> None:
        if self._session is not None or self._paused or self._left:
            return
        if not self._consent.allowed and not self._consent.untold:
            return  # nothing to do, and nobody to talk to
        self.clock.read()
        source = self._radio(self.clock) if self._radio is not None and self.allows() else None
        async with AsyncExitStack() as stack:
            device = Device(self._config.device, clock=self.clock)
            await stack.enter_async_context(device)
            await self._tell(device)
            if source is not None:
                await source.__aenter__()
                stack.push_async_callback(source.__aexit__, None, None, None)
                task = asyncio.create_task(self._listen(source), name="store app radio")
                stack.push_async_callback(_ended, task)
            self._session = stack.pop_all()
        self._device = device
        self._counts["sessions"] += 1
        self._notify()

    async def _close(self) -> None:
        session, self._session = self._session, None
        device, self._device = self._device, None
        try:
            if device is not None and self._engine is not None and self.allows():
                # A sleep may last a month: the visit does not.
                found = self._found + _no_sightings(self._engine.close(self.clock.now_ms()))
                await self._capture(device, found)
        except Exception:  # a bug of the engine's must not keep the radio on
            self._counts["failed"] += 1
            log.exception("the store app could not end its visit")
        finally:
            self._forget()
            if session is not None:
                await session.aclose()
            self._notify()

    def _forget(self) -> None:
        """All that was heard and is not captured."""
        self._windows.clear()
        self._found = []
        self._engine = None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _tell(self, device: Device) -> None:
        """Tell the bridge what it may not know. A withdrawal is told until the bridge has it."""
        for purpose, granted in self._consent.untold.items():
            await device.capture(
                touchpoints.consent(
                    subject=self._config.who, purpose=purpose, granted=granted, source="app"
                )
            )
            if granted:
                self._consent.say(purpose, granted=True, told=True)
        await asyncio.to_thread(self._consent.save)

    async def _listen(self, source: Source) -> None:
        try:
            async for item in source:
                if isinstance(item, Reading) and self.allows():
                    self._hear(item)
            self._radio_failed("it ended by itself")
        except EdgeError as error:
            self._radio_failed(str(error))
        except Exception as error:  # the top of a task: a radio is somebody's driver
            log.exception("store app radio")
            self._radio_failed(type(error).__name__)

    def _radio_failed(self, why: str) -> None:
        self._counts["failed"] += 1
        log.error("the radio failed; it is tried again when the app resumes: %s", why)

    def _hear(self, reading: Reading) -> None:
        at_ms, _, beacon, rssi_dbm = reading
        name = self._windows.hear(self.clock.now_ms(), at_ms, beacon, rssi_dbm)
        if name is None or self._fresh_engine is None:
            return
        if self._engine is None:
            self._engine = self._fresh_engine()
        found = self._engine.hear(at_ms, name, self._config.who, rssi_dbm)
        self._found += _no_sightings(found)

    # What time brings

    async def _keep(self) -> None:
        while True:
            await self.clock.sleep(_TICK_S)
            try:
                await self._tick()
            except EdgeError as error:
                self._failed()
                log.error("the store app goes on without: %s", error)
            except Exception:  # the top of a task: a bug must not make the app deaf for good
                self._failed()
                log.exception("the store app goes on")

    def _failed(self) -> None:
        self._counts["failed"] += 1
        self._try_again_in = _TRY_AGAIN_TICKS

    async def _tick(self) -> None:
        if self._try_again_in:
            self._try_again_in -= 1
            return
        if self._session is not None and self.clock.jumped_ms() > _JUMP_MS:
            self._counts["jumps"] += 1
            log.info("the clock has jumped or stood still: a new session")
            async with self._lock:
                await self._close()
        if self._session is None:
            async with self._lock:
                await self._open()
        device = self._device
        if device is None:
            return
        heard = self._heard()
        if self.allows():
            await self._capture(device, heard)
        if self._consent.untold:
            await self._told()

    async def _capture(self, device: Device, touchpoints: list[Touchpoint]) -> None:
        """What the disk does not take is lost, and counted: the next is heard in a second."""
        try:
            if touchpoints:
                await device.capture_many(touchpoints)
        except EdgeError as error:
            self._counts["lost"] += len(touchpoints)
            log.error("the store app could not keep what it heard: %s", error)

    def _heard(self) -> list[Touchpoint]:
        """What the radio brought, ready to be captured."""
        now_ms = self.clock.now_ms()
        sightings = self._windows.close(now_ms)
        self._counts["sightings"] += len(sightings)
        found, self._found = self._found, []
        if self._engine is not None:
            found += _no_sightings(self._engine.tick(now_ms))
        return found + sightings

    async def _told(self) -> None:
        """Once the bridge has everything, it has been told; without a yes nothing more is said."""
        async with self._lock:
            device = self._device
            if device is None or device.status().outbox_batches:
                return
            for purpose, granted in self._consent.untold.items():
                self._consent.say(purpose, granted, told=True)
            await asyncio.to_thread(self._consent.save)
            if not self._consent.allowed:
                await self._close()


def _no_sightings(touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    """The app sums up what it hears itself (beacon_windows.py)."""
    return [touchpoint for touchpoint in touchpoints if touchpoint.name != "sighting"]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
