"""Durable, joined touchpoints a second on one core, through a real broker, among known people.

The bridge has one core of its own; broker, devices and this bench share the others. Many gateways
send the mix of tests/data/mix.json, each batch sealed beforehand and sent once, and its visitors
are drawn from people whom the bridge came to know by the same road: a few first, then many. A
touchpoint counts when the bridge's own acknowledgement, which follows its commit, has been opened.

    floor        the same batches on the same core: opened with their keys, inflated and decoded by
                 the libraries, and nothing else
    restart      after as many touchpoints again the bridge is killed (kill -9) and started: until
                 it says that it is ready
    memory       what each person more costs: many against few, after the same turns

With --profile the bridge of the many people runs under pyinstrument, each of its threads by its
own processor time, from the first measured turn to the last: FILE is a page, FILE.txt a tree. The
figures of such a run are slower.
"""

import argparse
import asyncio
import gc
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benches import _ingest_floor
from benches._fleet import GATEWAYS, SITES, Fleet, enrolled
from benches._line import Sealed
from benches._people import Crowd, introduced
from benches._report import add_arguments, publish
from benches._sender import Sender
from benches._stage import (
    BenchFailedError,
    Stage,
    cpu_s,
    divided,
    figure,
    guarded,
    pinned,
    rss_mb,
    scratch,
)
from benches._traffic import Load, Shape, Traffic, batches_of, touchpoints_of

PATIENCE_S = 120.0  # without a single acknowledgement
PEOPLE_AT_ONCE = 84 * 2 * 500  # sealed ahead; more would only take memory here
PROFILE_WRITTEN_S = 300.0
COUNTED = "touchpoints.from_devices"

PLAIN, HALF, OTHERS = Shape(), Shape(size=50), Shape(other_people=True)


@dataclass(slots=True)
class Turn:
    """One load from its first publish to its last acknowledgement."""

    touchpoints: int
    batches: int
    wall_s: float
    bridge_cpu_s: float
    own_cpu_s: float
    floor: float

    @property
    def per_second(self) -> float:
        return self.touchpoints / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.bridge_cpu_s * 1e6 / self.touchpoints


@dataclass(slots=True)
class Measured:
    """What one bridge showed."""

    people: int
    introduced_per_second: float = 0.0
    turns: dict[Shape, list[Turn]] = field(default_factory=dict)
    rss_mb: float = 0.0
    prompts: int = 0
    tail: int = 0
    restart_s: float = 0.0
    first_ack_s: float = 0.0

    def median(self, shape: Shape, figure_of: Callable[[Turn], float]) -> float:
        return statistics.median(figure_of(turn) for turn in self.turns[shape])


def main(argv: Sequence[str]) -> int:
    """Measure; 0 when everything that was sent is held, once."""
    args = parsed(argv)
    return guarded("ingest", lambda: _measured(args))


def _measured(args: argparse.Namespace) -> int:
    bridge_cores, other_cores = divided()
    found = []
    with scratch("ingest") as folder, pinned(other_cores):
        for people in (args.few, args.people):
            is_last = people == args.people
            program: tuple[str, ...] = ("-m", "cloud_bridge.cli")
            if is_last and args.profile:
                program = ("-m", "benches._profiled_bridge", str(args.profile.resolve()))
            stage = Stage(
                folder / str(people),
                program=program,
                bridge_cores=bridge_cores,
                other_cores=other_cores,
            )
            with stage:
                fleet = enrolled(stage.bridge, args.gateways)
                stage.start()
                found.append(asyncio.run(Run(stage, fleet, args).of(people, is_last)))
    _tell(found[0], found[1], bridge_cores == other_cores, args)
    return 0


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default, words in (
        ("--people", 1_000_000, "many known people"),
        ("--few", 10_000, "few known people"),
        ("--touchpoints", 400_000, "in a turn"),
        ("--turns", 5, "for each figure, of which the median counts"),
        ("--tail", 1_000_000, "touchpoints before the kill"),
        ("--gateways", GATEWAYS, f"that send, of {SITES} sites"),
    ):
        told = f"{words} (default {default:,})"
        parser.add_argument(name, type=int, default=default, metavar="N", help=told)
    parser.add_argument("--profile", type=Path, metavar="FILE", help="where the bridge spends it")
    add_arguments(parser)
    args = parser.parse_args(argv)
    if not Path("/proc/self/statm").exists():
        parser.error("this bench reads /proc and pins processes to cores: it needs Linux")
    if not 0 < args.few < args.people:
        parser.error("--few is at least 1, and less than --people")
    if min(args.touchpoints, args.turns, args.tail, args.gateways) < 1:
        parser.error("--touchpoints, --turns, --tail and --gateways are 1 at least")
    if args.profile is not None:
        args.profile.parent.mkdir(parents=True, exist_ok=True)
    return args


