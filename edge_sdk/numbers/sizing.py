"""How many numbers a pool needs, for both of its risks, and what each step costs and buys.

Blocking: a visitor comes and all numbers are lent (she sees the fallback number; nothing wrong is
learned). A late call: the number has been lent again before she calls (somebody else may be named,
and nobody notices). The first is Erlang's B, the second the closed form of late_call.py. Either
sets a least size; the pool needs the larger.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from edge_sdk.errors import ConfigError
from edge_sdk.numbers.erlang import blocking as blockings
from edge_sdk.numbers.erlang import erlang_b
from edge_sdk.numbers.late_call import DelayMix, late_call_probability

AT_MOST = 100_000
_STEPS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Step:
    """A size to choose: what would go wrong with it, 0 to 1, and what all its numbers cost."""

    numbers: int
    blocking: float
    late_call: float
    price: float | None


@dataclass(frozen=True, slots=True)
class Sizing:
    """How many numbers, and why.

    for_blocking, for_late_call  the least size for that target alone
    lent_out                     numbers that stores hold: they serve no visitor of this pool
    numbers                      the larger of the two sizes, and what is lent out
    for_late_call_band           the size if delays are as in the first and last tenth of `draws`
    steps                        smaller and larger choices, lent-out numbers not counted in
                                 `numbers` but paid for in `price`
    """

    for_blocking: int
    for_late_call: int
    lent_out: int
    numbers: int
    price: float | None
    for_late_call_band: tuple[int, int] | None
    steps: tuple[Step, ...]

    def lines(self) -> list[str]:
        """The choices as a table for people."""
        head = "numbers  no number free  number lent again first"
        rows = [head + self._priced("       price")]
        for step in self.steps:
            price = self._priced(f"{step.price or 0:12,.2f}")
            chosen = "  <- both targets" if step.numbers == self.numbers - self.lent_out else ""
            rows.append(
                f"{step.numbers:7,}  {step.blocking:14.3%}  {step.late_call:23.3%}{price}{chosen}"
            )
        return rows

    def _priced(self, text: str) -> str:
        return "" if self.price is None else text


def size_pool(
    *,
    blocking: float,
    late_call: float,
    per_s: float,
    hold_s: float,
    mix: DelayMix,
    price_per_number: float | None = None,
    lent_out: int = 0,
    draws: Sequence[DelayMix] = (),
    at_most: int = AT_MOST,
) -> Sizing:
    """The least pool that meets both targets, and the choices around it.

    blocking    at most this share of visitors finds no number free, above 0 and below 1
    late_call   at most this share of callers calls after the number was lent again, the same
    per_s       visitors a second
    hold_s      how long one keeps a number from the others, cool-down included
    mix         how long callers take; `draws` are others it might be (DelayModel.draws)
    lent_out    numbers that stores hold in blocks
    at_most     the largest pool to think of, beside what is lent out

    Takes time with `at_most`, never more. Raises ConfigError where a target cannot be met with
    `at_most` numbers, or a quantity makes no sense; the message says which and what to do.
    """
    _check(blocking=blocking, late_call=late_call, per_s=per_s, hold_s=hold_s)
    if lent_out < 0 or at_most < 1:
        raise ConfigError("lent_out is 0 or more, at_most 1 or more: correct them")
    if price_per_number is not None and not 0 <= price_per_number < math.inf:
        raise ConfigError("price_per_number is an amount, 0 or more: correct it")
    erlangs = max(per_s * hold_s, sys.float_info.min)
    for_blocking = _for_blocking(blocking, erlangs, at_most)
    for_late = _for_late_call(late_call, per_s, mix, at_most)
    chosen = max(for_blocking, for_late)

    def priced(numbers: int) -> float | None:
        return None if price_per_number is None else price_per_number * (numbers + lent_out)

    sizes = {max(1, round(step * chosen)) for step in _STEPS} | {for_blocking, for_late}
    steps = (
        Step(
            size,
            erlang_b(size, erlangs),
            late_call_probability(size, per_s, mix),
            priced(size),
        )
        for size in sorted(sizes)
    )
    return Sizing(
        for_blocking,
        for_late,
        lent_out,
        chosen + lent_out,
        priced(chosen),
        _band(late_call, per_s, draws, at_most),
        tuple(steps),
    )


def _check(**quantities: float) -> None:
    for name, value in quantities.items():
        share = name in {"blocking", "late_call"}
        if not 0 < value < (1 if share else math.inf):
            wanted = "a share above 0 and below 1" if share else "more than 0, and finite"
            raise ConfigError(f"{name} is {wanted}: correct it")


def _for_blocking(target: float, erlangs: float, at_most: int) -> int:
    # B(n) >= 1 - n / A, so what is far too little for the load is seen without counting.
    if erlangs * (1 - target) <= at_most:
        for numbers, share in enumerate(islice(blockings(erlangs), at_most + 1)):
            if share <= target:
                return max(1, numbers)
    raise ConfigError(
        f"blocking cannot be {target:.3g} with {at_most:,} numbers at {erlangs:,.6g} erlangs:"
        " allow more blocking or more numbers, or lend them for less time"
    )


def _for_late_call(target: float, per_s: float, mix: DelayMix, at_most: int) -> int:
    """By halves: the probability falls with every number more."""
    least = late_call_probability(at_most, per_s, mix)
    if least > target:
        raise ConfigError(
            f"late_call cannot be {target:.3g}: with {at_most:,} numbers it is {least:.3g};"
            " allow more late calls or more numbers, or divide the pool by intent"
        )
    low, high = 0, at_most  # too few, and enough
    while high - low > 1:
        middle = (low + high) // 2
        if late_call_probability(middle, per_s, mix) <= target:
            high = middle
        else:
            low = middle
    return high


def _band(
    target: float, per_s: float, draws: Sequence[DelayMix], at_most: int
) -> tuple[int, int] | None:
    """The sizes for the first and the last tenth of the draws; at_most where that is too few."""
    sizes = []
    for mix in draws:
        enough = late_call_probability(at_most, per_s, mix) <= target
        sizes.append(_for_late_call(target, per_s, mix, at_most) if enough else at_most)
    if not sizes:
        return None
    sizes.sort()
    tenth = max(0, round(0.1 * (len(sizes) + 1)) - 1)
    return sizes[tenth], sizes[-1 - tenth]
