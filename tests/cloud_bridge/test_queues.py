"""Whose turn it is: fair by device, urgent first, and nobody is left waiting."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.queues import RUN, FairQueue, Turnstile
from cloud_bridge.turn import Arrival

WAIT_S = 30.0


def arrival(device: int, number: int, received_ms: int = 0) -> Arrival:
    return Arrival(f"acme/up/{device}", b"", received_ms, ("live", device, number))


def names(arrivals: list[Arrival]) -> list[tuple[int, int]]:
    return [arrival.token[1:] for arrival in arrivals]


# FairQueue


def test_a_run_of_each_device_in_the_order_of_their_coming() -> None:
    queue = FairQueue(100)
    for device, count in ((1, 2 * RUN), (2, 1), (3, RUN + 1)):
        for number in range(count):
            assert queue.put(arrival(device, number))
    first = [(1, number) for number in range(RUN)]
    assert names(queue.take(RUN + 1)) == [*first, (2, 0)]
    second = [(3, number) for number in range(RUN)]
    rest = [(1, number) for number in range(RUN, 2 * RUN)]
    assert names(queue.take(100)) == [*second, *rest, (3, RUN)]
    assert len(queue) == 0
    assert queue.take(5) == []


def test_however_fast_one_adds_the_others_wait_for_one_run_of_it() -> None:
    queue = FairQueue(1000)
    number = served = 0
    since = {2: 0, 3: 0}
    heard = 0
    for device in (1, 2, 3):
        assert queue.put(arrival(device, number))
    for most in (1, 2, 3, RUN + 1, RUN + 2) * 8:
        while queue.put(arrival(1, number)):
            number += 1
        taken = names(queue.take(most))
        for at, (device, _) in enumerate(taken, heard):
            if device in since:
                assert at - since[device] <= RUN + 1  # a run of the first, one of the other's
                served += 1
        heard += len(taken)
        for device in {2, 3} & {device for device, _ in taken}:
            since[device] = heard
            assert queue.put(arrival(device, number))
    assert served > 20


def test_who_floods_has_a_share_and_no_more() -> None:
    queue = FairQueue(20, share=8)
    taken = [queue.put(arrival(1, number)) for number in range(50)]
    assert taken == [True] * 8 + [False] * 42
    assert all(queue.put(arrival(2, number)) for number in range(8))
    assert [queue.put(arrival(3, number)) for number in range(5)] == [True] * 4 + [False]
    assert len(queue) == 20
    assert Counter(device for device, _ in names(queue.take(2 * RUN + 2))) == {1: 4, 2: 4, 3: 2}
    assert queue.put(arrival(1, 99))


def test_what_is_put_back_comes_first_and_in_its_order() -> None:
    queue = FairQueue(4, share=2)
    for number in range(2):
        queue.put(arrival(1, number))
        queue.put(arrival(2, number))
    taken = queue.take(3)
    for number in (7, 8):
        queue.put(arrival(3, number))
    queue.put_back(taken)  # more than may wait: nothing that was taken is dropped
    assert len(queue) == 6
    assert not queue.put(arrival(4, 0))
    left = names(queue.take(100))
    for device in (1, 2, 3):
        numbers = [number for other, number in left if other == device]
        assert numbers == sorted(numbers)
    assert left.index((1, 0)) < left.index((3, 7))
    assert sorted(left) == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 7), (3, 8)]


def test_how_long_the_oldest_has_waited() -> None:
    queue = FairQueue(10)
    assert queue.oldest_ms() is None
    queue.put(arrival(1, 0, 50))
    queue.put(arrival(2, 0, 40))
    queue.put(arrival(1, 1, 60))
    assert queue.oldest_ms() == 40
    queue.take(1)
    assert queue.oldest_ms() == 40
    queue.take(2)
    assert queue.oldest_ms() is None
    queue.put_back([arrival(1, 1, 60)])
    assert queue.oldest_ms() == 60


@given(
    st.lists(
        st.tuples(st.just("put"), st.integers(1, 4))
        | st.tuples(st.just("take"), st.integers(0, 3 * RUN))
        | st.tuples(st.just("back"), st.integers(0, 3 * RUN)),
        max_size=100,
    )
)
def test_nothing_is_lost_doubled_or_overtaken_by_its_own_device(
    steps: list[tuple[str, int]],
) -> None:
    queue = FairQueue(24, share=2 * RUN + 2)
    put = 0
    waiting: dict[int, list[int]] = {device: [] for device in range(1, 5)}
    for what, value in steps:
        if what == "put":
            has_room = sum(map(len, waiting.values())) < 24 and len(waiting[value]) < 2 * RUN + 2
            assert queue.put(arrival(value, put)) == has_room
            if has_room:
                waiting[value].append(put)
            put += 1
            continue
        taken = queue.take(value)
        counts = Counter(device for device, _ in names(taken))
        for device, number in names(taken):
            assert waiting[device].pop(0) == number
        rounds = -(-max(counts.values(), default=0) // RUN)
        for device, left in waiting.items():  # nobody had two runs while another who waits had none
            assert not left or counts[device] >= RUN * (rounds - 1)
        runs = sum(1 for _ in groupby(names(taken), key=itemgetter(0)))
        assert runs <= sum(-(-count // RUN) for count in counts.values())  # and they were in a row
        if what == "back":
            queue.put_back(taken)
            for device, number in reversed(names(taken)):
                waiting[device].insert(0, number)
        assert len(queue) == sum(map(len, waiting.values()))


# Turnstile


@pytest.fixture
def often() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_whoever_is_urgent_is_first_and_the_rest_in_their_order() -> None:
    turnstile = Turnstile()
    done: list[str] = []
    assert turnstile.try_enter()
    threads = []
    for at, name in enumerate(("slow 1", "urgent 1", "slow 2", "urgent 2"), 1):

        def work(name: str = name) -> None:
            with turnstile.turn(name.startswith("urgent")):
                done.append(name)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        while len(turnstile._urgent) + len(turnstile._others) < at:
            pass
    assert not turnstile.try_enter()
    turnstile.leave()
    for thread in threads:
        thread.join(WAIT_S)
    assert done == ["urgent 1", "urgent 2", "slow 1", "slow 2"]
    assert turnstile.try_enter()


def test_a_turn_that_fails_is_given_on() -> None:
    turnstile = Turnstile()
    with pytest.raises(ZeroDivisionError), turnstile.turn(urgent=False):
        raise ZeroDivisionError
    assert turnstile.try_enter()


@pytest.mark.usefixtures("often")
def test_no_two_have_a_turn_at_once_and_no_wake_up_is_lost() -> None:
    turnstile = Turnstile()
    within = 0
    most = 0
    turns: Counter[int] = Counter()

    def enter(me: int) -> None:
        nonlocal within, most
        within += 1
        most = max(most, within)
        turns[me] += 1
        within -= 1

    def work(me: int) -> None:
        lot = random.Random(me)
        for _ in range(400):
            if lot.random() < 0.3:
                if turnstile.try_enter():
                    try:
                        enter(me)
                    finally:
                        turnstile.leave()
            else:
                with turnstile.turn(urgent=lot.random() < 0.5):
                    enter(me)

    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1
    assert all(turns[me] > 200 for me in range(6))
    assert turnstile.try_enter()
