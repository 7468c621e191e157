"""POST /collect over real sockets: keys, origins, rates, bodies, and what is counted."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_bridge import collect_desk, keys
from cloud_bridge.collect import MAX_BODY_BYTES, MAX_EVENTS
from cloud_bridge.collect_desk import REASONS
from cloud_bridge.turn import Collected
from tests.cloud_bridge.rig import Rig, SetClock
from tests.cloud_bridge.served import ORIGIN, Door, Wire, post, served

VIEW = {"type": "page.view", "page": "/a", "category": "coffee"}
BODY: dict[str, Any] = {"session": "cookie:1", "id": "b1", "events": [VIEW, VIEW]}
Questions = Callable[[Door, httpx.AsyncClient], Awaitable[None]]


def ask(home: tuple[Path, bool], questions: Questions, clock: SetClock | None = None) -> Door:
    with Rig(home[0], clock=clock) as rig:
        door = Door(rig, clock, is_hot=home[1])

        async def run() -> None:
            async with served(door) as client:
                await questions(door, client)

        asyncio.run(run())
        refused = {name.removeprefix("refused.") for name in door.counted if "refused" in name}
        assert refused <= set(REASONS)
        return door


@pytest.fixture(params=[True, False], ids=["short", "asgi"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bool]:
    """Where, and whether by the short way to the desk or the framework's: both say the same."""
    return tmp_path, request.param


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_body_is_accepted_once_and_is_in_the_log_by_then(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        sent = bearer(door.key())
        for duplicate in (False, True):
            answer = await client.post("/collect", json=BODY, headers=sent)
            assert answer.status_code == 202
            assert answer.json() == {"accepted": 2, "duplicate": duplicate}
            assert answer.headers["Content-Type"] == "application/json"
        again = BODY | {"id": "b2"}
        same = [client.post("/collect", json=again, headers=sent) for _ in range(5)]
        answers = [answer.json()["duplicate"] for answer in await asyncio.gather(*same)]
        assert sorted(answers) == [False, True, True, True, True]
        most = BODY | {"id": "b3", "events": [VIEW] * MAX_EVENTS}
        assert (await client.post("/collect", json=most, headers=sent)).status_code == 202

    door = ask(home, questions)
    assert door.rig.intake.counted["touchpoints.page.view"] == 4 + MAX_EVENTS
    assert door.counted == {"accepted": 3, "duplicate": 5, "events": 4 + MAX_EVENTS}
    with Rig(home[0]) as again:
        assert again.collect(json.dumps(BODY).encode()) is True


def test_a_key_comes_by_either_header_or_in_the_body(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        key = door.key()
        for sent in (bearer(key), {"authorization": f"bearer  {key}"}, {"X-Api-Key": key}):
            assert (await client.post("/collect", json=BODY, headers=sent)).status_code == 202
        beacon = BODY | {"key": key}
        sent = {"Content-Type": "text/plain;charset=UTF-8", "Origin": ORIGIN}
        answer = await client.post("/collect", content=json.dumps(beacon), headers=sent)
        assert answer.status_code == 202
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN

    ask(home, questions)


def test_without_a_live_key_nothing_is_said_but_that(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        key = door.key()
        with door.rig.registry_of_another() as registry:
            registry.add_key("app", (), 1, 1, 0)
            registry.revoke_key(2)
        said = set()
        unknown = "ek_" + "x" * 32
        for sent in (
            {},
            bearer(unknown),
            {"X-Api-Key": "\xff\xfe"},
            {"Authorization": "Basic YQ=="},
        ):
            raw = {name.encode(): value.encode("latin-1") for name, value in sent.items()}
            answer = await client.post("/collect", json=BODY, headers=raw)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            said.add(answer.text)
        answer = await client.post("/collect", json=BODY | {"key": unknown})
        said.add(answer.text)
        answer = await client.post("/collect", params={"key": key}, json=BODY)
        said.add(answer.text)
        answer = await client.post("/collect", content=b"{ not JSON")
        said.add(answer.text)
        assert len(said) == 1
        assert unknown not in said.pop()
        assert (await client.post("/collect", json=BODY, headers=bearer(key))).status_code == 202

    door = ask(home, questions)
    assert door.counted["refused.no_key"] == 7


def test_a_key_is_of_its_site_alone(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        sent = bearer(door.key("web-shop"))
        answer = await client.post("/collect", json=BODY | {"site": "web-shop"}, headers=sent)
        assert answer.status_code == 202
        answer = await client.post("/collect", json=BODY | {"site": "other"}, headers=sent)
        assert answer.status_code == 422
        assert "site" in answer.json()["error"]
        other = bearer(door.key("app"))
        answer = await client.post("/collect", json=BODY, headers=other)
        assert answer.json()["duplicate"] is False

    ask(home, questions)


def test_pages_of_its_origins_may_use_a_key_and_others_may_not(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        shop, server = door.key(), door.key("app", ())
        any_page = None

        async def posted(key: str, origin: str) -> httpx.Response:
            sent = bearer(key) | {"Origin": origin}
            return await client.post("/collect", json=BODY, headers=sent)

        async def asked(origin: str) -> httpx.Response:
            sent = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            return await client.options("/collect", headers=sent)

        answer = await asked(ORIGIN)
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        answer = await posted(shop, ORIGIN)
        assert answer.status_code == 202
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        for other in ("https://evil.example", "null", "http://shop.example", f"{ORIGIN}:8443"):
            assert (await asked(other)).status_code == 403
            for key in (shop, server):
                answer = await posted(key, other)
                assert answer.status_code == 403
                assert "Access-Control-Allow-Origin" not in answer.headers
                assert answer.headers["Vary"] == "Origin"
        assert (await posted(server, ORIGIN)).status_code == 403
        answer = await posted("ek_none", ORIGIN)  # its page may know why
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        any_page = door.key("any", ("*",))
        answer = await posted(any_page, "null")
        assert answer.status_code == 202
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (await asked("https://evil.example")).headers["Access-Control-Allow-Origin"] == "*"

    ask(home, questions)


def test_other_methods_and_forms(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        sent = bearer(door.key())
        for method in ("GET", "PUT", "DELETE", "HEAD", "PATCH"):
            answer = await client.request(method, "/collect")
            assert answer.status_code == 405
            assert answer.headers["Allow"] == "POST, OPTIONS"
        answer = await client.options("/collect")
        assert (answer.status_code, answer.headers["Allow"]) == (204, "POST, OPTIONS")
        squeezed = gzip.compress(json.dumps(BODY).encode())
        answer = await client.post(
            "/collect", content=squeezed, headers=sent | {"Content-Encoding": "gzip"}
        )
        assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
        answer = await client.post(
            "/collect", json=BODY, headers=sent | {"Content-Encoding": "identity"}
        )
        assert answer.status_code == 202
        assert (await client.post("/collect/", json=BODY, headers=sent)).status_code == 404
        assert (await client.get("/health")).json() == {"status": "ok"}

    door = ask(home, questions)
    assert door.counted["refused.method"] == 5
    assert door.counted["refused.encoding"] == 1


def test_wrong_and_huge_bodies_get_a_reason(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        key = door.key()
        sent = bearer(key)
        answer = await client.post("/collect", content=b"{", headers=sent)
        assert (answer.status_code, answer.json()) == (400, {"error": "the body is not JSON"})
        bad = BODY | {"session": "ann@example.org"}
        answer = await client.post("/collect", json=bad, headers=sent)
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("session: ")
        assert "ann" not in answer.text
        huge = b" " * (MAX_BODY_BYTES + 1)
        answer = await client.post("/collect", content=huge, headers=sent)
        assert answer.status_code == 413
        chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
        head = post(key, b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
        for start in (head, head.replace(b"Authorization", b"X-Other")):
            status, _, _ = await door.says(start, *[chunk] * 9)  # it has no end
            assert status == 413
        # A chunked body that has an end, and is not too long, is as good as any.
        raw = json.dumps(BODY).encode()
        whole = b"%x\r\n%s\r\n" % (len(raw) - 9, raw[:-9]), b"9\r\n%s\r\n" % raw[-9:]
        assert (await door.says(head, *whole, b"0\r\n\r\n", pause_s=0.01))[0] == 202

    door = ask(home, questions)
    assert door.counted["refused.too_long"] == 3
    assert door.counted["refused.not_json"] == 1
    assert door.counted["refused.invalid"] == 1


def test_more_than_a_keys_rate_is_told_when_to_come_again(home: tuple[Path, bool]) -> None:
    clock = SetClock()

    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        few, many = bearer(door.key(burst=3)), bearer(door.key("app"))

        async def status(sent: dict[str, str]) -> int:
            answer = await client.post("/collect", json=BODY, headers=sent | {"Origin": ORIGIN})
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "2"
                assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
            return answer.status_code

        # Two events each: one token is left, then a debt of one.
        assert [await status(few) for _ in range(3)] == [202, 202, 429]
        flood = [status(few) for _ in range(50)] + [status(many) for _ in range(50)]
        told = await asyncio.gather(*flood)
        assert told == [429] * 50 + [202] * 50
        clock.ms += 2000
        assert [await status(few) for _ in range(2)] == [202, 429]

    door = ask(home, questions, clock)
    assert door.counted["refused.rate"] == 52


def test_one_key_cannot_have_all_the_waiting_room(
    home: tuple[Path, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect_desk, "MAX_WAITING_OF_ONE", 3)
    assert keys.MAX_WAITING_OF_ONE < 1024

    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        one, other = bearer(door.key()), bearer(door.key("app"))
        opened = asyncio.Event()

        async def collect(_tenant: str, _collected: Collected) -> bool:
            await opened.wait()
            return False

        door.collect = collect
        tasks = [
            asyncio.create_task(client.post("/collect", json=BODY, headers=sent))
            for sent in [one] * 5 + [other] * 2
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            done |= (await asyncio.wait(set(tasks) - done, return_when="FIRST_COMPLETED"))[0]
        opened.set()
        answers = await asyncio.gather(*tasks)
        assert [a.status_code for a in answers].count(429) == 2
        assert [a.status_code for a in answers[5:]] == [202, 202]
        assert {a.headers["Retry-After"] for a in answers if a.status_code == 429} == {"1"}
        assert (await client.post("/collect", json=BODY, headers=one)).status_code == 202

    ask(home, questions)


def test_a_stalled_bridge_says_when_to_come_again(
    home: tuple[Path, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect_desk, "ANSWER_S", 0.2)

    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        sent = bearer(door.key())
        door.rig.ingest.stalled = "the disk is full"
        answer = await client.post("/collect", json=BODY, headers=sent)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        door.rig.ingest.stalled = None

        async def never(_tenant: str, _collected: Collected) -> bool:
            await asyncio.Event().wait()
            return False

        door.collect = never
        same = [client.post("/collect", json=BODY, headers=sent) for _ in range(3)]
        assert [answer.status_code for answer in await asyncio.gather(*same)] == [503] * 3

    door = ask(home, questions)
    assert door.counted["refused.stalled"] == 4


def test_who_leaves_early_leaves_nothing(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        key = door.key()
        whole = post(key, BODY)
        for cut in (len(whole) - 1, whole.index(b"{") + 1, whole.index(b"{"), 30):
            wire = await Wire.to(door.port)
            wire.writer.write(whole[:cut])
            await wire.writer.drain()
            await asyncio.sleep(0.05)
            await wire.close()
        wire = await Wire.to(door.port)
        wire.writer.write(whole)  # in full, but nobody hears the answer
        await wire.close()
        answer = await client.post("/collect", json=BODY | {"id": "b2"}, headers=bearer(key))
        assert answer.json() == {"accepted": 2, "duplicate": False}
        site = door.ring.find(key)
        assert site is not None
        assert site.waiting == 0

    door = ask(home, questions)
    assert door.counted["refused.disconnected"] == 3


def test_answers_keep_the_order_of_questions_on_one_connection(home: tuple[Path, bool]) -> None:
    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        key = door.key()
        wire = await Wire.to(door.port)
        asked = [post(key, BODY | {"id": str(n), "events": [VIEW] * n}) for n in range(1, 6)]
        asked.insert(3, b"GET /health HTTP/1.1\r\nHost: bridge\r\n\r\n")
        wire.writer.write(b"".join(asked))
        answers = [await wire.answer() for _ in asked]
        await wire.close()
        told = [json.loads(body) for _, _, body in answers]
        assert told.pop(3) == {"status": "ok"}
        assert told == [{"accepted": n, "duplicate": False} for n in range(1, 6)]

    ask(home, questions)
