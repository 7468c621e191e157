"""The outbox's face: durable on return, commits shared, prompting touchpoints at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.clock import SteadyClock
from edge_sdk.errors import ClosedError, DiskFullError
from edge_sdk.key_slots import KeySlots
from edge_sdk.outbox import Outbox
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.rows import Row
from edge_sdk.wire.touchpoint import Touchpoint, TouchpointError, make
from tests.edge_sdk.homes import enrolled

SUITE = AesCcm()
ENTER = make("visit.enter", visit=1, visitor="ble:aa", zone="coffee")
EXIT = make("visit.exit", visit=1, visitor="ble:aa", zone="coffee", dwell_ms=5)


class Watched:
    """An outbox whose commits are recorded, on a disk that the test can fill."""

    def __init__(self, home: Path, linger_s: float = 0.02) -> None:
        self.connections: list[Connection] = []
        self.commits: list[list[Row]] = []
        store = OutboxStore(
            home,
            SUITE,
            KeySlots(home, SUITE),
            agent="test",
            max_bytes=1 << 26,
            open_database=self._open,
        )
        self.outbox = Outbox(store, SteadyClock(), linger_s)
        self.outbox.on_committed = self.commits.append

    def _open(self, path: Path) -> Connection:
        self.connections.append(open_connection(path))
        return self.connections[-1]

    def pages(self, limit: int) -> None:
        self.connections[-1].execute(f"PRAGMA max_page_count = {limit}")


def sightings(count: int) -> list[Touchpoint]:
    return [make("sighting", receiver="r", beacon=f"ble:{n:012x}") for n in range(count)]


def run(scenario: Any) -> None:
    asyncio.run(scenario())


def test_capture_returns_when_the_touchpoint_is_on_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            await outbox.capture(EXIT)
            [(count,)] = watched.connections[0].execute("SELECT sum(touchpoints) FROM batches")
            assert count == 1

    run(scenario)


def test_captures_that_come_together_share_one_commit(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            await asyncio.gather(*(outbox.capture(one) for one in sightings(100)))
            assert len(watched.commits) == 1
            assert outbox.captured == 100

    run(scenario)


def test_a_prompting_touchpoint_does_not_linger_and_takes_along_what_waits(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path), linger_s=3600)
        async with watched.outbox as outbox:
            waiting = asyncio.create_task(outbox.capture(EXIT))
            await asyncio.sleep(0)
            await outbox.capture(ENTER)
            await waiting
            [rows] = watched.commits
            assert [row.prompting for row in rows] == [True]

    run(scenario)


def test_capture_many_keeps_the_order_over_several_commits(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            await outbox.capture_many(sightings(10_000))
        rows = [row for commit in watched.commits for row in commit]
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert outbox.captured == 10_000

    run(scenario)


def test_leaving_commits_what_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path), linger_s=3600)
        async with watched.outbox as outbox:
            waiting = asyncio.create_task(outbox.capture(EXIT))
            await asyncio.sleep(0)
        await waiting
        assert watched.outbox.captured == 1
        with pytest.raises(ClosedError):
            await watched.outbox.capture(EXIT)

    run(scenario)


def test_a_cancelled_caller_does_not_take_its_touchpoint_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            waiting = asyncio.create_task(outbox.capture(EXIT))
            await asyncio.sleep(0)
            waiting.cancel()
            await outbox.capture(ENTER)
            assert outbox.captured == 2

    run(scenario)


def test_a_malformed_touchpoint_is_refused_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            bad = Touchpoint(EXIT.code, None, ("not a number", *EXIT.values[1:]))
            long = Touchpoint(20, None, ("crm:1", "q" * 16_000, "t" * 16_000))
            many = [make("custom", name="n" * 16_000, data=bytes(16_000)), long]
            huge = Touchpoint(40_000, None, ("x" * 16_000,) * 9)
            for wrong in (bad, huge):
                with pytest.raises(TouchpointError):
                    await outbox.capture(wrong)
            with pytest.raises(TouchpointError):
                await outbox.capture_many([EXIT, bad])
            await outbox.capture_many(many * 4)
            assert outbox.captured == 8

    run(scenario)


def test_a_full_disk_is_told_to_each_caller_and_passes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        watched = Watched(enrolled(tmp_path))
        async with watched.outbox as outbox:
            watched.pages(1)
            results = await asyncio.gather(
                *(outbox.capture(one) for one in sightings(5000)), return_exceptions=True
            )
            assert any(isinstance(result, DiskFullError) for result in results)
            kept = outbox.captured
            assert kept == sum(result is None for result in results)
            watched.pages(1_000_000)
            await outbox.capture(ENTER)
            [(count,)] = watched.connections[0].execute("SELECT sum(touchpoints) FROM batches")
            assert count == kept + 1

    run(scenario)
    assert "disk is full" in caplog.text


def test_device_time_is_stamped_at_capture_and_never_over_the_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Watched(enrolled(tmp_path)).outbox as outbox:
            mine = [EXIT, make("visit.exit", 77, visit=1)]
            await outbox.capture_many(mine)
            assert mine[0].at_ms is None, "the caller's own object is left alone"

    run(scenario)


def test_a_prompts_mark_and_outcome(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Watched(enrolled(tmp_path)).outbox as outbox:
            assert await outbox.mark([(1, "o", "kiosk")]) == {1}
            assert await outbox.mark([(1, "o", "kiosk"), (2, "o", "kiosk")]) == {2}
            await outbox.capture_outcome(make("prompt.shown", prompt=1), 1)
        async with Watched(tmp_path).outbox as outbox:
            assert outbox.unreported == [(2, "o", "kiosk")]

    run(scenario)
