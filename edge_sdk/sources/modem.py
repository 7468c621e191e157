"""A modem on a serial line: the calls at its telephone line or SIM, and who calls."""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from edge_sdk.calls.caller import Caller
from edge_sdk.calls.model import CallEvent
from edge_sdk.calls.phone import caller_of, check_region, number_of, region_of
from edge_sdk.clock import Clock, SteadyClock
from edge_sdk.errors import ConfigError, SourceError
from edge_sdk.sources.framing import Lines
from edge_sdk.sources.modem_lines import ModemLines
from edge_sdk.sources.modem_setup import MOBILE, TROUBLES, ModemSetup
from edge_sdk.sources.serial_line import Port, SerialLine

log = logging.getLogger(__name__)

_TICK_S = 0.25
_LONGEST_LINE_BYTES = 512
_SILENCE_S = 150.0  # it is asked every 60 s; what has not answered twice is opened anew
_BAUD = 115_200


class Modem:
    """`async with Modem("/dev/ttyUSB2", "+33170180000") as modem`, then `async for` of CallEvents.

    port      a path, or a Port. A modem often has several: take the one that answers to `AT`
    number    ours, that people dial to reach this line: as people write it, with its "+"
    region    where the line is, as "FR": how it writes callers' numbers; None: that of `number`
    commands  of the modem's maker, to be said before the usual ones, as "AT!4886=02"
    line      the serial line

    Entering raises ConfigError for a number or region that is none, and where an extra is missing.
    The modem is told to say who calls, again whenever it may have forgotten it, and is watched: see
    `problem`, and edge_sdk/sources/modem_setup.py. It may be unplugged and come back.
    counts: those of the line, of ModemSetup and of ModemLines.
    """

    def __init__(
        self,
        port: Port | str,
        number: str,
        region: str | None = None,
        *,
        commands: Sequence[str] = (),
        clock: Clock | None = None,
        max_waiting: int = 256,
    ) -> None:
        if isinstance(port, str):
            port = Port(port, _BAUD)
        if port.silence_s is None:
            port = replace(port, silence_s=_SILENCE_S)
        self.line = SerialLine(port, Lines(_LONGEST_LINE_BYTES), max_waiting=max_waiting)
        self._number, self._region = number, region
        self._clock = clock or SteadyClock()
        self._setup = ModemSetup(commands)
        self._lines = ModemLines(number, self._caller, new_call)
        self._opened = self._lost = 0
        self._said: str | None = None
        self._ready: deque[CallEvent] = deque()

    @property
    def counts(self) -> dict[str, int]:
        return {**self.line.counts, **self._setup.counts, **self._lines.counts}

    @property
    def problem(self) -> str | None:
        """Why calls, or callers, are not told now, and what to do; None where they are."""
        trouble = self._setup.trouble
        return self.line.problem or (trouble and ": ".join(TROUBLES[trouble]))

    async def __aenter__(self) -> Self:
        self._number, self._region = own_number(self._number, self._region)
        self._lines.number = self._number
        await self.line.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.line.__aexit__(*exc_info)

    def close(self, at_ms: int) -> list[CallEvent]:
        """The ends of the calls that are open, once this source is left for good."""
        told = [*self._ready, *self._lines.close(at_ms)]
        self._ready.clear()
        return told

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CallEvent:
        while not self._ready:
            self._look_at_the_port()
            await self._speak()
            try:
                line = await asyncio.wait_for(anext(self.line), _TICK_S)
            except TimeoutError:
                self._ready.extend(self._lines.tick(self._clock.now_ms()))
                continue
            self._take(line)
        return self._ready.popleft()

    def _take(self, line: str) -> None:
        now_ms = self._clock.now_ms()
        if not self._setup.line(line, now_ms):
            self._ready.extend(self._lines.line(line, now_ms))
        elif self._setup.kind == MOBILE:
            self._lines.is_mobile = True
        self._tell_trouble()

    def _look_at_the_port(self) -> None:
        counts, now_ms = self.line.counts, self._clock.now_ms()
        lost = counts["lost"] + counts["silent"]
        if lost != self._lost:
            self._lost = lost
            self._setup.stop()
            self._ready.extend(self._lines.lost(now_ms))
        if counts["opened"] != self._opened:
            self._opened = counts["opened"]
            self._setup.start(now_ms)

    async def _speak(self) -> None:
        command = self._setup.due(self._clock.now_ms(), is_idle=self._lines.is_idle)
        self._tell_trouble()
        if command is None:
            return
        with contextlib.suppress(SourceError):  # the line says why; the command is said again
            await self.line.write(command)

    def _tell_trouble(self) -> None:
        trouble = self._setup.trouble
        if trouble == self._said:
            return
        self._said = trouble
        path = self.line.port.path
        if trouble is None:
            log.info("modem %s: tells who calls again", path)
        else:
            log.warning("modem %s: %s: %s", path, *TROUBLES[trouble])

    def _caller(self, text: str) -> Caller:
        return caller_of(text, self._region)


def new_call() -> str:
    """An id for a call at a line that gives it none."""
    return f"modem:{secrets.token_hex(8)}"


def own_number(number: str, region: str | None) -> tuple[str, str]:
    """Our number in E.164, and where it is. Raises ConfigError, which says neither."""
    check_region(region)
    e164 = number_of(number, region)
    if e164 is None:
        raise ConfigError("the number of a line is one that people dial, as +33170180000")
    return e164, region or region_of(e164)
