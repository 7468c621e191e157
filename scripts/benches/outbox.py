"""How fast an edge makes touchpoints durable: through capture(), in lists, and one alone.

Concurrent tasks await `capture`, one touchpoint after the other, and share commits; `capture_many`
takes lists. The floor is measured in the same rounds: SQLite alone (WAL, synchronous FULL), the
same number of bytes in the same number of commits, with nothing encoded, sealed or awaited. It is
the disk in the repository's build folder that is measured, and no broker is needed.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benches import _report
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.clock import SteadyClock
from edge_sdk.key_slots import KeySlots, enrol
from edge_sdk.outbox import Outbox
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.rows import Row
from edge_sdk.version import AGENT
from edge_sdk.wire.enrolment import SECRET_BYTES, Enrolment, to_token
from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators.mix import bulk

BUILD = _report.ROOT / "build"
LISTED = 500  # touchpoints a capture_many


class Round(NamedTuple):
    """One way of capturing, once, and SQLite alone with as much."""

    wall_s: float
    cpu_s: float
    floor_s: float
    commits: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was committed: the sizes of each commit's messages."""

    commits: list[list[int]]

    def note(self, rows: list[Row]) -> None:
        if rows:
            self.commits.append([len(row.message) for row in rows])


def main(argv: list[str]) -> int:
    """Measure, and print rates as medians of the rounds."""
    args = parsed(argv)
    touchpoints = list(bulk(args.events, args.seed))
    single: list[Round] = []
    many: list[Round] = []
    alone_s: list[float] = []
    for _ in range(args.rounds):  # in turns, because the machine is never equally quiet
        single.append(asyncio.run(measured(touchpoints, lambda o, t: by_tasks(o, t, args.tasks))))
        many.append(asyncio.run(measured(touchpoints, in_lists)))
        alone_s += asyncio.run(alone(args.alone))
    rows, keys = told(len(touchpoints), args.tasks, single, many)
    keys |= {"prompting_alone_p50_ms": quantile_ms(alone_s, 50)}
    keys |= {"prompting_alone_p99_ms": quantile_ms(alone_s, 99), "file_system": file_system(BUILD)}
    rows += [
        ("one prompting alone, p50", keys["prompting_alone_p50_ms"], "ms, from capture to durable"),
        ("one prompting alone, p99", keys["prompting_alone_p99_ms"], "ms"),
        ("file system", keys["file_system"], "below the repository's build folder"),
    ]
    shape = {"events": len(touchpoints), "tasks": args.tasks, "rounds": args.rounds}
    _report.publish("outbox", rows, {**shape, **keys}, args)
    return 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, words in (
        ("events", 40_000, "touchpoints a round"),
        ("tasks", 4_000, "tasks that await capture() at the same time"),
        ("rounds", 3, "rounds, of which the median counts"),
        ("alone", 100, "prompting touchpoints captured alone, a round"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=words)
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if min(args.events, args.tasks, args.rounds, args.alone) < 1:
        parser.error("all of these numbers are 1 at least")
    return args


# The product


@asynccontextmanager
async def opened(seen: Seen) -> AsyncIterator[Outbox]:
    """An outbox on a real disk, of a device enrolled for the purpose."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-outbox-", dir=BUILD) as name:
        home = Path(name)
        enrol(
            to_token(Enrolment("acme", "paris-1", 42, 0, os.urandom(SECRET_BYTES))), home, AesCcm()
        )
        slots = KeySlots(home, AesCcm())
        store = OutboxStore(home, AesCcm(), slots, agent=AGENT, max_bytes=1 << 30)
        async with Outbox(store, SteadyClock()) as outbox:
            outbox.on_committed = seen.note
            yield outbox


async def measured(
    touchpoints: Sequence[Touchpoint],
    capture: Callable[[Outbox, Sequence[Touchpoint]], Awaitable[None]],
) -> Round:
    """Capture all, then let SQLite alone write as much."""
    seen = Seen([])
    async with opened(seen) as outbox:
        wall, cpu = time.perf_counter(), time.process_time()
        await capture(outbox, touchpoints)
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    sizes = sum(map(sum, seen.commits))
    return Round(wall_s, cpu_s, floor_s(seen.commits), len(seen.commits), sizes)


async def by_tasks(outbox: Outbox, touchpoints: Sequence[Touchpoint], tasks: int) -> None:
    """Each of so many tasks captures its share, one after the other."""

    async def one(number: int) -> None:
        for touchpoint in touchpoints[number::tasks]:
            await outbox.capture(touchpoint)

    await asyncio.gather(*map(one, range(min(tasks, len(touchpoints)))))


async def in_lists(outbox: Outbox, touchpoints: Sequence[Touchpoint]) -> None:
    """A few lists at a time, as a gateway would hand them over."""
    lists = [touchpoints[at : at + LISTED] for at in range(0, len(touchpoints), LISTED)]

    async def every(nth: int) -> None:
        for listed in lists[nth::8]:
            await outbox.capture_many(listed)

    await asyncio.gather(*map(every, range(8)))


async def alone(times: int) -> list[float]:
    """How long each of so many takes where nothing else is going on."""
    taken = []
    async with opened(Seen([])) as outbox:
        for number in range(times):
            scan = make("scan", scanner="scanner-0", symbology="ean13", code=str(number))
            started = time.perf_counter()
            await outbox.capture(scan)
            taken.append(time.perf_counter() - started)
    return taken


# The floor


def floor_s(commits: Sequence[Sequence[int]]) -> float:
    """SQLite alone: blobs of these sizes in these commits."""
    blobs = [[os.urandom(size) for size in sizes] for sizes in commits]
    with tempfile.TemporaryDirectory(prefix="bench-floor-", dir=BUILD) as name:
        database = sqlite3.connect(Path(name) / "floor.sqlite", isolation_level=None)
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        database.execute("CREATE TABLE blobs (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        started = time.perf_counter()
        for batch in blobs:
            database.execute("BEGIN IMMEDIATE")
            for blob in batch:
                database.execute("INSERT INTO blobs (body) VALUES (?)", (blob,))
            database.execute("COMMIT")
        taken = time.perf_counter() - started
        database.close()
    return taken


# What is told


def told(
    events: int, tasks: int, single: Sequence[Round], many: Sequence[Round]
) -> tuple[list[tuple[str, object, str]], dict[str, object]]:
    """Rows and keys of the rates."""
    rows: list[tuple[str, object, str]] = []
    keys: dict[str, object] = {}
    for prefix, label, rounds in (
        ("", f"capture, {tasks:,} tasks", single),
        ("capture_many_", f"capture_many, lists of {LISTED}", many),
    ):
        per_second = statistics.median(events / once.wall_s for once in rounds)
        floor = statistics.median(events / once.floor_s for once in rounds)
        ratio = statistics.median(once.wall_s / once.floor_s for once in rounds)
        cpu_us = statistics.median(once.cpu_s * 1e6 / events for once in rounds)
        commits = statistics.median(once.commits for once in rounds)
        size = statistics.median(once.bytes / events for once in rounds)
        keys[f"{prefix}per_second"] = round(per_second)
        keys[f"{prefix}floor_per_second"] = round(floor)
        keys[f"{prefix}times_floor"] = round(ratio, 2)
        keys[f"{prefix}cpu_us_per_event"] = round(cpu_us, 3)
        keys[f"{prefix}commits"] = int(commits)
        rows += [
            (label, per_second, "durable touchpoints a second"),
            ("  SQLite alone", floor, "as many bytes in as many commits"),
            ("  times SQLite alone", ratio, "median of the ratios of each round"),
            ("  processor time", cpu_us, "us a touchpoint, all threads"),
            (
                "  commits",
                int(commits),
                f"{events / commits:.0f} touchpoints each; {size:.1f} bytes",
            ),
        ]
    return rows, keys


def quantile_ms(seconds: Sequence[float], percent: int) -> float:
    """In ms; the nearest one."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000, 3)


def file_system(path: Path) -> str:
    """Its kind, where Linux tells it."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    found = [line.split()[1:3] for line in mounts]
    within = [(len(at), kind) for at, kind in found if path.resolve().is_relative_to(at)]
    return max(within, default=(0, "unknown"))[1]
