"""Whether the score of a visitor's intent pays: does it tell callers from the rest, and how well.

A pool that lends some of its numbers to likely callers alone keeps those longer, and so errs less;
but only if they are likely callers. So each visitor whose end is known is counted here, by score,
and the pool is divided only while the counts say that the score is worth it.

Where to cut    at the score where callers and the rest differ most: G, the likelihood-ratio
                statistic of the 2 x 2 table (score above or below, called or not)
Whether         G of 15 or more, and again not below 7.5. By chance a single cut reaches 15 once in
                ten thousand; dozens of cuts are looked at again and again, hence no less. A chance
                find does little harm: the shares below then hardly differ from the visitors'.
How large       a part gets numbers in proportion to  visitors x (call rate) ** (2/3).
                Why: numbers are best spent where one more prevents as many late calls in either
                part, rate_a f(age_a) = rate_b f(age_b), with age = how long a part's number rests
                and f the density of the delay. For f like age ** -1.5 that is the power 2/3; and
                for the mixes of tests/vectors/lru_late_call.json with 10 to 160 numbers it saves
                within 0.05 of what the best division does (shares of the late calls).
"""

import math
from dataclasses import dataclass

_STEP = 0.25  # of the score's log odds
_LOWEST, _HIGHEST = -8.0, 4.0
BINS = int((_HIGHEST - _LOWEST) / _STEP) + 1
_START_G, _STOP_G = 15.0, 7.5
_POWER = 2 / 3
_EVERY = 64  # visitors, between two decisions
_REMEMBERED_CALLS = 1_000  # beyond them, all counts are halved: the present counts most
_A_BIN_IS = 200.0  # visitors as good as its part's, beside its own
_HALF_A_CALL = 0.5  # what a part without a call is thought to have had


def bin_of(intent: float) -> int:
    """The bin of a score, 0 (unlikely) to BINS - 1. ValueError if it is not a probability."""
    if not 0.0 <= intent <= 1.0:
        raise ValueError("an intent is a probability, from 0 to 1")
    if intent in {0.0, 1.0}:
        return BINS - 1 if intent else 0
    log_odds = math.log(intent / (1.0 - intent))
    return int((min(max(log_odds, _LOWEST), _HIGHEST) - _LOWEST) / _STEP)


@dataclass(frozen=True, slots=True)
class Division:
    """How to divide a pool: visitors from bin `cut` on, and the share of the numbers for them.

    The visitors nobody has scored go with them if `unscored`.
    """

    cut: int
    share: float
    unscored: bool

    def likely(self, intent: float | None) -> bool:
        """Whether a visitor with this score is one of the likely callers."""
        return self.unscored if intent is None else bin_of(intent) >= self.cut


