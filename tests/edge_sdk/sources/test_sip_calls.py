import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.calls.caller import KNOWN, UNAVAILABLE, WITHHELD, Caller
from edge_sdk.calls.model import Call, CallEvent
from edge_sdk.sources.sip_accounting import Accounting
from edge_sdk.sources.sip_calls import SipCalls

SHE = Caller(KNOWN, "+33612345678")
OURS = "+33170180000"
FIRST = {
    "t": "1800000000.500000", "e": "invite", "id": "a%401", "from": "+33612345678", "pai": "",
    "priv": "", "to": OURS, "code": 0, "lease": "b-17", "agent": "",
}  # fmt: skip


def told(**changed: Any) -> bytes:
    return json.dumps({**FIRST, **changed}).encode()


def line(**changed: str) -> str:
    row = {
        "method": "INVITE", "from_tag": "1", "to_tag": "2", "call": "a@1", "code": "200",
        "reason": "OK", "time": "1800000008", "t": "1800000008.500000",
        "began": "1800000000.500000", "number": OURS, "caller": "+33612345678", "pai": "",
        "privacy": "", "lease": "b-17", "agent": "desk-1", **changed,
    }  # fmt: skip
    return "|".join(row.values()) + "\n"


def call_of(events: list[CallEvent | None]) -> Call:
    calls = [Call.of(event) for event in events if event is not None]
    whole = calls[0]
    for call in calls[1:]:
        whole = whole.merged(call)
    return whole


def test_a_call_is_told_from_the_invite_to_the_bye() -> None:
    sip = SipCalls("FR")
    steps = [
        told(),
        told(e="ringing", code=180),
        told(e="answer", code=200, t="1800000008.500000", agent="desk-1"),
        told(e="bye", t="1800000068.500000", **dict.fromkeys(("from", "to", "lease"), "")),
    ]
    call = call_of([sip.event(step) for step in steps])
    assert (call.state, call.caller, call.number, call.lease) == ("ended", SHE, OURS, "b-17")
    assert (call.waited_ms, call.duration_ms, call.agent) == (8_000, 60_000, "desk-1")
    assert call.call.startswith("sip:")
    assert "a@1" not in call.call


@pytest.mark.parametrize(
    ("code", "what", "cause"),
    [(486, "failed", "busy"), (603, "failed", "rejected"), (408, "failed", "no_answer"),
     (487, "cancel", "cancelled"), (503, "failed", "failed")],
)  # fmt: skip
def test_why_nobody_answered(code: int, what: str, cause: str) -> None:
    sip = SipCalls("FR")
    over = told(e=what, code=code, t="1800000030.500000")
    call = call_of([sip.event(told()), sip.event(over)])
    assert (call.state, call.cause, call.waited_ms) == ("missed", cause, 30_000)


def test_a_challenge_ends_no_call_and_repetitions_tell_nothing() -> None:
    sip = SipCalls("FR")
    assert sip.event(told()) is not None
    assert sip.event(told(e="failed", code=407)) is None
    assert [sip.event(told()) for _ in range(3)] == [None] * 3
    assert sip.counts["repeated"] == 3


def test_who_calls() -> None:
    def caller(**changed: Any) -> Caller:
        event = SipCalls("FR").event(told(**changed))
        assert event is not None
        return event.caller

    assert caller(pai="+33698765432") == Caller(KNOWN, "+33698765432")
    assert caller(priv="id").state == WITHHELD
    assert caller(**{"from": "anonymous"}).state == WITHHELD
    assert caller(**{"from": ""}).state == UNAVAILABLE
    assert caller(**{"from": "<null>"}).state == UNAVAILABLE
    assert caller(**{"from": "0612345678"}) == SHE


def test_the_account_tells_what_the_broker_lost_and_nothing_twice() -> None:
    bye = line(method="BYE", t="1800000068.500000", number="", caller="", lease="", agent="")
    lost = SipCalls("FR")
    events = [event for row in (line(), bye) for event in lost.accounted(row)]
    call = call_of(list(events))
    assert (call.state, call.waited_ms, call.duration_ms) == ("ended", 8_000, 60_000)
    heard = SipCalls("FR")
    heard.event(told())
    heard.event(told(e="answer", code=200, t="1800000008.500000"))
    assert [event.phase for row in (line(), bye) for event in heard.accounted(row)] == ["end"]
    assert heard.counts["recovered"] == 1


def test_a_missed_call_in_the_account() -> None:
    [ring, over] = SipCalls("FR").accounted(line(code="487", reason="Request Terminated"))
    assert (ring.phase, over.phase, over.cause) == ("ring", "missed", "cancelled")
    assert SipCalls("FR").accounted(line(code="401")) == []
    assert SipCalls("FR").accounted(line(method="OPTIONS")) == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", told(t="soon"), told(t="1.x"), told(id=""), told(code="x"),
     told(e=None), told(to=7), b"[" * 5000, b"x" * 10_000, told(t="99999999999999999999.0")],
)  # fmt: skip
def test_a_faulty_message_is_counted(payload: bytes) -> None:
    sip = SipCalls("FR")
    assert sip.event(payload) is None
    assert sip.counts["malformed"] + (payload == told(e=None)) == 1


@given(st.binary(max_size=200), st.text(max_size=120))
@settings(max_examples=60)
def test_nothing_makes_it_raise(payload: bytes, text: str) -> None:
    sip = SipCalls("FR")
    sip.event(payload)
    sip.accounted(text)
    sip.accounted("|".join([text] * 15))
    sip.event(told(**{"from": text, "id": text, "agent": text}))


def test_the_account_is_followed_through_growth_cuts_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "calls_1.log"
    account = Accounting(tmp_path, tmp_path)
    account.load()
    assert list(account.lines()) == []
    path.write_text("one\ntwo\nhal")
    assert list(account.lines()) == ["one", "two"]
    with path.open("a") as file:
        file.write("f\n")
    assert list(account.lines()) == ["half"]
    account.save()
    again = Accounting(tmp_path, tmp_path)
    again.load()
    assert list(again.lines()) == []
    path.write_text("new\n")
    assert list(again.lines()) == ["new"]
    path.unlink()
    path.write_text("replaced it\n")
    assert "replaced it" in list(again.lines())
    (tmp_path / "accounting.json").write_text("{")
    third = Accounting(tmp_path, tmp_path)
    third.load()
    assert list(third.lines()) == ["replaced it"]
