"""The bench of /collect runs and tells what it measured; how fast that is, no test says."""

import json
from pathlib import Path

import pytest

from benches._collect_load import bodies
from benches.collect import main

NOW_MS = 1_800_000_000_000


def test_it_measures_the_bridge_and_its_twin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benches.collect.WARM_S", 0.1)
    monkeypatch.setattr("benches.collect.BODIES", 50)
    monkeypatch.setenv("PYTHONPATH", "")
    told = tmp_path / "told.json"
    few = ["--seconds", "0.3", "--turns", "1", "--connections", "4"]
    assert main([*few, "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    for name in ("per_second", "fastapi_per_second", "times_fastapi", "requests"):
        assert keys[name] > 0, name
    assert keys["refused"] == keys["uncounted"] == 0
    assert "FastAPI" in capsys.readouterr().out


def test_bodies_are_of_the_size_that_is_said_and_of_many_sessions() -> None:
    made = bodies(1, 200, NOW_MS)
    assert all(700 < len(body) < 900 for body in made)
    assert len({body[body.index(b'"session"') :] for body in made}) > 190
    assert made == bodies(1, 200, NOW_MS)
    assert made != bodies(2, 200, NOW_MS)
