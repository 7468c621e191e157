"""The soak ends the bridge again and again, loses nothing, and notices when something is lost."""

import json
import random
from pathlib import Path

import pytest

from benches import _soak_load, soak
from benches._soak_load import Memory
from benches._soak_series import Sample, database_mb, rss_growth_mb, told, wal_mb
from tests.benches.stages import Forgetful
from tests.journey.brokers import needs_mosquitto

SHORT = ["--rate", "2000", "--people", "20"]


@needs_mosquitto
def test_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told_to = tmp_path / "told.json"
    short = [*SHORT, "--minutes", "0.1", "--restart-every", "2", "--json", str(told_to)]
    assert soak.main(short) == 0
    keys = json.loads(told_to.read_text())
    assert keys["minutes"] == 0.1
    assert keys["lost"] == 0
    assert keys["stops"] >= 1
    assert keys["kills"] >= 1
    assert keys["touchpoints"] > 0
    assert keys["bodies"] > 0
    assert keys["prompts_shown"] > 0
    assert keys["lag_max_s"] >= keys["health_lag_max_s"] >= 0
    assert keys["db_growth_mb_per_million"] > 0
    assert isinstance(keys["rss_growth_mb"], float)
    said = capsys.readouterr()
    assert "RSS MB" in said.err
    assert "acknowledged and missing" in said.out


@needs_mosquitto
def test_a_bridge_that_forgets_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "Stage", Forgetful)
    monkeypatch.setattr(_soak_load, "PATIENCE_S", 5.0)
    assert soak.main([*SHORT, "--minutes", "0.04"]) == 1
    assert "failed" in capsys.readouterr().err


def sample(at_s: float, age_s: float | None, rss: float | None) -> Sample:
    return Sample(at_s, age_s, rss, 0.0, 0.0, 0, 1.0, 2.0)


def test_memory_is_compared_at_equal_ages() -> None:
    # Four starts, each growing by its age; from the second quarter to the last 5 MB came on top.
    samples = [
        sample(at, at % 25, 60 + at % 25 + (5 if at >= 75 else 0)) for at in range(0, 100, 1)
    ]
    assert rss_growth_mb(samples, 100) == 5
    samples = [each for each in samples if each.at_s < 75 or (each.age_s or 0) > 20]
    assert rss_growth_mb(samples, 100) == 5


def test_too_few_samples_grow_by_nothing() -> None:
    assert rss_growth_mb([sample(1, None, None)], 4) == 0


def test_a_line_tells_when_the_bridge_is_down() -> None:
    assert "down" in told(sample(3, None, None))
    assert "down" not in told(sample(3, 1, 60))


def test_logs_are_not_counted_as_growth() -> None:
    sizes = {"a.sqlite": 2.0, "a.sqlite-wal": 4.0, "a.sqlite-shm": 8.0, "bridge.log": 16.0}
    assert database_mb(sizes) == 2
    assert wal_mb(sizes) == 4


def test_a_memory_holds_things_of_all_times() -> None:
    memory: Memory[int] = Memory(random.Random(1))
    for number in range(4000):
        memory.meet(number)
    assert len(set(memory.things)) == len(memory.things) == _soak_load.REMEMBERED
    assert 1500 < sum(memory.things) / len(memory.things) < 2500
