"""The storage port: what the bridge keeps, and that it is kept together or not at all.

What is kept is of two kinds. *Facts* are the log, the cursors and keys of devices, prompts, and the
vault; they are the truth. *Derived* rows are a snapshot of what a fold over the log gives; each
says up to which log row it has folded, and the `watermark` says from where the log has to be folded
again.

Every write can be repeated: rows carry their identities, so a commit of which nobody knows whether
it happened is simply made again. An owner that another has replaced can write nothing any more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloud_bridge.pool_rows import PoolRow

# What a log row's body is: a batch (cloud_bridge/batch.py), what never came, a decision, whose a
# call was.
BATCH, GAPS, DECISION, JOIN = 1, 3, 16, 17
# What the bridge decided when it folded a batch, and not what a device sent.
DECIDED = (DECISION, JOIN)

# Of what form derived rows are. Another one is rebuilt from the log.
SNAPSHOT_VERSION = 3


@dataclass(frozen=True, slots=True)
class LogRow:
    """One fact of the log. `device` is None where it came over HTTP.

    `body` is `Batch.to_body` (BATCH), a notice as in docs/wire.md with the number of batches in
    place of touchpoints (GAPS), a packed `Offered` (DECISION) or `Joined` (JOIN). Times in it are
    the bridge's; `offset_ms` is what was added to the device's.
    """

    id: int
    site: str
    device: int | None
    generation: int
    epoch: int
    seq: int
    kind: int
    received_ms: int
    offset_ms: int
    touchpoints: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A receiver without its holdings. Ears are packed `[generation, epoch, key]`, or empty."""

    device: int
    generation: int
    next_epoch: int
    revoked: bool
    chain_key: bytes = field(repr=False)
    ear: bytes = field(repr=False)
    old_ear: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A holding. `state` is `Holding.to_bytes`; the rest is what came of the epoch, for people."""

    device: int
    epoch: int
    clock_ms: int | None
    batches: int
    touchpoints: int
    received_ms: int
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt as it was decided. `payload` is its plaintext (docs/wire.md, "Control").

    `state` is WAITING, "expired" or the first outcome that its device reported.
    """

    id: int
    device: int
    created_ms: int
    expires_ms: int
    state: str
    dispatches: int
    payload: bytes = field(repr=False)


WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class VaultRow:
    """A handle, the digest that finds it, its key, and its identifier encrypted under that."""

    handle: int
    digest: bytes = field(repr=False)
    key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """What was derived of one handle, folded up to log row `as_of`; last touched on `day`.

    `is_stranger`: it leads to no person. `body` is `people.Subject`, packed, with a CRC-32 behind
    it. Handle 0 holds the totals.
    """

    handle: int
    as_of: int
    day: int
    is_stranger: bool
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A rotating identity: of which handle, of which kind ("eid", "irk"), and its key, sealed.

    `serial` is its registration's. `clock` is what has been learnt of a beacon's clock
    (`resolving`), or empty.
    """

    handle: int
    kind: str
    serial: int
    exponent: int
    sealed: bytes = field(repr=False)
    clock: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VisitRow:
    """An open visit that the bridge made itself; `visitor` is a handle.

    `visit` is its number in the log. `dwell_ms`: how long it had lasted when that was last told.
    """

    site: str
    visit: int
    visitor: int
    zone: str
    entered_ms: int
    dwell_ms: int


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call, as far as it has got (cloud_bridge/calling.py). `caller` and `whose` are handles.

    call      its name, which is unique within its site
    caller    who calls; 0: a number that was withheld, or of somebody who was erased
    whose     the session or person that it was joined to; 0: nobody
    seen_ms   when it was last heard of
    waits     whether the caller gave up, and has not been called back
    body      `calling.Known`, packed
    sealed    the caller's number under the tenant's pepper, while it may be needed; else empty
    """

    site: str
    call: str
    caller: int
    whose: int
    seen_ms: int
    waits: bool
    body: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Marks:
    """Where log and snapshot stand. Ids of log rows; 0: none.

    first, last     the log's rows, as they are kept
    pruned_to       rows up to here were dropped on purpose
    watermark       derived rows lack nothing of the log up to here
    snapshot        SNAPSHOT_VERSION of the one who wrote them; 0: there are none
    next_number     above the number of every handle that was ever given out
    pepper          the vault's (`vault.PEPPER_BYTES`)
    """

    first: int
    last: int
    pruned_to: int
    watermark: int
    snapshot: int
    next_number: int
    pepper: bytes = field(repr=False)


