"""Check `bluetooth`: which adapters there are, whether they may be used, and what they hear."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding
from edge_sdk.errors import ConfigError, RadioError
from edge_sdk.sources import trouble

_MISSING = ""
try:
    from edge_sdk.sources.bluetooth import Bluetooth
    from edge_sdk.sources.bluetooth_scan import LINUX, THE_ONLY_ADAPTER
except ConfigError as error:
    _MISSING = str(error)
else:
    if sys.platform == "linux":
        from edge_sdk.sources import bluez

_ACTIVELY = "scanned actively: a passive scan would be told changes of 8 dB and more alone"


async def check_bluetooth(wanted: Sequence[str], listen_s: float) -> list[Finding]:
    """The wanted adapters, or all that there are; each is heard for `listen_s`, all at once.

    What is the matter with an adapter that nobody wants is no failure: a kiosk may do without.
    """
    found = await _found(wanted, listen_s)
    if wanted:
        return found
    return [replace(one, result=WARN) if one.result == FAIL else one for one in found]


async def _found(wanted: Sequence[str], listen_s: float) -> list[Finding]:
    if _MISSING:
        result = FAIL if wanted else SKIPPED
        to_do = "if you need it: pip install 'edge-sdk[bluetooth]'"
        return [Finding("bluetooth", result, "bleak is not installed", to_do)]
    if not LINUX:
        return [await _heard(THE_ONLY_ADAPTER, listen_s)]
    try:
        there = {adapter.name: adapter for adapter in await bluez.adapters()}
    except RadioError as error:
        return [_trouble("", error.trouble)]
    if not there and not wanted:
        return [_trouble("", trouble.ABSENT)]
    found = []
    able = []
    for name in wanted or there:
        if name not in there:
            others = f"; there is {', '.join(there)}" if there else "; there is none at all"
            found.append(_trouble(name, trouble.ABSENT, others))
        elif not there[name].powered:
            found.append(_trouble(name, trouble.OFF))
        elif not there[name].central:
            what = f"{name}: it cannot hear Bluetooth LE"
            found.append(Finding("bluetooth", FAIL, what, "take an adapter of Bluetooth 4.0 on"))
        else:
            able.append(name)
            if there[name].discovering:
                what = f"{name}: another program scans with it as well"
                found.append(Finding("bluetooth", OK, what))
    return [*found, *await asyncio.gather(*[_heard(name, listen_s) for name in able])]


def _trouble(adapter: str, which: str, more: str = "") -> Finding:
    what, to_do = trouble.TROUBLES[which]
    return Finding("bluetooth", FAIL, f"{adapter or 'Bluetooth'}: {what}{more}", to_do)


async def _heard(adapter: str, listen_s: float) -> Finding:
    """Listen as a gateway does, but change nothing about the adapter."""
    schemes: Counter[str] = Counter()
    senders: set[str] = set()

    async def listen(radio: Bluetooth) -> None:
        async for reading in radio:
            schemes[reading.beacon.partition(":")[0]] += 1
            senders.add(reading.beacon)

    async with Bluetooth({adapter: "doctor"}, silence_s=10 * listen_s, reset=False) as radio:
        task = asyncio.create_task(listen(radio))
        await asyncio.sleep(listen_s)
        status = radio.status[0]
    await task
    name = adapter or "the adapter"
    if status.trouble is not None:
        return _trouble(name, status.trouble)
    if not status.heard:
        return _trouble(name, trouble.SILENT, f" in {listen_s:g} s")
    told = ", ".join(f"{count} {scheme}" for scheme, count in schemes.most_common())
    what = f"{name}: {status.heard} advertisements of {len(senders)} senders in {listen_s:g} s"
    if not schemes:
        to_do = "it hears others; look whether the beacons are switched on and near"
        return Finding("bluetooth", WARN, f"{what}, none with an identifier", to_do)
    return Finding("bluetooth", OK, f"{what} ({told}); {_ACTIVELY}")
