"""Check `passive`: what a passive scan misses that an active one hears, of the same air.

BlueZ tells a passive scan of a sender again only when its strength has changed by 8 dB or more
(or after some seconds), so a steady beacon seems gone. The SDK scans actively; a program that does
not sees what this check shows.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Literal

from edge_sdk.doctor.finding import OK, SKIPPED, WARN, Finding

try:
    from bleak import BleakScanner
    from bleak.args.bluez import BlueZScannerArgs, OrPattern
    from bleak.assigned_numbers import AdvertisementDataType
    from bleak.exc import BleakError
except ImportError:
    BleakScanner = None  # type: ignore[assignment,misc]

_MUCH_LESS = 0.5


async def check_passive(adapters: Sequence[str], listen_s: float) -> list[Finding]:
    """Hear each adapter actively and then passively for as long."""
    if BleakScanner is None or sys.platform != "linux":
        return [Finding("passive", SKIPPED, "passive scans are BlueZ's, and need bleak")]
    return [await _compared(adapter, listen_s) for adapter in adapters or ("hci0",)]


async def _compared(adapter: str, listen_s: float) -> Finding:
    # The flags that connectable devices and beacons send first: a passive scan wants a pattern.
    flags: list[OrPattern | tuple[int, AdvertisementDataType, bytes]] = [
        OrPattern(0, AdvertisementDataType.FLAGS, bytes([value])) for value in (0x06, 0x04, 0x1A)
    ]
    try:
        # As the SDK scans (edge_sdk/sources/bluetooth.py).
        active = BlueZScannerArgs(adapter=adapter, filters={"DuplicateData": True})
        actively = await _count(listen_s, "active", active)
        passive = BlueZScannerArgs(adapter=adapter, or_patterns=flags)
        passively = await _count(listen_s, "passive", passive)
    except (BleakError, OSError) as error:
        what = f"{adapter}: no passive scan ({type(error).__name__})"
        return Finding("passive", SKIPPED, what, "BlueZ allows it with --experimental")
    what = f"{adapter}: {passively} passively and {actively} actively, in {listen_s:g} s each"
    if passively < _MUCH_LESS * actively:
        to_do = "scan actively: BlueZ hides changes under 8 dB from a passive scan"
        return Finding("passive", WARN, what, to_do)
    return Finding("passive", OK, what)


async def _count(
    listen_s: float, mode: Literal["active", "passive"], where: "BlueZScannerArgs"
) -> int:
    heard = 0

    def count(_device: object, _data: object) -> None:
        nonlocal heard
        heard += 1

    async with BleakScanner(count, scanning_mode=mode, bluez=where):
        await asyncio.sleep(listen_s)
    return heard