class IntentCheck:
    """Counts visitors and callers by score; `division` is how to divide, None: it does not pay."""

    __slots__ = ("_calls", "_lifts", "_until_next", "_visitors", "division")

    def __init__(self) -> None:
        self._lifts: list[float] | None = None
        # The last of each is of the visitors that nobody scored.
        self._visitors = [0.0] * (BINS + 1)
        self._calls = [0.0] * (BINS + 1)
        self._until_next = _EVERY
        self.division: Division | None = None

    def learned(self, intent: float | None, called: bool) -> None:
        """A visitor's end: she has called, or it is too late for that. Once for each visitor.

        Raises ValueError if the intent is not a probability.
        """
        at = BINS if intent is None else bin_of(intent)
        self._visitors[at] += 1
        self._calls[at] += called
        self._until_next -= 1
        if not self._until_next:
            self._until_next = _EVERY
            self._decide()
            if sum(self._calls) > _REMEMBERED_CALLS:
                self._visitors = [count / 2 for count in self._visitors]
                self._calls = [count / 2 for count in self._calls]

    def state(self) -> dict[str, list[float]]:
        """The counts, to keep over a restart; bins are at places in the lists."""
        return {"visitors": list(self._visitors), "calls": list(self._calls)}

    @classmethod
    def of(cls, state: dict[str, list[float]]) -> "IntentCheck":
        """From `state()`. ValueError if these are no counts."""
        check = cls()
        visitors, calls = state.get("visitors"), state.get("calls")
        if not (isinstance(visitors, list) and isinstance(calls, list)):
            raise ValueError("an intent check's counts are two lists, visitors and calls")
        if not len(visitors) == len(calls) == BINS + 1:
            raise ValueError(f"an intent check has {BINS + 1} counts of visitors and of calls")
        if not all(0 <= c <= v < math.inf for v, c in zip(visitors, calls, strict=True)):
            raise ValueError("an intent check has as many visitors as calls, or more, in every bin")
        check._visitors, check._calls = list(visitors), list(calls)
        check._decide()
        return check

    def lift(self, intent: float | None) -> float:
        """How many times as often as everybody visitors with this score call, as was counted.

        1 for all of them while the score does not tell. ValueError if it is not a probability.
        """
        at = BINS if intent is None else bin_of(intent)
        return 1.0 if self._lifts is None else self._lifts[at]

    def _decide(self) -> None:
        cut, g = self._best_cut()
        if g < (_STOP_G if self.division else _START_G):
            self.division = self._lifts = None
            return
        high = _Part(sum(self._visitors[cut:BINS]), sum(self._calls[cut:BINS]))
        low = _Part(sum(self._visitors[:cut]), sum(self._calls[:cut]))
        unscored = _Part(self._visitors[BINS], self._calls[BINS])
        everyone = high + low + unscored
        middle = math.sqrt(high.rate(everyone) * low.rate(everyone))
        with_high = unscored.visitors > 0 and unscored.rate(everyone) >= middle
        high, low = (high + unscored, low) if with_high else (high, low + unscored)
        wanted = high.wanted(everyone)
        share = wanted / (wanted + low.wanted(everyone))
        self.division = Division(cut, share, with_high)
        mean = everyone.calls / everyone.visitors
        self._lifts = [
            (self._calls[at] + _A_BIN_IS * part.rate(everyone))
            / (self._visitors[at] + _A_BIN_IS)
            / mean
            for at in range(BINS + 1)
            for part in [high if at in range(cut, BINS) or (at == BINS and with_high) else low]
        ]

    def _best_cut(self) -> tuple[int, float]:
        """The first bin of the likely callers, and G there; among scored visitors."""
        all_of = _Part(sum(self._visitors[:BINS]), sum(self._calls[:BINS]))
        best, best_g = 0, 0.0
        visitors = calls = 0.0
        for cut in range(1, BINS):
            if not self._visitors[cut - 1]:
                continue  # the same division as the cut before
            visitors += self._visitors[cut - 1]
            calls += self._calls[cut - 1]
            below = _Part(visitors, calls)
            above = _Part(all_of.visitors - visitors, all_of.calls - calls)
            g = 2 * (below.log_likelihood() + above.log_likelihood() - all_of.log_likelihood())
            if g > best_g:
                best, best_g = cut, g
        return best, best_g


@dataclass(frozen=True, slots=True)
class _Part:
    """Visitors, and how many of them have called."""

    visitors: float
    calls: float

    def __add__(self, other: "_Part") -> "_Part":
        return _Part(self.visitors + other.visitors, self.calls + other.calls)

    def rate(self, everyone: "_Part") -> float:
        """Calls for each visitor, drawn towards everyone's by half a call."""
        prior = _HALF_A_CALL * everyone.visitors / everyone.calls
        return (self.calls + _HALF_A_CALL) / (self.visitors + prior)

    def wanted(self, everyone: "_Part") -> float:
        return float(self.visitors * self.rate(everyone) ** _POWER)

    def log_likelihood(self) -> float:
        """Of the calls, at the rate that suits them best."""
        quiet = self.visitors - self.calls
        return sum(n * math.log(n / self.visitors) for n in (self.calls, quiet) if n > 0)
