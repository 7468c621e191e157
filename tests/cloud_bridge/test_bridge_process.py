"""The real `cloud-bridge run` as a child, over real brokers: enrol, publish, ack, prompt, end."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_sdk.adapters.aes import ecb
from edge_sdk.adapters.paho_link import Broker, PahoLink
from edge_sdk.presence.identifiers import eid_at
from edge_sdk.wire.enrolment import from_token
from edge_sdk.wire.seal import Refused
from edge_sdk.wire.topics import BULK, DOWN, LIVE, topic
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import LittleDevice

BRIDGE = (sys.executable, "-m", "cloud_bridge.cli")
WAIT_S = 60.0
BROKERS = (
    pytest.param(
        "mosquitto",
        marks=pytest.mark.skipif(
            shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") is None,
            reason="MOSQUITTO IS NOT INSTALLED: the bridge is not tested with a real broker",
        ),
    ),
    "embedded",
)


def command(*arguments: str, code: int = 0) -> str:
    """What one command of the bridge prints."""
    done = subprocess.run([*BRIDGE, *arguments], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


class Heard:
    """What a device's link hears."""

    def __init__(self, device: LittleDevice) -> None:
        self.device = device
        self.up = asyncio.Event()
        self.said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.link: PahoLink | None = None

    def link_up(self, _window: int) -> None:
        self.up.set()

    def link_down(self, _why: str) -> None:
        self.up.clear()

    def received(self, _topic: str, payload: bytes, mid: int) -> None:
        try:
            self.said.put_nowait(self.device.read(payload))
        except Refused as refused:
            self.said.put_nowait(("refused", refused.reason))
        assert self.link is not None
        self.link.release(mid)

    def settled(self, _mid: int, refusal: str | None) -> None:
        assert refusal is None

    def send(self, lane: str, message: bytes) -> None:
        assert self.link is not None
        assert self.link.publish(self.device.topic(lane), message) is not None

    async def hears(self, kind: str) -> Any:
        async with asyncio.timeout(WAIT_S):
            while True:
                heard, said = await self.said.get()
                if heard == kind:
                    return said


@asynccontextmanager
async def connected(device: LittleDevice, broker: str) -> AsyncIterator[Heard]:
    heard = Heard(device)
    down = topic(device.tenant, DOWN, device.number)
    client_id = f"{device.tenant}-{device.number}"
    async with PahoLink(Broker.parse(broker), client_id, heard, [down]) as heard.link:
        async with asyncio.timeout(WAIT_S):
            await heard.up.wait()
        yield heard


