"""What is found in a bridge's folder: plain facts, with the names that `--json` gives them.

Times are milliseconds since 1970, None where there is none. Nothing here holds a key, an
identifier, a digest or a handle.
"""

from dataclasses import dataclass

# Of what form --json is. It changes when a key goes or means something else, not when one comes.
FORM = 1


@dataclass(frozen=True, slots=True)
class Count:
    """A number; not `exact` where it was reckoned from a sample."""

    value: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs somebody: which rule found it, of which device, and what to do."""

    rule: str
    device: int | None
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class LogFacts:
    """The rows that are kept. `first` and `last` are ids; 0: there are none."""

    rows: int
    first: int
    last: int
    pruned_to: int
    from_ms: int | None
    to_ms: int | None
    touchpoints: Count
    body_bytes: Count


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """Bytes. `unused` lie within the file and will be written again; `free` is the disk's."""

    file_bytes: int
    unused_bytes: int
    wal_bytes: int
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is derived, and what of the log it lacks: the tail that a restart would fold.

    `form` 0: there is none yet. `tail_since_ms`: when the oldest batch of the tail was received.
    `trouble`: why a bridge could not go on from it; empty: it can.
    """

    form: int
    watermark: int
    records: Count
    tail_rows: int
    tail_touchpoints: Count
    tail_since_ms: int | None
    trouble: str


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """Handles that there are and that were ever given out; those erased that the log still holds.

    Rows up to `scrubbed_to` of `scrub_end` have been looked through for these.
    """

    handles: Count
    given_out: int
    erased_waiting: int
    scrubbed_to: int
    scrub_end: int


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """Prompts without an outcome, those of them past their time, and the others by outcome."""

    waiting: int
    overdue: int
    settled: Count
    by_state: dict[str, int]


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A tenant's bridge.sqlite. `term`: how often it was opened by a bridge."""

    tenant: str
    term: int
    log: LogFacts
    disk: DiskFacts
    snapshot: SnapshotFacts
    vault: VaultFacts
    prompts: PromptFacts
    collected: Count
    set_aside: int
    given_up_since: int


@dataclass(frozen=True, slots=True)
class EpochFacts:
    """An open epoch. `missing`: (first, last) of what is known to be missing."""

    epoch: int
    batches: int
    touchpoints: int
    heard_ms: int | None
    clock_ms: int | None
    missing: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What will never come: `batches` of epoch `epoch`, between `first` and `last`."""

    epoch: int
    first: int
    last: int
    batches: int
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device, as registry, cursors and log know it.

    state          new (enrolled, not yet taken over), in use, revoked, without key, not enrolled
    newest_epoch   None: it has never begun one
    epochs_open    epochs of which something may still come
    batches, touchpoints   of its open epochs; of the whole log where `counted` is "log"
    pause_ms       its longest pause among the newest log rows, which span `span_ms`
    missing        batches known to be missing, for `missing_ms` at least
    given_up       batches that will never come, by reason
    clock_ms       what the bridge's clock is ahead of the device's
    """

    device: int
    site: str
    name: str
    surface: str
    zone: str
    state: str
    newest_epoch: int | None
    epochs_open: int
    counted: str
    batches: int
    touchpoints: int
    heard_ms: int | None
    pause_ms: int | None
    span_ms: int
    missing: int
    missing_ms: int
    given_up: dict[str, int]
    set_aside: int
    clock_ms: int | None
    epochs: tuple[EpochFacts, ...] = ()
    given_up_ranges: tuple[GivenUp, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFacts:
    """A row of the log, without its body."""

    id: int
    received_ms: int
    site: str
    device: int | None
    epoch: int
    seq: int
    kind: str
    touchpoints: int
    body_bytes: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What a running bridge has in memory, as its GET /health says.

    `reasons`: what it says is not well, by name.
    """

    live: int
    bulk: int
    collect: int
    lag_ms: int
    stalled: bool
    prompts_outstanding: int
    people_in_memory: int
    people_unwritten: int
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """One tenant. `store` None: no bridge has begun one, or it cannot be read.

    `judged_ms` is the moment for which it is told how long devices are silent: now, or when the
    log ends where no bridge runs. `unreadable` says of each file that cannot be read why; `notes`
    what else to know about how it was read. `lock_pid` is the process that has the store open.
    """

    tenant: str
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    store: StoreFacts | None
    queue: QueueFacts | None
    judged_ms: int
    lock_pid: int | None
    devices: tuple[DeviceFacts, ...]
    rows: tuple[RowFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeFacts:
    """The process. `state`: running, none, stale (its process is gone), silent (no answer)."""

    state: str
    pid: int | None = None
    http: str | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was found."""

    data: str
    read_at_ms: int
    bridge: BridgeFacts
    tenants: tuple[TenantFacts, ...]
