"""Statistics of a window: what one wild reading does not move, and what is kept of many."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.presence.statistics import MAX_KEPT, Log, fenced, median, middle, summary

RSSI_DBM = st.integers(-127, 20)


@given(values=st.lists(RSSI_DBM, min_size=1, max_size=60))
def test_the_median_is_the_standard_librarys(values: list[int]) -> None:
    rising = sorted(values)
    assert median(rising) == statistics.median(rising)
    assert middle(rising) == statistics.median_high(rising)


@given(values=st.lists(st.integers(-70, -60), min_size=5, max_size=40), wild=RSSI_DBM)
def test_one_wild_reading_moves_a_summary_by_a_step_at_most(values: list[int], wild: int) -> None:
    (before, _), (after, spread) = summary(sorted(values)), summary(sorted([*values, wild]))
    assert abs(before - after) <= 10
    assert -70 <= after <= -60
    assert spread <= 10


@given(values=st.lists(RSSI_DBM, min_size=1, max_size=60))
def test_the_fences_leave_more_than_half(values: list[int]) -> None:
    rising = sorted(values)
    kept = fenced(rising)
    assert kept == sorted(kept)
    assert 2 * len(kept) > len(rising)


@given(heard=st.lists(st.tuples(st.integers(0, 255), RSSI_DBM), max_size=80))
def test_a_log_gives_back_what_it_was_given(heard: list[tuple[int, int]]) -> None:
    log = Log()
    for receiver, rssi_dbm in heard:
        log.add(receiver, rssi_dbm)
    told = [(n, rssi_dbm) for n, values, _ in log.by_receiver() for rssi_dbm in values]
    assert told == sorted(heard)


def test_a_full_log_counts_and_an_extended_one_counts_on() -> None:
    log = Log(10)
    for number in range(25):
        log.add(3, -60 - number % 2)
    ((receiver, values, readings),) = log.by_receiver()
    assert (receiver, len(values), readings) == (3, 10, 25)
    window = Log(12)
    for _ in range(3):
        window.extend(log)
    ((_, values, readings),) = window.by_receiver()
    assert (len(values), readings) == (12, 75)


def test_a_summary_of_very_many_readings_takes_no_more_room() -> None:
    log = Log()
    log.add_summary(1, -60, 50_000)
    ((_, values, readings),) = log.by_receiver()
    assert (len(values), readings) == (MAX_KEPT, 50_000)