class Run:
    """One bridge from its first person to its restart."""

    def __init__(self, stage: Stage, fleet: Fleet, args: argparse.Namespace) -> None:
        self._stage = stage
        self._fleet = fleet
        self._args = args

    async def of(self, people: int, is_last: bool) -> Measured:
        """All that is measured with so many known people; the last one has the longer story."""
        args, fleet = self._args, self._fleet
        found = Measured(people)
        async with AsyncExitStack() as stack:
            sender = self._sender = await stack.enter_async_context(
                Sender(self._stage.broker, fleet.lines)
            )
            await stack.enter_async_context(fleet.answering(sender))
            self._say(f"{people:,} people")
            await sender.introduce(fleet.lines, PATIENCE_S)
            found.introduced_per_second = await self._introduce_people(people)
            traffic = Traffic(fleet.gateways, Crowd(people, args.seed), args.seed)
            if is_last and args.profile:
                os.kill(self._stage.bridge.pid, signal.SIGUSR1)  # forget what was until now
            await self._turns(found, traffic, PLAIN, args.turns)
            found.rss_mb = rss_mb(self._stage.bridge.pid)
            if is_last:
                await self._turns(found, traffic, HALF, max(1, args.turns // 2))
                await self._turns(found, traffic, OTHERS, max(1, args.turns // 2))
                if args.profile:
                    await asyncio.to_thread(self._write_profile)
                await self._restart(found, traffic)
            found.prompts = fleet.shown
        return found

    async def _introduce_people(self, people: int) -> float:
        """By bulk batches of all gateways; how many touchpoints a second that was."""
        lines = self._fleet.gateways
        held, wall_s, busy_s = 0, 0.0, 0.0
        for first in range(0, people, PEOPLE_AT_ONCE):
            at_ms = time.time_ns() // 1_000_000
            load: list[list[Sealed]] = [[] for _ in lines]
            batches = introduced(first, min(people, first + PEOPLE_AT_ONCE), at_ms)
            for number, batch in enumerate(batches):
                # A log-in and its page view take the same way, or the second may come first.
                at = number // 3 % len(lines)
                load[at] += lines[at].seal(batch)
            turn = await self._sent(list(zip(lines, load, strict=True)))
            held, wall_s = held + turn.touchpoints, wall_s + turn.wall_s
            busy_s += turn.bridge_cpu_s
        self._say(
            f"  known, at {held / wall_s:,.0f} touchpoints/s,"
            f" {busy_s * 1e6 / held:.2f} us of the bridge's core each;"
            f" {self._sender.sent_again:,} batches were sent again"
        )
        return held / wall_s

    async def _turns(self, found: Measured, traffic: Traffic, shape: Shape, turns: int) -> None:
        measured = found.turns[shape] = []
        for _ in range(turns):
            turn = await self._turn(traffic, self._args.touchpoints, shape)
            measured.append(turn)
            self._say(
                f"  batches of {shape.size}{', other people each' * shape.other_people}:"
                f" {turn.per_second:,.0f} touchpoints/s,"
                f" {turn.cpu_us:.2f} us of the bridge's core each"
            )

    async def _turn(self, traffic: Traffic, count: int, shape: Shape) -> Turn:
        """Seal, send, wait; each turn in epochs of its own, as if the devices had restarted."""
        await self._sender.drained(self._fleet.lines, PATIENCE_S)
        await self._sender.introduce(self._fleet.gateways, PATIENCE_S)
        load = traffic.turn(count, shape)
        gc.collect()
        gc.disable()  # here, so that the senders have no pauses
        try:
            with pinned(self._stage.bridge_cores):  # while the bridge is idle
                floor = _ingest_floor.per_second(load)
            turn = await self._sent(load)
        finally:
            gc.enable()
        turn.floor = floor
        return turn

    async def _sent(self, load: Load) -> Turn:
        """One load from its first publish to its last acknowledgement, and its books checked."""
        sender, pid = self._sender, self._stage.bridge.pid
        await sender.drained(self._fleet.lines, PATIENCE_S)
        counted = await self._counted()
        held = sender.touchpoints_held
        cpu, own_cpu, began_s = cpu_s(pid), time.process_time(), time.monotonic()
        for line, listed in load:
            sender.push(line, listed)
        try:
            await sender.drained(self._fleet.gateways, PATIENCE_S)
        except BenchFailedError as error:
            raise BenchFailedError(f"{error}; {self._fate()}") from None
        wall_s = time.monotonic() - began_s
        cpu, own_cpu = cpu_s(pid) - cpu, time.process_time() - own_cpu
        await sender.drained(self._fleet.lines, PATIENCE_S)
        held = sender.touchpoints_held - held
        now = await self._counted()
        if counted is not None and now is not None and now - counted != held:
            raise BenchFailedError(f"{held:,} touchpoints held, the bridge: {now - counted:,.0f}")
        return Turn(touchpoints_of(load), batches_of(load), wall_s, cpu, own_cpu, 0.0)

    async def _restart(self, found: Measured, traffic: Traffic) -> None:
        """Many more touchpoints, kill -9 at once, and start again; then nothing may be missing."""
        self._say(f"  {self._args.tail:,} more, then kill -9")
        turn = await self._turn(traffic, self._args.tail, PLAIN)
        found.tail = turn.touchpoints
        before = await asyncio.to_thread(self._stage.bridge.health)
        self._stage.bridge.kill()
        found.restart_s = await asyncio.to_thread(self._stage.start)
        ready_s = time.monotonic()
        await self._sender.introduce(self._fleet.gateways[:1], PATIENCE_S)
        found.first_ack_s = found.restart_s + time.monotonic() - ready_s
        after = await asyncio.to_thread(self._stage.bridge.health)
        for name in ("known", "shown"):  # people, and outcomes
            lost = (figure(before, name) or 0) - (figure(after, name) or 0)
            if lost > 0:
                raise BenchFailedError(f"{lost:,.0f} of {name!r} are missing after the restart")
        self._say(f"  ready again after {found.restart_s:.1f} s")

    def _write_profile(self) -> None:
        """End the profiled bridge, which then writes; go on with a plain one."""
        self._say("  writing the profile")
        os.kill(self._stage.bridge.pid, signal.SIGTERM)
        deadline = time.monotonic() + PROFILE_WRITTEN_S
        while self._stage.bridge.running and time.monotonic() < deadline:
            time.sleep(0.1)
        code = self._stage.bridge.stop()
        if code != 0:
            raise BenchFailedError(f"no profile was written: the bridge ended with {code}")
        self._stage.bridge = self._stage.new_bridge()
        self._stage.start()

    async def _counted(self) -> float | None:
        return figure(await asyncio.to_thread(self._stage.bridge.health), COUNTED)

    def _fate(self) -> str:
        lives = self._stage.bridge.running
        return f"the bridge {'lives' if lives else 'died'}: {self._stage.bridge.log}"

    def _say(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)


def _tell(few: Measured, many: Measured, shared: bool, args: argparse.Namespace) -> None:
    per_second: Callable[[Turn], float] = lambda turn: turn.per_second  # noqa: E731
    cpu_us: Callable[[Turn], float] = lambda turn: turn.cpu_us  # noqa: E731
    turns = [turn for found in (few, many) for turn in found.turns[PLAIN]]
    floor = statistics.median(turn.floor for turn in turns)
    bytes_per_person = (many.rss_mb - few.rss_mb) * 1e6 / (many.people - few.people)
    own_share = statistics.median(turn.own_cpu_s / turn.wall_s for turn in turns)
    bridge_share = statistics.median(turn.bridge_cpu_s / turn.wall_s for turn in turns)
    rates = {
        "per_second_10k_people": few.median(PLAIN, per_second),
        "per_second_1m_people": many.median(PLAIN, per_second),
        "per_second_1m_people_batches_of_50": many.median(HALF, per_second),
        "per_second_1m_people_other_people": many.median(OTHERS, per_second),
        "floor_per_second": floor,
        "introduced_per_second": many.introduced_per_second,
    }
    costs = {
        "cpu_us_10k_people": few.median(PLAIN, cpu_us),
        "cpu_us_1m_people": many.median(PLAIN, cpu_us),
        "cpu_us_1m_people_batches_of_50": many.median(HALF, cpu_us),
        "cpu_us_1m_people_other_people": many.median(OTHERS, cpu_us),
    }
    keys: dict[str, object] = {
        **{name: round(rate) for name, rate in rates.items()},
        **{name: round(cost, 3) for name, cost in costs.items()},
        "bytes_per_person": round(bytes_per_person, 1),
        "rss_mb_10k_people": round(few.rss_mb, 1),
        "rss_mb_1m_people": round(many.rss_mb, 1),
        "restart_s": round(many.restart_s, 2),
        "restart_first_ack_s": round(many.first_ack_s, 2),
        "restart_tail": many.tail,
        "people_few": few.people,
        "people_many": many.people,
        "touchpoints_a_turn": turns[0].touchpoints,
        "turns": args.turns,
        "gateways": args.gateways,
        "prompts": few.prompts + many.prompts,
        "bridge_core_share": round(bridge_share, 3),
        "sender_core_share": round(own_share, 3),
        "one_core_for_all": shared,
        "profiled": args.profile is not None,
    }
    publish("ingest", _rows(few, many, keys), keys, args)


def _rows(few: Measured, many: Measured, keys: dict[str, object]) -> list[tuple[str, object, str]]:
    share = few.median(PLAIN, lambda turn: turn.per_second / turn.floor)
    batch = many.median(PLAIN, lambda turn: turn.touchpoints / turn.batches)
    rows: list[tuple[str, object, str]] = [("per second, one core", "", "durable and joined")]
    for found, name, note in (
        (few, "10k_people", f"{share:.2f} of the floor"),
        (many, "1m_people", f"batches of {batch:.0f}, median of {keys['turns']} turns"),
        (many, "1m_people_batches_of_50", ""),
        (many, "1m_people_other_people", "worst case: every batch has other people"),
    ):
        label = name.partition("people")[2].replace("_", " ")
        cost = f"{keys[f'cpu_us_{name}']} us of the bridge's core each"
        rows.append(
            (
                f"  {found.people:,} people{',' * bool(label)}{label}",
                keys[f"per_second_{name}"],
                f"{cost}; {note}".rstrip("; "),
            )
        )
    return [
        *rows,
        ("  making them known", keys["introduced_per_second"], "log-ins, consents, page views"),
        ("  floor", keys["floor_per_second"], "open, inflate, decode; the same batches"),
        ("bytes a person", keys["bytes_per_person"], _memory_note(few, many)),
        ("restart, s", keys["restart_s"], f"killed after {many.tail:,} touchpoints more"),
        ("  first acknowledgement, s", keys["restart_first_ack_s"], "from the same moment"),
        ("prompts shown", keys["prompts"], ""),
        (
            "bridge's share of its core",
            keys["bridge_core_share"],
            "less: it waited, or another ran",
        ),
        ("senders' share of a core", keys["sender_core_share"], "near 1 it would be the limit"),
    ]


def _memory_note(few: Measured, many: Measured) -> str:
    return f"{few.rss_mb:.0f} MB with {few.people:,}, {many.rss_mb:.0f} MB with {many.people:,}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
