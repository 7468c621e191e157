"""Visitors who are lent a number of a pool, some of whom call it: a made-up crowd with its truth.

A tenth of the visitors are likely callers. Somebody who calls takes as long for it as a mixture of
exponentials says; how long she keeps her number does not depend on that. Besides, strangers dial
numbers at a steady pace. All is drawn by lot from a seed, and the same crowd meets every policy.
"""

import math
import random
from dataclasses import dataclass

from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.late_call import DelayMix

# Assumptions, not measured behaviour.
MIXES = {
    "fast": DelayMix(((0.85, 180.0), (0.12, 1_800.0), (0.03, 86_400.0))),
    "mid": DelayMix(((0.65, 240.0), (0.25, 2_400.0), (0.10, 86_400.0))),
    "slow": DelayMix(((0.40, 300.0), (0.35, 3_600.0), (0.25, 86_400.0))),
}


@dataclass(frozen=True, slots=True)
class CrowdOfVisitors:
    """How visitors are.

    per_s          arrivals a second, Poisson
    likely         the share of likely callers, who call with `likely_rate`; others: `other_rate`
    hold_least_s   everyone keeps her number for so long, and for an exponential time with the mean
    hold_more_s    of this
    stray_per_s    calls of strangers to each number, a second
    noise          of the noisy score: standard deviation of its log odds around the truth
    """

    per_s: float = 1 / 30
    likely: float = 0.1
    likely_rate: float = 0.35
    other_rate: float = 0.005
    hold_least_s: float = 60.0
    hold_more_s: float = 60.0
    stray_per_s: float = 1 / (30 * 86_400)
    noise: float = 2.0

    @property
    def hold_s(self) -> float:
        """For how long a visitor keeps her number, on average."""
        return self.hold_least_s + self.hold_more_s


@dataclass(frozen=True, slots=True)
class Visitor:
    """One visit. `scores` are what a model says of her intent: "true", "noisy" or "shuffled"."""

    at_ms: int
    hold_ms: int
    delay_ms: int | None  # until her call; None: she does not call
    scores: dict[str, float]


def visitors(crowd: CrowdOfVisitors, mix: DelayMix, count: int, seed: int) -> list[Visitor]:
    """So many of them, in the order of their arrival."""
    draw = random.Random(seed)
    rates = [
        crowd.likely_rate if draw.random() < crowd.likely else crowd.other_rate
        for _ in range(count)
    ]
    shuffled = draw.sample(rates, count)
    made = []
    at_s = 0.0
    for rate, other in zip(rates, shuffled, strict=True):
        at_s += draw.expovariate(crowd.per_s)
        hold_s = crowd.hold_least_s
        if crowd.hold_more_s:
            hold_s += draw.expovariate(1 / crowd.hold_more_s)
        delay_s = delay(mix, draw) if draw.random() < rate else None
        scores = {"true": rate, "noisy": _noisy(rate, crowd.noise, draw), "shuffled": other}
        made.append(
            Visitor(
                round(1000 * at_s),
                round(1000 * hold_s),
                None if delay_s is None else round(1000 * delay_s),
                scores,
            )
        )
    return made


def delay(mix: DelayMix, draw: random.Random) -> float:
    """Seconds until a caller's call."""
    means = [mean_s for _, mean_s in mix.parts]
    weights = [weight for weight, _ in mix.parts]
    return draw.expovariate(1 / draw.choices(means, weights)[0])


def strays(numbers: int, per_s: float, until_ms: int, seed: int) -> list[tuple[int, int]]:
    """(when, which number) of strangers' calls to so many numbers, in order."""
    draw = random.Random(seed)
    found = []
    at_s = draw.expovariate(numbers * per_s) if numbers * per_s else math.inf
    while 1000 * at_s < until_ms:
        found.append((round(1000 * at_s), draw.randrange(numbers)))
        at_s += draw.expovariate(numbers * per_s)
    return found


def late_calls(size: int, per_s: float, mix: DelayMix, visitors: int, seed: int) -> float:
    """The share of late calls where everybody calls and gives her number back at once."""
    draw = random.Random(seed)
    allocation = Allocation([str(n) for n in range(size)], split=False)
    calls_s: dict[str, float] = {}
    now_s = 0.0
    late = counted = 0
    for _ in range(visitors):
        now_s += draw.expovariate(per_s)
        number = allocation.take(None)
        assert number is not None
        if number in calls_s:
            counted += 1
            late += calls_s[number] > now_s
        calls_s[number] = now_s + delay(mix, draw)
        allocation.give_back(number)
    return late / counted


def _noisy(rate: float, noise: float, draw: random.Random) -> float:
    odds = math.log(rate / (1 - rate)) + draw.gauss(0.0, noise)
    return 1 / (1 + math.exp(-odds))
