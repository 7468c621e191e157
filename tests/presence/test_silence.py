"""How long a beacon may be silent: what is learned of it, and what that means."""

from edge_sdk.presence.silence import Silence


def gone_after(heard: str, seconds: int) -> float:
    """`heard`: a plus for a step in which it was heard; then it is silent."""
    silence = Silence()
    for letter in heard:
        if letter == "+":
            silence.hear(1.0)
        else:
            silence.miss()
    for _ in range(seconds):
        silence.miss()
    return silence.gone(1.0)


def test_what_was_just_heard_is_there() -> None:
    assert gone_after("+" * 20, 0) == 0.0


def test_the_longer_the_silence_the_surer_it_is() -> None:
    for heard in ("+" * 60, "+-" * 30, "+---" * 20):
        chances = [gone_after(heard, seconds) for seconds in range(1, 120)]
        assert chances == sorted(chances)
        assert chances[0] < 0.1
        assert chances[-1] > 0.99


def test_who_is_seldom_heard_is_given_longer() -> None:
    often, sometimes, seldom = (
        gone_after(heard, 10) for heard in ("+" * 90, "+-" * 45, "+----" * 18)
    )
    assert often > 0.8
    assert min(often, sometimes) > seldom
    assert seldom < 0.6


def test_a_gap_that_was_survived_makes_the_next_one_less_telling() -> None:
    never, once = "+" * 60, "+" * 40 + "-" * 14 + "+" * 6
    assert gone_after(once, 9) < gone_after(never, 9)
    # And is forgotten: after an hour it is as if it had not been.
    assert gone_after(once + "+" * 3_600, 9) > 0.9 * gone_after("+" * 3_600, 9)


def test_a_longer_step_says_as_much_in_the_same_time() -> None:
    fast, slow = Silence(), Silence()
    for _ in range(60):
        fast.hear(1.0)
        slow.hear(5.0)
    for _ in range(20):
        fast.miss()
    for _ in range(4):
        slow.miss()
    assert abs(fast.gone(1.0) - slow.gone(5.0)) < 0.1
