"""Slow and endless senders on a real socket: told, closed, and nobody else notices."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from cloud_bridge import connections
from cloud_bridge.turn import Collected
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.served import Door, Wire, post, served
from tests.cloud_bridge.test_collect_app import BODY, bearer

HEAD = b"POST /collect HTTP/1.1\r\nHost: bridge\r\n"


def ask(
    tmp_path: Path,
    questions: Callable[[Door, httpx.AsyncClient], Awaitable[None]],
    *,
    is_hot: bool = True,
) -> Door:
    with Rig(tmp_path) as rig:
        door = Door(rig, is_hot=is_hot)

        async def run() -> None:
            async with served(door, second_s=0.02) as client:
                await questions(door, client)

        asyncio.run(run())
        return door


SLOW = {
    "nothing": (),
    "half a line": (b"POST /coll",),
    "a head without end": (HEAD, b"X-A: 1\r\n"),
    "a body that does not come": (post("ek_1", b"{}")[:-2],),
    "a body that stops": (post("ek_1", b"{}")[:-1],),
    "another path's body": (post("ek_1", b"{}")[:-1].replace(b"/collect", b"/health"),),
    "empty lines": (b"\r\n",),
}


@pytest.mark.parametrize("parts", SLOW.values(), ids=SLOW.keys())
def test_who_does_not_go_on_is_let_go(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        wire = await Wire.to(door.port)
        for part in parts:
            wire.writer.write(part)
        said = await wire.end()
        await wire.close()
        assert said.count(b"HTTP/1.1 ") == (1 if parts else 0)
        if parts and b"POST /" not in parts[0]:
            assert said.startswith(b"HTTP/1.1 408 ")
        sent = bearer(door.key())
        assert (await client.post("/collect", json=BODY, headers=sent)).status_code == 202

    ask(tmp_path, questions)


def test_nor_one_that_drips(tmp_path: Path) -> None:
    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        wire = await Wire.to(door.port)
        wire.writer.write(post(door.key(), b" " * 60_000)[:-60_000])

        async def drip() -> None:
            while True:
                wire.writer.write(b" ")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        status, headers, _ = await wire.answer()
        dripping.cancel()
        await wire.close()
        assert (status, headers["connection"]) == (408, "close")

    door = ask(tmp_path, questions)
    assert door.counted["refused.disconnected"] == 1


def test_a_request_after_a_drip_of_lines_is_bounded_too(tmp_path: Path) -> None:
    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        wire = await Wire.to(door.port)
        wire.writer.write(post(door.key(), BODY))
        assert (await wire.answer())[0] == 202
        wire.writer.write(b"\r\n")
        assert (await wire.end()).startswith(b"HTTP/1.1 408 ")
        await wire.close()

    ask(tmp_path, questions)


def test_a_head_is_bounded(tmp_path: Path) -> None:
    async def questions(door: Door, client: httpx.AsyncClient) -> None:
        line = b"X-A: " + b"a" * 8000 + b"\r\n"
        for endless in (line, b"a" * 8000):
            wire = await Wire.to(door.port)
            wire.writer.write(HEAD + b"X-B: ")
            for _ in range(connections.MAX_HEAD_BYTES // 8000 + 1):
                wire.writer.write(endless)
                await asyncio.sleep(0.001)
            assert (await wire.answer())[0] == 431
            await wire.close()
        sent = bearer(door.key()) | {"X-A": "a" * 8000}
        assert (await client.post("/collect", json=BODY, headers=sent)).status_code == 202

    ask(tmp_path, questions)


def test_what_was_refused_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_S", 10_000)

    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        wire = await Wire.to(door.port)
        wire.writer.write(post(door.key(), b"").replace(b"Length: 0", b"Length: 9999999999"))
        assert (await wire.answer())[0] == 413
        sent = 0
        with suppress(OSError):  # a reset, or a broken pipe
            while sent < 64 * connections.MAX_REQUEST_BYTES:
                wire.writer.write(b" " * 65_536)
                await wire.writer.drain()
                sent += 65_536
        assert sent < 64 * connections.MAX_REQUEST_BYTES
        await wire.close()

    ask(tmp_path, questions)


@pytest.mark.parametrize("is_hot", [True, False], ids=["hot", "asgi"])
def test_large_bodies_in_one_piece_are_no_long_heads(tmp_path: Path, is_hot: bool) -> None:
    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        key = door.key()
        padded = json.dumps(BODY).encode() + b" " * 60_000
        for _ in range(50):
            assert (await door.says(post(key, padded)))[0] == 202

    door = ask(tmp_path, questions, is_hot=is_hot)
    assert (door.counted["accepted"], door.counted["duplicate"]) == (1, 49)


@pytest.mark.parametrize("is_hot", [True, False], ids=["hot", "asgi"])
def test_who_was_refused_and_asks_on_may_wait_for_the_answer(tmp_path: Path, is_hot: bool) -> None:
    """The refusal is there at once, and the connection rests; but not for what came with it."""

    async def questions(door: Door, _client: httpx.AsyncClient) -> None:
        key = door.key()
        collect = door.collect

        async def slowly(tenant: str, collected: Collected) -> bool:
            await asyncio.sleep(0.02 * 20)  # longer than a connection may rest
            return await collect(tenant, collected)

        door.collect = slowly
        wire = await Wire.to(door.port)
        wire.writer.write(post(key, b"[]") + post(key, BODY))
        assert (await wire.answer())[0] in (400, 422)
        assert (await wire.answer())[0] == 202
        await wire.close()

    ask(tmp_path, questions, is_hot=is_hot)
