"""The load of `scripts/bench soak`, and what is remembered of it to be asked for at the end."""

import argparse
import asyncio
import contextlib
import itertools
import random
import time
import urllib.error
from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

from benches._fleet import Fleet
from benches._line import Line, Sealed
from benches._people import Crowd, beacon, introduced
from benches._sender import Sender
from benches._shop import browsed
from benches._stage import BenchFailedError, Stage, figure
from benches._traffic import Shape, Traffic
from edge_sdk import Device, touchpoints

TICK_S = 0.1
PATIENCE_S = 60.0
TOO_LATE_S = 300.0  # a batch that waits longer: the rate is more than the bridge can take
REMEMBERED = 400  # of each kind, drawn evenly from all of the time
ASKED = 100  # of those, where asking takes its time
PROMPT_S = 30.0
QUIET_S = 2.5  # longer than until a prompt is dispatched again
# Known people of whom the mix says nothing. All of them like coffee: each fourth person does.
FIRST_WITNESS, NEXT_WITNESS = 1 << 24, 4
FIRST_CROWD = 500
TWICE = "duplicates"

Thing = TypeVar("Thing")


class Memory(Generic[Thing]):
    """So many of an endless row of things, each as likely to be among them."""

    def __init__(self, lot: random.Random) -> None:
        self.things: list[Thing] = []
        self._lot = lot
        self._met = 0

    def meet(self, thing: Thing) -> None:
        """Remember it, perhaps, in place of another."""
        self._met += 1
        if len(self.things) < REMEMBERED:
            self.things.append(thing)
        elif (place := self._lot.randrange(self._met)) < REMEMBERED:
            self.things[place] = thing


