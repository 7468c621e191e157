"""Providers' deliveries through a whole bridge, on its own socket."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.call_hooks.hooks_file import FILE_NAME
from cloud_bridge.factory import Bridge, Config
from tests.cloud_bridge.call_hooks import signed
from tests.cloud_bridge.call_hooks.test_desk import ONE_HOOK, URL
from tests.cloud_bridge.call_hooks.test_twilio import ASKED, REPORT
from tests.cloud_bridge.served import Wire

PATH = "/calls/hooks/twilio-paris"


def posted(head: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: bridge", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def says(bridge: Bridge, request: bytes) -> tuple[int, bytes]:
    wire = await Wire.to(int(bridge.http_url.rpartition(":")[2]))
    try:
        wire.writer.write(request)
        status, _, body = await wire.answer()
        return status, body
    finally:
        await wire.close()


async def health(bridge: Bridge) -> dict[str, Any]:
    _, body = await says(bridge, b"GET /health HTTP/1.1\r\nHost: bridge\r\n\r\n")
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOK_SECRET", "token")
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / FILE_NAME).write_text(ONE_HOOK)
    return tmp_path


def test_a_thousand_deliveries_at_once_are_each_taken_once(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 500 calls, each told twice, and among them some that are not the provider's."""

    async def told(bridge: Bridge, at: int, token: str) -> int:
        call = {"CallSid": f"CA{at % 500:04}", "From": f"+336123{at % 500:05}"}
        return (await says(bridge, posted(*signed.twilio(URL, ASKED | call, token))))[0]

    async def run() -> dict[str, Any]:
        async with Bridge(Config(data, tenant="acme", broker="embedded", http_port=0)) as bridge:
            right = [told(bridge, at, "token") for at in range(1000)]
            wrong = [told(bridge, at, "guessed") for at in range(50)]
            statuses = await asyncio.gather(*right, *wrong)
            assert statuses == [200] * 1000 + [401] * 50
            return await health(bridge)

    with caplog.at_level(logging.DEBUG):
        found = asyncio.run(run())
    counted = found["hooks"]
    assert (counted["taken"], counted["duplicate"], counted["events"]) == (500, 500, 500)
    assert counted["refused.signature"] == 50
    assert found["counted"]["touchpoints.call"] == 500
    assert not re.search(r"336123|token|guessed", caplog.text + json.dumps(found))


def test_hooks_come_and_go_while_it_runs_and_what_was_taken_stays(data: Path) -> None:
    file = data / "acme" / FILE_NAME
    config = Config(data, tenant="acme", broker="embedded", http_port=0)
    request = posted(*signed.twilio(URL, REPORT))

    async def until(bridge: Bridge, holds: Callable[[int, dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(30):
            while True:
                status, _ = await says(bridge, request)
                if holds(status, (await health(bridge))["hooks"]):
                    return
                await asyncio.sleep(0.05)

    async def first() -> None:
        async with Bridge(config) as bridge:
            assert (await says(bridge, request))[0] == 200
            file.write_text(ONE_HOOK.replace("twilio-paris", "twilio-lyon"))
            await until(bridge, lambda status, _: status == 404)
            file.write_text("faulty")
            await until(bridge, lambda _, hooks: hooks["faulty"] == 1)
            assert (await health(bridge))["hooks"]["hooks"] == 1

    async def second() -> None:
        async with Bridge(config) as bridge:
            assert (await says(bridge, request))[0] == 200
            assert (await health(bridge))["hooks"]["duplicate"] == 1

    asyncio.run(first())
    file.write_text(ONE_HOOK)
    asyncio.run(second())
