"""What one micro-batch takes in, what it writes, and what may follow once that is durable."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloud_bridge.clock import NO_OFFSET, Offset
from cloud_bridge.dispatch import Message
from cloud_bridge.receiving import Ear
from cloud_bridge.store import PromptRow, Writes
from edge_sdk.numbers.lease import Lease
from edge_sdk.wire.touchpoint import Touchpoint

# Where a message came from, for the subscriber to release: lane, connection, message id.
Token = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as the broker delivered it."""

    topic: str
    payload: bytes = field(repr=False)
    received_ms: int
    token: Token


@dataclass(frozen=True, slots=True)
class Collected:
    """One body of POST /collect. Bodies with one `key` are one and the same."""

    key: bytes
    site: str
    received_ms: int
    touchpoints: list[Touchpoint] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth watching, in JSON's types; it names nobody."""

    kind: str
    fields: dict[str, object]


@dataclass(slots=True)
class Origin:
    """Where touchpoints come from, and when. `device` is None where they came over HTTP.

    `offset` is known only when they have been decoded.
    """

    site: str
    device: int | None
    generation: int
    epoch: int
    seq: int
    received_ms: int
    offset: Offset = NO_OFFSET


@dataclass(slots=True)
class Turn:
    """A micro-batch. Only `writes` happens at once; all the rest waits for the commit.

    changed   devices of which something must be stored
    acks      device -> (epoch, seq) to acknowledge
    refusals  (device, where it hears us) -> (epoch, seq, reason)
    prompts   new ones, to dispatch
    started   devices whose hello opened an epoch
    adopted   (device, generation) whose root keys have been taken over
    registered
              (name, kind, serial) of beacons that have been taken over, or forgotten
    erased    identifiers that have been erased
    pops      what agents are shown of calls
    leases    of telephone numbers, that began, went on or ended
    """

    writes: Writes = field(default_factory=Writes)
    changed: set[int] = field(default_factory=set)
    acks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    refusals: dict[tuple[int, Ear], list[tuple[int, int, str]]] = field(default_factory=dict)
    prompts: list[PromptRow] = field(default_factory=list)
    started: set[int] = field(default_factory=set)
    adopted: list[tuple[int, int]] = field(default_factory=list)
    registered: list[tuple[str, str, int]] = field(default_factory=list, repr=False)
    erased: list[str] = field(default_factory=list, repr=False)
    events: list[Event] = field(default_factory=list)
    pops: list[Event] = field(default_factory=list, repr=False)
    leases: list[Lease] = field(default_factory=list, repr=False)


# What is told to whoever waits: of a body, whether it was a duplicate; of a question, what its work
# came to. None: it was not taken.
Answer = Callable[[Any], None]
# What is to be done within a turn, and what it came to. Raises StorageError before it has changed
# anything.
Work = Callable[[Turn], Any]


@dataclass(slots=True)
class Outcome:
    """What follows a commit, to be done on the event loop: send, release to the broker, tell."""

    messages: list[Message] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    pops: list[Event] = field(default_factory=list, repr=False)
    leases: list[Lease] = field(default_factory=list, repr=False)
    answers: list[tuple[Answer, Any]] = field(default_factory=list)
    failed: bool = False
