"""Erlang's B against exact fractions, and against the figures of others."""

import json
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.numbers.erlang import blocking, erlang_b

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "erlang_b.json").read_text(encoding="utf-8")
)


def exact(numbers: int, erlangs: Fraction) -> Fraction:
    """A^n/n! over the sum of A^k/k!, as it is defined."""
    term = whole = Fraction(1)
    for k in range(1, numbers + 1):
        term *= erlangs / k
        whole += term
    return term / whole


@pytest.mark.parametrize(
    ("numbers", "erlangs"),
    [(0, 1), (1, 5), (5, 2), (10, 10), (60, 20), (132, 123), (200, 180), (150, 1), (400, 390.5)],
)
def test_it_is_the_exact_fraction(numbers: int, erlangs: float) -> None:
    wanted = exact(numbers, Fraction(erlangs))
    found = erlang_b(numbers, erlangs)
    assert abs(Fraction(found) - wanted) <= Fraction(1, 10**9) * wanted  # relative, so absolute too


@given(st.integers(0, 60), st.fractions(Fraction(1, 1000), 200, max_denominator=1000))
def test_it_is_the_exact_fraction_whatever_the_load(numbers: int, erlangs: Fraction) -> None:
    wanted = exact(numbers, Fraction(float(erlangs)))
    found = erlang_b(numbers, float(erlangs))
    assert abs(Fraction(found) - wanted) <= Fraction(1, 10**9) * max(wanted, Fraction(1, 10**280))


@pytest.mark.parametrize("erlangs", [100.0, 5_000.0, 9_900.0, 12_000.0, 1e6])
def test_ten_thousand_numbers_against_integers_of_two_thousand_bits(erlangs: float) -> None:
    one = 1 << 2_000
    over = Fraction(1) / Fraction(erlangs)
    inverse = one
    for k in range(1, 10_001):
        inverse = one + inverse * k * over.numerator // over.denominator
    found = erlang_b(10_000, erlangs)
    wanted = one / inverse
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("row", VECTORS["exact"])
def test_exact_rows(row: dict[str, object]) -> None:
    wanted = float(Fraction(str(row["B"])))
    assert erlang_b(int(str(row["N"])), float(str(row["A"]))) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("row", VECTORS["ln_B_from_Mathematica"]["values"])
def test_rows_of_logarithms(row: list[float]) -> None:
    assert math.log(erlang_b(int(row[0]), row[1])) == pytest.approx(row[2], abs=1e-8)


@pytest.mark.parametrize("row", VECTORS["other_repo_tests"]["values"])
def test_rows_of_other_projects(row: list[float]) -> None:
    digits = len(repr(row[2]).partition(".")[2])
    assert erlang_b(int(row[0]), row[1]) == pytest.approx(row[2], abs=max(1e-12, 0.6 * 10**-digits))


def test_a_figure_of_others_that_is_wrong() -> None:
    assert erlang_b(200, 180) == pytest.approx(VECTORS["bad_oracle"]["recursion"], abs=1e-12)


@pytest.mark.parametrize("row", VECTORS["table_computed_here"]["rows"])
def test_rows_of_the_table(row: list[float]) -> None:
    for target, erlangs in zip((0.001, 0.005, 0.01, 0.02, 0.05, 0.1), row[1:], strict=True):
        assert (
            erlang_b(int(row[0]), erlangs - 6e-5) <= target <= erlang_b(int(row[0]), erlangs + 6e-5)
        )


def test_more_numbers_block_less() -> None:
    blockings = blocking(50.0)
    assert all(a > b for a, b in pairwise(next(blockings) for _ in range(200)))
    assert erlang_b(10, 0) == 0
    assert erlang_b(0, 0) == 1
    assert erlang_b(10_000, 1e-300) == 0


@pytest.mark.parametrize(("numbers", "erlangs"), [(-1, 1), (1, -1), (1, math.nan), (1, math.inf)])
def test_what_makes_no_sense_is_refused(numbers: int, erlangs: float) -> None:
    with pytest.raises(ValueError, match=r"cannot have|erlangs"):
        erlang_b(numbers, erlangs)
