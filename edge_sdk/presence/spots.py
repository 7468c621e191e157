"""A floor plan cut into spots of a few metres: the states of a belief that needs no numpy.

A spot lies in one zone whole, or outside of all zones. It stands for the places in it: it is
where they are on average, and a reading in it is as wide as readings and places together.
"""

import math

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from array import array
    from typing import Any

    from .floor import FloorPlan, Zone
    from .radio_map import RadioMap

    Place = tuple[float, float]

_SAMPLE_M = 1.0
_FORGET = 0.002  # so much of a belief starts anew each step
_WALLS = 0.3  # of a step out of all zones, or into one: there are more walls than doors


class Spot:
    """Some places of one zone (by number) on one floor, and what they are on average."""

    __slots__ = ("area", "floor", "places", "size_m", "x_m", "y_m", "zone")

    def __init__(self, zone: int, floor: int, places: "list[Place]", size_m: float) -> None:
        self.zone = zone
        self.floor = floor
        self.places = places
        self.area = float(len(places))
        self.size_m = size_m
        self.x_m = sum([x_m for x_m, _ in places]) / len(places)
        self.y_m = sum([y_m for _, y_m in places]) / len(places)

    def expect(self, radio: "RadioMap", receiver: str) -> "tuple[float, float]":
        """Mean in dBm and variance in dB2 of a reading of a beacon that is somewhere in it."""
        total = square = 0.0
        for x_m, y_m in self.places:
            mean_dbm, sd_db = radio.expect(receiver, x_m, y_m)
            total += mean_dbm
            square += mean_dbm * mean_dbm + sd_db * sd_db
        mean_dbm = total / len(self.places)
        return mean_dbm, square / len(self.places) - mean_dbm * mean_dbm


def zone_names(plan: "FloorPlan") -> "list[str]":
    """The names of a plan's zones, each once, in its order."""
    names: "list[str]" = []
    for zone in plan.zones:
        if zone.name not in names:
            names.append(zone.name)
    return names


def spots_of(plan: "FloorPlan", size_m: float, margin_m: float, most: int) -> "list[Spot]":
    """The spots of a plan, zone by zone, those outside of all zones (the last number) at the end.

    size_m    about as wide; where `most` spots do not do, wider
    margin_m  so far beyond zones and receivers a beacon may be; spots outside are twice as wide
    """
    while True:
        spots = _cut(plan, size_m, margin_m)
        if len(spots) <= max(most, len(zone_names(plan)) + 1):
            return spots
        size_m *= 1.25


def _cut(plan: "FloorPlan", size_m: float, margin_m: float) -> "list[Spot]":
    names = zone_names(plan)
    outside = len(names)
    found: "list[Spot]" = []
    floors: "list[int]" = []
    for number in range(outside):
        for zone in plan.zones:
            if zone.name == names[number]:
                found += _spots_in(plan, zone, number, size_m)
                if zone.floor not in floors:
                    floors.append(zone.floor)
    for floor in sorted(floors):
        found += _spots_outside(plan, floor, outside, 2 * size_m, margin_m)
    return found


def _spots_in(plan: "FloorPlan", zone: "Zone", number: int, size_m: float) -> "list[Spot]":
    box = _box(list(zone.corners))
    places = [
        place for place in _grid(box, _SAMPLE_M) if plan.zone_at(*place, zone.floor) == zone.name
    ]
    if not places:  # smaller than the grid
        places = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)]
    return _grouped(places, box, size_m, number, zone.floor)


def _spots_outside(
    plan: "FloorPlan", floor: int, number: int, size_m: float, margin_m: float
) -> "list[Spot]":
    known: "list[Place]" = []
    for zone in plan.zones:
        if zone.floor == floor:
            known += list(zone.corners)
    for name in sorted(plan.receivers):
        receiver = plan.receivers[name]
        if receiver.floor == floor:
            known.append((receiver.x_m, receiver.y_m))
    x1, y1, x2, y2 = _box(known)
    box = (x1 - margin_m, y1 - margin_m, x2 + margin_m, y2 + margin_m)
    places = [place for place in _grid(box, _SAMPLE_M) if plan.zone_at(*place, floor) is None]
    return _grouped(places, box, size_m, number, floor)


