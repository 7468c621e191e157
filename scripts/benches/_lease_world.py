"""A bridge and three stores that lend numbers, with disks, clocks and a network that all misbehave.

What is played is the product's own `Pool` and `SubPool`, their rows and their messages as bytes,
signed and verified. Only the disk is a dictionary: what was not committed is gone after a crash.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_sdk.adapters.ed25519 import SigningKey, VerifyingKey
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import Reply, Report
from edge_sdk.numbers.lease import Lease
from edge_sdk.numbers.ledger_rows import (
    CLOCK_BACK,
    Counters,
    Done,
    Rows,
)
from edge_sdk.numbers.pool import Pool
from edge_sdk.numbers.sub_pool import SubPool, SubRows
from edge_sdk.numbers.terms import Terms

# Minutes become seconds, so that a million steps see many of everything.
TERMS = Terms(
    minimum_ms=6_000,
    keep_alive_ms=4_000,
    place_ms=15_000,
    grace_ms=2_000,
    cool_ms=2_000,
    rest_ms=300_000,
    remember_ms=120_000,
    remembered=8,
)
BLOCK_MS = 60_000
# A write-off is safe while clocks differ by less than a number rests.
MAX_OFFSET_MS = 100_000
TENANT, POOL = "acme", "web"


class Disk:
    """Committed rows by their keys."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.tables: dict[str, dict[Any, Any]] = {"numbers": {}, "blocks": {}, "stores": {}}
        self.granted: dict[int, Any] = {}
        self.told: set[str] = set()
        self.counters = Counters()
        self.file: Any = None

    def commit(self, rows: Rows) -> None:
        """As a transaction would."""
        for id_ in rows.forgotten:
            self.leases.pop(id_, None)
            self.told.discard(id_)
        self._table("numbers", rows.gone, [(row.number, row) for row in rows.numbers])
        self._table("blocks", rows.blocks_gone, [(row.id, row) for row in rows.blocks])
        stores = [((row.site, row.incarnation), row) for row in rows.stores]
        self._table("stores", rows.stores_gone, stores)
        self.counters = rows.counters or self.counters
        if isinstance(rows, SubRows):
            for block in rows.lots_gone:
                self.granted.pop(block, None)
            self.granted.update((block.id, block) for block in rows.granted)
            self.told.update(rows.told)
            self.file = rows.file or self.file
        for lease in rows.leases:
            self.leases[lease.id] = lease
            self.told.discard(lease.id)

    def rows(self) -> Rows:
        """What a bridge reads when it starts."""
        return Rows(
            leases=tuple(self.leases.values()),
            numbers=tuple(self.tables["numbers"].values()),
            blocks=tuple(self.tables["blocks"].values()),
            stores=tuple(self.tables["stores"].values()),
            counters=self.counters,
        )

    def sub_rows(self) -> SubRows:
        """What a store reads when it starts."""
        return SubRows(
            leases=tuple(self.leases.values()),
            numbers=tuple(self.tables["numbers"].values()),
            counters=self.counters,
            file=self.file,
            granted=tuple(self.granted.values()),
            told=tuple(self.told),
        )

    def _table(self, name: str, gone: Any, rows: Any) -> None:
        table = self.tables[name]
        for key in gone:
            table.pop(key, None)
        table.update(rows)


class Node:
    """A side with its disk and its own idea of the time."""

    def __init__(self, world: "World", own: str) -> None:
        self.world = world
        self.disk = Disk()
        self.offset_ms = 0
        self.latest_ms = 0
        self.own = own  # what the ids of its leases begin with

    def clock_ms(self) -> int:
        return self.world.now_ms + self.offset_ms

    def kept(self, done: Done, *, by_word: bool = False) -> bool:
        """Commit and tell the observer, or crash around it; whether the answer is given.

        `by_word`: a holder or an operator ended a lease, not the time.
        """
        chance = self.world.random.random()
        if done.refused != CLOCK_BACK:
            self.latest_ms = max(self.latest_ms, self.clock_ms())
        if chance < self.world.crash_rate:
            if self.world.shows_before_commit:
                self.world.observer.saw(self, done.changes, by_word)
            self.crash()
            return False
        self.disk.commit(done.changes)
        self.world.observer.saw(self, done.changes, by_word)
        if chance > 1 - self.world.crash_rate:
            self.crash()
            return False
        return True

    def crash(self) -> None:
        """Lose what was not committed, and start again."""
        raise NotImplementedError


class Bridge(Node):
    """The bridge: one pool."""

    def __init__(self, world: "World", make: Callable[..., Pool], numbers: list[str]) -> None:
        super().__init__(world, "b-")
        self._make = make
        self.crash()
        self.kept(self.pool.add(numbers, self.clock_ms()))
        if not self.pool.rows().numbers:  # it crashed at once
            self.disk.commit(self.pool.add(numbers, self.clock_ms()).changes)

    def crash(self) -> None:
        self.world.tally.crashes += 1
        pool = self._make(
            POOL, Allocation((), split=True), tenant=TENANT, terms=TERMS, fallback="+33100"
        )
        self.pool = pool
        pool.restore(self.disk.rows())


