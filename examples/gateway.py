"""A gateway with a radio in each of two zones: beacons on the air become visits in the cloud.

In a shop, leave out the peer: the same lines scan the adapters that `bluetoothctl list` shows.
"""

import asyncio
import tempfile
from pathlib import Path

from cloud_bridge.factory import Bridge, Config
from edge_sdk import Device, DeviceConfig, enrol
from edge_sdk.gateway import Gateway
from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import IBeacon
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.sources.bluetooth import Bluetooth
from simulators.bluez import BlueZ

RECEIVERS = {"hci0": "by-the-door", "hci1": "by-the-coffee"}  # adapter -> receiver
ZONES = {"by-the-door": "entrance", "by-the-coffee": "coffee"}  # receiver -> zone


async def main(folder: Path) -> None:
    """Bridge and broker are in this process; in the cloud they are `cloud-bridge run`."""
    async with Bridge(Config(folder / "bridge", tenant="acme", http_port=0)) as bridge:
        enrol(bridge.enrol("paris-1", "gateway-1"), folder / "gateway")
        config = DeviceConfig(folder / "gateway", bridge.broker_url)
        async with BlueZ([*RECEIVERS]) as peer, Device(config) as device:
            radio = Bluetooth(RECEIVERS, clock=device.clock)
            async with Gateway(device, NearestReceiver(ZONES), {"radio": radio}) as gateway:
                await walk_to_the_coffee(peer)
                print("heard:", gateway.counts["readings"], "readings")
            await device.drained()
            print("delivered:", device.status().captured, "touchpoints")


async def walk_to_the_coffee(peer: BlueZ) -> None:
    """A shopper's phone, heard ever better by the second radio, for five seconds."""
    advertisement = to_advertisement(IBeacon(bytes(range(16)), major=1, minor=7, power_dbm=-59))
    await peer.until_scanned()
    for step in range(50):
        peer.advertise("hci0", "C0:FF:EE:00:00:07", -85, advertisement)
        peer.advertise("hci1", "C0:FF:EE:00:00:07", -75 + step // 5, advertisement)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
