"""The store day: the same for one seed, in the order of time, with shoppers of every character."""

import asyncio
import math
from itertools import islice, pairwise

import pytest

from edge_sdk.sources.reading import Reading
from simulators import tracks
from simulators.gateway import captured, presence_of
from simulators.store_day import PAGES, StoreDay, collect_bodies, replay

NOW_MS = 1_772_440_200_000


def test_one_seed_is_one_day_and_another_seed_another() -> None:
    assert StoreDay(3).shoppers == StoreDay(3).shoppers
    assert list(StoreDay(3, 2).readings()) == list(StoreDay(3, 2).readings())
    first, other = StoreDay(3, 30), StoreDay(4, 30)
    assert not {s.beacon for s in first.shoppers} & {s.beacon for s in other.shoppers}


def test_a_longer_day_begins_like_a_shorter_one() -> None:
    assert StoreDay(5, 20).shoppers[:7] == StoreDay(5, 7).shoppers


def test_readings_come_in_the_order_of_time_and_none_is_lost() -> None:
    day = StoreDay(1, 8)
    readings = list(day.readings())
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(readings))
    assert len(readings) == sum(len(tracks.load(s.track).heard) for s in day.shoppers)
    assert {reading.receiver for reading in readings} == set(day.zones)
    assert readings[-1].at_ms == day.end_ms


def test_several_shoppers_are_in_the_store_at_once() -> None:
    day = StoreDay(1)
    inside = [
        sum(s.start_ms <= at_ms <= s.end_ms for s in day.shoppers)
        for at_ms in range(0, day.end_ms, 1_000)
    ]
    assert max(inside) >= 3


def test_a_day_of_many_shoppers_starts_to_play_at_once() -> None:
    day = StoreDay(1, 3_000)
    assert [reading.at_ms for reading in islice(day.readings(), 2)] == [0, 2]


@pytest.mark.parametrize("seed", range(20))
def test_six_shoppers_are_of_every_character(seed: int) -> None:
    shoppers = StoreDay(seed).shoppers
    assert len({shopper.beacon for shopper in shoppers}) == 6
    assert len({shopper.session for shopper in shoppers}) == 6
    assert sum(shopper.loyalty is None for shopper in shoppers) == 1
    assert sum(not shopper.consent for shopper in shoppers) == 1
    assert sum(set(s.interests) <= set(tracks.load(s.track).zones) for s in shoppers) == 5
    assert {category for s in shoppers for category in s.interests} <= set(PAGES)


def test_the_store_app_speaks_at_the_first_reading_of_each_known_shopper() -> None:
    day = StoreDay(1)
    first: dict[str, int] = {}
    for reading in day.readings():
        first.setdefault(reading.beacon, reading.at_ms)
    arrivals = list(day.arrivals())
    assert len(arrivals) == 5
    for at_ms, touchpoint in arrivals:
        assert touchpoint.name == "identify"
        assert first[touchpoint.get("seen")] == at_ms
    assert [a.touchpoint.get("known_as") for a in arrivals] == [
        shopper.loyalty for shopper in day.shoppers if shopper.loyalty
    ]


def test_ids_of_collect_bodies_are_unique_and_repeat_only_with_the_same_arguments() -> None:
    shoppers = StoreDay(1, 60).shoppers
    bodies = [body for s in shoppers for body in collect_bodies(s, NOW_MS + s.start_ms)]
    assert len({body["id"] for body in bodies}) == len(bodies) == 120
    again = [body for s in shoppers for body in collect_bodies(s, NOW_MS + s.start_ms)]
    assert again == bodies
    later = [body["id"] for s in shoppers for body in collect_bodies(s, NOW_MS + 1)]
    assert not {body["id"] for body in bodies} & set(later)


def test_the_web_history_is_past_in_order_and_says_who_and_what() -> None:
    for shopper in StoreDay(1).shoppers:
        bodies = collect_bodies(shopper, NOW_MS)
        events = [e for body in bodies for e in body["events"]]  # type: ignore[attr-defined]
        assert all(body["session"] == shopper.session for body in bodies)
        times = [event["at_ms"] for event in events]
        assert times == sorted(times)
        assert times[-1] < NOW_MS
        assert all("ago_ms" not in event for event in events)
        logins = [event["known_as"] for event in events if event["type"] == "identify"]
        assert logins == ([shopper.loyalty] if shopper.loyalty else [])
        (consent,) = [event["granted"] for event in events if event["type"] == "consent"]
        assert consent is shopper.consent
        viewed = {event["category"] for event in events if event["type"] == "page.view"}
        assert set(shopper.interests) <= viewed


def test_who_browsed_a_zone_she_walks_through_is_seen_there() -> None:
    day = StoreDay(1)
    seen = {
        (touchpoint.get("visitor"), touchpoint.get("zone"))
        for touchpoint in captured(day, presence_of(day))
        if touchpoint.name == "visit.enter"
    }
    met = [s.name for s in day.shoppers if (s.visitor, s.interests[0]) in seen]
    assert len(met) == 5


def test_a_captured_day_ends_with_no_visit_open() -> None:
    day = StoreDay(2, 9)
    engine = presence_of(day)
    names = [touchpoint.name for touchpoint in captured(day, engine)]
    assert names.count("visit.enter") == names.count("visit.exit") > 9
    assert engine.open_visits == 0


class LateSleeper:
    """A clock whose sleeps all end 50 ms late."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sleeps = 0

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now_s += seconds + 0.05 if seconds else 0.0


def test_replay_keeps_pace_and_lateness_never_adds_up() -> None:
    async def play() -> None:
        time = LateSleeper()
        readings = [Reading(at_ms, "r1", "b1", -60) for at_ms in range(0, 60_000, 1_000)]
        async for reading in replay(readings, 2, time.sleep, time.clock):
            late_s = time.now_s - 100.0 - reading.at_ms / 2_000
            assert -1e-6 <= late_s < 0.051

    asyncio.run(play())


def test_replay_without_waiting_still_lets_others_run() -> None:
    async def play() -> None:
        time = LateSleeper()
        readings = (Reading(at_ms, "r1", "b1", -60) for at_ms in range(1_000))
        assert len([r async for r in replay(readings, math.inf, time.sleep, time.clock)]) == 1_000
        assert time.now_s == 100.0
        assert time.sleeps == 16

    asyncio.run(play())


def test_replay_refuses_to_go_backwards() -> None:
    async def play() -> None:
        with pytest.raises(ValueError, match="more than 0"):
            await anext(aiter(replay([Reading(0, "r1", "b1", -60)], 0)))

    asyncio.run(play())
