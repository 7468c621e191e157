"""A store's telephone line: calls from the proxy into the outbox, and onto the agents' screens.

On this machine are a SIP proxy and a broker of their own (examples/call_tracking/). On the first
sign of a call its agents are told from what the store knows by itself; when the bridge is there, it
tells more (`/calls/feed`), under the same call. What the broker loses is read in the proxy's own
account.
"""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from edge_sdk.adapters.paho_link import Broker, PahoLink
from edge_sdk.calls.model import RING, Call, CallEvent
from edge_sdk.errors import EdgeError
from edge_sdk.event_stream import EventStream
from edge_sdk.lease_replica import LeaseReplica
from edge_sdk.sources.sip_accounting import Accounting
from edge_sdk.sources.sip_calls import SipCalls
from edge_sdk.wire.touchpoint import Touchpoint

log = logging.getLogger(__name__)

EVENTS, HELLO, LEASES = "calls/sip/events", "calls/sip/hello", "calls/sip/leases"
AGENTS = "calls/agents/"
_LOOK_S = 0.5
_SAVE_S = 5.0
_PUSH_S = 0.02
_AGAIN_S = 1.0
_MOST_WAITING = 4096
_MOST_CALLS = 4096


class CallDevice(Protocol):
    """What is needed of `edge_sdk.Device`."""

    async def capture(self, touchpoint: Touchpoint) -> None: ...


@dataclass(frozen=True, slots=True)
class CallLine:
    """Where calls come from, and for whom they are.

    broker      of this machine, which the proxy speaks to: mqtt://127.0.0.1:1883
    accounting  the folder of the proxy's own account
    home        where leases are kept
    region      where the line is, as "FR"
    bridge      its HTTP address and a key of a site without origins; None: nobody tells of leases
    groups      "+33170180000" or "pool:web" -> group of agents; others are of `default`
    """

    broker: str
    accounting: Path
    home: Path
    region: str | None = None
    bridge: str | None = None
    key: str = field(default="", repr=False)
    groups: Mapping[str, str] = field(default_factory=dict)
    default: str = "agents"


