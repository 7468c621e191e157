"""The ingest bench counts what the bridge holds, and notices when it does not."""

import json
from pathlib import Path

import pytest

from benches import ingest
from tests.benches.stages import Forgetful
from tests.journey.brokers import needs_mosquitto

pytestmark = needs_mosquitto

SHORT = ["--people", "300", "--few", "20", "--touchpoints", "8000", "--turns", "1"]
SHORT += ["--tail", "4000", "--gateways", "4"]


def test_it_measures_and_shows_where_the_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, profile = tmp_path / "told.json", tmp_path / "profile.html"
    assert ingest.main([*SHORT, "--json", str(told), "--profile", str(profile)]) == 0
    keys = json.loads(told.read_text())
    for name in (
        "per_second_10k_people",
        "per_second_1m_people",
        "per_second_1m_people_batches_of_50",
        "per_second_1m_people_other_people",
        "floor_per_second",
        "restart_s",
    ):
        assert keys[name] > 0, name
    assert isinstance(keys["bytes_per_person"], float)
    assert keys["people_many"] == 300
    assert 4000 * 0.5 < keys["restart_tail"] <= 4000 * 1.5
    assert keys["profiled"] is True
    assert "<html" in profile.read_text()
    tree = (tmp_path / "profile.html.txt").read_text()
    assert "MainThread" in tree
    assert "cloud_bridge/ingest" in tree
    assert "of the floor" in capsys.readouterr().out


def test_a_bridge_that_forgets_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ingest, "Stage", Forgetful)
    assert ingest.main(SHORT) == 1
    assert "missing after the restart" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ingest.main(["--help"])
    assert ended.value.code == 0
    assert "floor" in capsys.readouterr().out


def test_nonsense_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ingest.main(["--people", "10", "--few", "10"])
    assert ended.value.code == 2
    assert "--few" in capsys.readouterr().err
