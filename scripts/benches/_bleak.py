"""What an advertisement costs on its way through bleak and our source, in processor time.

The D-Bus peer plays BlueZ in a thread of its own, so its cost is not counted; what is counted is
all that the scanning thread does, from the socket's bytes to the reading that is handed over.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import IBeacon
from edge_sdk.sources.bluetooth import Bluetooth
from edge_sdk.sources.reading import Reading
from simulators.bluez import BlueZ

ADAPTER = "hci0"
RECEIVER = "receiver"
_AT_ONCE = 64  # advertisements before the peer waits until the socket has them


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of one update, in microseconds: bleak's alone, and with our source."""

    us_bleak: float
    us_source: float
    updates: int
    devices: int


def cost(
    updates: int = 20_000, devices: int = 100, hear: Callable[[Reading], object] | None = None
) -> Cost:
    """Push so many updates of so many beacons through bleak, twice: bare, and by our source.

    `hear` is called with each reading, and its time is counted with our source's.
    """
    bare = asyncio.run(_bare(updates, devices))
    source = asyncio.run(_source(updates, devices, hear or _ignore))
    return Cost(round(bare, 2), round(source, 2), updates, devices)


async def _bare(updates: int, devices: int) -> float:
    count, began_s = 0, 0.0
    done = asyncio.Event()

    def heard(_device: BLEDevice, _advertisement: AdvertisementData) -> None:
        nonlocal count, began_s
        count += 1
        if count == 1:
            began_s = time.thread_time()
        if count == updates:
            done.set()

    async with _flooded(updates, devices):
        filters = {"DuplicateData": True}
        scanner = BleakScanner(heard, bluez={"adapter": ADAPTER, "filters": filters})  # type: ignore[typeddict-item]
        async with scanner:
            await done.wait()
            took_s = time.thread_time() - began_s
    return 1e6 * took_s / (count - 1)


async def _source(updates: int, devices: int, hear: Callable[[Reading], object]) -> float:
    count, began_s = 0, 0.0
    source = Bluetooth({ADAPTER: RECEIVER}, max_queue=updates)
    async with _flooded(updates, devices), source:
        async for reading in source:
            count += 1
            if count == 1:
                began_s = time.thread_time()
            hear(reading)
            if count == updates:
                break
        took_s = time.thread_time() - began_s
    return 1e6 * took_s / (count - 1)


@asynccontextmanager
async def _flooded(updates: int, devices: int) -> AsyncIterator[None]:
    """A peer in a thread, which sends the updates as soon as somebody scans."""
    ready = threading.Event()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def play() -> None:
        async with BlueZ([ADAPTER]) as peer:
            loops.append(asyncio.get_running_loop())
            ready.set()
            await peer.until_scanned(ADAPTER)
            await _flood(peer, updates, devices)
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(play()), name="bluez", daemon=True)
    thread.start()
    await asyncio.to_thread(ready.wait)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join)


async def _flood(peer: BlueZ, updates: int, devices: int) -> None:
    beacons = [
        (f"C0:FF:EE:00:{n >> 8:02X}:{n & 255:02X}", to_advertisement(IBeacon(bytes(16), n, n, -59)))
        for n in range(devices)
    ]
    for number in range(updates):
        address, advertisement = beacons[number % devices]
        # Every round at another strength: also a scan without repeated data is told each time.
        peer.advertise(ADAPTER, address, -60 - number // devices % 20, advertisement)
        if number % _AT_ONCE == 0:
            await peer.told()
    await peer.told()


def _ignore(_reading: Reading) -> None:
    """Only the way here is measured."""
