"""Mixed load for minutes at a steady rate, while the bridge is stopped or killed again and again.

At once, and well below what the bridge could take: the mix of tests/data/mix.json from many
gateways in bulk, live visits of a real device whose prompts a real kiosk shows, bodies of
POST /collect, and new people all the time. Every minute or so the bridge is stopped as an operator
would, or killed with kill -9, and started again.

Each second memory, files and lag are sampled. At the end the bridge is killed once more, and what
it had acknowledged is held against it: batches and bodies of the whole time are sent again, and it
has to say that it knew them; people of the whole time walk in, and each has to bring a prompt.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benches._fleet import Fleet, enrolled
from benches._report import add_arguments, publish
from benches._sender import Sender
from benches._shop import RULES
from benches._soak_load import Load
from benches._soak_series import (
    HEADER,
    Sample,
    database_mb,
    rss_growth_mb,
    told,
    wal_mb,
)
from benches._stage import BenchFailedError, Stage, figure, file_sizes_mb, guarded, rss_mb, scratch
from edge_sdk import Device, DeviceConfig, enrol

GATEWAYS, SITES = 16, 4
LINES_TOLD = 60
PATIENCE_S = 120.0


def main(argv: Sequence[str]) -> int:
    """Soak; 0 when nothing that was acknowledged is missing."""
    args = parsed(argv)
    return guarded("soak", lambda: _soaked(args))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default, metavar, words in (
        ("--minutes", 10.0, "N", "how long, without start and end"),
        ("--rate", 10_000.0, "PER_S", "touchpoints in bulk"),
        ("--people", 50.0, "PER_S", "people who become known by devices"),
        ("--bodies", 5.0, "PER_S", "bodies of POST /collect, each of somebody new"),
        ("--visits", 10.0, "PER_S", "live visits"),
        ("--restart-every", 60.0, "S", "between two ends of the bridge"),
    ):
        told_default = f"{words} (default {default:,g})"
        parser.add_argument(name, type=float, default=default, metavar=metavar, help=told_default)
    parser.add_argument(
        "--keep-minutes",
        type=float,
        default=0.0,
        metavar="N",
        help="the bridge drops its log behind that, and files stop growing (default: it keeps all);"
        " with the log go the keys of web bodies, so these are not asked for in the end",
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    if not Path("/proc/self/statm").exists():
        parser.error("this bench reads /proc: it needs Linux")
    if min(args.minutes, args.rate, args.bodies, args.visits, args.people) <= 0:
        parser.error("minutes and rates are above 0")
    if args.restart_every < 1:
        parser.error("--restart-every is a second at least")
    return args


def _soaked(args: argparse.Namespace) -> int:
    with scratch("soak") as folder:
        rules = folder / "rules.toml"
        rules.write_text(RULES)
        keep = ("--keep-days", f"{args.keep_minutes / 1440:.9f}") if args.keep_minutes else ()
        with Stage(folder / "stage", rules=rules, more=keep) as stage:
            homes = [folder / "gateway", folder / "kiosk"]
            enrol(stage.bridge.enrol("s", "gateway"), homes[0])
            enrol(stage.bridge.enrol("s", "kiosk", "kiosk", "coffee"), homes[1])
            fleet = enrolled(stage.bridge, GATEWAYS, SITES)
            stage.start()
            soak = Soak(stage, fleet, args)
            empty_mb = database_mb(file_sizes_mb(stage.home))
            asyncio.run(soak.run(homes))
            stage.bridge.stop()  # which leaves no write-ahead log behind
            grown_mb = database_mb(file_sizes_mb(stage.home)) - empty_mb
    return _tell(soak, grown_mb, args)


class Soak:
    """Load, samples, restarts; then the books."""

    def __init__(self, stage: Stage, fleet: Fleet, args: argparse.Namespace) -> None:
        self.samples: list[Sample] = []
        self.stops = self.kills = 0
        self.lost: dict[str, int] = {}
        self.start_s: list[float] = []
        self._stage = stage
        self._fleet = fleet
        self._args = args
        self._up_s: float | None = time.monotonic()  # since when the bridge runs; None: it is down
        self._began_s = 0.0

    async def run(self, homes: Sequence[Path]) -> None:
        """From the first touchpoint to the last look at the books."""
        async with AsyncExitStack() as stack:
            devices = [
                await stack.enter_async_context(Device(DeviceConfig(home, self._stage.broker)))
                for home in homes
            ]
            fleet = self._fleet
            sender = await stack.enter_async_context(Sender(self._stage.broker, fleet.lines))
            await stack.enter_async_context(fleet.answering(sender))
            await sender.introduce(fleet.lines, PATIENCE_S)
            self.load = Load(self._stage, fleet, sender, devices, self._args)
            self._began_s = time.monotonic()
            async with self.load.running():
                await self._minutes(sender)
            await self._drained(sender, devices)
            await self._end(kill=True)
            self.lost = await self.load.missing()

    async def _minutes(self, sender: Sender) -> None:
        args = self._args
        duration_s = args.minutes * 60
        restart_s = args.restart_every
        restarting: asyncio.Task[None] | None = None
        every = max(1, round(duration_s / LINES_TOLD))
        print(HEADER, file=sys.stderr)
        for second in range(1, round(duration_s) + 1):
            await asyncio.sleep(max(0.0, self._began_s + second - time.monotonic()))
            self.load.check()
            self.samples.append(await self._sample(sender))
            if second % every == 0:
                print(told(self.samples[-1]), file=sys.stderr, flush=True)
            if restarting is not None and restarting.done():
                restarting.result()
                restarting = None
            if second >= restart_s and restarting is None and self._up_s is not None:
                restart_s = second + args.restart_every
                kill = (self.stops + self.kills) % 2 == 1
                restarting = asyncio.create_task(self._end(kill=kill), name="restart")
        if restarting is not None:
            await restarting

    async def _end(self, *, kill: bool) -> None:
        """Stop or kill the bridge, and start it again."""
        bridge = self._stage.bridge
        self._up_s = None
        if kill:
            self.kills += 1
            await asyncio.to_thread(bridge.kill)
        else:
            self.stops += 1
            code = await asyncio.to_thread(bridge.stop)
            if code != 0:
                raise BenchFailedError(f"the bridge did not stop well: {code}, {bridge.log}")
        self.start_s.append(await asyncio.to_thread(self._stage.start))
        self._up_s = time.monotonic() - self.start_s[-1]

    async def _sample(self, sender: Sender) -> Sample:
        up_s, bridge = self._up_s, self._stage.bridge
        sizes = await asyncio.to_thread(file_sizes_mb, self._stage.home)
        now_s = time.monotonic()
        memory = lag_s = age_s = None
        if up_s is not None:
            try:
                memory, age_s = rss_mb(bridge.pid), now_s - up_s
                lag_ms = figure(await asyncio.to_thread(bridge.health), "lag_ms")
                lag_s = None if lag_ms is None else lag_ms / 1000
            except (OSError, ValueError):
                if not bridge.running and self._up_s is not None:
                    raise BenchFailedError(f"the bridge died: {bridge.log}") from None
        at_s = now_s - self._began_s
        held = sender.touchpoints_held
        files = database_mb(sizes), wal_mb(sizes)
        return Sample(at_s, age_s, memory, lag_s, sender.oldest_s(), held, *files)

    async def _drained(self, sender: Sender, devices: Sequence[Device]) -> None:
        await sender.drained(self._fleet.lines, PATIENCE_S)
        try:
            async with asyncio.timeout(PATIENCE_S):
                for device in devices:
                    await device.drained()
        except TimeoutError:
            raise BenchFailedError("a device could not deliver what it captured") from None


def _tell(soak: Soak, grown_mb: float, args: argparse.Namespace) -> int:
    samples, load = soak.samples, soak.load
    held = load.sender.touchpoints_held
    health_lag_s = max((sample.lag_s or 0.0 for sample in samples), default=0.0)
    sender_lag_s = max((sample.oldest_s for sample in samples), default=0.0)
    lost = sum(soak.lost.values())
    keys = {
        "minutes": args.minutes,
        "rss_growth_mb": round(rss_growth_mb(samples, args.minutes * 60), 2),
        "db_growth_mb_per_million": round(grown_mb / (held / 1e6), 2),
        "lag_max_s": round(max(health_lag_s, sender_lag_s), 3),
        "health_lag_max_s": round(health_lag_s, 3),
        "sender_lag_max_s": round(sender_lag_s, 3),
        "rss_max_mb": round(max((sample.rss_mb or 0.0 for sample in samples), default=0.0), 1),
        "db_mb_at_half": round(_database_mb(samples, 0.5), 1),
        "db_mb_at_end": round(_database_mb(samples, 1.0), 1),
        "keep_minutes": args.keep_minutes,
        "wal_max_mb": round(max((sample.wal_mb for sample in samples), default=0.0), 1),
        "restart_max_s": round(max(soak.start_s), 2),
        "stops": soak.stops,
        "kills": soak.kills,
        "touchpoints": held,
        "people": load.people,
        "bodies": load.bodies_accepted,
        "visits": load.visits,
        "prompts_shown": load.shown,
        "lost": lost,
    }
    rows = [
        ("touchpoints held", held, f"in {args.minutes:g} minutes; {load.people:,} people"),
        ("live visits", load.visits, f"{load.shown:,} prompts shown"),
        ("ends of the bridge", soak.stops + soak.kills, f"{soak.kills} of them by kill -9"),
        ("  longest start, s", keys["restart_max_s"], ""),
        ("memory growth, MB", keys["rss_growth_mb"], "second quarter to last, at equal ages"),
        ("  at most, MB", keys["rss_max_mb"], ""),
        ("files, MB per million", keys["db_growth_mb_per_million"], "once it was stopped"),
        ("  half way, MB", keys["db_mb_at_half"], f"{keys['db_mb_at_end']:g} at the end"),
        ("  write-ahead log at most, MB", keys["wal_max_mb"], ""),
        ("longest lag, s", keys["lag_max_s"], "a batch without its acknowledgement, or below"),
        ("  within the bridge, s", keys["health_lag_max_s"], "as /health tells it"),
        ("acknowledged and missing", lost, ", ".join(f"{n} {w}" for w, n in soak.lost.items())),
    ]
    publish("soak", rows, keys, args)
    if lost:
        print("soak: failed: something that was acknowledged is missing", file=sys.stderr)
    return 1 if lost else 0


def _database_mb(samples: Sequence[Sample], share: float) -> float:
    """The files after that share of the time."""
    return samples[max(0, round(len(samples) * share) - 1)].database_mb if samples else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
