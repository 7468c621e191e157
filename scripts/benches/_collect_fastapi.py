"""The twin of `scripts/bench collect`: the same bridge, with /collect by FastAPI and pydantic.

Run in place of `cloud-bridge`. All behind the endpoint is the product's: keys, ingest, store.
"""

import hashlib
import sys
from typing import Annotated, Any, Literal, Union

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field, create_model

from cloud_bridge import cli, factory
from cloud_bridge.collect import MAX_EVENTS, TYPES
from cloud_bridge.collect_desk import CollectPorts
from cloud_bridge.connections import BoundedHttp
from cloud_bridge.turn import Collected
from cloud_bridge.web import Ports
from edge_sdk.wire.touchpoint import CODES, FIELDS, ID, INT, TEXT, Touchpoint

_KINDS: dict[str, Any] = {
    TEXT: Annotated[str, Field(max_length=4096)] | None,
    ID: Annotated[str, Field(max_length=128, pattern=":")] | None,
    INT: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None,
}
_WHO = ("session", "subject", "seen", "customer")


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at_ms: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None


def _model(name: str) -> type[_Event]:
    fields: dict[str, Any] = {
        field: (_KINDS.get(kind), None) for field, kind in FIELDS[CODES[name]]
    }
    fields["type"] = (Literal.__getitem__(name), ...)
    model: type[_Event] = create_model(name, __base__=_Event, **fields)
    return model


_EVENTS: Any = Union[tuple(_model(name) for name in TYPES)]  # noqa: UP007


class Body(BaseModel):
    """What is posted."""

    model_config = ConfigDict(extra="forbid")

    session: Annotated[str, Field(max_length=128, pattern="^[a-z]+:.")]
    id: Annotated[str, Field(min_length=1, max_length=128)]
    events: Annotated[
        list[Annotated[_EVENTS, Field(discriminator="type")]],
        Field(min_length=1, max_length=MAX_EVENTS),
    ]
    site: str | None = None


class Accepted(BaseModel):
    """What is answered."""

    accepted: int
    duplicate: bool


def web(ports: Ports) -> FastAPI:
    """The application."""
    app = FastAPI()
    collect: CollectPorts = ports.collect

    @app.post("/collect", status_code=202)
    async def post(body: Body, authorization: Annotated[str, Header()]) -> Accepted:
        key = authorization.removeprefix("Bearer ")
        site = collect.keys.find(key)
        if site is None:
            collect.look()
            site = collect.keys.find(key)
        if site is None:
            raise HTTPException(401)
        if site.bucket.admit(collect.clock.steady_s()):
            raise HTTPException(429)
        site.bucket.charge(len(body.events) - 1)
        now_ms = collect.clock.wall_ms()
        listed = [_touchpoint(event, body.session, now_ms) for event in body.events]
        name = f"{site.site}\0{body.session}\0{body.id}".encode()
        collected = Collected(hashlib.sha256(name).digest()[:16], site.site, now_ms, listed)
        duplicate = await collect.collect(site.tenant, collected)
        collect.counted["duplicate" if duplicate else "accepted"] += 1
        return Accepted(accepted=len(listed), duplicate=duplicate)

    @app.get("/health")
    async def health() -> dict[str, object]:
        return ports.health()

    app.desk = None  # type: ignore[attr-defined]  # the product's short way, which this has not
    return app


def _touchpoint(event: Any, session: str, now_ms: int) -> Touchpoint:
    values = []
    for field in TYPES[event.type]:
        value = getattr(event, field)
        values.append(session if value is None and field in _WHO else value)
    at_ms = now_ms if event.at_ms is None else min(event.at_ms, now_ms)
    return Touchpoint(CODES[event.type], at_ms, tuple(values))


if __name__ == "__main__":
    setattr(factory, "speaking_to", lambda _desk: BoundedHttp)  # noqa: B010
    setattr(factory, "Web", web)  # noqa: B010  the one part of the bridge that is not the product's
    sys.exit(cli.main())
