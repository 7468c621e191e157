"""docs/call-lines.md says what is so: every count, every trouble and what to do about it."""

import re
from pathlib import Path

from edge_sdk.calls.caller import STATES
from edge_sdk.sources.caller_id import Frames
from edge_sdk.sources.modem_lines import COUNTS
from edge_sdk.sources.modem_setup import TROUBLES, ModemSetup

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "call-lines.md").read_text()


def test_every_count_is_told() -> None:
    for name in [*COUNTS, *ModemSetup().counts, *STATES, *Frames().counts.keys() - {"half"}]:
        assert f"`{name}`" in PAGE, name


def test_every_trouble_is_told_with_what_to_do() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert [row for row in rows if row in TROUBLES.values()] == list(TROUBLES.values())
