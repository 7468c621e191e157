"""A pool of numbers as the bridge has it: of one tenant, one name, one region.

Every operation takes the time, is total, and says what it came to (`Done`), with the rows that
changed: they are committed before the answer leaves. Rows are absolute, so that those of a commit
that failed may go with the next one (`Rows.then`), and `Pool.restored` is the pool that wrote them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from edge_sdk.numbers.blocks import MAX_BLOCK, Block, Reply, Report
from edge_sdk.numbers.lease import SESSION, Lease
from edge_sdk.numbers.ledger_rows import (
    BAD_COUNT,
    BAD_NUMBER,
    CLOCK_BACK,
    CLOSED_BLOCK,
    DOUBTFUL,
    FOREIGN,
    GRACE,
    LEASED,
    LENT_OUT,
    NONE_FREE,
    NOT_RETIRED,
    OPEN,
    QUARANTINED,
    RETIRED,
    STATES,
    STILL_LENT,
    STILL_RESTING,
    UNKNOWN_BLOCK,
    UNKNOWN_NUMBER,
    BlockRow,
    Done,
    NumberRow,
    Rows,
)
from edge_sdk.numbers.lending import FreeNumbers, Lending, Lot
from edge_sdk.numbers.stores import Stores
from edge_sdk.numbers.terms import DAY_MS, Terms

LENDER = "b"
BLOCK_MS = 7 * DAY_MS
MAX_BLOCK_MS = 366 * DAY_MS
MAX_NUMBERS = 1_000_000
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class Pool:
    """Numbers, their leases, and the blocks of them that stores hold.

    `free` orders the free numbers and is empty; `fallback` is shown when there is none. All
    numbers begin with `prefix`, as "+33" or "+331": a pool is of one region. `lender` begins the
    ids of its leases: who has several pools gives each another.
    """

    def __init__(
        self,
        name: str,
        free: FreeNumbers,
        *,
        tenant: str = "",
        terms: Terms | None = None,
        fallback: str = "",
        prefix: str = "+",
        lender: str = LENDER,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.tenant = tenant
        self._terms = terms if terms is not None else Terms()
        self._lending = Lending(self._terms, free, pool=name, fallback=fallback)
        self._lending.open_lot(0, Lot(lender))
        self._stores = Stores(self._lending, tenant)

    @classmethod
    def restored(
        cls,
        name: str,
        free: FreeNumbers,
        rows: Rows,
        *,
        tenant: str = "",
        terms: Terms | None = None,
        fallback: str = "",
        prefix: str = "+",
        lender: str = LENDER,
    ) -> "Pool":
        """The pool that wrote these rows. Its clock may be behind theirs: time then stands."""
        pool = cls(
            name, free, tenant=tenant, terms=terms, fallback=fallback, prefix=prefix, lender=lender
        )
        pool.restore(rows)
        return pool

    def restore(self, rows: Rows) -> None:
        """Be the pool that wrote these rows; for a pool that was just made."""
        self._lending.restore(rows)
        self._stores.restore(rows)

    # Leases

    def lend(
        self, holder: str, now_ms: int, *, kind: str = SESSION, intent: float | None = None
    ) -> Done:
        """A number for a holder. One that has one keeps it; in grace its lease is revived.

        While her last number cools or is free she gets it again, by a new lease. None free, or no
        time to lend: the fallback is to be shown, and there is no lease.
        """
        if refused := self._at(now_ms):
            return replace(refused, number=self._lending.fallback)
        return self._done(self._lending.ask(holder, kind, intent, self._now_ms))

    def heartbeat(self, lease_id: str, now_ms: int) -> Done:
        """The holder is still there: the lease goes on, also out of grace."""
        if refused := self._at(now_ms):
            return refused
        return self._done(self._lending.heartbeat(lease_id, self._now_ms))

    def release(self, lease_id: str, now_ms: int) -> Done:
        """The holder has gone. What she is guaranteed she keeps; else the lease ends now."""
        if refused := self._at(now_ms):
            return refused
        return self._done(self._lending.release(lease_id, self._now_ms))

    def erase(self, holder: str, now_ms: int) -> Done:
        """Forget who held: her leases stay, of nobody, and those that live end in their time."""
        if refused := self._at(now_ms):
            return refused
        self._lending.erase(holder)
        return self._did()

    def learned(self, intent: float | None, called: bool) -> str:
        """What became of a visitor who had a number, once for each: whether she called.

        It decides whether likely callers get numbers of their own. In memory only: who restores a
        pool tells it again of the last thousands. Why it was refused, or "".
        """
        return self._lending.learned(intent, called)

    def tick(self, now_ms: int) -> Done:
        """Only let happen what time does, so that a quiet pool does not lag behind."""
        return self._at(now_ms) or self._did()

    # Numbers, by an operator

    def add(self, numbers: Iterable[str], now_ms: int) -> Done:
        """Put new numbers in: all or, if one cannot be, none. Known ones stay as they are."""
        if refused := self._at(now_ms):
            return refused
        wanted = [number for number in dict.fromkeys(numbers) if number not in self._lending.rows]
        if not all(self._fits(number) for number in wanted):
            return self._refused(BAD_NUMBER)
        if len(wanted) + len(self._lending.rows) > MAX_NUMBERS:
            return self._refused(BAD_COUNT)
        for number in wanted:
            self._lending.set_free(number, 0)
        return self._did()

    def retire(self, number: str, now_ms: int) -> Done:
        """Take a number out: its lease ends now, it rests in quarantine, and then is retired."""
        if refused := self._at(now_ms):
            return refused
        row = self._lending.rows.get(number)
        if row is None:
            return self._refused(UNKNOWN_NUMBER)
        if row.state == LENT_OUT:
            return self._refused(STILL_LENT)
        if row.state == LEASED:
            self._lending.end(row, self._now_ms)
        if row.state not in (QUARANTINED, RETIRED):
            self._quarantine(number, self._now_ms)
        return self._did()

    def reinstate(self, number: str, now_ms: int) -> Done:
        """Lend a retired number again, once it has rested; after a write-off as well."""
        if refused := self._at(now_ms):
            return refused
        row = self._lending.rows.get(number)
        if row is None:
            return self._refused(UNKNOWN_NUMBER)
        if row.state != RETIRED:
            return self._refused(STILL_RESTING if row.state == QUARANTINED else NOT_RETIRED)
        self._lending.set_free(number)
        return self._did()

    # Blocks

    def lend_block(
        self, site: str, incarnation: str, count: int, now_ms: int, *, lasts_ms: int = BLOCK_MS
    ) -> Done:
        """Lend a store's file so many numbers, or as many as are free, the least used first."""
        if refused := self._at(now_ms):
            return refused
        if not (1 <= count <= MAX_BLOCK and 0 < lasts_ms <= MAX_BLOCK_MS):
            return self._refused(BAD_COUNT)
        row = self._stores.lend(site, incarnation, count, lasts_ms)
        return self._refused(NONE_FREE) if row is None else replace(self._did(), block=row)

    def renew_block(self, block_id: int, now_ms: int, *, lasts_ms: int = BLOCK_MS) -> Done:
        """A later end and a higher serial for a block that is out."""
        if not 0 < lasts_ms <= MAX_BLOCK_MS:
            return self._refused(BAD_COUNT)
        return self._of_block(block_id, now_ms, lambda row: self._stores.renew(row, lasts_ms))

    def recall(self, block_id: int, now_ms: int) -> Done:
        """Ask for a block: its store lends nothing more of it, and hands back what is idle."""

        def recalled(row: BlockRow) -> BlockRow:
            return self._stores.put(replace(row, recalled=True))

        return self._of_block(block_id, now_ms, recalled)

    def write_off(self, block_id: int, now_ms: int) -> Done:
        """An operator knows that a block does not come back: its numbers rest in quarantine.

        They rest from when its last lease can have ended, are retired then, and are lent again only
        after `reinstate`. Should the store appear, its leases are taken as history, and no more.
        """
        return self._of_block(block_id, now_ms, self._stores.write_off)

    def reconcile(
        self, site: str, report: Report, now_ms: int, *, at_most: int = 0, lasts_ms: int = BLOCK_MS
    ) -> tuple[Done, Reply | None]:
        """Take over a report of a site (which is known by its seal), and what to answer.

        Its leases become history, what it no longer holds is taken back, blocks past half of their
        life are renewed, and while it holds less than it wants and than `at_most` more is lent.
        No reply: the report was refused, and should be sent again later.
        """
        if refused := self._at(now_ms):
            return refused, None
        if report.pool != self.name:
            return self._refused(FOREIGN), None
        if not 0 < lasts_ms <= MAX_BLOCK_MS:
            return self._refused(BAD_COUNT), None
        self._stores.learn(site, report.leases)
        if self._stores.hear(site, report):
            self._stores.take_back(site, report)
            self._stores.serve(site, report, min(at_most, MAX_BLOCK), lasts_ms)
        reply = self._stores.reply(site, report)
        return (self._refused(DOUBTFUL) if reply.doubtful else self._did()), reply

    def learn(self, site: str, leases: Iterable[Lease], now_ms: int) -> Done:
        """Leases that a site made and told otherwise, as by touchpoints; in any order, repeated."""
        if refused := self._at(now_ms):
            return refused
        self._stores.learn(site, leases)
        return self._did()

    # What is known

    def past(self, number: str) -> Sequence[Lease]:
        """The remembered leases of a number in the order of their beginnings, live ones too."""
        return self._lending.history.past(number)

    def lease(self, lease_id: str) -> Lease | None:
        return self._lending.leases.get(lease_id)

    def state(self, number: str, now_ms: int) -> str:
        """One of STATES as of the last operation, grace told from leased; "" for a stranger."""
        row = self._lending.rows.get(number)
        if row is None:
            return ""
        if row.state == LEASED and self._lending.leases[row.lease].until_ms <= now_ms:
            return GRACE
        return row.state

    def counts(self, now_ms: int) -> dict[str, int]:
        """How many numbers are in each state; all of STATES are there."""
        found = Counter(self.state(number, now_ms) for number in self._lending.rows)
        return {state: found[state] for state in STATES}

    @property
    def fallbacks(self) -> int:
        """How often the fallback was shown since this pool was made or restored."""
        return self._lending.fallbacks

    @property
    def strange_leases(self) -> int:
        """How many leases stores told that they cannot have made."""
        return self._stores.strange_leases

    @property
    def blocks(self) -> Mapping[int, BlockRow]:
        """The blocks that are known, also those that came back or were written off lately."""
        return self._stores.blocks

    def block(self, block_id: int) -> Block | None:
        """What is to be signed for a store."""
        row = self._stores.blocks.get(block_id)
        return self._stores.block(row) if row is not None else None

    def rows(self) -> Rows:
        """All of it."""
        lending = self._lending
        return Rows(
            leases=tuple(lending.leases.values()),
            numbers=tuple(lending.rows.values()),
            blocks=tuple(self._stores.blocks.values()),
            stores=tuple(self._stores.files.values()),
            counters=lending.counters,
        )

    # Within

    @property
    def _now_ms(self) -> int:
        return self._lending.now_ms

    def _at(self, now_ms: int) -> Done | None:
        if self._lending.refuses(now_ms):
            return self._refused(CLOCK_BACK)
        self._lending.advance(now_ms)
        self._stores.forget_old(self._now_ms)
        return None

    def _fits(self, number: str) -> bool:
        return number.startswith(self.prefix) and _E164.fullmatch(number) is not None

    def _refused(self, refused: str) -> Done:
        return self._done(self._lending.done(refused=refused))

    def _did(self) -> Done:
        return self._done(self._lending.done())

    def _done(self, done: Done) -> Done:
        changes = self._stores.changes(done.changes)
        return done if changes is done.changes else replace(done, changes=changes)

    def _quarantine(self, number: str, since_ms: int) -> None:
        until_ms = since_ms + self._terms.rest_ms
        self._lending.set_aside(NumberRow(number, QUARANTINED, until_ms=until_ms))

    def _of_block(self, block_id: int, now_ms: int, change: Callable[[BlockRow], BlockRow]) -> Done:
        if refused := self._at(now_ms):
            return refused
        row = self._stores.blocks.get(block_id)
        if row is None:
            return self._refused(UNKNOWN_BLOCK)
        if row.state != OPEN:
            return replace(self._refused(CLOSED_BLOCK), block=row)
        row = change(row)
        return replace(self._did(), block=row)
