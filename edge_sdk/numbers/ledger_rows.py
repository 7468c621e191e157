"""What of a pool is kept: rows that say how things are, so that writing one twice is harmless."""

from dataclasses import dataclass, fields

from edge_sdk.numbers.lease import Lease

# The states of a number. GRACE is never written: it is LEASED, past the lease's `until_ms`.
FREE, LEASED, GRACE, COOLING = "free", "leased", "grace", "cooling"
LENT_OUT, QUARANTINED, RETIRED = "lent_out", "quarantined", "retired"
STATES = (FREE, LEASED, GRACE, COOLING, LENT_OUT, QUARANTINED, RETIRED)

# The states of a block.
OPEN, RETURNED, WRITTEN_OFF = "open", "returned", "written_off"

# Why an operation did not do what was asked.
CLOCK_BACK = "the clock went back"
UNKNOWN_LEASE = "no such lease"
ENDED_LEASE = "the lease has ended"
UNKNOWN_NUMBER = "no such number in this pool"
UNKNOWN_BLOCK = "no such block"
CLOSED_BLOCK = "the block was returned or written off"
BAD_NUMBER = "not a number in E.164, or of another region"
BAD_HOLDER = "not an identifier of a holder"
BAD_KIND = "no such kind of lease here"
BAD_INTENT = "an intent is from 0 to 1"
BAD_COUNT = "not a possible count"
NONE_FREE = "no number is free"
STILL_LENT = "the number is lent to a store"
STILL_RESTING = "the number has not rested"
NOT_RETIRED = "the number is not retired"
FOREIGN = "of another tenant, site or pool"
DOUBTFUL = "two copies of one store's file"
REFUSALS = (
    CLOCK_BACK, UNKNOWN_LEASE, ENDED_LEASE, UNKNOWN_NUMBER, UNKNOWN_BLOCK, CLOSED_BLOCK,
    BAD_NUMBER, BAD_HOLDER, BAD_KIND, BAD_INTENT, BAD_COUNT, NONE_FREE, STILL_LENT, STILL_RESTING,
    NOT_RETIRED, FOREIGN, DOUBTFUL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NumberRow:
    """How a number is.

    block     the block that it is lent in, or came in; 0: the bridge's own
    lease     the id of the lease that has it, while it is LEASED
    until_ms  when COOLING or QUARANTINED is over
    order     of FREE numbers, the lowest was least recently used
    leave_ms  since when it is to be handed back, at a store; 0: it is not
    """

    number: str
    state: str
    block: int = 0
    lease: str = ""
    until_ms: int = 0
    order: int = 0
    leave_ms: int = 0


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block as the bridge knows it. `numbers` are those that it was lent with."""

    id: int
    site: str
    incarnation: str
    numbers: tuple[str, ...]
    serial: int
    issued_ms: int
    expires_ms: int
    state: str = OPEN
    recalled: bool = False
    closed_ms: int = 0


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store's file as the bridge knows it: the latest of its reports, as (count, digest).

    `doubtful`: two different reports had one count, so two copies of the file are at work.
    """

    site: str
    incarnation: str
    reports: tuple[tuple[int, str], ...] = ()
    heard_ms: int = 0
    doubtful: bool = False

    @property
    def last(self) -> int:
        return self.reports[-1][0] if self.reports else 0


@dataclass(frozen=True, slots=True)
class Counters:
    """What was used last and is never used again."""

    leases: int = 0
    blocks: int = 0
    order: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """All of a pool, or what an operation changed of it: to be committed before it is answered.

    A row replaces the one with its key (a lease's id, a number, a block's id, a store's site and
    incarnation). Those that `forgotten`, `gone`, `blocks_gone` and `stores_gone` name are deleted
    first.
    """

    leases: tuple[Lease, ...] = ()
    numbers: tuple[NumberRow, ...] = ()
    blocks: tuple[BlockRow, ...] = ()
    stores: tuple[StoreRow, ...] = ()
    counters: Counters | None = None
    forgotten: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    blocks_gone: tuple[int, ...] = ()
    stores_gone: tuple[tuple[str, str], ...] = ()

    def then(self, later: "Rows") -> "Rows":
        """Both, as one commit: for rows that could not be committed by themselves."""
        forgotten, gone = set(later.forgotten), set(later.gone)
        leases = {row.id: row for row in self.leases if row.id not in forgotten}
        leases |= {row.id: row for row in later.leases}
        numbers = {row.number: row for row in self.numbers if row.number not in gone}
        numbers |= {row.number: row for row in later.numbers}
        blocks = {row.id: row for row in (*self.blocks, *later.blocks)}
        stores = {(row.site, row.incarnation): row for row in (*self.stores, *later.stores)}
        return Rows(
            leases=tuple(leases.values()),
            numbers=tuple(numbers.values()),
            blocks=tuple(row for row in blocks.values() if row.id not in later.blocks_gone),
            stores=tuple(row for key, row in stores.items() if key not in later.stores_gone),
            counters=later.counters or self.counters,
            forgotten=(*self.forgotten, *later.forgotten),
            gone=(*self.gone, *later.gone),
            blocks_gone=(*self.blocks_gone, *later.blocks_gone),
            stores_gone=(*self.stores_gone, *later.stores_gone),
        )

    def __bool__(self) -> bool:
        return any(getattr(self, entry.name) for entry in fields(self))


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation came to.

    number   what to show: the lease's, or where none was to be had the pool's fallback
    refused  one of REFUSALS; empty: it was done
    changes  to be committed first, also of an operation that was refused
    """

    changes: Rows
    lease: Lease | None = None
    number: str = ""
    block: BlockRow | None = None
    refused: str = ""
