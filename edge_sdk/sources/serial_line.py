"""A serial port as an async stream of messages that outlives unplugged cables. Needs pyserial.

A thread of its own reads the port, because that works alike on every system and with every driver.
When the port is lost it is opened again by its path, with back-off, for ever. What is read waits in
a bounded queue; when nobody takes it, the oldest goes, because the newest tells most.
"""

import asyncio
import errno
import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from edge_sdk.errors import ConfigError, SourceError
from edge_sdk.sources.framing import Framing

try:
    import serial
    from serial.tools import list_ports
except ImportError:  # told when a line is opened: its settings can be looked at without it
    serial = None  # type: ignore[assignment]
try:
    import termios
except ImportError:  # Windows
    _TERMINAL_ERROR: type[Exception] = OSError
else:
    _TERMINAL_ERROR = termios.error

log = logging.getLogger(__name__)

Message = TypeVar("Message")

PARITIES = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}
FLOWS = ("none", "rts_cts", "xon_xoff")

_MISSING = (
    "a serial port needs pyserial: pip install 'edge-sdk[serial]'"
    " (the extras scanner and gnss bring it as well)"
)
_LOOK_S = 0.5  # how often a silent port is looked after
_STEADY_S = 2.0  # a port that has lived so long, or has sent something, is back
_FIRST_DELAY_S = 0.2
_MOST_DELAY_S = 5.0
_WRITE_S = 5.0
_STOP_S = 5.0
_MOST_READ = 4096
_GARBAGE_BEFORE_A_HINT = 10


@dataclass(frozen=True, slots=True)
class Port:
    """Where a device is, and how it speaks. Raises ConfigError for what no port can be.

    path       `/dev/serial/by-id/...` stays the same when a device is plugged in elsewhere
    parity     one of PARITIES; flow: one of FLOWS
    silence_s  open the port anew when it has said nothing for so long; None: silence is normal
    """

    path: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "none"
    stop_bits: float = 1
    flow: str = "none"
    silence_s: float | None = None

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise ConfigError("a serial port has a path, as /dev/ttyUSB0")
        if not 50 <= self.baud <= 4_000_000:
            raise ConfigError(f"{self.path}: baud is 50 to 4000000, as 9600 or 115200")
        if self.data_bits not in (5, 6, 7, 8):
            raise ConfigError(f"{self.path}: data_bits is 5, 6, 7 or 8")
        if self.parity not in PARITIES:
            raise ConfigError(f"{self.path}: parity is one of {', '.join(PARITIES)}")
        if self.stop_bits not in (1, 1.5, 2):
            raise ConfigError(f"{self.path}: stop_bits is 1, 1.5 or 2")
        if self.flow not in FLOWS:
            raise ConfigError(f"{self.path}: flow is one of {', '.join(FLOWS)}")
        if self.silence_s is not None and not self.silence_s >= 1:
            raise ConfigError(f"{self.path}: silence_s is 1 second at least, or left out")


def ports() -> dict[str, str]:
    """The serial ports that the system knows of: path -> what it is. Raises ConfigError."""
    if serial is None:
        raise ConfigError(_MISSING)
    return {found.device: found.description for found in list_ports.comports()}


class _Lost(Exception):
    """The port cannot be used now; the message is for the operator."""


