"""From lines to calls: logs of real modems, every dialect, and what a line leaves unsaid."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.calls.caller import KNOWN, UNAVAILABLE, UNPARSABLE, WITHHELD, Caller
from edge_sdk.calls.model import Call, CallEvent
from edge_sdk.calls.phone import caller_of
from edge_sdk.sources.modem_lines import COUNTS, QUIET_MS, ModemLines
from simulators import phone_line
from simulators.serial_lines import Sent

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "modem_lines.json").read_text())
OURS = "+33170180000"
SHE, HE = Caller(KNOWN, "+33612345678"), Caller(KNOWN, "+33623456789")
CLIP, HIS_CLIP = '+CLIP: "+33612345678",145', '+CLIP: "+33623456789",145'


class Line:
    """A modem's line: what was said on it, second by second, and the calls that come of it."""

    def __init__(self, region: str = "FR") -> None:
        ids = itertools.count(1)
        self.lines = ModemLines(
            OURS, lambda text: caller_of(text, region), lambda: f"modem:{next(ids)}"
        )
        self.events: list[CallEvent] = []

    def say(self, at_s: float, *lines: str) -> None:
        for line in lines:
            self.events += self.lines.line(line, round(1000 * at_s))

    def quiet(self, at_s: float) -> None:
        self.events += self.lines.tick(round(1000 * at_s))

    @property
    def calls(self) -> list[Call]:
        merged: dict[str, Call] = {}
        for event in self.events:
            call = Call.of(event)
            merged[event.call] = merged[event.call].merged(call) if event.call in merged else call
        return list(merged.values())

    @property
    def told(self) -> list[tuple[str, str | None, Caller]]:
        return [(call.state, call.cause, call.caller) for call in self.calls]

    def counted(self, *names: str) -> list[int]:
        return [self.lines.counts[name] for name in names]


def spoken(stream: Iterable[Sent], line: Line) -> None:
    at_s = 0.0
    for sent in stream:
        at_s += sent.pause_s
        line.say(at_s, *filter(None, sent.data.decode("latin-1").split("\r\n")))
    line.quiet(at_s + 100)


@pytest.mark.parametrize("vector", VECTORS["modem_lines"], ids=lambda vector: vector["source"])
@pytest.mark.parametrize("channels", [1, 2])
def test_logs_of_real_modems(vector: dict[str, Any], channels: int) -> None:
    line = Line(vector["region"])
    stream = phone_line.played(vector["lines"])
    spoken(phone_line.on_two_channels(stream) if channels == 2 else stream, line)
    assert [call.caller.state for call in line.calls] == vector["states"]
    assert {call.state for call in line.calls} == {"missed"}
    counted = {state: count for state in line.lines.counts if (count := line.lines.counts[state])}
    assert counted["calls"] == counted[vector["states"][0]] == 1


@pytest.mark.parametrize("kind", [phone_line.MOBILE, phone_line.ANALOGUE])
@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_day_comes_to_what_was_meant(kind: str, seed: int) -> None:
    stream = list(phone_line.calls(kind, seed, 60))
    line = Line()
    spoken(stream, line)
    ends = {"missed": "missed", "ended": "end"}
    told = [
        " ".join(filter(None, (ends[call.state], call.caller.state, call.caller.e164)))
        for call in line.calls
    ]
    assert sorted(told) == sorted(sent.means for sent in stream if sent.means)
    assert line.lines.is_idle
    counts = line.lines.counts
    by_state = sum(counts[state] for state in (KNOWN, WITHHELD, UNPARSABLE, UNAVAILABLE))
    assert counts["calls"] == len(told) == by_state == counts["missed"] + counts["answered"]
    assert counts["unclear"] == (counts["calls"] if kind == phone_line.ANALOGUE else 0)


def test_the_first_ring_is_told_at_once_and_the_caller_when_it_is_known() -> None:
    line = Line()
    line.say(0, "RING")
    assert [(event.phase, event.number) for event in line.events] == [("ring", OURS)]
    line.say(2, CLIP)
    line.say(5, "RING", CLIP)
    assert [(event.phase, event.at_ms, event.caller) for event in line.events[1:]] == [
        ("ring", 0, SHE)
    ]


@pytest.mark.parametrize("order", [("RING", CLIP), (CLIP, "RING")])
def test_clip_before_and_after_ring_is_one_call(order: tuple[str, str]) -> None:
    line = Line()
    line.say(0, *order)
    line.say(5, *order)
    line.say(7, "NO CARRIER")
    assert line.told == [("missed", "cancelled", SHE)]
    assert line.calls[0].waited_ms == 7_000


