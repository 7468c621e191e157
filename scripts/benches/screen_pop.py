"""A call rings, and the agent sees whose it is: real SIP, from the INVITE to the screen.

A real bridge has lent many numbers; mosquitto, kamailio and sipp are a store's telephone line, and
a gateway stands between. Callers dial distinct numbers. A pop's time is from when the proxy had the
INVITE to when a screen had the pop. Three times: as it is; with the bridge killed in the middle;
with the line's broker and proxy killed. `lost` are calls that the bridge does not have in full at
the end.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benches._line_day import day, joined, run
from benches._report import add_arguments, publish
from benches._shop import SCRIPTS
from simulators.sip_line import missing

SCENARIOS = (("", ""), ("bridge_killed_", "bridge"), ("broker_killed_", "broker"))


def main(argv: Sequence[str]) -> int:
    """Run the scenarios; 0 when no call was lost and each was joined to whoever was lent it."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench screen-pop",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=300, metavar="N", help="of each; 300")
    parser.add_argument("--per-s", type=float, default=20.0, metavar="N", help="calls; 20")
    parser.add_argument("--leases", type=int, default=20_000, metavar="N", help="live; 20,000")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if missing():
        print(f"missing: {', '.join(missing())}; scripts/test installs them", file=sys.stderr)
        return 2
    build = SCRIPTS.parent / "build"
    build.mkdir(exist_ok=True)
    keys: dict[str, float] = {"live_leases": args.leases}
    rows: list[tuple[str, float, str]] = []
    for prefix, trouble in SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="line-", dir=build) as folder:
            found = _scenario(Path(folder), trouble, args)
        keys |= {f"{prefix}{name}": value for name, value in found.items()}
        what = f"{trouble} killed" if trouble else "plain"
        rows += [
            (f"{what}: p50, ms", found["p50_ms"], f"p95 {found['p95_ms']:.3g}"),
            (f"{what}: lost", found["lost"], f"of {args.calls} calls"),
            (f"{what}: right", found["attributed_right"], "joined to whoever was lent the number"),
        ]
        print(f"{what}: done", file=sys.stderr, flush=True)
    publish("screen-pop", rows, keys, args)
    bad = sum(v for n, v in keys.items() if n.endswith("lost"))
    right = sum(v for n, v in keys.items() if n.endswith("attributed_right"))
    return 0 if not bad and right == len(SCENARIOS) * args.calls else 1


def _scenario(folder: Path, trouble: str, args: argparse.Namespace) -> dict[str, float]:
    with day(folder, args.leases) as parts:
        dialled = sorted(parts.lent)[: args.calls]
        calls = [(f"+336{n:08}", number) for n, number in enumerate(dialled, 12_000_000)]
        seen = asyncio.run(run(parts, calls, args.per_s, trouble))
        parts.bridge.stop()
        whole, right = joined(parts, seen)
    took = sorted(seen.took_ms)
    return {
        "calls": len(seen.names),
        "attributed_right": right,
        "popped": len(took),
        "p50_ms": took[len(took) // 2],
        "p95_ms": took[len(took) * 95 // 100],
        "lost": args.calls - whole,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
