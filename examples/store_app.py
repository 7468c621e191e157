"""A shopper's app: she allows it, walks up to the coffee machines, and is shown an offer.

The phone's radio is real bleak. On Linux it hears a made-up shelf beacon; elsewhere, real ones.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from cloud_bridge.factory import Bridge, Config
from edge_sdk import DeviceConfig, enrol, touchpoints
from edge_sdk.presence import NearestReceiver
from edge_sdk.presence.beacons import IBeacon, to_advertisement
from edge_sdk.sources.bluetooth import Bluetooth
from edge_sdk.store_app import AppConfig, StoreApp

if sys.platform == "linux":
    from simulators.bluez import BlueZ

SHELF = IBeacon(bytes.fromhex("f7826da64fa24e988024bc5b71e0893e"), 1, 7, -59)
ADAPTER = "hci0" if sys.platform == "linux" else ""
RULE = """[[rule]]
offer = "coffee-tasting"
category = "coffee"
within_days = 14
zone = "coffee"
purpose = "in_store_prompts"
surface = "app"
title = "Try before you decide"
body = "The espresso machines you looked at are right here: taste one."
ttl_s = 120
cooldown_s = 86400
"""


async def main(folder: Path) -> None:
    """The store's bridge, its shelf beacon and the app, all in this process."""
    (folder / "rules.toml").write_text(RULE)
    config = Config(folder / "bridge", tenant="acme", http_port=0, rules=folder / "rules.toml")
    async with Bridge(config) as bridge, shelf():
        enrol(bridge.enrol("paris-1", "app-1", surface="app", zone="coffee"), folder / "app")
        await shop(
            AppConfig(
                DeviceConfig(folder / "app", bridge.broker_url),
                who="app:5f0c1a",  # random, made at installation
                beacons={SHELF.identifier: "shelf-7"},
            )
        )


async def shop(config: AppConfig) -> None:
    """What the app does. Without an engine of its own it would leave finding her to the bridge."""
    app = StoreApp(
        config,
        lambda clock: Bluetooth({ADAPTER: "phone"}, clock=clock, reset=False),
        lambda: NearestReceiver({"shelf-7": "coffee"}),
    )
    async with app:
        await app.allow()  # she taps "yes": until then the app is deaf and dumb
        await app.log_in("loyalty:17")
        view = touchpoints.page_view(session=config.who, page="/coffee/1", category="coffee")
        await app.capture(view)
        async for prompt in app.prompts():
            print(prompt.title, "-", prompt.body)
            await prompt.shown()
            break
        await app.withdraw()
        print("she has withdrawn, and the app is silent:", not app.allows())


@contextlib.asynccontextmanager
async def shelf() -> AsyncIterator[None]:
    """A beacon on the air, for a phone that has none around."""
    if sys.platform != "linux":
        yield
        return

    async def advertise(air: BlueZ) -> None:
        while True:
            air.advertise(ADAPTER, "C0:FF:EE:00:00:01", -60, to_advertisement(SHELF))
            await asyncio.sleep(0.1)

    async with BlueZ([ADAPTER]) as air:
        task = asyncio.create_task(advertise(air))
        yield
        task.cancel()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