class Edge(Node):
    """A store: one sub-pool, and whether it reaches the bridge."""

    def __init__(self, world: "World", site: str, make: Callable[..., SubPool]) -> None:
        super().__init__(world, "k")
        self.site = site
        self.reachable = True
        self._make = make
        incarnation = f"{world.random.getrandbits(64):016x}"
        names = {"tenant": TENANT, "site": site, "pool": POOL}
        self.sub_pool = make(Allocation((), split=True), incarnation=incarnation, **names)
        self.disk.commit(self.sub_pool.rows())

    def crash(self) -> None:
        self.world.tally.crashes += 1
        names = {"tenant": TENANT, "site": self.site, "pool": POOL, "incarnation": ""}
        self.sub_pool = self._make(Allocation((), split=True), **names)
        self.sub_pool.restore(self.disk.sub_rows())


@dataclass(slots=True)
class Tally:
    """What happened, and what must not have."""

    steps: int = 0
    lent: int = 0
    fallbacks: int = 0
    refused: int = 0
    crashes: int = 0
    blocks: int = 0
    written_off: int = 0
    reinstated: int = 0
    lost_files: int = 0
    messages: int = 0
    messages_lost: int = 0
    doubles: int = 0
    leaked: int = 0
    differing: int = 0  # restorations that were not what had been
    bad: list[str] = field(default_factory=list)


class Observer:
    """Sees every commit of every side, and every clock."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._hands: dict[str, dict[str, tuple[Node, Lease]]] = {}

    def saw(self, node: Node, rows: Rows, by_word: bool) -> None:
        """A lease lives until it is ended before its time, or its grace is over at its lender."""
        for lease in rows.leases:
            if not lease.id.startswith(node.own):
                continue  # learned of another
            hands = self._hands.setdefault(lease.number, {})
            if lease.ended_ms is not None:
                if by_word or lease.ended_ms != lease.until_ms:
                    hands.pop(lease.id, None)
                continue
            for id_, (lender, other) in list(hands.items()):
                if id_ == lease.id:
                    continue
                if max(lender.latest_ms, lender.clock_ms()) >= other.until_ms + TERMS.grace_ms:
                    del hands[id_]
                    continue
                self._tally.doubles += 1
                if len(self._tally.bad) < 10:
                    step = self._tally.steps
                    self._tally.bad.append(f"step {step}: {lease.number}: {id_} and {lease.id}")
            hands[lease.id] = (node, lease)


class World:
    """Everything, and the true time."""

    def __init__(
        self,
        seed: int,
        *,
        numbers: int = 120,
        stores: int = 3,
        make_pool: Callable[..., Pool] = Pool,
        make_sub_pool: Callable[..., SubPool] = SubPool,
        shows_before_commit: bool = False,
        crash_rate: float = 0.002,
    ) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_800_000_000_000
        self.tally = Tally()
        self.observer = Observer(self.tally)
        self.shows_before_commit = shows_before_commit
        self.crash_rate = crash_rate
        self.make_sub_pool = make_sub_pool
        self.numbers = [f"+3316000{n:04d}" for n in range(numbers)]
        self.signer = SigningKey(random.Random("key").randbytes(32))
        self.verifier = VerifyingKey(self.signer.public_key)
        self.bridge = Bridge(self, make_pool, self.numbers)
        self.edges = [Edge(self, f"store-{n}", make_sub_pool) for n in range(stores)]
        self.to_bridge: list[tuple[str, bytes]] = []
        self.to_edges: list[tuple[str, bytes]] = []

    # Messages

    def report(self, edge: Edge, wants: int) -> None:
        done, report = edge.sub_pool.report(edge.clock_ms(), wants=wants)
        if edge.kept(done) and report is not None:
            self.tally.messages += 1
            self.to_bridge.append((edge.site, report.encode()))

    def reach_bridge(self, site: str, message: bytes, at_most: int) -> None:
        bridge = self.bridge
        before = bridge.disk.counters.blocks
        done, reply = bridge.pool.reconcile(
            site, Report.decode(message), bridge.clock_ms(), at_most=at_most, lasts_ms=BLOCK_MS
        )
        if bridge.kept(done) and reply is not None:
            self.tally.messages += 1
            self.to_edges.append((site, reply.encode(self.signer)))
        self.tally.blocks += bridge.disk.counters.blocks - before

    def reach_edge(self, site: str, message: bytes) -> None:
        edge = next(edge for edge in self.edges if edge.site == site)
        reply = Reply.verify(message, self.verifier)
        edge.kept(edge.sub_pool.receive(reply, edge.clock_ms()))
