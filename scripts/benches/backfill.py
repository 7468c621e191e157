"""Touch to prompt while another device sends its backlog, beside touch to prompt in peace.

A gateway captures visits at a steady rate and a kiosk gets their prompts, as in `scripts/bench
latency`. Meanwhile, piece by piece, one device of the same bridge sends what it gathered while it
was offline: sealed beforehand, by the bulk lane, with a courier's window. Between the pieces it is
quiet, and how much the quiet phases differ from one another is the machine's own noise.

The goal is that the loaded p99 is at most three times the idle one. Sender, broker, bridge and
both devices share this machine's cores, so some of the difference is theirs.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benches._report import add_arguments, publish
from benches._shop import RULES, SCRIPTS, browsed
from benches._stage import BenchFailedError, Stage, guarded, scratch
from benches._touches import SHOPPERS, percentile, show, touch
from edge_sdk import Device, DeviceConfig, enrol

WARM_TOUCHES = 50
LAST_PROMPT_TRIES = 400  # of 50 ms
_MOST_BACKLOG = 6_000_000  # touchpoints in one epoch's batches of 100


@dataclass(slots=True)
class Phases:
    """Which touches were made in peace and which under load, and how the backlog went."""

    idle: list[tuple[int, int]] = field(default_factory=list)  # touches from .. up to
    loaded: list[tuple[int, int]] = field(default_factory=list)
    touchpoints: int = 0
    seconds: float = 0.0


def main(argv: Sequence[str]) -> int:
    """Measure in phases; 0 when every touch brought its prompt and the whole backlog is held."""
    args = parsed(argv)
    return guarded("backfill", lambda: _measured(args))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench backfill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backlog", type=int, default=1_000_000, metavar="N", help="touchpoints: 1,000,000"
    )
    parser.add_argument("--pieces", type=int, default=4, metavar="N", help="of the backlog: 4")
    parser.add_argument(
        "--idle", type=float, default=10.0, metavar="S", help="seconds before each piece: 10"
    )
    parser.add_argument("--rate", type=float, default=100.0, metavar="PER_S", help="touches: 100")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if not 0 < args.pieces <= args.backlog <= _MOST_BACKLOG:
        parser.error(f"--backlog is at most {_MOST_BACKLOG:,}, and not less than --pieces")
    if args.idle * args.rate < 1:
        parser.error("--idle and --rate leave at least one touch")
    return args


def _measured(args: argparse.Namespace) -> int:
    with scratch("backfill") as folder:
        rules = folder / "rules.toml"
        rules.write_text(RULES)
        with Stage(folder / "stage", rules=rules) as stage:
            homes = [folder / "gateway", folder / "kiosk"]
            enrol(stage.bridge.enrol("s", "gateway"), homes[0])
            enrol(stage.bridge.enrol("s", "kiosk", "kiosk", "coffee"), homes[1])
            token = stage.bridge.enrol("s", "offline")
            stage.start()
            for shopper in range(SHOPPERS):
                stage.bridge.collect(browsed(shopper, time.time_ns() // 1_000_000))
            with Backlog(stage.broker, token, args) as backlog:
                phases, took_ms = asyncio.run(_phases(homes, stage, backlog, args))
    _tell(phases, took_ms, args)
    return 0


class Backlog:
    """The offline device's process: `with`, then `send` piece by piece."""

    def __init__(self, broker: str, token: str, args: argparse.Namespace) -> None:
        numbers = (args.backlog, args.pieces, args.seed)
        self._command = [sys.executable, "-m", "benches._backlog", broker, *map(str, numbers)]
        self._token = token
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Backlog":
        """Started; it seals, and `ready` waits for that."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        )
        self._say(self._token)
        return self

    def __exit__(self, *exc_info: object) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            process.communicate()

    async def ready(self) -> None:
        """All is sealed."""
        await asyncio.to_thread(self._hear)

    async def send(self) -> tuple[int, float]:
        """The next piece, until the bridge holds it: (touchpoints, seconds)."""
        self._say("")
        touchpoints, _, seconds = json.loads(await asyncio.to_thread(self._hear))
        return touchpoints, seconds

    def _say(self, words: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchFailedError("the backlog was not taken")
        return line


async def _phases(
    homes: Sequence[Path], stage: Stage, backlog: Backlog, args: argparse.Namespace
) -> tuple[Phases, list[float]]:
    touched: dict[int, float] = {}
    took_ms: list[float] = []
    phases = Phases()
    async with AsyncExitStack() as stack:
        gateway, kiosk = [
            await stack.enter_async_context(Device(DeviceConfig(home, stage.broker)))
            for home in homes
        ]
        showing = asyncio.create_task(show(kiosk, touched, took_ms))
        await touch(gateway, touched, WARM_TOUCHES, args.rate)  # warm: epochs open, links up
        await backlog.ready()
        gc.collect()
        gc.freeze()  # as `cloud-bridge run` does: no collection looks through what stays
        for piece in range(args.pieces):
            await _idle(gateway, touched, phases, args)
            await _loaded(gateway, touched, phases, backlog, args)
            speed = phases.touchpoints / phases.seconds
            done = f"piece {piece + 1} of {args.pieces}: {speed:,.0f} touchpoints/s so far"
            print(done, file=sys.stderr, flush=True)
        await _idle(gateway, touched, phases, args)
        for _ in range(LAST_PROMPT_TRIES):
            if len(took_ms) == len(touched):
                break
            await asyncio.sleep(0.05)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    if len(took_ms) != len(touched):
        lives = "lives" if stage.bridge.running else "died"
        raise BenchFailedError(
            f"{len(touched):,} touches brought {len(took_ms):,} prompts; the bridge {lives}"
        )
    return phases, took_ms


async def _idle(
    gateway: Device, touched: dict[int, float], phases: Phases, args: argparse.Namespace
) -> None:
    await asyncio.sleep(0.5)
    first = len(touched)
    await touch(gateway, touched, max(1, round(args.idle * args.rate)), args.rate)
    phases.idle.append((first, len(touched)))


async def _loaded(
    gateway: Device,
    touched: dict[int, float],
    phases: Phases,
    backlog: Backlog,
    args: argparse.Namespace,
) -> None:
    """Touches for as long as the piece takes."""
    first = len(touched)
    sending = asyncio.create_task(backlog.send(), name="backlog")
    while not sending.done():
        await touch(gateway, touched, max(1, round(args.rate / 10)), args.rate)
    touchpoints, seconds = await sending
    phases.touchpoints += touchpoints
    phases.seconds += seconds
    phases.loaded.append((first, len(touched)))


def _tell(phases: Phases, took_ms: Sequence[float], args: argparse.Namespace) -> None:
    idle = [ms for first, beyond in phases.idle for ms in took_ms[first:beyond]]
    loaded = [ms for first, beyond in phases.loaded for ms in took_ms[first:beyond]]
    quiet = [percentile(took_ms[first:beyond], 99) for first, beyond in phases.idle]
    keys = {
        "idle_p50_ms": percentile(idle, 50),
        "idle_p99_ms": percentile(idle, 99),
        "loaded_p50_ms": percentile(loaded, 50),
        "loaded_p99_ms": percentile(loaded, 99),
    }
    keys |= {
        "ratio_p50": keys["loaded_p50_ms"] / keys["idle_p50_ms"],
        "ratio_p99": keys["loaded_p99_ms"] / keys["idle_p99_ms"],
        "idle_p99_least_ms": min(quiet),
        "idle_p99_most_ms": max(quiet),
        "backlog_per_second": phases.touchpoints / phases.seconds,
    }
    figures = {name: round(value, 3) for name, value in keys.items()}
    counts = {
        "backlog": phases.touchpoints,
        "touches_idle": len(idle),
        "touches_loaded": len(loaded),
        "rate_per_s": args.rate,
    }
    spread = f"{min(quiet):.1f} to {max(quiet):.1f} in {len(quiet)} phases: the machine's noise"
    rows = [
        ("touches", len(idle) + len(loaded), f"{len(loaded):,} of them while a backlog came in"),
        ("idle p50, ms", keys["idle_p50_ms"], ""),
        ("idle p99, ms", keys["idle_p99_ms"], spread),
        ("loaded p50, ms", keys["loaded_p50_ms"], f"{keys['ratio_p50']:.2f} x idle"),
        ("loaded p99, ms", keys["loaded_p99_ms"], f"{keys['ratio_p99']:.2f} x idle; goal: 3"),
        ("backlog", phases.touchpoints, "touchpoints of one device"),
        ("  per second", keys["backlog_per_second"], "meanwhile"),
    ]
    publish("backfill", rows, {**figures, **counts}, args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
