"""Geofences: metres on the ellipsoid, visits that do not flap, and fences that cannot be."""

import math
import random

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.presence.floor import PlanError
from edge_sdk.presence.geofence import DROPS, Fence, Geofences
from edge_sdk.wire.touchpoint import Touchpoint

WGS84 = Geodesic.WGS84
STORE = (48.8706, 2.3317)


def away(place: tuple[float, float], bearing_deg: float, distance_m: float) -> tuple[float, float]:
    there = WGS84.Direct(*place, bearing_deg, distance_m)
    return there["lat2"], there["lon2"]


def square(middle: tuple[float, float], half_m: float) -> list[tuple[float, float]]:
    return [away(middle, bearing, half_m * math.sqrt(2)) for bearing in (45, 135, 225, 315)]


LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.9999, 0.0]))
LONGITUDES = st.one_of(st.floats(-180, 180), st.sampled_from([180.0, -180.0, 179.9999, 0.0]))


@given(LATITUDES, LONGITUDES, st.floats(5, 20_000), st.floats(0, 360), st.floats(0, 20_000))
def test_a_circle_is_as_wide_as_the_geodesic_says(
    latitude: float, longitude: float, radius_m: float, bearing: float, distance_m: float
) -> None:
    fence = Fence.circle("a", latitude, longitude, radius_m)
    there = away((latitude, longitude), bearing, distance_m)
    assert fence.depth_m(*there) == pytest.approx(radius_m - distance_m, abs=0.05)


@given(LATITUDES, LONGITUDES, st.floats(20, 5_000), st.floats(0.0, 0.999), st.floats(0, 360))
def test_a_polygon_holds_what_is_in_it_at_poles_and_antimeridian_too(
    latitude: float, longitude: float, half_m: float, part: float, bearing: float
) -> None:
    middle = (latitude, longitude)
    fence = Fence.polygon("a", square(middle, half_m))
    assert fence.depth_m(*middle) == pytest.approx(half_m, rel=0.001, abs=0.1)
    assert fence.depth_m(*away(middle, bearing, half_m * part)) > 0
    assert fence.depth_m(*away(middle, bearing, half_m * math.sqrt(2) * 1.001)) < 0


