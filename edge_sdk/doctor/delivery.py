"""Check `delivery`: one `device.health` all the way to the bridge, and its acknowledgement back.

It is the only proof of all: that the broker lets both through, that the bridge knows this device,
and that their keys agree. It opens an epoch, as a start of the device does, so it is asked for.
"""

import asyncio
import time
from pathlib import Path

from edge_sdk import touchpoints
from edge_sdk.device import Device, DeviceConfig, Status
from edge_sdk.doctor.finding import FAIL, OK, Finding
from edge_sdk.errors import EdgeError


async def check_delivery(
    home: Path, broker: str, ca_file: str | None, within_s: float = 20.0
) -> Finding:
    """Whether the bridge held it within that time. What waits in the outbox goes before it."""
    began_s = time.monotonic()
    try:
        async with Device(DeviceConfig(home, broker, ca_file=ca_file)) as device:
            waited = device.status().outbox_batches
            await device.capture(
                touchpoints.device_health(
                    uptime_s=0, outbox_bytes=0, outbox_batches=0, shed_batches=0, disk_free_mb=0
                )
            )
            try:
                async with asyncio.timeout(within_s):
                    await device.drained()
            except TimeoutError:
                return _late(device.status(), within_s)
    except EdgeError as error:
        to_do = "if the device is running, that is good: stop it, or leave --deliver out"
        return Finding("delivery", FAIL, str(error), to_do)
    took_s = time.monotonic() - began_s
    what = f"the bridge holds a touchpoint of this device, after {took_s:.1f} s"
    return Finding("delivery", OK, f"{what} ({waited} batches waited before it)")


def _late(status: Status, within_s: float) -> Finding:
    what = f"the bridge acknowledged nothing in {within_s:g} s"
    refused = {**status.refused_by_broker, **status.refused_by_bridge}
    if refused:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(refused.items()))
        to_do = "`cloud-bridge devices` tells whether it is enrolled, revoked or enrolled anew"
        return Finding("delivery", FAIL, f"{what}; refused: {reasons}", to_do)
    if not status.connected:
        return Finding(
            "delivery", FAIL, f"{what}; the broker is not connected", "see `broker` above"
        )
    to_do = (
        "does the bridge run, at this broker, with this device among `cloud-bridge devices`?"
        " To an unknown device it says nothing"
    )
    return Finding("delivery", FAIL, what, to_do)
