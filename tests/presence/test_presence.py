"""The presence engine: visits that open and close once, silence that is understood, bad input."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.presence.engine import DROPS
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.wire.batch import decode_columns, encode_columns
from edge_sdk.wire.touchpoint import Touchpoint, check
from tests.presence.portable_presence import CHECKS, PLACES, engine, heard_at, rows_of, walk
from tests.wire.dice import Dice

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/presence.json").read_text("utf-8"))
COFFEE, KITCHEN = (3.0, 4.0), (13.0, 4.0)


def named(name: str, touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    return [touchpoint for touchpoint in touchpoints if touchpoint.name == name]


def stay(
    presence: Presence,
    from_s: int,
    until_s: int,
    where: dict[str, tuple[float, float]],
    *,
    deaf: tuple[str, ...] = (),
    offset_db: int = 0,
    loss_pct: int = 30,
) -> list[Touchpoint]:
    """Beacons that stay where they are, heard twice a second; some radios are dead."""
    dice = Dice(from_s + 1)
    out = []
    for at_ms in range(1000 * from_s, 1000 * until_s, 500):
        for beacon, place in sorted(where.items()):
            for name, rssi_dbm in heard_at(place, dice, loss_pct):
                if name not in deaf:
                    rssi = max(-127, rssi_dbm + offset_db)
                    out += presence.hear(at_ms, name, beacon, rssi)
        out += presence.tick(at_ms)
    return out


@pytest.mark.parametrize("name", [name for name, _ in CHECKS])
def test_what_a_board_does_too(name: str) -> None:
    assert dict(CHECKS)[name](VECTORS) > 0


def test_a_walk_is_two_visits_told_with_intervals_that_hold_the_truth() -> None:
    out = [t for t in walk(engine(), 3) if t.get("visitor") == "ble:walker"]
    first, second = named("visit.enter", out)
    assert (first.get("zone"), second.get("zone")) == ("coffee", "kitchen")
    ago_ms = (second.at_ms or 0) - 65_000
    assert second.get("ago_low_ms") - 2_000 <= ago_ms <= second.get("ago_high_ms") + 2_000
    left, gone = named("visit.exit", out)
    assert (left.get("visit"), gone.get("visit")) == (first.get("visit"), second.get("visit"))
    assert abs(left.get("dwell_ms") - 65_000) < 4_000
    assert left.get("dwell_low_ms") <= 65_000 <= left.get("dwell_high_ms")
    # She was heard last at 130 s; that she had left was told later.
    assert abs(gone.get("dwell_ms") - 65_000) < 7_000
    assert 135_000 < (gone.at_ms or 0) < 160_000
    dwells = [t.get("dwell_ms") for t in named("visit.dwell", out)]
    assert len(dwells) >= 5
    assert all(t.get("probability_pct") >= 50 for t in out if t.name != "position")


@pytest.mark.parametrize("offset_db", [-12, -8, 0, 8])
def test_a_phone_is_placed_however_strong_it_is(offset_db: int) -> None:
    out = stay(engine(), 0, 60, {"ble:a": COFFEE}, offset_db=offset_db)
    assert [t.get("zone") for t in named("visit.enter", out)] == ["coffee"]


def test_who_only_passes_is_no_visitor() -> None:
    presence = engine()
    out = stay(presence, 0, 2, {"ble:a": COFFEE}) + stay(presence, 2, 200, {"ble:tag": KITCHEN})
    assert {t.get("visitor") for t in named("visit.enter", out)} == {"ble:tag"}
    assert presence.beacons == 1


def test_a_short_absence_does_not_end_a_visit() -> None:
    presence = engine()
    out = stay(presence, 0, 60, {"ble:a": COFFEE, "ble:tag": KITCHEN})
    out += stay(presence, 60, 67, {"ble:tag": KITCHEN})
    out += stay(presence, 67, 100, {"ble:a": COFFEE, "ble:tag": KITCHEN})
    assert named("visit.exit", out) == []
    assert len(named("visit.enter", out)) == 2


def test_a_beacon_that_is_seldom_heard_is_given_more_time() -> None:
    def told_after(every_s: int) -> int:
        presence = engine()
        dice = Dice(5)
        for at_s in range(180):
            for name, rssi_dbm in heard_at(COFFEE, dice, 0):
                presence.hear(1000 * at_s, name, "ble:tag", rssi_dbm)
                if at_s % every_s == 0:
                    presence.hear(1000 * at_s, name, "ble:a", rssi_dbm)
        for at_s in range(180, 400):
            for name, rssi_dbm in heard_at(COFFEE, dice, 0):
                for t in presence.hear(1000 * at_s, name, "ble:tag", rssi_dbm):
                    if t.name == "visit.exit":
                        assert t.get("visitor") == "ble:a"
                        return at_s - 180
        raise AssertionError("it never leaves")

    assert told_after(1) + 5 < told_after(6)


def test_dead_radios_take_nobody_out_of_the_store() -> None:
    presence = engine()
    people = {f"ble:{n}": (COFFEE if n % 2 else KITCHEN) for n in range(8)}
    out = stay(presence, 0, 60, people)
    assert len(named("visit.enter", out)) == 8
    for at_s in range(60, 150):
        out += presence.tick(1000 * at_s)
    out += stay(presence, 150, 200, people)
    assert named("visit.exit", out) == []
    assert presence.open_visits == 8


def test_one_dead_radio_moves_nobody() -> None:
    presence = engine()
    people = {f"ble:{n}": (COFFEE if n % 2 else KITCHEN) for n in range(8)}
    out = stay(presence, 0, 60, people)
    out += stay(presence, 60, 180, people, deaf=("r1", "r4"))
    assert named("visit.exit", out) == []
    assert len(named("visit.enter", out)) == 8


def test_a_radio_that_was_moved_is_outvoted() -> None:
    presence = engine()
    dice = Dice(4)
    out = []
    swapped = {"r1": "r6", "r6": "r1"}
    for at_ms in range(0, 120_000, 500):
        for name, rssi_dbm in heard_at(COFFEE, dice):
            out += presence.hear(at_ms, swapped.get(name, name), "ble:a", rssi_dbm)
    assert [t.get("zone") for t in named("visit.enter", out)] == ["coffee"]
    assert named("visit.exit", out) == []


def test_a_phone_that_one_radio_alone_hears_is_near_it_or_nowhere() -> None:
    presence = engine()
    out = []
    for at_ms in range(0, 60_000, 500):
        for name in PLACES:
            presence.alive(at_ms, name)
        out += presence.hear(at_ms, "r1", "ble:a", -50)
    for at_ms in range(60_000, 200_000, 500):
        out += presence.tick(at_ms)
    zones = {t.get("zone") for t in named("visit.enter", out)}
    assert zones <= {"coffee"}
    assert len(named("visit.enter", out)) == len(named("visit.exit", out))


def test_the_last_beacon_leaves_when_its_radio_lives_and_after_two_minutes_if_nobody_knows() -> (
    None
):
    def told_after(alive: bool) -> int:
        presence = engine()
        stay(presence, 0, 60, {"ble:a": COFFEE})
        for at_s in range(60, 300):
            if alive:
                for name in PLACES:
                    presence.alive(1000 * at_s, name)
            if named("visit.exit", presence.tick(1000 * at_s)):
                return at_s - 60
        raise AssertionError("it never leaves")

    assert told_after(alive=True) < 30
    assert 115 <= told_after(alive=False) <= 125


def test_a_new_address_is_a_new_visitor() -> None:
    presence = engine()
    out = stay(presence, 0, 60, {"rpa:000000000001": COFFEE, "ble:tag": KITCHEN})
    out += stay(presence, 60, 120, {"rpa:000000000002": COFFEE, "ble:tag": KITCHEN})
    visits = {t.get("visitor"): t for t in named("visit.enter", out)}
    assert len(visits) == 3
    (left,) = named("visit.exit", out)
    assert left.get("visitor") == "rpa:000000000001"
    assert abs(left.get("dwell_ms") - 60_000) < 8_000


def test_summaries_of_separate_radios_give_the_same_visits_in_any_order() -> None:
    def told(seed: int) -> list[Touchpoint]:
        presence = engine(window_ms=0)
        order, dice, out = random.Random(seed), Dice(8), []
        for at_ms in range(1_000, 90_000, 1_000):
            heard = heard_at(COFFEE, dice) + heard_at(COFFEE, dice)
            medians = sorted(dict(heard).items())
            order.shuffle(medians)
            for name, rssi_dbm in medians:
                late_ms = order.randrange(900)
                out += presence.hear_summary(at_ms - late_ms, name, "ble:a", 1_000, 3, rssi_dbm, 2)
        return out

    enters = named("visit.enter", told(1))
    assert [t.get("zone") for t in enters] == ["coffee"]
    assert [t.get("zone") for t in named("visit.enter", told(2))] == ["coffee"]


def test_a_summary_that_comes_far_too_late_or_says_nothing_is_dropped() -> None:
    presence = engine()
    stay(presence, 0, 30, {"ble:a": COFFEE})
    assert presence.hear_summary(1_000, "r1", "ble:a", 1_000, 3, -60, 2) == []
    assert presence.dropped["time"] == 1
    for readings in (0, -1, 1 << 60, None, True, 2.5):
        presence.hear_summary(30_000, "r1", "ble:a", 1_000, readings, -60, 2)  # type: ignore[arg-type]
    assert presence.dropped["rssi"] == 6


def test_sightings_sum_up_every_reading_and_can_be_switched_off() -> None:
    presence = engine()
    heard = 0
    out = []
    dice = Dice(2)
    for at_ms in range(0, 30_000, 500):
        for name, rssi_dbm in heard_at(COFFEE, dice):
            heard += 1
            out += presence.hear(at_ms, name, "ble:a", rssi_dbm)
    for at_ms in range(30_000, 200_000, 1_000):
        out += presence.tick(at_ms)
    assert sum(t.get("readings") for t in named("sighting", out)) == heard
    quiet = stay(engine(window_ms=0, position_every_ms=0), 0, 30, {"ble:a": COFFEE})
    assert {t.name for t in quiet} == {"visit.enter", "visit.dwell"}


def test_positions_lie_in_the_room_and_say_how_sure_they_are() -> None:
    for position in named("position", stay(engine(), 0, 60, {"ble:a": COFFEE}))[4:]:
        off_cm = (position.get("x_cm") - 300, position.get("y_cm") - 400)
        assert all(abs(off) < 350 for off in off_cm)
        assert 50 < position.get("sd_x_cm") < 500


@pytest.mark.parametrize(
    ("at_ms", "receiver", "beacon", "rssi_dbm", "reason"),
    [
        (0, "r1", "ble:b1", 42, "rssi"),
        (0, "r1", "ble:b1", 127, "rssi"),
        (0, "r1", "ble:b1", -128, "rssi"),
        (0, "r1", "ble:b1", float("nan"), "rssi"),
        (0, "r1", "ble:b1", True, "rssi"),
        (0, "r9", "ble:b1", -60, "receiver"),
        (0, [], "ble:b1", -60, "receiver"),
        (0, "r1", "ble:b 1", -60, "beacon"),
        (0, "r1", "nothing", -60, "beacon"),
        (0, "r1", [], -60, "beacon"),
        (-1, "r1", "ble:b1", -60, "time"),
        (None, "r1", "ble:b1", -60, "time"),
        (1 << 53, "r1", "ble:b1", -60, "time"),
    ],
)
def test_what_makes_no_sense_is_dropped_and_counted(
    at_ms: Any, receiver: Any, beacon: Any, rssi_dbm: Any, reason: str
) -> None:
    presence = engine()
    assert presence.hear(at_ms, receiver, beacon, rssi_dbm) == []
    assert presence.dropped == {**dict.fromkeys(DROPS, 0), reason: 1}
    assert presence.beacons == 0


def test_a_clock_that_goes_back_is_taken_to_stand_still() -> None:
    presence = engine()
    out = stay(presence, 0, 60, {"ble:a": COFFEE})
    out += presence.hear(5_000, "r1", "ble:a", -60)
    out += stay(presence, 61, 100, {"ble:a": COFFEE})
    assert named("visit.exit", out) == []
    assert all(
        (a.at_ms or 0) <= (b.at_ms or 0)
        for a, b in zip(named("visit.dwell", out), named("visit.dwell", out)[1:], strict=False)
    )


def test_a_clock_that_leaps_closes_what_is_open() -> None:
    presence = engine()
    stay(presence, 0, 60, {"ble:a": COFFEE})
    (left,) = named("visit.exit", presence.tick((1 << 53) - 1))
    assert left.get("dwell_ms") < 70_000
    assert (presence.open_visits, presence.beacons) == (0, 0)


def test_a_flood_of_beacons_takes_no_more_memory_and_hides_nobody_who_stays() -> None:
    presence = engine(max_beacons=64, window_ms=0, position_every_ms=0)
    rng, dice, out = random.Random(1), Dice(1), []
    for number in range(20_000):
        at_ms = number * 5
        beacon = f"ble:{rng.getrandbits(48):012x}"
        out += presence.hear(at_ms, "r4", beacon, rng.randrange(-99, -60))
        if number % 40 == 0:
            for name, rssi_dbm in heard_at(COFFEE, dice):
                out += presence.hear(at_ms, name, "ble:a", rssi_dbm)
        assert presence.beacons <= 64
    assert presence.dropped["evicted"] > 19_000
    assert [t.get("visitor") for t in named("visit.enter", out)] == ["ble:a"]
    assert named("visit.exit", out) == []


def test_the_visit_of_an_evicted_beacon_is_closed() -> None:
    presence = engine(max_beacons=1, window_ms=0)
    stay(presence, 0, 60, {"ble:a": COFFEE})
    (left,) = named("visit.exit", presence.hear(60_000, "r1", "ble:b", -60))
    assert left.get("visitor") == "ble:a"


def test_the_same_readings_give_the_same_touchpoints() -> None:
    assert rows_of(walk(engine(), 5)) == rows_of(walk(engine(), 5))


def test_settings_and_receivers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        PresenceSettings(margin=1.0)
    with pytest.raises(ValueError, match="not negative"):
        PresenceSettings(return_ms=-1)
    with pytest.raises(ValueError, match="1 at least"):
        PresenceSettings(max_beacons=0)
    with pytest.raises(ValueError, match="256 receivers"):
        Presence(engine()._beliefs, [f"r{n}" for n in range(257)])


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)
)
readings = st.tuples(
    st.one_of(st.integers(0, 200_000), junk),
    st.one_of(st.sampled_from(sorted(PLACES)), junk),
    st.one_of(st.sampled_from(["ble:b1", "ble:b2", "ble:b3", "ble:b4"]), junk),
    st.one_of(st.integers(-130, 30), junk),
)


@settings(max_examples=60, deadline=None)
@given(heard=st.lists(readings, max_size=40), ticks=st.lists(junk, max_size=5))
def test_nothing_that_is_heard_can_raise(heard: list[Any], ticks: list[Any]) -> None:
    presence = engine(min_dwell_ms=500, max_beacons=3)
    out = []
    for number, (at_ms, receiver, beacon, rssi_dbm) in enumerate(heard):
        if number % 3:
            out += presence.hear(at_ms, receiver, beacon, rssi_dbm)
        else:
            out += presence.hear_summary(at_ms, receiver, beacon, 1_000, number, rssi_dbm, 2)
        presence.alive(at_ms, str(receiver))
    for at_ms in ticks:
        out += presence.tick(at_ms)
    for touchpoint in out:
        check(touchpoint)
    if out:
        assert decode_columns(encode_columns(out)) == out


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 4_000),
            st.sampled_from(sorted(PLACES)),
            st.sampled_from(["ble:b1", "ble:b2", "ble:b3"]),
            st.integers(-127, 20),
        ),
        min_size=1,
        max_size=150,
    )
)
def test_every_visit_that_opens_closes_after_it(steps: list[tuple[int, str, str, int]]) -> None:
    presence = engine(min_dwell_ms=500, change_ms=500, max_beacons=2)
    at_ms = 0
    out = []
    for wait_ms, receiver, beacon, rssi_dbm in steps:
        at_ms += wait_ms
        out += presence.hear(at_ms, receiver, beacon, rssi_dbm)
    out += presence.tick(at_ms + 125_000)
    assert (presence.open_visits, presence.beacons) == (0, 0)
    in_visit: dict[int, tuple[str, str]] = {}
    for touchpoint in out:
        who = (touchpoint.get("visitor"), touchpoint.get("zone"))
        if touchpoint.name == "visit.enter":
            assert touchpoint.get("visit") not in in_visit
            in_visit[touchpoint.get("visit")] = who
        elif touchpoint.name == "visit.exit":
            assert in_visit.pop(touchpoint.get("visit")) == who
            assert touchpoint.get("dwell_low_ms") <= touchpoint.get("dwell_ms")
            assert touchpoint.get("dwell_ms") <= touchpoint.get("dwell_high_ms")
    assert in_visit == {}
    told = Counter(t.get("readings") for t in named("sighting", out))
    assert sum(n * times for n, times in told.items()) <= len(steps)
