"""A provider that is described in a file: where its fields are, what its words mean.

    provider  = "plivo"                 # the prefix of its calls
    body      = "form"                  # or "json"
    signature = "plivo"                 # the scheme it signs by
    dialect   = "plivo"                 # in which it takes instructions, if it does

    [fields]                            # names of a form's fields, or paths into JSON
    call   = "CallUUID"
    status = ["Event", "CallStatus"]    # several are put together: "Hangup:completed"
    number = "To"
    caller = "From"

    [phases]                            # of a status: ring, answer, end, missed, or none
    "Hangup:completed" = "end"

Everything is checked when it is read; an error names the file and the entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloud_bridge.call_hooks.answers import DIALECTS
from cloud_bridge.call_hooks.reading import (
    ISO,
    ROUTE,
    TIME_FORMS,
    Fields,
    Line,
    Told,
    agent_name,
    at_path,
    call_name,
    form_fields,
    happened_ms,
    json_fields,
    our_number,
    seconds_ms,
)
from cloud_bridge.call_hooks.signatures import SCHEMES, Delivery
from edge_sdk import settings_file
from edge_sdk.calls.model import CAUSES, END, MISSED, PHASES, CallEvent
from edge_sdk.calls.phone import caller_of
from edge_sdk.errors import ConfigError
from edge_sdk.settings_file import Entry

FORM, JSON = "form", "json"
NONE = "none"
OPTIONAL = ("caller", "number", "at", "sequence", "duration", "waited", "cause", "agent")
_UNITS_MS = {"s": 1000, "ms": 1}
MAX_PATH = 120


@dataclass(frozen=True, slots=True)
class Mapped:
    """A provider as its file describes it; see Provider.

    paths   of the fields that the file names; `status` is apart, for it may be of several
    phases  status -> phase, or NONE
    causes  what `cause` says, or else the status -> one of CAUSES
    only    path -> what stands there in deliveries that are of calls to us
    asks    statuses at which it waits for instructions
    plus    its numbers are international and come without "+"
    """

    name: str
    body: str
    signature: str
    dialect: str
    paths: Mapping[str, str]
    status: tuple[str, ...]
    phases: Mapping[str, str]
    causes: Mapping[str, str]
    only: Mapping[str, str]
    asks: frozenset[str]
    time_form: str = ISO
    unit_ms: int = 1000
    plus: bool = False

    def read(self, delivery: Delivery, line: Line) -> Told:
        """See Provider."""
        fields: Fields = form_fields(delivery) if self.body == FORM else json_fields(delivery)
        call = call_name(self.name, self._of(fields, "call"))
        words = [word for path in self.status if (word := at_path(fields, path)) is not None]
        status = ":".join(words)
        phase = self.phases.get(status) or self.phases.get(words[0] if words else "")
        sequence = self._of(fields, "sequence") or ""
        passed = ""
        if any(at_path(fields, path) != due for path, due in self.only.items()):
            passed = "outgoing"
        elif phase is None or phase == NONE:
            passed = "none" if phase else "unknown_status"
        if phase is None or passed:
            return Told(call, status, sequence, passed=passed)
        event = self._event(fields, call, status, phase, line)
        asks = ROUTE if status in self.asks else ""
        return Told(call, status, sequence, (event,), asks=asks, number=event.number)

    def _event(self, fields: Fields, call: str, status: str, phase: str, line: Line) -> CallEvent:
        at_ms, _ = happened_ms(self._of(fields, "at"), self.time_form, line.received_ms)
        duration_ms = seconds_ms(self._of(fields, "duration"), self.unit_ms)
        is_over = phase in {END, MISSED}
        cause = "answered" if phase == END else None
        if phase == MISSED:
            cause = self.causes.get(self._of(fields, "cause") or status)
            cause = cause or self.causes.get(status, "no_answer")
        return CallEvent(
            call,
            phase,
            at_ms,
            our_number(self._number(fields, "number"), line.region),
            caller_of(self._number(fields, "caller"), line.region),
            duration_ms=0 if phase == MISSED else duration_ms if is_over else None,
            waited_ms=seconds_ms(self._of(fields, "waited"), self.unit_ms) if is_over else None,
            cause=cause,
            agent=agent_name(self._of(fields, "agent")),
        )

    def _of(self, fields: Fields, name: str) -> str | None:
        path = self.paths.get(name)
        return None if path is None else at_path(fields, path)

    def _number(self, fields: Fields, name: str) -> str | None:
        told = self._of(fields, name)
        return f"+{told}" if self.plus and told and told.isdecimal() else told


def read_mapping(path: Path) -> Mapped:
    """The provider that a file describes. Raises ConfigError."""
    return _mapped(settings_file.read(path))


def parse_mapping(text: str, where: str = "mapping.toml") -> Mapped:
    """The provider that this TOML describes. Raises ConfigError."""
    return _mapped(settings_file.parse(text, where))


def _mapped(top: Entry) -> Mapped:
    name = top.text("provider")
    if not (name.isascii() and name.isalnum() and name.islower() and len(name) <= 16):
        raise top.fault("provider", "is up to 16 small letters and digits")
    fields = top.table("fields")
    paths = {"call": _path(fields, "call")}
    paths.update((key, _path(fields, key)) for key in OPTIONAL if fields.value(key) is not None)
    status = _status(fields)
    times = top.table("time")
    mapped = Mapped(
        name,
        _one_of(top, "body", (FORM, JSON)),
        _one_of(top, "signature", SCHEMES),
        _one_of(top, "dialect", DIALECTS, "none"),
        paths,
        status,
        _words(top.table("phases"), (*PHASES, NONE)),
        _words(top.table("causes"), CAUSES),
        _only(top.table("only")),
        _asks(top),
        _one_of(times, "format", TIME_FORMS, ISO),
        _UNITS_MS[_one_of(times, "durations", tuple(_UNITS_MS), "s")],
        top.flag("plus"),
    )
    if not mapped.phases:
        raise top.fault("phases", "is missing: what the words of `status` mean")
    unknown = sorted(mapped.asks - mapped.phases.keys())
    if unknown:
        raise top.fault("asks", f"names {unknown[0]!r}, which is none of [phases]")
    for entry in (top, fields, times):
        entry.end()
    return mapped


def _path(entry: Entry, key: str) -> str:
    text = entry.text(key)
    if len(text) > MAX_PATH or not all(text.split(".")):
        raise entry.fault(key, "is a field's name, or a path as data.payload.from")
    return text


def _status(fields: Entry) -> tuple[str, ...]:
    told = fields.value("status")
    paths = told if isinstance(told, list) else [told]
    if not 1 <= len(paths) <= 4 or not all(isinstance(path, str) and path for path in paths):
        raise fields.fault("status", 'is "Status", or several paths: ["Event", "Status"]')
    return tuple(paths)


def _one_of(entry: Entry, key: str, known: tuple[str, ...], default: str | None = None) -> str:
    text = entry.text(key, default)
    if text not in known:
        raise entry.fault(key, f"is one of {', '.join(known)}")
    return text


def _words(entry: Entry, known: tuple[str, ...]) -> dict[str, str]:
    return {word: _one_of(entry, word, known) for word in entry.names()}


def _only(entry: Entry) -> dict[str, str]:
    return {path: entry.text(path) for path in entry.names()}


def _asks(top: Entry) -> frozenset[str]:
    told = top.value("asks")
    words = [] if told is None else told
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise top.fault("asks", 'is a list of statuses: ["StartApp:ringing"]')
    return frozenset(words)


BUILT_IN = ("plivo", "sinch", "vonage")


def built_in(name: str) -> Mapped:
    """A provider whose description comes with the bridge. Raises ConfigError."""
    if name not in BUILT_IN:
        raise ConfigError(f"a mapping of ours is one of {', '.join(BUILT_IN)}")
    return read_mapping(Path(__file__).with_name(f"{name}.toml"))
