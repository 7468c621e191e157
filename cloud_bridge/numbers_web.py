"""The routes of /numbers: the hot ones by themselves, the stream of leases beside them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cloud_bridge.numbers_desk import MAX_BODY_BYTES, LeaseAsked, LeaseNamed, NumbersDesk
from cloud_bridge.pools import public
from cloud_bridge.staff_door import StaffDoor
from edge_sdk.numbers.lease import Lease

LEASES_PATH: Final = "/numbers/leases"
MAX_WATCHERS: Final = 256
MAX_WAITING: Final = 4096
_HEARTBEAT_S: Final = 15.0
_A_PIECE: Final = 500
_STREAMED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_LEASE = """
```json
{"session": "cookie:5f3a", "pool": "web", "intent": 0.12}
```

The same session gets the same number while it holds it. `number` has the forms to show; `tel` is
the target of a link. Say that the page is still open every `heartbeat_s` (`POST /numbers/heartbeat`
with `{"lease": "b.web-17.5d0c6e1f2a3b4c5d"}`), and that it is not (`POST /numbers/release`); who
says nothing keeps the number for a while.
Where none is free, or nothing can be kept now (503), `number` is the pool's
fallback, and there is no lease. `kind`: `session`, or with a key without origins `place` (a kiosk's
screen or a poster: `"session": "kiosk:entrance"`) and `channel` (a campaign's number).
"""
_LEASES = """
Server-sent events, for a store's telephone gateway: first every live lease, then
`{"snapshot": n}`, then what changes: `{"lease": {...}}` and `{"ended": "b.web-17"}`. Who
holds a number is not told. Whoever reads too slowly is cut off, and begins anew.
The key is of a site without origins.
"""

HOT_NUMBERS: Final = tuple(f"/numbers/{doing}" for doing in ("lease", "heartbeat", "release"))
(_ASKED, _NAMED), NUMBERS_SCHEMAS = msgspec.json.schema_components(
    [LeaseAsked, LeaseNamed], ref_template="#/components/schemas/{name}"
)


def described_numbers() -> dict[str, Any]:
    """The hot routes, as OpenAPI describes them."""
    told = (
        ("Lend a number", _LEASE, _ASKED),
        ("The holder is there still", "Answers 410 where the lease has ended.", _NAMED),
        ("The holder has gone", "What she is guaranteed she keeps.", _NAMED),
    )
    return {
        path: {
            "post": {
                "summary": summary,
                "description": description,
                "operationId": path.strip("/").replace("/", "_"),
                "security": [{"bearer": []}, {"key": []}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": schema}},
                },
                "responses": {"200": {"description": "On disk"}},
            }
        }
        for path, (summary, description, schema) in zip(HOT_NUMBERS, told, strict=True)
    }


class LeaseFeed:
    """`publish` leases on the event loop; `watch` yields all that live and then what changes."""

    def __init__(self) -> None:
        self._watchers: dict[asyncio.Queue[bytes | None], str] = {}

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def publish(self, tenant: str, leases: Iterable[Lease]) -> None:
        """Hand a tenant's leases to those who watch it."""
        if not self._watchers:
            return
        told = b"".join(map(_encoded, leases))
        for queue, of in self._watchers.items():
            if of == tenant and told:
                if queue.full():
                    queue.get_nowait()
                    queue.put_nowait(None)  # it has lost something: it is to begin anew
                else:
                    queue.put_nowait(told)

    def close(self) -> None:
        """End every stream."""
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def watch(
        self, tenant: str, live: Callable[[str], Awaitable[list[Lease]]]
    ) -> AsyncIterator[bytes]:
        """One watcher's stream."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._watchers[queue] = tenant
        try:
            yield b": leases of telephone numbers\n\n"
            leases = await live(tenant)
            for at in range(0, len(leases), _A_PIECE):
                yield b"".join(map(_encoded, leases[at : at + _A_PIECE]))
            yield b'data: {"snapshot":%d}\n\n' % len(leases)
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT_S):
                        told = await queue.get()
                except TimeoutError:
                    told = b": still here\n\n"
                if told is None:
                    return
                yield told
        finally:
            del self._watchers[queue]


def _encoded(lease: Lease) -> bytes:
    return b"data: " + msgspec.json.encode(public(lease)) + b"\n\n"


@dataclass(frozen=True, slots=True)
class LeasesPorts:
    """What the stream reaches. `live`: a tenant's leases that have not ended."""

    door: StaffDoor
    feed: LeaseFeed
    live: Callable[[str], Awaitable[list[Lease]]]


class NumbersApp:
    """The hot routes as an ASGI application."""

    def __init__(self, desk: NumbersDesk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        raw = bytearray()
        more = True
        while more and len(raw) <= MAX_BODY_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return  # its sender has gone
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        head: dict[bytes, bytes] = dict(scope["headers"])
        status, headers, body = await self._desk.answer(
            scope["method"], scope["path"], head, bytes(raw)
        )
        length = (b"content-length", b"%d" % len(body))
        started = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        await send(started)
        await send({"type": "http.response.body", "body": body})


def add_leases(app: FastAPI, ports: LeasesPorts) -> None:
    """Add the stream of leases."""

    @app.get(LEASES_PATH, summary="Who holds which number, as it changes", description=_LEASES)
    async def leases(request: Request) -> Response:
        site = ports.door.admit(dict(request.headers.raw))
        if isinstance(site, tuple):
            return _json(*site)
        if ports.feed.watchers >= MAX_WATCHERS:
            return _json(503, {"error": "too many watch"})
        stream = ports.feed.watch(site.tenant, ports.live)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAMED)


def _json(status: int, content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
