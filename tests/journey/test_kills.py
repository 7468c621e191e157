"""The short form of the kill campaign; `scripts/bench kills` is the long one."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"


def test_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "kills.json"
    ran = subprocess.run(
        [sys.executable, str(BENCH), "kills", "--kills", "20", "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(figures.read_text())
    assert report["lost"] == 0
    assert report["double_effects"] == 0
    assert report["captured"] > 100
    assert report["prompts_shown"] > 0
    assert report["kills"] >= 15  # one that found its victim starting is not counted
