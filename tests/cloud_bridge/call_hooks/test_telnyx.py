import itertools
import json
from functools import reduce
from typing import Any

import pytest

from cloud_bridge.call_hooks.reading import Line, NotReadableError, Told
from cloud_bridge.call_hooks.signatures import Delivery
from cloud_bridge.call_hooks.telnyx import EVENTS, HANGUPS, Telnyx
from edge_sdk.calls.caller import KNOWN, UNAVAILABLE, Caller
from edge_sdk.calls.model import Call
from tests.cloud_bridge.call_hooks.signed import JSON_HEAD, VECTORS

NOW_MS = 1_800_000_000_000
LINE = Line("FR", NOW_MS)
SHE = Caller(KNOWN, "+33612345678")
OURS = "+33170180000"
SESSION = "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"


def event(kind: str, at: str = "2027-01-15T07:59:50.250Z", **payload: Any) -> dict[str, Any]:
    leg = {
        "call_control_id": "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg",
        "call_leg_id": SESSION,
        "call_session_id": SESSION,
        "from": SHE.e164,
        "to": OURS,
    }
    data = {
        "record_type": "event",
        "event_type": kind,
        "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        "occurred_at": at,
        "payload": leg | payload,
    }
    return {"data": data, "meta": {"attempt": 1}}


def agents(kind: str, **payload: Any) -> dict[str, Any]:
    return event(kind, call_leg_id="other", to="sip:desk-2@pbx.example", **payload)


def read(body: object, line: Line = LINE) -> Told:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Telnyx().read(Delivery("POST", "https://a.example/h", JSON_HEAD, raw), line)


def test_a_call_comes_in() -> None:
    told = read(event("call.initiated", direction="incoming", state="parked"))
    (ring,) = told.events
    assert (ring.call, ring.phase, ring.number) == (f"telnyx:{SESSION}", "ring", OURS)
    assert (ring.caller, ring.at_ms) == (SHE, NOW_MS - 9_750)
    assert told.asks == ""  # call control is commanded, not answered
    assert told.sequence == "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0"


@pytest.mark.parametrize("cause", HANGUPS)
def test_every_cause_of_a_hang_up(cause: str) -> None:
    (ended,) = read(event("call.hangup", hangup_cause=cause)).events
    assert (ended.phase, ended.cause) == HANGUPS[cause]
    assert ended.duration_ms == (0 if ended.phase == "missed" else None)


def test_a_cause_or_an_event_that_is_new() -> None:
    assert read(event("call.hangup", hangup_cause="bored")).events[0].phase == "end"
    assert read(event("call.hangup")).events[0].phase == "end"
    told = read(event("call.speak.ended"))
    assert (told.events, told.passed) == ((), "unknown_status")
    assert set(EVENTS.values()) == {"ring", "answer", "end"}


def test_an_agents_leg_is_no_other_call_and_its_number_is_not_ours() -> None:
    assert read(agents("call.initiated", direction="outgoing")).passed == "leg"
    for cause in ("user_busy", "timeout", "originator_cancel"):
        assert read(agents("call.hangup", hangup_cause=cause)).passed == "leg"
    (answered,) = read(agents("call.answered")).events
    assert (answered.phase, answered.agent, answered.number) == ("answer", "desk-2", "")
    assert answered.caller == Caller(UNAVAILABLE)
    (answered,) = read(event("call.answered", call_leg_id="other", to="+33698765432")).events
    assert (answered.agent, answered.number) == (None, "")


def test_any_order_gives_one_call() -> None:
    story = [
        event("call.initiated", direction="incoming"),
        agents("call.initiated", direction="outgoing"),
        agents("call.answered", at="2027-01-15T07:59:52Z"),
        event("call.bridged", at="2027-01-15T07:59:52Z"),
        event("call.hangup", at="2027-01-15T07:59:59Z", hangup_cause="normal_clearing"),
    ]

    def told_of(bodies: list[dict[str, Any]]) -> Call:
        return reduce(Call.merged, [Call.of(e) for body in bodies for e in read(body).events])

    whole = told_of(story)
    assert (whole.state, whole.duration_ms, whole.waited_ms) == ("ended", 7000, 1750)
    assert (whole.number, whole.caller, whole.agent) == (OURS, SHE, "desk-2")
    for order in itertools.permutations(story):
        assert told_of([*order, *order[:2]]) == whole


def test_the_published_body_lacks_nearly_everything() -> None:
    body = json.loads(VECTORS["telnyx"]["body"])
    with pytest.raises(NotReadableError, match="name of the call"):
        read(body)
    body["data"]["payload"]["call_session_id"] = SESSION
    (ring,) = read(body).events
    assert (ring.number, ring.caller, ring.at_ms) == (OURS, SHE, NOW_MS)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"{}", 422),
        (b'{"data": []}', 422),
        (b'{"data": {"payload": "x"}}', 422),
        (b'{"data": {"payload": {"call_session_id": ["x"]}}}', 422),
        (b'{"data": {"payload": {"call_session_id": "\\ud800"}}}', 422),
    ],
)
def test_a_body_that_is_not_what_it_should_be(body: bytes, status: int) -> None:
    with pytest.raises(NotReadableError) as caught:
        read(body)
    assert caught.value.status == status


def test_values_of_another_kind_are_as_if_they_were_not_there() -> None:
    odd: list[Any] = [None, [], {}, True, 7, "\ud800", "x" * 5000]
    for value in odd:
        told = read(
            event("call.initiated", **{"direction": "incoming", "from": value, "to": value})
        )
        assert told.events[0].number == ""
        assert told.events[0].caller.e164 is None
        body = event("call.answered")
        body["data"] |= {"occurred_at": value, "id": value}
        assert read(body).events[0].at_ms == NOW_MS
