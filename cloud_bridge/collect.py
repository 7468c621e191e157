"""A body of POST /collect to touchpoints: what browsers, shops and apps report over HTTP.

Pure. The touchpoints' own table says which types and fields there are: of each type that may come a
msgspec Struct is made, so tight that whatever it takes is a touchpoint that the rest of the SDK
takes as well, and nothing is checked twice. Nothing of what was sent is repeated in an error: it
may identify a person.
"""

import hashlib
import re
from typing import Annotated, Any, Union

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from cloud_bridge.errors import CollectError
from cloud_bridge.turn import Collected
from edge_sdk.wire.touchpoint import (
    CODES,
    DATA,
    FIELDS,
    ID,
    INT,
    MAX_ID_BYTES,
    MAX_VALUE_BYTES,
    TEXT,
    Touchpoint,
)

MAX_BODY_BYTES = 65_536
MAX_EVENTS = 512
# A clock may be a little ahead of ours; a time beyond that is a mistake.
MAX_AHEAD_MS = 300_000

# The field that says whose event it is; where it is left out, the body's session stands in it.
_WHO = ("session", "subject", "seen", "customer")
# Fields that are a number on the wire and true or false in JSON, if one likes.
_FLAGS = ("granted",)

# Types that may come over HTTP: those that say whose they are by such a field.
TYPES = {
    name: tuple(field for field, _ in FIELDS[code])
    for name, code in CODES.items()
    if any(field in _WHO and kind is ID for field, kind in FIELDS[code])
}

# A character has at most four bytes: so many are within the wire's limit, whatever they are.
_MAX_TEXT = MAX_VALUE_BYTES // 4
_MAX_ID = MAX_ID_BYTES // 4
_VALUES: dict[str, Any] = {
    TEXT: Annotated[str, Meta(max_length=_MAX_TEXT)] | None,
    ID: Annotated[str, Meta(max_length=_MAX_ID, pattern=":")] | None,
    INT: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None,
    DATA: None,  # JSON has no bytes
}
_FLAG = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | bool | None
_Time = Annotated[int, Meta(ge=0, lt=1 << 53)] | None
_Text = Annotated[str, Meta(min_length=1, max_length=_MAX_ID)]
_Identifier = Annotated[str, Meta(min_length=3, max_length=_MAX_ID, pattern="^[a-z]+:.")]


def _event(name: str) -> type[msgspec.Struct]:
    """The Struct of a type: its fields in the table's order, then `at_ms`."""
    fields: list[tuple[str, Any, Any]] = [
        (field, _FLAG if field in _FLAGS else _VALUES[kind], None)
        for field, kind in FIELDS[CODES[name]]
    ]
    return msgspec.defstruct(
        name,
        [*fields, ("at_ms", _Time, None)],
        tag_field="type",
        tag=name,
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


_EVENTS = {name: _event(name) for name in TYPES}
# Of each Struct: the code, where it says whose event it is, and where a flag is, or -1.
_PLACES = {
    struct: (
        CODES[name],
        next(at for at, field in enumerate(TYPES[name]) if field in _WHO),
        next((at for at, field in enumerate(TYPES[name]) if field in _FLAGS), -1),
    )
    for name, struct in _EVENTS.items()
}


# What is posted, but for its events. `site` may be left out: the key says it. `key` is for senders
# that cannot set a header.
_ENVELOPE: list[tuple[str, Any, Any]] = [
    ("site", _Text | None, None),
    ("key", _Text | None, None),
]
Body = msgspec.defstruct(
    "CollectBody",
    [
        ("session", _Identifier),
        ("id", _Text),
        (
            "events",
            Annotated[
                list[Union[tuple(_EVENTS.values())]],  # type: ignore[misc]  # noqa: UP007
                Meta(min_length=1, max_length=MAX_EVENTS),
            ],
        ),
        *_ENVELOPE,
    ],
    forbid_unknown_fields=True,
    gc=False,
)


class _KeyAlone(msgspec.Struct, gc=False):
    key: str | None = None


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Body)
_key_decoder = msgspec.json.Decoder(_KeyAlone)
_OWN_NAMES = frozenset(
    {"type", "at_ms", *Body.__struct_fields__} | {f for fields in TYPES.values() for f in fields}
)
_PLACE = re.compile(r"\.?([a-z_]+)|\[[0-9]+\]")


def parse(raw: bytes, site: str, received_ms: int) -> Collected:
    """A body of this site's, checked. Raises CollectError, which says where it is wrong."""
    try:
        body = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise CollectError(_explained(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CollectError("the body is not JSON", 400) from None
    session = body.session
    if body.site is not None and body.site != site:
        raise CollectError("site: it is not the key's; it may be left out")
    touchpoints: list[Touchpoint] = []
    for event in body.events:
        code, who, flag = _PLACES[type(event)]
        values = astuple(event)
        at_ms = values[-1]
        if at_ms is None:
            at_ms = received_ms
        elif at_ms > received_ms:
            if at_ms > received_ms + MAX_AHEAD_MS:
                where = f"events[{len(touchpoints)}].at_ms"
                raise CollectError(f"{where}: milliseconds since 1970, and not in the future")
            at_ms = received_ms
        if values[who] is None:
            values = values[:who] + (session,) + values[who + 1 : -1]  # noqa: RUF005  it is faster
        else:
            values = values[:-1]
        if flag >= 0 and values[flag] is not None:
            values = (*values[:flag], int(values[flag]), *values[flag + 1 :])
        touchpoints.append(Touchpoint(code, at_ms, values))
    name = f"{site}\0{session}\0{body.id}".encode()
    return Collected(hashlib.sha256(name).digest()[:16], site, received_ms, touchpoints)


def key_of(raw: bytes) -> str | None:
    """The key in a body whose sender could set no header, if there is one."""
    try:
        return _key_decoder.decode(raw).key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _explained(message: str) -> str:
    """Of msgspec's message: where, and what is expected there; nothing that the sender wrote."""
    said, _, path = message.rpartition(" - at `$")
    place = path.removesuffix("`").removeprefix(".") if said else ""
    names = [match.group(1) for match in _PLACE.finditer(place)]
    if _PLACE.sub("", place) or not _OWN_NAMES.issuperset(filter(None, names)):
        place = ""
    said = said or message
    if said.startswith("Object contains"):
        what = "a field that is not described in /docs"
    elif said.startswith("Invalid value"):
        what = f"none of {', '.join(TYPES)}"
    elif said.startswith(("Expected", "Object missing", "Number")):
        what = said.replace("`", "")
    else:
        what = "not as described in /docs"
    return f"{place or 'the body'}: {what}"
