import itertools
import json
from collections.abc import Mapping
from functools import reduce
from urllib.parse import urlencode

import pytest

from cloud_bridge.call_hooks.reading import DONE, LATE_MS, ROUTE, Line, NotReadableError, Told
from cloud_bridge.call_hooks.signatures import Delivery
from cloud_bridge.call_hooks.twilio import STATUSES, Twilio
from edge_sdk.calls.caller import KNOWN, UNAVAILABLE, UNPARSABLE, WITHHELD, Caller
from edge_sdk.calls.model import Call
from tests.cloud_bridge.call_hooks.signed import FORM_HEAD

# 2027-01-15 08:00:00 UTC
NOW_MS = 1_800_000_000_000
LINE = Line("FR", NOW_MS)
SHE = Caller(KNOWN, "+33612345678")
OURS = "+33170180000"
# What a voice URL is asked with, and what a status callback has besides.
ASKED = {
    "CallSid": "CA01",
    "AccountSid": "AC1",
    "From": SHE.e164 or "",
    "To": OURS,
    "CallStatus": "ringing",
    "Direction": "inbound",
    "StirVerstat": "TN-Validation-Passed-A",
}
REPORT = ASKED | {"CallbackSource": "call-progress-events", "SequenceNumber": "0"}
LEG = {
    "CallSid": "CA02",
    "ParentCallSid": "CA01",
    "From": SHE.e164 or "",
    "To": "sip:desk-2@pbx.example",
    "Direction": "outbound-dial",
    "CallbackSource": "call-progress-events",
    "SequenceNumber": "1",
}


def read(fields: Mapping[str, str], line: Line = LINE, name: str = "twilio") -> Told:
    body = urlencode(fields).encode()
    return Twilio(name).read(Delivery("POST", "https://a.example/h", FORM_HEAD, body), line)


def test_a_number_that_is_called_asks_where_to_connect() -> None:
    told = read(ASKED)
    (event,) = told.events
    assert (event.call, event.phase, event.number) == ("twilio:CA01", "ring", OURS)
    assert (event.caller, event.at_ms) == (SHE, NOW_MS)
    assert (told.asks, told.number) == (ROUTE, OURS)
    assert read(ASKED, name="telnyx").call == "telnyx:CA01"


@pytest.mark.parametrize("status", STATUSES)
def test_every_status(status: str) -> None:
    phase, cause = STATUSES[status]
    told = read(REPORT | {"CallStatus": status, "CallDuration": "42"})
    (event,) = told.events
    assert (event.phase, event.cause, told.asks) == (phase, cause, "")
    due = {"end": 42_000, "missed": 0}.get(phase)
    assert event.duration_ms == due


@pytest.mark.parametrize(
    ("told_from", "caller"),
    [
        ("+33612345678", SHE),
        ("0612345678", SHE),
        ("anonymous", Caller(WITHHELD)),
        ("+266696687", Caller(WITHHELD)),
        ("+7378742833", Caller(WITHHELD)),
        ("+8656696", Caller(UNAVAILABLE)),
        ("", Caller(UNAVAILABLE)),
        ("client:ann", Caller(UNPARSABLE)),
        ("3631", Caller(UNPARSABLE)),
    ],
)
def test_who_calls(told_from: str, caller: Caller) -> None:
    assert read(ASKED | {"From": told_from}).events[0].caller == caller
    less = {name: value for name, value in ASKED.items() if name != "From"}
    assert read(less).events[0].caller == Caller(UNAVAILABLE)


def test_an_agents_leg_tells_who_answered_and_ends_nothing_by_ringing_in_vain() -> None:
    (answered,) = read(LEG | {"CallStatus": "in-progress"}).events
    assert (answered.call, answered.phase, answered.agent) == ("twilio:CA01", "answer", "desk-2")
    # Whose number it is that an agent answers at, and who called there, says nothing of the call.
    assert (answered.number, answered.caller) == ("", Caller(UNAVAILABLE))
    mobile = LEG | {"CallStatus": "in-progress", "To": "+33698765432"}
    assert read(mobile).events[0].agent is None
    for status in ("busy", "no-answer", "canceled", "failed"):
        told = read(LEG | {"CallStatus": status})
        assert (told.events, told.passed) == ((), "leg")
    (ended,) = read(LEG | {"CallStatus": "completed", "CallDuration": "30"}).events
    assert (ended.phase, ended.duration_ms) == ("end", 30_000)


@pytest.mark.parametrize(
    ("status", "phase", "cause"),
    [
        ("completed", "end", "answered"),
        ("answered", "end", "answered"),
        ("busy", "missed", "busy"),
        ("no-answer", "missed", "no_answer"),
        ("failed", "missed", "failed"),
        ("canceled", "missed", "cancelled"),
    ],
)
def test_the_end_of_a_dial_is_how_the_call_ended(status: str, phase: str, cause: str) -> None:
    told = read(ASKED | {"DialCallStatus": status, "DialCallSid": "CA02", "DialCallDuration": "9"})
    (event,) = told.events
    assert (event.phase, event.cause, told.asks) == (phase, cause, DONE)
    assert event.duration_ms == (9000 if phase == "end" else 0)