def test_rings_that_stop_are_a_call_that_is_over_at_its_last_ring() -> None:
    line = Line()
    for at_s in (0, 5, 10):
        line.say(at_s, "RING")
    line.quiet(10 + QUIET_MS / 1000 - 0.001)
    assert line.calls[0].state == "ringing"
    line.quiet(10 + QUIET_MS / 1000)
    assert line.told == [("missed", "no_answer", Caller(UNAVAILABLE))]
    assert (line.calls[0].over_ms, line.calls[0].waited_ms) == (10_000, 10_000)
    assert line.counted("unclear", "missed") == [1, 1]


def test_a_ring_after_the_silence_is_another_call_even_if_nobody_asked_in_between() -> None:
    line = Line()
    line.say(0, "RING")
    line.say(9, "RING")
    line.quiet(20)
    assert len(line.calls) == 2


def test_at_a_modem_with_a_sim_rings_that_stop_mean_that_the_caller_gave_up() -> None:
    line = Line()
    line.say(0, "+CRING: VOICE")
    line.quiet(20)
    assert line.told == [("missed", "cancelled", Caller(UNAVAILABLE))]
    assert line.counted("unclear") == [0]


def test_answered_and_ended_with_the_modems_own_duration() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(6, "^CONN:1,0")
    line.say(66.4, "^CEND:1,60,104,16", "NO CARRIER")
    call = line.calls[0]
    assert (call.state, call.waited_ms, call.duration_ms) == ("ended", 6_000, 60_000)
    assert line.counted("answered", "missed", "known") == [1, 0, 1]


def test_an_answer_that_was_not_heard_is_known_from_the_end() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(7, "^CEND:1,3,104,16")
    call = line.calls[0]
    assert (call.state, call.waited_ms, call.duration_ms) == ("ended", 4_000, 3_000)


def test_busy_and_rejected() -> None:
    for end, cause in (("BUSY", "busy"), ("^CEND:1,0,104,21", "rejected")):
        line = Line()
        line.say(0, "RING", CLIP)
        line.say(3, end)
        assert line.told == [("missed", cause, SHE)]


def test_the_next_caller_within_the_silence_is_another_call() -> None:
    for he in ((HIS_CLIP, "RING"), ("RING", HIS_CLIP)):
        line = Line()
        line.say(0, "RING", CLIP)
        line.say(6, *he)
        line.quiet(30)
        assert [call.caller for call in line.calls] == [SHE, HE]


def test_a_second_caller_waits_and_is_put_through() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(3, "^CONN:1,0")
    line.say(10, HIS_CLIP.replace("+CLIP", "+CCWA") + ",1")
    line.say(12, HIS_CLIP.replace("+CLIP", "+CCWA") + ",1")
    line.say(15, "^CONN:2,0")
    line.say(20, "^CEND:1,17,104,16", "NO CARRIER")
    line.say(30, "^CEND:2,15,104,16", "NO CARRIER")
    assert [(call.caller, call.state, call.duration_ms) for call in line.calls] == [
        (SHE, "ended", 17_000),
        (HE, "ended", 15_000),
    ]
    assert line.calls[1].waited_ms == 5_000
    assert line.lines.is_idle


def test_a_second_caller_gives_up_while_the_first_one_speaks() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(3, "VOICE CALL: BEGIN", "VOICE CALL: BEGIN")
    line.say(10, '+CCWA: "",128,1')
    line.quiet(70)
    assert line.told[1] == ("missed", "no_answer", Caller(WITHHELD))
    line.say(80, "VOICE CALL: END: 000077")
    assert line.told[0] == ("ended", "answered", SHE)


def test_a_call_of_our_own_is_none_of_ours_to_tell() -> None:
    line = Line()
    line.say(0, "^ORIG:1,0", "^CONF:1", "^CONN:1,0")
    line.say(9, "^CEND:1,9,104,16", "NO CARRIER")
    line.say(20, "^ORIG:1,0", "NO CARRIER")
    assert line.events == []
    line.say(30, "RING", CLIP, "^CONN:1,0")
    assert line.calls[0].state == "answered"
    assert line.counted("outgoing") == [2]


def test_a_missed_call_is_summed_up_once() -> None:
    line = Line()
    line.say(0, "RING")
    line.say(3, "NO CARRIER", "MISSED_CALL: 09:53AM 0612345678")
    assert line.told == [("missed", "cancelled", Caller(UNAVAILABLE))]
    assert line.counted("late") == [1]
    line.say(100, "RING", "MISSED_CALL: 09:55AM 0612345678")
    assert line.told[1] == ("missed", "cancelled", SHE)
    line.say(200, "MISSED_CALL: 09:58AM 0612345678")  # it rang while nobody listened
    assert line.told[2] == ("missed", "cancelled", SHE)


