"""Where a beacon is, in metres: a particle filter that walks over a radio map, with numpy.

CPython alone. A particle is a walker: a place, a velocity, how fast she usually is, how strong her
beacon is, and, for each receiver, by how much it hears otherwise than the map says: the map's own
error here, the way she carries the beacon. Those differences last for seconds to a minute; what is
left of a reading's error is new each time. So each particle carries a Kalman filter for each
receiver (Rao-Blackwell: Doucet et al., "Rao-Blackwellised particle filtering for dynamic Bayesian
networks", UAI 2000), and a place is probable when it explains what is heard without improbable
differences. Readings have tails, one-sided ones: a Student's t weighs them.

Velocities revert to zero within seconds (Ornstein-Uhlenbeck), at one of several usual speeds, which
the data choose: from who stands at a shelf to who hurries at 1.5 m/s.
"""

import copy
from typing import TYPE_CHECKING

import numpy as np

from edge_sdk.presence.belief import OUTSIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.presence.floor import FloorPlan
    from edge_sdk.presence.survey_map import SurveyMap

    Array = NDArray[np.float64]
    Indices = NDArray[np.intp]

_CELL_M = 0.25
_MARGIN_M = 0.5  # beyond the outermost zone, receiver or surveyed point

# Standard deviations of a velocity, in m/s on each axis.
_SPEEDS_M_S = np.array([0.15, 0.3, 0.6, 1.0])
_TURNS_S = 8.0  # a velocity is forgotten within
_JITTER_M = 0.03
_ANOTHER_SPEED = 0.02  # probability in a step
_BOUNCE = -0.3  # of a velocity, at a wall

# Differences between a receiver and the map last for one of these times.
_LASTS_S = np.array([15.0, 60.0])
_DIFFERENCE_VAR_DB2 = 4.0
_LASTING = 0.25  # of what a map does not know
_READING_VAR_DB2 = 27.0
_FREEDOM = 6.0  # of Student's t
_MOST_READINGS = 4  # of one receiver in one step; more of them say no more

_HEARS_DBM = -96.0  # half of the time
_HEARS_SD_DB = 6.0
_HEARD_OF = 0.6  # advertisements, where the signal is strong

_RESAMPLE_BELOW = 0.5  # of the particles are effective
_ANEW = 0.003  # of the particles start anywhere, then
_LOST_AFTER_S = 10.0  # of silence: so many more as there was more of it
_STRENGTH_DRIFT_DB = 0.03


class WalkerBeliefs:
    """The beliefs of one floor of a store (`belief.Beliefs`), with positions.

    plan            the store
    radio           its radio map
    floor           which floor; receivers on others are not heard
    particles       more are steadier and cost more: a step takes some ms for a thousand
    strength_sd_db  how differently strong beacons are; None: as vague as the map itself
    seed            the same readings and the same seed give the same positions
    """

    def __init__(
        self,
        plan: "FloorPlan",
        radio: "SurveyMap",
        *,
        floor: int = 0,
        particles: int = 2_000,
        step_ms: int = 500,
        strength_sd_db: "float | None" = None,
        tempering: float = 1.1,
        seed: int = 1,
    ) -> None:
        self.step_ms = step_ms
        self.deaf: set[str] = set()
        self.particles = particles
        self.tempering = tempering
        if strength_sd_db is None:
            strength_sd_db = radio.strength_sd_db
        self.strength_sd_db = strength_sd_db
        names = [zone.name for zone in plan.zones if zone.floor == floor]
        self.zones = (*dict.fromkeys(names), OUTSIDE)
        heard_here = [name for name in radio.receivers if plan.receivers[name].floor == floor]
        if not heard_here:
            raise ValueError("no receiver is on floor %d" % floor)
        self.number = {name: number for number, name in enumerate(heard_here)}
        self._seed = seed
        self._met = 0
        self._lay_out(plan, radio, floor, heard_here)

    def fresh(self, at_ms: int) -> "WalkerBelief":
        """The belief about a beacon that was first heard just now."""
        self._met += 1
        return WalkerBelief(self, at_ms, np.random.default_rng([self._seed, self._met]))

    def anew(self) -> "WalkerBeliefs":
        """The same, as if no beacon had been met: for another run over the same store."""
        other = copy.copy(self)
        other._met = 0
        other.deaf = set()
        return other

    def cells(self, x_m: "Array", y_m: "Array") -> "Indices":
        """The number of the cell of each place."""
        column = ((x_m - self.low[0]) / _CELL_M).astype(np.intp)
        row = ((y_m - self.low[1]) / _CELL_M).astype(np.intp)
        columns, rows = self.shape
        cells: Indices = np.clip(column, 0, columns - 1) * rows + np.clip(row, 0, rows - 1)
        return cells

    def _lay_out(
        self, plan: "FloorPlan", radio: "SurveyMap", floor: int, heard_here: "list[str]"
    ) -> None:
        corners = [place for zone in plan.zones if zone.floor == floor for place in zone.corners]
        corners += [(plan.receivers[name].x_m, plan.receivers[name].y_m) for name in heard_here]
        self.low = np.min(corners, axis=0) - _MARGIN_M
        self.high = np.max(corners, axis=0) + _MARGIN_M
        columns, rows = (np.ceil((self.high - self.low) / _CELL_M)).astype(int)
        self.shape = (int(columns), int(rows))
        grid = np.stack(
            np.meshgrid(
                self.low[0] + _CELL_M * (np.arange(columns) + 0.5),
                self.low[1] + _CELL_M * (np.arange(rows) + 0.5),
                indexing="ij",
            ),
            axis=-1,
        ).reshape(-1, 2)
        fields = [radio.field(radio.receivers.index(name), grid) for name in heard_here]
        self.mean_dbm = np.stack([mean for mean, _ in fields], axis=1)
        var_db2 = np.stack([var for _, var in fields], axis=1)
        # What the map does not know is partly the same wherever she walks.
        lasting = _LASTING * np.median(var_db2, axis=0)
        self.difference_var_db2 = _DIFFERENCE_VAR_DB2 + lasting
        self.var_db2 = np.maximum(0.0, var_db2 - lasting)
        over = (self.mean_dbm - _HEARS_DBM) / _HEARS_SD_DB
        hears = _HEARD_OF / (1.0 + np.exp(-1.7 * np.clip(over, -20.0, 20.0)))
        self.missed = np.log1p(-hears)
        number = {name: at for at, name in enumerate(self.zones)}
        zones = [plan.zone_at(float(x), float(y), floor) for x, y in grid]
        self.zone_of = np.array([number[zone or OUTSIDE] for zone in zones])


