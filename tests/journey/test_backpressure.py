"""A disk that takes nothing: what is captured waits at the devices, and nothing between grows."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cloud_bridge import ingest
from cloud_bridge.batch import Batch
from cloud_bridge.factory import Bridge, Config
from cloud_bridge.sqlite_store import FILE_NAME, SqliteStore
from cloud_bridge.store import BATCH
from edge_sdk import Device, DeviceConfig, enrol, touchpoints
from edge_sdk.adapters.apsw_sqlite import open_connection
from edge_sdk.adapters.sqlite import Connection
from tests.journey.brokers import Mosquitto, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

DEVICES = 3
CAPTURES = 40
MOST = 80  # that may wait in a lane: a lane pauses at half of it, and has read 32 ahead by then
HELD_WITHIN_S = 60.0


class Disk:
    """The tenant's file, which can be made to take nothing."""

    def __init__(self) -> None:
        self._store: Connection | None = None

    def open(self, path: Path) -> Connection:
        connection = open_connection(path)
        if path.name == FILE_NAME:
            self._store = connection
        return connection

    def takes_nothing(self, word: str) -> None:
        assert self._store is not None
        for _ in self._store.execute(f"PRAGMA query_only = {word}"):
            pass


class Watch:
    """What waited in the bridge, looked at all the time."""

    def __init__(self, bridge: Bridge) -> None:
        self.most: Counter[str] = Counter()
        self._bridge = bridge

    async def run(self) -> None:
        while True:
            for lane, waiting in self._bridge.tenants["acme"].ingest.waiting().items():
                self.most[lane] = max(self.most[lane], waiting)
            await asyncio.sleep(0.005)

    def pauses(self) -> int:
        return sum(
            lane.counted["pauses"]
            for lane in self._bridge.tenants["acme"].subscriber.lanes.values()
        )

    def dropped(self) -> int:
        lanes = self._bridge.tenants["acme"].subscriber.lanes.values()
        return sum(lane.counted["dropped.queue_full"] for lane in lanes)


async def capture(device: Device, name: str, first: int) -> None:
    """Touchpoints one by one, each a batch: what can prompt by the live lane, the rest by bulk."""
    for number in range(first, first + CAPTURES):
        page = f"{name}/{number}"
        if number % 2:
            await device.capture(touchpoints.page_view(session="app:1", page=page))
        else:
            await device.capture(touchpoints.custom(name=page))


async def stalled(bridge: Bridge) -> None:
    async with asyncio.timeout(HELD_WITHIN_S):
        while bridge.health()["status"] == "ok":  # noqa: ASYNC110  a state, not an event
            await asyncio.sleep(0.02)


def logged(folder: Path) -> Counter[str]:
    """How often each page is in the log."""
    store = SqliteStore(folder / "bridge" / "acme")
    store.open("acme")
    try:
        return Counter(
            touchpoint.get("page") or touchpoint.get("name")
            for row in store.log()
            if row.kind == BATCH
            for touchpoint in Batch.from_body(row.body).touchpoints(lambda _: None)
        )
    finally:
        store.close()


async def scenario(folder: Path, broker: Mosquitto, protocol: str) -> None:
    disk = Disk()
    config = Config(folder / "bridge", tenant="acme", broker=broker.url(protocol), http_port=0)
    names = [f"d{number}" for number in range(DEVICES)]
    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(Bridge(config, open_database=disk.open))
        devices = {}
        for name in names:
            enrol(bridge.enrol("s", name), folder / name)
            device = Device(DeviceConfig(folder / name, broker.url(protocol)))
            devices[name] = await stack.enter_async_context(device)
        await asyncio.gather(*(capture(devices[name], name, 0) for name in names))
        async with asyncio.timeout(HELD_WITHIN_S):
            await asyncio.gather(*(device.drained() for device in devices.values()))
        watch = Watch(bridge)
        watching = asyncio.create_task(watch.run())
        disk.takes_nothing("ON")
        await asyncio.gather(*(capture(devices[name], name, 1000) for name in names))
        await stalled(bridge)
        assert "storage" in str(bridge.health()["reasons"])
        assert all(d.status().outbox_batches >= CAPTURES for d in devices.values()), "all is kept"
        disk.takes_nothing("OFF")
        async with asyncio.timeout(HELD_WITHIN_S):
            await asyncio.gather(*(device.drained() for device in devices.values()))
        watching.cancel()
        assert bridge.health()["status"] == "ok"
        # A turn that was begun and broken off is put back on top.
        assert watch.most["live"] <= MOST
        assert watch.most["bulk"] <= MOST + ingest.BULK_A_TURN
        assert watch.pauses() > 0
        assert watch.dropped() == 0
    numbers = [*range(CAPTURES), *range(1000, 1000 + CAPTURES)]
    assert logged(folder) == Counter(f"{name}/{number}" for name in names for number in numbers)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_disk_that_takes_nothing_fills_the_outboxes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING", MOST)
    # A broker that hands over all it has: what is bounded is bounded by us.
    with mosquitto("max_inflight_messages 0\nmax_queued_messages 0") as broker:
        asyncio.run(scenario(tmp_path, broker, protocol))
