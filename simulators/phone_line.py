"""A telephone line without one: a modem that answers to AT, or a caller-id box, and who calls.

Each device is a stream of `Sent` (simulators/serial_lines.py); a call `means` how it ended, what is
known of its caller, and the number if it is known: "missed known +33612340012". The same seed sends
the same. Faults are part of the stream: garbage, cut lines, lines of two channels of one modem,
damaged frames.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator

from edge_sdk.sources.caller_id import (
    MDMF,
    NAME,
    NO_NUMBER,
    NUMBER,
    SDMF,
    WHEN,
    write_frame,
    write_parameters,
)
from simulators.serial_lines import PseudoPort, Sent

MOBILE, ANALOGUE, BOX = "mobile", "analogue", "box"
KINDS = (MOBILE, ANALOGUE, BOX)

GAP_S = 12.0  # between two calls: for a modem that only rings, less is one call
_RING_S = 5.0
_SAID_S = 0.02  # between two lines that are said together
_WHEN = "11221015"


def calls(kind: str, seed: int, count: int, *, gap_s: float = GAP_S) -> Iterator[Sent]:
    """So many calls at a line of one of KINDS."""
    dice = random.Random(seed)
    makers = _MAKERS[kind]
    for _ in range(count):
        if dice.random() < 0.25:
            yield _fault(kind, dice)
        first, *rest = dice.choice(makers)(dice)
        yield Sent(first.pause_s + gap_s, first.data, first.means)
        yield from rest


def played(lines: Iterable[str], *, rings_s: float = _RING_S) -> Iterator[Sent]:
    """A log of a modem's lines as it was sent: an empty line is part of a pause between rings."""
    pause_s = 0.0
    for line in lines:
        if line:
            yield Sent(pause_s, line.encode() + b"\r\n")
            pause_s = _SAID_S
        else:
            pause_s += rings_s / 2


def on_two_channels(stream: Iterable[Sent]) -> Iterator[Sent]:
    """Each line twice, as from a modem whose channels are read together."""
    for sent in stream:
        yield sent
        yield Sent(_SAID_S, sent.data)


class Answers:
    """The modem's side of its commands: bytes that were written to it in, its answers out.

    kind     MOBILE knows +CLIP, ANALOGUE knows +VCID
    asleep   so many commands get no answer, not even an echo
    has_sim  a modem without one says so
    heard    the commands, as they came
    """

    def __init__(self, kind: str, *, asleep: int = 0, has_sim: bool = True) -> None:
        self.heard: list[str] = []
        self.tells_callers = False
        self._known = _KNOWN[kind]
        self._asleep = asleep
        self._has_sim = has_sim
        self._echoes = True
        self._begun = b""

    def forget(self) -> None:
        """The power was lost."""
        self.tells_callers = False
        self._echoes = True
        self._begun = b""

    def put_sim_in(self) -> None:
        self._has_sim = True

    def feed(self, data: bytes) -> bytes:
        *commands, self._begun = (self._begun + data).split(b"\r")
        return b"".join(self._answer(raw.decode("ascii", "replace")) for raw in commands)

    def _answer(self, command: str) -> bytes:
        self.heard.append(command)
        if self._asleep:
            self._asleep -= 1
            return b""
        echo = command.encode() + b"\r" if self._echoes else b""
        if command.startswith("ATE0"):
            self._echoes = False
        elif command not in self._known:
            return echo + b"\r\nERROR\r\n"
        elif command == "AT+CLIP=1" and not self._has_sim:
            return echo + b"\r\n+CME ERROR: 10\r\n"
        if command in {"AT+CLIP=1", "AT+VCID=1", "AT#CID=1"}:
            self.tells_callers = True
        return echo + b"\r\nOK\r\n"


_KNOWN = {
    MOBILE: frozenset({"AT", "AT+CLIP=1", "AT+CRC=1", "AT+CCWA=1"}),
    ANALOGUE: frozenset({"AT", "AT+VCID=1", "AT!4886=02"}),
    "old": frozenset({"AT", "AT#CID=1"}),
    "dumb": frozenset({"AT"}),
}


async def attend(port: PseudoPort, answers: Answers) -> None:
    """Answer at a port until it is cancelled."""
    while True:
        data = port.heard()
        if data:
            port.send(answers.feed(data))
        await asyncio.sleep(0.005)


# Calls at a modem with a SIM

_Maker = Callable[[random.Random], list[Sent]]


def _number(dice: random.Random) -> str:
    return f"+3361234{dice.randrange(10_000):04d}"


def _said(*lines: str, means: str | None = None, pause_s: float = 0.0) -> Sent:
    """Lines that are said together, as a modem sends them."""
    return Sent(pause_s, b"".join(b"\r\n%s\r\n" % line.encode() for line in lines), means)


def _clip(number: str) -> str:
    return f'+CLIP: "{number}",145,"",0,"",0'


