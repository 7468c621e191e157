"""A broker that refuses: we keep every row, and the operator is told once."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cloud_bridge.factory import Bridge, Config
from edge_sdk import Device, DeviceConfig, courier, enrol, touchpoints
from tests.journey.brokers import Mosquitto, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

ALL = "topic readwrite #"
NOT_BULK = "topic read #\ntopic write edge/1/acme/live/#\ntopic write edge/1/acme/down/#"
NOTHING_UP = "topic read #\ntopic write edge/1/acme/down/#"
HELD_WITHIN_S = 60


@contextlib.asynccontextmanager
async def shop(folder: Path, broker: Mosquitto, protocol: str) -> AsyncIterator[Device]:
    """A device and its bridge, both at this broker."""
    config = Config(folder / "bridge", tenant="acme", broker=broker.url(), http_port=0)
    async with Bridge(config) as bridge:
        enrol(bridge.enrol("s", "d"), folder / "device")
        async with Device(DeviceConfig(folder / "device", broker.url(protocol))) as device:
            yield device


async def capture(device: Device, count: int) -> None:
    for number in range(count):
        await device.capture(touchpoints.page_view(session="app:1", page=f"/{number}"))


async def held(device: Device) -> None:
    async with asyncio.timeout(HELD_WITHIN_S):
        await device.drained()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(HELD_WITHIN_S):
        while not condition():  # noqa: ASYNC110  what is waited for is in the log
            await asyncio.sleep(0.05)


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


def test_access_denied_on_mqtt_5(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        with mosquitto(rights=NOT_BULK) as broker:
            async with shop(tmp_path, broker, "5") as device:
                await capture(device, 12)
                await until(lambda: sum(device.status().refused_by_broker.values()) >= 3)
                assert device.status().outbox_batches >= 12, "every row is kept"
                assert told(caplog, "the broker refuses our batches on the bulk lane") == 1
                assert told(caplog, "access rights") == 1
                broker.allow(ALL)
                await held(device)

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert told(caplog, "takes our batches on the bulk lane again") == 1


def test_access_denied_on_mqtt_3_1_1_where_the_broker_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "SILENCE_S", 1.0)

    async def scenario() -> None:
        with mosquitto(rights=NOTHING_UP) as broker:
            async with shop(tmp_path, broker, "3.1.1") as device:
                await capture(device, 12)
                await until(lambda: told(caplog, "none was acknowledged"))
                await asyncio.sleep(1.5)
                assert told(caplog, "none was acknowledged") == 1
                assert device.status().outbox_batches >= 12, "every row is kept"
                broker.allow(ALL)
                await held(device)

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert told(caplog, "the bridge acknowledges again") == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_quota_that_drops_what_was_acknowledged(tmp_path: Path, protocol: str) -> None:
    # The broker may hold one message for the bridge and drops the rest, PUBACK or not.
    async def scenario() -> None:
        options = "max_inflight_messages 1\nmax_queued_messages 1"
        with mosquitto(options) as broker:
            async with shop(tmp_path, broker, protocol) as device:
                await asyncio.gather(*(capture(device, 10) for _ in range(8)))
                await held(device)
                assert device.status().captured == 80

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_larger_than_the_broker_takes(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Nothing that the broker drops for its size is forgotten; once it takes more, it is delivered.
    async def scenario() -> None:
        with mosquitto("message_size_limit 600") as broker:
            async with shop(tmp_path, broker, protocol) as device:
                await held(device)
                await device.capture(touchpoints.custom(name="large", data=bytes(range(256)) * 4))
                await capture(device, 1)
                await asyncio.sleep(1)
                assert device.status().outbox_batches >= 1
                broker.stop()
                broker.start()
                await held(device)

    asyncio.run(scenario())


def test_sessions_and_messages_that_expire_with_the_broker(tmp_path: Path) -> None:
    async def scenario() -> None:
        with mosquitto() as broker:
            async with shop(tmp_path, broker, "5") as device:
                await held(device)
                broker.stop()
                await capture(device, 20)
                broker.start()
                await held(device)
                assert device.status().captured == 20

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_expired_credentials(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with mosquitto() as broker:
            async with shop(tmp_path, broker, protocol) as device:
                await held(device)
                broker.stop()
                broker.start("allow_anonymous false")
                await capture(device, 5)
                await until(lambda: told(caplog, "refused the connection"))
                assert device.status().outbox_batches >= 5
                broker.stop()
                broker.start()
                await held(device)

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    mine = [r for r in caplog.records if r.name == "edge_sdk.courier" and "kept" in r.getMessage()]
    assert 1 <= len(mine) <= 3
