"""The bridge over HTTP, but for /collect: how it is, what happens, and what is described."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from cloud_bridge.feed import MAX_WATCHERS, Feed
from cloud_bridge.turn import Event
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.served import Door


def ask(rig: Rig, questions: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Ask an application that stands on a real store and thread."""
    transport = httpx.ASGITransport(Door(rig).web())

    async def run() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            await questions(client)

    asyncio.run(run())


def test_health_and_documentation(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:

        async def questions(client: httpx.AsyncClient) -> None:
            assert (await client.get("/health")).json() == {"status": "ok"}
            described: dict[str, Any] = (await client.get("/openapi.json")).json()
            collect = described["paths"]["/collect"]["post"]
            assert "page.view" in collect["description"]
            reference = collect["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schemas = described["components"]["schemas"]
            schema = schemas[reference.removeprefix("#/components/schemas/")]
            assert set(schema["required"]) == {"session", "id", "events"}
            assert "page.view" in schemas
            hooks = "/calls/hooks/{name}"
            calls = {f"/calls/{name}" for name in ("feed", "callbacks", "outcomes")}
            others = {"/collect", "/health", "/feed", "/beacons"}
            names = ("lease", "heartbeat", "release", "leases")
            numbers = {f"/numbers/{name}" for name in names}
            assert set(described["paths"]) == {*others, *calls, *numbers, hooks}
            assert set(described["paths"][hooks]) == {"post"}

        ask(rig, questions)


def test_the_feed_streams_and_is_bounded(tmp_path: Path) -> None:
    async def watch(rig: Rig) -> None:
        feed = Feed()
        app = Door(rig).web(feed)
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
        feed.publish("acme", [Event("gap", {"batches": 1})])
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
