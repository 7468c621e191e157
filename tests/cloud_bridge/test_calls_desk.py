import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge import calls_desk
from cloud_bridge.call_feed import MAX_LIVE, CallFeed
from cloud_bridge.turn import Event
from edge_sdk.errors import StorageError
from tests.cloud_bridge.rig import TENANT, Rig
from tests.cloud_bridge.served import ORIGIN, Door, served
from tests.cloud_bridge.test_calling import NUMBER, SITE, Shop, events, missed

OTHER = "lyon-1"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Rig(tmp_path) as rig:
        yield Door(rig)


def in_a_loop(flow: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @functools.wraps(flow)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(flow(*args, **named))

    return run


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def pop(call: str = "sip:1", *, state: str = "ringing", **others: Any) -> Event:
    place = {"site": SITE, "group": "sales", **others}
    return Event("call", {"call": call, "state": state, **place})


@in_a_loop
async def test_agents_see_who_waits_and_say_that_she_was_called_back(door: Door) -> None:
    shop = Shop(door.rig)
    shop.call(*missed())
    async with served(door) as client:
        key = door.key(SITE, origins=())
        [waiting] = (await client.get("/calls/callbacks", headers=bearer(key))).json()["callbacks"]
        assert (waiting["caller"], waiting["dialled"], waiting["waited_ms"]) == (
            NUMBER, "+33170180000", 140_000,
        )  # fmt: skip
        body = {"call": waiting["call"], "outcome": "called_back", "agent": "ann"}
        for duplicate in (False, True):
            answer = await client.post("/calls/outcomes", headers=bearer(key), json=body)
            assert (answer.status_code, answer.json()) == (202, {"duplicate": duplicate})
        after = (await client.get("/calls/callbacks", headers=bearer(key))).json()
        assert after == {"callbacks": []}


@in_a_loop
async def test_a_key_opens_its_own_sites_calls_and_a_tenants_key_all(door: Door) -> None:
    shop = Shop(door.rig)
    shop.call(*missed())
    async with served(door) as client:
        for site, count in ((OTHER, 0), (SITE, 1), ("*", 1)):
            answer = await client.get("/calls/callbacks", headers=bearer(door.key(site, ())))
            assert len(answer.json()["callbacks"]) == count
        tenants = bearer(door.key("*", ()))
        nowhere = await client.post(
            "/calls/outcomes", headers=tenants, json={"call": "sip:1", "outcome": "sale"}
        )
        assert nowhere.status_code == 422
        there = {"call": "sip:1", "outcome": "sale", "site": SITE}
        assert (await client.post("/calls/outcomes", headers=tenants, json=there)).is_success
        others = bearer(door.key(OTHER, ()))
        assert (await client.post("/calls/outcomes", headers=others, json=there)).is_client_error
        groups = [("agents", 1), ("sales", 0)]
        for group, count in groups:
            found = await client.get("/calls/callbacks", headers=tenants, params={"group": group})
            assert len(found.json()["callbacks"]) == count


@pytest.mark.parametrize("path", ["/calls/callbacks", "/calls/feed"])
@in_a_loop
async def test_no_page_and_no_stranger_gets_in(door: Door, path: str) -> None:
    async with served(door) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=bearer("ek_nobody"))).status_code == 401
        assert (await client.get(path, headers=bearer(door.key(SITE)))).status_code == 403
        staff = bearer(door.key(SITE, ())) | {"Origin": ORIGIN}
        assert (await client.get(path, headers=staff)).status_code == 403


@pytest.mark.parametrize(
    "raw",
    [b"{", b"[]", b'{"call": "x"}', b'{"call": "", "outcome": "x"}', b'{"call":1,"outcome":"x"}',
     b'{"call": "x", "outcome": "y", "number": "+33612345678"}', b"\xff"],
)  # fmt: skip
@in_a_loop
async def test_a_faulty_outcome_is_refused_and_not_repeated(door: Door, raw: bytes) -> None:
    async with served(door) as client:
        key = bearer(door.key(SITE, ()))
        answer = await client.post("/calls/outcomes", headers=key, content=raw)
        assert answer.status_code == 422
        assert NUMBER not in answer.text
        vast = await client.post("/calls/outcomes", headers=key, content=b" " * 5000)
        assert vast.status_code == 413


@in_a_loop
async def test_a_stalled_disk_is_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_writes: object) -> None:
        raise StorageError("no room")

    async with served(door) as client:
        key = bearer(door.key(SITE, ()))
        monkeypatch.setattr(calls_desk, "ANSWER_S", 0.2)
        body = {"call": "sip:1", "outcome": "sale"}
        with monkeypatch.context() as disk:
            disk.setattr(door.rig.store, "commit", full)
            answer = await client.post("/calls/outcomes", headers=key, json=body)
            assert answer.status_code == 503
        while door.rig.ingest.stalled:  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(0.01)


@in_a_loop
async def test_a_screen_sees_its_groups_calls_from_those_under_way_on(door: Door) -> None:
    door.pops.publish(TENANT, [pop("sip:0"), pop("sip:00", group="service")])
    door.pops.publish(TENANT, [pop("sip:9"), pop("sip:9", state="missed")])
    async with served(door) as client:
        key = bearer(door.key(SITE, ()))
        async with client.stream("GET", "/calls/feed?group=sales", headers=key) as stream:
            lines = told(stream)
            assert (await anext(lines))["call"] == "sip:0"
            door.pops.publish("other", [pop("sip:1")])
            door.pops.publish(TENANT, [pop("sip:2", site=OTHER), pop("sip:3", group="service")])
            door.pops.publish(TENANT, [pop("sip:4", state="answered")])
            assert await anext(lines) == {"tenant": TENANT, **pop("sip:4", state="answered").fields}


async def told(stream: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(20):
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_calls_under_way_are_bounded() -> None:
    feed = CallFeed()
    feed.publish(TENANT, [pop(f"sip:{n}") for n in range(MAX_LIVE + 5)])
    assert len(feed._live) == MAX_LIVE


@in_a_loop
async def test_a_call_shows_up_on_a_screen(door: Door) -> None:
    shop = Shop(door.rig)
    shop.lend(shop.browse("cookie:5f"))
    shop.call(events()[0])
    door.pops.publish(TENANT, [Event("call", fields) for fields in shop.pops])
    async with served(door) as client:
        key = bearer(door.key("*", ()))
        async with client.stream("GET", "/calls/feed", headers=key) as stream:
            shown = await anext(told(stream))
    assert (shown["who"], shown["state"]) == ({"id": "cookie:5f"}, "ringing")
    assert NUMBER not in json.dumps(shown)
