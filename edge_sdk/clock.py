"""Device time: the wall clock as it was at the start, carried on by a clock that cannot jump."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the edge takes its time from."""

    def now_ms(self) -> int:
        """Device time, ms since 1970: may be years wrong, never runs backwards or jumps."""
        ...


class SteadyClock:
    """Wall clock read once, plus `time.monotonic`.

    A device that learns the true time later keeps its straight line until it restarts: the bridge
    knows each epoch's offset, and order never depended on it.
    """

    def __init__(self) -> None:
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000

    def now_ms(self) -> int:
        return max(0, int(time.monotonic() * 1000 + self._offset_ms))
