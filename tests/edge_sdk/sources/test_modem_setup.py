"""Commands to a modem: what is said, again, and otherwise; and what is told to people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.sources.modem_setup import (
    ANALOGUE,
    COMMAND_REFUSED,
    MOBILE,
    NO_ANSWER,
    NO_CALLER_ID,
    NO_SIM,
    PIN,
    PUK,
    SIM_FAILED,
    TROUBLES,
    ModemSetup,
)
from simulators.phone_line import Answers


class Talk:
    """A setup and a modem that talk to each other, by a clock of the test's."""

    def __init__(self, answers: Answers, *commands: str) -> None:
        self.answers = answers
        self.setup = ModemSetup(commands)
        self.setup.start(0)

    def run(self, from_s: int, to_s: int, *, is_idle: bool = True) -> None:
        for at_ms in range(1000 * from_s, 1000 * to_s, 500):
            while (command := self.setup.due(at_ms, is_idle=is_idle)) is not None:
                answer = self.answers.feed(command).decode()
                for line in filter(None, answer.replace("\n", "\r").split("\r")):
                    assert self.setup.line(line, at_ms)


def test_a_modem_with_a_sim() -> None:
    talk = Talk(Answers(MOBILE))
    talk.run(0, 2)
    assert talk.answers.heard == ["ATE0V1", "AT+CLIP=1", "AT+CRC=1", "AT+CCWA=1"]
    assert (talk.setup.kind, talk.setup.trouble) == (MOBILE, None)
    assert talk.setup.counts == {"commands": 4, "unanswered": 0, "refused": 0, "set_up": 1}


def test_an_analogue_modem_and_its_makers_own_command() -> None:
    talk = Talk(Answers(ANALOGUE), "AT!4886=02")
    talk.run(0, 2)
    assert talk.answers.heard == ["ATE0V1", "AT!4886=02", "AT+CLIP=1", "AT+VCID=1"]
    assert (talk.setup.kind, talk.setup.trouble) == (ANALOGUE, None)
    talk.run(2, 65)
    assert talk.answers.heard[4:] == ["ATE0V1", "AT!4886=02", "AT+VCID=1"]


def test_an_older_one_and_one_that_has_no_caller_id() -> None:
    talk = Talk(Answers("old"))
    talk.run(0, 2)
    assert (talk.setup.kind, talk.setup.trouble) == (ANALOGUE, None)
    talk = Talk(Answers("dumb"))
    talk.run(0, 2)
    assert (talk.setup.kind, talk.setup.trouble) == (None, NO_CALLER_ID)
    assert talk.answers.heard[-1] == "AT#CID=1"


def test_a_modem_that_sleeps_is_asked_again() -> None:
    talk = Talk(Answers(MOBILE, asleep=2))
    talk.run(0, 10)
    assert talk.answers.tells_callers
    assert talk.setup.counts["unanswered"] == 2


def test_a_port_where_nobody_answers_is_told_and_tried_for_ever() -> None:
    talk = Talk(Answers(MOBILE, asleep=3))
    talk.run(0, 12)
    assert talk.setup.trouble == NO_ANSWER
    talk.run(12, 60)
    assert talk.setup.trouble is None
    assert talk.answers.tells_callers


def test_a_sim_that_comes_late() -> None:
    talk = Talk(Answers(MOBILE, has_sim=False))
    talk.run(0, 10)
    assert talk.setup.trouble == NO_SIM
    talk.answers.put_sim_in()
    talk.run(10, 60)
    assert talk.setup.trouble is None


@pytest.mark.parametrize(
    ("said", "trouble"),
    [("11", PIN), ("SIM PIN required", PIN), ("12", PUK), ("14", SIM_FAILED), ("10", NO_SIM)],
)
def test_what_is_wrong_with_a_sim(said: str, trouble: str) -> None:
    setup = ModemSetup()
    setup.start(0)
    assert setup.due(0) == b"ATE0V1\r"
    assert setup.line("OK", 1)
    assert setup.due(2) == b"AT+CLIP=1\r"
    assert setup.line(f"+CME ERROR: {said}", 3)
    assert setup.trouble == trouble


def test_a_command_that_is_refused_is_told_and_stops_nothing() -> None:
    talk = Talk(Answers(MOBILE), "AT!9")
    talk.run(0, 2)
    assert talk.setup.trouble == COMMAND_REFUSED
    assert talk.answers.tells_callers


def test_what_lost_its_power_unseen_is_told_again_within_a_minute() -> None:
    talk = Talk(Answers(MOBILE))
    talk.run(0, 2)
    talk.answers.forget()
    talk.run(2, 50)
    assert not talk.answers.tells_callers
    talk.run(50, 65)
    assert talk.answers.tells_callers


def test_what_says_that_it_has_started_is_told_again_at_once() -> None:
    talk = Talk(Answers(MOBILE))
    talk.run(0, 2)
    talk.answers.forget()
    assert talk.setup.line("RDY", 2_000)
    assert talk.setup.line("+CPIN: READY", 2_300)
    talk.run(2, 5)
    assert talk.answers.tells_callers
    assert talk.setup.counts["unanswered"] == 0


def test_nothing_is_said_again_while_somebody_calls() -> None:
    talk = Talk(Answers(MOBILE))
    talk.run(0, 2)
    talk.run(2, 300, is_idle=False)
    assert len(talk.answers.heard) == 4
    talk.run(300, 301)
    assert len(talk.answers.heard) == 8


def test_nothing_is_said_to_a_port_that_is_lost() -> None:
    setup = ModemSetup()
    assert setup.due(0) is None
    setup.start(0)
    assert setup.due(0) is not None
    setup.stop()
    assert setup.due(100_000) is None
    assert setup.counts["unanswered"] == 0


def test_what_is_said_of_calls_is_no_answer() -> None:
    setup = ModemSetup()
    setup.start(0)
    assert not setup.line("RING", 0)
    setup.due(0)
    assert not setup.line("RING", 0)
    assert setup.line("ATE0V1", 0)
    assert not setup.line('+CLIP: "",128', 0)
    assert setup.line("OK", 0)
    assert setup.line("OK", 0)  # too late: it answers nothing


@pytest.mark.parametrize(
    "command", ["", "AT", "DT0612345678", "AT\rATD1", "AT+é", "AT" + "x" * 100]
)
def test_commands_that_are_none(command: str) -> None:
    with pytest.raises(ConfigError, match="commands") as raised:
        ModemSetup([command])
    assert "0612345678" not in str(raised.value)


_SAID = st.sampled_from(["OK", "ERROR", "+CME ERROR: 10", "+CME ERROR: 100", "RDY", "RING", "stop"])


@given(st.lists(st.tuples(st.integers(0, 70_000), _SAID | st.text(max_size=10)), max_size=50))
def test_whatever_a_modem_says_it_is_asked_again(said: list[tuple[int, str]]) -> None:
    setup = ModemSetup(["AT!1"])
    setup.start(0)
    at_ms = 0
    for pause_ms, text in said:
        at_ms += pause_ms
        setup.due(at_ms)
        if text == "stop":
            setup.stop()
            setup.start(at_ms)
        setup.line(text, at_ms)
        assert setup.trouble is None or setup.trouble in TROUBLES
    before = setup.counts["commands"]
    for later_ms in range(0, 130_000, 1_000):
        setup.due(at_ms + later_ms)
    assert setup.counts["commands"] > before
