"""Erlang's B formula: how often nobody can be lent a number because all are lent.

For the inverse I(n) = 1 / B(n, A), with A the offered load in erlangs: I(0) = 1 and
I(n) = 1 + n / A * I(n - 1). All terms are positive, so nothing cancels: the relative error grows by
two roundings a step and is below 1e-11 at ten thousand numbers. A. K. Erlang, 1917; as a recursion,
e.g. V. B. Iversen, "Teletraffic Engineering Handbook", section 7.3.
"""

import math
from collections.abc import Iterator
from itertools import count


def erlang_b(numbers: int, erlangs: float) -> float:
    """The probability, 0 to 1, that a visitor finds all of so many numbers lent.

    `erlangs` is the offered load: visitors a second times the seconds for which one holds a number.
    Time grows with `numbers`. Raises ValueError for a negative or infinite quantity, or NaN.
    """
    if numbers < 0:
        raise ValueError("a pool cannot have fewer than no numbers")
    if erlangs == 0:
        return 0.0 if numbers else 1.0
    blockings = blocking(erlangs)
    for _ in range(numbers):
        next(blockings)
    return next(blockings)


def blocking(erlangs: float) -> Iterator[float]:
    """erlang_b of 0, 1, 2 ... numbers, without an end; ValueError unless the load is positive."""
    if not 0 < erlangs < math.inf:
        raise ValueError("an offered load is a finite number of erlangs, and positive")
    inverse = 1.0
    yield 1.0
    for numbers in count(1):
        inverse = 1.0 + numbers / erlangs * inverse  # infinite at last, and B is nothing
        yield 1.0 / inverse
