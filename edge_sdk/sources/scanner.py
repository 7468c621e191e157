"""A barcode scanner on a serial line: each code that is read becomes a `scan` touchpoint."""

import time
from collections import deque
from collections.abc import Callable
from typing import Self

from edge_sdk.errors import ConfigError
from edge_sdk.sources import barcodes
from edge_sdk.sources.framing import Lines
from edge_sdk.sources.serial_line import Port, SerialLine
from edge_sdk.wire.touchpoint import Touchpoint, make

_LONGEST_LINE_BYTES = barcodes.MAX_CODE_BYTES + 64  # a code, its prefix, and some space around it
_MOST_REPEATS = 32


class Repeats:
    """Tells a code that is still before the scanner from one that is read once more.

    A code is repeated when it was read less than `within_s` ago, repetitions included. The last 32
    codes are remembered.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._last: deque[tuple[barcodes.Barcode, float]] = deque(maxlen=_MOST_REPEATS)

    def again(self, barcode: barcodes.Barcode, now_s: float) -> bool:
        """Whether it is a repetition; it counts as read at `now_s` in either case."""
        before = next((entry for entry in self._last if entry[0] == barcode), None)
        if before is not None:
            self._last.remove(before)
        self._last.append((barcode, now_s))
        return before is not None and now_s - before[1] < self._within_s


class Scanner:
    """`async with Scanner(Port("/dev/ttyACM0"), "till-1") as scanner`, then `async for` of scans.

    name      of the scanner, in its touchpoints
    repeat_s  a code is not told again while it is read at least this often; 0: each read is told
    line      the serial line: its `problem`, its counts
    counts    `scans`, `repeated`, and what was refused, by barcodes.REFUSALS; and the line's counts

    Entering raises ConfigError where an extra is missing.
    """

    def __init__(
        self,
        port: Port,
        name: str,
        *,
        repeat_s: float = 1.0,
        max_waiting: int = 256,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= repeat_s <= 3600:
            raise ConfigError("repeat_s is 0 to 3600 seconds")
        make("scan", scanner=name)
        self.line = SerialLine(port, Lines(_LONGEST_LINE_BYTES), max_waiting=max_waiting)
        self._name = name
        self._repeats = Repeats(repeat_s)
        self._now_s = now_s
        self._counts = dict.fromkeys(("scans", "repeated", *barcodes.REFUSALS), 0)

    @property
    def counts(self) -> dict[str, int]:
        return {**self.line.counts, **self._counts}

    async def __aenter__(self) -> Self:
        barcodes.need_biip()
        await self.line.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.line.__aexit__(*exc_info)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Touchpoint:
        while True:
            scan = self._scan(await anext(self.line))
            if scan is not None:
                return scan

    def _scan(self, line: str) -> Touchpoint | None:
        try:
            barcode = barcodes.read(line)
        except barcodes.Refused as refused:
            self._counts[refused.reason] += 1
            return None
        if self._repeats.again(barcode, self._now_s()):
            self._counts["repeated"] += 1
            return None
        self._counts["scans"] += 1
        return make("scan", scanner=self._name, symbology=barcode.symbology, code=barcode.code)
