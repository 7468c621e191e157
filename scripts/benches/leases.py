"""Numbers lent by a bridge and three stores in a million random steps: never twice, never lost.

Steps are drawn by lot: lend, heartbeat, release, let time pass, erase, report and answer, lend a
block, renew, recall, hand back, write off, reinstate, retire; messages are lost, doubled and late,
stores unreachable, both sides crash around their commits, clocks go wrong and back, and a store's
file is lost for good. An observer who sees every side checks that no number is in two hands. At the
end the network heals, and every number must be in one place that knows of it.

    scripts/bench leases                       a million steps
    scripts/bench leases --steps 20000 --seed 7
"""

import argparse
import sys
import time
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from benches import _report
from benches._lease_speed import speed
from benches._lease_world import BLOCK_MS, MAX_OFFSET_MS, TERMS, Edge, Tally, World
from edge_sdk.numbers.lease import PLACE, SESSION
from edge_sdk.numbers.ledger_rows import LENT_OUT, OPEN, RETIRED, Done

HOLDERS = 120
MESSAGES = 60  # under way at most, each way; beyond that the oldest is lost
AT_MOST = 20  # numbers of a store
MEAN_STEP_MS = 60


def main(argv: list[str]) -> int:
    """Walk, print and publish; 1 if a rule was broken."""
    args = parsed(argv)
    began_s = time.monotonic()
    walk = Walk(World(args.seed))
    for done in range(0, args.steps, args.every):
        walk.steps(min(args.every, args.steps - done))
        tally = walk.world.tally
        per_s = tally.steps / (time.monotonic() - began_s)
        print(f"{tally.steps:>9,} steps, {per_s:,.0f}/s, {tally.doubles} double", file=sys.stderr)
    walk.settle()
    tally = walk.world.tally
    took_s = time.monotonic() - began_s
    costs = speed()
    rows = [
        *rows_of(tally, took_s),
        ("a lease", costs["lend_us"], f"us of processor time, with {costs['live']:,.0f} live"),
        ("  a heartbeat", costs["heartbeat_us"], "us"),
        ("all restored", costs["restore_ms"], "ms"),
    ]
    _report.publish("leases", rows, {**keys_of(tally, took_s), **costs}, args)
    for line in tally.bad:
        print(line, file=sys.stderr)
    return 1 if tally.doubles or tally.leaked or tally.differing else 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench leases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=50_000, help="a line after so many steps")
    _report.add_arguments(parser)
    return parser.parse_args(argv)


def keys_of(tally: Tally, took_s: float) -> dict[str, object]:
    """What --json writes."""
    counts = {name: getattr(tally, name) for name in Tally.__slots__ if name != "bad"}
    return {**counts, "steps_per_s": round(tally.steps / took_s), "took_s": round(took_s, 1)}


def rows_of(tally: Tally, took_s: float) -> list[tuple[str, object, str]]:
    """What is printed."""
    return [
        ("steps", tally.steps, f"{tally.steps / took_s:,.0f} a second"),
        ("  lent", tally.lent, f"and the fallback shown {tally.fallbacks:,} times"),
        ("  blocks lent", tally.blocks, f"{tally.written_off:,} written off"),
        ("  messages", tally.messages, f"{tally.messages_lost:,} lost"),
        ("  crashes", tally.crashes, f"and {tally.lost_files:,} files lost for good"),
        ("double leases", tally.doubles, "a number in two hands"),
        ("leaked numbers", tally.leaked, "in no place, or in two"),
        ("restored otherwise", tally.differing, "rows that are not what was written"),
    ]


