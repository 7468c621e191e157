"""A belief over spots: it sums to one, whatever is heard, and finds its way back."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.presence.belief import OUTSIDE
from edge_sdk.presence.floor import FloorPlan, Receiver, Zone
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.spots import spots_of
from edge_sdk.presence.zone_belief import ZoneBelief, ZoneBeliefs
from tests.presence.portable_presence import PLACES, heard_at, plan
from tests.wire.dice import Dice


def beliefs(**options: Any) -> ZoneBeliefs:
    return ZoneBeliefs(plan(), PathLoss(plan(), exponent=2.2), **options)


def follow(belief: ZoneBelief, place: tuple[float, float], steps: range, seed: int = 1) -> None:
    dice = Dice(seed)
    for step in steps:
        heard = [(name, float(rssi_dbm), 1) for name, rssi_dbm in heard_at(place, dice)]
        belief.step(1000 * step, heard)


def zone_of(of: ZoneBeliefs, belief: ZoneBelief) -> str:
    zones = belief.zones()
    return of.zones[zones.index(max(zones))]


def test_the_last_zone_is_outside_and_the_first_belief_is_the_prior() -> None:
    of = beliefs(outside=0.4)
    assert of.zones == ("coffee", "kitchen", OUTSIDE)
    assert of.fresh(0).zones() == pytest.approx([0.3, 0.3, 0.4], abs=1e-3)


def test_it_finds_a_room_and_follows_to_the_next() -> None:
    of = beliefs()
    belief = of.fresh(0)
    follow(belief, (3.0, 4.0), range(1, 20))
    assert zone_of(of, belief) == "coffee"
    follow(belief, (13.0, 4.0), range(20, 45))
    assert zone_of(of, belief) == "kitchen"
    place = belief.position()
    assert place is not None
    x_m, y_m, var_x, var_y, cov = place
    assert math.dist((x_m, y_m), (13.0, 4.0)) < 3
    assert var_x > 0
    assert var_y > 0
    assert cov * cov <= var_x * var_y


def test_with_the_doors_known_nobody_is_behind_another_wall() -> None:
    rooms = plan()
    open_m = [s for s in spots_of(rooms, 2.5, 6.0, 400, ()) if s.beyond]
    by_door = [s for s in spots_of(rooms, 2.5, 6.0, 400, ((4.0, 0.0),)) if s.beyond]
    assert {s.y_m < 0 for s in by_door} == {True}
    assert len(by_door) < len(open_m)


def test_where_more_spots_are_needed_than_may_be_they_are_wider() -> None:
    assert len(spots_of(plan(), 0.5, 6.0, 60, ())) <= 60


def test_a_zone_smaller_than_the_grid_has_a_spot() -> None:
    tiny = Zone("till", ((3.0, 3.0), (3.3, 3.0), (3.3, 3.3), (3.0, 3.3)))
    rooms = FloorPlan((Receiver("r", 0.0, 0.0),), (tiny, *plan().zones))
    of = ZoneBeliefs(rooms, PathLoss(rooms))
    assert of.zones == ("till", "coffee", "kitchen", OUTSIDE)
    assert sum(of.fresh(0).zones()) == pytest.approx(1, abs=1e-3)


def test_floors_are_told_apart_by_what_a_ceiling_takes_away() -> None:
    square = ((0.0, 0.0), (8.0, 0.0), (8.0, 8.0), (0.0, 8.0))
    rooms = FloorPlan(
        tuple(Receiver(f"{f}{n}", 2.0 + 4 * n, 4.0, 2.5, f) for f in (0, 1) for n in (0, 1)),
        (Zone("shoes", square, 0), Zone("toys", square, 1)),
    )
    of = ZoneBeliefs(rooms, PathLoss(rooms))
    belief = of.fresh(0)
    for step in range(1, 12):
        belief.step(1000 * step, [("00", -85.0, 1), ("10", -68.0, 1), ("11", -70.0, 1)])
    assert zone_of(of, belief) == "toys"
    assert belief.position() is None


def test_a_deaf_receiver_says_nothing_by_its_silence() -> None:
    def coffee(deaf: set[str]) -> float:
        of = beliefs()
        of.deaf |= deaf
        belief = of.fresh(0)
        for step in range(1, 15):
            # Only the other room's radios hear it, as if it were there.
            belief.step(1000 * step, [("r3", -75.0, 1), ("r4", -82.0, 1)])
        return belief.zones()[0]

    near = {"r1", "r2", "r5"}
    assert coffee(near) > coffee(set())


def test_after_a_long_gap_it_may_be_elsewhere() -> None:
    of = beliefs()
    belief = of.fresh(0)
    follow(belief, (3.0, 4.0), range(1, 30))
    sure = belief.zones()[0]
    belief.step(130_000, [])
    assert belief.zones()[0] < sure
    follow(belief, (13.0, 4.0), range(131, 141))
    assert zone_of(of, belief) == "kitchen"


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 200_000),
            st.dictionaries(st.sampled_from(sorted(PLACES)), st.integers(-127, 20)),
        ),
        max_size=40,
    )
)
def test_whatever_is_heard_it_sums_to_one(steps: list[tuple[int, dict[str, int]]]) -> None:
    of = beliefs()
    belief = of.fresh(0)
    at_ms = 0
    for wait_ms, heard in steps:
        at_ms += wait_ms
        belief.step(at_ms, [(name, float(heard[name]), 1) for name in sorted(heard)])
        zones = belief.zones()
        assert sum(zones) == pytest.approx(1, abs=1e-3)
        assert min(zones) >= 0
        place = belief.position()
        assert place is not None
        assert all(math.isfinite(value) for value in place)
