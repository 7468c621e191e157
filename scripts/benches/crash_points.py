"""What a power cut costs: every write is recorded, and the disk rebuilt at each point and opened.

A workload runs on a recording disk (simulators/disk.py says what a power cut leaves there). At
each point of its journal the disk is rebuilt three times, with 0, 50 and 100 % of what was not yet
synced, and opened by the plain product, which must find all that was promised by then, whole
commits only, and must go on working under keys never used before.

    scripts/bench crash-points                          every point, some minutes
    scripts/bench crash-points --points 40              a sample
    scripts/bench crash-points --synchronous NORMAL     as the product would be without FULL
"""

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from benches import _report
from benches._crash_bridge import BridgeUnderCrash
from benches._crash_history import History, Subject, Verdict, judge
from benches._crash_numbers import NumbersUnderCrash
from benches._crash_outbox import OutboxUnderCrash
from edge_sdk.adapters.sqlite import Connection, OpenConnection
from edge_sdk.key_slots import OpenSlots
from simulators.disk import KEEP_PERCENT, DirectorySynced, Disk, Event, Synced, put

SUBJECTS: dict[str, type[Subject]] = {
    subject.name: subject for subject in (OutboxUnderCrash, BridgeUnderCrash, NumbersUnderCrash)
}
CHECKPOINT_PAGES = 100
SPACING = 8  # events between two points, however few syncs there are
MEMORY = Path("/dev/shm")  # noqa: S108  a disk in memory, where Linux has it: images are many


@dataclass(slots=True)
class Tally:
    """Images in which something was wrong, by what it was."""

    images: int = 0
    events: int = 0
    commits: int = 0
    lost: int = 0
    corrupt: int = 0
    key_reuse: int = 0
    wrong: int = 0
    bad: list[str] = field(default_factory=list)

    def count(self, verdict: Verdict, where: str) -> None:
        self.images += 1
        self.lost += bool(verdict.lost)
        self.corrupt += bool(verdict.corrupt)
        self.key_reuse += bool(verdict.key_reuse)
        self.wrong += bool(verdict.wrong)
        if verdict and len(self.bad) < 20:
            self.bad.append(f"{where}: {verdict}")


class Rewritten:
    """A connection to which one statement is put in other words."""

    def __init__(self, connection: Connection, said: str, meant: str) -> None:
        self._connection = connection
        self._words = {said: meant}

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[Any]:
        return self._connection.execute(self._words.get(sql, sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        return self._connection.executemany(sql, rows)

    def close(self) -> None:
        self._connection.close()


def main(argv: list[str]) -> int:
    """Run the campaign; 1 if anything was lost, corrupt, wrong or sealed under a used key."""
    args = parsed(argv)
    rows: list[tuple[str, object, str]] = []
    keys: dict[str, object] = {
        "synchronous": args.synchronous,
        "recorded_with_sqlite": apsw.sqlite_lib_version(),  # and recovered with version_sqlite
    }
    total = Tally()
    logging.getLogger("edge_sdk").addHandler(logging.NullHandler())  # it sheds, and is to
    started = time.monotonic()
    for name in args.subjects:
        tally = campaign(SUBJECTS[name](), args.seed, args.points, args.synchronous)
        rows += told(name, tally)
        for key in ("images", "lost", "corrupt", "key_reuse", "wrong", "commits"):
            keys[f"{name}_{key}"] = getattr(tally, key)
            setattr(total, key, getattr(total, key) + getattr(tally, key))
        for line in tally.bad:
            print(f"{name}: {line}")
    for key in ("images", "lost", "corrupt", "key_reuse", "wrong"):
        keys[key] = getattr(total, key)
    keys["elapsed_s"] = round(time.monotonic() - started, 1)
    rows.append(("elapsed", keys["elapsed_s"], f"s; synchronous {args.synchronous}"))
    _report.publish("crash-points", rows, keys, args)
    return 1 if total.lost or total.corrupt or total.key_reuse or total.wrong else 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--points", type=int, metavar="N", help="rebuild the disk at N points; default: at all"
    )
    parser.add_argument(
        "--synchronous",
        choices=("FULL", "NORMAL", "OFF"),
        default="FULL",
        help="what SQLite is told in place of FULL, to see the bench find losses",
    )
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; default: all"
    )
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if unknown := set(args.subjects) - SUBJECTS.keys():
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    if args.points is not None and args.points < 1:
        parser.error("--points is 1 at least")
    args.subjects = args.subjects or list(SUBJECTS)
    return args


def campaign(
    subject: Subject,
    seed: int,
    points: int | None = None,
    synchronous: str = "FULL",
    slots: Callable[[Disk], OpenSlots] | None = None,
) -> Tally:
    """Run the subject's workload once, then crash it at `points` points of its journal."""
    with scratch() as home:
        subject.enrol(home)
        with Disk(home) as disk:
            history = History(disk)
            opener = rewriting(checkpointing(disk), synchronous)
            subject.run(history, opener, slots(disk) if slots else disk.open_slots, seed)
    tally = Tally(events=len(disk.journal), commits=len(history.promises) - 1)
    replay = disk.replay()
    for point in chosen(disk.journal, points, seed):
        replay.advance(point)
        for keep in KEEP_PERCENT:
            lot = random.Random(f"{seed}/{point}/{keep}")
            with scratch() as home:
                put(replay.after_a_cut(keep, lot), home)
                tally.count(judge(subject, history, point, home), f"point {point}, {keep} % kept")
    return tally


def checkpointing(disk: Disk) -> OpenConnection:
    """SQLite's own choice is every 1,000 pages; more often, so that many crashes fall into one."""

    def open_database(path: Path) -> Connection:
        connection = disk.open_database(path)
        connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        return connection

    return open_database


def rewriting(opener: OpenConnection, synchronous: str) -> OpenConnection:
    """`opener`, or one whose connections sync less often than the product asks for."""
    if synchronous == "FULL":
        return opener
    asked, given = "PRAGMA synchronous = FULL", f"PRAGMA synchronous = {synchronous}"
    return lambda path: Rewritten(opener(path), asked, given)


def chosen(journal: Sequence[Event], points: int | None, seed: int) -> list[int]:
    """Points at which to crash: around each sync, some in between, or so many of all of these."""
    syncs = [at for at, event in enumerate(journal) if isinstance(event, Synced | DirectorySynced)]
    lot = random.Random(f"points {seed}")
    every = {len(journal), *range(0, len(journal), SPACING)}
    for before, at in zip([-1, *syncs], syncs, strict=False):
        every |= {at, at + 1, lot.randint(before + 1, at)}
    candidates = sorted(every)
    if points is None or points >= len(candidates):
        return candidates
    return sorted(lot.sample(candidates, points))


def told(name: str, tally: Tally) -> list[tuple[str, object, str]]:
    """One subject's rows of the table."""
    return [
        (f"{name}: images", tally.images, f"{tally.commits} commits, {tally.events} disk events"),
        (f"{name}: lost", tally.lost, "images without something that was promised"),
        (f"{name}: corrupt", tally.corrupt, "images that the product could not open as they were"),
        (f"{name}: key reuse", tally.key_reuse, "images after which a used epoch is opened again"),
        (f"{name}: wrong", tally.wrong, "images with half a commit, or at odds with themselves"),
    ]


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for the moment, in memory where that is possible."""
    within = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="crash-points-", dir=within) as name:
        yield Path(name)
