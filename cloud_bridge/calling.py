"""Calls in the bridge: events become one call, the call is joined to a journey, agents are told.

What a line tells comes in any order, twice, or not at all (edge_sdk/calls/model.py); of each call
there is one row, written in the commit that changed it. A call is joined to whoever it was most
probably made by, in the order of strength:

    lease    who held the dialled number, where that names one surely enough
    memory   whose this telephone was at its earlier calls
    place    who was at the kiosk that the number is lent to, if it was one alone

The joining is a fact of the log, with its evidence. `wanted` says what has to be in memory and is
the only part that reads; `note` follows the fold and cannot fail.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec

from cloud_bridge.batch import Batch, Told
from cloud_bridge.people import Joined as JoinedRow
from cloud_bridge.people import People
from cloud_bridge.peppers import Peppers
from cloud_bridge.popping import PURPOSE, Earlier, Joined, Place, Seen, pop_of
from cloud_bridge.routing import Routing
from cloud_bridge.schemes import LAST_NOBODY
from cloud_bridge.store import CallRow
from cloud_bridge.turn import Event, Origin, Turn
from edge_sdk.calls.caller import KNOWN
from edge_sdk.calls.model import CALL, ENDED, MISSED, Call, CallEvent, event_of
from edge_sdk.errors import StorageError
from edge_sdk.wire.touchpoint import CODES, Touchpoint

log = logging.getLogger(__name__)

OUTCOME, KIOSK = CODES["call.outcome"], CODES["kiosk.interaction"]
NOTED: Final = frozenset({CALL, OUTCOME, KIOSK})
# Outcomes after which nobody waits to be called back.
SETTLING: Final = ("called_back", "not_needed")

# A pop that comes later than this is of no use to anybody.
FRESH_MS: Final = 60_000
# Who touched a kiosk so long before a call from it may be who calls.
AT_KIOSK_MS: Final = 600_000
MAX_CALLS: Final = 20_000
MAX_KIOSKS: Final = 10_000
_AT_ONE_KIOSK: Final = 8
# Below this a telephone's memory names nobody; and what one person alone at a kiosk is worth.
_SURE_MEMORY: Final = 0.5
_SURE_PLACE: Final = 0.6
_MAX_TEXT: Final = 128

_HANDLE: Final = "h:"
_pack = msgspec.msgpack.Encoder().encode


class Known(msgspec.Struct, array_like=True):
    """What is known of a call; the body of its row. The caller in it is a handle."""

    call: Call
    pool: str = ""
    group: str = ""
    method: str = ""
    sure: float = 0.0
    why: tuple[str, ...] = ()
    outcome: str = ""
    outcome_agent: str = ""


_known = msgspec.msgpack.Decoder(Known).decode


class Named(Protocol):
    """Who held a number when it was dialled. `handle` is None where nobody is named."""

    @property
    def handle(self) -> int | None: ...
    @property
    def sure(self) -> float: ...
    @property
    def why(self) -> Sequence[str]: ...
    @property
    def candidates(self) -> Collection[int]: ...
    @property
    def place(self) -> str | None:
        """The kiosk that the number is lent to, if it is lent to one."""
        ...


class Numbers(Protocol):
    """What the tenant's pools tell of a number. Reads memory alone."""

    def pool_of(self, number: str) -> str: ...
    def named(self, number: str, at_ms: int, lease: str | None) -> Named | None: ...
    def called(self, number: str, at_ms: int, handle: int | None, *, confirmed: bool) -> None:
        """A call was joined by its lease, or could not be: the pools learn how long people wait.

        confirmed: it is not the lease alone that names her.
        """
        ...


class NoNumbers:
    """A tenant without pools."""

    def pool_of(self, _number: str) -> str:
        """No number is of any."""
        return ""

    def named(self, _number: str, _at_ms: int, _lease: str | None) -> None:
        """Nobody holds any."""

    def called(self, number: str, at_ms: int, handle: int | None, *, confirmed: bool) -> None:
        """Nothing is learnt."""


