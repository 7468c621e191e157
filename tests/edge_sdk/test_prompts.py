"""Prompts at the edge: at most once whatever happens, while they live, and always accounted for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.clock import SteadyClock
from edge_sdk.key_slots import KeySlots
from edge_sdk.outbox import Outbox
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.prompts import Prompt, Prompts
from edge_sdk.wire import control
from tests.edge_sdk.homes import enrolled

SUITE = AesCcm()
CONNECTIONS: list[Connection] = []

Scenario = Callable[[Prompts], Awaitable[None]]


def sent(number: int, ttl_ms: int = 60_000) -> control.Prompt:
    return control.Prompt(number, ttl_ms, "kiosk", "title", "body", "offer", ("because",))


def opener(path: Path) -> Connection:
    CONNECTIONS.append(open_connection(path))
    return CONNECTIONS[-1]


def run(home: Path, scenario: Scenario) -> None:
    """A device's life from start to end, without a link."""

    async def life() -> None:
        store = OutboxStore(
            home,
            SUITE,
            KeySlots(home, SUITE),
            agent="test",
            max_bytes=1 << 24,
            open_database=opener,
        )
        async with Outbox(store, SteadyClock()) as outbox, Prompts(outbox) as prompts:
            await scenario(prompts)

    asyncio.run(life())


async def taken(prompts: Prompts, within_s: float = 0.2) -> list[Prompt]:
    """All that is handed out before it is quiet."""
    found = []
    try:
        while True:
            async with asyncio.timeout(within_s):
                found.append(await anext(prompts))
    except TimeoutError:
        return found


def test_a_prompt_is_handed_out_once_however_often_it_comes(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        for _ in range(3):
            prompts.arrived(sent(7))
        assert [prompt.id for prompt in await taken(prompts)] == [7]
        prompts.arrived(sent(7))
        assert await taken(prompts) == []
        assert prompts.counts == {"delivered": 1, "repeated": 3}

    run(enrolled(tmp_path), scenario)


def test_not_even_after_a_restart(tmp_path: Path) -> None:
    async def first(prompts: Prompts) -> None:
        prompts.arrived(sent(7))
        [prompt] = await taken(prompts)
        await prompt.shown()
        await prompt.accepted()

    async def again(prompts: Prompts) -> None:
        prompts.arrived(sent(7))
        assert await taken(prompts) == []
        assert prompts.counts == {"repeated": 1}

    run(enrolled(tmp_path), first)
    run(tmp_path, again)


def test_one_that_was_marked_and_never_reported_is_unknown(tmp_path: Path) -> None:
    async def dies(prompts: Prompts) -> None:
        prompts.arrived(sent(7))
        assert len(await taken(prompts)) == 1  # and nobody says what came of it

    async def again(prompts: Prompts) -> None:
        assert prompts.counts == {"unknown": 1}
        prompts.arrived(sent(7))
        assert await taken(prompts) == []

    async def third(prompts: Prompts) -> None:
        assert prompts.counts == {}, "reported once"

    run(enrolled(tmp_path), dies)
    run(tmp_path, again)
    run(tmp_path, third)


def test_one_that_has_expired_is_reported_and_not_shown(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        prompts.arrived(sent(7, ttl_ms=0))
        prompts.arrived(sent(8))
        assert [prompt.id for prompt in await taken(prompts)] == [8]
        assert prompts.counts["expired"] == 1

    run(enrolled(tmp_path), scenario)


def test_life_is_counted_from_arrival(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        prompts.arrived(sent(7, ttl_ms=5000))
        [prompt] = await taken(prompts)
        assert 0 < prompt.ttl_s <= 5

    run(enrolled(tmp_path), scenario)


def test_what_nobody_reads_is_bounded_and_comes_again(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        for number in range(100):
            prompts.arrived(sent(number))
        assert prompts.counts["dropped"] == 36
        assert [prompt.id for prompt in await taken(prompts)] == list(range(36, 100))
        prompts.arrived(sent(3))
        assert [prompt.id for prompt in await taken(prompts)] == [3]

    run(enrolled(tmp_path), scenario)


def test_without_room_for_the_mark_it_is_not_shown_yet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(prompts: Prompts) -> None:
        CONNECTIONS[-1].execute("PRAGMA max_page_count = 1")
        CONNECTIONS[-1].execute("PRAGMA cache_spill = ON")
        for number in range(60):
            prompts.arrived(sent(number))
        early = await taken(prompts)
        CONNECTIONS[-1].execute("PRAGMA max_page_count = 100000")
        for number in range(60):
            prompts.arrived(sent(number))
        late = await taken(prompts)
        ids = [prompt.id for prompt in early + late]
        assert sorted(ids) == list(range(60)), "each once, sooner or later"
        assert prompts.counts["unmarked"] > 0

    run(enrolled(tmp_path), scenario)
    assert "not shown" in caplog.text


def test_nothing_of_a_prompt_is_in_its_repr(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        prompts.arrived(sent(7))
        [prompt] = await taken(prompts)
        assert "body" not in repr(prompt)
        assert "body" not in repr(sent(7))

    run(enrolled(tmp_path), scenario)


def test_leaving_ends_the_waiting(tmp_path: Path) -> None:
    async def scenario(prompts: Prompts) -> None:
        waiting = asyncio.create_task(taken(prompts, within_s=60))
        await asyncio.sleep(0)
        await prompts.__aexit__()
        with pytest.raises(StopAsyncIteration):
            await anext(prompts)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    run(enrolled(tmp_path), scenario)
