"""Recorded walks past fixed receivers, from CSV files: receivers, a survey, and tracks with truth.

    sensors.csv       sensor, x_m, y_m, z_m
    calibration.csv   a survey (edge_sdk/survey_file.py)
    tracks/*.csv      unix_s, sensor, rssi_dbm, x_m, y_m: a reading, and where the walker truly was

Zones are not in the files. Receivers whose names begin their number with the same digit are a
group; the zone of a place is that of the group whose centroid is nearest.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import ConfigError
from edge_sdk.presence.floor import FloorPlan, Receiver, SurveyPoint, Zone
from edge_sdk.survey_file import read_places, read_survey

_MARGIN_M = 0.5
_BAD_ROWS = 0.01  # of a track, that may be unreadable and are passed over


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading; `at_ms` counts from the track's first."""

    at_ms: float
    receiver: str
    rssi_dbm: int


@dataclass(frozen=True, slots=True)
class Track:
    """One walk: readings in the order of time, and the true places, (ms, x, y), in theirs."""

    name: str
    heard: tuple[Heard, ...]
    truth: tuple[tuple[float, float, float], ...]
    unreadable: int

    @property
    def lasts_ms(self) -> float:
        """From the first reading to the last."""
        return self.truth[-1][0]

    def place_at(self, at_ms: float) -> tuple[float, float]:
        """Where the walker was, interpolated between the two nearest rows."""
        rows = self.truth
        low, high = 0, len(rows) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if rows[middle][0] <= at_ms else (low, middle)
        (t1, x1, y1), (t2, x2, y2) = rows[low], rows[high]
        part = 0.0 if t2 <= t1 else min(1.0, max(0.0, (at_ms - t1) / (t2 - t1)))
        return x1 + part * (x2 - x1), y1 + part * (y2 - y1)

    def faster(self, times: float) -> "Track":
        """The same walk by somebody in a hurry."""
        return Track(
            self.name,
            tuple(Heard(h.at_ms / times, h.receiver, h.rssi_dbm) for h in self.heard),
            tuple((at_ms / times, x_m, y_m) for at_ms, x_m, y_m in self.truth),
            self.unreadable,
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """A place and its walks. `beacon_z_m`: how high the beacon was, in the survey."""

    plan: FloorPlan
    survey: tuple[SurveyPoint, ...]
    beacon_z_m: float
    centroids: dict[str, tuple[float, float]]
    tracks: tuple[Track, ...]

    def zone_at(self, x_m: float, y_m: float) -> str:
        """The zone of a place: the nearest centroid's."""
        return min(
            self.centroids, key=lambda name: (math.dist(self.centroids[name], (x_m, y_m)), name)
        )

    def from_border_m(self, x_m: float, y_m: float) -> float:
        """How far a place is from the nearest border between its zone and another."""
        mine = self.centroids[self.zone_at(x_m, y_m)]
        found = math.inf
        for other in self.centroids.values():
            apart = math.dist(mine, other)
            if apart > 0:
                nearer = math.dist(other, (x_m, y_m)) ** 2 - math.dist(mine, (x_m, y_m)) ** 2
                found = min(found, nearer / (2 * apart))
        return found


def load(folder: Path) -> Recording:
    """All of a folder. Raises ConfigError, naming the file and what is wrong with it."""
    receivers = _receivers(folder / "sensors.csv")
    paths = sorted((folder / "tracks").glob("*.csv"))
    if not receivers or not paths:
        raise ConfigError(f"{folder}: needs receivers in sensors.csv, and tracks/*.csv")
    centroids = _centroids(receivers)
    bare = FloorPlan(receivers, ())
    survey: tuple[SurveyPoint, ...] = ()
    beacon_z_m = 1.5
    calibration = folder / "calibration.csv"
    if calibration.exists():
        survey = tuple(read_survey(calibration, bare))
        heights = sorted(place.z_m for place in read_places(calibration))
        beacon_z_m = heights[len(heights) // 2] if heights else beacon_z_m
    spots = [(r.x_m, r.y_m) for r in receivers] + [(p.x_m, p.y_m) for p in survey]
    plan = FloorPlan(receivers, _zones(centroids, spots))
    tracks = tuple(_track(path) for path in paths)
    return Recording(plan, survey, beacon_z_m, centroids, tracks)


def spread_out(points: Sequence[SurveyPoint], count: int) -> list[SurveyPoint]:
    """`count` of the points, as somebody with little time would choose them: each far from others.

    The first is the one nearest to the middle; each next one is farthest from those chosen.
    """
    if count >= len(points):
        return list(points)
    places = [(point.x_m, point.y_m) for point in points]
    middle = [sum(column) / len(places) for column in zip(*places, strict=True)]
    gaps = [math.dist(place, middle) for place in places]
    chosen: list[int] = []
    while len(chosen) < count:
        pick = min if not chosen else max
        at = pick(range(len(places)), key=lambda number: (gaps[number], -number))
        far = [math.dist(place, places[at]) for place in places]
        gaps = far if not chosen else [min(pair) for pair in zip(gaps, far, strict=True)]
        chosen.append(at)
    return [points[at] for at in sorted(chosen)]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV ({type(error).__name__})") from None


def _receivers(path: Path) -> tuple[Receiver, ...]:
    receivers = []
    for at, row in enumerate(_rows(path), start=2):
        try:
            place = (float(row["x_m"]), float(row["y_m"]), float(row["z_m"]))
            receivers.append(Receiver(row["sensor"], *place))
        except (KeyError, TypeError, ValueError):
            raise ConfigError(f"{path}, line {at}: a column is missing or no number") from None
    return tuple(receivers)


def _track(path: Path) -> Track:
    readings: list[tuple[float, str, int]] = []
    places: list[tuple[float, float, float]] = []
    unreadable = 0
    for row in _rows(path):
        try:
            at_s, x_m, y_m = float(row["unix_s"]), float(row["x_m"]), float(row["y_m"])
            rssi_dbm = int(float(row["rssi_dbm"]))
            if not math.isfinite(at_s + x_m + y_m):
                raise ValueError
        except (KeyError, TypeError, ValueError, OverflowError):
            unreadable += 1
            continue
        readings.append((at_s, row["sensor"], rssi_dbm))
        places.append((at_s, x_m, y_m))
    if not readings or unreadable > _BAD_ROWS * len(readings):
        raise ConfigError(f"{path}: {unreadable} of its rows cannot be read")
    readings.sort(key=lambda reading: reading[0])
    places.sort()
    began_s = readings[0][0]
    return Track(
        path.stem,
        tuple(Heard(1000 * (at_s - began_s), name, rssi) for at_s, name, rssi in readings),
        tuple((1000 * (at_s - began_s), x_m, y_m) for at_s, x_m, y_m in places),
        unreadable,
    )


def _centroids(receivers: Sequence[Receiver]) -> dict[str, tuple[float, float]]:
    groups: dict[str, list[Receiver]] = {}
    for receiver in receivers:
        digit = re.search(r"\d", receiver.name)
        groups.setdefault(digit.group() if digit else receiver.name, []).append(receiver)
    return {
        name: (sum(r.x_m for r in group) / len(group), sum(r.y_m for r in group) / len(group))
        for name, group in sorted(groups.items())
    }


def _zones(
    centroids: dict[str, tuple[float, float]], spots: Sequence[tuple[float, float]]
) -> tuple[Zone, ...]:
    """The part of the room that is nearest to each centroid, as polygons."""
    xs, ys = zip(*spots, strict=True)
    low_x, high_x = min(xs) - _MARGIN_M, max(xs) + _MARGIN_M
    low_y, high_y = min(ys) - _MARGIN_M, max(ys) + _MARGIN_M
    room = [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)]
    zones = []
    for name, centre in centroids.items():
        corners = room
        for other in centroids.values():
            if other != centre:
                corners = _nearer(corners, centre, other)
        zones.append(Zone(name, tuple(corners)))
    return tuple(zones)


def _nearer(
    corners: list[tuple[float, float]], mine: tuple[float, float], other: tuple[float, float]
) -> list[tuple[float, float]]:
    """The part of a convex polygon that is nearer to one place (Sutherland and Hodgman, 1974)."""
    kept = []
    for at, end in enumerate(corners):
        start = corners[at - 1]
        a, b = (math.dist(p, other) ** 2 - math.dist(p, mine) ** 2 for p in (start, end))
        if (a > 0) != (b > 0):
            part = a / (a - b)
            kept.append(
                (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
            )
        if b > 0:
            kept.append(end)
    return kept
