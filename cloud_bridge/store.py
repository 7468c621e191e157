"""The storage port: what the bridge keeps, and that it is kept together or not at all.

Every write can be repeated: rows carry their identities, so a commit of which nobody knows whether
it happened is simply made again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

# What a log row's body is: the two forms of batches, and what the bridge itself found out.
ROWS, COLUMNS, GAPS, DEFLATED, DECISION = 0, 1, 3, 4, 16


@dataclass(frozen=True, slots=True)
class LogRow:
    """One fact of the log. `device` is None where it came over HTTP.

    `body` is a batch's plaintext (ROWS, COLUMNS, DEFLATED), a notice as in docs/wire.md with the
    number of batches in place of touchpoints (GAPS), or a packed `Offered` (DECISION). Corrected
    times are the body's plus `offset_ms`.
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
    """A holding. `state` is `Holding.to_bytes`."""

    device: int
    epoch: int
    clock_ms: int | None
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


@dataclass(slots=True)
class Writes:
    """What one transaction does."""

    log: list[LogRow] = field(default_factory=list)
    devices: dict[int, DeviceRow] = field(default_factory=dict)
    epochs: dict[tuple[int, int], EpochRow | None] = field(default_factory=dict)
    prompts: dict[int, PromptRow] = field(default_factory=dict)
    collected: dict[bytes, int] = field(default_factory=dict)
    set_aside: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(
            (self.log, self.devices, self.epochs, self.prompts, self.collected, self.set_aside)
        )


class Store(Protocol):
    """Where the bridge keeps what must survive. All calls come from one thread at a time.

    Every method raises StorageError and its children.
    """

    def commit(self, writes: Writes) -> None:
        """All of it, durable on return, or nothing of it."""
        ...

    def tidy(self) -> None:
        """Do what no commit should wait for; to be called when nothing waits."""
        ...

    def devices(self) -> Iterable[DeviceRow]: ...

    def epochs(self) -> Iterable[EpochRow]: ...

    def prompts(self) -> Iterable[PromptRow]:
        """Those that wait for an outcome."""
        ...

    def log(self) -> Iterator[LogRow]:
        """All rows, in the order of their ids."""
        ...

    def is_collected(self, key: bytes) -> bool:
        """Whether a body of POST /collect with this key is in the log."""
        ...

    def close(self) -> None: ...