def test_two_channels_of_one_modem_are_one_call() -> None:
    line = Line()
    line.say(0, "RING", "RING", CLIP, CLIP)
    line.say(3, "^CONN:1,0", "^CONN:1,0", "RING")
    line.say(9, "^CEND:1,6,104,16", "^CEND:1,6,104,16", "NO CARRIER", "NO CARRIER")
    assert line.told == [("ended", "answered", SHE)]
    assert line.counted("doubled", "calls") == [2, 1]


def test_a_caller_without_a_ring_is_no_call() -> None:
    line = Line()
    line.say(0, "DATE = 1122", "NMBR = 0612345678")
    line.say(20, "RING")
    line.quiet(60)
    assert line.told == [("missed", "no_answer", Caller(UNAVAILABLE))]
    assert line.counted("no_ring") == [1]


def test_half_a_number_is_no_number_and_the_next_ring_makes_it_whole() -> None:
    line = Line()
    line.say(0, "RING", '+CLIP: "+336123')
    assert line.told == [("ringing", None, Caller(UNPARSABLE))]
    line.say(5, "RING", CLIP)
    line.say(8, "NO CARRIER")
    assert line.told == [("missed", "cancelled", SHE)]
    assert line.counted("malformed", "known", "unparsable") == [1, 1, 0]


def test_a_data_call_is_counted_and_no_call() -> None:
    line = Line()
    line.say(0, "+CRING: REL ASYNC")
    assert (line.events, line.counted("data")) == ([], [1])


def test_a_modem_that_is_lost_ends_what_was_answered_and_lets_ring_what_rings() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.events += line.lines.lost(1_000)
    line.say(5, "RING")
    line.say(6, "^CONN:1,0")
    line.events += line.lines.lost(9_000)
    assert line.told == [("ended", "answered", SHE)]
    assert line.calls[0].duration_ms == 3_000
    assert line.counted("unseen_end", "calls") == [1, 1]


def test_leaving_ends_what_is_open() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(1, "^CONN:1,0")
    line.say(2, HIS_CLIP.replace("+CLIP", "+CCWA") + ",1")
    line.events += line.lines.close(5_000)
    assert [call.state for call in line.calls] == ["ended", "missed"]
    assert line.lines.is_idle


def test_a_ring_after_an_answer_ends_the_call_before() -> None:
    line = Line()
    line.say(0, "RING", CLIP)
    line.say(2, "^CONN:1,0")
    line.say(90, "RING", HIS_CLIP)
    line.quiet(120)
    assert [(call.state, call.caller) for call in line.calls] == [("ended", SHE), ("missed", HE)]
    assert line.counted("unseen_end") == [1]


def test_no_number_is_in_a_repr() -> None:
    line = Line()
    line.say(0, "RING", CLIP, "^CONN:1,0", HIS_CLIP.replace("+CLIP", "+CCWA") + ",1")
    assert "612345678" not in repr(vars(line.lines))
    assert "623456789" not in repr(line.events)


_LINES = st.sampled_from(
    [
        *("RING", "+CRING: VOICE", "+CRING: FAX", CLIP, HIS_CLIP, '+CLIP: "",128', '+CLIP: "06'),
        *(CLIP.replace("LIP", "CWA") + ",1", HIS_CLIP.replace("LIP", "CWA") + ",1", "+CCWA: "),
        *("^ORIG:1,0", "^CONF:1", "^CONN:1,0", "^CONN:2,0", "^CEND:1,5,104,16", "^CEND:2,0,1,17"),
        *("NO CARRIER", "BUSY", "VOICE CALL: BEGIN", "VOICE CALL: END: 000003", "NMBR = P"),
        *("MISSED_CALL: 09:53AM 0612345678", "NMBR = 0612345678", "OK", "lost", "close"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, 70_000), _LINES | st.text(max_size=20)), max_size=60))
def test_whatever_is_said_each_call_is_begun_and_ended_once(said: list[tuple[int, str]]) -> None:
    line = Line()
    at_ms = 0
    for pause_ms, text in said:
        at_ms += pause_ms
        if text == "lost":
            line.events += line.lines.lost(at_ms)
        elif text == "close":
            line.events += line.lines.close(at_ms)
        else:
            line.say(at_ms / 1000, text)
    line.events += line.lines.close(at_ms)
    assert line.lines.is_idle
    last = [event.call for event in line.events if event.phase in {"end", "missed"}]
    assert len(last) == len(set(last)) == len({event.call for event in line.events})
    counts = line.lines.counts
    assert set(counts) == set(COUNTS)
    assert counts["calls"] == counts["answered"] + counts["missed"] == len(last)
    for call in line.calls:
        assert (call.waited_ms or 0) >= 0
        assert call.duration_ms is not None
        assert (call.duration_ms > 0) == call.was_answered
    for event in line.events:
        event.touchpoint()
