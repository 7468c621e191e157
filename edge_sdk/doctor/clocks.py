"""Check `clock`: whether the wall clock is sane, kept by somebody, and agrees with the bridge."""

import ctypes
import http.client
import sys
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding

_BUILT_S = 1_735_689_600  # 2025-01-01: no device of this software is older
_FAR_S = 4_102_444_800  # 2100-01-01
_NTP = "let NTP keep it: `timedatectl set-ntp true`"
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # struct timex has 208
_STEP_S = 0.25
_OFF_S = 60.0
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The same moment by both clocks, in seconds."""

    wall_s: float
    steady_s: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.time(), time.monotonic())


def check_year(now: Moment) -> Finding:
    """Whether the year can be right. Without it, certificates of a mqtts:// broker are refused."""
    year = time.gmtime(now.wall_s).tm_year if 0 <= now.wall_s < _FAR_S else None
    if year is None or now.wall_s < _BUILT_S:
        what = "the wall clock is far from any possible time" if year is None else f"it is {year}"
        return Finding("clock", FAIL, f"{what} by the wall clock", f"set it; {_NTP}")
    return Finding(
        "clock", OK, f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now.wall_s))} UTC"
    )


def check_kept(state: int | None = None) -> Finding:
    """Whether the kernel knows of somebody who keeps the clock. `state`: what adjtimex told."""
    state = _kernels_word() if state is None else state
    if state is None:
        return Finding("clock", SKIPPED, "this system does not tell whether NTP keeps the clock")
    if state == _TIME_ERROR:
        what = "nobody keeps the clock: the kernel calls it unsynchronised"
        return Finding("clock", WARN, what, _NTP)
    return Finding("clock", OK, "the kernel calls it synchronised")


def _kernels_word() -> int | None:
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        # With modes 0 it only tells.
        told = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return told if told >= 0 else None


def check_straight(before: Moment, after: Moment) -> Finding:
    """Whether the wall clock went as fast as the monotonic one between two moments."""
    took_s = after.steady_s - before.steady_s
    step_s = after.wall_s - before.wall_s - took_s
    if abs(step_s) > _STEP_S:
        what = (
            f"the wall clock moved by {step_s:+.2f} s against the monotonic one in {took_s:.1f} s"
        )
        to_do = "somebody sets it again and again: let one program keep the time"
        return Finding("clock", WARN, what, to_do)
    return Finding("clock", OK, f"it went straight for {took_s:.1f} s")


def check_against(url: str) -> Finding:
    """Against the date that a bridge's HTTP server tells, to a second."""
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in kind or not host:
        return Finding("clock", FAIL, "the bridge's address is no URL", "--bridge http://host:port")
    try:
        connection = kind[scheme](host, port, timeout=_ANSWER_S)
        connection.request("GET", "/health")
        told = connection.getresponse().getheader("Date") or ""
        connection.close()
        off_s = time.time() - parsedate_to_datetime(told).timestamp()
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = f"the bridge at {host} told no time ({type(error).__name__})"
        return Finding("clock", SKIPPED, what, "look whether it runs and can be reached from here")
    what = f"it is {off_s:+.0f} s from the bridge's"
    if abs(off_s) > _OFF_S:
        return Finding("clock", WARN, what, f"the bridge corrects it; {_NTP} on both")
    return Finding("clock", OK, what)
