"""The simulated store's floor plan: the receivers of the recorded walks, and four zones round them.

Which part of the room is which zone is our choice: a place belongs to the group of receivers whose
centroid is nearest. Those parts are convex polygons, cut out of the room one border at a time.
"""

import functools

from edge_sdk.plan_file import StorePlan
from edge_sdk.presence.floor import FloorPlan, Kiosk, Receiver, Zone
from simulators import tracks

WIDTH_M, DEPTH_M = 20.66, 17.64  # of the room, as its authors give it
_ROOM = ((0.0, 0.0), (WIDTH_M, 0.0), (WIDTH_M, DEPTH_M), (0.0, DEPTH_M))

Point = tuple[float, float]


@functools.cache
def store_plan() -> StorePlan:
    """Twelve receivers, four zones that cover the room, and a kiosk in the middle of each."""
    centroids = zone_centroids()
    zones = tuple(
        Zone(name, tuple((round(x, 2), round(y, 2)) for x, y in _nearest_to(name, centroids)))
        for name in centroids
    )
    receivers = tuple(Receiver(r.name, r.x_m, r.y_m, r.z_m) for r in tracks.receivers())
    kiosks = tuple(
        Kiosk(f"kiosk-{name}", round(x, 2), round(y, 2), name) for name, (x, y) in centroids.items()
    )
    return StorePlan(FloorPlan(receivers, zones, kiosks, "simulated-store"), y_axis="up")


def zone_centroids() -> dict[str, Point]:
    """Zone -> the middle of its receivers."""
    found = {}
    for zone in tracks.ZONE_OF_GROUP.values():
        places = [(r.x_m, r.y_m) for r in tracks.receivers() if r.zone == zone]
        found[zone] = (
            sum(x for x, _ in places) / len(places),
            sum(y for _, y in places) / len(places),
        )
    return found


def _nearest_to(name: str, centroids: dict[str, Point]) -> list[Point]:
    """The part of the room that is nearer to this centroid than to any other."""
    corners: list[Point] = list(_ROOM)
    for other, place in centroids.items():
        if other != name:
            corners = _nearer(corners, centroids[name], place)
    return corners


def _nearer(corners: list[Point], a: Point, b: Point) -> list[Point]:
    """The part of a convex polygon that is nearer to a than to b (Sutherland and Hodgman)."""
    kept: list[Point] = []
    for at, corner in enumerate(corners):
        before = corners[at - 1]
        here, there = _lead(corner, a, b), _lead(before, a, b)
        if (here > 0) != (there > 0):
            along = there / (there - here)
            kept.append(
                (
                    before[0] + along * (corner[0] - before[0]),
                    before[1] + along * (corner[1] - before[1]),
                )
            )
        if here > 0:
            kept.append(corner)
    return kept


def _lead(place: Point, a: Point, b: Point) -> float:
    """How much nearer a place is to a than to b: linear in the place, 0 on their border."""
    return (
        (place[0] - b[0]) ** 2
        + (place[1] - b[1]) ** 2
        - (place[0] - a[0]) ** 2
        - (place[1] - a[1]) ** 2
    )
