"""The backfill bench touches in peace and under load, and wants every prompt."""

import json
from pathlib import Path

import pytest

from benches import backfill
from tests.journey.brokers import needs_mosquitto


@needs_mosquitto
def test_it_measures_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "told.json"
    short = ["--backlog", "8000", "--pieces", "2", "--idle", "0.3"]
    assert backfill.main([*short, "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    assert 0 < keys["idle_p50_ms"] <= keys["idle_p99_ms"]
    assert 0 < keys["loaded_p50_ms"] <= keys["loaded_p99_ms"]
    assert keys["idle_p99_least_ms"] <= keys["idle_p99_most_ms"]
    assert keys["touches_idle"] == 90
    assert keys["touches_loaded"] > 0
    assert 4000 < keys["backlog"] <= 8000
    assert keys["backlog_per_second"] > 0
    assert "goal: 3" in capsys.readouterr().out


def test_more_than_an_epoch_holds_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        backfill.main(["--backlog", "7000000"])
    assert ended.value.code == 2
    assert "--backlog" in capsys.readouterr().err
