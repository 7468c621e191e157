"""All checks in their order: from what is on this machine to what is far away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.doctor import clocks
from edge_sdk.doctor.bluetooth import check_bluetooth
from edge_sdk.doctor.broker import check_broker
from edge_sdk.doctor.delivery import check_delivery
from edge_sdk.doctor.disk import check_disk
from edge_sdk.doctor.finding import FAIL, SKIPPED, Finding
from edge_sdk.doctor.keys import check_keys
from edge_sdk.doctor.passive import check_passive
from edge_sdk.doctor.plan import check_plan
from edge_sdk.doctor.serial_ports import Named, check_serial


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at: a device's home, its broker, its bridge's HTTP, its store's plan, its ports.

    adapters  Bluetooth adapters that have to work, beside those of the plan
    listen_s  for how long each radio and each named port is heard
    passive   hear in passive mode as well, for comparison
    deliver   send one touchpoint all the way
    """

    home: Path | None = None
    broker: str | None = None
    ca_file: str | None = None
    bridge: str | None = None
    plan: Path | None = None
    adapters: Sequence[str] = ()
    serial: Sequence[Named] = ()
    listen_s: float = 5.0
    passive: bool = False
    deliver: bool = False


async def examine(wanted: Wanted) -> list[Finding]:
    """What every check found. Takes about `listen_s` for the radios and for each named port."""
    began = clocks.Moment.now()
    found: list[Finding] = []
    slot = None
    if wanted.home is None:
        found.append(Finding("keys", SKIPPED, "no home was named", "--home DIR"))
    else:
        keys, slot = check_keys(wanted.home)
        found += [*keys, *await asyncio.to_thread(check_disk, wanted.home)]
    adapters = list(wanted.adapters)
    if wanted.plan is not None:
        told, store = check_plan(wanted.plan)
        found += told
        adapters += sorted(store.adapters.values()) if store else []
    adapters = list(dict.fromkeys(adapters))
    found += await check_bluetooth(adapters, wanted.listen_s)
    if wanted.passive:
        found += await check_passive(adapters, wanted.listen_s)
    found += await asyncio.to_thread(check_serial, wanted.serial, wanted.listen_s)
    found += [clocks.check_year(began), clocks.check_kept()]
    found.append(clocks.check_straight(began, clocks.Moment.now()))
    if wanted.bridge is not None:
        found.append(await asyncio.to_thread(clocks.check_against, wanted.bridge))
    if wanted.broker is None:
        found.append(Finding("broker", SKIPPED, "no broker was named", "--broker mqtt://host:port"))
        return found
    broker = await check_broker(wanted.broker, wanted.ca_file, slot)
    found += broker
    if wanted.deliver and wanted.home is not None and slot is not None:
        if any(finding.result == FAIL for finding in broker):
            found.append(Finding("delivery", SKIPPED, "the broker has to be mended first"))
        else:
            found.append(await check_delivery(wanted.home, wanted.broker, wanted.ca_file))
    return found