def test_what_is_new_or_not_ours_tells_nothing_and_harms_nothing() -> None:
    more = {f"New{n}": "x" for n in range(50)}
    assert read(ASKED | more).events == read(ASKED).events
    told = read(REPORT | {"CallStatus": "on-hold"})
    assert (told.events, told.passed, told.asks) == ((), "unknown_status", "")
    told = read(ASKED | {"DialCallStatus": "paused"})
    assert (told.events, told.passed, told.asks) == ((), "unknown_status", DONE)
    told = read(REPORT | {"Direction": "outbound-api"})
    assert (told.events, told.passed) == ((), "outgoing")
    assert read({"CallSid": "CA01"}).passed == "unknown_status"
    assert read(ASKED | {"To": "desk"}).events[0].number == ""


@pytest.mark.parametrize("sid", ["", " ", "x" * 200, "CA 1", "CA\x001", "ann\u00e9"])
def test_without_a_calls_name_there_is_no_call(sid: str) -> None:
    for fields in (ASKED, LEG | {"CallStatus": "ringing"}, ASKED | {"DialCallStatus": "busy"}):
        with pytest.raises(NotReadableError) as caught:
            read(fields | {"CallSid": sid})
        assert caught.value.status == 422
        assert "33" not in str(caught.value)


def test_a_body_that_is_no_form() -> None:
    for head, body in (
        ({}, b"CallSid=CA01"),
        ({b"content-type": b"application/json"}, json.dumps(ASKED).encode()),
        (FORM_HEAD, b"\xff\xfe"),
        (FORM_HEAD, b"a=%FF"),
        (FORM_HEAD, b"&".join([b"a=1"] * 600)),
    ):
        with pytest.raises(NotReadableError) as caught:
            Twilio().read(Delivery("POST", "https://a.example/h", head, body), LINE)
        assert caught.value.status == 400


STORY = (
    ASKED,
    REPORT | {"CallStatus": "in-progress", "SequenceNumber": "1"},
    LEG | {"CallStatus": "ringing", "SequenceNumber": "0"},
    LEG | {"CallStatus": "in-progress"},
    REPORT | {"CallStatus": "completed", "SequenceNumber": "2", "CallDuration": "60"},
)


def told_of(fields: list[Mapping[str, str]]) -> Call:
    calls = [Call.of(event) for one in fields for event in read(one).events]
    return reduce(Call.merged, calls)


def test_any_order_repetition_or_loss_before_the_end_gives_one_call() -> None:
    whole = told_of([*STORY])
    assert (whole.state, whole.duration_ms, whole.agent) == ("ended", 60_000, "desk-2")
    for order in itertools.permutations(STORY):
        assert told_of([*order, *order[:2]]) == whole
    for kept in range(4):
        for chosen in itertools.combinations(STORY[:4], kept):
            call = told_of([*chosen, STORY[4]])
            facts = (call.state, call.duration_ms, call.number, call.caller, call.cause)
            assert facts == ("ended", 60_000, OURS, SHE, "answered")


@pytest.mark.parametrize(
    ("stamp", "at_ms"),
    [
        ("Fri, 15 Jan 2027 08:00:00 +0000", NOW_MS),
        ("Fri, 15 Jan 2027 07:59:50 +0000", NOW_MS - 10_000),
        ("2027-01-15T07:59:50Z", NOW_MS - 10_000),
        ("2027-01-15 07:59:50.5Z", NOW_MS - 9_500),
        ("Fri, 15 Jan 2027 07:45:00 +0000", NOW_MS - LATE_MS),
        ("Fri, 15 Jan 2027 08:00:01 +0000", NOW_MS),  # a little ahead: now
        ("Fri, 15 Jan 2027 07:00:00 +0000", NOW_MS),  # an hour behind: a clock that is off
        ("Fri, 15 Jan 2027 09:00:00 +0000", NOW_MS),  # an hour ahead
        ("Fri, 15 Jan 2027 09:59:50 +0200", NOW_MS - 10_000),
        ("yesterday", NOW_MS),
        ("", NOW_MS),
        ("9" * 400, NOW_MS),
        ("Fri, 99 Jan 99999 08:00:00 +9999", NOW_MS),
    ],
)
def test_a_providers_clock_is_a_hint(stamp: str, at_ms: int) -> None:
    assert read(REPORT | {"Timestamp": stamp}).events[0].at_ms == at_ms


def test_a_duration_that_cannot_be_is_none() -> None:
    for told in ("", "-1", "1e9", "nan", "999999999", "x"):
        fields = REPORT | {"CallStatus": "completed", "CallDuration": told}
        assert read(fields).events[0].duration_ms is None
