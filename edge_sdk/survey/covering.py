"""Where a store has been surveyed, and where the next point would help most.

A radio map knows a place by the surveyed ones near it, and what it lacks grows with the distance to
the nearest, up to where that says nothing any more. So the next point is the place that takes most
from those distances, summed over the floor.
"""

import math
from collections.abc import Iterator, Sequence

from edge_sdk.plan_picture import extent
from edge_sdk.presence.floor import FloorPlan

NEAR_M = 2.0  # a place this near to a surveyed one is known
_FAR_M = 4.0  # from here on a surveyed place says nothing
_MOST_CELLS = 2_500
_ENOUGH = 0.99

Point = tuple[float, float]


class Covering:
    """The places of one floor that are in a zone, on a grid."""

    def __init__(self, plan: FloorPlan, floor: int) -> None:
        x0, y0, x1, y1 = extent(plan, floor)
        width, height = max(x1 - x0, 0.1), max(y1 - y0, 0.1)
        cell_m = max(0.75, math.sqrt(width * height / _MOST_CELLS))
        self.cells: dict[tuple[int, int], Point] = {}
        for row in range(math.ceil(height / cell_m)):
            for column in range(math.ceil(width / cell_m)):
                place = (x0 + (column + 0.5) * cell_m, y0 + (row + 0.5) * cell_m)
                if plan.zone_at(*place, floor) is not None:
                    self.cells[row, column] = place
        reach = range(-math.ceil(_FAR_M / cell_m), math.ceil(_FAR_M / cell_m) + 1)
        around = ((r, c, cell_m * math.hypot(r, c)) for r in reach for c in reach)
        self._around = [(r, c, away_m) for r, c, away_m in around if away_m < _FAR_M]

    def share(self, points: Sequence[Point]) -> float:
        """How much of the floor is known, 0 to 1."""
        if not self.cells:
            return 1.0
        away = self._away_m(points).values()
        return sum(1 for away_m in away if away_m <= NEAR_M) / len(away)

    def next(self, points: Sequence[Point]) -> Point | None:
        """Where the next point would help most; None: nearly all is known."""
        away = self._away_m(points)
        known = sum(1 for away_m in away.values() if away_m <= NEAR_M)
        if known >= _ENOUGH * len(away):
            return None
        best = max(away, key=lambda cell: self._gain(cell, away))
        return self.cells[best]

    def _away_m(self, points: Sequence[Point]) -> dict[tuple[int, int], float]:
        """From each cell to the nearest of these points, `_FAR_M` at most."""
        return {
            cell: min((math.dist(place, point) for point in points), default=_FAR_M)
            for cell, place in self.cells.items()
        }

    def _gain(self, cell: tuple[int, int], away: dict[tuple[int, int], float]) -> float:
        row, column = cell
        gain = 0.0
        for rows, columns, new_m in self._around:
            old_m = away.get((row + rows, column + columns), 0.0)
            if new_m < old_m:
                gain += min(old_m, _FAR_M) - new_m
        return gain


def walk(plan: FloorPlan, floor: int, count: int) -> Iterator[Point]:
    """So many points that cover a floor, each where it helps most after those before it."""
    covering = Covering(plan, floor)
    points: list[Point] = []
    while len(points) < count:
        place = covering.next(points)
        if place is None:
            return
        points.append(place)
        yield place
