"""Which zone a beacon is in, as a hidden Markov model over spots of the floor; no numpy.

A state is a spot and how strong the beacon is, for phones differ by 20 dB. A step moves the belief
as people walk, and weighs each state by how well it explains what was heard: Student's t for each
receiver's median (a fade or a wrong receiver moves it so far and no farther), and for a receiver
that could have heard and did not, the probability of that. Readings of one place have their shadows
in common, so each step counts as the part `tempering` of an independent one.

Only states that are not hopeless are followed, some thirty of a thousand; now and then all spots
are looked at again, so that no belief is for ever.
"""

import math
from array import array

from .belief import OUTSIDE
from .spots import moves_of, spots_of, zone_names

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .floor import FloorPlan
    from .radio_map import RadioMap
    from .spots import Spot

    Row = array[float]

_FREEDOM = 4.0  # of Student's t
_FLOOR_LOSS_DB = 15.0  # through a ceiling (ITU-R P.1238)
_HEARS_SD_DB = 6.0
_HEARD_OF = 0.7  # advertisements, where the signal is strong
_SAYS = (0.75, 1.0)  # how much a step says of a beacon that is heard about once in it, and more
_FAST = 1.6  # readings a step at the receiver that hears it best
_STRENGTHS_DB = (-18, -16, -14, -12, -10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10)
_AT_FIRST = range(1, 15, 2)  # of them, while little is known
_SETTLED = 0.6  # of a belief in one strength: only that one is followed from then on,
_SETTLED_AFTER = 12  # or after so many updates, the most probable one
_RETUNE = 4  # updates
_RETUNE_NATS = 1.5
_HOPELESS = 4e-3  # beside the most probable state
_FAINT = 5e-3  # states that are not worth moving on
_LOOK_AROUND = 16  # steps
_ANEW = 0.01  # of a belief, then
_LOST_AFTER = 5  # steps without any news, after which a larger part of it
_LOST = 0.2


