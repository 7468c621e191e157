"""What is held of one epoch of one device, as its complement: gaps, each with the key to fill it.

The newest epoch's last gap has no end. An epoch without a gap is full: it needs no key any more,
and still tells a duplicate from what never was.
"""

import struct
from dataclasses import dataclass
from typing import Self

from edge_sdk.wire.keys import MAX_SEQ, Ratchet
from edge_sdk.wire.suite import Suite

MAX_GAPS = 1024

_GAP = struct.Struct(">H68s")
_RANGE = struct.Struct(">HI64x")  # the same, without its keys


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers `first` to `last` are not held; `ratchet` stands at `first`."""

    ratchet: Ratchet
    last: int

    @property
    def first(self) -> int:
        return self.ratchet.seq


class Holding:
    """One epoch: no number above `last` exists; those in no gap are held, or were given up.

    `clock_ms` is the least difference seen between the bridge's clock and the device's. For
    people, it counts what came, and knows when something last did.
    """

    __slots__ = ("batches", "clock_ms", "gaps", "last", "received_ms", "touchpoints")

    def __init__(self, last: int, gaps: list[Gap], clock_ms: int | None = None) -> None:
        self.last = last
        self.gaps = gaps
        self.clock_ms = clock_ms
        self.batches = 0
        self.touchpoints = 0
        self.received_ms = 0

    @classmethod
    def of_epoch(cls, suite: Suite, chain_key: bytes, last: int = MAX_SEQ) -> Self:
        """Nothing is held yet of the epoch whose chain key this is."""
        return cls(last, [Gap(Ratchet.of_epoch(suite, chain_key), last)])

    @classmethod
    def from_bytes(cls, suite: Suite, state: bytes, clock_ms: int | None) -> Self:
        """From `to_bytes`; the clock is stored beside it."""
        gaps = [
            Gap(Ratchet.restored(suite, ratchet), last)
            for last, ratchet in _GAP.iter_unpack(state[2:])
        ]
        return cls(int.from_bytes(state[:2], "big"), gaps, clock_ms)

    def to_bytes(self) -> bytes:
        """Layout: last 2 | for each gap: last 2, ratchet 68 (seq 4, run key 32, block key 32)."""
        gaps = [_GAP.pack(gap.last, gap.ratchet.state()) for gap in self.gaps]
        return self.last.to_bytes(2, "big") + b"".join(gaps)

    def copy(self) -> "Holding":
        copy = Holding(self.last, list(self.gaps), self.clock_ms)
        copy.batches, copy.touchpoints = self.batches, self.touchpoints
        copy.received_ms = self.received_ms
        return copy

    def count(self, touchpoints: int, received_ms: int) -> None:
        """A batch came."""
        self.batches += 1
        self.touchpoints += touchpoints
        self.received_ms = received_ms

    def sample(self, clock_ms: int) -> None:
        """Another difference between the bridge's clock and the device's."""
        if self.clock_ms is None or clock_ms < self.clock_ms:
            self.clock_ms = clock_ms

    def gap_of(self, seq: int) -> Gap | None:
        """The gap that `seq` would fill; None: it is held."""
        for gap in reversed(self.gaps):  # what comes is new, nearly always
            if gap.first <= seq:
                return gap if seq <= gap.last else None
        return None

    def missing(self, above: int = -1) -> list[tuple[int, int]]:
        """(first, last) of what is known to be missing above a number.

        Of a gap that reaches the end of all numbers nobody knows how much of it ever was.
        """
        return [
            (max(gap.first, above + 1), gap.last) for gap in self.gaps if above < gap.last < MAX_SEQ
        ]

    def remove(self, first: int, last: int) -> int:
        """Take `first` to `last` out of the gaps and forget their keys; how many were missing."""
        kept: list[Gap] = []
        removed = 0
        for gap in self.gaps:
            if gap.last < first or last < gap.first:
                kept.append(gap)
                continue
            removed += min(last, gap.last) - max(first, gap.first) + 1
            if gap.first < first:
                kept.append(Gap(gap.ratchet, first - 1))
            if last < gap.last:
                kept.append(Gap(gap.ratchet.at(last + 1), gap.last))
        self.gaps = kept
        return removed

    def take(self, ratchet: Ratchet) -> None:
        """Message `ratchet.seq`, which lies in a gap, is held: split the gap."""
        seq = ratchet.seq
        for at in range(len(self.gaps) - 1, -1, -1):
            gap = self.gaps[at]
            if gap.first <= seq:
                below = [Gap(gap.ratchet, seq - 1)] if gap.first < seq else []
                above = [Gap(ratchet.at(seq + 1), gap.last)] if seq < gap.last else []
                self.gaps[at : at + 1] = below + above
                return

    def end_at(self, last: int) -> None:
        """No number above `last` will come."""
        if last < self.last:
            kept = [gap for gap in self.gaps if gap.first <= last]
            self.gaps = [Gap(gap.ratchet, min(gap.last, last)) for gap in kept]
            self.last = last


def missing_in(state: bytes) -> list[tuple[int, int]]:
    """What `Holding.missing()` says, of its `to_bytes` and without touching a key."""
    return [(first, last) for last, first in _RANGE.iter_unpack(state[2:]) if last < MAX_SEQ]
