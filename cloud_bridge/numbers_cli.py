"""`cloud-bridge numbers`: is a file of pools right, and how many numbers does a pool need."""

import argparse
from pathlib import Path
from typing import Any

from cloud_bridge.numbers_file import read
from edge_sdk.numbers.delay_model import ASSUMED
from edge_sdk.numbers.sizing import size_pool

_SIZE = """
How many numbers a pool needs, so that a visitor is rarely shown the fallback (blocking), and a call
rarely reaches a number that was lent to somebody else since (late calls). How long callers take is
assumed, until the pool has learnt it (docs/number-pools.md).
"""


def add_command(commands: Any) -> None:  # noqa: ANN401  argparse has no public type for it
    """Put `numbers` among the commands."""
    numbers = commands.add_parser("numbers", help="pools of telephone numbers")
    doing = numbers.add_subparsers(dest="doing", required=True, metavar="{check,size}")
    check = doing.add_parser("check", help="read a numbers.toml, and say what it has")
    check.add_argument("file", type=Path)
    check.set_defaults(numbers=_check)
    size = doing.add_parser("size", help="how many numbers a pool needs", description=_SIZE)
    size.add_argument("--visitors-per-hour", type=float, required=True, metavar="N")
    size.add_argument("--hold-minutes", type=float, default=30.0, metavar="N", help="default 30")
    size.add_argument("--blocking", type=float, default=0.01, metavar="P", help="default 0.01")
    size.add_argument("--late", type=float, default=0.15, metavar="P", help="default 0.15")
    size.add_argument("--lent-out", type=int, default=0, metavar="N", help="numbers in stores")
    size.add_argument("--price", type=float, metavar="EUR", help="of one number a month")
    size.set_defaults(numbers=_size)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError."""
    result: int = args.numbers(args)
    return result


def _check(args: argparse.Namespace) -> int:
    for spec in read(args.file):
        split = ", likely callers apart" if spec.split else ""
        minutes = spec.terms.minimum_ms / 60_000
        print(f"{spec.name}: {len(spec.numbers)} numbers, for {minutes:g} min at least{split}")
    return 0


def _size(args: argparse.Namespace) -> int:
    sizing = size_pool(
        blocking=args.blocking,
        late_call=args.late,
        per_s=args.visitors_per_hour / 3600,
        hold_s=args.hold_minutes * 60,
        mix=ASSUMED,
        price_per_number=args.price,
        lent_out=args.lent_out,
    )
    print(f"{sizing.numbers} numbers")
    print(f"  {sizing.for_blocking} so that at most {args.blocking:.1%} see the fallback")
    print(f"  {sizing.for_late_call} so that at most {args.late:.1%} of calls come too late")
    if sizing.lent_out:
        print(f"  and {sizing.lent_out} that are lent to stores")
    print("\n".join(sizing.lines()))
    return 0