class CallGateway:
    """`async with CallGateway(device, line)`: runs until it is left. `device` outlives it.

    counts  of the events; `pops`, `captured`, `again` (the disk refused), `bridge_pops`
    """

    def __init__(self, device: CallDevice, line: CallLine) -> None:
        """Raises ConfigError."""
        self.leases = LeaseReplica(line.home)
        self._device = device
        self._line = line
        self._counts: Counter[str] = Counter()
        self._calls = SipCalls(line.region)
        self._accounting = Accounting(line.accounting, line.home)
        self._link = PahoLink(Broker.parse(line.broker), "edge-calls", self, [EVENTS, HELLO])
        self._waiting: asyncio.Queue[tuple[CallEvent, int]] = asyncio.Queue(_MOST_WAITING)
        self._seen: dict[str, Call] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> dict[str, int]:
        return {**self._calls.counts, **self._counts, "leases": len(self.leases)}

    async def __aenter__(self) -> Self:
        self._line.home.mkdir(parents=True, exist_ok=True)
        self.leases.load()
        self._accounting.load()
        await self._link.__aenter__()
        flows: list[Coroutine[Any, Any, None]] = [self._capture(), self._account(), self._push()]
        if self._line.bridge is not None:
            flows += [self._follow_leases(self._line.bridge), self._follow_pops(self._line.bridge)]
        self._tasks = [asyncio.create_task(flow) for flow in flows]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks[1:]:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SAVE_S):
                await self._waiting.join()
        self._tasks[0].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.__aexit__(*exc_info)
        with contextlib.suppress(OSError):
            self.leases.save()
        log.info("calls: %s", " ".join(f"{name}={n}" for name, n in self.counts.items()))

    # The broker of this machine (`paho_link.Listener`)

    def link_up(self, window: int) -> None:
        """The proxy may have started anew as well: it is told every lease."""
        self.leases.tell_all()

    def link_down(self, why: str) -> None:
        log.warning("the line's broker: %s", why)

    def settled(self, mid: int, refusal: str | None) -> None:
        if refusal is not None:
            self._counts["refused_by_broker"] += 1

    def received(self, topic: str, payload: bytes, mid: int) -> None:
        if topic == HELLO:
            self.leases.tell_all()
            self._link.release(mid)
            return
        event = self._calls.event(payload)
        if event is None or self._waiting.full():
            self._link.release(mid)  # what is too much the account tells
            return
        self._pop(event)
        self._waiting.put_nowait((event, mid))

    # Screens

    def _pop(self, event: CallEvent) -> None:
        call = Call.of(event)
        if event.call in self._seen:
            call = self._seen.pop(event.call).merged(call)
        elif event.phase != RING:
            return  # it began before we did: the bridge knows more
        self._seen[event.call] = call
        if len(self._seen) > _MOST_CALLS:
            del self._seen[next(iter(self._seen))]
        held = self.leases.find(call.number)
        lease = call.lease or (held.lease if held is not None else None)
        pool = held.pool if held is not None else ""
        groups = self._line.groups
        group = groups.get(call.number) or groups.get(f"pool:{pool}") or self._line.default
        why = "store: the lease of this number; whose it is, the bridge knows"
        told = {
            "call": call.call,
            "state": call.state,
            "at_ms": call.began_ms,
            "number": call.number,
            "pool": pool,
            "group": group,
            "caller": {"state": call.caller.state},
            "agent": call.agent,
            "waited_ms": call.waited_ms,
            "duration_ms": call.duration_ms,
            "cause": call.cause,
            "lease": lease,
            "who": None,
            "sure": 0.0,
            "why": [why] if lease is not None else ["store: this number is lent to nobody"],
            "session_known": lease is not None,
            "from": "store",
        }
        self._counts["pops"] += 1
        self._link.publish(AGENTS + group, json.dumps(told).encode(), qos=0)

    async def _follow_pops(self, bridge: str) -> None:
        async for pop in EventStream(f"{bridge}/calls/feed", self._line.key):
            if isinstance(pop, dict) and isinstance(pop.get("group"), str):
                self._counts["bridge_pops"] += 1
                group = pop["group"].replace("/", "_").replace("+", "_").replace("#", "_")
                self._link.publish(AGENTS + group, json.dumps(pop).encode(), qos=0)

    # Leases

    async def _follow_leases(self, bridge: str) -> None:
        self.leases.take(None)
        async for told in EventStream(f"{bridge}/numbers/leases", self._line.key):
            self.leases.take(told)

    async def _push(self) -> None:
        loop = asyncio.get_running_loop()
        saved_s = loop.time()
        while True:
            await asyncio.sleep(_PUSH_S)
            if self._link.connected:
                for message in self.leases.changes():
                    self._link.publish(LEASES, message)
            if loop.time() - saved_s >= _SAVE_S:
                saved_s = loop.time()
                try:
                    await asyncio.to_thread(self.leases.save)
                    if self._waiting.empty():  # all that was read has been kept
                        await asyncio.to_thread(self._accounting.save)
                except OSError as error:
                    log.warning("leases are not kept: %s", error.strerror)

    # Facts

    async def _capture(self) -> None:
        while True:
            event, mid = await self._waiting.get()
            while not await self._captured(event.touchpoint()):
                self._counts["again"] += 1
                await asyncio.sleep(_AGAIN_S)
            self._link.release(mid)
            self._waiting.task_done()

    async def _captured(self, touchpoint: Touchpoint) -> bool:
        try:
            await self._device.capture(touchpoint)
        except EdgeError as error:
            log.error("a call cannot be kept yet: %s", error)
            return False
        self._counts["captured"] += 1
        return True

    async def _account(self) -> None:
        """What the broker lost; a little later, so that what it did not lose comes first."""
        while True:
            await asyncio.sleep(_LOOK_S)
            lines = await asyncio.to_thread(lambda: list(self._accounting.lines()))
            for line in lines:
                for event in self._calls.accounted(line):
                    self._pop(event)
                    await self._waiting.put((event, 0))