def _grouped(
    places: "list[Place]",
    box: "tuple[float, float, float, float]",
    size_m: float,
    zone: int,
    floor: int,
) -> "list[Spot]":
    """Places by equal cells of their box."""
    x1, y1, x2, y2 = box
    columns = max(1, round((x2 - x1) / size_m))
    rows = max(1, round((y2 - y1) / size_m))
    cells: "dict[int, list[Place]]" = {}
    for x_m, y_m in places:
        column = min(columns - 1, int((x_m - x1) * columns / (x2 - x1 or 1.0)))
        row = min(rows - 1, int((y_m - y1) * rows / (y2 - y1 or 1.0)))
        cells.setdefault(row * columns + column, []).append((x_m, y_m))
    return [Spot(zone, floor, cells[cell], size_m) for cell in sorted(cells)]


def _grid(box: "tuple[float, float, float, float]", every_m: float) -> "list[Place]":
    """Places in a box, about `every_m` apart, half of that from its edges."""
    x1, y1, x2, y2 = box
    columns = max(1, round((x2 - x1) / every_m))
    rows = max(1, round((y2 - y1) / every_m))
    places = []
    for row in range(rows):
        for column in range(columns):
            x_m = x1 + (column + 0.5) * (x2 - x1) / columns
            y_m = y1 + (row + 0.5) * (y2 - y1) / rows
            places.append((x_m, y_m))
    return places


def _box(places: "list[Place]") -> "tuple[float, float, float, float]":
    xs = [x_m for x_m, _ in places]
    ys = [y_m for _, y_m in places]
    return min(xs), min(ys), max(xs), max(ys)


def spans_of(spots: "list[Spot]", zones: int) -> "list[tuple[int, int]]":
    """The spots of each zone, as where they begin and end."""
    spans = []
    at = 0
    for zone in range(zones):
        first = at
        while at < len(spots) and spots[at].zone == zone:
            at += 1
        spans.append((first, at))
    return spans


def moves_of(
    spots: "list[Spot]", outside_zone: int, walk_m: float, prior: "array[float]"
) -> "list[tuple[float, int, float, int, float, int, float, int, float, float]]":
    """Of a step in which people walk `walk_m`: where each spot's part of a belief comes from.

    What part stays, then from each of four neighbours: which, and its part; then what starts anew,
    as `prior` says, so that no belief is for ever.
    """
    coming: "list[list[tuple[int, float]]]" = [[] for _ in spots]
    stays = [1.0] * len(spots)
    for at in range(len(spots)):
        for away_m, other in _neighbours(spots, at):
            spot, goal = spots[at], spots[other]
            part = min(0.2, walk_m / 4 / max(spot.size_m, away_m))
            if spot.zone == outside_zone and goal.zone == outside_zone:
                part = min(0.2, 2 * part)
            elif outside_zone in (spot.zone, goal.zone):
                part *= _WALLS
            if len(coming[other]) < 4:
                coming[other].append((at, part))
                stays[at] -= part
    moves: "list[Any]" = []
    for at in range(len(spots)):
        row: "list[Any]" = [(1 - _FORGET) * stays[at]]
        for source, part in (coming[at] + [(at, 0.0)] * 4)[:4]:
            row += [source, (1 - _FORGET) * part]
        row.append(_FORGET * prior[at])
        moves.append(tuple(row))
    return moves


def _neighbours(spots: "list[Spot]", at: int) -> "list[tuple[float, int]]":
    """The spots next to one: how far away, which; four at most, the nearest first."""
    spot = spots[at]
    near = []
    for other in range(len(spots)):
        if other != at and spots[other].floor == spot.floor:
            away_m = _distance_m(spot, spots[other])
            if away_m < 0.8 * (spot.size_m + spots[other].size_m):
                near.append((away_m, other))
    return sorted(near)[:4]


def _distance_m(one: Spot, other: Spot) -> float:
    """Between their middles."""
    dx_m, dy_m = one.x_m - other.x_m, one.y_m - other.y_m
    return math.sqrt(dx_m * dx_m + dy_m * dy_m)