class WalkerBelief:
    """What is believed of one beacon (`belief.Belief`)."""

    __slots__ = (
        "_at_ms",
        "_difference",
        "_heard_ms",
        "_lasts",
        "_log_weights",
        "_of",
        "_place",
        "_rng",
        "_speed",
        "_strength",
        "_vague",
        "_velocity",
        "_weights",
    )

    def __init__(self, of: WalkerBeliefs, at_ms: int, rng: np.random.Generator) -> None:
        count = of.particles
        self._of = of
        self._rng = rng
        self._at_ms = self._heard_ms = at_ms
        self._place = rng.uniform(of.low, of.high, (count, 2))
        self._speed = rng.integers(0, len(_SPEEDS_M_S), count)
        self._lasts = rng.integers(0, len(_LASTS_S), count)
        self._velocity = rng.normal(size=(count, 2)) * _SPEEDS_M_S[self._speed, None]
        self._strength = rng.normal(0.0, of.strength_sd_db, count)
        self._difference = np.zeros((count, len(of.number)))
        self._vague = np.tile(of.difference_var_db2, (count, 1))
        self._log_weights = np.zeros(count)
        self._weights = np.full(count, 1.0 / count)

    def step(self, at_ms: int, heard: "list[tuple[str, float, int]]") -> None:
        """Take in what came since the last step: (receiver, median in dBm, readings)."""
        passed_s = (at_ms - self._at_ms) / 1000
        self._at_ms = at_ms
        if passed_s > 0:
            self._walk(min(passed_s, 60.0))
        known = [one for one in heard if one[0] in self._of.number]
        if not known:
            return
        silent_s = (at_ms - self._heard_ms) / 1000
        self._heard_ms = at_ms
        if silent_s > _LOST_AFTER_S:
            self._start_anew(min(0.5, silent_s / 120))
        self._weigh(known)
        if 1.0 / (self._weights**2).sum() < _RESAMPLE_BELOW * len(self._weights):
            self._resample()

    def zones(self) -> "list[float]":
        """The probability of each zone, in the order of `WalkerBeliefs.zones`."""
        of = self._of
        zones = of.zone_of[of.cells(self._place[:, 0], self._place[:, 1])]
        found: list[float] = np.bincount(zones, self._weights, len(of.zones)).tolist()
        return found

    def position(self) -> "tuple[float, float, float, float, float]":
        """X and y in metres, their variances and covariance in m2."""
        mean = self._weights @ self._place
        off = self._place - mean
        covariance = (off * self._weights[:, None]).T @ off
        return (
            float(mean[0]),
            float(mean[1]),
            float(covariance[0, 0]),
            float(covariance[1, 1]),
            float(covariance[0, 1]),
        )

    def _walk(self, passed_s: float) -> None:
        of, rng = self._of, self._rng
        count = len(self._weights)
        changes = np.flatnonzero(rng.random(count) < _ANOTHER_SPEED)
        self._speed[changes] = rng.integers(0, len(_SPEEDS_M_S), len(changes))
        self._lasts[changes] = rng.integers(0, len(_LASTS_S), len(changes))
        keeps = np.exp(-passed_s / _TURNS_S)
        kick = _SPEEDS_M_S[self._speed] * np.sqrt(1.0 - keeps**2)
        before = self._velocity
        self._velocity = keeps * before + kick[:, None] * rng.normal(size=(count, 2))
        travel = 0.5 * passed_s * (before + self._velocity)
        self._place = self._place + travel + rng.normal(0.0, _JITTER_M, (count, 2))
        for end, sign in ((of.low, 1.0), (of.high, -1.0)):
            beyond = sign * (end - self._place)
            over = beyond > 0
            self._place = np.where(over, self._place + 2 * sign * beyond, self._place)
            self._velocity = np.where(over, _BOUNCE * self._velocity, self._velocity)
        self._place = np.clip(self._place, of.low, of.high)
        stays = np.exp(-passed_s / _LASTS_S)[self._lasts, None]
        self._difference *= stays
        self._vague = stays**2 * self._vague + (1.0 - stays**2) * of.difference_var_db2
        drift = _STRENGTH_DRIFT_DB * np.sqrt(passed_s)
        self._strength = self._strength + drift * rng.normal(size=count)

    def _weigh(self, heard: "list[tuple[str, float, int]]") -> None:
        """Weigh each particle by how well it explains what was heard, and what was not."""
        of = self._of
        numbers = np.array([of.number[name] for name, _, _ in heard], dtype=np.intp)
        rssi_dbm = np.array([median_dbm for _, median_dbm, _ in heard])
        readings = np.array([min(_MOST_READINGS, number) for _, _, number in heard])
        cells = of.cells(self._place[:, 0], self._place[:, 1])[:, None]
        expected = of.mean_dbm[cells, numbers] + self._strength[:, None]
        vague = self._vague[:, numbers]
        noise = _READING_VAR_DB2 / readings + of.var_db2[cells, numbers]
        off = rssi_dbm - expected - self._difference[:, numbers]
        total = vague + noise
        squared = off**2 / total
        nats = -0.5 * (_FREEDOM + 1) * np.log1p(squared / _FREEDOM) - 0.5 * np.log(total)
        # A surprising reading teaches less (the t distribution as a scale mixture of normals).
        trust = (_FREEDOM + 1) / (_FREEDOM + squared)
        gain = vague / (vague + noise / trust)
        self._difference[:, numbers] += gain * off
        self._vague[:, numbers] = (1.0 - gain) * vague
        silent = np.ones(len(of.number), dtype=bool)
        silent[numbers] = False
        silent[[of.number[name] for name in of.deaf if name in of.number]] = False
        cost = nats.sum(axis=1) + of.missed[cells, np.flatnonzero(silent)].sum(axis=1)
        self._log_weights = self._log_weights + of.tempering * cost
        self._log_weights -= self._log_weights.max()
        weights = np.exp(self._log_weights)
        self._weights = weights / weights.sum()

    def _resample(self) -> None:
        """Draw as many particles anew, each as often as its weight says (systematic)."""
        count = len(self._weights)
        ladder = np.cumsum(self._weights)
        marks = (np.arange(count) + self._rng.random()) / count
        drawn = np.minimum(np.searchsorted(ladder, marks), count - 1)
        self._place = self._place[drawn]
        self._velocity = self._velocity[drawn]
        self._speed = self._speed[drawn]
        self._lasts = self._lasts[drawn]
        self._strength = self._strength[drawn]
        self._difference = self._difference[drawn]
        self._vague = self._vague[drawn]
        self._log_weights = np.zeros(count)
        self._weights = np.full(count, 1.0 / count)
        self._start_anew(_ANEW)

    def _start_anew(self, part: float) -> None:
        """Let some particles be anywhere: no belief is for ever."""
        rng = self._rng
        chosen = np.flatnonzero(rng.random(len(self._weights)) < part)
        self._place[chosen] = rng.uniform(self._of.low, self._of.high, (len(chosen), 2))
        self._velocity[chosen] = 0.0
        self._difference[chosen] = 0.0
        self._vague[chosen] = self._of.difference_var_db2
