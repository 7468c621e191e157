"""How a modem is told to say who calls, and asked again whether it still does. Pure.

The commands go out one by one; each waits for its answer, is said again if none comes, and may be
refused where another will do. A modem with a SIM knows +CLIP (3GPP TS 27.007), an analogue one
+VCID (ITU-T V.253) or, if it is older, #CID. What they were told they forget when they lose their
power, which need not be seen at the port: all of it is repeated every minute.
"""

from collections.abc import Sequence

from edge_sdk.errors import ConfigError

MOBILE, ANALOGUE = "mobile", "analogue"

# No echo, and answers in words. It is the first one as well because it finds the baud rate.
_WORDS = "ATE0V1"
_CLIP = "AT+CLIP=1"
_VCID = "AT+VCID=1"
_CID = "AT#CID=1"
# RING says what kind of call it is, and a second caller is told. A modem may know neither.
_IF_IT_CAN = ("AT+CRC=1", "AT+CCWA=1")

_ANSWER_MS = 3_000
_ATTEMPTS = 3
_ANEW_MS = 30_000  # after what may pass by itself, as a SIM that is still being read
_WATCH_MS = 60_000
_SETTLE_MS = 1_000  # so that the answer to a command from before is not taken for one of after
_MOST_COMMANDS, _LONGEST_COMMAND = 16, 80

