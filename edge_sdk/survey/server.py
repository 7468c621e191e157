"""The survey's page and what it asks for: a small HTTP server for one phone or tablet.

The address that is printed has a code that is good once; whoever opens it gets a cookie, and the
next one needs a new code. Nothing is served without one. The page's own files are all that it
loads, and no script stands in it (Content-Security-Policy).
"""

import asyncio
import hmac
import importlib.resources
import json
import logging
import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from edge_sdk.errors import ConfigError
from edge_sdk.plan_picture import Sheet
from edge_sdk.survey.picture import survey_svg
from edge_sdk.survey.session import Reading, Session

log = logging.getLogger(__name__)

_MAX_HEAD, _MAX_BODY = 8192, 4096
_REQUEST_S = 10.0
_MOST_AT_ONCE = 32
_MOST_COOKIES = 8
_STEP_S = 0.2
_COOKIE = "survey"
_TEXT = 1.2  # a phone is held at arm's length

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/survey.js": ("survey.js", "text/javascript; charset=utf-8"),
    "/survey.css": ("survey.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = (
    "Cache-Control: no-store",
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy: no-referrer",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
)
_REASONS = {200: "OK", 303: "See Other", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
            405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large"}  # fmt: skip
_FORBIDDEN = (
    b"This address has been used, or its code is wrong."
    b" The window in which the survey runs shows a new one.\n"
)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, list[str]]
    cookies: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    more: tuple[str, ...] = ()


