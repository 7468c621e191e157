"""Beacons are registered: by hand, by agreement, and by the back end of an app over HTTP."""

import asyncio
import io
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge import cli, registering
from cloud_bridge.beacons import EID, IRK, agreed, new_beacon
from cloud_bridge.errors import BeaconError
from cloud_bridge.registry import Registry
from edge_sdk.adapters.x25519 import agree, new_private_key, public_key
from edge_sdk.presence.identifiers import identity_key
from edge_sdk.wire.topics import BULK
from tests.cloud_bridge.little_device import START_MS, SUITE
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.rotating import Tag, register, sighted
from tests.cloud_bridge.served import Door

KEY = random.Random(1).randbytes(16)


def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    told: str = "",
    code: int = 0,
) -> tuple[str, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(told))
    assert cli.main(["beacon", *arguments]) == code
    said = capsys.readouterr()
    return said.out, said.err


def test_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--data", str(tmp_path), "--tenant", "acme")

    def run(*arguments: str, told: str = "", code: int = 0) -> tuple[str, str]:
        return command(monkeypatch, capsys, *arguments, told=told, code=code)

    out, err = run("add", *where, "tag:1", told=KEY.hex() + "\n")
    assert KEY.hex() not in out + err
    run("add", *where, "tag:1", "--kind", "irk", told=KEY.hex())
    private = new_private_key()
    mine = public_key(private)
    options = ("--agree", "--exponent", "12", "--clock", "77")
    out, _ = run("add", *where, "app:2", *options, told=mine.hex())
    theirs = bytes.fromhex(out)
    with Registry(tmp_path / "acme").opened() as registry:
        app, eid, irk = registry.beacons()
    assert (app.name, app.kind, app.exponent, app.beacon_time_s) == ("app:2", EID, 12, 77)
    assert app.key == identity_key(SUITE.hmac, agree(private, theirs), theirs, mine)
    assert (eid.kind, eid.key, irk.kind, irk.key) == (EID, KEY, IRK, KEY)
    assert KEY.hex() not in repr(eid)
    assert "tag:1" not in repr(eid)
    out, _ = run("list", *where)
    assert [line.split()[0] for line in out.splitlines()] == ["kind", "eid", "eid", "irk"]
    assert KEY.hex() not in out
    run("remove", *where, "tag:1", "--kind", "irk")
    assert "to be removed" in run("list", *where)[0]
    assert "no such beacon" in run("remove", *where, "tag:9", code=1)[1]
    for arguments, told, said in (
        (("tag:1",), "abc", "32 hexadecimal digits"),
        (("tag:1",), KEY.hex() + "00", "32 hexadecimal digits"),
        (("tag:1", "--agree"), KEY.hex(), "64 hexadecimal digits"),
        (("tag:1", "--agree"), "00" * 32, "agrees on zero"),
        (("tag:1", "--agree", "--kind", "irk"), mine.hex(), "not agreed on"),
        (("login:ann",), KEY.hex(), "tag:ID or app:ID"),
        (("tag:",), KEY.hex(), "tag:ID or app:ID"),
        (("tag:a b",), KEY.hex(), "tag:ID or app:ID"),
        (("tag:1", "--exponent", "16"), KEY.hex(), "exponent"),
        (("tag:1", "--clock", "-1"), KEY.hex(), "clock"),
    ):
        _, err = run("add", *where, *arguments, told=told, code=1)
        assert said in err
        assert told not in err


def test_both_come_to_one_key_and_no_two_agreements_share_one() -> None:
    private = new_private_key()
    mine = public_key(private)
    found = [agreed(SUITE, mine) for _ in range(2)]
    for key, ours in found:
        assert identity_key(SUITE.hmac, agree(private, ours), ours, mine) == key
    assert found[0] != found[1]


def test_a_kind_that_nobody_knows() -> None:
    with pytest.raises(BeaconError):
        new_beacon("tag:1", "nfc", KEY, 0)


def test_what_changes_meanwhile_is_not_taken_for_what_was_taken_over(tmp_path: Path) -> None:
    with Registry(tmp_path).opened("acme") as registry:
        first, second = new_beacon("tag:1", EID, KEY, 0), new_beacon("tag:1", EID, bytes(16), 0)
        registry.add_beacon(first)
        registry.add_beacon(second)
        registry.beacons_taken([("tag:1", EID, first.serial)])
        assert registry.waiting_beacons(9) == [second]
        registry.beacons_taken([("tag:1", EID, second.serial)])
        assert registry.waiting_beacons(9) == []
        registry.remove_beacon("tag:1")
        registry.beacons_taken([("tag:1", EID, first.serial)])
        assert len(registry.waiting_beacons(9)) == 1
        registry.add_beacon(first)  # it is wanted after all
        assert registry.waiting_beacons(9) == [first]


def test_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_bridge.registry.MAX_IDENTITIES", 2)
    with Registry(tmp_path).opened("acme") as registry:
        for n in range(2):
            registry.add_beacon(new_beacon(f"tag:{n}", EID, KEY, 0))
        with pytest.raises(BeaconError):
            registry.add_beacon(new_beacon("tag:9", EID, KEY, 0))


