"""A tablet with a GNSS receiver: to come near the store is a visit, and the bridge hears of it.

Without hardware a simulated receiver walks there, 300 times as fast as people do; with one:
  python examples/geofence.py /dev/ttyACM0
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from cloud_bridge.factory import Bridge, Config
from edge_sdk import Device, DeviceConfig, enrol
from edge_sdk.fence_file import parse_fences
from edge_sdk.presence.geofence import Geofences
from edge_sdk.sources.geofence import GeofenceSource, Gnss, Port
from simulators import serial_lines

FENCES = """
[[fence]]
name = "store"
center = [48.8706, 2.3317]
radius_m = 150

[[fence]]
name = "car-park"
corners = [[48.8709, 2.3317], [48.8709, 2.3324], [48.8714, 2.3324], [48.8714, 2.3317]]
"""


async def main(folder: Path, path: str | None) -> None:
    """Capture the visits of whoever carries the tablet until she leaves the store."""
    async with AsyncExitStack() as stack:
        config = Config(folder / "bridge", tenant="acme", http_port=0)
        bridge = await stack.enter_async_context(Bridge(config))
        enrol(bridge.enrol("paris-1", "tablet-1"), folder / "tablet")
        tablet = Device(DeviceConfig(folder / "tablet", bridge.broker_url))
        await stack.enter_async_context(tablet)
        if path is None:
            receiver = stack.enter_context(serial_lines.PseudoPort(folder / "receiver"))
            path = str(receiver.path)
            walk = serial_lines.play(receiver, serial_lines.gnss(seed=1), speed=300)
            stack.callback(asyncio.create_task(walk).cancel)
        fences = Geofences(parse_fences(FENCES), "app:17", settle_ms=50)  # in haste; else 15 s
        source = GeofenceSource(Gnss(Port(path, silence_s=10)), fences)
        async for visit in await stack.enter_async_context(source):
            await tablet.capture(visit)
            print(told := f"{visit.name} {visit.get('zone')}", visit.get("probability_pct"), "%")
            if told == "visit.exit store":
                break
        await tablet.drained()
        print(tablet.status().delivered_batches, "batches delivered")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name), sys.argv[1] if len(sys.argv) > 1 else None))
