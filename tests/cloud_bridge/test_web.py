"""The bridge over HTTP: answers after the commit, and to anything else with a reason."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from cloud_bridge.collect import MAX_BODY_BYTES
from cloud_bridge.feed import MAX_WATCHERS, Feed
from cloud_bridge.turn import Event
from cloud_bridge.web import Ports, create_app
from tests.cloud_bridge.rig import Rig

VIEW = {"type": "page.view", "page": "/a", "category": "coffee"}
BODY = {"site": "shop", "session": "cookie:1", "id": "b1", "events": [VIEW, VIEW]}


def ask(rig: Rig, questions: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Ask an application that stands on a real store and thread."""
    ports = Ports(rig.clock, rig.ingest.collect, lambda: {"status": "ok"}, Feed())
    transport = httpx.ASGITransport(create_app(ports))

    async def run() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            await questions(client)

    asyncio.run(run())


def test_a_body_is_accepted_once_and_is_in_the_log_by_then(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:

        async def questions(client: httpx.AsyncClient) -> None:
            for duplicate in (False, True):
                answer = await client.post("/collect", json=BODY)
                assert answer.status_code == 202
                assert answer.json() == {"accepted": 2, "duplicate": duplicate}
            same = [client.post("/collect", json={**BODY, "id": "b2"}) for _ in range(5)]
            answers = [answer.json()["duplicate"] for answer in await asyncio.gather(*same)]
            assert sorted(answers) == [False, True, True, True, True]

        ask(rig, questions)
        assert rig.intake.counted["touchpoints.page.view"] == 4
        assert rig.intake.counted["collect.duplicates"] == 5
    with Rig(tmp_path) as again:
        assert len(list(again.store.log())) == 2
        assert again.collect(json.dumps(BODY).encode()) is True


def test_wrong_and_huge_bodies_get_a_reason(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:

        async def endless() -> AsyncIterator[bytes]:
            sent = 0
            while True:
                assert sent <= 2 * MAX_BODY_BYTES  # it is not read to its end
                sent += 8192
                yield b" " * 8192

        async def questions(client: httpx.AsyncClient) -> None:
            answer = await client.post("/collect", content=b"{")
            assert (answer.status_code, answer.json()) == (400, {"error": "the body is not JSON"})
            answer = await client.post("/collect", json={**BODY, "session": "ann@example.org"})
            assert answer.status_code == 422
            assert "session" in answer.json()["error"]
            assert "ann" not in answer.text
            answer = await client.post("/collect", content=endless())
            assert answer.status_code == 413
            assert (await client.get("/collect")).status_code == 405

        ask(rig, questions)
        assert list(rig.store.log()) == []


def test_a_stalled_bridge_says_when_to_come_again(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.ingest.stalled = "the disk is full"

        async def questions(client: httpx.AsyncClient) -> None:
            answer = await client.post("/collect", json=BODY)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0

        ask(rig, questions)


def test_health_and_documentation(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:

        async def questions(client: httpx.AsyncClient) -> None:
            assert (await client.get("/health")).json() == {"status": "ok"}
            described: dict[str, Any] = (await client.get("/openapi.json")).json()
            collect = described["paths"]["/collect"]["post"]
            assert "page.view" in collect["description"]
            schema = collect["requestBody"]["content"]["application/json"]["schema"]
            assert set(schema["required"]) == {"site", "session", "id", "events"}
            assert set(described["paths"]) == {"/collect", "/health", "/feed"}

        ask(rig, questions)


def test_the_feed_streams_and_is_bounded(tmp_path: Path) -> None:
    async def watch(rig: Rig) -> None:
        feed = Feed()
        app = create_app(Ports(rig.clock, rig.ingest.collect, dict, feed))
        answered: asyncio.Queue[Any] = asyncio.Queue()

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()  # it stays
            return {}

        scope = {"type": "http", "method": "GET", "path": "/feed", "http_version": "1.1"}
        asked = {**scope, "query_string": b"", "headers": []}
        watching = asyncio.create_task(app(asked, receive, answered.put))
        started = await answered.get()
        assert dict(started["headers"])[b"content-type"].startswith(b"text/event-stream")
        assert (await answered.get())["body"].startswith(b":")
        feed.publish([Event("gap", {"batches": 1})])
        assert b"event: gap" in (await answered.get())["body"]
        feed.close()
        await watching
        assert feed.watchers == 0
        others = [feed.watch() for _ in range(MAX_WATCHERS)]
        for other in others:
            await anext(other)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            assert (await client.get("/feed")).status_code == 503
        feed.close()
        for other in others:
            assert [event async for event in other] == []

    with Rig(tmp_path) as rig:
        asyncio.run(watch(rig))