def _gives_up(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    rings = [_said("+CRING: VOICE", _clip(number), pause_s=_RING_S) for _ in range(3)]
    end = _said("NO CARRIER", means=f"missed known {number}", pause_s=2.0)
    return [*rings, end]


def _withheld(dice: random.Random) -> list[Sent]:
    line = dice.choice(('+CLIP: "",128', '+CLIP: "",128,"",,"",0', '+CLIP: "",128,,,,1'))
    rings = [_said("RING", line, pause_s=_RING_S) for _ in range(2)]
    return [*rings, _said("NO CARRIER", means="missed withheld", pause_s=2.0)]


def _only_rings(dice: random.Random) -> list[Sent]:
    """The number first, in the national manner; and then nothing any more."""
    number = _number(dice)
    clip = f'+CLIP: "{number[3:]}",161,"",0,"",0'
    return [
        _said(clip, "RING"),
        _said(clip, "RING", pause_s=_RING_S, means=f"missed known {number}"),
    ]


def _answered(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    spoken_s = dice.randrange(1, 30)
    return [
        _said("RING", _clip(number)),
        _said("^CONN:1,0", pause_s=3.0),
        _said(
            f"^CEND:1,{spoken_s},104,16",
            "NO CARRIER",
            means=f"end known {number}",
            pause_s=float(spoken_s),
        ),
    ]


def _answered_with_another_waiting(dice: random.Random) -> list[Sent]:
    one, other = _number(dice), "+33612349999"
    return [
        _said("RING", _clip(one)),
        _said("VOICE CALL: BEGIN", pause_s=3.0),
        _said(f'+CCWA: "{other}",145,1', pause_s=4.0),
        _said("VOICE CALL: END: 000009", pause_s=5.0, means=f"end known {one}"),
        _said("RING", _clip(other), pause_s=1.5),
        _said("NO CARRIER", pause_s=2.0, means=f"missed known {other}"),
    ]


def _two_channels(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    return [
        _said("RING", "RING", _clip(number), _clip(number)),
        _said("RING", "RING", _clip(number), _clip(number), pause_s=_RING_S),
        _said("NO CARRIER", "NO CARRIER", pause_s=1.0, means=f"missed known {number}"),
    ]


def _masked(dice: random.Random) -> list[Sent]:
    number = dice.choice(("+[number]", "0612####12", "1-800-FLOWERS", "3631"))
    return [
        _said("RING", f'+CLIP: "{number}",129'),
        _said("NO CARRIER", pause_s=3.0, means="missed unparsable"),
    ]


def _our_own(dice: random.Random) -> list[Sent]:
    return [
        _said("^ORIG:1,0", "^CONF:1"),
        _said("^CONN:1,0", pause_s=4.0),
        _said("^CEND:1,7,104,16", "NO CARRIER", pause_s=7.0),
    ]


# Calls at an analogue line


def _first_ring_then_number(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    details = ("DATE = 1122", "TIME = 1015", f"NMBR = 0{number[3:]}")
    return [
        _said("RING"),
        _said(*details, pause_s=2.0),
        _said("RING", pause_s=_RING_S - 2, means=f"missed known {number}"),
    ]


def _number_then_ring(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    details = ("DATE=1122", "TIME=1015", f"NMBR=0{number[3:]}", "NAME=MAGASIN LYON")
    return [
        _said(*details),
        _said("RING", pause_s=0.5),
        _said("RING", pause_s=_RING_S, means=f"missed known {number}"),
    ]


def _no_number(dice: random.Random) -> list[Sent]:
    letter, state = dice.choice((("P", "withheld"), ("O", "unavailable")))
    return [
        _said("RING"),
        _said("DATE = 1122", f"NMBR = {letter}", f"NAME = {letter}", pause_s=2.0),
        _said("RING", pause_s=_RING_S - 2, means=f"missed {state}"),
    ]


def _nothing_but_rings(dice: random.Random) -> list[Sent]:
    return [_said("RING"), _said("RING", pause_s=_RING_S, means="missed unavailable")]


# Frames of a caller-id box

LEAD = b"\x55" * 30 + b"\xff" * 4


def _frame(dice: random.Random) -> list[Sent]:
    number = _number(dice)
    digits = f"0{number[3:]}".encode()
    if dice.random() < 0.5:
        frame = write_frame(SDMF, _WHEN.encode() + digits)
    else:
        parameters = [(WHEN, _WHEN.encode()), (NUMBER, digits), (NAME, b"MAGASIN LYON")]
        frame = write_frame(MDMF, write_parameters(parameters))
    return [Sent(0.0, LEAD + frame, f"missed known {number}")]


def _frame_without_number(dice: random.Random) -> list[Sent]:
    letter, state = dice.choice(((b"P", "withheld"), (b"O", "unavailable")))
    frame = write_frame(MDMF, write_parameters([(WHEN, _WHEN.encode()), (NO_NUMBER, letter)]))
    return [Sent(0.0, LEAD + frame, f"missed {state}")]


_MAKERS: dict[str, tuple[_Maker, ...]] = {
    MOBILE: (
        *(_gives_up, _withheld, _only_rings, _answered, _answered_with_another_waiting),
        *(_two_channels, _masked, _our_own),
    ),
    ANALOGUE: (_first_ring_then_number, _number_then_ring, _no_number, _nothing_but_rings),
    BOX: (_frame, _frame_without_number),
}


def _fault(kind: str, dice: random.Random) -> Sent:
    noise = bytes(dice.randrange(128, 256) for _ in range(24))
    if kind != BOX:
        return Sent(1.0, dice.choice((noise + b"\r\n", b"RI\r\n", b"\r\n+CRE\r\n")))
    damaged = bytearray(_frame(dice)[0].data)
    damaged[-3] ^= 0x01
    return Sent(1.0, dice.choice((noise, bytes(damaged), b"\x80\xff")))
