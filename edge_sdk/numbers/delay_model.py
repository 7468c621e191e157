"""How long callers take for it, learned from calls whose caller was confirmed.

Of most visitors one only knows that they have not called *yet*: leaving them out would make every
delay look short. So a visitor without a call counts as what she is, one who had not called until
then: she may call later, or never. Delays are a mixture of three exponentials, and visitors who
never call are a fourth part; the weights and means are those that make what was seen most probable,
by expectation-maximisation (Dempster, Laird, Rubin 1977; for censored lifetimes e.g. A. P. Basu,
"The EM algorithm for mixtures of exponentials under censoring"). An assumption about delays counts
like a few calls, so that a pool is sane on its first day.

What was seen is kept as counts by age, 8 bins to a factor of ten: memory and time do not grow. The
band is a Bayesian bootstrap (Rubin 1981): every visitor's weight is drawn from Exp(1), a bin's of n
visitors from Gamma(n), and the assumption's means within a factor of about two.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_sdk.numbers.late_call import DelayMix, late_call_probability

# An assumption, until calls say otherwise: most within minutes, a tenth a day later.
ASSUMED = DelayMix(((0.65, 240.0), (0.25, 2_400.0), (0.1, 86_400.0)))
ASSUMED_RATE = 0.03
_ASSUMED_CALLS = 6.0  # what the assumption counts
_ASSUMED_SPREAD = 0.7  # of its means, as the standard deviation of their logarithm
_ASSUMED_STRAYS, _ASSUMED_NUMBER_S = 1.0, 30 * 86_400.0
_PER_DECADE, _DECADES = 8, 7  # from a second to four months
_LONGEST_S = 10.0**_DECADES  # what is older counts as this old
BINS = _PER_DECADE * _DECADES
_ROUNDS, _ROUNDS_OF_A_DRAW = 200, 40
_SETTLED = 1e-7
_MOST_CALLS = 5_000.0  # beyond, all counts are halved: the present counts most


@dataclass(frozen=True, slots=True)
class Band:
    """A figure with its 80 % interval."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts by age, and the seconds that all those ages sum to."""

    counts: list[float]
    seconds: list[float]

    @classmethod
    def nothing(cls) -> "Seen":
        return cls([0.0] * BINS, [0.0] * BINS)

    def add(self, age_s: float) -> None:
        """ValueError if the age is negative or no number."""
        if not 0 <= age_s < math.inf:
            raise ValueError("an age is a finite number of seconds, 0 or more")
        age_s = min(age_s, _LONGEST_S)
        at = min(BINS - 1, int(_PER_DECADE * math.log10(max(1.0, age_s))))
        self.counts[at] += 1
        self.seconds[at] += age_s

    def halve(self) -> None:
        for values in (self.counts, self.seconds):
            values[:] = [value / 2 for value in values]

    def means(self) -> list[tuple[float, float]]:
        """(mean age, count) of every bin that has something."""
        both = zip(self.counts, self.seconds, strict=True)
        return [(seconds / count, count) for count, seconds in both if count > 0]


