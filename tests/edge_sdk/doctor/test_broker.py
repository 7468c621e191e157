"""What the doctor finds at a real mosquitto, and all the way to a real bridge."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker as Amqtt

from cloud_bridge.factory import Bridge, Config
from edge_sdk.device import Device, DeviceConfig, enrol
from edge_sdk.doctor import broker as broker_check
from edge_sdk.doctor.broker import check_broker
from edge_sdk.doctor.delivery import check_delivery
from edge_sdk.doctor.finding import FAIL, OK, WARN, Finding
from edge_sdk.doctor.keys import check_keys
from edge_sdk.key_slots import Slot
from tests.edge_sdk.homes import enrolled
from tests.journey.brokers import free_port, mosquitto, needs_mosquitto

NOWHERE = "mqtt://127.0.0.1:1"
PASSWORD = "hush-hush"


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    found = check_keys(enrolled(tmp_path / "home"))[1]
    assert found is not None
    return found


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can be let into."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def checked(url: str, slot: Slot | None, ca_file: str | None = None) -> list[Finding]:
    return asyncio.run(check_broker(url, ca_file, slot))


def results(found: list[Finding]) -> list[str]:
    return [finding.result for finding in found]


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_lets_us_do_all(slot: Slot, protocol: str) -> None:
    with mosquitto() as broker:
        found = checked(broker.url(protocol), slot)
    assert results(found) == [OK, OK, OK]
    assert f"MQTT {protocol}" in found[0].found
    assert ("cannot say no" in found[1].found) == (protocol == "3.1.1")


def at_amqtt(slot: Slot, plugins: dict[str, Any]) -> list[Finding]:
    """What is found at an amqtt, which speaks MQTT 3.1.1 alone."""

    async def scenario() -> list[Finding]:
        port = free_port()
        listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
        amqtt = Amqtt({"listeners": {"default": listener}, "plugins": plugins})
        await amqtt.start()
        try:
            return await check_broker(f"mqtt://127.0.0.1:{port}", None, slot)
        finally:
            await amqtt.shutdown()

    return asyncio.run(scenario())


ANYBODY = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


def test_a_broker_that_speaks_an_old_protocol_alone(slot: Slot) -> None:
    found = at_amqtt(slot, ANYBODY)
    assert results(found) == [OK, OK, OK]
    assert "MQTT 3.1.1" in found[0].found


@pytest.mark.filterwarnings("ignore:The 'acl' option is deprecated")
def test_no_right_to_subscribe(slot: Slot) -> None:
    rights = {"acl": {"anonymous": ["edge/1/acme/live/#"]}}
    (one,) = at_amqtt(
        slot, {**ANYBODY, "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": rights}
    )
    assert one.result == FAIL
    assert "subscription" in one.found
    assert "down/" in one.to_do


@needs_mosquitto
def test_without_a_home_only_the_door_is_tried() -> None:
    with mosquitto() as broker:
        found = checked(broker.url(), None)
    assert results(found) == [OK, WARN]
    assert "--home" in found[1].to_do


@needs_mosquitto
def test_no_right_to_publish_on_a_lane(slot: Slot) -> None:
    rights = "topic read #\ntopic write edge/1/acme/live/0000002a"
    with mosquitto(rights=rights) as broker:
        found = checked(broker.url("5"), slot)
    assert results(found) == [OK, OK, FAIL]
    assert "bulk lane" in found[2].found


@needs_mosquitto
def test_a_password_that_is_wrong(slot: Slot, shared: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("MISSING: mosquitto_passwd")
    file = shared / "passwords"
    subprocess.run([program, "-b", "-c", str(file), "kiosk", PASSWORD], check=True)
    for path in (shared, file):
        path.chmod(0o755)  # run as root, mosquitto becomes another user
    options = f"allow_anonymous false\npassword_file {file}"
    with mosquitto(options, "user kiosk\ntopic readwrite #") as broker:
        at = f"127.0.0.1:{broker.port}"
        right = checked(f"mqtt://kiosk:{PASSWORD}@{at}", slot)
        wrong = checked(f"mqtt://kiosk:{PASSWORD}-not@{at}", slot)
        nobody = checked(f"mqtt://{at}", slot)
    assert results(right) == [OK, OK, OK]
    assert results(wrong) == results(nobody) == [FAIL]
    assert "password" in wrong[0].to_do
    assert PASSWORD not in repr([right, wrong, nobody])


def test_a_password_in_clear_is_told(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_check, "_HERE", ())
    found = checked(f"mqtt://kiosk:{PASSWORD}@127.0.0.1:1", slot)
    assert results(found) == [WARN, FAIL]
    assert "mqtts" in found[0].to_do
    assert PASSWORD not in repr(found)


def test_nobody_is_there(slot: Slot) -> None:
    (one,) = checked(NOWHERE, slot)
    assert one.result == FAIL
    assert "cannot be reached" in one.found
    assert "running" in one.to_do


@pytest.mark.parametrize(
    ("url", "ca_file"),
    [(f"http://kiosk:{PASSWORD}@x", None), ("mqtt://x:port", None), ("mqtts://x", "/no/such.pem")],
)
def test_what_is_no_address(slot: Slot, url: str, ca_file: str | None) -> None:
    (one,) = checked(url, slot, ca_file)
    assert one.result == FAIL
    assert one.to_do
    assert PASSWORD not in repr(one)


@needs_mosquitto
def test_it_does_not_disturb_the_device(tmp_path: Path) -> None:
    async def scenario() -> None:
        with mosquitto() as broker:
            home = enrolled(tmp_path / "device")
            async with Device(DeviceConfig(home, broker.url())) as device:
                async with asyncio.timeout(60):
                    while not device.status().connected:  # noqa: ASYNC110  nobody tells
                        await asyncio.sleep(0.02)
                slot = check_keys(home)[1]
                assert results(await check_broker(broker.url(), None, slot)) == [OK, OK, OK]
                assert device.status().connected

    asyncio.run(scenario())


# All the way


def test_a_touchpoint_all_the_way_and_a_device_that_is_revoked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Bridge(Config(tmp_path / "bridge", tenant="acme", http_port=0)) as bridge:
            home = tmp_path / "device"
            enrol(bridge.enrol("paris-1", "kiosk-1"), home)
            one = await check_delivery(home, bridge.broker_url, None)
            assert one.result == OK, one
            assert "holds" in one.found
            stranger = enrolled(tmp_path / "stranger", device=4711)
            one = await check_delivery(stranger, bridge.broker_url, None, within_s=1.0)
            assert one.result == FAIL
            assert "cloud-bridge devices" in one.to_do

    asyncio.run(scenario())


def test_a_device_that_runs_is_not_touched(tmp_path: Path) -> None:
    async def scenario() -> None:
        home = enrolled(tmp_path / "home")
        async with Device(DeviceConfig(home, NOWHERE)):
            one = await check_delivery(home, NOWHERE, None, within_s=0.1)
        assert one.result == FAIL
        assert "running" in one.to_do

    asyncio.run(scenario())


def test_no_way_at_all(tmp_path: Path) -> None:
    one = asyncio.run(check_delivery(enrolled(tmp_path / "home"), NOWHERE, None, within_s=0.1))
    assert one.result == FAIL
    assert "not connected" in one.found
