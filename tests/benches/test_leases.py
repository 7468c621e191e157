"""The lease campaign finds nothing in the product as it is, and does find what is done to it."""

from dataclasses import replace
from typing import Any

import pytest

from benches._lease_speed import speed
from benches._lease_world import Tally, World
from benches.leases import Walk
from edge_sdk.numbers.ledger_rows import COOLING, Done, NumberRow
from edge_sdk.numbers.pool import Pool
from edge_sdk.numbers.sub_pool import SubPool


def walked(seed: int, steps: int, **how: Any) -> Tally:
    walk = Walk(World(seed, **how))
    walk.steps(steps)
    walk.settle()
    return walk.world.tally


def test_the_bench_says_what_a_lease_costs() -> None:
    assert set(speed(200)) == {"live", "lend_us", "heartbeat_us", "release_us", "restore_ms"}


def found(what: str, steps: int, **how: Any) -> bool:
    """Whether a short walk finds it; what is rare may take one with another seed."""
    return any(getattr(walked(seed, steps, **how), what) for seed in range(1, 11))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_number_is_lent_twice_or_lost(seed: int) -> None:
    tally = walked(seed, 4_000)
    assert tally.bad == []
    assert (tally.doubles, tally.leaked, tally.differing) == (0, 0, 0)
    assert tally.lent > 300
    assert tally.blocks > 20
    assert tally.crashes > 20


class PoolByTheClock(Pool):
    """Takes blocks back when they have ended: what everybody would do first."""

    def _at(self, now_ms: int) -> Done | None:
        refused = super()._at(now_ms)
        if refused is None:
            for row in self._stores.blocks.values():
                if self._stores.block(row).over_ms <= self._now_ms:
                    for number in self._stores._out(row):
                        until_ms = self._now_ms + self._terms.cool_ms
                        self._lending.set_aside(NumberRow(number, COOLING, until_ms=until_ms))
        return refused


def test_blocks_that_return_by_the_clock_are_found() -> None:
    assert found("doubles", 3_000, make_pool=PoolByTheClock)


class PoolWithoutQuarantine(Pool):
    """Lends the numbers of a block that was written off straight away."""

    def write_off(self, block_id: int, now_ms: int) -> Done:
        before = self._stores.blocks.get(block_id)
        done = super().write_off(block_id, now_ms)
        if before is not None and not done.refused:
            for number in before.numbers:
                if self.state(number, now_ms) == "quarantined":
                    self._lending.set_free(number)
        return self._did()


def test_numbers_written_off_that_go_straight_back_are_found() -> None:
    assert found("doubles", 3_000, make_pool=PoolWithoutQuarantine)


def test_answers_before_the_commit_are_found() -> None:
    assert found("doubles", 2_500, shows_before_commit=True, crash_rate=0.03)


class SubPoolThatForgets(SubPool):
    """Takes a block again that it handed back, when an old reply says so."""

    def _take(self, block: Any) -> bool:
        if block.id not in self._granted:
            self.file = replace(self.file, seen=min(self.file.seen, block.id - 1))
        return super()._take(block)


def test_old_grants_that_are_taken_again_are_found() -> None:
    assert found("doubles", 4_000, make_sub_pool=SubPoolThatForgets)


class PoolThatLoses(Pool):
    """Keeps as lent out what came back."""

    def restore(self, rows: Any) -> None:
        super().restore(rows)
        self._stores.take_back = lambda site, report: None  # type: ignore[method-assign]


def test_numbers_that_never_come_back_are_found() -> None:
    assert found("leaked", 1_000, make_pool=PoolThatLoses)