class ZoneBeliefs:
    """The beliefs of one store (`belief.Beliefs`).

    plan, radio      the store, and what its receivers hear of a beacon of the usual strength
    doors            where the shop can be left, if that is known: x and y in metres
    spot_m           how wide a spot is at least, and
    most_spots       how many there may be
    speed_m_s        of people on average, pauses included
    strength_db      of beacons beside the usual one, on average, and
    strength_sd_db   how different they are
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
        doors: "tuple[tuple[float, float], ...]" = (),
        step_ms: int = 1_000,
        spot_m: float = 2.5,
        most_spots: int = 400,
        speed_m_s: float = 0.9,
        strength_db: float = -3.0,
        strength_sd_db: float = 7.0,
        tempering: float = 0.4,
        hears_dbm: float = -96.0,
        margin_m: float = 6.0,
        outside: float = 0.3,
    ) -> None:
        self.step_ms = step_ms
        self.deaf: "set[str]" = set()
        names = zone_names(plan)
        self.zones = tuple(names + [OUTSIDE])
        self.spots = spots_of(plan, spot_m, margin_m, most_spots, doors)
        self.zone_of = [spot.zone for spot in self.spots]
        self.receivers = tuple(sorted(plan.receivers))
        self.number = {name: at for at, name in enumerate(self.receivers)}
        self._tempering = tempering
        self._hears_dbm = hears_dbm
        self._expected = [
            [_expected(plan, radio, spot, name) for spot in self.spots] for name in self.receivers
        ]
        self.moves = moves_of(self.spots, speed_m_s * step_ms / 1000)
        self.places = array("f", _prior(self.spots, len(names), outside))
        self.strengths = _normal(_STRENGTHS_DB, strength_db, strength_sd_db)
        self._terms = [_terms(row) for row in self._expected]
        # Rows are made when they are needed first.
        self.rows: "list[dict[int, Row]]" = [{} for _ in self.receivers]
        self._missed: "dict[int, Row]" = {}
        self._silence: "dict[int, Row]" = {}

    def fresh(self, at_ms: int) -> "ZoneBelief":
        """The belief about a beacon that was first heard just now."""
        return ZoneBelief(self, at_ms)

    def heard(self, receiver: int, rssi_dbm: int, strength: int, fast: bool) -> "Row":
        """Of each spot: what a reading costs, in nats, and silence would have cost less of."""
        rows = self.rows[receiver]
        key = (rssi_dbm * 16 + strength) * 2 + fast
        row = rows.get(key)
        if row is None:
            share = self._tempering * _SAYS[fast]
            level_dbm = rssi_dbm - _STRENGTHS_DB[strength]
            log = math.log
            half = share * (_FREEDOM + 1) / 2
            costs = [
                half * log(1.0 + (level_dbm - mean_dbm) * (level_dbm - mean_dbm) * scale)
                + share * constant
                - spared
                for (mean_dbm, scale, constant), spared in zip(
                    self._terms[receiver], self.missed(receiver, strength, fast)
                )
            ]
            row = rows[key] = array("f", costs)
        return row

    def missed(self, receiver: int, strength: int, fast: bool) -> "Row":
        """Of each spot: what it costs, in nats, that a receiver has heard nothing in a step."""
        key = (receiver * 16 + strength) * 2 + fast
        row = self._missed.get(key)
        if row is None:
            times = 2 if fast else 1
            share = self._tempering * _SAYS[fast] * times
            costs = []
            for mean_dbm, _ in self._expected[receiver]:
                over = (mean_dbm + _STRENGTHS_DB[strength] - self._hears_dbm) / _HEARS_SD_DB
                # The logistic curve that is nearest to the normal one.
                hears = _HEARD_OF / (1 + math.exp(-1.7 * max(-20.0, min(20.0, over))))
                costs.append(-share * math.log(1 - hears))
            row = self._missed[key] = array("f", costs)
        return row

    def silence(self, strength: int, fast: bool) -> "Row":
        """Of each spot: what it costs, in nats, that no receiver has heard anything in a step."""
        key = strength * 2 + fast
        row = self._silence.get(key)
        if row is None:
            rows = [self.missed(receiver, strength, fast) for receiver in range(len(self.number))]
            row = self._silence[key] = array("f", [sum(column) for column in zip(*rows)])
        return row


class ZoneBelief:
    """What is believed of one beacon (`belief.Belief`)."""

    # A state is strength * number of spots + spot; they rise. Once the beacon's strength is known,
    # all states are of that one, and now and then its neighbours are tried.
    __slots__ = (
        "_at_ms",
        "_lead",
        "_of",
        "_rate",
        "_settled",
        "_states",
        "_steps",
        "_updates",
        "_weights",
    )

    def __init__(self, of: ZoneBeliefs, at_ms: int) -> None:
        self._of = of
        self._at_ms = at_ms
        count = len(of.spots)
        states = [strength * count + spot for strength in _AT_FIRST for spot in range(count)]
        known = sum([of.strengths[strength] for strength in _AT_FIRST])
        weights = [of.strengths[s] / known * place for s in _AT_FIRST for place in of.places]
        self._states = array("H", states)
        self._weights = array("f", weights)
        self._settled = False
        self._lead = 0.0  # in nats: of the stronger neighbour, or if negative of the weaker one
        self._rate = 1.0
        self._steps = self._updates = 0

    def step(self, at_ms: int, heard: "list[tuple[str, float, int]]") -> None:
        """Take in what came since the last step: (receiver, median in dBm, readings).

        When nobody heard it, the belief only spreads: how long a beacon may be silent is judged by
        silence.py, whatever the belief.
        """
        steps = round((at_ms - self._at_ms) / self._of.step_ms)
        self._at_ms = at_ms
        self._steps += 1
        weights = self._moved()
        if steps > _LOST_AFTER:
            self._look_around(weights, _LOST)
        elif self._steps % _LOOK_AROUND == 0:
            self._look_around(weights, _ANEW)
        states = sorted(weights)
        if heard:
            self._weigh(states, weights, heard)
        else:
            self._states = array("H", states)
            self._weights = array("f", [weights[state] for state in states])

    def _moved(self) -> "dict[int, float]":
        """The states a step later."""
        moves = self._of.moves
        count = len(moves)
        weights: "dict[int, float]" = {}
        if not self._updates:  # it knows nothing yet
            for state, weight in zip(self._states, self._weights):
                weights[state] = weight
            return weights
        for state, weight in zip(self._states, self._weights):
            if weight < _FAINT:
                weights[state] = weights.get(state, 0.0) + weight
                continue
            spot = state % count
            first = state - spot
            for target, part in moves[spot]:
                goal = first + target
                if goal in weights:
                    weights[goal] += weight * part
                else:
                    weights[goal] = weight * part
        return weights

    def _look_around(self, weights: "dict[int, float]", part: float) -> None:
        """Let a part of the belief start anew, at the strength that is most probable."""
        of = self._of
        count = len(of.spots)
        best = max(weights, key=lambda state: (weights[state], state))
        first = best - best % count
        for state in weights:
            weights[state] *= 1 - part
        for spot in range(count):
            state = first + spot
            weights[state] = weights.get(state, 0.0) + part * of.places[spot]

    def _weigh(
        self,
        states: "list[int]",
        weights: "dict[int, float]",
        heard: "list[tuple[str, float, int]]",
    ) -> None:
        """Weigh the states by what was heard of the beacon, and what was not."""
        of = self._of
        count = len(of.spots)
        best = max([(rssi_dbm, readings) for _, rssi_dbm, readings in heard])
        self._rate += 0.1 * (min(best[1], 4) - self._rate)
        fast = self._rate > _FAST
        known = [(of.number[name], round(rssi_dbm)) for name, rssi_dbm, _ in heard]
        self._updates += 1
        if self._settled and self._updates % _RETUNE == 0:
            states = self._retuned(states, weights, known, fast)
        logs: "list[float]" = []
        at = 0
        while at < len(states):
            strength = states[at] // count
            end = at
            while end < len(states) and states[end] // count == strength:
                end += 1
            first = strength * count
            logs += self._costs(strength, [state - first for state in states[at:end]], known, fast)
            at = end
        least = min(logs)
        likely = [weights[s] * math.exp(least - cost) for s, cost in zip(states, logs)]
        self._keep(states, likely)
        if not self._settled:
            self._settle()

    def _costs(
        self, strength: int, spots: "list[int]", known: "list[tuple[int, int]]", fast: bool
    ) -> "list[float]":
        """What was heard, and was not, costs some spots, in nats, if the beacon is so strong."""
        of = self._of
        tables = of.rows
        rows = []
        for number, rssi_dbm in known:
            row = tables[number].get((rssi_dbm * 16 + strength) * 2 + fast)
            if row is None:
                row = of.heard(number, rssi_dbm, strength, fast)
            rows.append([row[spot] for spot in spots])
        row = of.silence(strength, fast)
        rows.append([row[spot] for spot in spots])
        for name in of.deaf:
            row = of.missed(of.number[name], strength, fast)
            rows.append([-row[spot] for spot in spots])
        return [sum(column) for column in zip(*rows)]

    def _retuned(
        self,
        states: "list[int]",
        weights: "dict[int, float]",
        known: "list[tuple[int, int]]",
        fast: bool,
    ) -> "list[int]":
        """The states, at a neighbouring strength if that has explained more for a while."""
        count = len(self._of.spots)
        strength = states[0] // count
        spots = [state % count for state in states]
        here = [weights[state] for state in states]
        fits = []
        for other in (strength - 1, strength, strength + 1):
            if not 0 <= other < len(_STRENGTHS_DB):
                fits.append(-1e9)
                continue
            costs = self._costs(other, spots, known, fast)
            least = min(costs)
            fits.append(
                math.log(sum([w * math.exp(least - c) for w, c in zip(here, costs)])) - least
            )
        # They curve downwards: if the one neighbour fits better, the other fits worse.
        self._lead = 0.8 * self._lead + max(-1.0, min(1.0, (fits[2] - fits[0]) / 2))
        if abs(self._lead) < _RETUNE_NATS:
            return states
        other = strength + (1 if self._lead > 0 else -1)
        self._lead = 0.0
        if not 0 <= other < len(_STRENGTHS_DB):
            return states
        moved = [other * count + spot for spot in spots]
        for state, weight in zip(moved, here):
            weights[state] = weight
        return moved

    def _settle(self) -> None:
        """Follow one strength alone, once it is known."""
        count = len(self._of.spots)
        of_strength = [0.0] * len(_STRENGTHS_DB)
        for state, weight in zip(self._states, self._weights):
            of_strength[state // count] += weight
        most = max(of_strength)
        if most < _SETTLED and self._updates < _SETTLED_AFTER:
            return
        first = of_strength.index(most) * count
        of_spot: "dict[int, float]" = {}
        for state, weight in zip(self._states, self._weights):
            spot = state % count
            of_spot[spot] = of_spot.get(spot, 0.0) + weight
        spots = sorted(of_spot)
        self._states = array("H", [first + spot for spot in spots])
        self._weights = array("f", [of_spot[spot] for spot in spots])
        self._settled = True

    def _keep(self, states: "list[int]", likely: "list[float]") -> None:
        """Forget the hopeless states."""
        least = _HOPELESS * max(likely)
        kept = [(state, weight) for state, weight in zip(states, likely) if weight > least]
        scale = 1.0 / sum([weight for _, weight in kept])
        self._states = array("H", [state for state, _ in kept])
        self._weights = array("f", [weight * scale for _, weight in kept])

    def zones(self) -> "list[float]":
        """The probability of each zone, in the order of `ZoneBeliefs.zones`."""
        zone_of = self._of.zone_of
        count = len(zone_of)
        found = [0.0] * len(self._of.zones)
        for state, weight in zip(self._states, self._weights):
            found[zone_of[state % count]] += weight
        return found

    def position(self) -> "tuple[float, float, float, float, float] | None":
        """X and y in metres, variances and covariance in m2; None in a shop of several floors."""
        spots = self._of.spots
        if spots[0].floor != spots[-1].floor:
            return None
        x_m = y_m = xx = yy = xy = 0.0
        for state, weight in zip(self._states, self._weights):
            spot = spots[state % len(spots)]
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


def _terms(expected: "list[tuple[float, float]]") -> "list[tuple[float, float, float]]":
    """Of each spot: the mean, 1 over the scaled variance, and the constant of Student's t."""
    return [(mean, 1 / (_FREEDOM * var), 0.5 * math.log(var)) for mean, var in expected]


def _prior(spots: "list[Spot]", outside_zone: int, outside: float) -> "list[float]":
    inside_area = sum([spot.area for spot in spots if spot.zone != outside_zone]) or 1.0
    outside_area = sum([spot.area for spot in spots if spot.zone == outside_zone]) or 1.0
    return [
        outside * spot.area / outside_area
        if spot.zone == outside_zone
        else (1 - outside) * spot.area / inside_area
        for spot in spots
    ]


def _normal(values: "tuple[int, ...]", mean: float, sd: float) -> "list[float]":
    """The normal distribution over a few values."""
    weights = [math.exp(-0.5 * ((value - mean) / sd) ** 2) for value in values]
    return [weight / sum(weights) for weight in weights]
