"""The bench of /numbers/lease runs and tells what it measured; how fast that is, no test says."""

import json
from pathlib import Path

import pytest

from benches.lease import main


def test_every_session_gets_a_number_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    assert main(["--leases", "40", "--requests", "20", "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    assert keys["lent"] == keys["requests"] == 20
    for name in ("p50_ms", "p99_ms", "floor_p99_ms", "p99_times_floor"):
        assert keys[name] > 0, name
    assert "floor" in capsys.readouterr().out
