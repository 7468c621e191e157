"""A store's telephone line with real SIP: pops from the store's own leases, and nothing is lost."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from benches._line_day import day, joined, run
from simulators.sip_line import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing: {', '.join(missing())}")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("trouble", ["", "bridge", "broker"])
def test_every_call_is_shown_kept_and_joined(tmp_path: Path, trouble: str) -> None:
    with day(tmp_path, 60) as parts:
        dialled = sorted(parts.lent)[:12]
        calls = [(f"+336{n:08}", number) for n, number in enumerate(dialled, 12_000_000)]
        seen = asyncio.run(run(parts, calls, 10.0, trouble))
        parts.bridge.stop()
        assert joined(parts, seen) == (12, 12)
    assert seen.rc == 0
    # While the line's own broker is away no screen can be told that it rings.
    shown = len(seen.took_ms)
    assert shown == 12 or trouble == "broker"
    assert seen.right_leases == shown >= 6


def test_the_example_shows_whom_each_call_is_from() -> None:
    program = ROOT / "examples" / "call_tracking" / "run.py"
    ran = subprocess.run(
        [sys.executable, str(program), "--calls", "3", "--headless"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    assert "3 calls rang, 3 were shown with whom they are from" in ran.stdout
