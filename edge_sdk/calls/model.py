"""One call, whatever line it came by: events in any order, twice, or some of them never.

A source says what it saw as a `CallEvent`. `Call` is what all of them come to: merging is
commutative, associative and idempotent, so the order of arrival cannot matter, nor can a
repetition. A last event ("end", "missed") tells how long was waited and spoken where its source
knows it, and then it has the last word on both, so that the events before it may be lost.
"""

from dataclasses import dataclass, field, replace

from edge_sdk.calls.caller import KNOWN, NOT_TOLD, STATES, UNPARSABLE, Caller, better
from edge_sdk.wire.touchpoint import CODES, Touchpoint, make

RING, ANSWER, END, MISSED = "ring", "answer", "end", "missed"
PHASES = (RING, ANSWER, END, MISSED)
CALL = CODES["call"]

# Why a call ended, the most telling first. `cancelled`: the caller hung up before an answer.
CAUSES = ("answered", "busy", "rejected", "no_answer", "cancelled", "failed")

# What a call is now.
RINGING, ANSWERED, ENDED = "ringing", "answered", "ended"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """What a line told of a call. Times are milliseconds since 1970, durations milliseconds.

    call         the source's own name for the call, with a prefix of the source: "sip:...",
                 "modem:...", "twilio:..."; it names nobody
    number       E.164 of our number that was dialled; "" where the line does not say
    waited_ms    from the first ring to the answer, or to the end where nobody answered
    duration_ms  from the answer to the end; 0: nobody answered
    cause        one of CAUSES, of a last event
    agent        who answered: a name for a seat or a person on duty, as the line has it
    lease        the lease of `number` at that time, where the line knew it
    """

    call: str
    phase: str
    at_ms: int
    number: str = ""
    caller: Caller = field(default=NOT_TOLD)
    duration_ms: int | None = None
    waited_ms: int | None = None
    cause: str | None = None
    agent: str | None = None
    lease: str | None = None

    def touchpoint(self) -> Touchpoint:
        """The touchpoint `call`. Raises TouchpointError."""
        return make(
            "call",
            self.at_ms,
            call=self.call,
            phase=self.phase,
            number=self.number,
            caller=self.caller.identifier,
            caller_state=self.caller.state,
            duration_ms=self.duration_ms,
            waited_ms=self.waited_ms,
            cause=self.cause,
            agent=self.agent,
            lease=self.lease,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """What the events of a call come to. Start from `of`, go on with `merged`.

    The raw times are the earliest that were told; read `rang`, `answered` and `ended` instead,
    which a last event that tells durations has the word on.
    """

    call: str
    number: str = ""
    caller: Caller = NOT_TOLD
    rang_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int | None = None
    missed_ms: int | None = None
    told_duration_ms: int | None = None
    told_waited_ms: int | None = None
    told_cause: str | None = None
    agent: str | None = None
    lease: str | None = None

    @classmethod
    def of(cls, event: CallEvent) -> "Call":
        """A call of which this is all that is known."""
        return cls(
            event.call,
            event.number,
            event.caller,
            rang_ms=event.at_ms if event.phase == RING else None,
            answered_ms=event.at_ms if event.phase == ANSWER else None,
            ended_ms=event.at_ms if event.phase == END else None,
            missed_ms=event.at_ms if event.phase == MISSED else None,
            told_duration_ms=event.duration_ms,
            told_waited_ms=event.waited_ms,
            told_cause=event.cause,
            agent=event.agent,
            lease=event.lease,
        )

    def merged(self, other: "Call") -> "Call":
        """Of two reports of one call, one; `a.merged(b) == b.merged(a)`."""
        return replace(
            self,
            number=_first(self.number or None, other.number or None) or "",
            caller=better(self.caller, other.caller),
            rang_ms=_least(self.rang_ms, other.rang_ms),
            answered_ms=_least(self.answered_ms, other.answered_ms),
            ended_ms=_least(self.ended_ms, other.ended_ms),
            missed_ms=_least(self.missed_ms, other.missed_ms),
            told_duration_ms=_most(self.told_duration_ms, other.told_duration_ms),
            told_waited_ms=_most(self.told_waited_ms, other.told_waited_ms),
            told_cause=_worthier(self.told_cause, other.told_cause),
            agent=_first(self.agent, other.agent),
            lease=_first(self.lease, other.lease),
        )

    # What it came to

    @property
    def over_ms(self) -> int | None:
        """When it was over; None while it is not."""
        return _least(self.ended_ms, self.missed_ms)

    @property
    def was_answered(self) -> bool:
        """Whether somebody answered, as far as is known now."""
        if self.told_duration_ms is not None and self.over_ms is not None:
            return self.told_duration_ms > 0
        # A line that was there for the end alone still knows whether there was something to end.
        ended_talk = self.over_ms is not None and self.told_cause == "answered"
        return self.answered_ms is not None or ended_talk

    @property
    def state(self) -> str:
        """RINGING, ANSWERED, ENDED or MISSED."""
        if self.over_ms is None:
            return ANSWERED if self.was_answered else RINGING
        return ENDED if self.was_answered else MISSED

    @property
    def duration_ms(self) -> int | None:
        """How long was spoken; 0 where nobody answered; None while it is not over, or not known."""
        if self.over_ms is None:
            return None
        if self.told_duration_ms is not None:
            return self.told_duration_ms
        if self.answered_ms is None:
            return None if self.was_answered else 0
        return max(0, self.over_ms - self.answered_ms)

    @property
    def began_ms(self) -> int | None:
        """When it began to ring; None where that cannot be told."""
        if self.over_ms is not None and self.told_waited_ms is not None:
            return self.over_ms - (self.duration_ms or 0) - self.told_waited_ms
        return _least(self.rang_ms, self.answered_ms)

    @property
    def waited_ms(self) -> int | None:
        """How long the caller waited, for an answer or for none; None while she waits."""
        if self.told_waited_ms is not None:
            return self.told_waited_ms
        began_ms, until_ms = self.rang_ms, self.answered_ms
        if not self.was_answered:
            until_ms = self.over_ms
        if began_ms is None or until_ms is None:
            return None
        return max(0, until_ms - began_ms)

    @property
    def cause(self) -> str | None:
        """One of CAUSES; None while it is not over."""
        if self.over_ms is None:
            return None
        if self.was_answered:
            return "answered"
        return self.told_cause if self.told_cause not in {None, "answered"} else "no_answer"

    @property
    def was_abandoned(self) -> bool:
        """Whether the caller gave up before anybody answered."""
        return self.state == MISSED and self.cause in {"cancelled", "no_answer"}


def event_of(touchpoint: Touchpoint) -> CallEvent | None:
    """What a touchpoint `call` tells; None where it makes no sense. Never raises."""
    if touchpoint.code != CALL or touchpoint.at_ms is None:
        return None
    call, phase, number, caller, state, duration_ms, waited_ms, cause, agent, lease = (
        touchpoint.values
    )
    if not call or phase not in PHASES:
        return None
    return CallEvent(
        call,
        phase,
        touchpoint.at_ms,
        number or "",
        _caller(state, caller),
        _positive(duration_ms),
        _positive(waited_ms),
        cause if cause in CAUSES else None,
        agent,
        lease,
    )


def _caller(state: str | None, identifier: str | None) -> Caller:
    number = (identifier or "").partition(":")[2]
    if state == KNOWN:
        return Caller(KNOWN, number) if number else Caller(UNPARSABLE)
    return Caller(state) if state in STATES else NOT_TOLD


def _positive(ms: int | None) -> int | None:
    return ms if ms is not None and ms >= 0 else None


def _least(one: int | None, other: int | None) -> int | None:
    return min((ms for ms in (one, other) if ms is not None), default=None)


def _most(one: int | None, other: int | None) -> int | None:
    return max((ms for ms in (one, other) if ms is not None), default=None)


def _first(one: str | None, other: str | None) -> str | None:
    """The first of the alphabet: which came first must not matter."""
    return min((text for text in (one, other) if text), default=None)


def _worthier(one: str | None, other: str | None) -> str | None:
    told = [cause for cause in (one, other) if cause in CAUSES]
    return min(told, key=CAUSES.index, default=None)
