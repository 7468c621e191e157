from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.calls.caller import (
    KNOWN,
    NOT_TOLD,
    STATES,
    UNAVAILABLE,
    UNPARSABLE,
    WITHHELD,
    Caller,
    better,
)
from edge_sdk.calls.model import (
    ANSWERED,
    CAUSES,
    ENDED,
    MISSED,
    PHASES,
    RINGING,
    Call,
    CallEvent,
    event_of,
)
from edge_sdk.wire.touchpoint import Touchpoint, make

SHE = Caller(KNOWN, "+33612345678")
RING = CallEvent("sip:1", "ring", 1_000, "+33170180000", SHE)
ANSWER = CallEvent("sip:1", "answer", 9_000, "+33170180000", SHE, agent="desk-2")
END = CallEvent(
    "sip:1", "end", 69_000, "+33170180000", SHE, duration_ms=60_000, waited_ms=8_000, agent="desk-2"
)

_MS = st.integers(0, 100_000)
_CALLERS = st.sampled_from([SHE, Caller(KNOWN, "+4930123456"), *map(Caller, STATES[1:])])
EVENTS = st.builds(
    CallEvent,
    st.just("sip:1"),
    st.sampled_from(PHASES),
    _MS,
    st.sampled_from(["", "+33170180000", "+33170180001"]),
    _CALLERS,
    st.none() | _MS,
    st.none() | _MS,
    st.none() | st.sampled_from(CAUSES),
    st.none() | st.sampled_from(["desk-1", "desk-2"]),
    st.none() | st.sampled_from(["b-1", "b-2"]),
)


def told(events: list[CallEvent]) -> Call:
    call = Call.of(events[0])
    for event in events[1:]:
        call = call.merged(Call.of(event))
    return call


def final(call: Call) -> tuple[object, ...]:
    asked = "state", "began_ms", "over_ms", "duration_ms", "waited_ms", "cause", "caller", "number"
    return tuple(getattr(call, name) for name in (*asked, "agent"))


def test_a_call_goes_from_ringing_to_its_end() -> None:
    states = [told([RING]), told([RING, ANSWER]), told([RING, ANSWER, END])]
    assert [call.state for call in states] == [RINGING, ANSWERED, ENDED]
    assert final(states[-1])[1:6] == (1_000, 69_000, 60_000, 8_000, "answered")


@given(st.data())
def test_order_and_repetition_do_not_matter(data: st.DataObject) -> None:
    events = data.draw(st.lists(EVENTS, min_size=1, max_size=6))
    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)))))
    assert told(events) == told(again)


@given(st.lists(EVENTS, min_size=3, max_size=9))
def test_parts_may_be_merged_in_any_grouping(events: list[CallEvent]) -> None:
    one, two, *rest = map(Call.of, events)
    for part in rest:
        assert one.merged(two.merged(part)) == one.merged(two).merged(part)
        two = part


@given(st.lists(EVENTS, min_size=1, max_size=6))
def test_whatever_was_told_has_an_answer_to_every_question(events: list[CallEvent]) -> None:
    call = told(events)
    assert call.state in {RINGING, ANSWERED, ENDED, MISSED}
    assert (call.cause is None) == (call.over_ms is None)
    if call.over_ms is None or not call.was_answered:
        assert call.duration_ms == (None if call.over_ms is None else 0)
    assert (call.duration_ms or 0) >= 0
    assert (call.waited_ms or 0) >= 0


@pytest.mark.parametrize("lost", [[], [RING], [ANSWER], [RING, ANSWER]])
def test_a_last_event_that_tells_all_makes_up_for_what_was_lost(lost: list[CallEvent]) -> None:
    whole = told([RING, ANSWER, END])
    assert final(told([e for e in (RING, ANSWER, END) if e not in lost])) == final(whole)


@pytest.mark.parametrize(
    ("cause", "abandoned"),
    [("cancelled", True), ("no_answer", True), ("busy", False), ("rejected", False)],
)
def test_a_call_that_nobody_answered_says_whether_the_caller_gave_up(
    cause: str, abandoned: bool
) -> None:
    call = told([RING, CallEvent("sip:1", "missed", 140_000, cause=cause)])
    assert (call.state, call.cause, call.was_abandoned) == (MISSED, cause, abandoned)
    assert (call.waited_ms, call.duration_ms) == (139_000, 0)


def test_an_end_without_an_answer_was_missed() -> None:
    assert told([RING, CallEvent("sip:1", "end", 20_000)]).state == MISSED
    assert told([RING, CallEvent("sip:1", "end", 20_000, duration_ms=0)]).cause == "no_answer"


def test_a_line_that_saw_the_end_alone_still_says_that_it_was_answered() -> None:
    call = told([RING, CallEvent("sip:1", "end", 20_000, cause="answered")])
    assert (call.state, call.cause, call.duration_ms) == (ENDED, "answered", None)
    assert told([RING, ANSWER]).merged(call).duration_ms == 11_000


def test_of_two_reports_of_the_caller_the_better_one_holds() -> None:
    callers = [SHE, Caller(WITHHELD), Caller(UNPARSABLE), Caller(UNAVAILABLE)]
    for one, other in pairwise(callers):
        assert better(one, other) == better(other, one) == one


def test_only_a_known_caller_has_a_number() -> None:
    for state, number in [(KNOWN, None), (WITHHELD, "+33612345678"), ("spoofed", None)]:
        with pytest.raises(ValueError, match="caller"):
            Caller(state, number)
    assert NOT_TOLD.identifier is None
    assert "612" not in repr(SHE)


@given(EVENTS)
def test_it_travels_as_a_touchpoint(event: CallEvent) -> None:
    assert event_of(event.touchpoint()) == event


@pytest.mark.parametrize(
    "touchpoint",
    [
        make("sighting", 5),
        make("call", 5, phase="ring"),
        make("call", 5, call="x", phase="hums"),
        make("call", None, call="x", phase="ring"),
    ],
)
def test_what_makes_no_sense_is_no_event(touchpoint: Touchpoint) -> None:
    assert event_of(touchpoint) is None


def test_strange_values_are_left_out() -> None:
    event = event_of(
        make(
            "call", 5, call="x", phase="end", caller="tel:", caller_state="known",
            duration_ms=-5, waited_ms=-1, cause="boredom",
        )
    )  # fmt: skip
    assert event == CallEvent("x", "end", 5, caller=Caller(UNPARSABLE))
    odd = event_of(make("call", 5, call="x", phase="end", caller="tel:+33", caller_state="hidden"))
    assert odd is not None
    assert odd.caller == NOT_TOLD
