"""Writes presence.json anew: python -m tests.vectors.make_presence. Look at what has changed."""

import json
from pathlib import Path

from edge_sdk.presence.silence import Silence
from edge_sdk.presence.statistics import summary
from tests.presence.portable_presence import engine, rows_of, walk

HEARD = ("+" * 60, "+-" * 30, "+---" * 20, "+" * 30 + "-" * 9 + "+" * 10, "+")
READINGS = (
    [-60],
    [-60, -70],
    [-61, -60, -59, -60, -95],
    [-61, -60, -59, -60, -20],
    [-80, -70, -60, -50, -40],
    [-70, -72, -71, -73, -69, -70, -100, -99],
)


def main() -> None:
    """Run the code as it is, and keep what it says."""
    vectors = {
        "about": "made by tests/vectors/make_presence.py; a row of `walk` is a touchpoint",
        "silence": [{"heard": heard, "gone_pct": gone_pct(heard)} for heard in HEARD],
        "summaries": [
            {"rssi_dbm": values, "summary": list(summary(sorted(values)))} for values in READINGS
        ],
        "walk": rows_of(walk(engine(), 7)),
    }
    lines = json.dumps(vectors, indent=1)
    (Path(__file__).parent / "presence.json").write_text(lines + "\n", encoding="utf-8")


def gone_pct(heard: str) -> list[int]:
    """The probability that it is gone in the twenty seconds after that."""
    silence = Silence()
    for letter in heard:
        if letter == "+":
            silence.hear(1.0)
        else:
            silence.miss()
    found = []
    for _ in range(20):
        silence.miss()
        found.append(round(100 * silence.gone(1.0)))
    return found


if __name__ == "__main__":
    main()
