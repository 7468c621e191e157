"""Polygons on a plan: which ones can be a zone, and plane geometry that a floor plan needs.

Corners are (x, y) in metres, in order, not closed.
"""

from .floor import PlanError

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .floor import FloorPlan

    Point = tuple[float, float]
    Corners = Sequence[Point]

MAX_CORNERS = 256
MIN_AREA_M2 = 0.01  # ten centimetres each way: less is a slip of the hand


def check_corners(corners: "Corners") -> None:
    """Raise PlanError unless these are the corners of a simple polygon with an area.

    Corners are counted from 1 in the message, as people do.
    """
    count = len(corners)
    if count < 3:
        raise PlanError("a polygon has 3 corners at least, this one has %d" % count)
    if count > MAX_CORNERS:
        raise PlanError("a polygon has %d corners at most, this one %d" % (MAX_CORNERS, count))
    for at in range(count):
        if corners[at] == corners[at - 1]:
            raise PlanError("corner %d is the same place as the one before it" % (at + 1))
    met = crossing(corners)
    if met is not None:
        raise PlanError(
            "it crosses itself: the edge after corner %d meets the one after corner %d;"
            " list the corners in the order in which one walks round it" % (met[0] + 1, met[1] + 1)
        )
    if area_m2(corners) < MIN_AREA_M2:
        raise PlanError("it has no area (under %g m2)" % MIN_AREA_M2)


def area_m2(corners: "Corners") -> float:
    """The area of a simple polygon, whichever way round it is listed (shoelace formula)."""
    doubled = 0.0
    x1, y1 = corners[-1]
    for x2, y2 in corners:
        doubled += x1 * y2 - x2 * y1
        x1, y1 = x2, y2
    return abs(doubled) / 2


def crossing(corners: "Corners") -> "tuple[int, int] | None":
    """Two edges that share more than the corner between them, by their first corner; or None."""
    count = len(corners)
    for i in range(count):
        a, b = corners[i], corners[(i + 1) % count]
        c = corners[(i + 2) % count]
        # Neighbours meet in their corner; they may not run back over one another.
        if _side(a, b, c) == 0 and _ahead(b, a, c) > 0:
            return i, (i + 1) % count
        for j in range(i + 2, count):
            if (j + 1) % count == i:
                continue
            if _meet(a, b, corners[j], corners[(j + 1) % count]):
                return i, j
    return None


def distance_m(corners: "Corners", x_m: float, y_m: float) -> float:
    """From a place to the nearest point of the edge, in metres."""
    nearest2 = -1.0
    x1, y1 = corners[-1]
    for x2, y2 in corners:
        dx, dy = x2 - x1, y2 - y1
        length2 = dx * dx + dy * dy
        along = ((x_m - x1) * dx + (y_m - y1) * dy) / length2 if length2 else 0.0
        along = min(1.0, max(0.0, along))
        ex, ey = x1 + along * dx - x_m, y1 + along * dy - y_m
        away2 = ex * ex + ey * ey
        if nearest2 < 0 or away2 < nearest2:
            nearest2 = away2
        x1, y1 = x2, y2
    return float(nearest2**0.5)


def bounds(corners: "Corners") -> "tuple[float, float, float, float]":
    """The least x and y and the greatest x and y."""
    xs = [x for x, _ in corners]
    ys = [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def zones_of_receivers(plan: "FloorPlan") -> "dict[str, str]":
    """Receiver -> the zone in which it hangs; one on a wall outside of all: the nearest one's.

    A receiver on a floor without zones is left out.
    """
    found = {}
    for name in plan.receivers:
        at = plan.receivers[name]
        zone = plan.zone_at(at.x_m, at.y_m, at.floor)
        nearest_m = -1.0
        if zone is None:
            for other in plan.zones:
                if other.floor == at.floor:
                    away_m = distance_m(other.corners, at.x_m, at.y_m)
                    if nearest_m < 0 or away_m < nearest_m:
                        zone, nearest_m = other.name, away_m
        if zone is not None:
            found[name] = zone
    return found


def _side(a: "Point", b: "Point", c: "Point") -> float:
    """Positive, negative or 0: c is left of the line from a to b, right of it, or on it."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _ahead(origin: "Point", a: "Point", b: "Point") -> float:
    """Positive if a and b lie the same way from the origin."""
    return (a[0] - origin[0]) * (b[0] - origin[0]) + (a[1] - origin[1]) * (b[1] - origin[1])


def _meet(a: "Point", b: "Point", c: "Point", d: "Point") -> bool:
    """Whether two segments have a point in common."""
    c_side, d_side = _side(a, b, c), _side(a, b, d)
    a_side, b_side = _side(c, d, a), _side(c, d, b)
    if c_side * d_side < 0 and a_side * b_side < 0:
        return True
    return (
        (c_side == 0 and _between(a, b, c))
        or (d_side == 0 and _between(a, b, d))
        or (a_side == 0 and _between(c, d, a))
        or (b_side == 0 and _between(c, d, b))
    )


def _between(a: "Point", b: "Point", c: "Point") -> bool:
    """Whether c, which is on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
