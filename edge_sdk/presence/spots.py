"""A floor plan cut into spots of a few metres: the states of a belief that needs no numpy.

A spot lies in one zone whole, or outside of all zones. It stands for the places in it: it is
where they are on average, and a reading in it is as wide as readings and places together.
"""

import math

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .floor import FloorPlan, Zone
    from .radio_map import RadioMap

    Place = tuple[float, float]

_SAMPLE_M = 1.0
_WALLS = 0.1  # of the steps that would leave the shop, those that find a door
_STREET_M = 12.0  # from a door, each way


class Spot:
    """Some places of one zone (by number) on one floor, and what they are on average.

    beyond  it lies beyond all zones, behind the walls of the shop
    """

    __slots__ = ("area", "beyond", "floor", "places", "size_m", "x_m", "y_m", "zone")

    def __init__(
        self, zone: int, floor: int, places: "list[Place]", size_m: float, beyond: bool
    ) -> None:
        self.zone = zone
        self.floor = floor
        self.places = places
        self.beyond = beyond
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


def spots_of(
    plan: "FloorPlan", size_m: float, margin_m: float, most: int, doors: "tuple[Place, ...]"
) -> "list[Spot]":
    """The spots of a plan, zone by zone, those outside of all zones (the last number) at the end.

    size_m    about as wide; where `most` spots do not do, wider
    margin_m  so far beyond zones and receivers a beacon may be; spots there are twice as wide
    doors     where the shop can be left; beyond its walls nobody is but near one (): anywhere
    """
    while True:
        spots = _cut(plan, size_m, margin_m, doors)
        if len(spots) <= max(most, len(zone_names(plan)) + 1):
            return spots
        size_m *= 1.1


def _cut(
    plan: "FloorPlan", size_m: float, margin_m: float, doors: "tuple[Place, ...]"
) -> "list[Spot]":
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
        found += _spots_outside(plan, floor, outside, 2 * size_m, margin_m, doors)
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
    plan: "FloorPlan",
    floor: int,
    number: int,
    size_m: float,
    margin_m: float,
    doors: "tuple[Place, ...]",
) -> "list[Spot]":
    known: "list[Place]" = []
    for zone in plan.zones:
        if zone.floor == floor:
            known += list(zone.corners)
    shop = _box(known)
    for name in sorted(plan.receivers):
        receiver = plan.receivers[name]
        if receiver.floor == floor:
            known.append((receiver.x_m, receiver.y_m))
    x1, y1, x2, y2 = _box(known)
    box = (x1 - margin_m, y1 - margin_m, x2 + margin_m, y2 + margin_m)
    places = [place for place in _grid(box, _SAMPLE_M) if plan.zone_at(*place, floor) is None]
    within = [place for place in places if _is_in(shop, place)]
    beyond = [
        place for place in places if not _is_in(shop, place) and _is_street(shop, doors, place)
    ]
    return _grouped(within, shop, size_m / 2, number, floor) + _grouped(
        beyond, box, size_m, number, floor, beyond=True
    )


def _is_in(box: "tuple[float, float, float, float]", place: "Place") -> bool:
    return box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]


def _is_street(
    shop: "tuple[float, float, float, float]", doors: "tuple[Place, ...]", place: "Place"
) -> bool:
    """Whether a place beyond the walls is one where somebody can be; without doors, any is.

    It is in front of the wall that a door is in, and not far from the door.
    """
    for door in doors:
        reach_m = max(abs(place[0] - door[0]), abs(place[1] - door[1]))
        walls = _gaps(shop, door)
        if reach_m <= _STREET_M and _gaps(shop, place)[walls.index(min(walls))] < 0:
            return True
    return not doors


def _gaps(box: "tuple[float, float, float, float]", place: "Place") -> "list[float]":
    """How far inside of each of its walls a place is."""
    x_m, y_m = place
    return [x_m - box[0], y_m - box[1], box[2] - x_m, box[3] - y_m]


def _grouped(
    places: "list[Place]",
    box: "tuple[float, float, float, float]",
    size_m: float,
    zone: int,
    floor: int,
    beyond: bool = False,
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
    return [Spot(zone, floor, cells[cell], size_m, beyond) for cell in sorted(cells)]


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


def moves_of(spots: "list[Spot]", walk_m: float) -> "list[tuple[tuple[int, float], ...]]":
    """Where from each spot people are after a step in which they walk `walk_m`: (spot, part)."""
    moves = []
    for at in range(len(spots)):
        spot = spots[at]
        stays = 1.0
        row = []
        for away_m, other in _neighbours(spots, at):
            part = min(0.2, walk_m / 4 / max(spot.size_m, away_m))
            if spots[other].beyond and not spot.beyond:
                part *= _WALLS
            row.append((other, part))
            stays -= part
        moves.append(tuple([(at, stays)] + row))
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
