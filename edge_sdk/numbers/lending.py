"""The rules of leases, the same in the bridge and in a store: who gets which number until when.

A number goes free -> leased (-> grace) -> cooling -> free. Time moves it whenever anything is asked
(`advance`), in the order in which it would have happened. All that changed is gathered until
`changes` takes it.
"""

import heapq
from dataclasses import dataclass, replace
from typing import Protocol

from edge_sdk.numbers.history import History
from edge_sdk.numbers.lease import KINDS, Lease
from edge_sdk.numbers.ledger_rows import (
    BAD_HOLDER,
    BAD_INTENT,
    BAD_KIND,
    COOLING,
    ENDED_LEASE,
    FREE,
    LEASED,
    NONE_FREE,
    QUARANTINED,
    RETIRED,
    UNKNOWN_LEASE,
    Counters,
    Done,
    NumberRow,
    Rows,
)
from edge_sdk.numbers.terms import FOREVER_MS, Terms

# A clock that was set back by so much stands still instead.
TOLERATED_MS = 60_000
MAX_HOLDER = 256
_SPARE_TIMERS = 64


class FreeNumbers(Protocol):
    """The order in which free numbers are taken: `allocation.Allocation`."""

    def add(self, number: str) -> None:
        """A number that it did not know, behind the others."""

    def remove(self, number: str) -> None:
        """A number that it need not know any more."""

    def take(self, intent: float | None) -> str | None:
        """The next for a visitor of this intent."""

    def claim(self, number: str) -> bool:
        """Take this very number, if it is free."""

    def give_back(self, number: str) -> None:
        """A number that was taken, behind the others."""

    def learned(self, intent: float | None, called: bool) -> None:
        """Whether a visitor of this intent called."""


@dataclass(slots=True)
class Lot:
    """Where numbers come from, and until when they are lent; `lender` begins its leases' ids."""

    lender: str
    expires_ms: int = FOREVER_MS
    expired: bool = False


