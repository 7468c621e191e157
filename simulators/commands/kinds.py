"""What the values of options may be, and the options that make a day."""

import argparse
import math

from simulators.store_day import StoreDay

RAW = argparse.RawDescriptionHelpFormatter


def add_day(parser: argparse.ArgumentParser) -> None:
    """The options that make a day."""
    parser.add_argument("--seed", type=int, default=1, help="which day (default: 1)")
    parser.add_argument("--shoppers", type=_count, default=6, help="how many come (default: 6)")
    parser.add_argument(
        "--gap",
        dest="gap_ms",
        type=_gap,
        default=20_000,
        metavar="SECONDS",
        help="between two of them, on average (default: 20)",
    )


def day_of(arguments: argparse.Namespace) -> StoreDay:
    """The day that these options say."""
    return StoreDay(arguments.seed, arguments.shoppers, arguments.gap_ms)


def speed(text: str) -> float:
    """How many times as fast; inf does not wait."""
    times = float(text)
    if not times > 0:
        raise argparse.ArgumentTypeError("more than 0; inf does not wait")
    return times


def finite_speed(text: str) -> float:
    """How many times as fast, of what cannot be played at once."""
    times = speed(text)
    if not math.isfinite(times):
        raise argparse.ArgumentTypeError("finite: a radio does not wait for who listens")
    return times


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least one shopper")
    return count


def _gap(text: str) -> int:
    gap_ms = float(text) * 1000
    if not 0 <= gap_ms <= 86_400_000:
        raise argparse.ArgumentTypeError("0 to 86400 seconds")
    return round(gap_ms)
