"""The scan of one Bluetooth adapter by bleak: begun, watched, healed, and begun again."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edge_sdk.clock import PacedClock
from edge_sdk.errors import ConfigError, RadioError
from edge_sdk.presence.beacons import identify, parse_data
from edge_sdk.sources import trouble
from edge_sdk.sources.reading import Reading

try:
    from bleak import BleakScanner
    from bleak.args.bluez import BlueZScannerArgs
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData
    from bleak.exc import (
        BleakBluetoothNotAvailableError,
        BleakBluetoothNotAvailableReason,
        BleakDBusError,
        BleakError,
    )
except ImportError as missing:
    raise ConfigError("Bluetooth needs an extra: pip install 'edge-sdk[bluetooth]'") from missing

if sys.platform == "linux":
    from edge_sdk.sources import bluez, lean_scanner

log = logging.getLogger(__name__)

LINUX = sys.platform == "linux"
THE_ONLY_ADAPTER = ""  # where the system does not tell adapters apart: macOS, Windows

_LOOK_EVERY_S = 5.0
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0
_HANGS_AFTER_S = 30.0  # a call to the system that takes longer is given up
_SETTLE_S = 1.0  # between off and on
_MOST_ADDRESSES = 4096

_NO_RSSI_DBM = -127  # what bleak says where BlueZ says nothing
_MOST_RSSI_DBM = 20  # 127 is "not available" (Bluetooth Core, HCI RSSI), and a radio can lie

_CURED_BY_RESET = (trouble.SILENT, trouble.FAILED)
_NEW = tuple.__new__

_TROUBLE_OF_REASON = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: trouble.ABSENT,
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: trouble.ABSENT,
    BleakBluetoothNotAvailableReason.POWERED_OFF: trouble.OFF,
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: trouble.DENIED,
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: trouble.DENIED,
    BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN: trouble.DENIED,
}


@dataclass(slots=True)
class AdapterStatus:
    """One adapter: what is the matter with it (a key of TROUBLES, or None), and counts.

    heard     advertisements that bleak handed over
    readings  of them, those that are a beacon's and say how strong it was
    dropped   the others, by why: "rssi" (not available, or absurd), "beacon" (no identifier)
    starts    scans that began; silences, how often one fell silent; resets, those that succeeded
    failures  starts and resets that failed, by trouble
    """

    adapter: str
    receiver: str
    trouble: str | None = None
    heard: int = 0
    readings: int = 0
    starts: int = 0
    silences: int = 0
    resets: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {"rssi": 0, "beacon": 0})
    failures: dict[str, int] = field(default_factory=dict)


class _Scanner(Protocol):
    """What is used of a scanner of bleak's."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class _Known:
    """What an address last said, and what it is called for that."""

    manufacturer_data: Mapping[int, bytes]
    service_data: Mapping[str, bytes]
    beacon: str | None
    by_frame: bool