class DelayModel:
    """Learns the delays of callers, how many visitors call, and how often strangers do.

    Feed it `called` for each call of a confirmed caller, `quiet` for each visitor given up without
    a call, `unconfirmed` for calls nobody confirmed; then `fit`. Between fits nothing changes:

    mix          how long callers take
    draws        other mixes that what was seen allows; empty before the first fit
    call_rate    the share of visitors who call, confirmed or not
    stray_per_s  calls a second to one number from people who hold no lease of it
    """

    __slots__ = (
        "_called",
        "_idle_calls",
        "_idle_s",
        "_quiet",
        "_unconfirmed",
        "call_rate",
        "draws",
        "mix",
    )

    def __init__(self, mix: DelayMix = ASSUMED, call_rate: float = ASSUMED_RATE) -> None:
        self.mix = mix
        self.draws: tuple[DelayMix, ...] = ()
        self.call_rate = call_rate
        self._called, self._quiet = Seen.nothing(), Seen.nothing()
        self._unconfirmed = 0.0
        self._idle_calls, self._idle_s = _ASSUMED_STRAYS, _ASSUMED_NUMBER_S

    @property
    def stray_per_s(self) -> float:
        return self._idle_calls / self._idle_s

    @property
    def confirmed(self) -> float:
        """How many confirmed calls it rests on; old ones count less."""
        return sum(self._called.counts)

    def called(self, delay_s: float) -> None:
        """A call of a confirmed caller, so long after she was lent her number. ValueError."""
        self._called.add(delay_s)
        if self.confirmed > _MOST_CALLS:
            self._called.halve()
            self._quiet.halve()
            self._unconfirmed /= 2

    def quiet(self, age_s: float) -> None:
        """A visitor who had not called when, at this age, she was given up. ValueError."""
        self._quiet.add(age_s)

    def unconfirmed(self) -> None:
        """A call to a lent number, of which nobody found out who called."""
        self._unconfirmed += 1

    def idle(self, number_s: float, calls: int) -> None:
        """Calls to numbers that nobody held or had held lately, and for how long none did.

        number_s  the seconds, summed over the numbers. ValueError if negative or no number.
        """
        if not 0 <= number_s < math.inf or calls < 0:
            raise ValueError("numbers were idle for a finite time, and had no fewer than 0 calls")
        self._idle_s += number_s
        self._idle_calls += calls

    def fit(self, waiting_s: Iterable[float] = (), *, draws: int = 29, seed: int = 0) -> None:
        """Estimate from all that was seen.

        waiting_s  ages of the visitors who may still call, and have not been told as `quiet`
        draws      how many other mixes to find for the band

        Some 10 ms, and as much for each draw. The same input gives the same result. ValueError for
        an age.
        """
        waiting = Seen(list(self._quiet.counts), list(self._quiet.seconds))
        for age_s in waiting_s:
            waiting.add(age_s)
        called, quiet = self._called.means(), waiting.means()
        best = _fitted(called, quiet, _Assumption(ASSUMED.parts, _ASSUMED_CALLS), _ROUNDS)
        self.mix = best.mix
        confirmed = self.confirmed
        share = (confirmed + 1) / (confirmed + self._unconfirmed + 1)
        self.call_rate = min(1.0, best.rate / share)
        draw = random.Random(seed)
        self.draws = tuple(_drawn(called, quiet, draw) for _ in range(draws))

    def late_call(self, numbers: int, lent_per_s: float) -> Band:
        """`late_call_probability` with its band; before a fit the band is a point."""
        found = late_call_probability(numbers, lent_per_s, self.mix)
        others = sorted(late_call_probability(numbers, lent_per_s, mix) for mix in self.draws)
        if not others:
            return Band(found, found, found)
        tenth = max(0, round(0.1 * (len(others) + 1)) - 1)
        return Band(min(found, others[tenth]), found, max(found, others[-1 - tenth]))

    def state(self) -> dict[str, list[float]]:
        """All that it knows, as lists of numbers; `of` reads it."""
        return {
            "called": [*self._called.counts],
            "called_s": [*self._called.seconds],
            "quiet": [*self._quiet.counts],
            "quiet_s": [*self._quiet.seconds],
            "other": [self._unconfirmed, self._idle_calls, self._idle_s, self.call_rate],
            "mix": [value for part in self.mix.parts for value in part],
            "draws": [value for mix in self.draws for part in mix.parts for value in part],
        }

    @classmethod
    def of(cls, state: dict[str, list[float]]) -> "DelayModel":
        """From `state()`. ValueError if it is none."""
        lengths = dict.fromkeys(("called", "called_s", "quiet", "quiet_s"), BINS) | {"other": 4}
        for name, length in lengths.items():
            values = state.get(name)
            if not isinstance(values, list) or len(values) != length:
                raise ValueError(f"a delay model has {length} values of {name}")
            if not all(0 <= value < math.inf for value in values):
                raise ValueError(f"a delay model's {name} are finite, and 0 or more")
        mixes = _mixes(state.get("mix", []))
        if len(mixes) != 1:
            raise ValueError("a delay model has one mix")
        model = cls(mixes[0], min(1.0, state["other"][3]))
        model.draws = tuple(_mixes(state.get("draws", [])))
        model._called = Seen(list(state["called"]), list(state["called_s"]))
        model._quiet = Seen(list(state["quiet"]), list(state["quiet_s"]))
        model._unconfirmed, model._idle_calls, model._idle_s, _ = state["other"]
        if not model._idle_s > 0:
            raise ValueError("a delay model has seen idle numbers for some time")
        return model


