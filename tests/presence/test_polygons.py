"""Which polygons can be a zone, and the geometry that a floor plan needs."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.presence.floor import FloorPlan, PlanError, Receiver, Zone
from edge_sdk.presence.polygons import (
    area_m2,
    check_corners,
    crossing,
    distance_m,
    zones_of_receivers,
)

L_SHAPE = ((0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (1.0, 1.0), (1.0, 3.0), (0.0, 3.0))


def test_area_of_a_known_shape_either_way_round() -> None:
    assert area_m2(L_SHAPE) == area_m2(L_SHAPE[::-1]) == 6.0


def test_a_simple_polygon_passes_whichever_way_round() -> None:
    check_corners(L_SHAPE)
    check_corners(L_SHAPE[::-1])
    check_corners([(0, 0), (1, 0), (2, 0), (2, 2)])  # a corner on a straight edge is none, but fair


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([], "3 corners at least"),
        ([(0, 0), (1, 1)], "3 corners at least"),
        ([(0, 0), (1, 0), (2, 0)], "it crosses itself"),  # out and back over itself
        ([(0, 0), (2, 2), (2, 0), (0, 2)], "edge after corner 1 meets the one after corner 3"),
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], "it crosses itself"),  # touches its own edge
        ([(0, 0), (0.01, 0), (0.01, 0.01)], "no area"),
        ([(0, 0), (1, 0), (1, 0), (0, 1)], "corner 3 is the same place"),
        ([(math.cos(a), math.sin(a)) for a in range(257)], "256 corners at most"),
    ],
)
def test_what_cannot_be_a_zone_says_why(corners: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        check_corners(corners)


@given(st.randoms(use_true_random=False), st.integers(3, 40))
def test_a_star_round_a_place_never_crosses_and_two_swapped_corners_may(
    dice: random.Random, count: int
) -> None:
    angles = sorted(2 * math.pi * (at + dice.random() * 0.9) / count for at in range(count))
    star = [
        (radius * math.cos(angle), radius * math.sin(angle))
        for angle in angles
        for radius in (dice.uniform(1, 9),)
    ]
    if count > 3:  # three corners may lie on one side of the middle, and then still do not cross
        assert crossing(star) is None
    assert area_m2(star) > 0


def test_distance_to_the_edge() -> None:
    assert distance_m(L_SHAPE, 2.0, 3.0) == 1.0
    assert distance_m(L_SHAPE, -3.0, -4.0) == 5.0
    assert distance_m(L_SHAPE, 0.5, 2.0) == 0.5


def test_a_receiver_outside_of_all_zones_has_the_nearest_one_of_its_floor() -> None:
    square = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
    beside = tuple((x + 4.0, y) for x, y in square)
    plan = FloorPlan(
        (
            Receiver("in", 1, 1),
            Receiver("wall", 8.1, 2),
            Receiver("corner", 8.0, 4.0),
            Receiver("above", 1, 1, floor=2),
        ),
        (Zone("a", square), Zone("b", beside)),
    )
    assert zones_of_receivers(plan) == {"in": "a", "wall": "b", "corner": "b"}
