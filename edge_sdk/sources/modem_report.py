"""What one line of a modem says of a call. Pure.

Commands and unsolicited results are those of 3GPP TS 27.007 (+CRING, +CLIP, +CCWA), ITU-T V.253
(DATE, TIME, NMBR, NAME), and of Huawei (^ORIG, ^CONF, ^CONN, ^CEND) and SIMCom (MISSED_CALL,
VOICE CALL, +CIEV), as their manuals have them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from edge_sdk.calls.caller import NOT_TOLD, UNPARSABLE, WITHHELD, Caller

# What a line is about.
RING = "ring"
DATA = "data"  # a call that nobody could answer by voice
CALLER = "caller"
WAITING = "waiting"  # a second caller, while somebody is spoken to
DIALLED = "dialled"  # a call of our own
ANSWERED = "answered"
ENDED = "ended"  # of the call that it names
HUNG_UP = "hung_up"  # of whichever call there is
MISSED = "missed"
DETAIL = "detail"  # of a caller, and nothing that is kept
OTHER = "other"

# A text that names a caller -> Caller; what it means is up to the region of the line.
CallerOf = Callable[[str], Caller]

# 3GPP TS 24.008, annex H: why a call that nobody answered was ended.
CAUSES = {16: "cancelled", 17: "busy", 18: "no_answer", 19: "no_answer", 21: "rejected"}
CAUSES |= {31: "cancelled"}
_INTERNATIONAL = 145
_NOTHING_KNOWN = 128
_VALIDITY_WITHHELD = 1

# A line writes a number in digits. Letters are a mask or a name, and a number in letters is a
# person's way to remember one; a library would take either for the digits on the same keys.
_DIGITS = re.compile(r"\+?[0-9][0-9 ().-]{0,31}", re.ASCII)
_WORD = re.compile(r"[A-Za-z][A-Za-z -]{0,31}")
_FIELD = re.compile(r'\s*(?:"([^"]*)"|([^",\s]*))\s*(?:,|$)')
_DETAIL = re.compile(r"\s*(DATE|TIME|NMBR|NAME|MESG)\s*=\s*(.*?)\s*")
_HUAWEI = re.compile(r"\^(ORIG|CONF|CONN|CEND):\s*([0-9])(?:,(.*))?", re.ASCII)
_CALL_ENDED = re.compile(r"VOICE CALL:\s*END(?::\s*([0-9]{1,6}))?", re.ASCII)
_MISSED = re.compile(r"MISSED_CALL:\s*(?:[0-9]{1,2}:[0-9]{2}\s*(?:[AP]M)?)?\s*(.*?)\s*", re.ASCII)

_RINGS = frozenset({"RING", "IRING", "^IRING", "+CRING: VOICE", "+CRING:VOICE"})
# The last one is a short report of the state of calls: there is none any more.
_HANG_UPS = {
    "NO CARRIER": "cancelled",
    "BUSY": "busy",
    '+CIEV: "CALL",0': "cancelled",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a line says.

    index        of the call among those of the modem, where the line names it
    duration_ms  how long was spoken, of an end
    cause        why it ended, if nobody answered
    is_mobile    only a modem with a SIM of its own says so
    is_cut       it began as such a line does, and did not end so; then no part of it is believed
    """

    kind: str
    caller: Caller = NOT_TOLD
    index: int | None = None
    duration_ms: int | None = None
    cause: str | None = None
    is_mobile: bool = False
    is_cut: bool = False


def read(line: str, caller_of: CallerOf) -> Report:
    """What a line says; OTHER of one that says nothing of calls. Never raises."""
    line = line.strip()
    if line in _RINGS:
        return Report(RING, is_mobile=line.startswith("+"))
    if line.startswith("+CRING:"):
        return Report(DATA, is_mobile=True)
    if line in _HANG_UPS:
        return Report(HUNG_UP, cause=_HANG_UPS[line])
    if line.startswith("+CLIP:"):
        return _of_clip(line, caller_of)
    if line.startswith("+CCWA:"):
        return _of_ccwa(line, caller_of)
    if line.startswith("^"):
        return _of_huawei(line)
    if line.startswith("VOICE CALL:"):
        return _of_voice_call(line)
    if line.startswith("MISSED_CALL:"):
        return _of_missed(line, caller_of)
    return _of_detail(line, caller_of)


def caller_in(text: str, caller_of: CallerOf) -> Caller:
    """Who is named by a text of a line: digits, or a word that stands for no number."""
    text = text.strip()
    if not text:
        return NOT_TOLD
    if _DIGITS.fullmatch(text) or _WORD.fullmatch(text):
        return caller_of(text)
    return Caller(UNPARSABLE)


