"""POST /collect: requests a second of a real bridge on one core, against FastAPI and pydantic.

A request has six events of a web session in 0.8 KB; it is answered when they are on disk and in the
person's profile. The load comes from another core over keep-alive connections. The twin is the same
bridge with the same work behind an endpoint written as is usual; they are measured in turns.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benches._collect_load import Load, bodies
from benches._report import add_arguments, publish
from benches._shop import SCRIPTS
from simulators.bridge_process import BridgeProcess

SITE = "web"
BODIES = 20_000
WARM_S = 1.0
TWIN = ("-m", "benches._collect_fastapi")


def main(argv: Sequence[str]) -> int:
    """Measure in turns; 0 when each request was accepted and is counted by its bridge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench collect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0, metavar="N", help="of each; 10")
    parser.add_argument("--turns", type=int, default=2, metavar="N", help="default 2")
    parser.add_argument("--connections", type=int, default=64, metavar="N", help="default 64")
    add_arguments(parser)
    args = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = str(SCRIPTS)
    build = SCRIPTS.parent / "build"  # a real disk, where a temporary folder may be memory
    build.mkdir(exist_ok=True)
    allowed = _cores()
    try:
        with tempfile.TemporaryDirectory(prefix="collect-", dir=build) as folder:
            subjects = _measured(Path(folder), allowed, args)
    finally:
        _stay_on(allowed)
    return _tell(subjects, len(allowed), args)


class _Subject:
    """A bridge, and the load on it."""

    def __init__(self, name: str, bridge: BridgeProcess, ready: list[bytes]) -> None:
        self.bridge = bridge
        self.load = Load(bridge.http, bridge.key(SITE), ready, name)
        self.ran_s = 0.0
        self.warmed = 0
        self.counted = 0

    def warm_up(self, connections: int) -> None:
        self.load.run(connections, WARM_S)
        self.warmed = self.load.accepted
        self.load.took_s.clear()

    @property
    def per_second(self) -> float:
        return (self.load.accepted - self.warmed) / self.ran_s

    def quantile_ms(self, percent: float) -> float:
        ranked = sorted(self.load.took_s)
        return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


def _measured(folder: Path, allowed: list[int], args: argparse.Namespace) -> list[_Subject]:
    ready = bodies(args.seed, BODIES, int(time.time() * 1000))
    with ExitStack() as stack:
        _stay_on(allowed[:1])  # the bridges inherit it, with all their threads
        subjects = []
        for name, program in (("product", ("-m", "cloud_bridge.cli")), ("twin", TWIN)):
            bridge = BridgeProcess(folder / name, tenant="bench", program=program)
            subjects.append(_Subject(name, stack.enter_context(bridge), ready))
        _stay_on(allowed[1:] or allowed)
        for subject in subjects:
            subject.warm_up(args.connections)
        for turn in range(args.turns):
            for subject in subjects:
                subject.ran_s += subject.load.run(args.connections, args.seconds / args.turns)
            print(f"turn {turn + 1} of {args.turns}", file=sys.stderr, flush=True)
        for subject in subjects:
            subject.counted = subject.bridge.health()["collect"]["accepted"]
    return subjects


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _stay_on(cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)


def _tell(subjects: list[_Subject], cores: int, args: argparse.Namespace) -> int:
    product, twin = subjects
    ratio = product.per_second / twin.per_second
    keys = {
        "per_second": product.per_second,
        "fastapi_per_second": twin.per_second,
        "times_fastapi": ratio,
        "p50_ms": product.quantile_ms(50),
        "p99_ms": product.quantile_ms(99),
        "fastapi_p50_ms": twin.quantile_ms(50),
        "fastapi_p99_ms": twin.quantile_ms(99),
        "requests": sum(subject.load.accepted for subject in subjects),
        "refused": sum(subject.load.refused for subject in subjects),
        "uncounted": sum(abs(subject.load.accepted - subject.counted) for subject in subjects),
        "events_a_request": 6,
        "connections": args.connections,
    }
    apart = "bridge and load on a core each" if cores > 1 else "on one core together"
    rows = [
        ("requests a second", keys["per_second"], f"of 6 events, durable and folded; {apart}"),
        ("FastAPI and pydantic", keys["fastapi_per_second"], "the same work behind them"),
        ("times", ratio, ""),
        ("p50, ms", keys["p50_ms"], f"{keys['fastapi_p50_ms']:.3g} by FastAPI"),
        ("p99, ms", keys["p99_ms"], f"{keys['fastapi_p99_ms']:.3g} by FastAPI"),
        ("refused", keys["refused"], f"of {keys['requests']:,}"),
        ("not counted alike", keys["uncounted"], "by the bridge and by the load"),
    ]
    publish("collect", rows, keys, args)
    return 0 if keys["refused"] == keys["uncounted"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
