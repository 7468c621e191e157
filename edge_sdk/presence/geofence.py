"""Geofences: fixes on the globe become visits to places out of doors. Pure, but not for boards.

Their floats have 24 bits: on an Earth radius that is half a metre.

A fence has a plane of its own, which touches the WGS 84 ellipsoid in its middle. A fix is taken to
Cartesian coordinates and from there onto that plane, so no meridian and no pole is special. Within
the 20 km that a fence may reach, a distance on the plane is at most 4 cm shorter than the geodesic.
Heights are left out: at 1,000 m above the ellipsoid a metre is 0.16 mm longer.
"""

import math
from collections.abc import Sequence

from ..wire.touchpoint import Touchpoint, make
from .engine import is_time
from .floor import PlanError, Zone
from .polygons import check_corners, distance_m

MAX_FENCES = 1_000
MAX_REACH_M = 20_000.0
MIN_RADIUS_M = 5.0
DROPS = ("time", "place", "accuracy")

UNKNOWN_ACCURACY_M = 50.0
BEST_ACCURACY_M = 3.0  # a receiver that claims less has not heard of reflections
_FORGET_MS = 120_000  # fixes that are further apart tell nothing of the time between
_TWO_IN_THREE_SDS = 1.515  # a round normal error is within so many standard deviations (68.3 %)

# WGS 84
_A_M = 6_378_137.0
_F = 1 / 298.257_223_563
_E2 = _F * (2 - _F)
_B_M = _A_M * (1 - _F)

Vector = tuple[float, float, float]


class Fence:
    """A named place. `circle` and `polygon` make one; both raise PlanError for what is no place."""

    __slots__ = ("_east", "_middle", "_north", "_radius_m", "_reach_m", "_shape", "name")

    def __init__(self, name: str, middle: Vector, reach_m: float) -> None:
        self.name = name
        self._middle = middle
        self._east, self._north = _plane(middle)
        self._reach_m = reach_m
        self._radius_m = reach_m
        self._shape: Zone | None = None

    @classmethod
    def circle(
        cls, name: str, latitude_deg: float, longitude_deg: float, radius_m: float
    ) -> "Fence":
        """All within `radius_m` of a place."""
        if not MIN_RADIUS_M <= radius_m <= MAX_REACH_M:
            raise PlanError(f"a radius is {MIN_RADIUS_M:g} to {MAX_REACH_M:g} metres")
        return cls(name, _cartesian(*_checked(latitude_deg, longitude_deg)), radius_m)

    @classmethod
    def polygon(cls, name: str, corners: Sequence[tuple[float, float]]) -> "Fence":
        """All within corners (latitude, longitude), in the order in which one walks round them.

        Edges are straight on the fence's plane. The first corner may be repeated at the end.
        """
        places = [_cartesian(*_checked(*corner)) for corner in corners]
        if len(places) > 1 and places[0] == places[-1]:
            places.pop()
        if len(places) < 3:
            raise PlanError("a polygon has 3 corners at least")
        middle = tuple(math.fsum(axis) / len(places) for axis in zip(*places))
        reach_m = max(math.dist(middle, place) for place in places)
        if reach_m > MAX_REACH_M:
            raise PlanError(f"a fence reaches {MAX_REACH_M / 1000:g} km from its middle at most")
        fence = cls(name, (middle[0], middle[1], middle[2]), reach_m)
        flat = tuple(fence._on_plane(place) for place in places)
        check_corners(flat)
        fence._shape = Zone(name, flat)
        return fence

    def depth_m(self, latitude_deg: float, longitude_deg: float) -> float:
        """How far within the border a place is; negative outside.

        Far away, beyond three times the reach of the fence, it is the least that it can be.
        """
        place = _cartesian(latitude_deg, longitude_deg)
        away_m = math.dist(place, self._middle)
        if away_m > 3 * self._reach_m + 1_000:
            return self._reach_m - away_m
        x_m, y_m = self._on_plane(place)
        if self._shape is None:
            return self._radius_m - math.hypot(x_m, y_m)
        border_m = distance_m(self._shape.corners, x_m, y_m)
        return border_m if self._shape.holds(x_m, y_m) else -border_m

    def _on_plane(self, place: Vector) -> tuple[float, float]:
        x, y, z = (place[axis] - self._middle[axis] for axis in range(3))
        east, north = self._east, self._north
        return (
            x * east[0] + y * east[1] + z * east[2],
            x * north[0] + y * north[1] + z * north[2],
        )


