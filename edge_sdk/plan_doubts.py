"""What is odd about a floor plan that could be: zones that hide zones, receivers far from all."""

from collections.abc import Iterator

from edge_sdk.presence.floor import FloorPlan, Zone
from edge_sdk.presence.polygons import area_m2, bounds, distance_m

_SAMPLES_EACH_WAY = 24
_OVERLAP_WORTH_SAYING = 0.02  # of the smaller zone: neighbours drawn by hand overlap a little
_FAR_M = 15.0  # a receiver tells little about a zone that is farther away
_TINY_M2 = 4.0


def hidden(plan: FloorPlan) -> list[str]:
    """A fault for each zone that nobody could ever be in: the zones before it have all of it."""
    return [
        f"zones {zone.name!r}: lies wholly within zones that are listed before it, which have"
        f" their places first ({', '.join(map(repr, taken))}); list it before them"
        for zone, taken, share in _taken(plan)
        if share >= 1.0
    ]


def doubts(plan: FloorPlan) -> tuple[str, ...]:
    """What was probably not meant, one sentence each."""
    found = [
        f"zone {zone.name!r}: {round(100 * share)} % of it belongs to zones listed before it"
        f" ({', '.join(map(repr, taken))}); the first that holds a place has it"
        for zone, taken, share in _taken(plan)
        if _OVERLAP_WORTH_SAYING < share < 1.0
    ]
    for zone in plan.zones:
        area = area_m2(zone.corners)
        if area < _TINY_M2:
            found.append(
                f"zone {zone.name!r}: only {area:.2f} m2; radio tells places some metres apart"
            )
        away = [
            distance_m(zone.corners, receiver.x_m, receiver.y_m)
            for receiver in plan.receivers.values()
            if receiver.floor == zone.floor and not zone.holds(receiver.x_m, receiver.y_m)
        ]
        here = any(
            receiver.floor == zone.floor and zone.holds(receiver.x_m, receiver.y_m)
            for receiver in plan.receivers.values()
        )
        if not here and (not away or min(away) > _FAR_M):
            found.append(
                f"zone {zone.name!r}: no receiver within {_FAR_M:.0f} m on its floor;"
                " nobody will be found there"
            )
    for receiver in plan.receivers.values():
        zones = [zone for zone in plan.zones if zone.floor == receiver.floor]
        if zones and all(_away_m(zone, receiver.x_m, receiver.y_m) > _FAR_M for zone in zones):
            found.append(f"receiver {receiver.name!r}: more than {_FAR_M:.0f} m from every zone")
    return tuple(found)


def _away_m(zone: Zone, x_m: float, y_m: float) -> float:
    return 0.0 if zone.holds(x_m, y_m) else distance_m(zone.corners, x_m, y_m)


def _taken(plan: FloorPlan) -> Iterator[tuple[Zone, list[str], float]]:
    """Zones that share places with earlier ones: with which, and how much they lose (0 to 1).

    By sampling: a share of area is what people can use, and exact clipping of any two polygons
    is a library's worth of code.
    """
    for at, zone in enumerate(plan.zones):
        box = bounds(zone.corners)
        earlier = [
            other
            for other in plan.zones[:at]
            if other.floor == zone.floor and _boxes_meet(box, bounds(other.corners))
        ]
        if not earlier:
            continue
        inside, lost = 0, 0
        taken: list[str] = []
        for x_m, y_m in _samples(box):
            if not zone.holds(x_m, y_m):
                continue
            inside += 1
            owner = next((other for other in earlier if other.holds(x_m, y_m)), None)
            if owner is not None:
                lost += 1
                if owner.name not in taken:
                    taken.append(owner.name)
        if lost:
            yield zone, taken, lost / inside


def _samples(box: tuple[float, float, float, float]) -> Iterator[tuple[float, float]]:
    x0, y0, x1, y1 = box
    for row in range(_SAMPLES_EACH_WAY):
        for column in range(_SAMPLES_EACH_WAY):
            yield (
                x0 + (x1 - x0) * (column + 0.5) / _SAMPLES_EACH_WAY,
                y0 + (y1 - y0) * (row + 0.5) / _SAMPLES_EACH_WAY,
            )


def _boxes_meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
