"""One bridge, two tenants: each has devices, keys, files and words of its own, and no others'."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge import cli
from cloud_bridge.batch import Batch
from cloud_bridge.factory import Bridge, Config
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import BATCH
from edge_sdk.wire.enrolment import from_token
from edge_sdk.wire.seal import UP_KINDS, read_header
from edge_sdk.wire.topics import BULK, LIVE, topic
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import LittleDevice
from tests.cloud_bridge.test_bridge_process import BROKERS, WAIT_S, Heard, connected

TENANTS = ("acme", "brio")
# What each says and the other never does; of these words the store keeps the page's readable.
WORDS = {name: {"site": f"site-of-{name}", "page": f"/page-of-{name}"} for name in TENANTS}


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What `cloud-bridge` prints, or complains of."""
    capsys.readouterr()
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        assert cli.main([*arguments]) == code
    finally:  # `run` logs to where this test's stderr was
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    printed = capsys.readouterr()
    return printed.out.strip() if code == 0 else printed.err


class Shop:
    """A tenant's gateway and kiosk, and the key of its web shop."""

    def __init__(self, home: Path, tenant: str, capsys: pytest.CaptureFixture[str]) -> None:
        whose = ("--data", str(home), "--tenant", tenant, "--site", WORDS[tenant]["site"])
        kiosk = ("--name", "kiosk", "--surface", "kiosk", "--zone", "coffee")
        self.tenant = tenant
        enrolled = command(capsys, "enrol", *whose, "--name", "gateway")
        self.gateway = LittleDevice(from_token(enrolled))
        self.kiosk = LittleDevice(from_token(command(capsys, "enrol", *whose, *kiosk)))
        self.key = command(capsys, "key", "add", *whose)

    async def looks_at_coffee(self, client: httpx.AsyncClient, person: str) -> None:
        """Somebody does, in the web shop, and would like to hear of it."""
        page = WORDS[self.tenant]["page"]
        events = [
            {"type": "page.view", "page": page, "category": "coffee"},
            {"type": "identify", "known_as": f"loyalty:{person}", "method": "login"},
            {"type": "consent", "purpose": "in_store_prompts", "granted": True},
        ]
        # Session and body id are the other tenant's as well: they mean nothing beyond a tenant.
        body = {"session": f"cookie:{person}", "id": f"body-{person}", "events": events}
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await client.post("/collect", json=body, headers=headers)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "duplicate": False})

    def comes_in(self, person: str, visit: int = 1) -> bytes:
        """What the gateway says when that person's phone is there."""
        now_ms = int(time.time() * 1000)
        seen, known_as = f"ble:{person}", f"loyalty:{person}"
        return self.gateway.rows(
            make("identify", now_ms, seen=seen, known_as=known_as, method="app"),
            make("visit.enter", now_ms, visit=visit, visitor=seen, zone="coffee"),
        )


@asynccontextmanager
async def serving(home: Path, broker: str = "auto") -> AsyncIterator[tuple[Bridge, Any]]:
    """(a bridge of all that is in this folder, a client of its HTTP)."""
    async with Bridge(Config(home, broker=broker, http_port=0)) as bridge:
        async with asyncio.timeout(WAIT_S):
            await bridge.connected()
        async with httpx.AsyncClient(base_url=bridge.http_url, timeout=WAIT_S) as client:
            yield bridge, client


async def introduced(*heard: Heard) -> None:
    for one in heard:
        one.send(LIVE, one.device.start(now_ms=int(time.time() * 1000)))
        assert await one.hears("ack") == [(0, 0, 0)]