class SurveyServer:
    """`async with SurveyServer(session, readings) as server: await server.done()`.

    readings  what radios hear, as it is heard; when it ends the page stays, and says so
    told      is called with each address that can be opened, once
    """

    def __init__(
        self,
        session: Session,
        readings: AsyncIterator[Reading],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        told: Callable[[str], None] = lambda _address: None,
    ) -> None:
        self.session = session
        self.address = ""
        self._readings = readings
        self._host = host
        self._port = port
        self._told = told
        self._code = ""
        self._cookies: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)

    async def __aenter__(self) -> Self:
        """Raises ConfigError where the address cannot be had."""
        try:
            self._server = await asyncio.start_server(
                self._connected, self._host, self._port, limit=_MAX_HEAD
            )
        except OSError as error:
            reason = error.strerror or "it is not an address of this machine"
            raise ConfigError(f"cannot listen at {self._host}:{self._port}: {reason}") from None
        port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"http://{host}:{port}"
        self._new_code()
        self._tasks = [
            asyncio.create_task(self._hear(), name="survey readings"),
            asyncio.create_task(self._pass_time(), name="survey time"),
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def done(self) -> None:
        """Until one of its flows fails, which is raised."""
        await asyncio.gather(*self._tasks)

    def _new_code(self) -> None:
        self._code = secrets.token_urlsafe(9)
        self._told(f"{self.address}/?code={self._code}")

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        async for reading in self._readings:
            self.session.hear(reading, loop.time())
        self.session.message = "The radio has ended; start the survey again to go on."

    async def _pass_time(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.session.advance(loop.time())
            await asyncio.sleep(_STEP_S)

    # HTTP

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._room, asyncio.timeout(_REQUEST_S):
                answer = await self._answered(reader)
                writer.write(_bytes_of(answer))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # it went away, or was too slow
        finally:
            writer.close()
            with suppress(OSError, ConnectionError):
                await writer.wait_closed()

    async def _answered(self, reader: asyncio.StreamReader) -> _Answer:
        try:
            request = await _read(reader)
        except asyncio.LimitOverrunError:
            return _Answer(413)
        except ValueError:
            return _Answer(400)
        codes = request.query.get("code", [])
        if request.path == "/" and codes:
            return self._let_in(codes[0])
        cookie = request.cookies.get(_COOKIE, "")
        if not any(hmac.compare_digest(cookie, known) for known in self._cookies):
            return _Answer(403, _FORBIDDEN)
        if request.method == "POST":
            return self._do(request)
        if request.method != "GET":
            return _Answer(405)
        if request.path == "/map.svg":
            session = self.session
            places = list(session.notebook.places)
            svg = await asyncio.to_thread(survey_svg, session.store, places, session.floor)
            return _Answer(200, svg.encode(), "image/svg+xml")
        return self._show(request.path)

    def _let_in(self, code: str) -> _Answer:
        if not code.isascii() or not hmac.compare_digest(code, self._code):
            return _Answer(403, _FORBIDDEN)
        cookie = secrets.token_urlsafe(24)
        self._cookies = [*self._cookies, cookie][-_MOST_COOKIES:]
        self._new_code()
        kept = f"Set-Cookie: {_COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/"
        return _Answer(303, more=("Location: /", kept))

    def _show(self, path: str) -> _Answer:
        session = self.session
        if path in _FILES:
            name, kind = _FILES[path]
            page = importlib.resources.files("edge_sdk.survey") / "page"
            return _Answer(200, (page / name).read_bytes(), kind)
        if path == "/state":
            return _json(session.view(asyncio.get_running_loop().time()))
        if path == "/plan.svg":
            return _Answer(200, _plan_svg(session).encode(), "image/svg+xml")
        if path == "/plan":
            return _json(_frame(session))
        return _Answer(404)

    def _do(self, request: _Request) -> _Answer:
        try:
            asked = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            return _Answer(400)
        if not isinstance(asked, dict):
            return _Answer(400)
        now_s = asyncio.get_running_loop().time()
        session = self.session
        try:
            if request.path == "/record":
                session.begin(_number(asked, "x_m"), _number(asked, "y_m"), now_s)
            elif request.path == "/choose":
                beacon = asked.get("beacon")
                session.choose(beacon if beacon is None else str(beacon))
            elif request.path in ("/cancel", "/undo", "/redo"):
                {"/cancel": session.cancel, "/undo": session.undo, "/redo": session.redo}[
                    request.path
                ]()
            else:
                return _Answer(404)
        except ConfigError as error:
            return _json({"error": str(error)}, 409)
        return _json(session.view(now_s))


async def _read(reader: asyncio.StreamReader) -> _Request:
    """One request. Raises ValueError where it is none, and what the reader raises."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _MAX_BODY or "transfer-encoding" in headers:
        raise ValueError("a body is small, and says how long it is")
    body = await reader.readexactly(length)
    cookies = dict(
        pair.strip().split("=", 1) for pair in headers.get("cookie", "").split(";") if "=" in pair
    )
    cookies = {name: value for name, value in cookies.items() if value.isascii()}
    parts = urlsplit(target)
    return _Request(method, parts.path, parse_qs(parts.query), cookies, body)


def _bytes_of(answer: _Answer) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        *_HEADERS,
        *answer.more,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body


def _json(value: Any, status: int = 200) -> _Answer:  # noqa: ANN401  whatever JSON can hold
    return _Answer(status, json.dumps(value).encode(), "application/json")


def _number(asked: dict[str, Any], name: str) -> float:
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} is not a number")
    return float(value)


def _plan_svg(session: Session) -> str:
    sheet = Sheet(session.store, session.floor, _TEXT)
    sheet.zones()
    sheet.receivers(names=False)
    sheet.zone_names()
    return sheet.svg()


def _frame(session: Session) -> dict[str, Any]:
    """What turns a place in the picture into one on the plan, and how the store is called."""
    sheet = Sheet(session.store, session.floor, _TEXT)
    store = session.store
    return {
        "name": store.plan.name or "Store",
        "floor": store.floors.get(session.floor, f"floor {session.floor}"),
        "several_floors": len({zone.floor for zone in store.plan.zones}) > 1,
        "left_m": sheet.left_m,
        "low_m": sheet.low_m,
        "high_m": sheet.high_m,
        "up": store.y_axis == "up",
        "zones": [
            {"name": zone.name, "corners": zone.corners}
            for zone in store.plan.zones
            if zone.floor == session.floor
        ],
    }
