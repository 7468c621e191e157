"""A body of POST /collect to touchpoints: what browsers, shops and apps report over HTTP.

Pure. The touchpoints' own table says which types and fields there are. Nothing of what was sent is
repeated in an error: it may identify a person.
"""

import hashlib
from typing import Annotated

import msgspec

from cloud_bridge.errors import CollectError
from cloud_bridge.turn import Collected
from edge_sdk.wire.touchpoint import CODES, FIELDS, ID, Touchpoint, TouchpointError, check

MAX_BODY_BYTES = 65_536
MAX_EVENTS = 512
# A clock may be a little ahead of ours; a time beyond that is a mistake.
MAX_AHEAD_MS = 300_000

# The field that says whose event it is; where it is left out, the body's session stands in it.
_WHO = ("session", "subject", "seen", "customer")

# Types that may come over HTTP: those that say whose they are by such a field.
TYPES = {
    name: tuple(field for field, _ in FIELDS[code])
    for name, code in CODES.items()
    if any(field in _WHO and kind is ID for field, kind in FIELDS[code])
}

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Identifier = Annotated[str, msgspec.Meta(min_length=3, max_length=128, pattern="^[a-z]+:.")]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted. An event is its `type`, an optional `at_ms`, and that type's fields."""

    site: _Text
    session: _Identifier
    id: _Text
    events: Annotated[
        list[dict[str, str | int | bool | None]],
        msgspec.Meta(min_length=1, max_length=MAX_EVENTS),
    ]


_decoder = msgspec.json.Decoder(Body)


def parse(raw: bytes, received_ms: int) -> Collected:
    """A checked body. Raises CollectError, which says where it is wrong."""
    try:
        body = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise CollectError(f"the body is not as described in /docs{_place(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CollectError("the body is not JSON", 400) from None
    touchpoints = [_touchpoint(body, at, received_ms) for at in range(len(body.events))]
    key = hashlib.sha256(f"{body.site}\0{body.session}\0{body.id}".encode()).digest()[:16]
    return Collected(key, body.site, received_ms, touchpoints)


def _touchpoint(body: Body, at: int, received_ms: int) -> Touchpoint:
    where = f"events[{at}]"
    event = dict(body.events[at])
    name = event.pop("type", None)
    fields = TYPES.get(name) if isinstance(name, str) else None
    if fields is None:
        raise CollectError(f"{where}.type is none of {', '.join(TYPES)}")
    at_ms = event.pop("at_ms", None)
    if at_ms is None:
        at_ms = received_ms
    if type(at_ms) is not int or not 0 <= at_ms <= received_ms + MAX_AHEAD_MS:
        raise CollectError(f"{where}.at_ms is milliseconds since 1970, and not in the future")
    if not event.keys() <= set(fields):
        raise CollectError(f"{where} has a field that its type has not: {', '.join(fields)}")
    values = [event.get(field) for field in fields]
    for index, field in enumerate(fields):
        if field in _WHO and values[index] is None:
            values[index] = body.session
        elif isinstance(values[index], bool):
            values[index] = int(values[index] or 0)
    touchpoint = Touchpoint(CODES[str(name)], min(at_ms, received_ms), tuple(values))
    try:
        check(touchpoint)
    except TouchpointError as error:
        raise CollectError(f"{where}: {error}") from None
    return touchpoint


def _place(error: msgspec.ValidationError) -> str:
    """Where in the body, of msgspec's message: the only part that holds nothing of the sender's."""
    _, found, place = str(error).rpartition(" - at `$")
    return f": {place.lstrip('.').rstrip('`')}" if found else ""