@dataclass(frozen=True, slots=True)
class _Assumption:
    """What counts like so many calls: their weights, means, and the visitors around them."""

    parts: tuple[tuple[float, float], ...]
    calls: float


@dataclass(frozen=True, slots=True)
class _Fit:
    mix: DelayMix
    rate: float


def _mixes(values: Sequence[float]) -> list[DelayMix]:
    """Of three parts each, weight and mean in turn; ValueError."""
    size = 2 * len(ASSUMED.parts)
    if len(values) % size:
        raise ValueError("a delay model's mixes have three parts each")
    pairs = list(zip(values[::2], values[1::2], strict=True))
    parts = size // 2
    return [DelayMix(tuple(pairs[at : at + parts])) for at in range(0, len(pairs), parts)]


def _fitted(
    called: Sequence[tuple[float, float]],
    quiet: Sequence[tuple[float, float]],
    assumed: _Assumption,
    rounds: int,
) -> _Fit:
    """The most probable mixture, and share of callers; both lists are of (age, weight).

    The assumption's calls join in each part with its mean, and its visitors among the never.
    """
    weights = [ASSUMED_RATE * weight for weight, _ in assumed.parts]
    means = [mean_s for _, mean_s in assumed.parts]
    never = 1.0 - ASSUMED_RATE
    for _ in range(rounds):
        counts = [assumed.calls * weight for weight, _ in assumed.parts]
        seconds = [n * mean_s for n, (_, mean_s) in zip(counts, assumed.parts, strict=True)]
        nevers = assumed.calls * (1 / ASSUMED_RATE - 1)
        for age_s, n in called:
            shares = [w / m * math.exp(-age_s / m) for w, m in zip(weights, means, strict=True)]
            density = sum(shares)
            if density == 0:  # too old for any part, as far as floats go: the slowest it is
                shares[-1] = density = 1.0
            scale = n / density
            for part, share in enumerate(shares):
                counts[part] += scale * share
                seconds[part] += scale * share * age_s
        for age_s, n in quiet:
            shares = [w * math.exp(-age_s / m) for w, m in zip(weights, means, strict=True)]
            scale = n / (sum(shares) + never)
            nevers += scale * never
            for part, share in enumerate(shares):
                counts[part] += scale * share
                seconds[part] += scale * share * (age_s + means[part])
        before = means
        whole = sum(counts) + nevers
        weights, never = [count / whole for count in counts], nevers / whole
        means = [max(0.1, s / count) for s, count in zip(seconds, counts, strict=True)]
        if all(abs(m - b) <= _SETTLED * b for m, b in zip(means, before, strict=True)):
            break
    rate = sum(weights)
    return _Fit(DelayMix.of((w / rate, m) for w, m in zip(weights, means, strict=True)), rate)


def _drawn(
    called: Sequence[tuple[float, float]],
    quiet: Sequence[tuple[float, float]],
    draw: random.Random,
) -> DelayMix:
    """A mixture for visitors who weigh otherwise, as chance could have had it."""

    def weighed(seen: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(age_s, draw.gammavariate(n, 1.0)) for age_s, n in seen]

    weights = [draw.gammavariate(_ASSUMED_CALLS * weight, 1.0) for weight, _ in ASSUMED.parts]
    calls = sum(weights)
    parts = tuple(
        (max(weight / calls, 1e-3), mean_s * draw.lognormvariate(0.0, _ASSUMED_SPREAD))
        for weight, (_, mean_s) in zip(weights, ASSUMED.parts, strict=True)
    )
    whole = sum(weight for weight, _ in parts)
    assumed = _Assumption(tuple((weight / whole, mean_s) for weight, mean_s in parts), calls)
    return _fitted(weighed(called), weighed(quiet), assumed, _ROUNDS_OF_A_DRAW).mix