class Lending:
    """Numbers of some lots, and their leases. Its owner calls `advance` before anything else."""

    def __init__(self, terms: Terms, free: FreeNumbers, *, pool: str, fallback: str) -> None:
        self.terms = terms
        self.fallback = fallback
        self.pool = pool
        self.now_ms = 0
        self.counters = Counters()
        self.fallbacks = 0  # how often none was free
        self.rows: dict[str, NumberRow] = {}
        self.history = History()
        self.leases = self.history.leases  # live and remembered ones, by id
        self.lots: dict[int, Lot] = {}
        self._free = free
        self._timers: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}
        self._changed: dict[str, NumberRow] = {}
        self._gone: list[str] = []
        self._counted = self.counters

    # Time

    def refuses(self, now_ms: int) -> bool:
        """Whether this is no time to do anything: the clock went back further than is tolerated."""
        return not (0 <= now_ms < FOREVER_MS // 2 and now_ms >= self.now_ms - TOLERATED_MS)

    def advance(self, now_ms: int) -> int:
        """Let happen what time alone does; the time to go by, which never runs backwards."""
        now_ms = self.now_ms = max(now_ms, self.now_ms)
        while self._timers and self._timers[0][0] <= now_ms:
            due_ms, number = heapq.heappop(self._timers)
            if self._due.get(number) != due_ms:
                continue  # there was an earlier one since
            del self._due[number]
            self._happen(number, due_ms)
            self._schedule(number)
        for block, lot in self.lots.items():
            if lot.expires_ms <= now_ms and not lot.expired:
                lot.expired = True
                for row in self.of_lot(block):
                    self._free.claim(row.number)
        return now_ms

    def _happen(self, number: str, due_ms: int) -> None:
        row = self.rows.get(number)
        if row is None:
            return
        if row.state == LEASED:
            lease = self.leases[row.lease]
            lapsed_ms = lease.until_ms + self.terms.grace_ms
            if lapsed_ms <= due_ms:
                self.history.put(replace(lease, ended_ms=lease.until_ms))
                self._put(self._cooling(row, lapsed_ms))
                self._note_last(number)
        elif row.state == COOLING and row.until_ms <= due_ms:
            self.set_free(number)
        elif row.state == QUARANTINED and row.until_ms <= due_ms:
            self._put(NumberRow(number, RETIRED))
        self._forget_old(number, due_ms)

    def _schedule(self, number: str) -> None:
        due_ms = FOREVER_MS
        row = self.rows.get(number)
        if row is None:
            return
        if row.state == LEASED:
            due_ms = self.leases[row.lease].until_ms + self.terms.grace_ms
        elif row.state in (COOLING, QUARANTINED):
            due_ms = row.until_ms
        if (first := self.history.first(number)) is not None:
            due_ms = min(due_ms, self._forget_ms(row, first))
        if due_ms >= FOREVER_MS or self._due.get(number, FOREVER_MS) <= due_ms:
            return
        self._due[number] = due_ms
        heapq.heappush(self._timers, (due_ms, number))
        if len(self._timers) > 2 * len(self.rows) + _SPARE_TIMERS:
            self._timers = [(due_ms, number) for number, due_ms in self._due.items()]
            heapq.heapify(self._timers)

    # Leases

    def ask(self, holder: str, kind: str, intent: float | None, now_ms: int) -> Done:
        """The number of a holder: the one that is hers if it can be had, or the next."""
        if refused := _refusal(holder, kind, intent):
            return self.done(refused=refused)
        for number in self._hers(kind, holder):
            row = self.rows[number]
            if row.state == LEASED:
                return self.heartbeat(row.lease, now_ms)
            if row.state in (FREE, COOLING) and self._lendable(row):
                self._free.claim(number)
                return self._lend(row, holder, kind, intent, now_ms)
        taken = self._free.take(intent)
        if taken is None:
            self.fallbacks += 1
            return self.done(refused=NONE_FREE, number=self.fallback)
        return self._lend(self.rows[taken], holder, kind, intent, now_ms)

    def heartbeat(self, lease_id: str, now_ms: int) -> Done:
        """The holder is still there: also out of grace, never out of an end."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return self.done(refused=UNKNOWN_LEASE)
        row = self.rows.get(lease.number)
        if row is None or row.lease != lease_id:
            return self.done(lease, refused=ENDED_LEASE)
        until_ms = min(self.terms.kept_until_ms(lease.kind, now_ms), self._last_ms(row))
        if until_ms > lease.until_ms:
            lease = replace(lease, until_ms=until_ms)
            self.history.put(lease)
        return self.done(lease)

    def release(self, lease_id: str, now_ms: int) -> Done:
        """The holder has gone: over now, or when the guaranteed minimum is."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return self.done(refused=UNKNOWN_LEASE)
        row = self.rows.get(lease.number)
        if row is None or row.lease != lease_id:
            return self.done(lease, refused=ENDED_LEASE)
        guaranteed_ms = self.terms.guaranteed_ms(lease)
        if now_ms >= guaranteed_ms:
            lease = self.end(row, now_ms)
        elif lease.until_ms > guaranteed_ms:
            lease = replace(lease, until_ms=guaranteed_ms)
            self.history.put(lease)
            self._schedule(lease.number)
        return self.done(lease)

    def end(self, row: NumberRow, now_ms: int) -> Lease:
        """End the lease that a number has; the number cools."""
        lease = replace(self.leases[row.lease], ended_ms=now_ms)
        self.history.put(lease)
        self._put(self._cooling(row, now_ms))
        self._note_last(row.number)
        self._schedule(row.number)
        return lease

    def erase(self, holder: str) -> None:
        """Nobody knows any more that it was this holder; what she has goes on without a name."""
        for number in self.history.erase(holder):
            self._note_last(number)

    def _lend(
        self, row: NumberRow, holder: str, kind: str, intent: float | None, now_ms: int
    ) -> Done:
        self.counters = replace(self.counters, leases=self.counters.leases + 1)
        until_ms = min(self.terms.first_until_ms(kind, now_ms), self._last_ms(row))
        name = f"{self.lots[row.block].lender}-{self.counters.leases}"
        lease = Lease(name, self.pool, row.number, holder, kind, now_ms, until_ms, intent=intent)
        self._put(NumberRow(row.number, LEASED, row.block, lease=name, leave_ms=row.leave_ms))
        self.remember(lease)
        return self.done(lease)

    def _lendable(self, row: NumberRow) -> bool:
        return not row.leave_ms and not self.lots[row.block].expired

    def _last_ms(self, row: NumberRow) -> int:
        """No lease of this number lasts longer: a little over its block, or over its calling."""
        last_ms = self.lots[row.block].expires_ms
        if row.leave_ms:
            last_ms = min(last_ms, row.leave_ms)
        return last_ms + self.terms.session_ms

    def _cooling(self, row: NumberRow, now_ms: int) -> NumberRow:
        until_ms = now_ms + self.terms.cool_ms
        return NumberRow(row.number, COOLING, row.block, until_ms=until_ms, leave_ms=row.leave_ms)

    # Numbers

    def of_lot(self, block: int) -> list[NumberRow]:
        """The numbers of one lot, the least recently used first."""
        return sorted((row for row in self.rows.values() if row.block == block), key=_order)

    def set_free(self, number: str, block: int | None = None) -> None:
        """Behind all others. It was not free before."""
        row = self.rows.get(number)
        block = block if block is not None else row.block if row is not None else 0
        leave_ms = row.leave_ms if row is not None else 0
        self.counters = replace(self.counters, order=self.counters.order + 1)
        freed = NumberRow(number, FREE, block, order=self.counters.order, leave_ms=leave_ms)
        self._put(freed)
        if not _is_ordered(row):
            self._free.add(number)
        elif self._lendable(freed):
            self._free.give_back(number)
        if not self._lendable(freed):
            self._free.claim(number)

    def set_aside(self, row: NumberRow) -> None:
        """The number is as this row says, and not to be lent; it has no lease any more."""
        if _is_ordered(row):
            self._free.claim(row.number)
        elif _is_ordered(self.rows[row.number]):
            self._free.remove(row.number)
        self._put(row)
        self._schedule(row.number)

    def leave(self, number: str) -> None:
        """Lend a number no more: its owner drops it when it is idle."""
        row = self.rows[number]
        if row.leave_ms:
            return
        self._free.claim(number)
        self._put(replace(row, leave_ms=max(1, self.now_ms)))

    def put_out(self, row: NumberRow) -> None:
        """The number, which was taken, is as this row says: out of these hands."""
        self._put(row)

    def learned(self, intent: float | None, called: bool) -> str:
        """Whether a visitor called, for what her intent is worth; why that cannot be, or ""."""
        if intent is not None and not 0 <= intent <= 1:
            return BAD_INTENT
        self._free.learned(intent, called)
        return ""

    def take_free(self) -> str | None:
        """The number that was least recently used, out of the free ones."""
        return self._free.take(None)

    def drop(self, number: str) -> list[Lease]:
        """Know nothing of a number any more; the leases of it that were remembered."""
        self._free.remove(number)
        del self.rows[number]
        past = self.history.drop(number)
        self._due.pop(number, None)
        self._changed.pop(number, None)
        self._gone.append(number)
        return past

    def open_lot(self, block: int, lot: Lot) -> None:
        """Numbers may come from here; of a lot that is known, it lasts as long as this one says."""
        before = self.lots.get(block)
        self.lots[block] = lot
        if before is not None and before.expired:
            for row in self.of_lot(block):  # its numbers can be lent again, behind the others
                if row.state == FREE and not row.leave_ms:
                    self.set_free(row.number)

    # History

    def remember(self, lease: Lease) -> None:
        """Take over a lease, one's own or another lender's, new or newer than what is known."""
        self.history.put(lease)
        self._forget_old(lease.number, self.now_ms)
        self._note_last(lease.number)
        self._schedule(lease.number)

    def _forget_old(self, number: str, now_ms: int) -> None:
        row, forgot = self.rows[number], False
        while (first := self.history.first(number)) is not None:
            many = self.history.count(number) > self.terms.remembered and first.id != row.lease
            if not many and self._forget_ms(row, first) > now_ms:
                break
            self.history.forget(first)
            forgot = True
        if forgot:
            self._note_last(number)

    def _forget_ms(self, row: NumberRow, lease: Lease) -> int:
        if lease.id == row.lease:
            return FOREVER_MS
        over_ms = lease.until_ms if lease.ended_ms is None else lease.ended_ms
        return over_ms + self.terms.remember_ms

    def _note_last(self, number: str) -> None:
        row = self.rows.get(number)
        self.history.note_last(number, row.lease if row is not None else "")

    def _hers(self, kind: str, holder: str) -> list[str]:
        """The numbers that a holder had last: one that she has, then the one she had latest."""
        numbers = [number for _, _, number in self.history.hers(kind, holder)]
        return sorted(numbers, key=lambda number: not self.rows[number].lease)

    # What changed

    def done(self, lease: Lease | None = None, *, number: str = "", refused: str = "") -> Done:
        """What an operation came to. Its changes are what was gathered since the last."""
        shown = lease.number if lease is not None and not refused else number
        return Done(self.changes(), lease, shown, refused=refused)

    def changes(self) -> Rows:
        """All that changed since this was asked last."""
        rows = Rows(
            leases=tuple(self.history.changed.values()),
            numbers=tuple(self._changed.values()),
            counters=self.counters if self.counters != self._counted else None,
            forgotten=tuple(self.history.forgotten),
            gone=tuple(self._gone),
        )
        self._counted = self.counters
        self._changed, self._gone = {}, []
        self.history.changed, self.history.forgotten = {}, []
        return rows

    def restore(self, rows: Rows) -> None:
        """Be what these rows say; the lots are open already."""
        self.counters = self._counted = rows.counters or Counters()
        self.rows = {row.number: row for row in rows.numbers}
        self.history.restore(lease for lease in rows.leases if lease.number in self.rows)
        for row in sorted(rows.numbers, key=_order):
            if _is_ordered(row):
                self._free.add(row.number)
                if row.state != FREE or not self._lendable(row):
                    self._free.claim(row.number)
            self._note_last(row.number)
            self._schedule(row.number)

    def _put(self, row: NumberRow) -> None:
        self.rows[row.number] = self._changed[row.number] = row


def _is_ordered(row: NumberRow | None) -> bool:
    """Whether a number is one of those that are lent in their order, now or when they are back."""
    return row is not None and row.state not in (QUARANTINED, RETIRED)


def _order(row: NumberRow) -> tuple[int, str]:
    return row.order, row.number


def _refusal(holder: str, kind: str, intent: float | None) -> str:
    scheme, colon, value = holder.partition(":")
    if not (scheme and colon and value and len(holder) <= MAX_HOLDER and holder.isprintable()):
        return BAD_HOLDER
    if kind not in KINDS:
        return BAD_KIND
    if intent is not None and not 0 <= intent <= 1:
        return BAD_INTENT
    return ""


def merged(lease: Lease, heard: Lease) -> Lease:
    """What is known of a lease, and what its lender says of it now: the same in any order.

    An end is the last word; until there is one, the later `until_ms` is.
    """
    if lease.ended_ms is not None and heard.ended_ms is None:
        return lease
    if heard.ended_ms is None and heard.until_ms <= lease.until_ms:
        return lease
    return replace(heard, holder=heard.holder if lease.holder else "")