def test_of_two_copies_only_what_both_have_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The registry of one day and the store of another."""
    with Rig(tmp_path) as rig:
        gateway = rig.enrol()
        rig.send(gateway, gateway.start())
        register(rig, gateway, Tag("tag:1").beacon(), Tag("tag:2").beacon())
        clock = rig.clock
    with Registry(tmp_path).opened() as registry:
        registry.forget_beacons(["tag:1"])
        lost = new_beacon("tag:3", EID, KEY, 0)
        registry.add_beacon(lost)
        registry.beacons_taken([("tag:3", EID, lost.serial)])
    with Rig(tmp_path, clock=clock) as rig:
        rig.know(gateway)
        rig.send(gateway, gateway.rows(sighted(START_MS, "ble:1")), lane=BULK)
        assert len(rig.intake.resolving.handles) == 1
        assert len(list(rig.store.identities())) == 1
        with rig.registry_of_another() as registry:
            assert [beacon.name for beacon in registry.beacons()] == ["tag:2"]
    assert "1 beacons must be registered anew" in caplog.text


def test_thousands_are_taken_over_a_few_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registering, "_A_TURN", 5)
    with Rig(tmp_path) as rig:
        gateway = rig.enrol()
        rig.send(gateway, gateway.start())
        with rig.registry_of_another() as registry:
            for n in range(12):
                registry.add_beacon(Tag(f"tag:{n}").beacon())
        turns = 0
        while len(rig.intake.resolving.handles) < 12:
            rig.send(gateway, gateway.rows(sighted(START_MS, "ble:1")), lane=BULK)
            turns += 1
        assert turns <= 3
        rig.send(gateway, gateway.rows(sighted(START_MS, "ble:1")), lane=BULK)
        with rig.registry_of_another() as registry:
            assert registry.waiting_beacons(1) == []


def ask(rig: Rig, questions: Callable[[httpx.AsyncClient, Door], Awaitable[None]]) -> None:
    door = Door(rig)
    transport = httpx.ASGITransport(door.web())

    async def run() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            await questions(client, door)

    asyncio.run(run())


def test_over_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    private = new_private_key()
    mine = public_key(private)

    with Rig(tmp_path) as rig:

        async def questions(client: httpx.AsyncClient, door: Door) -> None:
            headers = {"authorization": f"Bearer {door.key(origins=())}"}

            async def post(status: int, **body: Any) -> dict[str, Any]:
                answer = await client.post("/beacons", json=body, headers=headers)
                assert answer.status_code == status, answer.text
                assert KEY.hex() not in answer.text
                said: dict[str, Any] = answer.json()
                return said

            asked = {"id": "app:1", "public_key": mine.hex(), "exponent": 11, "clock_s": 5}
            ours = bytes.fromhex((await post(201, **asked))["resolver_public_key"])
            assert await post(201, id="app:1", kind="irk", key=KEY.hex()) == {}
            with rig.registry_of_another() as registry:
                eid, irk = registry.beacons()
            assert eid.key == identity_key(SUITE.hmac, agree(private, ours), ours, mine)
            assert (eid.exponent, eid.beacon_time_s, irk.key) == (11, 5, KEY)
            for body in (
                {"id": "app:1"},
                {"id": "app:1", "key": KEY.hex(), "public_key": mine.hex()},
                {"id": "app:1", "key": KEY.hex()[:-1]},
                {"id": "app:1", "key": KEY.hex(), "kind": "nfc"},
                {"id": "app:1", "public_key": mine.hex(), "kind": "irk"},
                {"id": "app:1", "public_key": "00" * 32},
                {"id": "login:ann", "key": KEY.hex()},
                {"id": 7, "key": KEY.hex()},
                {"id": "app:1", "key": KEY.hex(), "exponent": 99},
                {"id": "app:1", "key": KEY.hex(), "more": 1},
            ):
                said = await post(422, **body)
                assert "login:ann" not in said["error"]
            for raw, status in ((b"\xff{", 422), (b"[" * 4000, 422), (b" " * 5000, 413)):
                answer = await client.post("/beacons", content=raw, headers=headers)
                assert answer.status_code == status
            forget = {"id": "app:1", "kind": "irk"}
            for status in (200, 404):
                answer = await client.request("DELETE", "/beacons", json=forget, headers=headers)
                assert answer.status_code == status

        ask(rig, questions)
    assert KEY.hex() not in caplog.text


def test_over_http_only_a_servers_key_may(tmp_path: Path) -> None:
    body = {"id": "app:1", "key": KEY.hex()}
    with Rig(tmp_path) as rig:

        async def questions(client: httpx.AsyncClient, door: Door) -> None:
            of_a_page, of_a_server = door.key(), door.key(origins=(), burst=2)

            async def status(key: str, **more: str) -> int:
                headers = {"x-api-key": key, **more}
                return (await client.post("/beacons", json=body, headers=headers)).status_code

            assert await status("") == 401
            assert await status("ek_nobody") == 401
            assert await status(of_a_page) == 403
            assert await status(of_a_server, origin="https://shop.example") == 403
            assert [await status(of_a_server) for _ in range(3)] == [201, 201, 429]
            with rig.registry_of_another() as registry:
                assert len(registry.beacons()) == 1

        ask(rig, questions)
