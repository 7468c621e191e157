"""The bridge's own brokers: which one, where, and that mosquitto is kept up."""

import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud_bridge import broker as module
from cloud_bridge.broker import Embedded, ExternalBroker, Mosquitto, choose
from cloud_bridge.errors import BridgeError
from edge_sdk.adapters.paho_link import Broker
from edge_sdk.errors import ConfigError

PROGRAM = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")


def test_which_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    external = choose("mqtts://u:p@example.org", 0, tmp_path)
    assert isinstance(external, ExternalBroker)
    assert str(external.address) == "mqtts://example.org:8883"
    assert isinstance(choose("embedded", 0, tmp_path), Embedded)
    monkeypatch.setattr(shutil, "which", lambda _name, path=None: None)
    assert isinstance(choose("auto", 1883, tmp_path), Embedded)
    assert choose("auto", 1883, tmp_path).address == Broker("127.0.0.1", 1883)
    with pytest.raises(ConfigError, match="not installed"):
        choose("mosquitto", 0, tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _name, path=None: "/bin/true")
    assert isinstance(choose("auto", 0, tmp_path), Mosquitto)
    for wish in ("", "amqtt", "http://example.org"):
        with pytest.raises(ConfigError):
            choose(wish, 0, tmp_path)


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FREE_S", 0.1)

    async def start(port: int) -> None:
        with pytest.raises(BridgeError, match="taken"):
            async with choose("embedded", port, tmp_path):
                pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(start(taken.getsockname()[1]))


async def reachable(address: Broker) -> bool:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def pids_of(config: Path) -> list[int]:
    """The processes that run with this configuration, by what the kernel tells."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"mosquitto") and str(config).encode() in words:
            found.append(int(process.name))
    return found


@pytest.mark.skipif(PROGRAM is None, reason="MOSQUITTO IS NOT INSTALLED")
def test_mosquitto_is_started_again_and_ends_with_us(tmp_path: Path) -> None:
    async def run() -> None:
        own = choose("mosquitto", 0, tmp_path)
        config = tmp_path / "mosquitto.conf"
        async with own:
            (first,) = pids_of(config)
            os.kill(first, signal.SIGKILL)
            async with asyncio.timeout(30):
                while True:
                    second = [pid for pid in pids_of(config) if pid != first]
                    if second and await reachable(own.address):
                        break
                    await asyncio.sleep(0.05)
        assert pids_of(config) == []
        assert not await reachable(own.address)

    asyncio.run(run())


@pytest.mark.skipif(PROGRAM is None, reason="MOSQUITTO IS NOT INSTALLED")
def test_mosquitto_keeps_no_more_for_who_does_not_read_than_we_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = "max_queued_bytes 268435456"
    assert ours in module._MOSQUITTO
    less = module._MOSQUITTO.replace(ours, "max_queued_bytes 8388608")
    monkeypatch.setattr(module, "_MOSQUITTO", less)
    held: dict[str, int] = {}

    def flood(port: int) -> None:
        slow, fast = (paho.Client(CallbackAPIVersion.VERSION2, name) for name in ("slow", "fast"))
        for client in (slow, fast):
            client.connect("127.0.0.1", port)
        slow.on_subscribe = lambda *_: held.update(subscribed=1)
        slow.subscribe("edge/1/acme/bulk/+", 1)
        while "subscribed" not in held:
            slow.loop(1)
        fast.loop_start()
        for _ in range(4):  # 64 MiB
            sent = [fast.publish("edge/1/acme/bulk/1", bytes(65_536), 1) for _ in range(256)]
            sent[-1].wait_for_publish(30)
        fast.disconnect()
        fast.loop_stop()
        (pid,) = pids_of(tmp_path / "mosquitto.conf")
        status = Path(f"/proc/{pid}/status").read_text()
        held["kib"] = int(status.split("VmRSS:")[1].split()[0])
        slow.disconnect()

    async def run() -> None:
        async with choose("mosquitto", 0, tmp_path) as own:
            await asyncio.to_thread(flood, own.address.port)

    asyncio.run(run())
    assert 8 * 1024 <= held["kib"] < 48 * 1024  # the queue, and 16 MiB on the way
