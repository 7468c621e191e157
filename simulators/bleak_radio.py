"""A store day on the air for the real bleak: each receiver of the store is an adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge_sdk.clock import PacedClock
from edge_sdk.sources.bluetooth import Bluetooth
from simulators.bluez import BlueZ
from simulators.store_day import StoreDay, replay

# A replayed day has quiet minutes in which a distant radio hears nobody. A real radio hears some
# neighbour's television; nothing is wrong with ours.
_SILENCE_S = 900.0
_AT_ONCE = 64
_FLAGS = bytes([2, 0x01, 0x06])  # the beacons of this day are known by their addresses


__all__ = ["BlueZ", "adapters_of", "broadcast", "on_bleak"]


def adapters_of(day: StoreDay) -> dict[str, str]:
    """Adapter -> receiver: "hci0" and so on, in the order of the receivers' names."""
    return {f"hci{number}": name for number, name in enumerate(sorted(day.zones))}


@asynccontextmanager
async def on_bleak(day: StoreDay, clock: PacedClock) -> AsyncIterator[tuple[Bluetooth, BlueZ]]:
    """A source that scans as many adapters as the store has receivers, and their peer."""
    adapters = adapters_of(day)
    async with BlueZ([*adapters], clock) as peer:
        yield Bluetooth(adapters, clock=clock, silence_s=_SILENCE_S), peer


async def broadcast(day: StoreDay, peer: BlueZ, speed: float) -> None:
    """Play a day to whoever scans, once somebody does; returns with its last reading."""
    adapters = {receiver: adapter for adapter, receiver in adapters_of(day).items()}
    addresses = {shopper.visitor: address_of(shopper.beacon) for shopper in day.shoppers}
    await peer.until_scanned()
    count = 0
    async for heard in replay(day.readings(), speed):
        adapter, address = adapters[heard.receiver], addresses[heard.beacon]
        peer.advertise(adapter, address, heard.rssi_dbm, _FLAGS, "public")
        count += 1
        if count % _AT_ONCE == 0:
            await peer.told()
    await peer.told()


def address_of(beacon: str) -> str:
    """Twelve hexadecimal digits as a Bluetooth address."""
    return ":".join(beacon[at : at + 2] for at in range(0, 12, 2)).upper()