class Geofences:
    """Visits of one visitor, who carries a receiver, to places that have a fence.

    A fix with `accuracy_m` (it is that close to the truth two times in three) says that the visitor
    is within, or is outside, only where the border is far enough away for that to be `sure`. A
    visit begins and ends when fixes have said so for `settle_ms` and none between, sure or not, was
    on the other side of the border. To end it they have to be `hysteresis_m` outside as well.

    visitor       "scheme:value", of whom the visits are
    silence_ms    a visit ends when no fix came for so long: it lasted until the last one
    dwell_marks_ms  rising; `visit.dwell` is sent once when a visit passes each of them
    first_visit   its number; a device that numbers other visits as well keeps them apart so
    unsure        how many fixes said nothing of a fence that was near
    dropped       fixes that made no sense, by reason (`DROPS`)

    Fences may overlap: each has its own visits. A fence that is smaller than 1.7 times the accuracy
    of the fixes never sees anybody. Memory is a few words a fence.
    """

    def __init__(
        self,
        fences: Sequence[Fence],
        visitor: str,
        *,
        hysteresis_m: float = 20.0,
        settle_ms: int = 20_000,
        silence_ms: int = 1_800_000,
        dwell_marks_ms: Sequence[int] = (60_000, 300_000, 900_000, 3_600_000),
        sure: float = 0.95,
        first_visit: int = 1,
    ) -> None:
        if not 0 < len(fences) <= MAX_FENCES:
            raise ValueError(f"there are 1 to {MAX_FENCES} fences")
        if len({fence.name for fence in fences}) < len(fences):
            raise ValueError("each fence has a name of its own")
        if not 0.5 <= sure < 1 or not hysteresis_m >= 0 or settle_ms < 0 or silence_ms < 1:
            raise ValueError(
                "sure is 0.5 to 1; hysteresis_m, settle_ms, silence_ms are no less than 0"
            )
        make("visit.enter", visitor=visitor, zone=fences[0].name)
        self._visitor = visitor
        self._hysteresis_m = hysteresis_m
        self._settle_ms = settle_ms
        self._silence_ms = silence_ms
        self._dwell_marks_ms = tuple(dwell_marks_ms)
        # 1 - exp(-d2 / 2 s2) of a round normal error lies within d of the fix (Rayleigh), whatever
        # the shape of the fence: a lower bound of the chance that the border is not between.
        self._sure_sds = math.sqrt(-2 * math.log(1 - sure))
        self._next_visit = first_visit
        self._stays = [_Stay(fence) for fence in fences]
        self._now_ms = 0
        self.unsure = 0
        self.dropped: dict[str, int] = dict.fromkeys(DROPS, 0)

    @property
    def open_visits(self) -> int:
        """How many fences the visitor is within."""
        return sum(stay.visit is not None for stay in self._stays)

    def fix(
        self,
        at_ms: int,
        latitude_deg: float,
        longitude_deg: float,
        accuracy_m: float | None = None,
    ) -> list[Touchpoint]:
        """Touchpoints that a fix brings about. `at_ms` as in `engine.PresenceEngine`."""
        if accuracy_m is None:
            accuracy_m = UNKNOWN_ACCURACY_M
        reason = _refusal(at_ms, latitude_deg, longitude_deg, accuracy_m)
        if reason is not None:
            self.dropped[reason] += 1
            return []
        out = self.tick(at_ms)
        sd_m = max(accuracy_m, BEST_ACCURACY_M) / _TWO_IN_THREE_SDS
        need_m = self._sure_sds * sd_m
        is_unsure = False
        for stay in self._stays:
            depth_m = stay.fence.depth_m(latitude_deg, longitude_deg)
            if depth_m >= need_m:
                self._within(stay, depth_m / sd_m, out)
            elif depth_m <= -(max(need_m, self._hysteresis_m) if stay.visit else need_m):
                self._outside(stay, depth_m / sd_m, out)
            else:
                is_unsure = True
                if (depth_m > 0) == (stay.visit is not None):
                    stay.changing_ms = None
            stay.fixed_ms = self._now_ms
        self.unsure += is_unsure
        return out

    def tick(self, at_ms: int) -> list[Touchpoint]:
        """Touchpoints that time alone brings about: the ends of visits that went silent."""
        if not is_time(at_ms):
            self.dropped["time"] += 1
            return []
        self._now_ms = max(at_ms, self._now_ms)
        out: list[Touchpoint] = []
        for stay in self._stays:
            silent_ms = self._now_ms - stay.fixed_ms
            if silent_ms >= self._silence_ms and stay.visit is not None:
                self._leave(stay, stay.fixed_ms, None, out)
            if silent_ms >= _FORGET_MS:
                stay.changing_ms = None
        return out

    def close(self, at_ms: int) -> list[Touchpoint]:
        """The end of every visit, as the caller stops; nobody saw it end, and it may go on."""
        out = self.tick(at_ms)
        for stay in self._stays:
            if stay.visit is not None:
                self._leave(stay, stay.fixed_ms, None, out)
        return out

    def _within(self, stay: "_Stay", sds: float, out: list[Touchpoint]) -> None:
        stay.within_ms = self._now_ms
        if stay.visit is not None:
            stay.changing_ms = None
            self._dwell(stay, sds, out)
            return
        if stay.changing_ms is None:
            stay.changing_ms = self._now_ms
        if self._now_ms - stay.changing_ms < self._settle_ms:
            return
        stay.visit = self._next_visit
        self._next_visit += 1
        stay.entered_ms = stay.changing_ms
        stay.earliest_ms = stay.outside_ms
        stay.changing_ms = None
        stay.marks = 0
        out.append(
            self._made(
                "visit.enter",
                stay,
                probability_pct=_percent(sds),
                ago_low_ms=self._now_ms - stay.entered_ms,
                ago_high_ms=self._since(stay.earliest_ms),
            )
        )

    def _outside(self, stay: "_Stay", sds: float, out: list[Touchpoint]) -> None:
        if stay.visit is None:
            stay.outside_ms = self._now_ms
            stay.changing_ms = None
            return
        if stay.changing_ms is None:
            stay.changing_ms = self._now_ms
        if self._now_ms - stay.changing_ms >= self._settle_ms:
            self._leave(stay, stay.changing_ms, _percent(sds), out)

    def _dwell(self, stay: "_Stay", sds: float, out: list[Touchpoint]) -> None:
        dwell_ms = self._now_ms - stay.entered_ms
        passed = sum(mark_ms <= dwell_ms for mark_ms in self._dwell_marks_ms)
        if passed > stay.marks:
            stay.marks = passed
            out.append(
                self._made(
                    "visit.dwell",
                    stay,
                    dwell_ms=dwell_ms,
                    probability_pct=_percent(sds),
                    dwell_low_ms=dwell_ms,
                    dwell_high_ms=self._since(stay.earliest_ms),
                )
            )

    def _leave(self, stay: "_Stay", left_ms: int, pct: int | None, out: list[Touchpoint]) -> None:
        """It ended by `left_ms`; without `pct` nobody saw it end, and it may have gone on."""
        most_ms = None
        if pct is not None and stay.earliest_ms is not None:
            most_ms = left_ms - stay.earliest_ms
        out.append(
            self._made(
                "visit.exit",
                stay,
                dwell_ms=left_ms - stay.entered_ms,
                probability_pct=pct,
                dwell_low_ms=stay.within_ms - stay.entered_ms,
                dwell_high_ms=most_ms,
            )
        )
        stay.visit = None
        stay.changing_ms = None
        stay.outside_ms = None if pct is None else self._now_ms

    def _since(self, at_ms: int | None) -> int | None:
        return None if at_ms is None else self._now_ms - at_ms

    def _made(self, name: str, stay: "_Stay", **fields: int | None) -> Touchpoint:
        return make(
            name,
            self._now_ms,
            visit=stay.visit,
            visitor=self._visitor,
            zone=stay.fence.name,
            **fields,
        )


