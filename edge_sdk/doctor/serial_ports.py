"""Check `serial`: which serial ports there are, who may open them, and which of them say anything.

A port is opened only if it was named: opening one takes bytes away from whoever reads it.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding

try:
    import serial
    from serial.tools.list_ports import comports
except ImportError:
    serial = None  # type: ignore[assignment]

_EXTRA = "pip install 'edge-sdk[serial]'"
_RIGHTS = "add the user to the group that owns the port (often `dialout`), and log in again"


@dataclass(frozen=True, slots=True)
class Named:
    """A port to be opened: "/dev/ttyUSB0", or with its speed "/dev/ttyUSB0@115200"."""

    path: str
    baud: int = 9600

    @classmethod
    def parse(cls, text: str) -> "Named":
        """Raises ValueError."""
        path, at, baud = text.rpartition("@")
        if not at:
            return cls(text)
        if not path or not 50 <= int(baud) <= 4_000_000:
            raise ValueError(text)
        return cls(path, int(baud))


def check_serial(named: Sequence[Named], listen_s: float) -> list[Finding]:
    """The ports of this machine, and whether the named ones say something in `listen_s`.

    Blocks for that long, for each.
    """
    if serial is None:
        result = FAIL if named else SKIPPED
        return [Finding("serial", result, "pyserial is not installed", f"if you need it: {_EXTRA}")]
    asked = {port.path for port in named}
    found = [
        _seen(port.device, port.description) for port in comports() if port.device not in asked
    ]
    found += [_answer(port, listen_s) for port in named]
    return found or [Finding("serial", SKIPPED, "this machine has no serial port")]


def _seen(path: str, what: str) -> Finding:
    if os.name == "posix" and not os.access(path, os.R_OK | os.W_OK):
        return Finding("serial", WARN, f"{path} ({what}): this user may not open it", _RIGHTS)
    return Finding("serial", OK, f"{path} ({what}); to hear it: --serial {path}")


def _answer(port: Named, listen_s: float) -> Finding:
    try:
        line = serial.Serial(port.path, port.baud, timeout=0.1, exclusive=True)
    except (OSError, ValueError) as error:
        return _refused(port.path, error)
    heard = 0
    garbage = 0
    try:
        with line:
            until = time.monotonic() + listen_s
            while time.monotonic() < until:
                data = line.read(256)
                heard += len(data)
                garbage += sum(byte >= 0x80 or byte < 0x09 for byte in data)
    except (OSError, TypeError) as error:
        what = f"{port.path} went away while it was heard ({type(error).__name__})"
        return Finding("serial", FAIL, what, "look at its cable and its power")
    if not heard:
        what = f"{port.path} opens, and says nothing in {listen_s:g} s"
        to_do = "scan or press something meanwhile; a scanner may have to be set to USB-serial"
        return Finding("serial", WARN, what, to_do)
    if 4 * garbage > heard:
        what = f"{port.path} says {heard} bytes at {port.baud} baud, most of them no text"
        return Finding("serial", WARN, what, f"another speed? --serial {port.path}@115200")
    return Finding("serial", OK, f"{port.path} answers: {heard} bytes at {port.baud} baud")


def _refused(path: str, error: Exception) -> Finding:
    if not os.path.exists(path) and os.name == "posix":  # noqa: PTH110  a port is no path on Windows
        return Finding(
            "serial", FAIL, f"{path}: there is no such port", "plug it in; `dmesg` tells"
        )
    if getattr(error, "errno", None) == 13 or "denied" in str(error).lower():
        return Finding("serial", FAIL, f"{path}: this user may not open it", _RIGHTS)
    if "lock" in str(error).lower() or getattr(error, "errno", None) in (11, 16):
        what = f"{path}: another program has it open"
        return Finding("serial", WARN, what, "that may be the gateway; stop it to hear the port")
    what = f"{path}: cannot be opened ({type(error).__name__})"
    return Finding("serial", FAIL, what, "is it a serial port?")
