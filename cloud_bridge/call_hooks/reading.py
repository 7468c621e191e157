"""What every provider's delivery has: fields, a call's name, a time that may be wrong.

A provider's clock is a hint. Where it says a time that the delivery may well have taken to come
(up to LATE_MS ago), that is when it happened: a delivery that had to be repeated is not moved. A
time beyond that, or ahead of ours, is a clock that is off by an hour or a zone, and when we
received it is the better guess. Durations come from the provider's own counting and are not
touched by either.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from cloud_bridge.call_hooks.signatures import FORM, Delivery, form_of
from edge_sdk.calls.model import CallEvent
from edge_sdk.calls.phone import number_of

LATE_MS = 15 * 60_000
# What a delivery may be ahead by: their clock and ours are never quite one.
AHEAD_MS = 2_000
MAX_AGENT = 64
# A call of a day is a mistake of somebody's.
MAX_DURATION_S = 86_400

_CALL = re.compile(r"[A-Za-z0-9:_.@=+/~-]{1,128}")
_DIGITS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

ISO, RFC2822, UNIX_S, UNIX_MS = "iso8601", "rfc2822", "unix-s", "unix-ms"
TIME_FORMS = (ISO, RFC2822, UNIX_S, UNIX_MS)

ROUTE, DONE = "route", "done"

Fields = Mapping[str, object]


class NotReadableError(Exception):
    """Theirs: a delivery that is not what it should be. `status` is HTTP's; no value is said."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Told:
    """What a delivery comes to.

    call, status, sequence  with these the provider says twice that it is the same
    events                  none: it tells nothing that is kept, and `passed` says why
    asks                    it waits for instructions: ROUTE, where to connect the call; DONE, how
                            to go on after that; else ""
    number                  our number, of a delivery that asks for a route
    """

    call: str
    status: str
    sequence: str = ""
    events: tuple[CallEvent, ...] = field(default=(), repr=False)
    passed: str = ""
    asks: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Where deliveries of a hook come from: the region its numbers are read in, and our clock."""

    region: str | None
    received_ms: int


class Provider(Protocol):
    """Reads deliveries that were found to be the provider's."""

    @property
    def name(self) -> str: ...

    def read(self, delivery: Delivery, line: Line) -> Told:
        """Raises NotReadableError."""
        ...


def form_fields(delivery: Delivery) -> dict[str, str]:
    """A form's fields; of one that comes twice the first. Raises NotReadableError."""
    pairs = form_of(delivery.body) if delivery.media_type == FORM else None
    if pairs is None:
        raise NotReadableError("the body is not a form", 400)
    return dict(reversed(pairs))


def json_fields(delivery: Delivery) -> dict[str, object]:
    """A JSON object. Raises NotReadableError."""
    try:
        found = json.loads(delivery.body)
    except (ValueError, RecursionError):
        raise NotReadableError("the body is not JSON", 400) from None
    if not isinstance(found, dict):
        raise NotReadableError("the body is not a JSON object", 400)
    return found


def at_path(fields: object, path: str) -> str | None:
    """A text, or a number as text, at `data.payload.from`; None where nothing of the kind is."""
    if isinstance(fields, dict) and path in fields:  # names of form fields may have stops
        return _text(fields[path])
    for step in path.split("."):
        if isinstance(fields, dict):
            fields = fields.get(step)
        elif isinstance(fields, list) and step.isdecimal() and int(step) < len(fields):
            fields = fields[int(step)]
        else:
            return None
    return _text(fields)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return value if isinstance(value, str) and value else None


def call_name(prefix: str, told: str | None) -> str:
    """The call's name among all sources. Raises NotReadableError."""
    if told is None or not _CALL.fullmatch(told):
        raise NotReadableError("the name of the call is missing, or cannot be one")
    return f"{prefix}:{told}"


def our_number(told: str | None, region: str | None) -> str:
    """E.164, or "" where the line does not say it so that it can be read."""
    return number_of(told or "", region) or ""


def agent_name(told: str | None) -> str | None:
    """Who answered, if it names a seat: of `sip:desk-2@pbx` the user. A number names a person."""
    if not told:
        return None
    kind, colon, rest = told.partition(":")
    if colon and kind.lower() in {"sip", "sips", "client"}:
        told = rest.partition("@")[0].partition(";")[0]
    told = told.strip()
    is_name = told.isprintable() and any(letter.isalpha() for letter in told)
    return told if is_name and len(told) <= MAX_AGENT else None


def seconds_ms(told: str | None, unit_ms: int = 1000) -> int | None:
    """A duration in milliseconds; None where none is told."""
    if told is None or not _DIGITS.fullmatch(told):
        return None
    ms = round(float(told) * unit_ms)
    return ms if ms <= MAX_DURATION_S * 1000 else None


def happened_ms(told: str | None, form: str, received_ms: int) -> tuple[int, bool]:
    """When it happened, and whether the provider's time for it could be used."""
    hint_ms = _instant_ms(told, form) if told else None
    if hint_ms is None or not received_ms - LATE_MS <= hint_ms <= received_ms + AHEAD_MS:
        return received_ms, told is None
    return min(hint_ms, received_ms), True


def _instant_ms(told: str, form: str) -> int | None:
    try:
        if form in {UNIX_S, UNIX_MS}:
            return round(float(told) * (1000 if form == UNIX_S else 1))
        if form == RFC2822 and not told[:4].isdecimal():
            when = parsedate_to_datetime(told)
        else:
            when = datetime.fromisoformat(told)
        return round(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