@asynccontextmanager
async def running(
    home: Path, *options: str, end: signal.Signals = signal.SIGTERM
) -> AsyncIterator[dict[str, Any]]:
    child = await asyncio.create_subprocess_exec(
        *BRIDGE,
        *("run", "--data", str(home), "--http", "127.0.0.1:0", "--ready-json", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            ready: dict[str, Any] = json.loads(await child.stdout.readline())
        yield ready
        child.send_signal(end)
        async with asyncio.timeout(WAIT_S):
            ready["log"] = (await child.communicate())[1].decode()
        assert child.returncode == (0 if end == signal.SIGTERM else -end), ready["log"]
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()


async def health(http: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        report: dict[str, Any] = (await client.get(f"{http}/health")).json()
        return report


def web(session: str) -> dict[str, object]:
    events = [
        {"type": "page.view", "page": "/coffee", "category": "coffee"},
        {"type": "identify", "known_as": "loyalty:7", "method": "login"},
        {"type": "consent", "purpose": "in_store_prompts", "granted": True},
    ]
    return {"site": "shop", "session": session, "id": session, "events": events}


def enrol(home: Path, name: str, *options: str) -> LittleDevice:
    said = command("enrol", "--data", str(home), "--site", "paris-1", "--name", name, *options)
    return LittleDevice(from_token(said))


@pytest.mark.parametrize("broker", BROKERS)
def test_from_enrolment_to_prompt_and_over_a_restart(tmp_path: Path, broker: str) -> None:
    gateway = enrol(tmp_path, "gateway", "--tenant", "acme")
    options = ("--broker", broker, "--log-format", "json")
    now_ms = int(time.time() * 1000)
    enter = make("visit.enter", now_ms, visit=1, visitor="ble:1", zone="coffee")

    async def first_start() -> None:
        async with running(tmp_path, *options) as ready:
            kiosk = enrol(tmp_path, "kiosk-1", "--surface", "kiosk", "--zone", "coffee")
            async with (
                connected(gateway, ready["broker"]) as store,
                connected(kiosk, ready["broker"]) as screen,
                httpx.AsyncClient() as client,
            ):
                for heard in (store, screen):
                    heard.send(LIVE, heard.device.start(now_ms=now_ms))
                    assert await heard.hears("ack") == [(0, 0, 0)]
                key = command("key", "add", "--data", str(tmp_path), "--site", "shop").strip()
                asked = (f"{ready['http']}/collect", {"Authorization": f"Bearer {key}"})
                answer = await client.post(asked[0], json=web("cookie:1"), headers=asked[1])
                assert answer.status_code == 202
                seen = make("identify", now_ms, seen="ble:1", known_as="loyalty:7", method="app")
                store.send(LIVE, gateway.rows(seen, enter))
                assert (await screen.hears("prompt")).offer == "coffee-tasting"
                assert await store.hears("ack") == [(0, 1, 1)]
                store.send(BULK, gateway.columns(*[enter] * 200))
                assert await store.hears("ack") == [(0, 2, 2)]
                command("revoke", "--data", str(tmp_path), f"{kiosk.number:08x}")
                screen.send(LIVE, kiosk.rows(enter))
                assert await screen.hears("refusal") == [(0, 1, "revoked", False)]
                report = await health(ready["http"])
                assert report["status"] == "ok"
                assert report["collect"] == {"keys": 1, "accepted": 1, "events": 3}
                assert report["refused"] == {"revoked": 1}
                assert report["broker"]["connected"]
        lines = [json.loads(line) for line in ready["log"].splitlines()]
        assert {"at", "level", "logger", "message"} <= lines[-1].keys()
        assert all(name not in ready["log"] for name in ("loyalty", "ble:", "cookie", "Traceback"))

    async def second_start() -> None:
        async with running(tmp_path, *options) as ready:
            async with connected(gateway, ready["broker"]) as store:
                store.send(LIVE, gateway.start((0, 1, 2), now_ms=now_ms))
                assert await store.hears("ack") == [(1, 0, 0)]
                again = make("visit.enter", now_ms, visit=2, visitor="ble:1", zone="coffee")
                store.send(LIVE, gateway.rows(again))
                assert await store.hears("ack") == [(1, 1, 1)]
            report = await health(ready["http"])
            assert report["counted"]["decisions.failed.cooldown"] == 1  # who that is, is known
            assert report["people"]["in_memory"] > 0

    asyncio.run(first_start())
    asyncio.run(second_start())
    assert "revoked" in command("devices", "--data", str(tmp_path))


@pytest.mark.parametrize("broker", BROKERS[:1])
def test_its_mosquitto_ends_with_it_even_by_kill_9(tmp_path: Path, broker: str) -> None:
    async def run() -> None:
        options = ("--tenant", "acme", "--broker", broker)
        async with running(tmp_path, *options, end=signal.SIGKILL) as ready:
            address = Broker.parse(ready["broker"])
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.close()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(address.host, address.port)
                except ConnectionRefusedError:
                    return
                writer.close()
                await asyncio.sleep(0.02)

    asyncio.run(run())


def test_a_second_bridge_is_turned_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, "--tenant", "acme", "--broker", "embedded"):
            said = await asyncio.to_thread(
                command, "run", "--data", str(tmp_path), "--http", "127.0.0.1:0", code=1
            )
            assert "another process" in said
            assert "Traceback" not in said

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--broker", "carrier-pigeon"), "--broker|the broker is"),
        (("--broker", "http://localhost"), "mqtt://"),
        (("--http", "nowhere"), "HOST:PORT"),
        (("--http", "203.0.113.1:80"), "cannot listen"),
        (("--rules", "none.toml"), "cannot be read"),
        (("--broker-port", "99999"), "port"),
    ],
)
def test_settings_that_cannot_work_are_explained(
    tmp_path: Path, options: tuple[str, str], said: str
) -> None:
    arguments = ("run", "--data", str(tmp_path), "--tenant", "acme", "--broker", "embedded")
    error = command(*arguments, *options, code=1)
    assert any(word in error for word in said.split("|")), error
    assert "Traceback" not in error