_REFUSED = frozenset({"ERROR", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS"})
# What a modem says when it has just been started, and so has forgotten everything.
_STARTED = frozenset({"RDY", "^BOOT", "Call Ready", "+CPIN: READY", "PB DONE", "START"})

NO_ANSWER = "no_answer"
NO_SIM, PIN, PUK, SIM_FAILED = "no_sim", "pin", "puk", "sim_failed"
COMMAND_REFUSED, NO_CALLER_ID = "command_refused", "no_caller_id"
# What is the matter, and what to do. Only with the last two the modem still tells of calls.
TROUBLES: dict[str, tuple[str, str]] = {
    NO_ANSWER: (
        "the modem does not answer",
        "is it the right port (many have several), at its baud rate, and has nobody else it open?",
    ),
    NO_SIM: ("the modem has no SIM", "put one in"),
    PIN: ("the SIM wants its PIN", "switch the PIN off, in a telephone"),
    PUK: ("the SIM is blocked", "unblock it with its PUK, in a telephone"),
    SIM_FAILED: ("the SIM cannot be read", "take it out and in again, or have it replaced"),
    COMMAND_REFUSED: (
        "the modem refused one of the `commands` that it was to be given",
        "look into its manual; calls are told all the same",
    ),
    NO_CALLER_ID: (
        "the modem knows no command for caller id",
        "calls are told, but not who calls; its manual may have a command for `commands`",
    ),
}
# The numbers of +CME ERROR (3GPP TS 27.007, 9.2), and its words.
_OF_CME = {"10": NO_SIM, "11": PIN, "12": PUK, "13": SIM_FAILED, "14": SIM_FAILED, "15": SIM_FAILED}
_OF_CME |= {
    "SIM NOT INSERTED": NO_SIM,
    "SIM PIN REQUIRED": PIN,
    "SIM PUK REQUIRED": PUK,
    "SIM FAILURE": SIM_FAILED,
    "SIM BUSY": SIM_FAILED,
    "SIM WRONG": SIM_FAILED,
}


class ModemSetup:
    """Tells what to write (`due`), and hears the answers (`line`); times are milliseconds.

    commands  said before all others, as a maker's own that switches to a country's caller id
    kind      MOBILE or ANALOGUE, once that is known
    trouble   a key of TROUBLES, or None
    counts    `commands` that were written, `unanswered`, `refused`, `set_up` (how often all of
              them were gone through)

    Raises ConfigError for a command that is none.
    """

    def __init__(self, commands: Sequence[str] = ()) -> None:
        if len(commands) > _MOST_COMMANDS or not all(map(_is_command, commands)):
            raise ConfigError("commands for a modem are a few like AT!4886=02, of plain characters")
        self.kind: str | None = None
        self.trouble: str | None = None
        self.counts = dict.fromkeys(("commands", "unanswered", "refused", "set_up"), 0)
        self._commands = tuple(commands)
        self._to_say: list[str] = []
        self._refused: str | None = None  # a trouble that ends no setup
        self._attempts = 0
        self._asked_ms: int | None = None  # when what is waited for was asked
        self._next_ms: int | None = None  # when to speak again; None: it is not there

    @property
    def is_waiting(self) -> bool:
        """Whether a command has been written whose answer is not there yet."""
        return self._asked_ms is not None

    def start(self, at_ms: int) -> None:
        """The port was opened: nothing is known of the modem behind it."""
        self.kind = None
        self._begin(at_ms)

    def stop(self) -> None:
        """The port was lost."""
        self._asked_ms = self._next_ms = None

    def due(self, at_ms: int, *, is_idle: bool = True) -> bytes | None:
        """What is to be written now. While a call goes on (not `is_idle`), nothing is repeated."""
        if self._asked_ms is not None and at_ms - self._asked_ms >= _ANSWER_MS:
            self._asked_ms = None
            self.counts["unanswered"] += 1
            if self._attempts >= _ATTEMPTS:
                self._give_up(NO_ANSWER, at_ms)
        if self._next_ms is None or self._asked_ms is not None or at_ms < self._next_ms:
            return None
        if not self._to_say:
            if not is_idle:
                return None
            self._begin(at_ms)
        self._attempts += 1
        self._asked_ms = at_ms
        self.counts["commands"] += 1
        return self._to_say[0].encode("ascii") + b"\r"

    def line(self, line: str, at_ms: int) -> bool:
        """Whether a line answers, and so says nothing of a call."""
        line = line.strip()
        if line in _STARTED and self._next_ms is not None:
            self._begin(at_ms + _SETTLE_MS)
            return True
        if self._asked_ms is None:
            return line == "OK"  # an answer that came too late
        if line == self._to_say[0]:  # an echo
            return True
        if line == "OK":
            self._accepted(at_ms)
        elif line in _REFUSED:
            self._not_accepted(None, at_ms)
        elif line.startswith("+CME ERROR:"):
            self._not_accepted(_OF_CME.get(line.partition(":")[2].strip().upper()), at_ms)
        else:
            return False
        return True

    def _begin(self, at_ms: int) -> None:
        self._to_say = [_WORDS, *self._commands, _VCID if self.kind == ANALOGUE else _CLIP]
        self._refused = self._asked_ms = None
        self._attempts = 0
        self._next_ms = at_ms

    def _accepted(self, at_ms: int) -> None:
        said = self._said()
        if said == _CLIP:
            self._to_say += _IF_IT_CAN
            self.kind = MOBILE
        elif said in {_VCID, _CID}:
            self.kind = ANALOGUE
        self._go_on(at_ms)

    def _not_accepted(self, trouble: str | None, at_ms: int) -> None:
        self.counts["refused"] += 1
        if trouble is not None:
            self._give_up(trouble, at_ms)
            return
        said = self._said()
        if said == _CLIP:
            self._to_say.append(_VCID)
        elif said == _VCID:
            self._to_say.append(_CID)
        elif said == _CID:
            self._refused = NO_CALLER_ID
        elif said in self._commands:
            self._refused = self._refused or COMMAND_REFUSED
        self._go_on(at_ms)

    def _said(self) -> str:
        self._asked_ms = None
        self._attempts = 0
        return self._to_say.pop(0)

    def _go_on(self, at_ms: int) -> None:
        self._next_ms = at_ms
        if not self._to_say:
            self.counts["set_up"] += 1
            self.trouble = self._refused
            self._next_ms = at_ms + _WATCH_MS

    def _give_up(self, trouble: str, at_ms: int) -> None:
        self._begin(at_ms + _ANEW_MS)
        self.trouble = trouble


def _is_command(command: str) -> bool:
    return (
        command.isascii()
        and command.isprintable()
        and command[:2].upper() == "AT"
        and 2 < len(command) <= _LONGEST_COMMAND
    )
