"""A survey of the simulated shop: what a surveyor with a tag notes down."""

import random

from edge_sdk.presence.floor import SurveyPoint
from simulators.crowd_radio import CrowdRadio
from simulators.crowd_store import CrowdStore

TAG_Z_M = 1.1
_ERROR_DB = 1.5
_FADING_DB = 4.0
_READINGS = 40


def surveyed(
    store: CrowdStore, radio: CrowdRadio, seed: int, every_m: float
) -> tuple[SurveyPoint, ...]:
    """The mean every so many metres, on a grid in the shop and in front of it, give or take 1.5 dB.

    A receiver that hears nothing there is left out.
    """
    rng = random.Random(f"survey {seed}")
    points = []
    x_m = every_m / 2
    while x_m < store.width_m:
        y_m = -1.5 * every_m
        while y_m < store.depth_m:
            heard = {}
            for name in radio.names:
                mean_dbm = radio.mean_dbm(name, x_m, y_m) + rng.gauss(0, _ERROR_DB)
                if mean_dbm > radio.settings.hears_dbm:
                    heard[name] = (mean_dbm, _FADING_DB, _READINGS)
            points.append(SurveyPoint(x_m, y_m, heard))
            y_m += every_m
        x_m += every_m
    return tuple(points)