@dataclass(slots=True)
class Writes:
    """What one transaction does.

    `watermark` only ever rises. `erased` destroys handles that the log may still hold, and all that
    was set aside, which may name anybody; `forgotten` destroys such as the log does not hold. Both
    destroy the identities of their handles as well, and the calls of such callers. A row of the
    vault may have the digest of one that is destroyed with it. `visits` by site and number; None:
    it has ended. `pools` by pool, kind and key; one without a body is deleted.
    """

    log: list[LogRow] = field(default_factory=list)
    devices: dict[int, DeviceRow] = field(default_factory=dict)
    epochs: dict[tuple[int, int], EpochRow | None] = field(default_factory=dict)
    prompts: dict[int, PromptRow] = field(default_factory=dict)
    visits: dict[tuple[str, int], VisitRow | None] = field(default_factory=dict)
    calls: dict[tuple[str, str], CallRow] = field(default_factory=dict)
    pools: dict[tuple[str, int, str], PoolRow] = field(default_factory=dict)
    collected: dict[bytes, int] = field(default_factory=dict)
    set_aside: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    vault: list[VaultRow] = field(default_factory=list)
    identities: dict[tuple[int, str], IdentityRow | None] = field(default_factory=dict)
    subjects: dict[int, SubjectRow] = field(default_factory=dict)
    watermark: int | None = None
    erased: list[int] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.watermark is not None or any(
            (
                self.log,
                self.devices,
                self.epochs,
                self.prompts,
                self.visits,
                self.calls,
                self.pools,
                self.collected,
                self.set_aside,
                self.vault,
                self.identities,
                self.subjects,
                self.erased,
                self.forgotten,
            )
        )


class Store(Protocol):
    """Where the bridge keeps what must survive. All calls come from one thread at a time.

    Every method raises StorageError and its children; `commit` and what else writes raise
    FencedError, for ever, once another owner has opened.
    """

    def commit(self, writes: Writes) -> None:
        """All of it, durable on return, or nothing of it."""
        ...

    def tidy(self) -> None:
        """Do what no commit should wait for; to be called when nothing waits."""
        ...

    # Facts

    def devices(self) -> Iterable[DeviceRow]: ...

    def epochs(self) -> Iterable[EpochRow]: ...

    def prompts(self) -> Iterable[PromptRow]:
        """Those that wait for an outcome."""
        ...

    def visits(self) -> Iterable[VisitRow]:
        """Those that are open."""
        ...

    def calls(self, names: Sequence[tuple[str, str]]) -> Iterable[CallRow]:
        """Those of these (site, call) that there are."""
        ...

    def calls_waiting(self) -> Iterable[CallRow]:
        """Those that nobody has called back."""
        ...

    def pool_rows(self) -> Iterable[PoolRow]:
        """All rows of number pools."""
        ...

    def log(self, after: int = 0) -> Iterator[LogRow]:
        """All rows with greater ids, in the order of their ids."""
        ...

    def collected(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of these keys of POST /collect whose bodies are in the log."""
        ...

    def handles(self, digests: Sequence[bytes]) -> Mapping[bytes, int]:
        """The handles that the vault has for these."""
        ...

    def vault_rows(self, handles: Sequence[int]) -> Mapping[int, VaultRow]:
        """The vault's rows of those that were not erased."""
        ...

    def identities(self) -> Iterable[IdentityRow]: ...

    def erased(self) -> set[int]:
        """Handles that were erased, as long as the log may still hold them."""
        ...

    # Derived

    def marks(self) -> Marks: ...

    def subjects(self, handles: Sequence[int]) -> Iterable[SubjectRow]:
        """The rows of these that there are."""
        ...

    def all_subjects(self, after: int = -1) -> Iterator[SubjectRow]:
        """All rows with greater handles, in their order."""
        ...

    def drop_derived(self) -> None:
        """Forget every derived row. The watermark goes back to where the log now begins."""
        ...

    # Keeping it small

    def prune(self, before_ms: int, most: int) -> int:
        """Drop at most `most` of the oldest log rows, received before then and below the watermark.

        With them go settled prompts, calls and keys of bodies of that age. Returns the rows
        dropped.
        """
        ...

    def forget_numbers(self, before_ms: int, most: int) -> int:
        """Drop the caller's number of calls last heard of before then; of how many, at most `most`.

        Nobody waits to be called back any more then.
        """
        ...

    def strangers(self, before_day: int, after: int, most: int) -> tuple[list[int], int]:
        """Handles that lead to nobody and that nothing has touched since that day.

        Only such as were folded up to a log row that is gone (`as_of` is not above `pruned_to`):
        what has touched them since, memory knows. Looks at `most` rows behind handle `after`.
        Returns them, and the handle to go on behind; -1: it has reached the end.
        """
        ...

    def scrub(self, most: int, rewritten: "Rewrite") -> int:
        """Put what erased handles left in the log out of it: at most `most` rows; 0: all is done.

        `rewritten(kind, body, erased)` gives a row's new body, or None where it holds none of
        these. Once 0 is returned and the store has been tidied, nothing of who was erased is left
        in its files.
        """
        ...

    def close(self) -> None: ...


class Rewrite(Protocol):
    """How the body of a log row loses handles."""

    def __call__(self, kind: int, body: bytes, erased: set[int], /) -> bytes | None: ...
