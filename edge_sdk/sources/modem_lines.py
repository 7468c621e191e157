"""From the lines of a modem to the events of calls, with the time as an argument. Pure.

A line that rings says RING every few seconds, and when it stops it says nothing: a call is over
when no RING has come for `quiet_ms`, and it ended at the last RING, as far as anybody knows.

- At a modem with a SIM of its own nobody else could have answered: the caller gave up
  (`cancelled`).
- On an analogue line a telephone may have been picked up, or the caller hung up: nobody can tell.
  Such a call is `missed`, with the cause `no_answer`, and counted as `unclear`. A call back to
  somebody who was spoken to costs a word; the one that is never made costs a customer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from edge_sdk.calls.caller import KNOWN, NOT_TOLD, STATES, WITHHELD, Caller, better
from edge_sdk.calls.model import ANSWER, END, MISSED, RING, CallEvent
from edge_sdk.sources import modem_report
from edge_sdk.sources.modem_report import CallerOf, Report

QUIET_MS = 8_000  # the longest pause between two rings is 4 s of silence after 2 s of ringing
_WAITS_MS = 60_000  # a network lets nobody knock for longer
_AGAIN_MS = 1_000  # within this, two channels of one modem say one thing
_LATE_MS = 60_000  # a modem sums up the call that was just missed

COUNTS = (
    *("lines", "calls", "answered", "missed", *STATES, "unclear", "unseen_end"),
    *("doubled", "no_ring", "outgoing", "data", "late", "malformed", "other"),
)


@dataclass(slots=True)
class _Open:
    """A call that is not over. `last_ms`: of the last sign that its caller still wants it."""

    id: str
    began_ms: int
    last_ms: int
    caller: Caller
    answered_ms: int | None = None
    index: int | None = None


class ModemLines:
    """Lines in, CallEvents out. Never raises for a line, and keeps two open calls at most.

    number     E.164 of the line that the modem is at
    caller_of  reads a caller's number as this line writes it
    new_id     makes the id of a call: "modem:" and 16 random hex digits

    The first RING is told at once, and a second `ring` event of the same call says who calls, when
    the line does. counts: COUNTS; of the calls that are over, by what was known of their callers
    (`known` and the other states), `answered`, `missed`, and of those `unclear` (a telephone on
    the same line may have answered) and `unseen_end` (the line was lost). `doubled` are RINGs that
    another channel of the modem had told, `no_ring` callers that no RING followed, `late` calls
    that a modem sums up, `data` calls of machines.
    """

    def __init__(
        self,
        number: str,
        caller_of: CallerOf,
        new_id: Callable[[], str],
        *,
        quiet_ms: int = QUIET_MS,
    ) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self.is_mobile = False  # the modem is alone on its line, for it has a SIM
        self.number = number
        self._caller_of = caller_of
        self._new_id = new_id
        self._quiet_ms = quiet_ms
        self._call: _Open | None = None
        self._waiting: _Open | None = None
        self._told: tuple[Caller, int] | None = None  # of the caller, before the first RING
        self._outgoing: set[int] = set()  # one digit each
        self._ended_ms: int | None = None
        self._events: list[CallEvent] = []

    @property
    def is_idle(self) -> bool:
        """Whether nobody calls, as far as is known."""
        return self._call is None and self._waiting is None

    def line(self, line: str, at_ms: int) -> list[CallEvent]:
        """What a line tells that came at `at_ms` of a clock that does not jump."""
        self._pass(at_ms)
        report = modem_report.read(line, self._caller_of)
        self.counts["lines"] += 1
        self.counts["malformed"] += report.is_cut
        self.is_mobile = self.is_mobile or report.is_mobile
        take = _TAKES.get(report.kind)
        if take is not None:
            take(self, report, at_ms)
        elif report.kind == modem_report.OTHER and not report.is_cut:
            self.counts["other"] += 1
        return self._taken()

    def tick(self, at_ms: int) -> list[CallEvent]:
        """What the silence of the line tells. To be asked every second or so."""
        self._pass(at_ms)
        return self._taken()

    def lost(self, at_ms: int) -> list[CallEvent]:
        """The modem is gone. What rings may ring on; of what was answered no end will be told."""
        for call in (self._call, self._waiting):
            if call is not None and call.answered_ms is not None:
                self._end_unseen(call, at_ms)
        self._outgoing.clear()
        return self._taken()

    def close(self, at_ms: int) -> list[CallEvent]:
        """The ends of the calls that are open, once nobody will listen any more."""
        for call in (self._call, self._waiting):
            if call is None:
                continue
            if call.answered_ms is None:
                self._stop_ringing(call)
            else:
                self._end_unseen(call, at_ms)
        self._told = None
        return self._taken()

    # What a line reports

    def _ring(self, report: Report, at_ms: int) -> None:
        call = self._call
        if call is not None and at_ms - call.last_ms < _AGAIN_MS:
            self.counts["doubled"] += 1
            return
        if call is not None and call.answered_ms is not None:
            self._end_unseen(call, at_ms)
            call = None
        if call is not None:
            call.last_ms = at_ms
        elif self._waiting is not None:  # the first call is over, and this one rings instead
            self._call, self._waiting = self._waiting, None
            self._call.last_ms = at_ms
        else:
            caller = NOT_TOLD if self._told is None else self._told[0]
            self._call = self._begin(caller, at_ms)
        self._told = None

    def _caller(self, report: Report, at_ms: int) -> None:
        call = self._call
        if call is None or call.answered_ms is not None:
            if call is None and self._waiting is None:
                before = NOT_TOLD if self._told is None else self._told[0]
                self._told = (better(before, report.caller), at_ms)
            return
        if _are_two(call.caller, report.caller):
            self._stop_ringing(call)
            self._call = self._begin(report.caller, at_ms)
            return
        self._learn(call, report.caller)

    def _wait(self, report: Report, at_ms: int) -> None:
        waiting = self._waiting
        if waiting is not None and not _are_two(waiting.caller, report.caller):
            waiting.last_ms = at_ms
            self._learn(waiting, report.caller)
            return
        if waiting is not None and waiting.answered_ms is not None:
            return  # a third one: nothing that follows could be told from the others'
        if waiting is not None:
            self._end_waiting(waiting, at_ms)
        self._waiting = self._begin(report.caller, at_ms)

    def _dial(self, report: Report, at_ms: int) -> None:
        if report.index is not None and report.index not in self._outgoing:
            self._outgoing.add(report.index)
            self.counts["outgoing"] += 1

    def _answer(self, report: Report, at_ms: int) -> None:
        if report.index in self._outgoing:
            return
        call = self._call
        if call is None or call.answered_ms is not None:
            if call is not None and call.index == report.index:  # another channel says it as well
                return
            call = self._waiting
        if call is None or call.answered_ms is not None:
            return
        call.answered_ms = call.last_ms = at_ms
        call.index = report.index
        self._say(call, ANSWER, at_ms, waited_ms=at_ms - call.began_ms)

    def _end(self, report: Report, at_ms: int) -> None:
        if report.index in self._outgoing:
            self._outgoing.discard(report.index)
            self._ended_ms = at_ms
            return
        calls = [call for call in (self._call, self._waiting) if call is not None]
        named = [call for call in calls if call.index == report.index]
        nameless = [call for call in calls if call.index is None]
        for call in (named or nameless)[:1]:
            self._end_told(call, report, at_ms)

    def _hang_up(self, report: Report, at_ms: int) -> None:
        """Whichever call there is. The same is said again of a call that was said to have ended."""
        if self._ended_ms is not None and at_ms - self._ended_ms < _AGAIN_MS:
            return
        if self._outgoing:
            self._outgoing.clear()
            return
        call = self._call or self._waiting
        if call is not None:
            self._end_told(call, report, at_ms)

    def _miss(self, report: Report, at_ms: int) -> None:
        call = self._call
        if call is not None and call.answered_ms is None:
            self._learn(call, report.caller)
            self._end_told(call, report, at_ms)
        elif self._ended_ms is not None and at_ms - self._ended_ms < _LATE_MS:
            self.counts["late"] += 1
        else:  # it rang while nobody listened to the modem
            unseen = _Open(self._new_id(), at_ms, at_ms, report.caller)
            self.counts["calls"] += 1
            self._finish(unseen, MISSED, at_ms, cause=report.cause)

    def _data(self, report: Report, at_ms: int) -> None:
        self.counts["data"] += 1

    # What becomes of a call

    def _begin(self, caller: Caller, at_ms: int) -> _Open:
        call = _Open(self._new_id(), at_ms, at_ms, caller)
        self.counts["calls"] += 1
        self._say(call, RING, at_ms)
        return call

    def _learn(self, call: _Open, caller: Caller) -> None:
        known = better(call.caller, caller)
        if known != call.caller:
            call.caller = known
            self._say(call, RING, call.began_ms)

    def _pass(self, at_ms: int) -> None:
        call, waiting = self._call, self._waiting
        if _has_gone(call, at_ms - self._quiet_ms):
            self._stop_ringing(call)
        if _has_gone(waiting, at_ms - _WAITS_MS):
            self._end_waiting(waiting, waiting.last_ms)
        if self._told is not None and at_ms - self._told[1] >= self._quiet_ms:
            self._told = None
            self.counts["no_ring"] += 1

    def _stop_ringing(self, call: _Open) -> None:
        cause = "cancelled" if self.is_mobile else "no_answer"
        self.counts["unclear"] += not self.is_mobile
        waited_ms = call.last_ms - call.began_ms
        self._finish(call, MISSED, call.last_ms, cause=cause, waited_ms=waited_ms)

    def _end_waiting(self, call: _Open, at_ms: int) -> None:
        self._finish(call, MISSED, at_ms, cause="no_answer", waited_ms=at_ms - call.began_ms)

    def _end_unseen(self, call: _Open, at_ms: int) -> None:
        self.counts["unseen_end"] += 1
        self._end_told(call, Report(modem_report.ENDED), at_ms)

    def _end_told(self, call: _Open, report: Report, at_ms: int) -> None:
        duration_ms = report.duration_ms
        if call.answered_ms is None and not duration_ms:
            waited_ms = at_ms - call.began_ms
            self._finish(call, MISSED, at_ms, cause=report.cause, waited_ms=waited_ms)
            return
        if not duration_ms:  # the modem does not say; or it was less than one of its seconds
            since_ms = call.began_ms if call.answered_ms is None else call.answered_ms
            duration_ms = max(1, at_ms - since_ms)
        answered_ms = call.answered_ms
        if answered_ms is None:  # the line that told of the answer was lost
            answered_ms = max(call.began_ms, at_ms - duration_ms)
        waited_ms = answered_ms - call.began_ms
        self._finish(
            call, END, at_ms, cause="answered", duration_ms=duration_ms, waited_ms=waited_ms
        )

    def _finish(
        self,
        call: _Open,
        phase: str,
        at_ms: int,
        *,
        cause: str | None,
        duration_ms: int = 0,
        waited_ms: int | None = None,
    ) -> None:
        self.counts["answered" if phase == END else "missed"] += 1
        self.counts[call.caller.state] += 1
        self._say(call, phase, at_ms, cause=cause, duration_ms=duration_ms, waited_ms=waited_ms)
        self._ended_ms = at_ms
        if call is self._call:
            self._call = None
            if self._waiting is not None and self._waiting.answered_ms is not None:
                self._call, self._waiting = self._waiting, None
        elif call is self._waiting:
            self._waiting = None

    def _say(
        self,
        call: _Open,
        phase: str,
        at_ms: int,
        *,
        cause: str | None = None,
        duration_ms: int | None = None,
        waited_ms: int | None = None,
    ) -> None:
        self._events.append(
            CallEvent(
                call.id,
                phase,
                at_ms,
                self.number,
                call.caller,
                duration_ms=duration_ms,
                waited_ms=waited_ms,
                cause=cause,
            )
        )

    def _taken(self) -> list[CallEvent]:
        events, self._events = self._events, []
        return events


def _has_gone(call: _Open | None, since_ms: int) -> TypeGuard[_Open]:
    """Whether nothing was heard since then of a call that nobody has answered."""
    return call is not None and call.answered_ms is None and call.last_ms <= since_ms


def _are_two(one: Caller, other: Caller) -> bool:
    """Whether these are two callers: both told for certain, and not the same."""
    certain = (KNOWN, WITHHELD)
    return one.state in certain and other.state in certain and one != other


_TAKES: dict[str, Callable[[ModemLines, Report, int], None]] = {
    modem_report.RING: ModemLines._ring,
    modem_report.CALLER: ModemLines._caller,
    modem_report.WAITING: ModemLines._wait,
    modem_report.DIALLED: ModemLines._dial,
    modem_report.ANSWERED: ModemLines._answer,
    modem_report.ENDED: ModemLines._end,
    modem_report.HUNG_UP: ModemLines._hang_up,
    modem_report.MISSED: ModemLines._miss,
    modem_report.DATA: ModemLines._data,
}