class Walk:
    """Random steps through a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._random = world.random
        steps: list[tuple[float, Callable[[], None]]] = [
            (14, self._lend_bridge), (18, self._lend_edge), (9, self._beat_bridge),
            (11, self._beat_edge), (4, self._release_bridge), (5, self._release_edge),
            (4, self._tick), (5, self._report), (8, self._deliver_up), (8, self._deliver_down),
            (1, self._lose), (1, self._double), (0.4, self._crash), (0.5, self._part),
            (0.5, self._shift_clock), (0.15, self._lend_block), (0.3, self._renew),
            (0.15, self._recall), (0.5, self._hand_back), (0.1, self._write_off),
            (1.5, self._reinstate), (0.05, self._retire), (0.3, self._erase), (1, self._nonsense),
            (0.01, self._lose_file), (0.1, self._sleep), (1, self._learn),
        ]  # fmt: skip
        self._actions = [action for _, action in steps]
        self._weights = list(accumulate(weight for weight, _ in steps))
        self._ids: list[str] = []  # leases that were shown, lately

    def steps(self, count: int) -> None:
        """So many steps."""
        draw, world = self._random.random, self.world
        for _ in range(count):
            world.tally.steps += 1
            world.now_ms += int(draw() * 2 * MEAN_STEP_MS)
            self._actions[bisect(self._weights, draw() * self._weights[-1])]()

    # What holders do

    def _lend_bridge(self) -> None:
        bridge = self.world.bridge
        kind = PLACE if self._random.random() < 0.1 else SESSION
        done = bridge.pool.lend(self._holder(), bridge.clock_ms(), kind=kind)
        self._shown(done, bridge.kept(done))

    def _lend_edge(self) -> None:
        edge = self._edge()
        kind = PLACE if self._random.random() < 0.1 else SESSION
        done = edge.sub_pool.lend(self._holder(), edge.clock_ms(), kind=kind)
        self._shown(done, edge.kept(done))

    def _beat_bridge(self) -> None:
        bridge = self.world.bridge
        self._count(bridge.kept, bridge.pool.heartbeat(self._lease(), bridge.clock_ms()))

    def _beat_edge(self) -> None:
        edge = self._edge()
        self._count(edge.kept, edge.sub_pool.heartbeat(self._lease(), edge.clock_ms()))

    def _release_bridge(self) -> None:
        bridge = self.world.bridge
        done = bridge.pool.release(self._lease(), bridge.clock_ms())
        self.world.tally.refused += bool(done.refused)
        bridge.kept(done, by_word=not done.refused)

    def _release_edge(self) -> None:
        edge = self._edge()
        done = edge.sub_pool.release(self._lease(), edge.clock_ms())
        self.world.tally.refused += bool(done.refused)
        edge.kept(done, by_word=not done.refused)

    def _erase(self) -> None:
        holder, bridge, edge = self._holder(), self.world.bridge, self._edge()
        bridge.kept(bridge.pool.erase(holder, bridge.clock_ms()))
        edge.kept(edge.sub_pool.erase(holder, edge.clock_ms()))

    def _nonsense(self) -> None:
        bridge, draw = self.world.bridge, self._random.choice
        self._count(bridge.kept, bridge.pool.heartbeat(draw(["", "b-", "k9-9", "x"]), -1))
        self._count(bridge.kept, bridge.pool.lend(draw(["", "nobody", ":"]), bridge.clock_ms()))
        self._count(bridge.kept, bridge.pool.add(["+0", "123"], bridge.clock_ms()))
        self._count(bridge.kept, bridge.pool.renew_block(10**9, bridge.clock_ms()))

    # What becomes of messages and machines

    def _tick(self) -> None:
        bridge, edge = self.world.bridge, self._edge()
        bridge.kept(bridge.pool.tick(bridge.clock_ms()))
        edge.kept(edge.sub_pool.tick(edge.clock_ms()))

    def _report(self) -> None:
        self.world.report(self._edge(), self._random.choice([0, 10, 15, 20, 30]))

    def _deliver_up(self) -> None:
        if waiting := self._reachable(self.world.to_bridge):
            site, message = self._picked(self.world.to_bridge, waiting)
            self.world.reach_bridge(site, message, AT_MOST)

    def _deliver_down(self) -> None:
        if waiting := self._reachable(self.world.to_edges):
            self.world.reach_edge(*self._picked(self.world.to_edges, waiting))

    def _lose(self) -> None:
        for queue in (self.world.to_bridge, self.world.to_edges):
            while queue and (len(queue) > MESSAGES or self._random.random() < 0.3):
                queue.pop(self._random.randrange(len(queue)))
                self.world.tally.messages_lost += 1

    def _double(self) -> None:
        for queue in (self.world.to_bridge, self.world.to_edges):
            if queue:
                queue.append(self._random.choice(queue))

    def _learn(self) -> None:
        edge, bridge = self._edge(), self.world.bridge
        leases = list(edge.disk.leases.values())
        told = self._random.sample(leases, min(3, len(leases)))
        bridge.kept(bridge.pool.learn(edge.site, told, bridge.clock_ms()))

    def _crash(self) -> None:
        node = self._random.choice([self.world.bridge, *self.world.edges])
        before = self._image(node)
        node.crash()
        if before != self._image(node):
            self.world.tally.differing += 1

    def _part(self) -> None:
        edge = self._edge()
        edge.reachable = not edge.reachable or self._random.random() < 0.6

    def _shift_clock(self) -> None:
        node = self._random.choice([self.world.bridge, *self.world.edges])
        if self._random.random() < 0.9:
            offset_ms = node.offset_ms + self._random.randint(-2_000, 2_000)
        else:
            offset_ms = self._random.randint(-MAX_OFFSET_MS, MAX_OFFSET_MS)
        node.offset_ms = max(-MAX_OFFSET_MS, min(MAX_OFFSET_MS, offset_ms))

    def _sleep(self) -> None:
        self.world.now_ms += self._random.choice([3_000, 10_000, BLOCK_MS, 2 * BLOCK_MS])

    def _lose_file(self) -> None:
        world = self.world
        at = self._random.randrange(len(world.edges))
        world.edges[at] = Edge(world, world.edges[at].site, world.make_sub_pool)
        world.tally.lost_files += 1

    # What operators do

    def _lend_block(self) -> None:
        bridge, edge = self.world.bridge, self._edge()
        incarnation = edge.sub_pool.file.incarnation
        count = self._random.randint(1, 6)
        done = bridge.pool.lend_block(
            edge.site, incarnation, count, bridge.clock_ms(), lasts_ms=BLOCK_MS
        )
        self.world.tally.blocks += bridge.kept(done) and not done.refused

    def _renew(self) -> None:
        bridge = self.world.bridge
        done = bridge.pool.renew_block(self._block(), bridge.clock_ms(), lasts_ms=BLOCK_MS)
        self._count(bridge.kept, done)

    def _recall(self) -> None:
        bridge = self.world.bridge
        self._count(bridge.kept, bridge.pool.recall(self._block(), bridge.clock_ms()))

    def _write_off(self) -> None:
        """Mostly of a file that is lost, sometimes of one that only seems to be."""
        bridge = self.world.bridge
        living = {edge.sub_pool.file.incarnation for edge in self.world.edges}
        blocks = bridge.pool.blocks.values()
        lost = [row.id for row in blocks if row.state == OPEN and row.incarnation not in living]
        sure = lost and self._random.random() < 0.8
        block = self._random.choice(lost) if sure else self._block()
        done = bridge.pool.write_off(block, bridge.clock_ms())
        self.world.tally.written_off += bridge.kept(done) and not done.refused

    def _hand_back(self) -> None:
        edge, draw = self._edge(), self._random
        if draw.random() < 0.1:
            blocks = list(edge.sub_pool.blocks) or [0]
            done = edge.sub_pool.hand_back(edge.clock_ms(), block=draw.choice(blocks))
        else:
            numbers = [draw.choice(self.world.numbers) for _ in range(draw.randint(1, 2))]
            held = list(edge.sub_pool.numbers)
            done = edge.sub_pool.hand_back(
                edge.clock_ms(), numbers=[draw.choice(held)] if held else numbers
            )
        self._count(edge.kept, done)

    def _reinstate(self) -> None:
        bridge = self.world.bridge
        rows = bridge.disk.tables["numbers"].values()
        retired = [row.number for row in rows if row.state == RETIRED]
        number = self._random.choice(retired or self.world.numbers)
        done = bridge.pool.reinstate(number, bridge.clock_ms())
        self.world.tally.reinstated += bridge.kept(done) and not done.refused

    def _retire(self) -> None:
        bridge = self.world.bridge
        number = self._random.choice(self.world.numbers)
        bridge.kept(bridge.pool.retire(number, bridge.clock_ms()), by_word=True)

    # The end

    def settle(self) -> None:
        """Heal, let everything arrive, and see where each number is."""
        world = self.world
        world.crash_rate = 0.0
        bridge = world.bridge
        for node in (bridge, *world.edges):
            node.offset_ms = MAX_OFFSET_MS  # the furthest that any was
            node.crash()
        for edge in world.edges:
            edge.reachable = True
        self._exchange()
        living = {(edge.site, edge.sub_pool.file.incarnation) for edge in world.edges}
        for row in list(bridge.pool.blocks.values()):
            if row.state == OPEN and (row.site, row.incarnation) not in living:
                bridge.kept(bridge.pool.write_off(row.id, bridge.clock_ms()))
        self._account("healed")
        world.now_ms += BLOCK_MS + 10 * (TERMS.place_ms + TERMS.session_ms + TERMS.grace_ms)
        for edge in world.edges:
            for block in list(edge.sub_pool.blocks):
                edge.kept(edge.sub_pool.hand_back(edge.clock_ms(), block=block))
        self._exchange()
        self._account("handed back")
        world.now_ms += 10 * (TERMS.place_ms + TERMS.rest_ms)
        bridge.kept(bridge.pool.tick(bridge.clock_ms()))
        counts = bridge.pool.counts(bridge.clock_ms())
        idle = counts["free"] + counts["retired"]
        if idle != len(world.numbers):
            world.tally.leaked += len(world.numbers) - idle
            world.tally.bad.append(f"at the end: {counts}")

    def _exchange(self) -> None:
        world = self.world
        for _ in range(6):
            for edge in world.edges:
                world.report(edge, 0)
            while world.to_bridge:
                world.reach_bridge(*world.to_bridge.pop(0), 0)
            while world.to_edges:
                world.reach_edge(*world.to_edges.pop(0))

    def _account(self, when: str) -> None:
        """Each number is in one place, and what is lent out is where it was lent to."""
        world, pool = self.world, self.world.bridge.pool
        held: dict[str, list[int]] = {}
        for edge in world.edges:
            for number, block in edge.sub_pool.numbers.items():
                if world.bridge.pool.blocks[block].state == OPEN:
                    held.setdefault(number, []).append(block)
        known = {row.number: row for row in pool.rows().numbers}
        for number in world.numbers:
            row = known.get(number)
            lent = [row.block] if row is not None and row.state == LENT_OUT else []
            if row is None or held.get(number, []) != lent:
                world.tally.leaked += 1
                world.tally.bad.append(f"{when}: {number}: {row}, held in {held.get(number)}")

    # Draws

    def _holder(self) -> str:
        return f"cookie:{self._random.randrange(HOLDERS)}"

    def _edge(self) -> Edge:
        return self._random.choice(self.world.edges)

    def _lease(self) -> str:
        return self._random.choice(self._ids) if self._ids else "b-1"

    def _block(self) -> int:
        blocks = self.world.bridge.pool.blocks
        open_ = [row.id for row in blocks.values() if row.state == OPEN]
        return self._random.choice(open_ if open_ and self._random.random() < 0.9 else [*blocks, 1])

    def _reachable(self, queue: list[tuple[str, bytes]]) -> list[int]:
        open_ = {edge.site for edge in self.world.edges if edge.reachable}
        return [at for at, (site, _) in enumerate(queue) if site in open_]

    def _picked(self, queue: list[tuple[str, bytes]], waiting: list[int]) -> tuple[str, bytes]:
        return queue.pop(self._random.choice(waiting))

    def _shown(self, done: Done, kept: bool) -> None:
        if done.lease is not None and kept:
            self.world.tally.lent += 1
            self._ids.append(done.lease.id)
            if len(self._ids) > HOLDERS:
                del self._ids[: HOLDERS // 2]
        elif done.number:
            self.world.tally.fallbacks += 1

    def _count(self, kept: Callable[[Done], bool], done: Done) -> None:
        self.world.tally.refused += bool(done.refused)
        kept(done)

    @staticmethod
    def _image(node: object) -> object:
        pool = getattr(node, "pool", None) or getattr(node, "sub_pool", None)
        rows = pool.rows()  # type: ignore[union-attr]
        tables = (rows.leases, rows.numbers, rows.blocks, rows.stores, getattr(rows, "told", ()))
        return [set(table) for table in tables], rows.counters, getattr(rows, "file", None)
