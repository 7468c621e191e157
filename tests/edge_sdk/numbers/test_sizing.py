"""Sizing for both risks: the least size that meets each, what is lent out, and what cannot be."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.numbers.erlang import erlang_b
from edge_sdk.numbers.late_call import late_call_probability
from edge_sdk.numbers.sizing import size_pool
from simulators.pool_visitors import MIXES

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "erlang_b.json").read_text(encoding="utf-8")
)
USUAL: dict[str, Any] = {
    "blocking": 0.01,
    "late_call": 0.2,
    "per_s": 1 / 30,
    "hold_s": 300.0,
    "mix": MIXES["mid"],
}


@pytest.mark.parametrize("row", VECTORS["numbers_needed_computed_here"]["rows"])
def test_rows_of_numbers_needed(row: list[int]) -> None:
    for target, wanted in zip((0.01, 0.001), row[1:], strict=True):
        found = size_pool(**USUAL | {"blocking": target, "per_s": row[0] / 300.0})
        assert found.for_blocking == wanted


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("target", [0.5, 0.2, 0.05, 0.01, 0.001])
def test_it_is_the_least_size_that_meets_the_target(mix: str, target: float) -> None:
    found = size_pool(**USUAL | {"late_call": target, "blocking": target, "mix": MIXES[mix]})
    size = found.for_late_call
    assert late_call_probability(size, 1 / 30, MIXES[mix]) <= target
    assert late_call_probability(size - 1, 1 / 30, MIXES[mix]) > target
    assert erlang_b(found.for_blocking, 10.0) <= target < erlang_b(found.for_blocking - 1, 10.0)
    assert found.numbers == max(size, found.for_blocking)


def test_steps_say_what_each_size_costs_and_leaves() -> None:
    found = size_pool(**USUAL, price_per_number=1.15, lent_out=12)
    chosen = max(found.for_blocking, found.for_late_call)
    assert found.numbers == chosen + 12
    assert found.price == pytest.approx(1.15 * found.numbers)
    sizes = [step.numbers for step in found.steps]
    assert sizes == sorted(set(sizes))
    assert {found.for_blocking, found.for_late_call} <= set(sizes)
    assert sizes[0] < chosen < sizes[-1]
    for step in found.steps:
        assert step.blocking == erlang_b(step.numbers, 10.0)
        assert step.late_call == late_call_probability(step.numbers, 1 / 30, MIXES["mid"])
        assert step.price == pytest.approx(1.15 * (step.numbers + 12))
    lines = found.lines()
    assert len(lines) == len(sizes) + 1
    assert [line for line in lines if "<- both" in line] == [
        line for line in lines if line.split()[0] == str(chosen)
    ]
    assert "price" in lines[0]
    assert "price" not in size_pool(**USUAL).lines()[0]


def test_other_mixes_give_the_size_a_band() -> None:
    draws = [MIXES["fast"]] * 5 + [MIXES["mid"]] * 5 + [MIXES["slow"]] * 5
    found = size_pool(**USUAL, draws=draws)
    fast, slow = (size_pool(**USUAL | {"mix": MIXES[mix]}) for mix in ("fast", "slow"))
    assert found.for_late_call_band == (fast.for_late_call, slow.for_late_call)
    assert size_pool(**USUAL).for_late_call_band is None
    tight = size_pool(**USUAL, draws=draws, at_most=100)
    assert tight.for_late_call_band == (fast.for_late_call, 100)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocking": 0.0}, "blocking"),
        ({"blocking": 1.0}, "blocking"),
        ({"late_call": math.nan}, "late_call"),
        ({"per_s": 0.0}, "per_s"),
        ({"per_s": math.inf}, "per_s"),
        ({"hold_s": -1.0}, "hold_s"),
        ({"lent_out": -1}, "lent_out"),
        ({"at_most": 0}, "at_most"),
        ({"price_per_number": -1.0}, "price_per_number"),
        ({"price_per_number": math.nan}, "price_per_number"),
        ({"at_most": 9}, "more numbers, or lend them for less time"),
        ({"at_most": 40, "late_call": 0.01}, "divide the pool by intent"),
        ({"per_s": 1e12}, "lend them for less time"),
        ({"per_s": 1e300, "hold_s": 1e300}, "lend them for less time"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        size_pool(**USUAL | change)


def test_extremes_end() -> None:
    assert size_pool(**USUAL | {"per_s": 1e-200, "hold_s": 1e-200}).numbers == 1
    assert size_pool(**USUAL | {"per_s": 30.0, "late_call": 0.3}).numbers > 10_000
    with pytest.raises(ConfigError):
        size_pool(**USUAL | {"blocking": 1e-320, "per_s": 330.0})
