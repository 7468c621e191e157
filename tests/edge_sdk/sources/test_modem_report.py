"""What single lines of modems say: callers, ends and their causes; and what they do not say."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.calls.caller import KNOWN, NOT_TOLD, UNAVAILABLE, UNPARSABLE, WITHHELD, Caller
from edge_sdk.calls.phone import caller_of
from edge_sdk.sources import modem_report
from edge_sdk.sources.modem_report import Report, read

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "modem_lines.json").read_text())
SHE = Caller(KNOWN, "+33612345678")


def of(line: str, region: str = "FR") -> Report:
    return read(line, lambda text: caller_of(text, region))


@pytest.mark.parametrize("vector", VECTORS["clip_lines"], ids=lambda vector: str(vector["line"]))
def test_published_clip_lines(vector: dict[str, Any]) -> None:
    report = of(vector["line"], "CN")
    assert report.is_cut == vector.get("reject", False)
    if report.is_cut:
        assert report.caller == Caller(UNPARSABLE)
    elif vector.get("withheld"):
        assert report == Report(modem_report.CALLER, Caller(WITHHELD), is_mobile=True)
    else:
        number = "+86" + vector["number"].removeprefix("+86")
        assert report.caller == Caller(KNOWN, number)


@pytest.mark.parametrize(
    ("line", "caller"),
    [
        ('+CLIP: "0612345678",129', SHE),
        ('+CLIP: "33612345678",145', SHE),  # the type says it is international
        ('+CLIP: "612345678",161', SHE),  # national, without the zero that is dialled
        ('+CLIP:"+33612345678",145,,,"ANN",0', SHE),
        ("+CLIP: 0612345678,129", SHE),
        ('+CLIP: "+33612345678",145,,,,1', Caller(WITHHELD)),  # there, and not to be shown
        ('+CLIP: "",128,,,,2', NOT_TOLD),
        ('+CLIP: "",129', NOT_TOLD),
        ('+CLIP: "ANONYMOUS",128', Caller(WITHHELD)),
        ('+CLIP: "266696687",129', Caller(WITHHELD)),
        ('+CLIP: "+[number]",145', Caller(UNPARSABLE)),
        ('+CLIP: "06x2345678",129', Caller(UNPARSABLE)),
        ('+CLIP: "1-800-FLOWERS",129', Caller(UNPARSABLE)),
        ('+CLIP: "3631",129', Caller(UNPARSABLE)),
        ('+CLIP: "0612345678",', Caller(UNPARSABLE)),
        ('+CLIP: "0612345678",1x9', Caller(UNPARSABLE)),
        ('+CLIP: "0612345678"', Caller(UNPARSABLE)),
        ('+CLIP: "06123', Caller(UNPARSABLE)),
        ("NMBR = 0612345678", SHE),
        ("NMBR=06 12 34 56 78", SHE),
        ("NMBR = P", Caller(WITHHELD)),
        ("NMBR = O", Caller(UNAVAILABLE)),
        ("NMBR = OUT OF AREA", Caller(UNAVAILABLE)),
        ("NMBR = PRIVATE", Caller(WITHHELD)),
        ("NMBR =", NOT_TOLD),
        ("NMBR = 06xxxxxxxx", Caller(UNPARSABLE)),
        ("NMBR = 0207####123", Caller(UNPARSABLE)),
    ],
)
def test_callers(line: str, caller: Caller) -> None:
    report = of(line)
    assert (report.kind, report.caller) == (modem_report.CALLER, caller)
    assert "612" not in repr(report)


def test_the_second_caller_of_a_line() -> None:
    assert of('+CCWA: "+33612345678",145,1').kind == modem_report.WAITING
    assert of('+CCWA: "+33612345678",145,1').caller == SHE
    assert of('+CCWA: "",128,1,"",1').caller == Caller(WITHHELD)
    assert of('+CCWA: "06123').is_cut


@pytest.mark.parametrize(
    ("line", "kind", "index", "duration_ms", "cause"),
    [
        ("^ORIG:1,0", modem_report.DIALLED, 1, None, None),
        ("^CONF:1", modem_report.DIALLED, 1, None, None),
        ("^CONN:2,0", modem_report.ANSWERED, 2, None, None),
        ("^CEND:1,12,104,16", modem_report.ENDED, 1, 12_000, "cancelled"),
        ("^CEND:1,0,104,17", modem_report.ENDED, 1, 0, "busy"),
        ("^CEND:1,0,104,21", modem_report.ENDED, 1, 0, "rejected"),
        ("^CEND:1,0,104,19", modem_report.ENDED, 1, 0, "no_answer"),
        ("^CEND:1,0,21,102", modem_report.ENDED, 1, 0, "failed"),
        ("^CEND:1,0,29", modem_report.ENDED, 1, 0, "cancelled"),
        ("NO CARRIER", modem_report.HUNG_UP, None, None, "cancelled"),
        ("BUSY", modem_report.HUNG_UP, None, None, "busy"),
        ("VOICE CALL: BEGIN", modem_report.ANSWERED, None, None, None),
        ("VOICE CALL: END: 000041", modem_report.HUNG_UP, None, 41_000, "cancelled"),
        ("VOICE CALL: END", modem_report.HUNG_UP, None, None, "cancelled"),
        ("MISSED_CALL: 09:53AM 0612345678", modem_report.MISSED, None, None, "cancelled"),
        ("RING", modem_report.RING, None, None, None),
        ("+CRING: VOICE", modem_report.RING, None, None, None),
        ("+CRING: REL ASYNC", modem_report.DATA, None, None, None),
        ("DATE = 1015", modem_report.DETAIL, None, None, None),
        ("NAME=Test1 - Permitted", modem_report.DETAIL, None, None, None),
        ("+CLIP: 1,1", modem_report.OTHER, None, None, None),
        ("+CSQ: 22,0", modem_report.OTHER, None, None, None),
        ("RINGING", modem_report.OTHER, None, None, None),
        ("", modem_report.OTHER, None, None, None),
    ],
)
def test_what_happens_to_a_call(
    line: str, kind: str, index: int | None, duration_ms: int | None, cause: str | None
) -> None:
    report = of(line)
    assert (report.kind, report.index, report.duration_ms, report.cause) == (
        *(kind, index, duration_ms),
        cause,
    )
    assert not report.is_cut


def test_a_modem_sums_up_a_missed_call_with_and_without_its_caller() -> None:
    assert of("MISSED_CALL: 09:53AM 0612345678").caller == SHE
    assert of("MISSED_CALL: 09:53AM").caller == NOT_TOLD
    assert of("MISSED_CALL: 09:53AM Anonymous").caller == Caller(WITHHELD)


@pytest.mark.parametrize(
    "line", ["^CEND:1", "^CEND:1,x", "^CONN:", "VOICE CALL: EN", "^CEND:\u0661,2,3"]
)
def test_a_cut_line_is_not_believed(line: str) -> None:
    report = of(line)
    assert (report.kind, report.is_cut) == (modem_report.OTHER, True)


_STARTS = ("+CLIP: ", '+CLIP: "', "+CCWA: ", "^CEND:1,", "^CONN:", "NMBR = ", "MISSED_CALL: ", "")


@given(st.sampled_from(_STARTS), st.text(max_size=300), st.text('0123456789+",P x', max_size=40))
def test_no_line_makes_it_raise(start: str, text: str, likely: str) -> None:
    for end in (text, likely):
        report = of(start + end)
        assert (report.caller.e164 is not None) == (report.caller.state == KNOWN)