class SerialLine(Generic[Message]):
    """`async with SerialLine(port, Lines()) as line`, then `async for text in line`.

    Entering returns at once, whether or not the device is there, and raises ConfigError if pyserial
    is not. Iterating ends when the line is left; a line can be entered again.

    counts   `messages`, `bytes`, `dropped` (the queue was full), `opened`, `lost` (unplugged or
             failed), `silent` (opened anew because of `silence_s`), and those of the framing
    problem  why nothing can be read now, or None
    """

    def __init__(self, port: Port, framing: Framing[Message], *, max_waiting: int = 256) -> None:
        if max_waiting < 1:
            raise ConfigError("max_waiting is 1 at least")
        self.port = port
        self.problem: str | None = "it was not opened yet"
        self._framing = framing
        self._max_waiting = max_waiting
        self._counts = dict.fromkeys(
            ("messages", "bytes", "dropped", "opened", "lost", "silent"), 0
        )
        self._lock = threading.Lock()  # guards the queue, `_woken` and whether `_serial` is open
        self._waiting: deque[Message] = deque()
        self._woken = False
        self._serial: Any = None
        self._told = False  # that it is lost, in the log
        self._steady = False
        self._ended = True
        self._stopping = threading.Event()
        self._arrived = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> dict[str, int]:
        return {**self._counts, **self._framing.counts}

    async def __aenter__(self) -> Self:
        if serial is None:
            raise ConfigError(_MISSING)
        self._stopping = threading.Event()
        self._arrived = asyncio.Event()
        self._ended = self._told = False
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name=f"serial {self.port.path}", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stopping.set()
        with self._lock:
            if self._serial is not None:
                self._serial.cancel_read()
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, _STOP_S)
            if thread.is_alive():
                log.error("serial line %s: its driver does not let go", self.port.path)
        self._ended = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            self._arrived.clear()
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                self._woken = False
            if self._ended:
                raise StopAsyncIteration
            await self._arrived.wait()

    async def write(self, data: bytes) -> None:
        """Return when the port took `data`. Raises SourceError if it cannot."""
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        port = self._serial
        if port is None:
            raise SourceError(f"serial line {self.port.path}: {self.problem or 'is not open'}")
        try:
            port.write(data)
        except (OSError, TypeError, _TERMINAL_ERROR):  # TypeError: it was closed meanwhile
            raise SourceError(f"serial line {self.port.path}: it took nothing") from None

    # In the thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        delay_s = _FIRST_DELAY_S
        while not self._stopping.is_set():
            self._steady = False
            try:
                port = self._open()
                try:
                    self._listen(port, loop)
                finally:
                    self._close(port)
            except _Lost as lost:
                self._say_lost(str(lost))
            except Exception:  # the top of a thread: without it, who reads would wait for ever
                self._counts["lost"] += 1
                log.exception("serial line %s: failed", self.port.path)
                self._say_lost("its reader failed")
            delay_s = _FIRST_DELAY_S if self._steady else min(delay_s * 2, _MOST_DELAY_S)
            self._stopping.wait(delay_s)
        self.problem = "it was closed"

    def _open(self) -> Any:
        port = self.port
        try:
            opened = serial.Serial(
                port.path,
                port.baud,
                port.data_bits,
                PARITIES[port.parity],
                port.stop_bits,
                timeout=_LOOK_S,
                write_timeout=_WRITE_S,
                rtscts=port.flow == "rts_cts",
                xonxoff=port.flow == "xon_xoff",
                exclusive=True,
            )
        except (OSError, ValueError, _TERMINAL_ERROR) as error:
            raise _Lost(_reason(error)) from None
        with self._lock:
            self._serial = opened
            # Leaving may have found nothing to cancel.
            if self._stopping.is_set():
                opened.cancel_read()
        self._counts["opened"] += 1
        self.problem = None
        return opened

    def _close(self, port: Any) -> None:
        with self._lock:
            self._serial = None
            try:
                port.close()
            except (OSError, _TERMINAL_ERROR):
                log.debug("serial line %s: closing failed", self.port.path)
        self._framing.reset()

    def _listen(self, port: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Read until it is time to stop. Raises _Lost."""
        began_s = heard_s = time.monotonic()
        hint = _Hint(self.counts)
        silence_s = self.port.silence_s
        while not self._stopping.is_set():
            try:
                data = port.read(1)
                if data:
                    data += port.read(min(port.in_waiting, _MOST_READ))
            except (OSError, TypeError, _TERMINAL_ERROR):
                self._counts["lost"] += 1
                raise _Lost("it was unplugged, or its driver failed") from None
            now_s = time.monotonic()
            if data:
                heard_s = now_s
                self._take(data, loop)
                if hint.is_due(self.counts):
                    log.warning(
                        "serial line %s: only garbage; is %d the right baud rate?",
                        self.port.path,
                        self.port.baud,
                    )
            elif silence_s is not None and now_s - heard_s >= silence_s:
                self._counts["silent"] += 1
                raise _Lost(f"it has said nothing for {silence_s:g} s")
            else:
                self._look_after(port)
            if data or (silence_s is None and now_s - began_s >= _STEADY_S):
                self._say_back()

    def _take(self, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        messages = self._framing.feed(data)
        self._counts["bytes"] += len(data)
        self._counts["messages"] += len(messages)
        with self._lock:
            self._waiting.extend(messages)
            while len(self._waiting) > self._max_waiting:
                self._waiting.popleft()
                self._counts["dropped"] += 1
            wake = bool(messages) and not self._woken
            self._woken = self._woken or wake
        if wake:
            try:
                loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:  # the loop was closed without leaving the line
                self._stopping.set()

    def _look_after(self, port: Any) -> None:
        """Raise _Lost when the path leads elsewhere: some drivers never say that a device went."""
        if os.name != "posix":  # a port is no file there, and an unplugged one fails by itself
            return
        try:
            ours = os.fstat(port.fileno())
            is_there = os.path.samestat(Path(self.port.path).stat(), ours)
        except OSError:
            is_there = False
        if not is_there:
            self._counts["lost"] += 1
            raise _Lost("it was unplugged, or another device has its path")

    def _say_lost(self, why: str) -> None:
        self.problem = why
        if not self._told and not self._stopping.is_set():
            log.warning("serial line %s: %s; it is tried again", self.port.path, why)
            self._told = True

    def _say_back(self) -> None:
        self._steady = True
        if self._told:
            log.info("serial line %s: is back", self.port.path)
            self._told = False


class _Hint:
    """Whether a port, since it was opened, has sent garbage and nothing else. Said once."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._messages = counts["messages"]
        self._garbage = self._garbage_in(counts)
        self._said = False

    def is_due(self, counts: dict[str, int]) -> bool:
        if self._said or counts["messages"] > self._messages:
            return False
        self._said = self._garbage_in(counts) - self._garbage >= _GARBAGE_BEFORE_A_HINT
        return self._said

    @staticmethod
    def _garbage_in(counts: dict[str, int]) -> int:
        return counts.get("garbled", 0) + counts.get("too_long", 0)


def _reason(error: Exception) -> str:
    """Why a port could not be opened, and what to do, in words of ours."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return "there is no such device; is it plugged in?"
    if code in (errno.EACCES, errno.EPERM):
        return "no permission; the user has to be in the group that owns it (often dialout)"
    if code in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    if isinstance(error, ValueError):
        return "it does not know this baud rate or these settings"
    if code == errno.ENOTTY or code is None:
        return "it is not a serial port, or refuses these settings"
    return f"it cannot be opened ({errno.errorcode.get(code, code)})"
