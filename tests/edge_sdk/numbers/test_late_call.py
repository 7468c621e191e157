"""The closed form of late calls, against the vectors and against lending that is played."""

import json
import math
from pathlib import Path

import pytest

from edge_sdk.numbers.late_call import DelayMix, late_call_probability
from simulators.pool_visitors import MIXES, late_calls

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "lru_late_call.json").read_text(encoding="utf-8")
)
RATE = VECTORS["lambda_per_s"]
ROWS = [(mix, int(n), p) for mix, row in VECTORS["closed_form"].items() for n, p in row.items()]


def mix_of(name: str) -> DelayMix:
    return DelayMix.of((weight, mean_s) for weight, mean_s in VECTORS["mixes"][name])


@pytest.mark.parametrize(("mix", "numbers", "wanted"), ROWS)
def test_rows(mix: str, numbers: int, wanted: float) -> None:
    found = late_call_probability(numbers, RATE, mix_of(mix))
    assert found == pytest.approx(wanted, abs=6e-5)
    assert found == pytest.approx(VECTORS["sim_lru"][mix][str(numbers)], abs=0.006)


@pytest.mark.parametrize(("mix", "numbers", "wanted"), ROWS)
def test_what_is_played_with_the_real_allocation_agrees(
    mix: str, numbers: int, wanted: float
) -> None:
    assert late_calls(numbers, RATE, mix_of(mix), 40_000, 1) == pytest.approx(wanted, abs=0.01)


def test_the_simulated_crowd_has_the_mixes_of_the_vectors() -> None:
    assert {name: mix_of(name) for name in VECTORS["mixes"]} == MIXES


def test_edges() -> None:
    mix = MIXES["mid"]
    assert late_call_probability(0, RATE, mix) == 1
    assert late_call_probability(5, 0, mix) == 0
    assert late_call_probability(10**12, RATE, mix) < 1e-9
    assert 0 <= late_call_probability(3, 1e-300, DelayMix(((1.0, 1e-300),))) < 1e-9
    assert late_call_probability(10, 1e300, mix) == pytest.approx(1)


@pytest.mark.parametrize(("numbers", "rate"), [(-1, 1.0), (1, -1.0), (1, math.nan), (1, math.inf)])
def test_what_makes_no_sense_is_refused(numbers: int, rate: float) -> None:
    with pytest.raises(ValueError, match=r"pool cannot|finite rate"):
        late_call_probability(numbers, rate, MIXES["mid"])


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ((0.5, 10.0),),
        ((1.2, 10.0), (-0.2, 5.0)),
        ((1.0, 0.0),),
        ((1.0, math.inf),),
        ((math.nan, 10.0),),
        ((1.0, math.nan),),
    ],
)
def test_a_mix_that_is_none_is_refused(parts: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="delay mix"):
        DelayMix(parts)


def test_a_mix_tells_density_and_who_remains() -> None:
    mix = MIXES["slow"]
    assert mix.remaining(0) == pytest.approx(1)
    step_s = 0.5
    called = sum(step_s * mix.density_per_s(step_s * (k + 0.5)) for k in range(4_000))
    assert 1 - mix.remaining(2_000) == pytest.approx(called, abs=1e-5)
    assert mix.mean_s == pytest.approx(0.4 * 300 + 0.35 * 3_600 + 0.25 * 86_400)
