"""How long a beacon may be silent before that means that it is gone: learned for each beacon.

A beacon misses a step now and then (loss), and sometimes many in a row (a phone that sleeps, a
crowded channel). With `miss` the share of steps missed and `burst` the length of long gaps,

    P(a beacon that is there is silent for n steps) = (1 - RARE) * miss^n + RARE * e^(-n / burst)

and a beacon leaves, or changes its address, with a small chance in each step. The two against each
other say how probable it is that a silent beacon is gone: 12 s are much for one that was heard in
every second, and nothing for one that is heard four times a minute.
"""

import math

RARE = 0.02  # of all gaps, those that are no mere loss
GONE_PER_S = 0.0012  # a stay, or an address, lasts a quarter of an hour
_LEARN = 0.05
_MISS_FIRST = 0.4  # before anything is known
_MISS_LEAST = 0.02
_MISS_MOST = 0.95
_BURST_LEAST_S = 4.0
_BURST_MOST_S = 30.0


class Silence:
    """What is known of one beacon's gaps."""

    __slots__ = ("_burst_s", "_miss", "missed")

    def __init__(self) -> None:
        self._miss = _MISS_FIRST
        self._burst_s = _BURST_LEAST_S
        self.missed = 0  # steps in a row, up to now

    def hear(self, step_s: float) -> None:
        """It was heard in this step."""
        missed = self.missed
        if missed:
            # A gap that was survived is learned from at once, and forgotten slowly.
            self._burst_s = min(_BURST_MOST_S, max(self._burst_s, missed * step_s / 2))
            self.missed = 0
            share = 1 - (1 - _LEARN) ** missed
            self._miss += share * (1.0 - self._miss)
        self._miss -= _LEARN * self._miss
        self._burst_s += 0.01 * (_BURST_LEAST_S - self._burst_s)

    def miss(self) -> None:
        """It was not heard in this step, by receivers that would have heard it."""
        self.missed += 1

    def gone(self, step_s: float) -> float:
        """The probability that it is gone."""
        missed = self.missed
        if not missed:
            return 0.0
        miss = min(_MISS_MOST, max(_MISS_LEAST, self._miss))
        there = (1 - RARE) * miss**missed + RARE * math.exp(-missed * step_s / self._burst_s)
        left = 1 - (1 - GONE_PER_S * step_s) ** missed
        return left / (left + there)
