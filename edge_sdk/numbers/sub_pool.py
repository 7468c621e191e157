"""The part of a pool that a store lends by itself, from blocks, also while nobody can be reached.

The rules of leases are the pool's own (`lending`). What is new here: a block ends, numbers leave
when they are idle, and all of it is told to the bridge in reports until the bridge has answered.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_sdk.numbers.blocks import LEASES_PER_REPORT, Block, Reply, Report, block_of, lender_of
from edge_sdk.numbers.lease import CHANNEL, SESSION, Lease
from edge_sdk.numbers.ledger_rows import (
    BAD_KIND,
    CLOCK_BACK,
    COOLING,
    DOUBTFUL,
    FOREIGN,
    FREE,
    GRACE,
    UNKNOWN_BLOCK,
    UNKNOWN_NUMBER,
    Done,
    Rows,
)
from edge_sdk.numbers.lending import FreeNumbers, Lending, Lot
from edge_sdk.numbers.terms import DAY_MS, Terms

# A store whose clock differs more than this from the bridge's takes no block: it would not know
# when the block ends. The time that a reply was under way counts as well.
MAX_SKEW_MS = DAY_MS


@dataclass(frozen=True, slots=True)
class FileRow:
    """What a store's file is: its incarnation, its last report, the highest block it has seen.

    `fallback`: what to show when no number is free, also when no block is left.
    """

    incarnation: str
    reports: int = 0
    seen: int = 0
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class SubRows(Rows):
    """As `Rows`, and `granted` blocks, those `lots_gone`, and what was `told` to the bridge.

    Of a whole sub-pool `told` has the leases that need not be told again; those that changed since
    are to be told.
    """

    file: FileRow | None = None
    granted: tuple[Block, ...] = ()
    lots_gone: tuple[int, ...] = ()
    told: tuple[str, ...] = ()


class SubPool:
    """A store's numbers of one pool. `free` orders them and is empty."""

    def __init__(
        self, free: FreeNumbers, *, tenant: str, site: str, pool: str, incarnation: str
    ) -> None:
        self.tenant = tenant
        self.site = site
        self.pool = pool
        self.file = FileRow(incarnation)
        self.turned_down = 0  # blocks that could not be taken
        self.untold_lost = 0  # leases that had to be forgotten before the bridge confirmed them
        self._lending = Lending(Terms(), free, pool=pool, fallback="")
        self._granted: dict[int, Block] = {}
        self._left: dict[int, int] = {}  # block -> how many of its numbers are here
        self._untold: dict[str, Lease] = {}
        self._in_flight: tuple[int, tuple[Lease, ...]] = (0, ())

    @classmethod
    def restored(
        cls, free: FreeNumbers, rows: SubRows, *, tenant: str, site: str, pool: str
    ) -> "SubPool":
        """The sub-pool that wrote these rows."""
        sub_pool = cls(free, tenant=tenant, site=site, pool=pool, incarnation="")
        sub_pool.restore(rows)
        return sub_pool

    def restore(self, rows: SubRows) -> None:
        """Be the sub-pool that wrote these rows; for one that was just made."""
        for block in sorted(rows.granted, key=lambda block: (block.issued_ms, block.id)):
            self._grant(block)
        assert rows.file is not None
        self.file = rows.file
        self._lending.fallback = rows.file.fallback
        self._lending.restore(rows)
        for row in rows.numbers:
            self._left[row.block] += 1
        told = set(rows.told)
        self._untold = {lease.id: lease for lease in rows.leases if lease.id not in told}

    # Leases

    def lend(
        self, holder: str, now_ms: int, *, kind: str = SESSION, intent: float | None = None
    ) -> Done:
        """As `Pool.lend`; sessions and places only, as a channel would outlive any block."""
        if refused := self._at(now_ms):
            return replace(refused, number=self._lending.fallback)
        if kind == CHANNEL:
            return self._refused(BAD_KIND)
        return self._done(self._lending.ask(holder, kind, intent, self._lending.now_ms))

    def heartbeat(self, lease_id: str, now_ms: int) -> Done:
        """As `Pool.heartbeat`; but no lease lasts much longer than its block."""
        if refused := self._at(now_ms):
            return refused
        return self._done(self._lending.heartbeat(lease_id, self._lending.now_ms))

    def release(self, lease_id: str, now_ms: int) -> Done:
        """As `Pool.release`."""
        if refused := self._at(now_ms):
            return refused
        return self._done(self._lending.release(lease_id, self._lending.now_ms))

    def erase(self, holder: str, now_ms: int) -> Done:
        """As `Pool.erase`."""
        if refused := self._at(now_ms):
            return refused
        self._lending.erase(holder)
        done = self._lending.done()
        elsewhere = self._untold.keys() - self._lending.leases.keys() - {*done.changes.forgotten}
        changed = [
            replace(self._untold[id_], holder="")
            for id_ in sorted(elsewhere)
            if self._untold[id_].holder == holder
        ]
        leases = (*done.changes.leases, *changed)
        return self._done(replace(done, changes=replace(done.changes, leases=leases)))

    def tick(self, now_ms: int) -> Done:
        """Only let happen what time does."""
        return self._at(now_ms) or self._done(self._lending.done())

    # Blocks

    def hand_back(
        self, now_ms: int, *, block: int | None = None, numbers: Iterable[str] = ()
    ) -> Done:
        """Give back a block, or single numbers: the idle ones now, the others when they are idle.

        Nothing of it is lent any more; the next report tells the bridge.
        """
        if refused := self._at(now_ms):
            return refused
        leaving = list(numbers)
        if block is not None:
            if block not in self._granted:
                return self._refused(UNKNOWN_BLOCK)
            leaving += [row.number for row in self._lending.of_lot(block)]
        if any(number not in self._lending.rows for number in leaving):
            return self._refused(UNKNOWN_NUMBER)
        for number in leaving:
            self._lending.leave(number)
        return self._done(self._lending.done())

    def report(self, now_ms: int, *, wants: int = 0) -> tuple[Done, Report | None]:
        """What the bridge should know; to be sent, as often as one likes, once committed."""
        if refused := self._at(now_ms):
            return refused, None
        told = tuple(self._untold.values())
        leases, later = told[:LEASES_PER_REPORT], told[LEASES_PER_REPORT:]
        held: dict[int, list[str]] = {}
        for row in self._lending.rows.values():
            held.setdefault(row.block, []).append(row.number)
        for lease in later:  # a number is handed back with the last of its leases
            block = block_of(lease.id)
            row_here = self._lending.rows.get(lease.number)
            numbers = held.setdefault(block, [])
            if (row_here is None or row_here.block != block) and lease.number not in numbers:
                numbers.append(lease.number)
        holds = {
            id_: (self._granted[id_].serial if id_ in self._granted else 0, tuple(numbers))
            for id_, numbers in held.items()
        }
        self.file = replace(self.file, reports=self.file.reports + 1)
        self._in_flight = self.file.reports, leases
        report = Report(
            self.pool,
            self.file.incarnation,
            self.file.reports,
            self.file.seen,
            holds,
            leases,
            wants,
        )
        return self._done(self._lending.done(), file=self.file), report

    def receive(self, reply: Reply, now_ms: int) -> Done:
        """Act on what the bridge answered; any reply may come late, again or never.

        DOUBTFUL: this file is a copy, or has one, or is older than it was. Nothing of its blocks is
        lent any more, and it takes none until `restart`.
        """
        if refused := self._at(now_ms):
            return refused
        if reply.incarnation != self.file.incarnation:
            return self._refused(FOREIGN)
        if reply.doubtful or reply.last > self.file.reports:
            return self._all_leave(DOUBTFUL)
        before = self.file
        told: Sequence[Lease] = ()
        if reply.count == self._in_flight[0]:
            told = self._in_flight[1]
            self._in_flight = (0, ())
        granted = [block for block in sorted(reply.grants, key=_id) if self._take(block)]
        for id_ in reply.leave:
            self.file = replace(self.file, seen=max(self.file.seen, id_))
            for row in self._lending.of_lot(id_):
                self._lending.leave(row.number)
        file = self.file if self.file != before else None
        return self._done(self._lending.done(), file=file, granted=granted, told=told)

    def restart(self, incarnation: str, now_ms: int) -> Done:
        """Be another file from now on: lend nothing of what the one before was given."""
        if refused := self._at(now_ms):
            return refused
        self.file = replace(self.file, incarnation=incarnation, reports=0)
        self._in_flight = (0, ())
        return self._all_leave("", file=self.file)

    # What is known

    def past(self, number: str) -> Sequence[Lease]:
        """As `Pool.past`, of what was lent here."""
        return self._lending.history.past(number)

    def lease(self, lease_id: str) -> Lease | None:
        return self._lending.leases.get(lease_id)

    def live(self) -> list[Lease]:
        """The leases that have not ended."""
        rows = self._lending.rows.values()
        return [self._lending.leases[row.lease] for row in rows if row.lease]

    def state(self, number: str, now_ms: int) -> str:
        """One of FREE, LEASED, GRACE, COOLING; "" for a number that is not here."""
        row = self._lending.rows.get(number)
        if row is None:
            return ""
        if row.lease and self._lending.leases[row.lease].until_ms <= now_ms:
            return GRACE
        return row.state

    @property
    def blocks(self) -> Mapping[int, Block]:
        """The blocks of which numbers are here, as they were granted last."""
        return self._granted

    @property
    def numbers(self) -> Mapping[str, int]:
        """The numbers that are here, and the block of each."""
        return {row.number: row.block for row in self._lending.rows.values()}

    @property
    def untold(self) -> int:
        """How many leases the bridge has not confirmed."""
        return len(self._untold)

    @property
    def fallbacks(self) -> int:
        """How often none was free."""
        return self._lending.fallbacks

    def rows(self) -> SubRows:
        """All of it."""
        known = {**self._lending.leases, **self._untold}
        return SubRows(
            leases=tuple(known.values()),
            numbers=tuple(self._lending.rows.values()),
            counters=self._lending.counters,
            file=self.file,
            granted=tuple(self._granted.values()),
            told=tuple(id_ for id_ in known if id_ not in self._untold),
        )

    # Within

    def _take(self, block: Block) -> bool:
        """Whether a block, or a renewal of one, is new here and may be lent from."""
        if (block.tenant, block.site, block.pool, block.incarnation) != (
            self.tenant, self.site, self.pool, self.file.incarnation
        ):  # fmt: skip
            self.turned_down += 1
            return False
        now_ms = self._lending.now_ms
        usable = abs(now_ms - block.issued_ms) <= MAX_SKEW_MS and block.expires_ms > now_ms
        known = self._granted.get(block.id)
        if known is not None:
            if usable and block.serial > known.serial:
                self._grant(block)
                return True
            return False
        if block.id <= self.file.seen:
            return False
        # Seen is seen: what is turned down now is not taken later, so the bridge may have it back.
        self.file = replace(self.file, seen=block.id)
        if not usable or any(number in self._lending.rows for number in block.numbers):
            self.turned_down += 1
            return False
        self._grant(block)
        for number in block.numbers:
            self._lending.set_free(number, block.id)
        self._left[block.id] = len(block.numbers)
        return True

    def _grant(self, block: Block) -> None:
        self._granted[block.id] = block
        self._left.setdefault(block.id, 0)
        self._lending.terms = block.terms
        self._lending.fallback = block.fallback
        self.file = replace(self.file, fallback=block.fallback)
        self._lending.open_lot(block.id, Lot(lender_of(block.id, self.pool), block.expires_ms))

    def _all_leave(self, refused: str, file: FileRow | None = None) -> Done:
        for number in self._lending.rows:
            self._lending.leave(number)
        return self._done(self._lending.done(refused=refused), file=file)

    def _at(self, now_ms: int) -> Done | None:
        if self._lending.refuses(now_ms):
            return self._refused(CLOCK_BACK)
        self._lending.advance(now_ms)
        return None

    def _refused(self, refused: str) -> Done:
        return self._done(self._lending.done(refused=refused))

    def _done(
        self,
        done: Done,
        *,
        file: FileRow | None = None,
        granted: Sequence[Block] = (),
        told: Sequence[Lease] = (),
    ) -> Done:
        """The answer, after the numbers that are idle and are to leave have left."""
        changes = done.changes
        for lease in changes.leases:
            self._untold[lease.id] = lease
        for id_ in changes.forgotten:
            self.untold_lost += self._untold.pop(id_, None) is not None
        forgotten = list(changes.forgotten)
        confirmed = [lease.id for lease in told if self._untold.get(lease.id) == lease]
        for id_ in confirmed:
            del self._untold[id_]
            if id_ not in self._lending.leases:
                forgotten.append(id_)
        lots_gone = []
        for row in changes.numbers:
            if row.leave_ms and row.state in (FREE, COOLING):
                past = self._lending.drop(row.number)
                forgotten += [lease.id for lease in past if lease.id not in self._untold]
                self._left[row.block] -= 1
                if not self._left[row.block]:
                    del self._left[row.block], self._granted[row.block]
                    del self._lending.lots[row.block]
                    lots_gone.append(row.block)
        left = self._lending.changes()
        extra = SubRows(
            leases=changes.leases,
            numbers=tuple(row for row in changes.numbers if row.number in self._lending.rows),
            counters=changes.counters,
            forgotten=tuple(forgotten),
            gone=(*changes.gone, *left.gone),
            file=file,
            granted=tuple(block for block in granted if block.id in self._granted),
            lots_gone=tuple(lots_gone),
            told=tuple(id_ for id_ in confirmed if id_ in self._lending.leases),
        )
        return replace(done, changes=extra)


def _id(block: Block) -> int:
    return block.id
