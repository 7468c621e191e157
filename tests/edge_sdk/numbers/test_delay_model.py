"""Delays learned from confirmed calls, where most visitors have not called yet."""

import json
import math
import random

import pytest

from edge_sdk.numbers.delay_model import ASSUMED, BINS, DelayModel
from edge_sdk.numbers.late_call import DelayMix, late_call_probability
from simulators.pool_visitors import MIXES, delay

RATE = 0.04
DAY_S = 86_400


def taught(mix: DelayMix, visitors: int, seed: int, *, confirmed: float = 1.0) -> DelayModel:
    """Visitors who were seen for up to a week each."""
    draw = random.Random(seed)
    model = DelayModel()
    for _ in range(visitors):
        seen_s = 7 * DAY_S * draw.random()
        delay_s = delay(mix, draw) if draw.random() < RATE else math.inf
        if delay_s < seen_s and draw.random() < confirmed:
            model.called(delay_s)
        else:
            model.quiet(seen_s)
            if delay_s < seen_s:
                model.unconfirmed()
    return model


@pytest.mark.parametrize("name", MIXES)
def test_it_finds_the_mix_that_visitors_have(name: str) -> None:
    model = taught(MIXES[name], 50_000, 1)
    model.fit(draws=0)
    for numbers in (10, 40, 160):
        wanted = late_call_probability(numbers, 1 / 30, MIXES[name])
        assert model.late_call(numbers, 1 / 30).middle == pytest.approx(wanted, abs=0.02)
    assert model.call_rate == pytest.approx(RATE, rel=0.1)


def test_the_band_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of 50 such models of either mix it was 35 (mid) and 38 (fast), for a band of 80 %."""
    wanted = late_call_probability(40, 1 / 30, MIXES["mid"])
    within = 0
    for seed in range(100, 110):
        model = taught(MIXES["mid"], 4_000, seed)
        model.fit(draws=19)
        band = model.late_call(40, 1 / 30)
        assert band.low < band.middle < band.high
        within += band.low <= wanted <= band.high
    assert within >= 6


def test_the_band_narrows_with_what_is_known() -> None:
    widths = []
    for visitors in (0, 2_000, 40_000):
        model = taught(MIXES["mid"], visitors, 3)
        model.fit()
        band = model.late_call(40, 1 / 30)
        widths.append(band.high - band.low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_to_leave_out_who_has_not_called_yet_would_be_wrong() -> None:
    """Visitors of the last hour alone: the calls seen are the quick ones, the mix is not."""
    draw = random.Random(5)
    model, naive = DelayModel(), []
    for _ in range(40_000):
        seen_s = 3_600 * draw.random()
        delay_s = delay(MIXES["slow"], draw) if draw.random() < 0.2 else math.inf
        if delay_s < seen_s:
            model.called(delay_s)
            naive.append(delay_s)
        else:
            model.quiet(seen_s)
    model.fit(draws=0)
    truth = MIXES["slow"].remaining(1_800)
    left_out = sum(1 for delay_s in naive if delay_s > 1_800) / len(naive)
    assert abs(model.mix.remaining(1_800) - truth) < 0.7 * abs(left_out - truth)


def test_on_the_first_day_it_says_the_assumption_and_that_it_knows_little() -> None:
    model = DelayModel()
    assert model.mix == ASSUMED
    point = model.late_call(40, 1 / 30)
    assert point.low == point.middle == point.high
    model.fit()
    band = model.late_call(40, 1 / 30)
    assert band.middle == pytest.approx(point.middle, abs=1e-9)
    assert band.low < 0.15
    assert band.high > 0.4


def test_two_calls_do_not_overthrow_the_assumption() -> None:
    model = DelayModel()
    for _ in range(2):
        model.called(1.0)
    model.fit([3_600.0] * 60)
    assert model.mix.remaining(600) > 0.15
    assert 0 < model.call_rate < 0.1


def test_waiting_visitors_count_without_being_kept() -> None:
    model = taught(MIXES["mid"], 2_000, 1)
    before = model.state()["quiet"]
    model.fit([30.0, DAY_S])
    assert model.state()["quiet"] == before
    with_them = DelayModel.of(model.state())
    model.fit()
    assert with_them.mix != model.mix


def test_calls_that_nobody_confirmed_count_for_the_rate() -> None:
    model = taught(MIXES["mid"], 50_000, 2, confirmed=0.4)
    model.fit(draws=0)
    assert model.call_rate == pytest.approx(RATE, rel=0.12)


def test_strangers_are_counted_on_idle_numbers() -> None:
    model = DelayModel()
    assert model.stray_per_s == pytest.approx(1 / (30 * DAY_S))
    model.idle(20 * 30 * DAY_S, 59)
    assert model.stray_per_s == pytest.approx(60 / (21 * 30 * DAY_S))


def test_it_is_kept_and_read_again_and_fits_the_same() -> None:
    model = taught(MIXES["mid"], 3_000, 1)
    model.idle(1e6, 3)
    model.fit(seed=4)
    again = DelayModel.of(json.loads(json.dumps(model.state())))
    assert again.state() == model.state()
    assert (again.mix, again.draws) == (model.mix, model.draws)
    again.fit(seed=4)
    assert again.draws == model.draws
    again.fit(seed=5)
    assert again.draws != model.draws


def test_old_calls_fade_and_nothing_grows() -> None:
    model = DelayModel()
    for _ in range(30_000):
        model.called(100.0)
    assert model.confirmed <= 5_001
    assert len(json.dumps(model.state())) < 20_000


def test_extreme_ages() -> None:
    model = DelayModel()
    for age_s in (0.0, 1e-300, 0.5, 1e15):
        model.called(age_s)
        model.quiet(age_s)
    model.fit()
    assert 0 < model.late_call(10, 1 / 30).middle < 1
    for age_s in (-1.0, math.nan, math.inf):
        for tell in (model.called, model.quiet):
            with pytest.raises(ValueError, match="an age is"):
                tell(age_s)
        with pytest.raises(ValueError, match="an age is"):
            model.fit([age_s])
    with pytest.raises(ValueError, match="idle"):
        model.idle(-1.0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"called": []},
        {"quiet_s": [math.nan] * BINS},
        {"called": [-1.0] * BINS},
        {"other": [0.0, 0.0, 0.0, 0.1]},
        {"mix": []},
        {"mix": [1.0, 2.0]},
        {"mix": [0.5, 100.0, 0.5, 200.0, 0.5, 300.0]},
        {"draws": [0.1] * 7},
    ],
)
def test_a_state_that_is_none_is_refused(change: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"a? ?delay m(odel|ix)"):
        DelayModel.of(DelayModel().state() | change)
