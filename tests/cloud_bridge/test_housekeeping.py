"""Growing old: the log's beginning and strangers go, and what stays is as it was."""

import random
from pathlib import Path

import msgspec
import pytest

from cloud_bridge.batch import Batch
from cloud_bridge.housekeeping import DAY_MS, without
from cloud_bridge.people import NOBODY, Offered, unpack_offered
from cloud_bridge.schemes import PERSON, kind_of_handle
from cloud_bridge.store import BATCH, DECISION, GAPS
from tests.cloud_bridge.keeping import (
    ANN,
    BOB,
    SetClock,
    handles,
    house_of,
    keep_house,
    login,
    sight,
    view,
)
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life, history


def test_the_log_goes_after_its_days_and_what_was_folded_of_it_stays(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        for day in range(20):
            clock.ms = START_MS + day * DAY_MS
            life.touchpoints(view(1, "cookie:1"), login(2, ANN, "cookie:1"), received_ms=clock.ms)
        before = life.digest()
        keep_house(house, clock)
        assert house.dropped == 0  # nothing is folded on disk yet
        life.write_behind()
        keep_house(house, clock)
        assert (house.dropped, len(list(life.store.log()))) == (10, 10)
        assert life.digest() == before
        life.again()
        assert life.digest() == before


def test_a_log_that_is_kept_for_ever(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        life.touchpoints(view(1, "cookie:1"))
        life.write_behind()
        clock.ms += 10_000 * DAY_MS
        assert keep_house(house_of(life, clock, keep_days=0), clock) == 1
        assert len(list(life.store.log())) == 1


def test_there_is_a_look_now_and_then_and_a_little_at_a_time(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        for _ in range(450):
            life.touchpoints(sight(1, "ble:1"))
        life.write_behind()
        clock.ms += 11 * DAY_MS
        house = house_of(life, clock)
        assert house.step(clock.steady_s())
        assert house.dropped == 200
        assert keep_house(house, clock) >= 2
        assert house.dropped == 450
        assert not house.step(clock.steady_s())
        clock.ms += DAY_MS
        assert not house.step(clock.steady_s())


def test_strangers_go_with_their_rows_and_nobody_else(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        life.touchpoints(sight(1, "rpa:1"), sight(1, "rpa:2"), sight(1, "kiosk:1"))
        life.touchpoints(sight(1, "ble:1"), login(2, ANN, "ble:1"), login(2, BOB, "wifi:1"))
        life.write_behind()
        clock.ms += 12 * DAY_MS
        life.touchpoints(sight(1, "rpa:2"), received_ms=clock.ms)
        life.write_behind()
        keep_house(house, clock)
        assert house.forgotten == 3
        known = {life.intake.vault.identifier(handle) for handle in handles(life)}
        assert known == {"rpa:2", "ble:1", ANN, BOB}
        before = life.digest()
        life.again()
        assert life.digest() == before
        assert life.handle("rpa:1") not in handles(life)  # somebody new


@pytest.mark.parametrize("written", [True, False])
def test_a_stranger_stays_while_the_log_holds_a_row_of_it(tmp_path: Path, written: bool) -> None:
    """Of a row above the watermark, or behind one of a clock that was ahead."""
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        life.touchpoints(sight(1, "rpa:1"))
        life.write_behind()
        life.touchpoints(sight(1, "rpa:9"), received_ms=START_MS + 100 * DAY_MS)
        life.touchpoints(sight(1, "rpa:1"))
        if written:
            life.write_behind()
        clock.ms += 12 * DAY_MS
        keep_house(house, clock)
        assert house.dropped == 1
        assert house.forgotten == 0
        before = life.digest()
        life.again()
        assert life.digest() == before
        assert life.intake.people.subject(life.handle("rpa:1")).touches == 2


def test_what_is_left_after_forgetting_is_what_a_life_without_it_knows(tmp_path: Path) -> None:
    """Of persons all but what they would have claimed of strangers that are forgotten by then."""
    for seed in range(20):
        lot = random.Random(seed)
        steps = history(seed, turns=20)
        with Life(tmp_path / f"{seed}-quiet") as wanted:
            for step in steps:
                wanted.live(step)
            people = wanted.intake.people
            known = {
                wanted.intake.vault.identifier(handle): msgspec.to_builtins(subject)
                for handle, subject in people.residents()
                if kind_of_handle(handle) == PERSON
            }
        with Life(tmp_path / f"{seed}-short", most_people=3) as life:
            clock = SetClock()
            for step in steps:
                life.live(step, lot.choice((0, 2, 100)))
                life.write_behind(lot.choice((1, 100)))
                clock.ms = max(clock.ms, step.received_ms)
                if lot.random() < 0.5:
                    house = house_of(life, clock, keep_days=0.5)
                    keep_house(house, clock)
                if lot.random() < 0.2:
                    life.again()
            for name, subject in known.items():
                assert name is not None
                found = msgspec.to_builtins(life.intake.people.subject(life.handle(name)))
                assert found[:5] == subject[:5], (seed, name)
            before = life.digest()
            life.again()
            assert life.digest() == before, seed


def test_how_a_row_loses_handles(caplog: pytest.LogCaptureFixture) -> None:
    offered = msgspec.msgpack.encode(Offered(1, 42, "tasting", 50, 2))
    assert without(DECISION, offered, {43}) is None
    changed = without(DECISION, offered, {42})
    assert changed is not None
    assert unpack_offered(changed) == Offered(1, NOBODY, "tasting", 50, 2)
    batch = Batch.of([sight(1, "ble:1"), sight(2, "ble:2")])
    batch.resolve({"ble:1": 42, "ble:2": 46})
    assert without(BATCH, batch.to_body(), {43}) is None
    changed = without(BATCH, batch.to_body(), {42})
    assert changed is not None
    assert Batch.from_body(changed).known() == {46}
    assert without(BATCH, changed, {42}) is None
    assert without(GAPS, b"\x90", {42}) is None
    assert without(77, b"of a later version", {42}) is None
    assert caplog.text == ""
    assert without(BATCH, b"\xc1", {42}) is None
    assert without(DECISION, b"\xc1", {42}) is None
    assert caplog.text.count("cannot be read") == 2
