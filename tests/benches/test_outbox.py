"""The outbox bench runs and tells what it measured; how fast that is, no test says."""

import json
from pathlib import Path

import pytest

from benches.outbox import main, quantile_ms


def test_it_measures_each_way_and_the_floor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    few = ["--events", "300", "--tasks", "50", "--rounds", "1", "--alone", "3"]
    assert main([*few, "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    for name in ("per_second", "capture_many_per_second", "floor_per_second", "times_floor"):
        assert keys[name] > 0, name
    assert keys["commits"] > 0
    assert keys["prompting_alone_p50_ms"] <= keys["prompting_alone_p99_ms"]
    assert keys["file_system"] in capsys.readouterr().out


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile_ms([0.003, 0.001, 0.002], 50) == 2
    assert quantile_ms([0.001], 99) == 1