class _Stay:
    """One fence, and whether the visitor is within.

    changing_ms          since when fixes deny that
    entered_ms           the first fix of the visit; earliest_ms: the last one before it, outside
    within_ms, outside_ms, fixed_ms  the last fix that said so, or said anything
    """

    __slots__ = (
        "changing_ms",
        "earliest_ms",
        "entered_ms",
        "fence",
        "fixed_ms",
        "marks",
        "outside_ms",
        "visit",
        "within_ms",
    )

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.visit: int | None = None
        self.changing_ms: int | None = None
        self.earliest_ms: int | None = None
        self.outside_ms: int | None = None
        self.entered_ms = self.within_ms = self.fixed_ms = self.marks = 0


def _percent(sds: float) -> int:
    """The chance that the border is not between, rounded down; nobody is certain."""
    return min(99, int(100 * (1 - math.exp(-sds * sds / 2))))


def _refusal(
    at_ms: object, latitude_deg: float, longitude_deg: float, accuracy_m: float
) -> str | None:
    if not is_time(at_ms):
        return "time"
    if not (abs(latitude_deg) <= 90 and abs(longitude_deg) <= 360):
        return "place"
    if not 0 <= accuracy_m < math.inf:
        return "accuracy"
    return None


def _checked(latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    if not abs(latitude_deg) <= 90:
        raise PlanError("a latitude is -90 to 90 degrees, and comes before the longitude")
    if not abs(longitude_deg) <= 180:
        raise PlanError("a longitude is -180 to 180 degrees")
    return latitude_deg, longitude_deg


def _cartesian(latitude_deg: float, longitude_deg: float) -> Vector:
    """Of a place on the ellipsoid, from its middle, in metres."""
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    sine, cosine = math.sin(latitude), math.cos(latitude)
    n_m = _A_M / math.sqrt(1 - _E2 * sine * sine)
    return (
        n_m * cosine * math.cos(longitude),
        n_m * cosine * math.sin(longitude),
        n_m * (1 - _E2) * sine,
    )


def _plane(middle: Vector) -> tuple[Vector, Vector]:
    """East and north, of length 1, on the plane that touches the ellipsoid near a place."""
    x, y, z = middle[0] / _A_M**2, middle[1] / _A_M**2, middle[2] / _B_M**2
    length = math.hypot(x, y, z)
    up = (x / length, y / length, z / length)
    level = math.hypot(up[0], up[1])
    # At a pole every direction is south, or north: any will do.
    east = (-up[1] / level, up[0] / level, 0.0) if level > 1e-9 else (0.0, 1.0, 0.0)
    north = (
        up[1] * east[2] - up[2] * east[1],
        up[2] * east[0] - up[0] * east[2],
        up[0] * east[1] - up[1] * east[0],
    )
    return east, north
