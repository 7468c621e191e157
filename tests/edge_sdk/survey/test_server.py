"""The survey's page over a real socket: let in once by a code, and every request that is none."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.survey import server as module
from edge_sdk.survey.server import SurveyServer
from edge_sdk.survey.session import Session
from tests.edge_sdk.survey.stores import BEACON, Reading, radio, session

PAGE = Path(module.__file__).parent / "page"
WAIT_S = 20.0


class Said(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Browser:
    """What a phone does, with a cookie."""

    def __init__(self, server: SurveyServer) -> None:
        self._port = int(server.address.rpartition(":")[2])
        self.cookie = ""

    async def raw(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), WAIT_S)
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, path: str, body: object = None) -> Said:
        data = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: a=b; {self.cookie}\r\n"
        answer = await self.raw(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        told, _, rest = answer.partition(b"\r\n\r\n")
        first, *lines = told.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        if "set-cookie" in headers:
            line = next(line for line in lines if line.startswith("Set-Cookie"))
            self.cookie = line.split(": ")[1].split(";")[0]
        return Said(int(first.split()[1]), headers, rest)


Try = Callable[[SurveyServer, list[str]], Awaitable[None]]


def served(survey: Session, test: Try, readings: AsyncIterator[Reading] | None = None) -> None:
    async def serve() -> None:
        addresses: list[str] = []
        source = readings or radio()
        async with SurveyServer(survey, source, told=addresses.append) as server:
            await test(server, addresses)

    asyncio.run(serve())


def path_of(address: str) -> str:
    return "/" + address.split("/", 3)[3]


def test_a_point_is_recorded_by_a_tap(tmp_path: Path) -> None:
    async def test(server: SurveyServer, addresses: list[str]) -> None:
        browser = Browser(server)
        let_in = await browser.ask(path_of(addresses[0]))
        assert (let_in.status, let_in.headers["location"]) == (303, "/")
        assert "HttpOnly; SameSite=Strict" not in browser.cookie
        assert (await browser.ask("/")).body == (PAGE / "index.html").read_bytes()
        frame = (await browser.ask("/plan")).json
        assert (frame["name"], [zone["name"] for zone in frame["zones"]]) == ("shop", ["a", "b"])
        assert b"<svg" in (await browser.ask("/plan.svg")).body
        said = await browser.ask("/record", {"x_m": 2.5, "y_m": 1.5})
        assert said.json["recording"]["x_m"] == 2.5
        async with asyncio.timeout(WAIT_S):
            while not (said := await browser.ask("/state")).json["points"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert said.json["points"] == [{"x_m": 2.5, "y_m": 1.5, "receivers": 2}]
        assert b"Radio map of shop" in (await browser.ask("/map.svg")).body
        assert (await browser.ask("/undo", {})).json["points"] == []
        assert (await browser.ask("/redo", {})).json["points"]
        assert (await browser.ask("/choose", {"beacon": None})).json["beacon"] is None
        assert (await browser.ask("/choose", {"beacon": BEACON})).json["beacon"] == BEACON

    served(session(tmp_path, seconds=0.1), test)


def test_a_code_is_good_once_and_then_there_is_another(tmp_path: Path) -> None:
    async def test(server: SurveyServer, addresses: list[str]) -> None:
        first, second = Browser(server), Browser(server)
        for path in ("/", "/state", "/survey.js", "/?code=", "/?code=guess", "/?code=%C3%A9"):
            assert (await second.ask(path)).status == 403
        assert (await second.ask("/record", {"x_m": 1, "y_m": 1})).status == 403
        assert (await first.ask(path_of(addresses[0]))).status == 303
        assert (await second.ask(path_of(addresses[0]))).status == 403
        assert len(addresses) == 2
        assert (await second.ask(path_of(addresses[1]))).status == 303
        for browser in (first, second):
            assert (await browser.ask("/state")).status == 200

    served(session(tmp_path), test)


def test_requests_that_are_none_leave_it_as_it_is(tmp_path: Path) -> None:
    survey = session(tmp_path)

    async def test(server: SurveyServer, addresses: list[str]) -> None:
        browser = Browser(server)
        await browser.ask(path_of(addresses[0]))
        for body in (
            {"x_m": "2", "y_m": 1},
            {"x_m": True, "y_m": 1},
            {"x_m": float("nan"), "y_m": 1},
            {"x_m": 1e9, "y_m": 1},
            {},
        ):
            assert (await browser.ask("/record", body)).status == 409
        assert (await browser.ask("/record", [1])).status == 400
        assert (await browser.ask("/choose", {"beacon": "\x00"})).status == 409
        assert (await browser.ask("/nothing", {})).status == 404
        assert (await browser.ask("/../server.py")).status == 404
        cookie = f"Cookie: {browser.cookie}\r\n".encode()
        for request, status in (
            (b"\r\n\r\n", b"400"),
            (b"GET / SPDY/3\r\n\r\n", b"400"),
            (b"GET /\r\n\r\n", b"400"),
            (b"POST /undo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"POST /undo HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
            (b"POST /undo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"400"),
            (b"POST /undo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
            (b"POST /undo HTTP/1.1\r\n" + cookie + b"Content-Length: 1\r\n\r\n{", b"400"),
            (b"PUT /undo HTTP/1.1\r\n" + cookie + b"\r\n", b"405"),
            (b"GET http://[/ HTTP/1.1\r\n\r\n", b"400"),
            (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"413"),
        ):
            assert (await browser.raw(request)).split(b" ")[1] == status
        assert (await browser.ask("/state")).json["points"] == []
        assert survey.recording is None

    served(survey, test)


def test_a_radio_that_ends_is_told_and_the_page_stays(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[Reading]:
        return
        yield

    async def test(server: SurveyServer, addresses: list[str]) -> None:
        browser = Browser(server)
        await browser.ask(path_of(addresses[0]))
        assert "The radio has ended" in (await browser.ask("/state")).json["message"]

    served(session(tmp_path), test, nothing())


def test_what_a_radio_raises_ends_the_survey(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[Reading]:
        raise ConfigError("no adapter")
        yield

    async def test(server: SurveyServer, _addresses: list[str]) -> None:
        with pytest.raises(ConfigError, match="no adapter"):
            await server.done()

    served(session(tmp_path), test, broken())


def test_an_address_that_cannot_be_had_is_a_setting_s_fault(tmp_path: Path) -> None:
    async def serve() -> None:
        async with SurveyServer(session(tmp_path), radio()) as server:
            port = int(server.address.rpartition(":")[2])
            with pytest.raises(ConfigError, match="cannot listen at"):
                await SurveyServer(session(tmp_path), radio(), port=port).__aenter__()

    asyncio.run(serve())


def test_the_page_has_nothing_that_its_policy_forbids(tmp_path: Path) -> None:
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|style=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", html)
    loaded = set(re.findall(r'(?:src|href)="(/[^"]*)"', html))
    assert loaded == {"/survey.js", "/survey.css", "/icon.svg", "/map.svg"}
    script = (PAGE / "survey.js").read_text(encoding="utf-8")
    assert "innerHTML" not in script
    assert "eval(" not in script

    async def test(server: SurveyServer, addresses: list[str]) -> None:
        browser = Browser(server)
        await browser.ask(path_of(addresses[0]))
        for path in loaded:
            said = await browser.ask(path)
            assert said.status == 200
            policy = said.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy

    served(session(tmp_path), test)
