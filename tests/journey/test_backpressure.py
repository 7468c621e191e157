"""A bridge whose disk takes nothing for a while: the devices' outboxes keep it all, once."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.batch import Batch
from cloud_bridge.factory import Bridge, Config
from cloud_bridge.ingest import BULK_A_TURN, MAX_WAITING
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import BATCH
from cloud_bridge.subscriber import WINDOW
from edge_sdk import Device, DeviceConfig, courier, enrol, touchpoints
from edge_sdk.adapters.apsw_sqlite import open_connection
from edge_sdk.adapters.paho_link import READ_AHEAD
from edge_sdk.adapters.sqlite import Connection
from edge_sdk.wire.topics import BULK
from tests.journey.brokers import mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

WAIT_S = 120
DEVICES = 10
# A broker that holds nothing back by itself: what bounds the bridge is the bridge.
GENEROUS = "max_inflight_messages 0\nmax_queued_messages 5000"
AILMENTS = {
    "full": ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 4294967294"),
    "read-only": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


class Disk:
    """Opens databases which take nothing while it ails."""

    def __init__(self) -> None:
        self.say = ""
        self.opened: list[Connection] = []

    def open(self, path: Path) -> Connection:
        return _Ailing(open_connection(path), self)


class _Ailing:
    """A connection that falls ill and recovers between its transactions."""

    def __init__(self, database: Connection, disk: Disk) -> None:
        self._database = database
        self._disk = disk
        self._said = ""
        self.executemany = database.executemany
        self.close = database.close

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[Any]:
        if sql.startswith("BEGIN") and self._said != self._disk.say:
            self._said = self._disk.say
            list(self._database.execute(self._said))
        return self._database.execute(sql, parameters)


class Shop:
    """Devices which capture pages in a row, each named once in its life."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.over = False
        self.captured: list[str] = []

    async def capture(self, number: int) -> None:
        """Until it is over: bulk, a batch each."""
        at = 0
        while not self.over:
            page = f"/{number}/{at}"
            await self.devices[number].capture(touchpoints.page_view(session="app:1", page=page))
            self.captured.append(page)
            at += 1

    async def enter(self) -> None:
        """Somebody enters at each: live."""
        for number, device in enumerate(self.devices):
            enter = touchpoints.visit_enter(visit=number, visitor="ble:1", zone=f"/door/{number}")
            await device.capture(enter)
            self.captured.append(f"/door/{number}")

    async def drained(self) -> None:
        async with asyncio.timeout(WAIT_S):
            for device in self.devices:
                await device.drained()

    def least_kept(self) -> int:
        return min(device.status().outbox_batches for device in self.devices)


class Watch:
    """The most that ever waited in the bridge, looked at as often as the loop comes round."""

    def __init__(self, bridge: Bridge) -> None:
        self.most: Counter[str] = Counter()
        self._ingest = bridge.tenants["acme"].ingest

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                for lane, count in self._ingest.waiting().items():
                    self.most[lane] = max(self.most[lane], count)
                await asyncio.sleep(0.005)


@pytest.mark.parametrize(("ailment", "protocol"), [("full", "5"), ("read-only", "3.1.1")])
def test_what_the_store_does_not_take_stays_with_the_devices(
    tmp_path: Path,
    ailment: str,
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(courier, "FIRST_RETRY_S", 0.3)  # sooner than they would
    disk, shop = Disk(), Shop()
    ill, well = AILMENTS[ailment]

    async def scenario(url: str) -> None:
        config = Config(tmp_path / "bridge", tenant="acme", broker=url, http_port=0)
        async with Bridge(config, open_database=disk.open) as bridge, AsyncExitStack() as stack:
            for number in range(DEVICES):
                home = tmp_path / f"device-{number}"
                enrol(bridge.enrol("s", f"d{number}"), home)
                device = Device(DeviceConfig(home, url, linger_s=0.001))
                shop.devices.append(await stack.enter_async_context(device))
            await shop.drained()
            capturing = [asyncio.create_task(shop.capture(number)) for number in range(DEVICES)]
            await stalled(bridge)
            shop.over = True
            await asyncio.gather(*capturing)
            await recovered(bridge)

    async def stalled(bridge: Bridge) -> None:
        watch = Watch(bridge)
        tenancy = bridge.tenants["acme"]
        bulk = tenancy.subscriber.lanes[BULK]
        await watch.until(lambda: len(shop.captured) > 5 * DEVICES)
        disk.say = ill
        await watch.until(lambda: tenancy.ingest.stalled)
        assert bridge.health()["status"] == "degraded"
        await watch.until(lambda: bulk.counted["pauses"])
        before = shop.least_kept(), len(shop.captured)
        await watch.until(lambda: shop.least_kept() > before[0] + 50)
        assert len(shop.captured) > before[1] + 25 * DEVICES, "capturing goes on"
        await shop.enter()
        await watch.until(lambda: tenancy.ingest.waiting()["live"] >= DEVICES)
        assert tenancy.ingest.stalled
        # One look at the socket may bring a few, and a turn may be put back.
        most = MAX_WAITING // 2 + READ_AHEAD + 2 * BULK_A_TURN
        assert MAX_WAITING // 2 <= watch.most["bulk"] <= most
        assert watch.most["live"] <= WINDOW
        assert bulk.counted["dropped.queue_full"] == 0

    async def recovered(bridge: Bridge) -> None:
        disk.say = well
        await shop.drained()
        ingest = bridge.tenants["acme"].ingest
        await Watch(bridge).until(lambda: not any(ingest.waiting().values()))  # duplicates
        health = bridge.health()
        assert (health["status"], health["storage"]) == ("ok", "ok")
        assert all(device.status().shed_batches == 0 for device in shop.devices)

    query = "?protocol=3.1.1" if protocol == "3.1.1" else ""
    with mosquitto(GENEROUS) as broker, caplog.at_level(logging.ERROR):
        asyncio.run(scenario(broker.url() + query))
    assert sum("nothing is taken" in record.getMessage() for record in caplog.records) == 1
    check_log(tmp_path / "bridge/acme", shop.captured)


def check_log(home: Path, captured: list[str]) -> None:
    """Everything once; and who entered while nothing was taken, before the backlog."""
    store = SqliteStore(home)
    store.open("acme")
    rows = [row for row in store.log() if row.kind == BATCH]
    store.close()
    named = [_names(row.body) for row in rows]
    assert Counter(name for names in named for name in names) == Counter(captured)
    live = [at for at, names in enumerate(named) if names[0].startswith("/door/")]
    assert len(live) == DEVICES
    behind = len(rows) - live[-1]
    assert behind > 50 * DEVICES
    assert live[-1] - live[0] < DEVICES + 2 * BULK_A_TURN


def _names(body: bytes) -> list[str]:
    places = {"page.view": 1, "visit.enter": 2}
    return [str(t.values[places[t.name]]) for t in Batch.from_body(body).touchpoints()]