def _of_clip(line: str, caller_of: CallerOf) -> Report:
    """+CLIP: <number>,<type>[,<subaddr>,<satype>[,<alpha>[,<CLI validity>]]]."""
    fields = _fields(line)
    if _is_answer(fields):
        return Report(OTHER)
    return _called(CALLER, fields, 5, caller_of)


def _of_ccwa(line: str, caller_of: CallerOf) -> Report:
    """+CCWA: <number>,<type>,<class>[,<alpha>[,<CLI validity>]]."""
    fields = _fields(line)
    if _is_answer(fields):
        return Report(OTHER)
    return _called(WAITING, fields, 4, caller_of)


def _is_answer(fields: list[tuple[str, bool]] | None) -> bool:
    """Whether it answers `AT+CLIP?`, as "+CLIP: 1,1" does, and is about no call."""
    return fields is not None and not fields[0][1] and len(fields[0][0]) <= 1


def _called(
    kind: str, fields: list[tuple[str, bool]] | None, validity_at: int, caller_of: CallerOf
) -> Report:
    """The caller in the fields of a line; UNPARSABLE of a cut one: half a number is another one."""
    cut = Report(kind, Caller(UNPARSABLE), is_mobile=True, is_cut=True)
    if fields is None or len(fields) < 2:
        return cut
    number, kind_of_number = fields[0][0].strip(), _integer(fields[1][0])
    if kind_of_number is None:
        return cut
    validity = _integer(fields[validity_at][0]) if len(fields) > validity_at else None
    if validity == _VALIDITY_WITHHELD:
        caller = Caller(WITHHELD)
    elif not number:
        is_withheld = kind_of_number == _NOTHING_KNOWN and not validity
        caller = Caller(WITHHELD) if is_withheld else NOT_TOLD
    else:
        is_bare = kind_of_number == _INTERNATIONAL and number[:1].isdigit()
        caller = caller_in("+" + number if is_bare else number, caller_of)
    return Report(kind, caller, is_mobile=True)


def _fields(line: str) -> list[tuple[str, bool]] | None:
    """The values after the colon, and whether each was quoted; None where they are cut."""
    text = line.partition(":")[2].strip()
    fields: list[tuple[str, bool]] = []
    at = 0
    while True:
        found = _FIELD.match(text, at)
        if found is None:
            return None
        quoted, bare = found.groups()
        fields.append((bare if quoted is None else quoted, quoted is not None))
        at = found.end()
        if at >= len(text):
            return fields


def _of_huawei(line: str) -> Report:
    found = _HUAWEI.fullmatch(line)
    if found is None:
        is_cut = line.startswith(("^ORIG:", "^CONF:", "^CONN:", "^CEND:"))
        return Report(OTHER, is_cut=is_cut)
    what, index, rest = found[1], int(found[2]), found[3]
    if what in {"ORIG", "CONF"}:
        return Report(DIALLED, index=index, is_mobile=True)
    if what == "CONN":
        return Report(ANSWERED, index=index, is_mobile=True)
    values = [_integer(value) for value in (rest or "").split(",")]
    if values[0] is None:
        return Report(OTHER, is_mobile=True, is_cut=True)
    code = values[2] if len(values) > 2 else None
    # Without a cause it was ended before the network said one: the caller gave up.
    cause = "cancelled" if code is None else CAUSES.get(code, "failed")
    return Report(ENDED, index=index, duration_ms=1000 * values[0], cause=cause, is_mobile=True)


def _of_voice_call(line: str) -> Report:
    if line.partition(":")[2].strip() == "BEGIN":
        return Report(ANSWERED, is_mobile=True)
    found = _CALL_ENDED.fullmatch(line)
    if found is None:
        return Report(OTHER, is_mobile=True, is_cut=True)
    duration_ms = None if found[1] is None else 1000 * int(found[1])
    return Report(HUNG_UP, duration_ms=duration_ms, cause="cancelled", is_mobile=True)


def _of_missed(line: str, caller_of: CallerOf) -> Report:
    found = _MISSED.fullmatch(line)
    caller = Caller(UNPARSABLE) if found is None else caller_in(found[1], caller_of)
    return Report(MISSED, caller, cause="cancelled", is_mobile=True, is_cut=found is None)


def _of_detail(line: str, caller_of: CallerOf) -> Report:
    """NMBR names the caller. NAME is personal and of no use here; DATE and TIME are a switch's."""
    found = _DETAIL.fullmatch(line)
    if found is None:
        return Report(OTHER)
    if found[1] != "NMBR":
        return Report(DETAIL)
    return Report(CALLER, caller_in(found[2], caller_of))


def _integer(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
