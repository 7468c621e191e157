"""One edge device of the kill campaign: captures without pause and shows prompts.

    python -m benches._kill_device HOME BROKER JOURNAL STOP_FILE ROLE

It goes on until the stop file exists. The journal gets a line for each touchpoint whose `capture()`
returned, and one for each prompt that was handed to the application. It outlives the process, as a
page that was written does.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from benches._audit import AuditedSuite
from edge_sdk import Device, DeviceConfig, Touchpoint, touchpoints

# Whose prompts the campaign wants: these beacons log in on the web before it starts.
SHOPPERS = 40
DRAIN_S = 90


class Journal:
    """Lines that survive `kill -9`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *words: object) -> None:
        os.write(self._descriptor, (" ".join(map(str, words)) + "\n").encode())


async def main(home: Path, broker: str, journal_path: Path, stop: Path, role: str) -> int:
    journal = Journal(journal_path)
    suite = AuditedSuite(journal_path.with_suffix(".keys"))
    async with Device(DeviceConfig(home, broker), suite=suite) as device:
        showing = asyncio.create_task(_show(device, journal))
        life = f"{role}-{time.time_ns():x}"
        bulk = asyncio.create_task(_bulk(device, journal, life, stop))
        await _live(device, journal, life, stop)
        await bulk
        async with asyncio.timeout(DRAIN_S):
            await device.drained()
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    return 0


def _told_to(stop: Path) -> bool:
    return stop.exists()


async def _live(device: Device, journal: Journal, life: str, stop: Path) -> None:
    """Visits that trigger prompts, one by one, each with a name of its own."""
    rng = random.Random(life)
    number = 0
    while not _told_to(stop):
        number += 1
        name = f"{life}-live-{number}"
        shopper = rng.randrange(SHOPPERS)
        visit: list[Touchpoint] = [
            touchpoints.custom(name=name),
            touchpoints.visit_enter(visit=number, visitor=f"ble:{shopper:012x}", zone="coffee"),
        ]
        await device.capture_many(visit)
        journal.write("captured", name)
        await asyncio.sleep(rng.uniform(0, 0.05))


async def _bulk(device: Device, journal: Journal, life: str, stop: Path) -> None:
    """Interactions in bulk, by `capture`, several at once."""
    number = 0
    while not _told_to(stop):
        names = [f"{life}-bulk-{number + at}" for at in range(20)]
        number += 20
        await asyncio.gather(*(_capture(device, journal, name) for name in names))
        await asyncio.sleep(0.02)


async def _capture(device: Device, journal: Journal, name: str) -> None:
    await device.capture(touchpoints.page_view(session="cookie:bench", page=name))
    journal.write("captured", name)


async def _show(device: Device, journal: Journal) -> None:
    async for prompt in device.prompts:
        journal.write("shown", prompt.id)
        await prompt.shown()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    paths = [Path(arguments[0]), Path(arguments[2]), Path(arguments[3])]
    sys.exit(asyncio.run(main(paths[0], arguments[1], paths[1], paths[2], arguments[4])))
