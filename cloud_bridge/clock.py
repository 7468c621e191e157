"""Time: where the bridge takes it from, and what it makes of a device's.

A device's clock may be years wrong and never jumps within an epoch. A live batch arrives moments
after its newest touchpoint, so the least difference between the two clocks, over an epoch's live
batches, is the epoch's offset: the delay only ever adds to it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

# Within this, two clocks are one: the difference may as well be the network's.
STEADY_MS = 2000
# Before the first device was made (2024-01-01): a clock that was never set.
EARLIEST_MS = 1_704_067_200_000


class Clock(Protocol):
    """Where the bridge takes its time from."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970; may jump."""
        ...

    def steady_s(self) -> float:
        """Seconds since some moment; never jumps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def steady_s(self) -> float:
        """See Clock."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Offset:
    """What to add to a batch's device times. Only a `sure` one tells how long ago they were."""

    ms: int
    sure: bool


NO_OFFSET = Offset(0, sure=False)


def estimate(samples_ms: Iterable[int | None], newest_ms: int, received_ms: int) -> Offset:
    """Offset of a batch whose newest device time is `newest_ms`.

    `samples_ms`: the least difference seen in the batch's own epoch, then the newest epoch's; None
    where no live batch has come. Nothing ends up later than it was received.
    """
    known = next((sample for sample in samples_ms if sample is not None), None)
    latest = received_ms - newest_ms
    if known is not None:
        offset_ms, sure = min(known, latest), True
    elif newest_ms < EARLIEST_MS:
        offset_ms, sure = latest, False
    else:
        offset_ms, sure = min(0, latest), latest > -STEADY_MS
    return Offset(0 if abs(offset_ms) < STEADY_MS else offset_ms, sure)
