"""Which zone a beacon is in, as a hidden Markov model over spots of the floor; no numpy.

A step moves the belief as people walk, and weighs each spot by how well it explains what was heard
there: Student's t for each receiver's median (a fade or a wrong receiver moves it so far and no
farther), and for a receiver that could have heard and did not, the probability of that.

Phones differ by 20 dB, so the strength of a beacon is unknown. It is estimated beside the belief as
a Gaussian that all spots share: the part of a spot's misfit that is common to all receivers costs
no more than that Gaussian says (assumed density filtering, P. S. Maybeck, "Stochastic Models,
Estimation and Control", 1982). Readings of one place have their shadows in common, so each step
counts as the part `tempering` of an independent one.
"""

import math
from array import array

from .belief import OUTSIDE
from .spots import moves_of, spans_of, spots_of, zone_names

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .floor import FloorPlan
    from .radio_map import RadioMap
    from .spots import Spot

    Row = array[float]

_FREEDOM = 4.0  # of Student's t
_FLOOR_LOSS_DB = 15.0  # through a ceiling (ITU-R P.1238)
_GAP_MOST = 10  # steps; after more of them a walker may be anywhere near anyway
_HEARS_SD_DB = 6.0
_SAYS = (0.75, 1.0)  # how much one reading of a step says, and several
_RATES = (0.7, 1.2, 2.0)  # readings a step at a receiver that hears a beacon well, as classes
_STRENGTH_AT_ONCE = 8  # updates in which the strength is estimated each time; then every
_STRENGTH_EVERY = 4
_STRENGTH_DRIFT_DB2 = 0.3


class ZoneBeliefs:
    """The beliefs of one store (`belief.Beliefs`).

    plan, radio      the store, and what its receivers hear of a beacon of the usual strength
    spot_m           how wide a spot is at least, and
    most_spots       how many there may be: a step costs as many operations a receiver
    speed_m_s        of people on average, pauses included
    strength_sd_db   how different beacons are
    tempering        how much a step counts beside an independent one
    hears_dbm        what a receiver hears half of the time
    margin_m         how far beyond the plan a beacon is still heard
    outside          how probable it is that an unknown beacon is in no zone
    """

    def __init__(
        self,
        plan: "FloorPlan",
        radio: "RadioMap",
        *,
        step_ms: int = 1_000,
        spot_m: float = 2.5,
        most_spots: int = 64,
        speed_m_s: float = 0.4,
        strength_sd_db: float = 7.0,
        tempering: float = 0.4,
        hears_dbm: float = -97.0,
        margin_m: float = 4.0,
        outside: float = 0.3,
    ) -> None:
        self.step_ms = step_ms
        self.deaf: "set[str]" = set()
        names = zone_names(plan)
        self.zones = tuple(names + [OUTSIDE])
        self.spots = spots_of(plan, spot_m, margin_m, most_spots)
        self.spans = spans_of(self.spots, len(self.zones))
        self.receivers = tuple(sorted(plan.receivers))
        self.number = {name: at for at, name in enumerate(self.receivers)}
        self.strength_var_db2 = strength_sd_db * strength_sd_db
        self._tempering = tempering
        self._hears_dbm = hears_dbm
        self._expected = [
            [_expected(plan, radio, spot, name) for spot in self.spots] for name in self.receivers
        ]
        self.precisions = [
            tempering * sum([(_FREEDOM + 1) / (_FREEDOM + 3) / var for _, var in row]) / len(row)
            for row in self._expected
        ]
        self.prior = array("f", _prior(self.spots, len(names), outside))
        self._moves = moves_of(self.spots, len(names), speed_m_s * step_ms / 1000, self.prior)
        # Rows are made when they are needed first: by receiver, then by level.
        self._losses: "list[dict[int, Row]]" = [{} for _ in self.receivers]
        self._slopes: "list[dict[int, Row]]" = [{} for _ in self.receivers]
        self._misses: "list[dict[int, Row]]" = [{} for _ in self.receivers]

    def fresh(self, at_ms: int) -> "ZoneBelief":
        """The belief about a beacon that was first heard just now."""
        return ZoneBelief(self, at_ms)

    def moved(self, weights: "Row") -> "list[float]":
        """The belief a step later."""
        w = weights
        return [
            here * stays + w[a] * of_a + w[b] * of_b + w[c] * of_c + w[d] * of_d + anew
            for here, (stays, a, of_a, b, of_b, c, of_c, d, of_d, anew) in zip(w, self._moves)
        ]

    def loss(self, receiver: int, level_dbm: int, several: bool) -> "Row":
        """Of each spot: -log likelihood of a reading, as much of it as a step says."""
        rows = self._losses[receiver]
        key = 2 * level_dbm + several
        row = rows.get(key)
        if row is None:
            share = self._tempering * _SAYS[several]
            losses = []
            for mean_dbm, var_db2 in self._expected[receiver]:
                off_db = level_dbm - mean_dbm
                spread = 1.0 + off_db * off_db / (_FREEDOM * var_db2)
                nats = (_FREEDOM + 1) / 2 * math.log(spread) + 0.5 * math.log(var_db2)
                losses.append(share * nats)
            row = rows[key] = array("f", losses)
        return row

    def slope(self, receiver: int, level_dbm: int, several: bool) -> "Row":
        """Of each spot: how `loss` falls if the beacon is 1 dB stronger than was thought."""
        rows = self._slopes[receiver]
        key = 2 * level_dbm + several
        row = rows.get(key)
        if row is None:
            share = self._tempering * _SAYS[several]
            slopes = []
            for mean_dbm, var_db2 in self._expected[receiver]:
                off_db = level_dbm - mean_dbm
                scaled = _FREEDOM * var_db2 + off_db * off_db
                slopes.append(share * (_FREEDOM + 1) * off_db / scaled)
            row = rows[key] = array("f", slopes)
        return row

    def miss(self, receiver: int, strength_db: int, rate: int) -> "Row":
        """Of each spot: -log probability that a receiver misses a beacon for a step.

        rate  class of _RATES
        """
        rows = self._misses[receiver]
        key = 4 * strength_db + rate
        row = rows.get(key)
        if row is None:
            share = self._tempering * _RATES[rate]
            losses = []
            for mean_dbm, _ in self._expected[receiver]:
                over = (mean_dbm + strength_db - self._hears_dbm) / _HEARS_SD_DB
                # The logistic curve that is nearest to the normal one.
                losses.append(share / (1 + math.exp(-1.7 * _within(over, 20.0))))
            row = rows[key] = array("f", losses)
        return row