def test_a_fence_round_the_pole_and_one_over_the_antimeridian() -> None:
    pole = Fence.polygon("pole", [(89.9, 0), (89.9, 90), (89.9, 180), (89.9, -90)])
    assert pole.depth_m(90, 12.3) > 7_000
    assert pole.depth_m(89.95, -135) > 0
    assert pole.depth_m(89.8, 0) < -10_000
    corners = [(-16.8, 179.95), (-16.8, -179.95), (-16.9, -179.95), (-16.9, 179.95)]
    fiji = Fence.polygon("fiji", corners)
    assert fiji.depth_m(-16.85, 180) > 5_000
    assert fiji.depth_m(-16.85, -180) == pytest.approx(fiji.depth_m(-16.85, 180), abs=1e-6)
    assert fiji.depth_m(-16.85, 179.9) < -5_000
    assert fiji.depth_m(-16.85, 0) < -1_000_000


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_far_away_is_far_outside(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    distance_m = WGS84.Inverse(lat1, lon1, lat2, lon2)["s12"]
    depth_m = Fence.circle("a", lat1, lon1, 100).depth_m(lat2, lon2)
    if distance_m > 2_000:
        # A chord through the Earth is no longer than the way round, and half of it at worst.
        assert -distance_m < depth_m - 100 <= -distance_m / 2 + 1
    assert (depth_m > 0) == (distance_m < 100) or abs(distance_m - 100) < 0.1


@pytest.mark.parametrize(
    ("corners", "word"),
    [
        ([], "3 corners"),
        ([(1, 1), (1, 2)], "3 corners"),
        ([(0, 0), (0.01, 0.01), (0, 0.01), (0.01, 0)], "crosses itself"),
        ([(0, 0), (0.01, 0), (0, 0), (0, 0.01)], "crosses itself"),
        ([(0, 0), (0.01, 0), (0.01, 0), (0, 0.01)], "same place"),
        ([(0, 0), (0.01, 0), (0.02, 0)], "crosses itself"),
        ([(0, 0), (0.5, 0), (0, 0.5)], "20 km"),
        ([(0, 0), (91, 0), (0, 0.5)], "latitude"),
        ([(0, 0), (0.1, 181), (0, 0.5)], "longitude"),
        ([(0, 0), (math.nan, 0), (0, 0.5)], "latitude"),
    ],
)
def test_polygons_that_cannot_be(corners: list[tuple[float, float]], word: str) -> None:
    with pytest.raises(PlanError, match=word):
        Fence.polygon("a", corners)


def test_circles_that_cannot_be() -> None:
    for radius_m in (0.0, -1.0, math.nan, 1e6):
        with pytest.raises(PlanError, match="radius"):
            Fence.circle("a", *STORE, radius_m)


def test_a_polygon_may_be_closed() -> None:
    corners = square(STORE, 100)
    assert Fence.polygon("a", [*corners, corners[0]]).depth_m(*STORE) == pytest.approx(100, abs=0.1)


class Walker:
    """Somebody whose receiver says where she is, each second."""

    def __init__(self, engine: Geofences) -> None:
        self.engine = engine
        self.at_ms = 1_000_000
        self.told: list[Touchpoint] = []

    def stays(self, distance_m: float, seconds: int, accuracy_m: float = 5.0) -> list[str]:
        """Her fixes are so far from the store, which they do not lie about."""
        fresh: list[Touchpoint] = []
        for _ in range(seconds):
            self.at_ms += 1_000
            fresh += self.engine.fix(self.at_ms, *away(STORE, 90, distance_m), accuracy_m)
        self.told += fresh
        return [touchpoint.name for touchpoint in fresh]


def walker(**settings: object) -> Walker:
    fence = Fence.circle("store", *STORE, 100)
    return Walker(Geofences([fence], "app:17", **settings))  # type: ignore[arg-type]


def test_a_visit_has_an_interval_and_a_probability() -> None:
    she = walker(settle_ms=10_000, dwell_marks_ms=(60_000,))
    assert she.stays(300, 20) == []
    assert she.stays(20, 40) == ["visit.enter"]
    assert she.stays(20, 40) == ["visit.dwell"]
    assert she.engine.open_visits == 1
    assert she.stays(300, 30) == ["visit.exit"]
    assert she.engine.open_visits == 0
    enter, dwell, leave = she.told
    assert (enter.get("visitor"), enter.get("zone"), enter.get("visit")) == ("app:17", "store", 1)
    assert (enter.get("ago_low_ms"), enter.get("ago_high_ms")) == (10_000, 11_000)
    assert enter.get("probability_pct") == 99
    assert (dwell.get("dwell_ms"), dwell.get("dwell_high_ms")) == (60_000, 61_000)
    assert (leave.get("dwell_low_ms"), leave.get("dwell_ms")) == (79_000, 80_000)
    assert leave.get("dwell_high_ms") == 81_000
    assert leave.get("visit") == 1


def test_who_drives_by_is_no_visitor() -> None:
    she = walker(settle_ms=10_000)
    assert she.stays(300, 5) + she.stays(20, 9) + she.stays(300, 60) == []


def test_a_fix_that_is_wrong_by_far_ends_no_visit() -> None:
    she = walker(settle_ms=10_000, dwell_marks_ms=())
    assert she.stays(20, 20) == ["visit.enter"]
    for _ in range(20):
        assert she.stays(900, 5) == []
        assert she.stays(20, 5) == []


def test_to_leave_one_has_to_be_further_out_than_to_come() -> None:
    she = walker(settle_ms=5_000, hysteresis_m=30, dwell_marks_ms=())
    assert she.stays(80, 20) == ["visit.enter"]
    assert she.stays(125, 600) == []
    assert she.stays(135, 20) == ["visit.exit"]
    assert she.stays(105, 600) == []


@pytest.mark.parametrize("distance_m", [0, 50, 100, 150, 200])
def test_fixes_of_80_metres_tell_nothing_of_a_small_place(distance_m: float) -> None:
    for before_m, names in ((20, ["visit.enter"]), (300, [])):
        she = walker(settle_ms=5_000, dwell_marks_ms=())
        assert she.stays(before_m, 20) == names
        assert she.stays(distance_m, 600, accuracy_m=80) == []
        assert she.engine.unsure == 600


@pytest.mark.parametrize("accuracy_m", [5, 20, 80])
def test_noise_at_a_border_does_not_flap(accuracy_m: float) -> None:
    """Fixes whose errors wander, of people who stand on the border for an hour each."""
    dice = random.Random(1)
    sd_m, keep = accuracy_m / 1.515, math.exp(-2 / 20)
    enters = crossings = 0
    for _ in range(10):
        engine = Geofences([Fence.circle("store", *STORE, 300)], "app:17")
        north = east = depth_m = 0.0
        for second in range(0, 3_600, 2):
            north = keep * north + dice.gauss(0, sd_m * math.sqrt(1 - keep * keep))
            east = keep * east + dice.gauss(0, sd_m * math.sqrt(1 - keep * keep))
            latitude = STORE[0] + north / 111_195
            longitude = STORE[1] + (300 + east) / (111_195 * math.cos(math.radians(STORE[0])))
            before_m, depth_m = depth_m, 300 - math.hypot(north, 300 + east)
            crossings += before_m * depth_m < 0
            for told in engine.fix(second * 1_000, latitude, longitude, accuracy_m):
                enters += told.name == "visit.enter"
    assert crossings > 1_000
    assert enters <= 5


def test_silence_ends_a_visit_where_it_was_last_seen() -> None:
    she = walker(settle_ms=5_000, silence_ms=600_000)
    she.stays(300, 5)
    she.stays(20, 30)
    assert she.engine.tick(she.at_ms + 599_999) == []
    (leave,) = she.engine.tick(she.at_ms + 600_000)
    assert (leave.name, leave.get("dwell_ms")) == ("visit.exit", 29_000)
    assert leave.get("dwell_high_ms") is None
    assert leave.get("probability_pct") is None
    assert she.engine.tick(she.at_ms + 10_000_000) == []


def test_two_fixes_with_an_hour_between_are_no_stay() -> None:
    she = walker(settle_ms=5_000)
    assert she.stays(20, 2) == []
    she.at_ms += 3_600_000
    assert she.stays(20, 2) == []
    assert she.stays(20, 10) == ["visit.enter"]


def test_fences_may_overlap_and_each_has_its_visits() -> None:
    fences = [Fence.circle("store", *STORE, 50), Fence.circle("quarter", *STORE, 1_000)]
    engine = Geofences(fences, "app:17", settle_ms=0, first_visit=7)
    told = engine.fix(1_000, *STORE, 5)
    assert [(one.get("zone"), one.get("visit")) for one in told] == [("store", 7), ("quarter", 8)]
    told = engine.fix(2_000, *away(STORE, 0, 300), 5)
    assert [(one.name, one.get("zone")) for one in told] == [("visit.exit", "store")]


def test_what_makes_no_sense_is_dropped_and_counted() -> None:
    engine = Geofences([Fence.circle("store", *STORE, 100)], "app:17")
    nonsense: list[tuple[int, float, float, float]] = [
        (-1, *STORE, 5),
        (1 << 60, *STORE, 5),
        (1, math.nan, 2, 5),
        (1, 91, 2, 5),
        (1, 48, math.inf, 5),
        (1, *STORE, -1),
        (1, *STORE, math.nan),
        (1, *STORE, math.inf),
    ]
    for fix in nonsense:
        assert engine.fix(*fix) == []
    assert engine.tick(-1) == []
    assert engine.dropped == dict(zip(DROPS, (3, 3, 3), strict=True))


def test_a_clock_that_goes_back_is_taken_for_the_latest_time() -> None:
    she = walker(settle_ms=0)
    she.stays(20, 1)
    at_ms = she.at_ms
    (leave,) = she.engine.fix(at_ms - 500_000, *away(STORE, 0, 900), 5)
    assert leave.at_ms == at_ms


def test_settings_that_make_no_sense() -> None:
    fence = Fence.circle("store", *STORE, 100)
    for wrong in ({"sure": 1.0}, {"hysteresis_m": -1}, {"settle_ms": -1}, {"silence_ms": 0}):
        with pytest.raises(ValueError, match="sure"):
            Geofences([fence], "app:17", **wrong)
    with pytest.raises(ValueError, match="fences"):
        Geofences([], "app:17")
    with pytest.raises(ValueError, match="name"):
        Geofences([fence, fence], "app:17")
    with pytest.raises(ValueError, match="visitor"):
        Geofences([fence], "17")
