"""What radios hear of a crowd: distance, shadows that stay where they are, bodies, fading, loss.

Path loss and its scatter are those measured in shops (exponent 2.2; T. S. Rappaport, "Wireless
Communications", table 4.6): what a wall or a shelf takes away at a place, it takes away each time.
Fast fading is Rician. A body takes up to 5 dB from what is behind it. It was chosen to be
as hard as what was recorded: an earlier `ZoneBeliefs` was wrong by 1.7 m about a phone here, and
about the walkers of simulators/tracks.py. That was not measured again since.
"""

import math
import random
from array import array
from dataclasses import dataclass, replace

from simulators.crowd_store import FRONT_M, CrowdStore

_CELL_M = 0.5
_FADES = 4096
_WAVES = 12
_HEARS_NOTHING_DB = 14.0  # below the threshold, that no fade brings back


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """How hard the radio is.

    power_dbm    of a usual beacon at 1 m; exponent is the path loss's
    shadow_db    standard deviation of a place's own loss, for each receiver
    body_db      behind a body
    rician_k     of fast fading: the direct path's power over the others'
    loss         of all advertisements, those that a receiver misses though they are strong enough
    front_db     what the front takes away from what is on the street
    hears_dbm    the threshold of a receiver
    """

    power_dbm: float = -59.0
    exponent: float = 2.2
    shadow_db: float = 3.0
    body_db: float = 5.0
    rician_k: float = 3.0
    loss: float = 0.3
    front_db: float = 8.0
    hears_dbm: float = -96.0

    def with_loss(self, loss: float) -> "RadioSettings":
        """The same, where so much is lost."""
        return replace(self, loss=loss)


class CrowdRadio:
    """The radio field of one store: as fixed as its walls. One seed is always the same field."""

    def __init__(self, store: CrowdStore, seed: int, settings: RadioSettings) -> None:
        self.settings = settings
        self.names = sorted(store.plan.receivers)
        self._receivers = [store.plan.receivers[name] for name in self.names]
        self._left_m, self._front_m = -FRONT_M, -FRONT_M
        self._columns = math.ceil((store.width_m + 2 * FRONT_M) / _CELL_M)
        self._rows = math.ceil((store.depth_m + FRONT_M + 2.0) / _CELL_M)
        rng = random.Random(f"radio {seed}")
        self._mean_dbm = [self._field(at, rng) for at in range(len(self.names))]
        self._nearby: dict[int, tuple[tuple[int, float, float], ...]] = {}
        self.fades_db = [_fade(rng, settings.rician_k) for _ in range(_FADES)]

    def mean_dbm(self, receiver: str, x_m: float, y_m: float) -> float:
        """What a receiver hears of a usual beacon there, on average, without a body."""
        return self._mean_dbm[self.names.index(receiver)][self._cell(x_m, y_m)]

    def around(self, x_m: float, y_m: float) -> tuple[tuple[int, float, float], ...]:
        """The receivers that can hear a place: (number, mean in dBm, direction in radians)."""
        cell = self._cell(x_m, y_m)
        found = self._nearby.get(cell)
        if found is None:
            least_dbm = self.settings.hears_dbm - _HEARS_NOTHING_DB
            found = self._nearby[cell] = tuple(
                (at, mean[cell], math.atan2(radio.y_m - y_m, radio.x_m - x_m))
                for at, (mean, radio) in enumerate(
                    zip(self._mean_dbm, self._receivers, strict=True)
                )
                if mean[cell] > least_dbm
            )
        return found

    def _cell(self, x_m: float, y_m: float) -> int:
        column = int((x_m - self._left_m) / _CELL_M)
        row = int((y_m - self._front_m) / _CELL_M)
        column = min(self._columns - 1, max(0, column))
        return min(self._rows - 1, max(0, row)) * self._columns + column

    def _field(self, at: int, rng: random.Random) -> "array[float]":
        """The mean in each cell: path loss, and a shadow made of waves 3 to 10 m long."""
        radio, settings = self._receivers[at], self.settings
        waves = []
        for _ in range(_WAVES):
            wave, turn = 2 * math.pi / rng.uniform(3.0, 10.0), rng.uniform(0, 2 * math.pi)
            waves.append((wave * math.cos(turn), wave * math.sin(turn), rng.uniform(0, 7)))
        scale = settings.shadow_db * math.sqrt(2 / _WAVES)
        field = array("f")
        for row in range(self._rows):
            y_m = self._front_m + (row + 0.5) * _CELL_M
            for column in range(self._columns):
                x_m = self._left_m + (column + 0.5) * _CELL_M
                away_m = math.dist((x_m, y_m, 1.1), (radio.x_m, radio.y_m, radio.z_m))
                mean_dbm = settings.power_dbm - 10 * settings.exponent * math.log10(away_m)
                mean_dbm += scale * sum(math.cos(kx * x_m + ky * y_m + p) for kx, ky, p in waves)
                field.append(mean_dbm - (settings.front_db if y_m < 0 else 0.0))
        return field


def _fade(rng: random.Random, k: float) -> float:
    """One draw of a Rician channel of mean power 1, in dB."""
    direct, scattered = math.sqrt(k / (k + 1)), math.sqrt(1 / (2 * (k + 1)))
    real, other = direct + rng.gauss(0, scattered), rng.gauss(0, scattered)
    return 10 * math.log10(max(1e-4, real * real + other * other))
