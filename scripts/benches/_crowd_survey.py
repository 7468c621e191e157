"""A survey of the simulated shop, and the radio map that the bench makes of one.

A surveyor stands at the corners of a grid, and in front of the shop, with a tag: what is noted is
the mean there, give or take 1.5 dB. Between the points, what they differ from the path loss by is
weighed by distance (D. Shepard, 1968).
"""

import random

from edge_sdk.presence.floor import FloorPlan, SurveyPoint
from edge_sdk.presence.radio_map import PathLoss
from simulators.crowd_radio import CrowdRadio
from simulators.crowd_store import CrowdStore

EXPONENT = 2.2  # of a shop; see simulators/crowd_radio.py
_ERROR_DB = 1.5
_READINGS = 40


def surveyed(
    store: CrowdStore, radio: CrowdRadio, seed: int, every_m: float
) -> tuple[SurveyPoint, ...]:
    """What a surveyor notes down, every so many metres."""
    rng = random.Random(f"survey {seed}")
    points = []
    x_m = every_m / 2
    while x_m < store.width_m:
        y_m = -1.5 * every_m
        while y_m < store.depth_m:
            heard = {
                name: (radio.mean_dbm(name, x_m, y_m) + rng.gauss(0, _ERROR_DB), 4.0, _READINGS)
                for name in radio.names
            }
            points.append(SurveyPoint(x_m, y_m, heard))
            y_m += every_m
        x_m += every_m
    return tuple(points)


class ByDistance:
    """A radio map (`radio_map.RadioMap`) of survey points."""

    def __init__(self, plan: FloorPlan, points: tuple[SurveyPoint, ...], sd_db: float) -> None:
        self._beneath = PathLoss(plan, exponent=EXPONENT, sd_db=sd_db)
        self._sd_db = sd_db
        self._off: dict[str, list[tuple[float, float, float]]] = {
            name: [
                (at.x_m, at.y_m, at.heard[name][0] - self._beneath.expect(name, at.x_m, at.y_m)[0])
                for at in points
            ]
            for name in plan.receivers
        }

    def expect(self, receiver: str, x_m: float, y_m: float) -> tuple[float, float]:
        """Mean in dBm and standard deviation in dB."""
        total = off_db = 0.0
        for at_x_m, at_y_m, db in self._off[receiver]:
            weight = 1 / ((at_x_m - x_m) ** 2 + (at_y_m - y_m) ** 2 + 0.5) ** 2
            total += weight
            off_db += weight * db
        mean_dbm, _ = self._beneath.expect(receiver, x_m, y_m)
        return mean_dbm + off_db / total, self._sd_db
