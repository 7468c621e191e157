"""The strongest receiver with hysteresis: visits, sightings, positions, and what it refuses."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.presence.engine import DROPS
from edge_sdk.presence.nearest import MAX_READINGS, NearestReceiver
from edge_sdk.wire.batch import decode_columns, encode_columns
from edge_sdk.wire.touchpoint import Touchpoint, check
from simulators import tracks

ZONES = {"r1": "coffee", "r2": "kitchen", "r3": "kitchen"}
PLACES_M = {"r1": (0.0, 0.0), "r2": (10.0, 0.0), "r3": (10.0, 10.0)}


def stay(
    engine: NearestReceiver, from_ms: int, until_ms: int, rssi_dbm: dict[str, int]
) -> list[Touchpoint]:
    """A beacon heard ten times a second, always the same."""
    out = []
    for at_ms in range(from_ms, until_ms, 100):
        for receiver in sorted(rssi_dbm):
            out += engine.hear(at_ms, receiver, "ble:b1", rssi_dbm[receiver])
    return out


def named(name: str, touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    return [touchpoint for touchpoint in touchpoints if touchpoint.name == name]


def walked(engine: NearestReceiver, name: str) -> list[Touchpoint]:
    """A recorded track, and then silence."""
    out = []
    track = tracks.load(name)
    for heard in track.heard:
        out += engine.hear(heard.at_ms, heard.receiver, "ble:b1", heard.rssi_dbm)
    return out + engine.tick(track.lasts_ms + 60_000)


def store_engine(hysteresis_db: int = 3, settle_ms: int = 3_000) -> NearestReceiver:
    zones = {receiver.name: receiver.zone for receiver in tracks.receivers()}
    places_m = {r.name: (r.x_m, r.y_m) for r in tracks.receivers()}
    return NearestReceiver(zones, places_m, hysteresis_db=hysteresis_db, settle_ms=settle_ms)


def test_a_visit_opens_after_a_minimum_stay_dwells_and_closes_on_silence() -> None:
    engine = NearestReceiver(ZONES, PLACES_M, settle_ms=3_000, dwell_marks_ms=(10_000, 30_000))
    out = stay(engine, 0, 12_000, {"r1": -60, "r2": -80})
    (enter,) = named("visit.enter", out)
    assert (enter.get("visitor"), enter.get("zone"), enter.get("visit")) == ("ble:b1", "coffee", 1)
    assert enter.at_ms is not None
    assert 3_000 <= enter.at_ms < 4_500
    (dwell,) = named("visit.dwell", out)
    assert 10_000 <= dwell.get("dwell_ms") < 11_000
    assert engine.open_visits == 1
    assert named("visit.exit", engine.tick(20_000)) == []
    (leave,) = named("visit.exit", engine.tick(32_000))
    # What is told of a stay ends when the beacon was heard last, not when that was noticed.
    assert 11_000 <= leave.get("dwell_ms") <= 12_000
    assert (engine.open_visits, engine.beacons) == (0, 0)
    assert engine.tick(99_000) == []


def test_who_only_passes_is_not_a_visitor() -> None:
    engine = NearestReceiver(ZONES, settle_ms=3_000)
    out = stay(engine, 0, 2_000, {"r1": -60}) + engine.tick(60_000)
    assert [touchpoint.name for touchpoint in out] == ["sighting"]


def test_another_zone_must_be_clearly_stronger_for_a_while() -> None:
    engine = NearestReceiver(ZONES, hysteresis_db=4, settle_ms=3_000)
    stay(engine, 0, 10_000, {"r1": -70, "r2": -80})
    assert named("visit.exit", stay(engine, 10_000, 30_000, {"r1": -70, "r2": -67})) == []
    assert named("visit.exit", stay(engine, 30_000, 32_500, {"r1": -70, "r2": -60})) == []
    assert named("visit.exit", stay(engine, 32_500, 45_000, {"r1": -70, "r2": -75})) == []
    out = stay(engine, 45_000, 60_000, {"r1": -75, "r2": -60})
    assert [t.name for t in out if t.name in ("visit.enter", "visit.exit")] == [
        "visit.exit",
        "visit.enter",
    ]
    assert named("visit.enter", out)[0].get("visit") == 2


def test_a_zone_is_as_strong_as_its_strongest_receiver() -> None:
    engine = NearestReceiver(ZONES)
    out = stay(engine, 0, 10_000, {"r1": -70, "r2": -90, "r3": -60})
    assert named("visit.enter", out)[0].get("zone") == "kitchen"


def test_a_sighting_sums_up_a_window_with_median_and_spread() -> None:
    engine = NearestReceiver(ZONES, window_ms=1_000)
    for at_ms, rssi_dbm in ((0, -70), (200, -72), (400, -30), (600, -71), (800, -73)):
        assert engine.hear(at_ms, "r1", "ble:b1", rssi_dbm) == []
    (sighting,) = named("sighting", engine.tick(1_100))
    assert sighting.at_ms == 1_000
    assert sighting.values == ("r1", "ble:b1", 1_000, 5, -71, 1)
    assert named("sighting", engine.tick(2_100)) == []


def test_a_position_lies_among_the_receivers_nearest_to_the_strongest() -> None:
    engine = NearestReceiver(ZONES, PLACES_M)
    position = named("position", stay(engine, 0, 5_000, {"r1": -60, "r2": -66}))[-1]
    assert 300 < position.get("x_cm") < 370
    assert position.get("y_cm") == 0
    assert position.get("sd_x_cm") >= 200


def test_without_places_there_are_no_positions() -> None:
    engine = NearestReceiver(ZONES)
    assert named("position", stay(engine, 0, 9_000, {"r1": -60})) == []


@pytest.mark.parametrize(
    ("at_ms", "receiver", "beacon", "rssi_dbm", "reason"),
    [
        (0, "r1", "ble:b1", 42, "rssi"),
        (0, "r1", "ble:b1", 127, "rssi"),
        (0, "r1", "ble:b1", -128, "rssi"),
        (0, "r1", "ble:b1", -60.0, "rssi"),
        (0, "r1", "ble:b1", True, "rssi"),
        (0, "r9", "ble:b1", -60, "receiver"),
        (0, [], "ble:b1", -60, "receiver"),
        (0, "r1", "", -60, "beacon"),
        (0, "r1", "ble:b 1", -60, "beacon"),
        (0, "r1", "\ud800", -60, "beacon"),
        (0, "r1", "ble:" + "b" * 93, -60, "beacon"),
        (0, "r1", b"ble:b1", -60, "beacon"),
        (-1, "r1", "ble:b1", -60, "time"),
        (None, "r1", "ble:b1", -60, "time"),
        (1 << 53, "r1", "ble:b1", -60, "time"),
    ],
)
def test_what_makes_no_sense_is_dropped_and_counted(
    at_ms: Any, receiver: Any, beacon: Any, rssi_dbm: Any, reason: str
) -> None:
    engine = NearestReceiver(ZONES)
    assert engine.hear(at_ms, receiver, beacon, rssi_dbm) == []
    assert engine.dropped == {**dict.fromkeys(DROPS, 0), reason: 1}
    assert engine.beacons == 0


def test_the_impossible_readings_of_the_recordings_are_counted_and_dropped() -> None:
    engine = store_engine()
    above = [h.rssi_dbm for h in tracks.load("straight_05").heard if h.rssi_dbm > 0]
    assert above == [42, 29]
    sightings = named("sighting", walked(engine, "straight_05"))
    assert engine.dropped["rssi"] == 2
    heard = len(tracks.load("straight_05").heard)
    assert sum(sighting.get("readings") for sighting in sightings) == heard - 2


@pytest.mark.parametrize("name", tracks.TRACKS)
def test_every_visit_of_a_recorded_walk_opens_once_and_closes_once(name: str) -> None:
    engine = store_engine()
    out = walked(engine, name)
    entered = [touchpoint.get("visit") for touchpoint in named("visit.enter", out)]
    left = [touchpoint.get("visit") for touchpoint in named("visit.exit", out)]
    assert entered == left == list(range(1, len(entered) + 1))
    assert named("visit.enter", out)[0].get("zone") == tracks.ENTRANCE
    assert engine.open_visits == 0


def test_hysteresis_changes_zones_less_often_than_the_strongest_receiver() -> None:
    def changes(hysteresis_db: int, settle_ms: int) -> int:
        engines = {name: store_engine(hysteresis_db, settle_ms) for name in tracks.TRACKS}
        enters = [named("visit.enter", walked(engines[name], name)) for name in engines]
        return sum(len(of_track) - 1 for of_track in enters)

    true_changes = sum(len(tracks.load(name).zones) - 1 for name in tracks.TRACKS)
    assert true_changes == 10
    assert changes(3, 3_000) <= 2 * true_changes
    assert changes(0, 0) > 4 * changes(3, 3_000)


def test_the_order_of_a_dictionary_does_not_matter() -> None:
    zones = {receiver.name: receiver.zone for receiver in tracks.receivers()}
    backwards = dict(reversed(zones.items()))
    assert walked(NearestReceiver(zones), "straight_01") == walked(
        NearestReceiver(backwards), "straight_01"
    )


def test_a_flood_of_beacons_takes_no_more_memory_and_hides_nobody_who_stays() -> None:
    engine = NearestReceiver(ZONES, max_beacons=64)
    rng = random.Random(1)
    out = []
    for number in range(10_000):
        at_ms = number * 2
        out += engine.hear(at_ms, "r2", f"ble:{rng.getrandbits(48):012x}", rng.randrange(-99, -60))
        if number % 50 == 0:
            out += engine.hear(at_ms, "r1", "ble:b1", -60)
        assert engine.beacons <= 64
    assert engine.dropped["evicted"] == 10_001 - 64
    assert [t.get("visitor") for t in named("visit.enter", out)] == ["ble:b1"]
    assert named("visit.exit", out) == []


def test_the_visit_of_an_evicted_beacon_is_closed() -> None:
    engine = NearestReceiver(ZONES, max_beacons=1)
    stay(engine, 0, 8_000, {"r1": -60})
    (leave,) = engine.hear(8_100, "r1", "ble:b2", -60)
    assert (leave.name, leave.get("visitor")) == ("visit.exit", "ble:b1")
    assert engine.dropped["evicted"] == 1


def test_a_window_with_very_many_readings_counts_them_all_and_keeps_few() -> None:
    engine = NearestReceiver(ZONES)
    out = []
    for at_ms in range(6_000):
        out += engine.hear(at_ms, "r1", "ble:b1", -60)
    assert named("sighting", out)[0].get("readings") == 5_000
    kept = engine._beacons["ble:b1"].heard["r1"]
    assert len(kept.at_ms) == len(kept.rssi_dbm) == MAX_READINGS


def test_a_clock_that_goes_back_is_taken_to_stand_still() -> None:
    engine = NearestReceiver(ZONES)
    engine.hear(50_000, "r1", "ble:b1", -60)
    engine.hear(10_000, "r1", "ble:b1", -60)
    out = engine.tick(70_000)
    assert [touchpoint.at_ms for touchpoint in named("sighting", out)] == [55_000]


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="1 at least"):
        NearestReceiver(ZONES, max_beacons=0)


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)
)
readings = st.tuples(
    st.one_of(st.integers(0, 200_000), junk),
    st.one_of(st.sampled_from(sorted(ZONES)), junk),
    st.one_of(st.sampled_from(["ble:b1", "ble:b2", "ble:b3", "ble:b4"]), junk),
    st.one_of(st.integers(-130, 30), junk),
)


@settings(max_examples=150, deadline=None)
@given(heard=st.lists(readings, max_size=60), ticks=st.lists(junk, max_size=5))
def test_nothing_that_is_heard_can_raise(heard: list[Any], ticks: list[Any]) -> None:
    engine = NearestReceiver(ZONES, PLACES_M, settle_ms=500, max_beacons=3)
    out = []
    for at_ms, receiver, beacon, rssi_dbm in heard:
        out += engine.hear(at_ms, receiver, beacon, rssi_dbm)
    for at_ms in ticks:
        out += engine.tick(at_ms)
    for touchpoint in out:
        check(touchpoint)
    if out:
        assert decode_columns(encode_columns(out)) == out


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 4_000),
            st.sampled_from(sorted(ZONES)),
            st.sampled_from(["ble:b1", "ble:b2", "ble:b3"]),
            st.integers(-127, 20),
        ),
        min_size=1,
        max_size=200,
    )
)
def test_every_visit_that_opens_closes_after_it(steps: list[tuple[int, str, str, int]]) -> None:
    engine = NearestReceiver(ZONES, settle_ms=500, max_beacons=2)
    at_ms = 0
    out = []
    for wait_ms, receiver, beacon, rssi_dbm in steps:
        at_ms += wait_ms
        out += engine.hear(at_ms, receiver, beacon, rssi_dbm)
    out += engine.tick(at_ms + 20_000)
    assert (engine.open_visits, engine.beacons) == (0, 0)
    in_visit: dict[int, tuple[str, str]] = {}
    for touchpoint in out:
        who = (touchpoint.get("visitor"), touchpoint.get("zone"))
        if touchpoint.name == "visit.enter":
            assert touchpoint.get("visit") not in in_visit
            in_visit[touchpoint.get("visit")] = who
        elif touchpoint.name == "visit.exit":
            assert in_visit.pop(touchpoint.get("visit")) == who
            assert touchpoint.get("dwell_ms") >= 0
    assert in_visit == {}
    told = Counter(t.get("readings") for t in named("sighting", out))
    assert sum(n * times for n, times in told.items()) <= len(steps)
