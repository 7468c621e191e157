"""The bridge over HTTP: what browsers and shops report, how it is, and what happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from cloud_bridge.clock import Clock
from cloud_bridge.collect import MAX_BODY_BYTES, TYPES, Body, parse
from cloud_bridge.errors import CollectError, StalledError
from cloud_bridge.feed import MAX_WATCHERS, Feed
from cloud_bridge.turn import Collected

# A commit takes a millisecond; whoever waits so long is better told to come again.
ANSWER_S = 10.0
RETRY_AFTER_S = 5

_DESCRIPTION = """
The receiving end of the Edge SDK. Devices speak to it over MQTT, sealed; everything else by these
few endpoints. Nothing here shows who anybody is.
"""

_COLLECT = """
Web sessions join the same log as what the stores report. A body is one sitting's events:

```json
{"site": "web-shop", "session": "cookie:5f3a", "id": "b7c1", "events": [
  {"type": "page.view", "at_ms": 1800000000000, "page": "/coffee/beans", "category": "coffee"},
  {"type": "identify", "known_as": "loyalty:4711", "method": "login"},
  {"type": "consent", "purpose": "in_store_prompts", "granted": true}
]}
```

`session` stands wherever an event leaves out whose it is. `at_ms` is milliseconds since 1970; left
out, it is now. `id` is this body's own: sent again, it is accepted and counted once. The answer
comes when all is on disk. Types and their fields:

"""

_FEED = """
Server-sent events, from now on: `visit`, `prompt`, `no_prompt` (and which clause of which rule
failed), `outcome`, `gap`, `refused`. A person is a short handle that no other start of the bridge
can relate. Whoever reads too slowly loses the oldest.
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the web reaches of the bridge."""

    clock: Clock
    collect: Callable[[str, Collected], Awaitable[bool]]
    health: Callable[[], dict[str, object]]
    feed: Feed


def create_app(ports: Ports) -> FastAPI:
    """The ASGI application."""
    app = FastAPI(title="Edge SDK cloud bridge", description=_DESCRIPTION, version="1")
    types = "\n".join(f"- `{name}`: {', '.join(fields)}" for name, fields in TYPES.items())

    @app.post(
        "/collect",
        status_code=202,
        summary="Report what happened in a web session",
        description=_COLLECT + types,
        responses=_COLLECT_RESPONSES,
        openapi_extra={"requestBody": _body_schema()},
    )
    async def collect(request: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_S):
                collected = parse(await _read(request), ports.clock.wall_ms())
                duplicate = await ports.collect("", collected)
        except CollectError as error:
            return _json({"error": str(error)}, error.status)
        except ClientDisconnect:
            return Response(status_code=400)  # that nobody will read
        except (StalledError, TimeoutError):
            return _json({"error": "try again"}, 503, {"Retry-After": str(RETRY_AFTER_S)})
        return _json({"accepted": len(collected.touchpoints), "duplicate": duplicate}, 202)

    @app.get("/health", summary="How the bridge is, and what it counted")
    async def health() -> Response:
        return _json(ports.health(), 200)

    @app.get("/feed", summary="What happens, as it happens", description=_FEED)
    async def feed() -> Response:
        if ports.feed.watchers >= MAX_WATCHERS:
            return _json({"error": "too many watch"}, 503, {"Retry-After": str(RETRY_AFTER_S)})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream: AsyncIterator[bytes] = ports.feed.watch()
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return app


_COLLECT_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "On disk. `duplicate`: it was already",
        "content": {"application/json": {"example": {"accepted": 3, "duplicate": False}}},
    },
    400: {"description": "Not JSON"},
    413: {"description": f"More than {MAX_BODY_BYTES} bytes, or too many events"},
    422: {"description": "JSON, and not what is described here; says where"},
    503: {"description": "The disk takes nothing at the moment; `Retry-After` says when to come"},
}


def _body_schema() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([Body])
    schema = components[Body.__name__]
    return {"required": True, "content": {"application/json": {"schema": schema}}}


async def _read(request: Request) -> bytes:
    """The body, refused as soon as it is too long. Raises CollectError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise CollectError(f"a body has at most {MAX_BODY_BYTES} bytes", 413)
    return bytes(body)


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, headers, media_type="application/json")