class Scan:
    """The scan of one adapter, for as long as `run` runs; `put` is given each reading."""

    def __init__(
        self,
        adapter: str,
        receiver: str,
        clock: PacedClock,
        put: Callable[[Reading], None],
        *,
        silence_s: float,
        reset: bool,
    ) -> None:
        self.status = AdapterStatus(adapter, receiver)
        self._adapter = adapter
        self._receiver = receiver
        self._clock = clock
        self._now_ms = clock.now_ms
        self._put = put
        self._silence_s = silence_s
        self._reset = reset and LINUX and adapter != THE_ONLY_ADAPTER
        self._known: dict[str, _Known] = {}
        self._switched_off = False  # by us, or perhaps so, and not known to be on again yet

    @property
    def task_name(self) -> str:
        return f"bluetooth {self._adapter or 'scan'}"

    async def run(self) -> None:
        """Scan, and when that fails or falls silent, try again: at once, then ever less often."""
        pause_s = 0.0
        try:
            while True:
                heard = self.status.heard
                await self._scan_and_tell()
                if self.status.heard > heard:
                    pause_s = 0.0
                await self._clock.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s or _FIRST_PAUSE_S)
                if self.status.trouble in _CURED_BY_RESET or self._switched_off:
                    await self._heal()
        finally:
            if self._switched_off:
                await self._heal()
            if self._switched_off:
                log.warning(
                    "%s: it may be switched off still, amid a reset; `bluetoothctl power on`",
                    self.task_name,
                )

    async def _scan_and_tell(self) -> None:
        """One scan, until it is silent or fails; that is told."""
        try:
            await self._scan_until_silent()
            self.status.silences += 1
            self._tell(trouble.SILENT, f"for {self._silence_s:.0f} s")
        except Exception as error:  # the top of a task: bleak and its bus raise all sorts
            log.debug("%s", self.task_name, exc_info=True)
            self._tell(*_trouble_of(error))

    async def _scan_until_silent(self) -> None:
        arguments: BlueZScannerArgs = {"filters": {"DuplicateData": True}}
        if self._adapter != THE_ONLY_ADAPTER:
            arguments["adapter"] = self._adapter
        scanner = self._scanner(arguments)
        async with asyncio.timeout(_HANGS_AFTER_S):
            await scanner.start()
        self.status.starts += 1
        if self.status.trouble != trouble.SILENT:
            self._recovered()
        try:
            await self._until_silent()
        finally:
            await self._stop(scanner)

    async def _until_silent(self) -> None:
        """Return when nothing was heard for `silence_s`, look by look.

        A look that took far too long adds little: a program that was held up for a minute has not
        heard its adapter for a minute either, and nothing is wrong with that.
        """
        look_s = min(_LOOK_EVERY_S, self._silence_s)
        silent_s = 0.0
        while silent_s < self._silence_s:
            heard, began_ms = self.status.heard, self._clock.now_ms()
            await self._clock.sleep(look_s)
            silent_s += min((self._clock.now_ms() - began_ms) / 1000, 2 * look_s)
            if self.status.heard > heard:
                silent_s = 0.0
                self._recovered()

    def _scanner(self, arguments: BlueZScannerArgs) -> "_Scanner":
        if sys.platform == "linux" and lean_scanner.USABLE:
            return lean_scanner.LeanScanner(self._heard, arguments)
        return BleakScanner(self._detected, scanning_mode="active", bluez=arguments)

    async def _stop(self, scanner: "_Scanner") -> None:
        # A scan that is dead, or whose adapter is gone, need not be ended in order.
        try:
            async with asyncio.timeout(_HANGS_AFTER_S):
                await scanner.stop()
        except Exception:
            log.debug("%s: stopping", self.task_name, exc_info=True)

    def _detected(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        """What bleak calls where there is no shorter way."""
        self._heard(
            device.address,
            advertisement.rssi,
            advertisement.manufacturer_data,
            advertisement.service_data,
            "",
        )

    def _heard(
        self,
        address: str,
        rssi_dbm: int,
        manufacturer_data: Mapping[int, bytes],
        service_data: Mapping[str, bytes],
        address_type: str,
    ) -> None:
        # The hot path: it is called for every advertisement.
        status = self.status
        if rssi_dbm == _NO_RSSI_DBM:  # also what BlueZ tells of every device when a scan ends
            status.dropped["rssi"] += 1
            return
        status.heard += 1
        if not _NO_RSSI_DBM < rssi_dbm <= _MOST_RSSI_DBM:
            status.dropped["rssi"] += 1
            return
        known = self._known.get(address)
        if (
            known is None
            or known.manufacturer_data != manufacturer_data
            or known.service_data != service_data
        ):
            known = self._identified(address, manufacturer_data, service_data, address_type)
        if known.beacon is None:
            status.dropped["beacon"] += 1
            return
        status.readings += 1
        # As Reading(...), without a call of Python's in between.
        self._put(_NEW(Reading, (self._now_ms(), self._receiver, known.beacon, rssi_dbm)))

    def _identified(
        self,
        address: str,
        manufacturer_data: Mapping[int, bytes],
        service_data: Mapping[str, bytes],
        address_type: str,
    ) -> _Known:
        """What to call an address that says something new.

        A beacon that takes turns, an identity now and its battery then, keeps its name in between.
        """
        before = self._known.pop(address, None)
        frame = parse_data(manufacturer_data, service_data)
        by_frame = frame is not None and frame.scheme is not None
        if before is not None and before.by_frame and not by_frame:
            beacon, by_frame = before.beacon, True
        else:
            # Only BlueZ tells a public address from one that its owner drew, as phones do.
            beacon = identify(address, frame, address_type != "public")
        known = _Known(manufacturer_data, service_data, beacon, by_frame)
        if len(self._known) >= _MOST_ADDRESSES:
            del self._known[next(iter(self._known))]
        self._known[address] = known
        return known

    async def _heal(self) -> None:
        """Reset the adapter, where that is possible and allowed."""
        if sys.platform != "linux" or not self._reset:
            return
        try:
            if not self._switched_off:
                if not await bluez.powered(self._adapter):
                    return  # somebody has switched it off: that is theirs to undo
                await _to_the_end(self._switch(on=False))
                await self._clock.sleep(_SETTLE_S)
            await _to_the_end(self._switch(on=True))
            self.status.resets += 1
        except Exception as error:  # as for a scan: it must be begun again in any case
            kind = error.trouble if isinstance(error, RadioError) else trouble.FAILED
            self._count(f"reset_{kind}")
            log.debug("%s: reset", self.task_name, exc_info=True)

    async def _switch(self, on: bool) -> None:
        """Switch the adapter. What is not answered may have been done, or be done later."""
        if sys.platform != "linux":
            return
        self._switched_off = True
        try:
            await bluez.power(self._adapter, on=on)
        except RadioError as error:
            self._switched_off = on or error.trouble == trouble.NO_SERVICE
            raise
        self._switched_off = not on

    def _recovered(self) -> None:
        if self.status.trouble is not None:
            log.info("%s: scans again", self.task_name)
        self.status.trouble = None

    def _tell(self, kind: str, detail: str) -> None:
        """Log a trouble when it begins, and count it each time."""
        self._count(kind)
        if kind != self.status.trouble:
            what, to_do = trouble.TROUBLES[kind]
            log.warning("%s: %s (%s); %s", self.task_name, what, detail, to_do)
        self.status.trouble = kind

    def _count(self, kind: str) -> None:
        self.status.failures[kind] = self.status.failures.get(kind, 0) + 1


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Await it; whoever is cancelled meanwhile is cancelled when it is done.

    An order to switch that was sent cannot be called back, and while BlueZ carries it out it takes
    no other: the adapter would stay off.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # it is told to nobody: who is cancelled asks no more
    raise cancelled


def _trouble_of(error: Exception) -> tuple[str, str]:
    """What an error of bleak's or of the bus means, and its name: its text may name a device."""
    detail = type(error).__name__
    match error:
        case BleakBluetoothNotAvailableError():
            return _TROUBLE_OF_REASON.get(error.reason, trouble.FAILED), error.reason.name.lower()
        case BleakDBusError():
            name = error.dbus_error
            return trouble.OF_DBUS_ERROR.get(name, trouble.FAILED), name
        case BleakError() if str(error).endswith("not found"):
            return trouble.ABSENT, detail
        case TimeoutError():
            return trouble.NO_SERVICE, f"no answer in {_HANGS_AFTER_S:.0f} s"
        case OSError() | EOFError():
            return trouble.NO_SERVICE, detail
    return trouble.FAILED, detail
