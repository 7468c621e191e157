"""Which number is lent next: least recently used, and parts for likely callers where they pay."""

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.intent_check import BINS, IntentCheck, bin_of

NUMBERS = [f"+3312345{n:04}" for n in range(40)]
LIKELY, UNLIKELY = 0.35, 0.005


def taught(
    seed: int, visitors: int, *, honest: bool, numbers: list[str] = NUMBERS
) -> tuple[Allocation, int]:
    """An allocation that so many visitors have passed, and after how many it was divided."""
    draw = random.Random(seed)
    allocation = Allocation(numbers, split=True)
    divided = 0
    for _ in range(visitors):
        rate = LIKELY if draw.random() < 0.1 else UNLIKELY
        score = rate if honest else (LIKELY if draw.random() < 0.1 else UNLIKELY)
        number = allocation.take(score)
        assert number is not None
        allocation.give_back(number)
        allocation.learned(score, draw.random() < rate)
        divided += allocation.division is not None
    return allocation, divided


@given(st.lists(st.one_of(st.just(-1), st.integers(0, 7)), max_size=60), st.booleans())
def test_without_a_worthy_score_it_is_a_plain_queue(steps: list[int], split: bool) -> None:
    """Checked against a deque: -1 lends, anything else gives the n-th lent number back."""
    allocation = Allocation(NUMBERS[:5], split=split)
    queue, lent = deque(NUMBERS[:5]), []
    for step in steps:
        if step < 0:
            expected = queue.popleft() if queue else None
            assert allocation.take(0.5) == expected
            if expected:
                lent.append(expected)
        elif step < len(lent):
            number = lent.pop(step)
            allocation.give_back(number)
            queue.append(number)
        assert list(allocation.free) == list(queue)
        assert len(allocation.free) == len(queue)


def test_a_score_that_tells_callers_gives_them_numbers_of_their_own() -> None:
    allocation, divided = taught(1, 20_000, honest=True)
    assert divided > 19_000
    assert 16 <= allocation.likely_numbers <= 30  # of 40, for a tenth of the visitors
    theirs = {allocation.take(LIKELY) for _ in range(allocation.likely_numbers)}
    others = {allocation.take(UNLIKELY) for _ in range(len(NUMBERS) - len(theirs))}
    assert len(theirs | others) == len(NUMBERS)
    assert None not in theirs | others
    assert allocation.take(LIKELY) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_score_that_tells_nothing_leaves_one_queue(seed: int) -> None:
    allocation, divided = taught(seed, 20_000, honest=False)
    assert divided == 0
    assert list(allocation.free) == NUMBERS  # 20,000 visitors are 500 rounds
    assert [allocation.take(LIKELY), allocation.take(UNLIKELY)] == NUMBERS[:2]


def test_a_score_that_stops_telling_is_given_up_and_the_queue_is_whole_again() -> None:
    allocation, _ = taught(1, 20_000, honest=True)
    draw = random.Random(2)
    for _ in range(100_000):
        score = LIKELY if draw.random() < 0.1 else UNLIKELY
        number = allocation.take(score)
        assert number is not None
        allocation.give_back(number)
        allocation.learned(score, draw.random() < 0.04)
        if allocation.division is None:
            break
    assert allocation.division is None
    oldest = list(allocation.free)
    assert [allocation.take(LIKELY if n % 2 else UNLIKELY) for n in range(40)] == oldest


def test_nobody_is_refused_while_the_other_part_has_a_number() -> None:
    allocation, _ = taught(1, 20_000, honest=True)
    assert all(allocation.take(UNLIKELY) for _ in NUMBERS)
    assert len(allocation.free) == 0
    assert allocation.take(UNLIKELY) is None
    for number in NUMBERS:
        allocation.give_back(number)
    assert all(allocation.take(LIKELY) for _ in NUMBERS)


def test_visitors_nobody_scored_go_where_they_call_as_often() -> None:
    for rate, likely in ((0.3, True), (0.004, False)):
        check = IntentCheck()
        draw = random.Random(3)
        for _ in range(6_400):
            kind = draw.random()
            score = None if kind < 0.2 else LIKELY if kind < 0.3 else UNLIKELY
            check.learned(score, draw.random() < (rate if score is None else score))
        assert check.division is not None
        assert check.division.likely(None) is likely
        assert check.division.likely(LIKELY)
        assert not check.division.likely(UNLIKELY)


def test_numbers_come_and_go() -> None:
    allocation = Allocation(NUMBERS[:2], split=True)
    allocation.add(NUMBERS[2])
    assert allocation.take(None) == NUMBERS[0]
    allocation.remove(NUMBERS[0])  # lent
    allocation.remove(NUMBERS[1])  # free
    assert allocation.claim(NUMBERS[2])
    assert not allocation.claim(NUMBERS[2])
    assert allocation.take(None) is None
    allocation.give_back(NUMBERS[2])
    assert list(allocation.free) == [NUMBERS[2]]
    assert NUMBERS[2] in allocation.free


def test_an_only_number_serves_everybody() -> None:
    allocation, _ = taught(1, 5_000, honest=True, numbers=NUMBERS[:1])
    assert allocation.division is not None
    assert allocation.take(UNLIKELY) == NUMBERS[0]


def test_mistakes_are_refused_without_naming_anything() -> None:
    allocation = Allocation(NUMBERS[:2], split=True)
    with pytest.raises(ValueError, match="already"):
        allocation.add(NUMBERS[0])
    with pytest.raises(ValueError, match="not in the pool"):
        allocation.remove(NUMBERS[9])
    for number in (NUMBERS[0], NUMBERS[9]):
        with pytest.raises(ValueError, match="not lent"):
            allocation.give_back(number)
    for score in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="probability"):
            allocation.learned(score, True)
    assert len(allocation.free) == 2


def test_bins_are_in_the_order_of_scores() -> None:
    bins = [bin_of(step / 1000) for step in range(1001)]
    assert bins == sorted(bins)
    assert (bins[0], bins[-1]) == (0, BINS - 1)


def test_what_was_learned_outlives_a_restart() -> None:
    allocation, _ = taught(1, 6_400, honest=True)
    again = IntentCheck.of(allocation.check.state())
    assert again.division == allocation.check.division is not None
    for wrong in (
        {},
        {"visitors": [1.0], "calls": [1.0]},
        {"visitors": [0.0] * (BINS + 1), "calls": [1.0] * (BINS + 1)},
        {"visitors": [float("nan")] * (BINS + 1), "calls": [0.0] * (BINS + 1)},
    ):
        with pytest.raises(ValueError, match="an intent check"):
            IntentCheck.of(wrong)


def test_likely_callers_leave_the_others_what_these_hold_at_once() -> None:
    """Ten numbers, of which the others hold four or five: not even half are left."""
    draw = random.Random(4)
    allocation = Allocation(NUMBERS[:10], split=True)
    held: deque[str] = deque()
    for _ in range(20_000):
        rate = LIKELY if draw.random() < 0.1 else UNLIKELY
        if (number := allocation.take(rate)) is not None:
            held.append(number)
        allocation.learned(rate, draw.random() < rate)
        if len(held) > 5:
            allocation.give_back(held.popleft())
    assert allocation.division is not None
    assert allocation.division.share > 0.55
    assert 1 <= allocation.likely_numbers <= 3