@asynccontextmanager
async def feed_of(bridge: Bridge, client: httpx.AsyncClient) -> AsyncIterator[list[Any]]:
    """What watchers are told, as it comes: (kind, data)."""
    told: list[Any] = []

    async def watch() -> None:
        kind = ""
        async with client.stream("GET", "/feed") as stream:
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    told.append((kind, json.loads(value)))

    watching = asyncio.create_task(watch())
    try:
        await until(lambda: bridge.feed.watchers)
        yield told
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for happens elsewhere
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("broker", BROKERS)
def test_each_has_its_own(tmp_path: Path, broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    shops = {name: Shop(tmp_path, name, capsys) for name in TENANTS}
    # Their numbers are the same: nothing but the tenant tells them apart.
    assert len({shop.gateway.number for shop in shops.values()}) == 1

    async def run() -> None:
        async with (
            serving(tmp_path, broker) as (bridge, client),
            feed_of(bridge, client) as told,
        ):
            for name, shop in shops.items():
                async with (
                    connected(shop.gateway, bridge.broker_url) as store,
                    connected(shop.kiosk, bridge.broker_url) as screen,
                ):
                    await introduced(store, screen)
                    await shop.looks_at_coffee(client, "ann")
                    store.send(LIVE, shop.comes_in("ann"))
                    assert (await screen.hears("prompt")).offer == "coffee-tasting"
                    assert await store.hears("ack") == [(0, 1, 1)]
                    await until(lambda: told and told[-1][0] == "prompt")
                    assert [(kind, data["tenant"]) for kind, data in told[-2:]] == [
                        ("visit", name),
                        ("prompt", name),
                    ]
                    assert told[-1][1]["site"] == WORDS[name]["site"]
                    told.clear()
            # Who is known to one is a stranger to the other.
            only = shops["acme"]
            await only.looks_at_coffee(client, "bob")
            async with connected(shops["brio"].gateway, bridge.broker_url) as store:
                store.send(LIVE, shops["brio"].comes_in("bob", 2))
                assert await store.hears("ack") == [(0, 2, 2)]
                await until(lambda: len(told) == 2)
            assert told[-1][0] == "no_prompt"
            assert told[-1][1]["failed"]["coffee-tasting"] == "known"
            check_health((await client.get("/health")).json())

    asyncio.run(run())
    check_files(tmp_path)


def check_health(health: dict[str, Any]) -> None:
    """Numbers are sums, what is said holds for all, and each has its own."""
    assert (health["status"], health["reasons"], health["storage"]) == ("ok", {}, "ok")
    each = health["tenants"]
    assert list(each) == list(TENANTS)
    assert health["broker"]["connected"] is True
    assert health["broker"]["protocol"] == each["acme"]["broker"]["protocol"]
    counted = {name: each[name]["counted"] for name in TENANTS}
    assert [counted[name]["decisions.prompt"] for name in TENANTS] == [1, 1]
    assert [counted[name]["collect.bodies"] for name in TENANTS] == [2, 1]
    assert [each[name]["devices"]["enrolled"] for name in TENANTS] == [2, 2]
    for section in ("devices", "waiting", "people", "log", "counted", "refused", "outcomes"):
        names = {name for one in each.values() for name in one[section]}
        for name in names:
            assert health[section][name] == sum(one[section].get(name, 0) for one in each.values())
    assert health["collect"] == {"keys": 2, "accepted": 3, "events": 9}


def check_files(home: Path) -> None:
    """What one said is in its own files, and in nobody else's."""
    pages = {}
    for name in TENANTS:
        store = SqliteStore(home / name)
        store.open(name)
        bodies = [row.body for row in store.log() if row.kind == BATCH]
        touchpoints = [t for body in bodies for t in Batch.from_body(body).touchpoints()]
        pages[name] = {t.values[1] for t in touchpoints if t.name == "page.view"}
        store.close()
        held = b"".join(path.read_bytes() for path in (home / name).iterdir())
        for other, words in WORDS.items():
            assert (words["site"].encode() in held) == (other == name)
    assert pages == {name: {WORDS[name]["page"]} for name in TENANTS}


def test_a_key_is_good_for_its_tenant_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shops = {name: Shop(tmp_path, name, capsys) for name in TENANTS}
    data = ("--data", str(tmp_path))

    async def run() -> None:
        async with serving(tmp_path, "embedded") as (bridge, client):
            for name, shop in shops.items():
                await shop.looks_at_coffee(client, "ann")
                counted = {other: t.ingest.intake.counted for other, t in bridge.tenants.items()}
                assert counted[name]["collect.bodies"] == 1
            assert command(capsys, "key", "revoke", *data, "--tenant", "acme", "1") == ""
            headers = {"Authorization": f"Bearer {shops['acme'].key}"}
            status = 0
            async with asyncio.timeout(WAIT_S):
                while status != 401:
                    status = (await client.post("/collect", json={}, headers=headers)).status_code
            await shops["brio"].looks_at_coffee(client, "bob")  # both keys have the id 1

    asyncio.run(run())
    assert "revoked" in command(capsys, "key", "list", *data, "--tenant", "acme")
    assert "revoked" not in command(capsys, "key", "list", *data, "--tenant", "brio")


def test_a_device_on_another_tenants_topic_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether its number is one of theirs or not: its key is none."""
    acme, brio = (Shop(tmp_path, name, capsys) for name in TENANTS)
    third = ("--data", str(tmp_path), "--tenant", "acme", "--site", "s", "--name", "third")
    stray = LittleDevice(from_token(command(capsys, "enrol", *third)))

    async def run() -> None:
        async with (
            serving(tmp_path, "embedded") as (bridge, client),
            connected(acme.gateway, bridge.broker_url) as intruder,
            connected(brio.gateway, bridge.broker_url) as store,
        ):
            assert intruder.link is not None
            now_ms = int(time.time() * 1000)
            stolen = {
                "forged": acme.gateway.start(now_ms=now_ms),
                "unknown_device": stray.start(now_ms=now_ms),
            }
            for lane in (LIVE, BULK):
                for message in stolen.values():
                    device = read_header(message, UP_KINDS).device
                    intruder.link.publish(topic("brio", lane, device), message)
            refused = bridge.tenants["brio"].ingest.intake.refused
            await until(lambda: sum(refused.values()) == 4)
            assert set(refused) == set(stolen)
            # Neither theirs nor ours is the worse for it, and nobody is told of the other.
            await introduced(store)
            intruder.send(LIVE, stolen["forged"])
            assert await intruder.hears("ack") == [(0, 0, 0)]
            assert store.said.empty()
            assert intruder.said.empty()
            health = (await client.get("/health")).json()
            assert health["tenants"]["acme"]["refused"] == {}
            assert sum(health["refused"].values()) == 4

    asyncio.run(run())


def test_commands_for_one_of_several_have_to_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(tmp_path))
    device = ("--site", "paris", "--name", "gateway")
    assert "needs --tenant" in command(capsys, "enrol", *data, *device, code=1)
    for name in TENANTS:
        command(capsys, "enrol", *data, *device, "--tenant", name)
    commands = (
        ("enrol", *data, *device),
        ("revoke", *data, "1"),
        ("devices", *data),
        ("key", "add", *data, "--site", "shop"),
        ("key", "list", *data),
        ("key", "revoke", *data, "1"),
    )
    for ambiguous in commands:
        said = command(capsys, *ambiguous, code=1)
        assert "several tenants (acme, brio); name one: --tenant" in said
    command(capsys, "revoke", *data, "1", "--tenant", "brio")
    assert "revoked" in command(capsys, "devices", *data, "--tenant", "brio")
    assert "revoked" not in command(capsys, "devices", *data, "--tenant", "acme")


@pytest.mark.parametrize("name", ["..", ".", "...", "../acme", "a/b", "", "Acme", "a" * 33])
def test_a_tenants_name_is_no_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    home = tmp_path / "data"
    whose = ("--data", str(home), "--tenant", name)
    said = command(capsys, "enrol", *whose, "--site", "s", "--name", "n", code=1)
    assert "a tenant's name is" in said
    said = command(capsys, "run", *whose, "--broker", "embedded", "--http", "127.0.0.1:0", code=1)
    assert "a tenant's name is" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_bridge_of_nobody_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", str(tmp_path), "--broker", "embedded", "--http", "127.0.0.1:0")
    assert "--tenant" in command(capsys, "run", *options, code=1)


def test_a_folder_that_was_renamed_is_still_its_tenants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Shop(tmp_path, "acme", capsys)
    (tmp_path / "acme").rename(tmp_path / "brio")
    options = ("--data", str(tmp_path), "--broker", "embedded", "--http", "127.0.0.1:0")
    assert "belongs to tenant acme, not to brio" in command(capsys, "run", *options, code=1)
    said = command(capsys, "devices", "--data", str(tmp_path), "--tenant", "brio", code=1)
    assert "belongs to tenant acme" in said
