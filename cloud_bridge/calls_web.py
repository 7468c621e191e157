"""The routes of /calls for agents: the stream of screen pops, the call-back list, outcomes."""

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from cloud_bridge.call_feed import CallFeed
from cloud_bridge.calls_desk import MAX_BODY_BYTES, CallsDesk
from cloud_bridge.feed import MAX_WATCHERS

_STREAMED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_PRIVATE = {"Cache-Control": "no-store"}

_FEED = """
Server-sent events `call`: one when a call rings, and one at each change until it is over. Each is
the whole of what is known then: put it in the place of the one before with its `call`. First come
the calls that are under way. `group` leaves out the calls of others.

`sure` says how sure it is whose call this is, `why` on what evidence. `who`, `journey`, `basket`,
`quotes` and `visits` are of those alone who said yes to `call_assistance`. The key is of a site
without origins; one of the site `*` sees the calls of all.
"""
_CALLBACKS = """
Callers who gave up before anybody answered, and whose number was shown; the longest first. Whoever
gets through later leaves the list, so does whoever was called back (`POST /calls/outcomes`). After
some days (`keep_numbers_days` in calls.toml) a number is forgotten.
"""
_OUTCOMES = """
```json
{"call": "sip:0f3a", "outcome": "sale", "agent": "desk-2"}
```

`called_back` and `not_needed` take a call off the call-back list; any other word is kept as it is.
"""


@dataclass(frozen=True, slots=True)
class CallsPorts:
    """What the routes reach."""

    desk: CallsDesk
    feed: CallFeed


def add_calls(app: FastAPI, ports: CallsPorts) -> None:
    """Add the routes."""

    @app.get("/calls/feed", summary="Screen pops, as calls ring", description=_FEED)
    async def feed(request: Request, group: str | None = None) -> Response:
        site = ports.desk.admit(dict(request.headers.raw))
        if isinstance(site, tuple):
            return _json(*site)
        if ports.feed.watchers >= MAX_WATCHERS:
            return _json(503, {"error": "too many watch"})
        stream = ports.feed.watch(site.tenant, site.site, group)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAMED)

    @app.get("/calls/callbacks", summary="Who waits to be called back", description=_CALLBACKS)
    async def callbacks(request: Request, group: str | None = None) -> Response:
        return _json(*ports.desk.callbacks(dict(request.headers.raw), group))

    @app.post("/calls/outcomes", summary="Say what a call came to", description=_OUTCOMES)
    async def outcomes(request: Request) -> Response:
        raw = bytearray()
        async for part in request.stream():
            raw += part
            if len(raw) > MAX_BODY_BYTES:
                break
        return _json(*await ports.desk.outcome(dict(request.headers.raw), bytes(raw)))


def _json(status: int, content: dict[str, Any]) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, _PRIVATE, media_type="application/json")
