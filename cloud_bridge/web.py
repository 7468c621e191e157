"""The bridge over HTTP: what browsers and shops report, how it is, and what happens."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cloud_bridge import beacon_desk
from cloud_bridge.beacon_desk import BeaconDesk
from cloud_bridge.call_hooks import desk as hooks_desk
from cloud_bridge.call_hooks.desk import HooksDesk
from cloud_bridge.call_hooks.hooks_file import PATH as HOOKS_PATH
from cloud_bridge.calls_web import CallsPorts, add_calls
from cloud_bridge.collect import MAX_BODY_BYTES, TYPES, Body
from cloud_bridge.collect_app import CollectApp
from cloud_bridge.collect_desk import PATH, RETRY_AFTER_S, CollectPorts, Desk
from cloud_bridge.feed import MAX_WATCHERS, Feed
from cloud_bridge.numbers_desk import NumbersDesk, NumbersPorts
from cloud_bridge.numbers_web import (
    HOT_NUMBERS,
    NUMBERS_SCHEMAS,
    LeasesPorts,
    NumbersApp,
    add_leases,
    described_numbers,
)

_DESCRIPTION = """
The receiving end of the Edge SDK. Devices speak to it over MQTT, sealed; everything else by these
few endpoints. Nothing here shows who anybody is.
"""

_COLLECT = """
Web sessions join the same log as what the stores report. A body is one sitting's events:

```json
{"session": "cookie:5f3a", "id": "b7c1", "events": [
  {"type": "page.view", "at_ms": 1800000000000, "page": "/coffee/beans", "category": "coffee"},
  {"type": "identify", "known_as": "loyalty:4711", "method": "login"},
  {"type": "consent", "purpose": "in_store_prompts", "granted": true}
]}
```

The API key says which site they are of; it comes as `Authorization: Bearer KEY` or as `X-Api-Key:
KEY`, or, where no header can be set, as `key` in the body. `session` stands wherever an event says
not whose it is. `at_ms` is milliseconds since 1970; left out, it is now. `id` is this body's own:
sent again, it is accepted and counted once. The answer comes when all is on disk. Types and fields:

"""

_BEACONS = """
For the back end of an app, with the API key of a site that has no origins. A person's own thing,
`tag:...` or `app:...`, is known again by what it emits, once it or who has it consented to
`in_store_prompts`:

```json
{"id": "app:7f3a", "kind": "eid", "public_key": "64 hex digits", "exponent": 10, "clock_s": 0}
```

answers with `resolver_public_key`, with which the app makes the same identity key
(docs/beacons.md). `"key": "32 hex digits"` in the place of `public_key` is that key itself; with
`"kind": "irk"`, the identity resolving key of a paired phone. One of that id and kind is replaced.
`DELETE` with `{"id": "app:7f3a"}` forgets the beacon and its key.
"""

_HOOKS = """
For telephony providers, whose deliveries are known by their signature. Which hooks there are, the
file `hooks.toml` of a tenant says (docs/call-providers.md). The answer comes when what was told is
on disk; a provider that asks where to connect a call is told in its own words.
"""

_FEED = """
Server-sent events, from now on: `visit`, `continued` (a visit that its devices had cut in pieces
goes on), `prompt`, `no_prompt` (and which clause of which rule failed), `outcome`, `gap`,
`refused`. Of a registered beacon `visits` says how many there were. A person is a short handle that
no other start of the bridge can relate. Whoever reads too slowly loses the oldest.
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the web reaches of the bridge."""

    collect: CollectPorts
    health: Callable[[], dict[str, object]]
    feed: Feed
    beacons: BeaconDesk
    hooks: HooksDesk
    calls: CallsPorts
    numbers: NumbersPorts
    leases: LeasesPorts


class Web:
    """The ASGI application: the hot endpoint by itself, a framework for the rest."""

    def __init__(self, ports: Ports) -> None:
        self.desk = Desk(ports.collect)
        self._collect = CollectApp(self.desk)
        self._numbers = NumbersApp(NumbersDesk(ports.numbers))
        self._rest = _rest(ports)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await self._collect(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in HOT_NUMBERS:
            await self._numbers(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


class _Described(FastAPI):
    """Describes the endpoint that stands before it as well."""

    def openapi(self) -> dict[str, Any]:
        """See FastAPI."""
        described = super().openapi()
        described["paths"].setdefault(PATH, {"post": _described_collect()})
        for path, operation in described_numbers().items():
            described["paths"].setdefault(path, operation)
        components = described.setdefault("components", {})
        components.setdefault("schemas", {}).update(_SCHEMAS | NUMBERS_SCHEMAS)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        }
        return described


def _rest(ports: Ports) -> FastAPI:
    app = _Described(title="Edge SDK cloud bridge", description=_DESCRIPTION, version="1")

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

    async def beacons(request: Request) -> Response:
        raw = await _body(request, beacon_desk.MAX_BODY_BYTES)
        head = dict(request.headers.raw)
        status, said = await ports.beacons.answer(request.method, head, raw)
        return _json(said, status)

    path = beacon_desk.PATH
    app.post(path, summary="Register a beacon that rotates", description=_BEACONS)(beacons)
    app.delete(path, summary="Forget a beacon, and its key")(beacons)

    # Every method: which is right, the desk says.
    @app.api_route(HOOKS_PATH + "{name}", methods=_OTHER_METHODS, include_in_schema=False)
    @app.post(HOOKS_PATH + "{name}", summary="What a telephony provider tells", description=_HOOKS)
    async def hooks(request: Request) -> Response:
        raw = await _body(request, hooks_desk.MAX_BODY_BYTES)
        scope = request.scope
        query = scope["query_string"].decode("latin-1")
        head = dict(request.headers.raw)
        status, headers, said = await ports.hooks.answer(
            request.method, scope["path"], query, head, raw
        )
        answered = Response(said, status)
        answered.raw_headers += headers
        return answered

    add_calls(app, ports.calls)
    add_leases(app, ports.leases)
    return app


_OTHER_METHODS = ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]


async def _body(request: Request, most_bytes: int) -> bytes:
    """A body; of one that is too long so much that it can be seen."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > most_bytes:
            break
    return bytes(raw)


_COLLECT_RESPONSES: dict[str, dict[str, Any]] = {
    "202": {
        "description": "On disk. `duplicate`: it was already",
        "content": {"application/json": {"example": {"accepted": 3, "duplicate": False}}},
    },
    "400": {"description": "Not JSON"},
    "401": {"description": "No API key, or one that is not live"},
    "403": {"description": "The key is not for pages of this origin"},
    "413": {"description": f"More than {MAX_BODY_BYTES} bytes"},
    "415": {"description": "Compressed"},
    "422": {"description": "JSON, and not what is described here; says where"},
    "429": {"description": "Too much for this key; `Retry-After` says when to come"},
    "503": {"description": "The disk takes nothing at the moment; `Retry-After` says when to come"},
}


(_BODY,), _SCHEMAS = msgspec.json.schema_components(
    [Body], ref_template="#/components/schemas/{name}"
)


def _described_collect() -> dict[str, Any]:
    types = "\n".join(f"- `{name}`: {', '.join(fields)}" for name, fields in TYPES.items())
    return {
        "summary": "Report what happened in a web session",
        "description": _COLLECT + types,
        "operationId": "collect",
        "security": [{"bearer": []}, {"key": []}, {}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
        "responses": _COLLECT_RESPONSES,
    }


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, headers, media_type="application/json")