class Load:
    """`async with load.running()`, and afterwards `missing`, with everything delivered.

    devices  a gateway, and a kiosk that shows what its live visits bring
    """

    def __init__(
        self,
        stage: Stage,
        fleet: Fleet,
        sender: Sender,
        devices: Sequence[Device],
        args: argparse.Namespace,
    ) -> None:
        self.sender = sender
        self.people = self.bodies_accepted = self.visits = self.shown = 0
        self._stage = stage
        self._fleet = fleet
        self._gateway, self._kiosk = devices
        self._args = args
        self._crowd = Crowd(FIRST_CROWD, args.seed)
        self._lot = random.Random(f"soak {args.seed}")
        self._witness_numbers = itertools.count(FIRST_WITNESS, NEXT_WITNESS)
        self._witnesses: Memory[int] = Memory(self._lot)
        self._batches: Memory[tuple[Line, Sealed]] = Memory(self._lot)
        self._bodies: Memory[dict[str, object]] = Memory(self._lot)
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything at once, while this lasts; what was begun is finished."""
        self._showing = asyncio.create_task(self._show(), name="kiosk")
        self._introduce(self._fleet.gateways[0], 0, FIRST_CROWD)
        stop = self._stop = asyncio.Event()
        flows = (self._bulk(), self._newcomers(), self._web(), self._walk())
        self._tasks = [asyncio.create_task(flow) for flow in flows]
        try:
            yield
            stop.set()
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a flow has failed of, or that the rate is too much."""
        for task in (*self._tasks, self._showing):
            if task.done():
                task.result()
        if self.sender.oldest_s() > TOO_LATE_S:
            raise BenchFailedError("the bridge cannot keep up with this --rate")

    # The flows

    async def _pace(self, per_s: float, most_s: float = 1.0) -> AsyncIterator[int]:
        """Each tick, how many are due; after a pause `most_s` worth of them at most."""
        began_s, done = time.monotonic(), 0
        while not self._stop.is_set():
            await asyncio.sleep(TICK_S)
            due = int((time.monotonic() - began_s) * per_s) - done
            done += due
            if due > 0:
                yield min(due, max(1, int(per_s * most_s)))

    async def _bulk(self) -> None:
        """The mix, a stretch of one gateway after another."""
        gateways = itertools.cycle(self._fleet.gateways)
        traffic = Traffic(self._fleet.gateways, self._crowd, self._args.seed)
        async for count in self._pace(self._args.rate):
            line = next(gateways)
            stretch = traffic.stretch(line, count, round(1000 * TICK_S), Shape())
            self._push(line, stretch)

    async def _newcomers(self) -> None:
        """People become known by a gateway; one of each lot is a witness."""
        gateways = itertools.cycle(self._fleet.gateways)
        async for count in self._pace(self._args.people):
            line, first = next(gateways), self.people
            witness = next(self._witness_numbers)
            self._introduce(line, first, first + count)
            self._crowd.grow(count)
            self._introduce(line, witness, witness + 1)
            self._witnesses.meet(witness)

    async def _web(self) -> None:
        """Witnesses become known by bodies of POST /collect, each sent until it is accepted."""
        async for count in self._pace(self._args.bodies):
            for _ in range(count):
                witness = next(self._witness_numbers)
                body = browsed(witness, time.time_ns() // 1_000_000)
                await self._collected(body)
                self.bodies_accepted += 1
                self._bodies.meet(body)
                self._witnesses.meet(witness)

    async def _walk(self) -> None:
        """Witnesses walk in, live."""
        async for count in self._pace(self._args.visits):
            for _ in range(count):
                if self._witnesses.things:
                    await self._visit(self._lot.choice(self._witnesses.things))

    async def _show(self) -> None:
        async for prompt in self._kiosk.prompts:
            self.shown += 1
            await prompt.shown()

    def _introduce(self, line: Line, first: int, beyond: int) -> None:
        self.people += beyond - first
        for batch in introduced(first, beyond, time.time_ns() // 1_000_000):
            self._push(line, line.seal(batch))

    def _push(self, line: Line, listed: list[Sealed]) -> None:
        self.sender.push(line, listed)
        for sealed in listed:
            self._batches.meet((line, sealed))

    async def _visit(self, witness: int) -> None:
        self.visits += 1
        visit = touchpoints.visit_enter(visit=self.visits, visitor=beacon(witness), zone="coffee")
        await self._gateway.capture(visit)

    async def _collected(self, body: dict[str, object]) -> bool:
        """Send it until it is accepted; whether the bridge says that it had it before."""
        deadline = time.monotonic() + TOO_LATE_S
        while time.monotonic() < deadline:
            try:
                answer = await asyncio.to_thread(self._stage.bridge.collect, body)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise BenchFailedError(f"/collect answers {error.code}") from None
            except OSError:
                pass  # it is being started again
            else:
                return bool(answer["duplicate"])
            await asyncio.sleep(0.25)
        raise BenchFailedError("/collect accepts nothing")

    # The books

    async def missing(self) -> dict[str, int]:
        """What was acknowledged and is not there, by kind, of what is remembered."""
        lost = {
            "batches": await self._missing_batches(),
            "bodies": 0 if self._args.keep_minutes else await self._missing_bodies(),
            "prompts of known people": await self._missing_prompts(),
        }
        self._showing.cancel()
        await asyncio.gather(self._showing, return_exceptions=True)
        return lost

    async def _missing_batches(self) -> int:
        """Sent again, byte for byte: those that the bridge does not call duplicates."""
        before = await self._told_twice()
        for line, sealed in self._batches.things:
            self.sender.push(line, [sealed])
        await self.sender.drained(self._fleet.lines, PATIENCE_S)
        return max(0, len(self._batches.things) - (await self._told_twice() - before))

    async def _told_twice(self) -> int:
        return int(figure(await asyncio.to_thread(self._stage.bridge.health), TWICE) or 0)

    async def _missing_bodies(self) -> int:
        return sum([not await self._collected(body) for body in self._bodies.things[:ASKED]])

    async def _missing_prompts(self) -> int:
        """Witnesses walk in; those who are not prompted are not known any more."""
        await self._no_more_than(self.shown)
        asked = self._witnesses.things[:ASKED]
        goal = self.shown + len(asked)
        for witness in asked:
            await self._visit(witness)
            await asyncio.sleep(TICK_S / 10)
        for _ in range(round(PROMPT_S / TICK_S)):
            if self.shown >= goal:
                break
            await asyncio.sleep(TICK_S)
        await self._no_more_than(goal)
        return max(0, goal - self.shown)

    async def _no_more_than(self, shown: int) -> None:
        """Wait until no prompt has come for a while: of earlier visits some may still."""
        while True:
            await asyncio.sleep(QUIET_S)
            if self.shown <= shown:
                return
            shown = self.shown
