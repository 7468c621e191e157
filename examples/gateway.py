"""A gateway with a radio in each of two zones: beacons on the air become visits in the cloud.

`edge-sdk gateway` does the same without a line of code. In a shop, leave out the peer: the same
lines scan the adapters that `bluetoothctl list` shows.
"""

import asyncio
import tempfile
from pathlib import Path

from cloud_bridge.factory import Bridge, Config
from edge_sdk import Device, DeviceConfig, enrol
from edge_sdk.gateway import Gateway
from edge_sdk.plan_file import parse_plan
from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import IBeacon
from edge_sdk.sources.bluetooth import Bluetooth
from edge_sdk.store_engine import store_engine
from simulators.bluez import BlueZ

STORE = """
privacy = { mode = "consented", ours = ["ibeacon:000102030405060708090a0b0c0d0e0f"] }
receivers = [{ name = "by-the-door", x = 2, y = 3 }, { name = "by-the-coffee", x = 14, y = 3 }]
zones = [
  { name = "entrance", corners = [[0, 0], [8, 0], [8, 6], [0, 6]] },
  { name = "coffee", corners = [[8, 0], [16, 0], [16, 6], [8, 6]] },
]
"""
RECEIVERS = {"hci0": "by-the-door", "hci1": "by-the-coffee"}  # adapter -> receiver


async def main(folder: Path) -> None:
    """Bridge and broker are in this process; in the cloud they are `cloud-bridge run`."""
    async with Bridge(Config(folder / "bridge", tenant="acme", http_port=0)) as bridge:
        enrol(bridge.enrol("paris-1", "gateway-1"), folder / "gateway")
        config = DeviceConfig(folder / "gateway", bridge.broker_url)
        engine = store_engine(parse_plan(STORE), "gateway-1")
        async with BlueZ([*RECEIVERS]) as peer, Device(config) as device:
            radio = Bluetooth(RECEIVERS, clock=device.clock)
            async with Gateway(device, engine, {"radio": radio}) as gateway:
                await walk_to_the_coffee(peer)
                print("heard:", gateway.counts["readings"], "readings")
            await device.drained()
            print("delivered:", device.status().captured, "touchpoints")


async def walk_to_the_coffee(peer: BlueZ) -> None:
    """A shopper's tag, heard ever better by the second radio, for eight seconds."""
    advertisement = to_advertisement(IBeacon(bytes(range(16)), major=1, minor=7, power_dbm=-59))
    await peer.until_scanned()
    for step in range(80):
        peer.advertise("hci0", "C0:FF:EE:00:00:07", -85, advertisement)
        peer.advertise("hci1", "C0:FF:EE:00:00:07", -75 + step // 5, advertisement)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
