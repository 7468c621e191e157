"""The command: scores for each walk and for all, with the whole survey and with less of one."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_sdk.errors import ConfigError

try:
    import numpy as np  # noqa: F401  what the modules below need
except ImportError:
    sys.exit("positions need numpy: pip install 'edge-sdk[positioning]'")

from edge_sdk.presence.evaluate import recording, scores

_THINNED = (0, 10, 30)

_WHAT = """
DIR holds sensors.csv, calibration.csv and tracks/*.csv, in the format of the public set of Danis et
al. (IEEE Access 2021): see edge_sdk/presence/evaluate/recording.py. Every walk is played once,
reading by reading, through the presence engine; nothing of it was seen before, and nothing ahead.

  python -m edge_sdk.presence.evaluate --data DIR
  python -m edge_sdk.presence.evaluate --data DIR --speed 2        everybody in a hurry
  python -m edge_sdk.presence.evaluate --data DIR --points 30      a store that surveyed 30 places
"""

_COLUMNS = (
    ("mean", "mean_error_m"),
    ("median", "median_error_m"),
    ("p90", "p90_error_m"),
    ("in 80 %", "interval80_coverage"),
    ("zone", "zone_accuracy"),
    ("inside", "zone_accuracy_inside"),
    ("changes", "zone_change_ratio"),
    ("plain", "plain_mean_error_m"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it worked, 1 when the files cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        place = recording.load(arguments.data)
    except ConfigError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    tracks = [track.faster(arguments.speed) for track in place.tracks]
    every = len(place.survey)
    counts = sorted({min(count, every) for count in (*_THINNED, every)})
    used = every if arguments.points is None else min(arguments.points, every)
    if arguments.points is not None:
        counts = [used]
    by_points: dict[str, dict[str, float | None]] = {}
    by_track: dict[str, dict[str, float | None]] = {}
    for count in counts:
        store = scores.Store.of(place, recording.spread_out(place.survey, count))
        total = scores.Scores()
        for track in tracks:
            one = store.score(track)
            total.add(one)
            if count == used:
                by_track[track.name] = one.as_dict()
        by_points[str(count)] = total.as_dict()
    report = {
        **by_points[str(used)],
        "points": used,
        "speed": arguments.speed,
        "tracks": by_track,
        "by_points": by_points,
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    _tell(by_track, by_points, used)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge_sdk.presence.evaluate",
        description=recording.__doc__,
        epilog=_WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the recording")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="replay so many times as fast"
    )
    parser.add_argument(
        "--points",
        type=_points,
        metavar="N",
        help="survey N places alone, well spread (default: all, and for comparison 0, 10 and 30)",
    )
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0.01 <= speed <= 100:
        raise argparse.ArgumentTypeError("0.01 to 100")
    return speed


def _points(text: str) -> int:
    points = int(text)
    if points < 0:
        raise argparse.ArgumentTypeError("0 or more")
    return points


def _tell(
    by_track: dict[str, dict[str, float | None]],
    by_points: dict[str, dict[str, float | None]],
    used: int,
) -> None:
    width = max(len(name) for name in (*by_track, "126 points surveyed"))
    print(" " * width + "".join(f"{title:>9}" for title, _ in _COLUMNS))
    for name, found in by_track.items():
        print(_line(name, width, found))
    print(_line(f"all, {used} points", width, by_points[str(used)]))
    if len(by_points) > 1:
        print()
        for count, found in by_points.items():
            print(_line(f"{count} points surveyed", width, found))
    print("\nerrors in metres; changes: of zone, for each true one; plain: mean of a 0.5 m grid")


def _line(name: str, width: int, found: dict[str, float | None]) -> str:
    cells = (found[key] for _, key in _COLUMNS)
    return f"{name:<{width}}" + "".join("        -" if c is None else f"{c:9.3f}" for c in cells)


if __name__ == "__main__":
    sys.exit(main())
