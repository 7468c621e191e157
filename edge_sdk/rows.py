"""What the outbox's store, its thread and the courier hand each other."""

from dataclasses import dataclass, field

from edge_sdk.wire.touchpoint import Touchpoint


def row_id(epoch: int, seq: int) -> int:
    """A batch's name as one number; numbers rise in the order of sealing."""
    return epoch << 16 | seq


@dataclass(frozen=True, slots=True)
class Row:
    """One sealed batch as the courier sees it."""

    id: int
    prompting: bool
    sealed_ms: int
    message: bytes = field(repr=False)

    @property
    def epoch(self) -> int:
        return self.id >> 16

    @property
    def seq(self) -> int:
        return self.id & 0xFFFF


@dataclass(slots=True)
class Changes:
    """What one transaction does: everything that has waited for it."""

    touchpoints: list[Touchpoint] = field(default_factory=list)
    held: list[tuple[int, int, int]] = field(default_factory=list)
    marks: list[tuple[int, str, str]] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction did: the rows that it added, and the prompts that it marked first."""

    rows: list[Row]
    marked: set[int]
