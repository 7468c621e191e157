"""What a SIP proxy tells of calls, as events of one call: over the broker, or in its own account.

Pure. Both come from `examples/call_tracking/kamailio.cfg`; both may tell the same, in any order. An
event is told once, as long as it is remembered that it was: `MOST` calls.
"""

import hashlib
import json
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from edge_sdk.calls.caller import NOT_TOLD, Caller
from edge_sdk.calls.model import ANSWER, END, MISSED, RING, CallEvent
from edge_sdk.calls.phone import caller_of, number_of

MOST = 20_000
_MAX_BYTES = 8192
_MAX_TEXT = 64
_END_MS = 1 << 53

# SIP status code -> why nobody answered (RFC 3261, section 21).
_CAUSES = {
    **dict.fromkeys((486, 600), "busy"),
    **dict.fromkeys((403, 603, 607), "rejected"),
    **dict.fromkeys((408, 480), "no_answer"),
    487: "cancelled",
}
# The caller is asked for a password, and calls again.
_CHALLENGES = (401, 407)
# Columns of the account (`db_extra` in kamailio.cfg).
_COLUMNS = ("method", "from_tag", "to_tag", "call", "code", "reason", "time", "t", "began")
_EXTRA = ("number", "caller", "pai", "privacy", "lease", "agent")


@dataclass(slots=True)
class _Known:
    began_ms: int | None = None
    answered_ms: int | None = None
    told: set[str] = field(default_factory=set)


class SipCalls:
    """`event` reads a message of the broker, `accounted` a line of the account.

    region  where the line is, as "FR", for numbers without their "+"
    counts  `events`, `lines`, `malformed`, `repeated`, and `recovered`: read in the account alone
    """

    def __init__(self, region: str | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._region = region
        self._calls: OrderedDict[str, _Known] = OrderedDict()

    def event(self, payload: bytes) -> CallEvent | None:
        """What a message tells; None: nothing new."""
        self.counts["events"] += 1
        try:
            if len(payload) > _MAX_BYTES:
                raise ValueError("too long")
            told: dict[str, Any] = json.loads(payload)
            words = [_word(told[name]) for name in ("to", "from", "pai", "priv", "lease", "agent")]
            at_ms, call = _ms(told["t"]), _name(_word(told["id"]))
            read = _Told(str(told["e"]), at_ms, call, int(told["code"]), *words)
        except (ValueError, KeyError, TypeError, RecursionError):
            self.counts["malformed"] += 1
            return None
        return self._told(read)

    def accounted(self, line: str) -> list[CallEvent]:
        """What a line tells that no message did."""
        self.counts["lines"] += 1
        parts = line.rstrip("\r\n").split("|")
        row = dict(zip((*_COLUMNS, *_EXTRA), parts, strict=False))
        try:
            if len(parts) != len(_COLUMNS) + len(_EXTRA):
                raise ValueError("another number of columns")
            call, code = _name(row["call"]), int(row["code"])
            at_ms, began_ms = _ms(row["t"]), _ms(row["began"])
            words = [_word(row[name]) for name in _EXTRA]
        except ValueError:
            self.counts["malformed"] += 1
            return []
        if row["method"] == "BYE":
            steps = [("bye", at_ms)]
        elif row["method"] == "INVITE" and code not in _CHALLENGES:
            last = "answer" if 200 <= code < 300 else "cancel" if code == 487 else "failed"
            steps = [("invite", began_ms), (last, at_ms)]
        else:
            return []
        events = [self._told(_Told(what, ms, call, code, *words)) for what, ms in steps]
        found = [event for event in events if event is not None]
        self.counts["recovered"] += len(found)
        return found

    def _told(self, told: "_Told") -> CallEvent | None:
        phase = _PHASES.get(told.what)
        if phase is None or (phase == MISSED and told.code in _CHALLENGES):
            return None  # that it rings at a desk is no news
        known = self._calls.get(told.call)
        if known is None:
            known = self._calls[told.call] = _Known()
            if len(self._calls) > MOST:
                self._calls.popitem(last=False)
        if phase in known.told:
            self.counts["repeated"] += 1
            return None
        known.told.add(phase)
        if phase == RING:
            known.began_ms = told.at_ms
        elif phase == ANSWER:
            known.answered_ms = told.at_ms
        number = number_of(told.number, self._region) if told.number else None
        return CallEvent(
            told.call,
            phase,
            told.at_ms,
            number or "",
            self._caller(told),
            duration_ms=_duration(phase, told.at_ms, known),
            waited_ms=_waited(phase, told.at_ms, known),
            cause=_cause(phase, told),
            agent=told.agent[:_MAX_TEXT] or None if phase == ANSWER else None,
            lease=told.lease[:_MAX_TEXT] or None,
        )

    def _caller(self, told: "_Told") -> Caller:
        shown = told.pai or told.caller
        if not shown:
            return NOT_TOLD
        hidden = any(word in told.privacy.lower() for word in ("id", "user", "header"))
        return caller_of(shown, self._region, restricted=hidden)


@dataclass(frozen=True, slots=True)
class _Told:
    what: str
    at_ms: int
    call: str
    code: int
    number: str
    caller: str = field(repr=False)
    pai: str = field(repr=False)
    privacy: str
    lease: str
    agent: str


_PHASES = {"invite": RING, "answer": ANSWER, "bye": END, "failed": MISSED, "cancel": MISSED}


def _name(call_id: str) -> str:
    """A Call-ID may hold an address: its digest does not. Raises ValueError."""
    if not call_id:
        raise ValueError("no Call-ID")
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sip:{digest[:20]}"


def _word(value: object) -> str:
    """A field as it was before it was escaped; what the proxy did not have is empty."""
    if not isinstance(value, str):
        raise TypeError("no text")
    text = unquote(value, errors="replace")
    return "" if text == "<null>" else text


def _ms(seconds: Any) -> int:
    """Raises ValueError."""
    whole, _, part = str(seconds).partition(".")
    if not (whole.isascii() and whole.isdigit() and part.isascii() and part.isdigit()):
        raise ValueError("no time")
    ms = int(whole) * 1000 + int((part + "000")[:3])
    if ms >= _END_MS:
        raise ValueError("no time")
    return ms


def _waited(phase: str, at_ms: int, known: _Known) -> int | None:
    if known.began_ms is None or phase == RING:
        return None
    until_ms = known.answered_ms if phase == END else at_ms
    return None if until_ms is None else max(0, until_ms - known.began_ms)


def _duration(phase: str, at_ms: int, known: _Known) -> int | None:
    if phase == MISSED:
        return 0
    if phase == END and known.answered_ms is not None:
        return max(1, at_ms - known.answered_ms)
    return None


def _cause(phase: str, told: _Told) -> str | None:
    if phase == END:
        return "answered"
    if phase != MISSED:
        return None
    return "cancelled" if told.what == "cancel" else _CAUSES.get(told.code, "failed")
