"""The frames in which an exchange tells who calls: SDMF and MDMF, read and written. Pure.

    type (1)  length (1)  payload (length)  checksum (1): the sum of all bytes is 0 modulo 256
    SDMF 0x04: date "MMDDHHMM", then the digits of the number, or one letter: "P", "O"
    MDMF 0x80: parameters, each type (1), length (1), value

They are those of Telcordia GR-30-CORE with SR-3004, and of ETSI EN 300 659-3, which uses the same
ones in Europe. On the line each is led by a row of 0x55 and a mark; what reads bytes from a box
sees some of either, or noise.
"""

import re
from dataclasses import dataclass, field

SDMF, MDMF = 0x04, 0x80
_KINDS = frozenset({SDMF, MDMF})
MAX_FRAME_BYTES = 2 + 255 + 1

WHEN, NUMBER, NO_NUMBER, NAME, NO_NAME, CALL_TYPE = 0x01, 0x02, 0x04, 0x07, 0x08, 0x11
# Of a call's types this is somebody who calls; others say that a line is free, or a message waits.
_VOICE_CALL = 0x01
PRIVATE, OUT_OF_AREA = "P", "O"

_WHEN = re.compile(rb"(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class CallerId:
    """What a frame says. `number` and `name` are personal.

    when    "MMDDHHMM" of the exchange's clock; None where it says none that can be
    number  as the exchange writes it; None: it says why there is none, or nothing
    absent  PRIVATE, OUT_OF_AREA or another letter, in the place of a number
    name    where it was asked for
    """

    when: str | None = None
    number: str | None = field(default=None, repr=False)
    absent: str | None = None
    name: str | None = field(default=None, repr=False)


class Refused(Exception):
    """A frame that says nothing of a caller.

    reason  "checksum" (it is wrong), "malformed" (its parts do not fill it) or "other" (it is
            whole, and not about a call)
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_frame(frame: bytes, *, with_name: bool = False) -> CallerId:
    """What a whole frame says, from its type to its checksum. Raises Refused."""
    if len(frame) < 3 or frame[0] not in _KINDS or len(frame) != 3 + frame[1]:
        raise Refused("malformed")
    if sum(frame) % 256:
        raise Refused("checksum")
    payload = frame[2:-1]
    return _sdmf(payload) if frame[0] == SDMF else _mdmf(payload, with_name)


def write_frame(kind: int, payload: bytes) -> bytes:
    """A frame of SDMF or MDMF, with its checksum."""
    if kind not in _KINDS or len(payload) > 255:
        raise ValueError("a frame is SDMF or MDMF, of 255 bytes at most")
    head = bytes((kind, len(payload))) + payload
    return head + bytes((-sum(head) % 256,))


def write_parameters(parameters: list[tuple[int, bytes]]) -> bytes:
    """The payload of an MDMF frame."""
    return b"".join(bytes((kind, len(value))) + value for kind, value in parameters)


def _sdmf(payload: bytes) -> CallerId:
    date, number = payload[:8], payload[8:]
    if len(date) < 8 or not date.isdigit():
        raise Refused("malformed")
    if number.isalpha() and len(number) == 1:
        return CallerId(_when(date), absent=_text(number))
    return CallerId(_when(date), number=_text(number) or None)


def _mdmf(payload: bytes, with_name: bool) -> CallerId:
    values: dict[int, bytes] = {}
    at = 0
    while at < len(payload):
        value = payload[at + 2 : at + 2 + payload[at + 1]] if at + 1 < len(payload) else b""
        if at + 1 >= len(payload) or len(value) < payload[at + 1]:
            raise Refused("malformed")
        values.setdefault(payload[at], value)
        at += 2 + len(value)
    if not values:
        raise Refused("malformed")
    is_call = values.get(CALL_TYPE, bytes((_VOICE_CALL,))) == bytes((_VOICE_CALL,))
    if not is_call or values.keys().isdisjoint({WHEN, NUMBER, NO_NUMBER}):
        raise Refused("other")
    number = _text(values[NUMBER]) if NUMBER in values else None
    absent = _text(values[NO_NUMBER]) if NO_NUMBER in values and not number else None
    name = _text(values[NAME]) if with_name and NAME in values else None
    return CallerId(_when(values.get(WHEN, b"")), number or None, absent or None, name or None)


def _when(date: bytes) -> str | None:
    return date.decode("ascii") if _WHEN.fullmatch(date) else None


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip()


class Frames:
    """Bytes of a box in, CallerIds out: a Framing that finds the next frame after any noise.

    Of two bytes that may each begin a frame the one whose frame is whole first is believed, so that
    noise which looks like the head of a long frame hides no short one behind it. It holds less than
    two frames. counts: `frames`, `noise` (bytes of no frame: the row of 0x55 is among them), `half`
    (cut by an unplugged cable), and of whole frames `checksum` (wrong) and `other` (of no call).

    with_name  keep what the exchange says the caller is called: it is personal, and of no use to
               the bridge
    """

    def __init__(self, *, with_name: bool = False) -> None:
        self.counts = dict.fromkeys(("frames", "noise", "half", "checksum", "other"), 0)
        self._with_name = with_name
        self._begun = b""

    def feed(self, data: bytes) -> list[CallerId]:
        buffer = self._begun + data
        found: list[CallerId] = []
        at, kept = 0, None  # where to look, and the first head whose frame is not all there
        begins = 0
        while at < len(buffer):
            frame = self._frame_at(buffer, at)
            if frame is None:
                at += 1
            elif frame == b"":
                kept = at if kept is None else kept
                at += 1
            elif kept is not None and sum(frame) % 256:  # part of the one that has begun
                at += 1
            else:
                self._take(frame, found)
                self.counts["noise"] += at - begins
                at += len(frame)
                begins, kept = at, None
        end = len(buffer) if kept is None else kept
        self.counts["noise"] += end - begins
        self._begun = buffer[end:]
        return found

    def reset(self) -> None:
        if self._begun:
            self.counts["half"] += 1
        self._begun = b""

    def _take(self, frame: bytes, found: list[CallerId]) -> None:
        try:
            found.append(read_frame(frame, with_name=self._with_name))
        except Refused as refused:
            self.counts[refused.reason] += 1
        else:
            self.counts["frames"] += 1

    def _frame_at(self, buffer: bytes, at: int) -> bytes | None:
        """The frame that begins here; empty if it is not all there; None if none begins."""
        if buffer[at] not in _KINDS:
            return None
        if at + 1 >= len(buffer):
            return b""
        end = at + 3 + buffer[at + 1]
        if not _may_go_on(buffer, at, end):
            return None
        return buffer[at:end] if end <= len(buffer) else b""


def _may_go_on(buffer: bytes, at: int, end: int) -> bool:
    """Whether what is there of a frame is built as one is; its checksum may be wrong."""
    if buffer[at] == SDMF:
        date = buffer[at + 2 : min(at + 10, end - 1)]
        return end - at >= 11 and (not date or date.isdigit())
    part = at + 2
    while part < end - 1:
        if part + 1 >= len(buffer):
            return True
        part += 2 + buffer[part + 1]
    return part == end - 1 > at + 2
