"""One device floods, with what it may send or with rubbish: others are served while it lasts."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud_bridge.factory import Bridge
from cloud_bridge.ingest import BULK_A_TURN, MAX_WAITING
from cloud_bridge.queues import DEVICE_SHARE, RUN
from edge_sdk.adapters.paho_link import Broker
from edge_sdk.wire.enrolment import from_token
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import START_MS, LittleDevice
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.test_bridge_process import WAIT_S, connected
from tests.cloud_bridge.test_tenants import Shop, command, introduced, serving, until
from tests.journey.brokers import needs_mosquitto

SIGHT = make("sighting", START_MS, receiver="r", beacon="ble:1")
OTHERS = 8  # messages that whoever does not flood may have waiting, at most


def test_in_a_lane_another_device_is_served_before_the_flooders_rest(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        flooder, other = rig.enrol("flooder"), rig.enrol("other")
        for device in (flooder, other):
            rig.send(device, device.start())
        with rig.ingest._ready:  # all of it waits before any of it is taken
            rig.offer(flooder, *[flooder.columns(SIGHT) for _ in range(DEVICE_SHARE)], lane=BULK)
            rig.offer(other, other.columns(SIGHT), lane=BULK)
            last = rig._mid
        served: list[int] = []
        turns = 0
        while len(served) < DEVICE_SHARE + 1:
            tokens = [mid for _, _, mid in rig.follow().tokens]
            assert len(tokens) <= BULK_A_TURN
            served += tokens
            turns += bool(tokens)
        assert served.index(last) == RUN
        assert turns > DEVICE_SHARE // BULK_A_TURN
        assert ("ack", [(0, 1, 1)]) in rig.heard[other.number]


class Flood:
    """`with Flood(...) as flood`: raw paho, as fast as the broker takes it, over and over."""

    def __init__(self, broker: str, name: str, messages: Sequence[bytes]) -> None:
        self.sent = 0
        self._messages = messages
        self._topic = name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood")
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "flood")
        self._client.max_inflight_messages_set(1000)
        address = Broker.parse(broker)
        self._client.connect(address.host, address.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        while not self._over.is_set():
            for message in self._messages:
                info = self._client.publish(self._topic, message, qos=1)
                self.sent += 1
                if self.sent % 250 == 0:  # or it would only fill its own memory
                    info.wait_for_publish(WAIT_S)
                    if self._over.is_set():
                        return


def authentic(device: LittleDevice) -> list[bytes]:
    """A thousand batches; and again, and again: then they are duplicates."""
    now_ms = int(time.time() * 1000)
    sightings = [make("sighting", now_ms, receiver="r", beacon=f"ble:{n}") for n in range(20)]
    hello = device.start(now_ms=now_ms)
    return [hello, *[device.columns(*sightings) for _ in range(1000)]]


def forged(device: LittleDevice) -> list[bytes]:
    """What whoever may publish as this device can make up."""
    message = device.start()
    return [message[:14] + bytes(len(message) - 14)]


@asynccontextmanager
async def watched(bridge: Bridge, client: httpx.AsyncClient) -> AsyncIterator[list[Any]]:
    """What /health says waits, all the time: (tenant, lane, how many)."""
    seen: list[Any] = []

    async def look() -> None:
        while True:
            tenants = (await client.get("/health")).json()["tenants"]
            for name, told in tenants.items():
                seen.extend((name, lane, count) for lane, count in told["waiting"].items())
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def taken(bridge: Bridge) -> int:
    """Messages that the flooded tenant's thread has worked off."""
    intake = bridge.tenants["acme"].ingest.intake
    counted = intake.counted
    return counted["batches"] + counted["duplicates"] + sum(intake.refused.values())


@needs_mosquitto
@pytest.mark.parametrize("made", [authentic, forged])
def test_the_others_are_served_while_it_lasts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    made: Callable[[LittleDevice], list[bytes]],
) -> None:
    shops = {name: Shop(tmp_path, name, capsys) for name in ("acme", "brio")}
    whose = ("--data", str(tmp_path), "--tenant", "acme", "--site", "s", "--name", "flooder")
    flooder = LittleDevice(from_token(command(capsys, "enrol", *whose)))

    async def run() -> None:
        async with serving(tmp_path, "mosquitto") as (bridge, client):
            with Flood(bridge.broker_url, flooder.topic(BULK), made(flooder)) as flood:
                await until(lambda: taken(bridge) > 200)
                async with watched(bridge, client) as seen:
                    for shop in shops.values():
                        await visits(bridge, client, shop)
                    before = taken(bridge)
                    await until(lambda: taken(bridge) > before + 200)  # it still lasts
                assert flood.sent > 500
            most = {lane: max(n for _, other, n in seen if other == lane) for lane in (LIVE, BULK)}
            # Where somebody comes in meanwhile, the rest of a turn's bulk is put back.
            assert most[BULK] <= DEVICE_SHARE + BULK_A_TURN + OTHERS
            assert most[LIVE] <= OTHERS
            assert max(n for name, lane, n in seen if (name, lane) == ("brio", BULK)) <= OTHERS

    async def visits(bridge: Bridge, client: httpx.AsyncClient, shop: Shop) -> None:
        async with (
            connected(shop.gateway, bridge.broker_url) as store,
            connected(shop.kiosk, bridge.broker_url) as screen,
        ):
            await introduced(store, screen)
            for number, person in enumerate(("ann", "bob", "cat"), 1):
                await shop.looks_at_coffee(client, person)
                before = taken(bridge)
                store.send(LIVE, shop.comes_in(person, number))
                assert (await screen.hears("prompt")).offer == "coffee-tasting"
                assert taken(bridge) - before < MAX_WAITING
                assert await store.hears("ack") == [(0, number, number)]
            store.send(BULK, shop.gateway.columns(SIGHT, SIGHT))
            assert await store.hears("ack") == [(0, 4, 4)]

    asyncio.run(run())
