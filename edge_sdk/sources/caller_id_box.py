"""A caller-id box on a serial line, which sends the exchange's frames as they come: calls."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Self

from edge_sdk.calls.caller import NOT_TOLD, STATES, Caller
from edge_sdk.calls.model import MISSED, RING, CallEvent
from edge_sdk.calls.phone import caller_of
from edge_sdk.clock import Clock, SteadyClock
from edge_sdk.sources.caller_id import CallerId, Frames
from edge_sdk.sources.modem import new_call, own_number
from edge_sdk.sources.modem_report import caller_in
from edge_sdk.sources.serial_line import Port, SerialLine

_TICK_S = 0.25
_BAUD = 1_200
_RINGS_MS = 30_000  # for so long a call is shown as ringing
_AGAIN_MS = 4_000  # within this, one frame that is sent twice is of one call


@dataclass(frozen=True, slots=True)
class _Open:
    id: str
    began_ms: int
    caller: Caller


class CallerIdBox:
    """`async with CallerIdBox("/dev/ttyUSB0", "+33170180000") as box`, then `async for` of calls.

    A frame is a call. No frame says how it ended, so each is told as `missed` (`no_answer`, waited
    0 ms at least) after 30 s, or when the next one comes, and counted as `unclear`.

    port    a path (then at 1200 baud), or a Port
    number  ours, that people dial to reach this line; region: where the line is, as "FR"; None:
            that of `number`
    line    the serial line, with its `problem`

    Entering raises ConfigError for a number or region that is none, and where an extra is missing.
    counts: `calls`, `doubled` frames, and of calls that are over `unclear` and the states of
    callers; those of the line and of Frames.
    """

    def __init__(
        self,
        port: Port | str,
        number: str,
        region: str | None = None,
        *,
        clock: Clock | None = None,
        max_waiting: int = 256,
    ) -> None:
        self.line = SerialLine(
            Port(port, _BAUD) if isinstance(port, str) else port, Frames(), max_waiting=max_waiting
        )
        self._number, self._region = number, region
        self._clock = clock or SteadyClock()
        self._counts = dict.fromkeys(("calls", "doubled", "unclear", *STATES), 0)
        self._open: _Open | None = None
        self._ready: deque[CallEvent] = deque()

    @property
    def counts(self) -> dict[str, int]:
        return {**self.line.counts, **self._counts}

    @property
    def problem(self) -> str | None:
        return self.line.problem

    async def __aenter__(self) -> Self:
        self._number, self._region = own_number(self._number, self._region)
        await self.line.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.line.__aexit__(*exc_info)

    def close(self, at_ms: int) -> list[CallEvent]:
        """The end of the call that is open, once this source is left for good."""
        self._end()
        told = list(self._ready)
        self._ready.clear()
        return told

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CallEvent:
        while not self._ready:
            try:
                told = await asyncio.wait_for(anext(self.line), _TICK_S)
            except TimeoutError:
                self._pass(self._clock.now_ms())
                continue
            self._take(told, self._clock.now_ms())
        return self._ready.popleft()

    def _take(self, told: CallerId, now_ms: int) -> None:
        self._pass(now_ms)
        caller = self._caller(told)
        before = self._open
        if before is not None and before.caller == caller and now_ms - before.began_ms < _AGAIN_MS:
            self._counts["doubled"] += 1
            return
        self._end()
        self._open = _Open(new_call(), now_ms, caller)
        self._counts["calls"] += 1
        self._ready.append(CallEvent(self._open.id, RING, now_ms, self._number, caller))

    def _pass(self, now_ms: int) -> None:
        if self._open is not None and now_ms - self._open.began_ms >= _RINGS_MS:
            self._end()

    def _end(self) -> None:
        call = self._open
        if call is None:
            return
        self._open = None
        self._counts["unclear"] += 1
        self._counts[call.caller.state] += 1
        self._ready.append(
            CallEvent(
                call.id,
                MISSED,
                call.began_ms,
                self._number,
                call.caller,
                duration_ms=0,
                waited_ms=0,
                cause="no_answer",
            )
        )

    def _caller(self, told: CallerId) -> Caller:
        said = told.number or told.absent
        return caller_in(said, lambda text: caller_of(text, self._region)) if said else NOT_TOLD