class ZoneBelief:
    """What is believed of one beacon (`belief.Belief`)."""

    __slots__ = ("_at_ms", "_of", "_rate", "_strength_db", "_updates", "_var_db2", "_weights")

    def __init__(self, of: ZoneBeliefs, at_ms: int) -> None:
        self._of = of
        self._at_ms = at_ms
        self._weights = of.prior
        self._strength_db = 0.0
        self._var_db2 = of.strength_var_db2
        self._rate = 1.2  # readings a step at the receiver that hears it best
        self._updates = 0

    def step(self, at_ms: int, heard: "list[tuple[str, float, int]]") -> None:
        """Take in what came since the last step: (receiver, median in dBm, readings).

        When nobody heard it, the belief only spreads: how long a beacon may be silent is judged by
        silence.py, whatever the belief.
        """
        of = self._of
        steps = max(1, min(_GAP_MOST, round((at_ms - self._at_ms) / of.step_ms)))
        self._at_ms = at_ms
        weights = of.moved(self._weights)
        for _ in range(steps - 1):
            weights = of.moved(array("f", weights))
        if heard:
            weights = self._weighed(weights, heard)
        self._weights = array("f", weights)

    def _weighed(
        self, weights: "list[float]", heard: "list[tuple[str, float, int]]"
    ) -> "list[float]":
        """The belief once readings, and the lack of them, have been looked at."""
        of = self._of
        strength_db = round(self._strength_db)
        known = [(of.number[name], round(rssi) - strength_db, n > 1) for name, rssi, n in heard]
        rows = [of.loss(receiver, level_dbm, several) for receiver, level_dbm, several in known]
        rows += self._missed(known, heard, strength_db)
        losses = [sum(column) for column in zip(*rows)]
        self._updates += 1
        if self._updates > _STRENGTH_AT_ONCE and self._updates % _STRENGTH_EVERY:
            least = min(losses)
            weights = [w * math.exp(least - loss) for w, loss in zip(weights, losses)]
            scale = 1.0 / sum(weights)
            return [w * scale for w in weights]
        slopes = [of.slope(receiver, level_dbm, several) for receiver, level_dbm, several in known]
        precision = sum([of.precisions[receiver] for receiver, _, _ in known])
        return self._strengthen(weights, losses, [sum(c) for c in zip(*slopes)], precision)

    def _missed(
        self,
        known: "list[tuple[int, int, bool]]",
        heard: "list[tuple[str, float, int]]",
        strength_db: int,
    ) -> "list[Row]":
        """Rows of the receivers that could have heard it."""
        of = self._of
        best = max([(rssi_dbm, readings) for _, rssi_dbm, readings in heard])
        self._rate += 0.1 * (min(best[1], 4) - self._rate)
        rate = 0 if self._rate < 0.95 else (1 if self._rate < 1.6 else 2)
        numbers = [receiver for receiver, _, _ in known]
        return [
            of.miss(receiver, strength_db, rate)
            for receiver in range(len(of.receivers))
            if receiver not in numbers and of.receivers[receiver] not in of.deaf
        ]

    def _strengthen(
        self, weights: "list[float]", losses: "list[float]", slopes: "list[float]", precision: float
    ) -> "list[float]":
        """Weigh the spots, and learn how strong this beacon is: all receivers' common misfit."""
        variance = 1.0 / (1.0 / self._var_db2 + precision)
        gain = 0.5 * variance
        fits = [gain * slope * slope - loss for loss, slope in zip(losses, slopes)]
        best = max(fits)
        weights = [w * math.exp(fit - best) for w, fit in zip(weights, fits)]
        scale = 1.0 / sum(weights)
        weights = [w * scale for w in weights]
        mean = square = 0.0
        for w, slope in zip(weights, slopes):
            mean += w * slope
            square += w * slope * slope
        spread = max(0.0, square - mean * mean) * variance * variance
        self._strength_db = _within(self._strength_db + variance * mean, 25.0)
        self._var_db2 = min(self._of.strength_var_db2, variance + spread + _STRENGTH_DRIFT_DB2)
        return weights

    def zones(self) -> "list[float]":
        """The probability of each zone, in the order of `ZoneBeliefs.zones`."""
        weights = self._weights
        return [sum(weights[first:end]) for first, end in self._of.spans]

    def position(self) -> "tuple[float, float, float, float, float] | None":
        """X and y in metres, their variances and covariance in m2; None over several floors."""
        x_m = y_m = xx = yy = xy = 0.0
        spots = self._of.spots
        floor = spots[0].floor
        for at in range(len(spots)):
            spot = spots[at]
            if spot.floor != floor:
                return None
            weight = self._weights[at]
            x_m += weight * spot.x_m
            y_m += weight * spot.y_m
            within = spot.size_m * spot.size_m / 12
            xx += weight * (spot.x_m * spot.x_m + within)
            yy += weight * (spot.y_m * spot.y_m + within)
            xy += weight * spot.x_m * spot.y_m
        return x_m, y_m, xx - x_m * x_m, yy - y_m * y_m, xy - x_m * y_m


def _expected(
    plan: "FloorPlan", radio: "RadioMap", spot: "Spot", receiver: str
) -> "tuple[float, float]":
    mean_dbm, var_db2 = spot.expect(radio, receiver)
    ceilings = abs(plan.receivers[receiver].floor - spot.floor)
    return mean_dbm - _FLOOR_LOSS_DB * ceilings, max(4.0, var_db2)


def _prior(spots: "list[Spot]", outside_zone: int, outside: float) -> "list[float]":
    inside_area = sum([spot.area for spot in spots if spot.zone != outside_zone]) or 1.0
    outside_area = sum([spot.area for spot in spots if spot.zone == outside_zone]) or 1.0
    return [
        outside * spot.area / outside_area
        if spot.zone == outside_zone
        else (1 - outside) * spot.area / inside_area
        for spot in spots
    ]


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))
