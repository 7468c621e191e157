"""Watchers see what happens; a slow one loses the oldest, and that is counted."""

import asyncio

import pytest

from cloud_bridge import feed as module
from cloud_bridge.feed import MAX_WAITING, Feed
from cloud_bridge.turn import Event


def test_events_reach_every_watcher() -> None:
    async def watch() -> None:
        feed = Feed()
        streams = [feed.watch(), feed.watch()]
        for stream in streams:
            assert (await anext(stream)).startswith(b":")
        assert feed.watchers == 2
        feed.publish("acme", [Event("gap", {"batches": 3}), Event("visit", {})])
        for stream in streams:
            assert await anext(stream) == b'event: gap\ndata: {"tenant":"acme","batches":3}\n\n'
            assert await anext(stream) == b'event: visit\ndata: {"tenant":"acme"}\n\n'
        feed.close()
        for stream in streams:
            assert [event async for event in stream] == []
        assert feed.watchers == 0

    asyncio.run(watch())


def test_a_slow_watcher_loses_the_oldest() -> None:
    async def watch() -> None:
        feed = Feed()
        stream = feed.watch()
        await anext(stream)
        feed.publish("acme", (Event("visit", {"at": at}) for at in range(MAX_WAITING + 5)))
        assert feed.dropped == 5
        assert await anext(stream) == b'event: visit\ndata: {"tenant":"acme","at":5}\n\n'
        feed.publish("acme", [Event("visit", {})])
        feed.close()
        assert len([event async for event in stream]) == MAX_WAITING - 1

    asyncio.run(watch())


def test_a_quiet_stream_still_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)

    async def watch() -> None:
        feed = Feed()
        stream = feed.watch()
        await anext(stream)
        assert await anext(stream) == b": still here\n\n"
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        assert feed.watchers == 0

    asyncio.run(watch())