def test_keys_are_shown_once_and_revoked_while_it_runs(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    make = ("key", "add", *data, "--tenant", "acme", "--site", "web-shop")
    key = command(*make, "--origin", "https://Shop.example/", "--rate", "5", "--burst", "7").strip()
    assert key.startswith("ek_")
    assert len(key) == 35
    listed = command("key", "list", *data)
    assert key not in listed
    assert [word for word in listed.splitlines()[1].split() if "-" not in word[4:5]][1:] == [
        "web-shop",
        "5",
        "7",
        "live",
        "https://shop.example",
    ]
    assert "origin is" in command(*make, "--origin", "shop.example", code=1)
    assert "1 to" in command(*make, "--burst", "0", code=1)
    assert "no API key" in command("key", "revoke", *data, "9", code=1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "acme/devices.sqlite" in files
    assert all(key.encode() not in path.read_bytes() for path in files)

    async def run() -> None:
        async with (
            running(tmp_path, "--broker", "embedded") as ready,
            httpx.AsyncClient(headers={"X-Api-Key": key}) as client,
        ):
            url = f"{ready['http']}/collect"
            body = web("cookie:1") | {"site": "web-shop"}
            assert (await client.post(url, json=body)).status_code == 202
            await asyncio.to_thread(command, "key", "revoke", *data, "1")
            status = 0
            async with asyncio.timeout(WAIT_S):
                while status != 401:
                    status = (await client.post(url, json=body)).status_code
        assert key not in ready["log"]

    asyncio.run(run())


def test_help_teaches(tmp_path: Path) -> None:
    assert "cloud-bridge enrol --data" in command("--help")
    assert "--ready-json" in command("run", "--help")
    assert "--tenant" in command(
        "enrol", "--data", str(tmp_path), "--site", "a", "--name", "b", code=1
    )


def test_beacons_are_known_again_over_a_kill(tmp_path: Path) -> None:
    """Registered by command and by HTTP; the identifier changes while the bridge is down."""
    gateway = enrol(tmp_path, "gateway", "--tenant", "acme")
    data = ("--data", str(tmp_path))
    key = command("key", "add", *data, "--site", "shop").strip()
    tag, app = random.Random(1).randbytes(16), random.Random(2).randbytes(16)
    add = (*BRIDGE, "beacon", "add", *data, "tag:1", "--exponent", "4", "--clock", "1600")
    subprocess.run(add, input=tag.hex(), text=True, check=True, timeout=WAIT_S)
    added_s = time.time()

    def entered(visit: int) -> Touchpoint:
        eid = eid_at(ecb, tag, 4, 1600 + int(time.time() - added_s)).hex()
        now_ms = int(time.time() * 1000)
        return make("visit.enter", now_ms, visit=visit, visitor=f"eid:{eid}", zone="coffee")

    async def life(visit: int, *held: tuple[int, int, int], end: signal.Signals) -> dict[str, Any]:
        async with running(tmp_path, "--broker", "embedded", end=end) as ready:
            async with httpx.AsyncClient(headers={"X-Api-Key": key}) as client:
                said = {"id": "app:2", "kind": "irk", "key": app.hex()}
                answer = await client.post(f"{ready['http']}/beacons", json=said)
                assert answer.status_code == 201
                answer = await client.post(f"{ready['http']}/collect", json=web("tag:1"))
                assert answer.status_code == 202
            async with asyncio.timeout(WAIT_S):
                irks = 0
                while irks == 0:
                    irks = (await health(ready["http"]))["beacons"]["irk"]
            async with connected(gateway, ready["broker"]) as store:
                store.send(LIVE, gateway.start(*held, now_ms=int(time.time() * 1000)))
                await store.hears("ack")
                store.send(LIVE, gateway.rows(entered(visit)))
                await store.hears("ack")
            report = await health(ready["http"])
        for secret in (tag.hex(), app.hex(), "tag:1", "app:2", "eid:"):
            assert secret not in ready["log"]
        return report

    first = asyncio.run(life(17, end=signal.SIGKILL))
    assert first["counted"]["beacons.resolved"] == 1
    assert "decisions.same_stay" not in first["counted"]
    second = asyncio.run(life(18, (0, 1, 1), end=signal.SIGTERM))
    assert second["beacons"] == first["beacons"]
    assert second["counted"]["beacons.resolved"] == 1
    assert second["counted"]["decisions.same_stay"] == 1
    for path in tmp_path.rglob("*.sqlite*"):
        assert tag not in path.read_bytes()
        assert app not in path.read_bytes()
    listed = command("beacon", "list", *data)
    assert "in use" in listed
    assert tag.hex() not in listed
