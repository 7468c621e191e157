"""One tenant's house within a bridge: its files, its state, its thread, its two connections."""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from cloud_bridge import peppers
from cloud_bridge.broker import OwnBroker
from cloud_bridge.clock import Clock
from cloud_bridge.dispatch import Downlink
from cloud_bridge.errors import StalledError
from cloud_bridge.housekeeping import Housekeeping
from cloud_bridge.ingest import Ingest
from cloud_bridge.intake import Intake, Lending
from cloud_bridge.numbers_file import NumbersFile, PoolSpec
from cloud_bridge.plans import Plans
from cloud_bridge.queues import Turnstile
from cloud_bridge.registry import Registry
from cloud_bridge.routing import RoutingFile
from cloud_bridge.rules import Rule
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import CallRow
from cloud_bridge.subscriber import Subscriber
from cloud_bridge.turn import Collected, Event, Outcome, Work
from edge_sdk.adapters.sqlite import OpenConnection
from edge_sdk.numbers.lease import Lease
from edge_sdk.numbers.ledger_rows import UNKNOWN_LEASE, Done, Rows
from edge_sdk.wire.keys import INCARNATION_BYTES
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

NO_LEASE = Done(Rows(), refused=UNKNOWN_LEASE)


class Tenancy:
    """`async with Tenancy(...)`: it takes and answers what devices and web shops of a tenant send.

    `tell` gets its events, all of them while `is_watched`; `pop` what agents are to be shown,
    `lease` leases of numbers;
    `failed` is called when it cannot go on. All are called on the event loop. `secrets_in` is the
    folder of what must not lie in the database's.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        suite: Suite,
        rules: Sequence[Rule],
        clock: Clock,
        broker: OwnBroker,
        turnstile: Turnstile,
        open_database: OpenConnection,
        tell: Callable[[str, Sequence[Event]], None],
        pop: Callable[[str, Sequence[Event]], None],
        lease: Callable[[str, Sequence[Lease]], None],
        secrets_in: Path,
        is_watched: Callable[[], bool],
        failed: Callable[[], None],
        most_people: int,
        keep_days: float,
        rebuild: bool,
    ) -> None:
        self.name = name
        self.registry = Registry(home)
        self._plans = Plans(home)
        self._store = SqliteStore(home, open_database)
        self._suite = suite
        self._rules = rules
        self._clock = clock
        self._broker = broker
        self._turnstile = turnstile
        self._tell = tell
        self._pop = pop
        self._lease = lease
        self._secrets_in = secrets_in
        self._home = home
        self._is_watched = is_watched
        self._failed = failed
        self._most_people = most_people
        self._keep_days = keep_days
        self._rebuild = rebuild
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises BridgeError, ConfigError, StorageError."""
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._parts.aclose()

    async def _start(self) -> None:
        self._parts.callback(self.registry.close)
        self.registry.open(self.name)
        self._parts.callback(self._store.close)
        self._store.open(self.name)
        self.peppers = peppers.load(self._secrets_in / peppers.FILE_NAME, self._suite)
        names = secrets.token_bytes(16)
        intake = Intake(
            self.name,
            self._suite,
            self._rules,
            names,
            self._store,
            most_people=self._most_people,
            is_watched=self._is_watched,
            peppers=self.peppers,
            routing=RoutingFile(self._home, self._clock),
        )
        await asyncio.to_thread(intake.restore, self._clock, self._rebuild)
        self.ingest = Ingest(
            store=self._store,
            registry=self.registry,
            intake=intake,
            downlink=Downlink(self._suite, self.name, secrets.token_bytes(INCARNATION_BYTES)),
            clock=self._clock,
            deliver=self._deliverer(),
            housekeeping=Housekeeping(
                self._store,
                intake.people,
                intake.vault,
                self._clock,
                self._keep_days,
                resolving=intake.resolving,
                calling=intake.calling,
            ),
            plans=self._plans,
            numbers=NumbersFile(self._home, self._clock),
            turnstile=self._turnstile,
        )
        self.subscriber = Subscriber(self._broker, self.name, self._clock, self.ingest)
        await self._parts.enter_async_context(self.subscriber)
        self.ingest.start()
        self._parts.push_async_callback(asyncio.to_thread, self.ingest.stop)

    def _deliverer(self) -> Callable[[Outcome], None]:
        loop = asyncio.get_running_loop()
        home = threading.get_ident()

        def deliver(outcome: Outcome) -> None:
            if threading.get_ident() == home:
                self._follow(outcome)
            else:
                loop.call_soon_threadsafe(self._follow, outcome)

        return deliver

    def _follow(self, outcome: Outcome) -> None:
        """What a commit allows, on the event loop."""
        self.subscriber.follow(outcome)
        for answer, duplicate in outcome.answers:
            answer(duplicate)
        if outcome.pops:
            self._pop(self.name, outcome.pops)
        if outcome.leases:
            self._lease(self.name, outcome.leases)
        if outcome.events:
            self._tell(self.name, outcome.events)
        if outcome.failed:
            self._failed()

    def collect(self, collected: Collected) -> "asyncio.Future[bool]":
        """Keep a web body; True: it had been kept before. Raises StalledError, now or later."""
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ingest.collect(collected, partial(_settle, told))
        return told

    def ask(self, work: Work) -> "asyncio.Future[Any]":
        """Have work done within a turn. Raises StalledError, now or later."""
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ingest.ask(work, partial(_settle, told))
        return told

    def lend(self, site: str, asked: Lending, pool: PoolSpec) -> "asyncio.Future[Done]":
        """A number for a session, a place or a channel; see Intake.lend. Raises StalledError."""
        intake, clock = self.ingest.intake, self._clock
        return self.ask(lambda turn: intake.lend(turn, site, asked, pool.name, clock.wall_ms()))

    def told_of_lease(self, doing: str, lease: str, kinds: Sequence[str]) -> "asyncio.Future[Done]":
        """Do as the holder of a lease says: "heartbeat", "release". Raises StalledError."""
        pools, clock = self.ingest.intake.pools, self._clock
        do = {"heartbeat": pools.heartbeat, "release": pools.release}[doing]
        return self.ask(lambda turn: do(turn, lease, clock.wall_ms(), kinds) or NO_LEASE)

    def live_leases(self) -> "asyncio.Future[list[Lease]]":
        """The leases that have not ended. Raises StalledError."""
        return self.ask(lambda _: list(self.ingest.intake.pools.live()))

    def callbacks(self) -> list[CallRow]:
        """Calls of which the caller gave up, and that nobody has called back."""
        return list(self.ingest.intake.calling.waiting.values())

    def health(self) -> dict[str, Any]:
        """How it is, and what it counted since it started."""
        ingest, intake = self.ingest, self.ingest.intake
        broker = self.subscriber.health()
        troubles = {
            "storage": ingest.stalled,
            "broker": None if broker["connected"] else "not connected",
            "ingest": "failed" if ingest.failed else None,
            "snapshot": "damaged records" if intake.people.damaged else None,
        }
        return {
            "reasons": {name: why for name, why in troubles.items() if why},
            "broker": broker,
            "storage": "stalled" if ingest.stalled else "ok",
            "devices": {
                "enrolled": len(intake.devices),
                "seen": len(intake.last_seen_ms),
                "without_key": intake.without_key,
            },
            "waiting": ingest.waiting(),
            "lag_ms": ingest.oldest_ms(),
            "prompts_outstanding": len(intake.outstanding),
            "beacons": intake.resolving.health(),
            "presence": {
                "stores": len(intake.visiting.stores),
                "open_visits": intake.visiting.open_visits,
                "dropped": intake.visiting.dropped,
            },
            "numbers": dict(intake.pools.health(self._clock.wall_ms())),
            "callbacks": len(intake.calling.waiting),
            "people": {
                **intake.people.counted,
                "in_memory": len(intake.people),
                "unwritten": len(intake.people.dirty),
                "damaged": len(intake.people.damaged),
            },
            "log": {
                "rows": intake.next_log_id - 1,
                "tail_touchpoints": intake.snapshot.tail,
                "dropped_rows": ingest.housekeeping.dropped,
                "strangers_forgotten": ingest.housekeeping.forgotten,
            },
            "outcomes": dict(intake.people.outcomes),
            "counted": dict(intake.counted),
            "refused": dict(intake.refused),
        }


def _settle(told: "asyncio.Future[Any]", result: object) -> None:
    if told.done():
        return  # nobody waits for it any more
    if result is None:
        told.set_exception(StalledError("the bridge takes nothing now; send it again"))
    else:
        told.set_result(result)
