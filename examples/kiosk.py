"""A kiosk with bridge and broker in the same process: a touchpoint in, a prompt out."""

import asyncio
import tempfile
from pathlib import Path

from cloud_bridge.factory import Bridge, Config
from edge_sdk import Device, DeviceConfig, enrol, touchpoints


async def main(folder: Path) -> None:
    """Somebody known by loyalty card looks at coffee machines online, and then walks in."""
    async with Bridge(Config(folder / "bridge", tenant="acme", http_port=0)) as bridge:
        token = bridge.enrol("paris-1", "kiosk-1", surface="kiosk", zone="coffee")
        enrol(token, folder / "kiosk")
        async with Device(DeviceConfig(folder / "kiosk", bridge.broker_url)) as kiosk:
            await browse_the_web_shop(kiosk)
            await kiosk.drained()
            walks_in = touchpoints.visit_enter(visit=1, visitor="ble:c0ffee", zone="coffee")
            await kiosk.capture(walks_in)
            async for prompt in kiosk.prompts:
                print(prompt.title, "-", prompt.body, "because of", ", ".join(prompt.why))
                await prompt.shown()
                break
            await kiosk.drained()
            print("delivered:", kiosk.status().delivered_batches, "batches")


async def browse_the_web_shop(kiosk: Device) -> None:
    """As a self-service screen would capture it; a web shop sends it to POST /collect."""
    await kiosk.capture_many(
        [
            touchpoints.page_view(session="cookie:9f", page="/coffee/1", category="coffee"),
            touchpoints.identify(seen="cookie:9f", known_as="loyalty:17", method="login"),
            touchpoints.identify(seen="ble:c0ffee", known_as="loyalty:17", method="app"),
            touchpoints.consent(subject="loyalty:17", purpose="in_store_prompts", granted=True),
        ]
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
