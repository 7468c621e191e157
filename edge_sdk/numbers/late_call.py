"""Late calls: how often a number has been lent again before its visitor calls.

With Poisson arrivals at rate r, N numbers lent strictly least recently used, and a delay until the
call that is a mixture of exponentials (weight w, mean m): the number is lent again with the N-th
visitor from now, and the call is still to come with each of them with probability r / (r + 1/m),
for the exponential forgets. So P(late) = sum of w * (r / (r + 1/m)) ** N.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_CLOSE, _ROUNDING = 1e-6, 1e-12


@dataclass(frozen=True, slots=True)
class DelayMix:
    """How long visitors who call take for it: parts of (weight, mean in seconds).

    Weights are positive and sum to 1 (what is missing within a millionth is made up); ValueError.
    """

    parts: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        whole = math.fsum(weight for weight, _ in self.parts)
        if not abs(whole - 1) <= _CLOSE or not all(weight > 0 for weight, _ in self.parts):
            raise ValueError("the weights of a delay mix are positive and sum to 1")
        if not all(0 < mean_s < math.inf for _, mean_s in self.parts):
            raise ValueError("the means of a delay mix are positive seconds")
        if abs(whole - 1) > _ROUNDING:
            parts = tuple((weight / whole, mean_s) for weight, mean_s in self.parts)
            object.__setattr__(self, "parts", parts)

    @classmethod
    def of(cls, parts: Iterable[tuple[float, float]]) -> "DelayMix":
        """Parts in the order of their means, none of which is without weight."""
        return cls(tuple(sorted((part for part in parts if part[0] > 0), key=lambda p: p[1])))

    @property
    def mean_s(self) -> float:
        """The mean delay, which the slowest few decide."""
        return math.fsum(weight * mean_s for weight, mean_s in self.parts)

    def density_per_s(self, age_s: float) -> float:
        """How probable the call is in the second at this age, if she calls at all."""
        density = 0.0
        for weight, mean_s in self.parts:  # a sum() of this would take twice the time
            density += weight / mean_s * math.exp(-age_s / mean_s)
        return density

    def remaining(self, age_s: float) -> float:
        """The share of callers who have not called yet at this age."""
        return math.fsum(w * math.exp(-age_s / mean_s) for w, mean_s in self.parts)


def late_call_probability(numbers: int, lent_per_s: float, mix: DelayMix) -> float:
    """The share of callers, 0 to 1, whose number somebody else has been lent in the meantime.

    numbers     of the pool, lent strictly least recently used
    lent_per_s  how many are lent each second, on average; arrivals are Poisson

    Raises ValueError for a negative or infinite quantity, or NaN.
    """
    if numbers < 0:
        raise ValueError("a pool cannot have fewer than no numbers")
    if not 0 <= lent_per_s < math.inf:
        raise ValueError("numbers are lent at a finite rate a second, 0 or more")
    if numbers == 0:
        return 1.0
    # log1p, for of r / (r + 1/m) near 1 the digits that matter would be rounded away.
    return math.fsum(
        weight * math.exp(-numbers * math.log1p(1 / (lent_per_s * mean_s)))
        for weight, mean_s in mix.parts
        if lent_per_s * mean_s > 0
    )