class Storage(Protocol):
    """What is read. Each raises StorageError."""

    def calls(self, names: Sequence[tuple[str, str]]) -> Iterable[CallRow]: ...
    def calls_waiting(self) -> Iterable[CallRow]: ...


class Calling:
    """`wanted` before a batch is folded, `note` after it, `settled` with each commit.

    routing     the tenant's, as it is now
    identifier  what a handle stands for; raises StorageError
    log_join    puts a joining into the log; the id of its row
    """

    def __init__(
        self,
        people: People,
        storage: Storage,
        counted: Counter[str],
        *,
        peppers: Peppers,
        numbers: Numbers,
        routing: Callable[[], Routing],
        identifier: Callable[[int], str | None],
        log_join: Callable[[Turn, Origin, bytes], int],
    ) -> None:
        self.routing = routing
        self.numbers = numbers
        self.waiting: dict[tuple[str, str], CallRow] = {}
        self._people = people
        self._storage = storage
        self._counted = counted
        self._peppers = peppers
        self._identifier = identifier
        self._log_join = log_join
        self._rows: OrderedDict[tuple[str, str], CallRow] = OrderedDict()
        self._raw: dict[int, str] = {}  # callers' numbers, of the batch that is being taken in
        self._kiosks: OrderedDict[tuple[str, str], dict[int, int]] = OrderedDict()

    def restore(self) -> None:
        """Know who waits. Raises StorageError."""
        self.waiting = {(row.site, row.call): row for row in self._storage.calls_waiting()}

    # Before the fold

    def met(self, raw: Mapping[int, str]) -> None:
        """The numbers of callers in the batch that comes next, by their handles."""
        self._raw = dict(raw)

    def wanted(self, origin: Origin, batch: Batch) -> set[int]:
        """Handles that a batch's calls may be joined to. Raises StorageError."""
        told = list(self._events(batch, origin.offset.ms))
        names = {(origin.site, event.call) for event in told}
        missing = [name for name in names if name not in self._rows]
        for row in self._storage.calls(missing) if missing else ():
            self._rows[row.site, row.call] = row
        found: set[int] = set()
        for event in told:
            call = Call.of(event)
            known = self._rows.get((origin.site, event.call))
            if known is not None:
                call = _known(known.body).call.merged(call)
                found.add(known.whose)
            for at_ms in {event.at_ms, call.began_ms or event.at_ms}:
                named = self._named(event.number or call.number, at_ms, event.lease)
                if named is not None:
                    found.update(named.candidates)
                    found.update(self._kiosks.get((origin.site, named.place or ""), ()))
        return {handle for handle in found if handle > LAST_NOBODY}

    def _events(self, batch: Batch, offset_ms: int) -> Iterator[CallEvent]:
        for _, _, at_ms, values in batch.told((CALL,)):
            event = _event_of(at_ms + offset_ms, values)
            if event is not None:
                yield event

    def _named(self, number: str | None, at_ms: int, lease: str | None) -> Named | None:
        return self.numbers.named(number, at_ms, lease) if number else None

    # After it

    def note(self, turn: Turn, origin: Origin, batch: Batch) -> None:
        """Merge, join, and tell."""
        for told in batch.told(NOTED):
            if told[1] == CALL:
                self._call(turn, origin, told)
            elif told[1] == OUTCOME:
                self._outcome(turn, origin, told)
            else:
                self._at_kiosk(origin, told)
        self._raw = {}

    def _call(self, turn: Turn, origin: Origin, told: Told) -> None:
        _, _, at_ms, values = told
        event = _event_of(at_ms, values)
        if event is None:
            self._counted["calls.malformed"] += 1
            return
        row = self._rows.get((origin.site, event.call))
        known = Known(Call.of(event)) if row is None else _known(row.body)
        merged = known.call.merged(Call.of(event))
        if row is not None and merged == known.call:
            self._counted["calls.repeated"] += 1
            return
        if row is None:
            self._counted["calls"] += 1
            self._counted[f"calls.{merged.caller.state}"] += 1
        known.call = merged
        known.pool = self.numbers.pool_of(merged.number)
        known.group = self.routing().group_of(merged.number, known.pool)
        caller = _handle_of(merged)
        whose = row.whose if row is not None else 0
        if not known.method:
            whose = self._join(turn, origin, known, at_ms)
        sealed = row.sealed if row is not None else b""
        row = self._row(origin.site, known, whose, sealed)
        self._keep(turn, row)
        if caller and merged.was_answered:
            self._got_through(turn, caller)
        if origin.received_ms - at_ms <= FRESH_MS:
            self._pop(turn, row, known)

    def _join(self, turn: Turn, origin: Origin, known: Known, at_ms: int) -> int:
        """Whose it is, with the evidence put into `known`; 0: nobody's."""
        call = known.call
        began_ms, caller = call.began_ms or at_ms, _handle_of(call)
        named = self._named(call.number, began_ms, call.lease)
        handle, joined = self._evidence(origin.site, named, caller, began_ms)
        known.method, known.sure, known.why = joined.method, joined.sure, joined.why
        if not handle:
            return 0
        whose = self._people.subject_of(handle, began_ms) or handle
        sure_pct = round(100 * joined.sure)
        row = JoinedRow(call.call, call.number, caller, whose, began_ms, joined.method, sure_pct)
        log_id = self._log_join(turn, origin, _pack(row))
        self._people.at(log_id, origin.received_ms, origin.site)
        self._people.apply_joined(row)
        self._counted[f"calls.joined.{joined.method}"] += 1
        if joined.method == "lease":
            confirmed = self._people.recalled(caller, began_ms)[0] == whose
            self.numbers.called(call.number, began_ms, handle, confirmed=confirmed)
        return whose

    def _evidence(
        self, site: str, named: Named | None, caller: int, at_ms: int
    ) -> tuple[int, Joined]:
        why: list[str] = []
        if named is not None:
            why += named.why
            if named.handle is not None and self._people.is_here(named.handle):
                return named.handle, Joined("lease", named.sure, tuple(why))
        whose, sure = self._people.recalled(caller, at_ms) if caller else (0, 0.0)
        if whose:
            why.append(f"memory: this telephone was hers before ({sure:.2f})")
            if sure >= _SURE_MEMORY:
                return whose, Joined("memory", sure, tuple(why))
        if named is not None and named.place:
            there = self._kiosks.get((site, named.place), {})
            lately = [h for h, ms in there.items() if 0 <= at_ms - ms <= AT_KIOSK_MS]
            why.append(f"place: {len(lately)} sessions at its kiosk in the last ten minutes")
            if len(lately) == 1 and self._people.is_here(lately[0]):
                return lately[0], Joined("place", _SURE_PLACE, tuple(why))
        return 0, Joined("", 0.0, tuple(why) or ("nothing is known of this number or caller",))

    def _row(self, site: str, known: Known, whose: int, sealed: bytes) -> CallRow:
        call, caller = known.call, _handle_of(known.call)
        if not sealed and caller in self._raw:
            sealed = self._peppers.seal(self._raw[caller])
        is_over = call.over_ms is not None
        settled = known.outcome in SETTLING
        waits = is_over and call.was_abandoned and bool(sealed) and not settled
        if is_over and not waits:
            sealed = b""  # nobody needs it any more
        seen_ms = call.over_ms or call.answered_ms or call.rang_ms or 0
        return CallRow(site, call.call, caller, whose, seen_ms, waits, _pack(known), sealed)

    def _got_through(self, turn: Turn, caller: int) -> None:
        """Whoever has been answered need not be called back for the times before."""
        for row in [row for row in self.waiting.values() if row.caller == caller]:
            self._counted["calls.called_again"] += 1
            self._settle(turn, row)

    def _settle(self, turn: Turn, row: CallRow) -> None:
        """Nobody waits for it any more, and nobody needs its number."""
        self._keep(turn, replace(row, waits=False, sealed=b""))

    def _keep(self, turn: Turn, row: CallRow) -> None:
        key = row.site, row.call
        self._rows[key] = turn.writes.calls[key] = row
        if row.waits:
            self.waiting[key] = row
        else:
            self.waiting.pop(key, None)

    def _outcome(self, turn: Turn, origin: Origin, told: Told) -> None:
        call, outcome, agent = told[3]
        row = self._rows.get((origin.site, call)) or self.waiting.get((origin.site, call))
        if row is None or not outcome:
            self._counted["calls.outcome_of_none"] += 1
            return
        known = _known(row.body)
        known.outcome, known.outcome_agent = outcome[:_MAX_TEXT], (agent or "")[:_MAX_TEXT]
        self._counted["calls.outcomes"] += 1
        row = replace(row, body=_pack(known))
        self._keep(turn, row)
        if outcome in SETTLING:
            self._settle(turn, row)

    def _at_kiosk(self, origin: Origin, told: Told) -> None:
        kiosk, session, *_ = told[3]
        if not kiosk or not session or session <= LAST_NOBODY:
            return
        there = self._kiosks.setdefault((origin.site, kiosk), {})
        there.pop(session, None)
        there[session] = told[2]
        while len(there) > _AT_ONE_KIOSK:
            del there[next(iter(there))]
        self._kiosks.move_to_end((origin.site, kiosk))
        while len(self._kiosks) > MAX_KIOSKS:
            self._kiosks.popitem(last=False)

    # What is told

    def _pop(self, turn: Turn, row: CallRow, known: Known) -> None:
        people, caller, whose = self._people, row.caller, row.whose
        joined = Joined(known.method, known.sure, known.why)
        seen = None
        try:
            pseudonym = self._identifier(caller) if caller else None
            if whose:
                profile = people.profile_of(whose)
                consents = profile is not None and profile.consents_to(PURPOSE)
                who = self._identifier(whose) if consents else None
                seen = Seen(who, consents, people.journey_of(whose))
        except StorageError as error:
            log.error("a pop does not tell who calls: %s", error)
            pseudonym = None
        place = Place(row.site, known.pool, known.group)
        earlier = Earlier(pseudonym, people.journey_of(caller))
        fields = pop_of(known.call, place, joined, seen, earlier)
        turn.pops.append(Event("call", fields))

    # Keeping it small

    def settled(self) -> None:
        """All rows are on their way to the disk: the oldest need not stay in memory."""
        while len(self._rows) > MAX_CALLS:
            self._rows.popitem(last=False)

    def forget(self, handles: Collection[int]) -> None:
        """These are destroyed, and storage drops their rows."""
        gone = set(handles)
        for rows in (self._rows, self.waiting):
            for key in [key for key, row in rows.items() if row.caller in gone]:
                del rows[key]
        for key, row in self._rows.items():
            if row.whose in gone:
                self._rows[key] = replace(row, whose=0)
        for there in self._kiosks.values():
            for session in gone & there.keys():
                del there[session]

    def forget_numbers(self, before_ms: int) -> None:
        """Storage has dropped the numbers of calls last heard of before then."""
        for key in [key for key, row in self.waiting.items() if row.seen_ms < before_ms]:
            del self.waiting[key]
            self._rows.pop(key, None)


def told_of(row: CallRow) -> Known:
    """What is known of a call, from its row."""
    return _known(row.body)


def is_over(known: Known) -> bool:
    """Whether nothing more is to come."""
    return known.call.state in (ENDED, MISSED)


def _event_of(at_ms: int, values: tuple[Any, ...]) -> CallEvent | None:
    """A handle stands where the number was: of two reports of a caller one is still the better."""
    caller: int = values[3] or 0
    named = f"{_HANDLE}{caller}" if caller > LAST_NOBODY else None
    return event_of(Touchpoint(CALL, at_ms, (*values[:3], named, *values[4:])))


def _handle_of(call: Call) -> int:
    """The caller's handle, which stands where her number was."""
    if call.caller.state != KNOWN or call.caller.e164 is None:
        return 0
    return int(call.caller.e164)
