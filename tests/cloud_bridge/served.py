"""The bridge's HTTP on a real socket, before a rig's store and thread."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import httpx
import uvicorn

from cloud_bridge.beacon_desk import BeaconDesk
from cloud_bridge.call_feed import CallFeed
from cloud_bridge.call_hooks.board import HookBoard
from cloud_bridge.call_hooks.desk import HookPorts, HooksDesk
from cloud_bridge.calls_desk import CallsDesk
from cloud_bridge.calls_web import CallsPorts
from cloud_bridge.clock import Clock, SystemClock
from cloud_bridge.collect_desk import CollectPorts
from cloud_bridge.connections import BoundedHttp, age
from cloud_bridge.errors import StalledError
from cloud_bridge.feed import Feed
from cloud_bridge.hot_http import speaking_to
from cloud_bridge.keys import KeyRing
from cloud_bridge.numbers_desk import NumbersPorts
from cloud_bridge.numbers_web import LeaseFeed, LeasesPorts
from cloud_bridge.registry import Registry
from cloud_bridge.staff_door import StaffDoor
from cloud_bridge.tenancy import NO_LEASE
from cloud_bridge.turn import Collected, Work
from cloud_bridge.web import Ports, Web
from edge_sdk.calls.model import CallEvent
from tests.cloud_bridge.little_device import SUITE
from tests.cloud_bridge.rig import SITE, TENANT, Rig

ORIGIN = "https://shop.example"
WAIT_S = 30.0
PLENTY = 1_000_000


class Door:
    """What a test reaches: keys to make, the counters, and how to ask."""

    def __init__(self, rig: Rig, clock: Clock | None = None, *, is_hot: bool = True) -> None:
        self.rig = rig
        self.is_hot = is_hot
        self.ring = KeyRing()
        self.counted: Counter[str] = Counter()
        self.pops = CallFeed()
        self.leases = LeaseFeed()
        self.lent: Counter[str] = Counter()
        self.hooked: Counter[str] = Counter()
        self.collect: Callable[[str, Collected], Awaitable[bool]] = self._collect
        self.clock = clock or SystemClock()
        self.url = ""
        self.port = 0

    async def _collect(self, tenant: str, collected: Collected) -> bool:
        assert tenant == TENANT
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bool | None] = loop.create_future()

        def answer(duplicate: bool | None) -> None:
            loop.call_soon_threadsafe(told.set_result, duplicate)

        self.rig.ingest.collect(collected, answer)
        duplicate = await told
        if duplicate is None:
            raise StalledError("not taken")
        return duplicate

    async def _take(self, tenant: str, site: str, key: bytes, events: Sequence[CallEvent]) -> bool:
        touchpoints = [event.touchpoint() for event in events]
        return await self.collect(tenant, Collected(key, site, self.clock.wall_ms(), touchpoints))

    async def ask(self, work: Work) -> Any:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Any] = loop.create_future()

        def answer(result: object) -> None:
            loop.call_soon_threadsafe(told.set_result, result)

        self.rig.ingest.ask(work, answer)
        result = await told
        if result is None:
            raise StalledError("not taken")
        return result

    def key(self, site: str = SITE, origins: Sequence[str] = (ORIGIN,), burst: int = PLENTY) -> str:
        """A new key; the bridge has to find it by itself."""
        with self.rig.registry_of_another() as registry:
            return registry.add_key(site, origins, 1, burst, 0)[1]

    def look(self) -> None:
        with self.rig.registry_of_another() as registry:
            self.ring.replace(TENANT, registry.api_keys(), self.clock.steady_s())

    def web(self, feed: Feed | None = None) -> Web:
        async def collect(tenant: str, collected: Collected) -> bool:
            return await self.collect(tenant, collected)

        ports = CollectPorts(self.clock, self.ring, collect, self.look, self.counted)
        home = self.rig.registry.path.parent
        door = StaffDoor(self.clock, self.ring, self.look)
        beacons = BeaconDesk(SUITE, self.clock, door, lambda _: Registry(home))
        calls = CallsDesk(
            self.clock,
            door,
            waiting=lambda _: list(self.rig.intake.calling.waiting.values()),
            number=lambda _, sealed: self.rig.intake.peppers.open(sealed),
            collect=collect,
        )
        shown = CallsPorts(calls, self.pops)
        intake, clock = self.rig.intake, self.rig.clock
        numbers = NumbersPorts(
            self.clock,
            self.ring,
            self.look,
            lend=lambda _, site, asked, spec: self.ask(
                lambda turn: intake.lend(turn, site, asked, spec.name, clock.wall_ms())
            ),
            tell=lambda _, doing, *told: self.ask(
                lambda turn: (
                    getattr(intake.pools, doing)(turn, told[0], clock.wall_ms(), told[1])
                    or NO_LEASE
                )
            ),
            marks=lambda _: intake.peppers,
            pool=lambda _, name: intake.pools.find(name),
            counted=self.lent,
        )
        leases = LeasesPorts(
            door, self.leases, lambda _: self.ask(lambda _: list(intake.pools.live()))
        )
        board = HookBoard({TENANT: home}, self.clock, {"HOOK_SECRET": "token"})
        hooks = HooksDesk(HookPorts(self.clock, board.find, self._take, self.hooked))
        health: dict[str, object] = {"status": "ok"}
        told = feed or Feed()
        return Web(Ports(ports, lambda: health, told, beacons, hooks, shown, numbers, leases))

    async def says(self, *parts: bytes, pause_s: float = 0.0) -> tuple[int, dict[str, str], bytes]:
        """What is answered to raw bytes; the connection is closed behind them."""
        wire = await Wire.to(self.port)
        try:
            for part in parts:
                wire.writer.write(part)
                await asyncio.sleep(pause_s)
            return await wire.answer()
        finally:
            await wire.close()


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next one. Raises IncompleteReadError where there is none."""
        async with asyncio.timeout(WAIT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(status.split()[1]), headers, body

    async def end(self) -> bytes:
        """All that still comes, until the other side closes."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read(-1)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


def post(key: str | None, body: dict[str, Any] | bytes, *headers: str) -> bytes:
    """A request in full."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = ["POST /collect HTTP/1.1", "Host: bridge", f"Content-Length: {len(raw)}", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + raw


@asynccontextmanager
async def served(door: Door, second_s: float = 1.0) -> AsyncIterator[httpx.AsyncClient]:
    """Serve on a free port; a connection's seconds may be shorter."""
    listener = socket.create_server(("127.0.0.1", 0))
    door.port = listener.getsockname()[1]
    door.url = f"http://127.0.0.1:{door.port}"
    web = door.web()
    config = uvicorn.Config(
        web,
        http=speaking_to(web.desk) if door.is_hot else BoundedHttp,
        ws="none",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,  # as the bridge has it: a test that fails also ends
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    aging = asyncio.create_task(age(lambda: server.server_state.connections, second_s))
    try:
        while not server.started:  # uvicorn has no event for it
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=door.url, timeout=WAIT_S) as client:
            yield client
    finally:
        server.should_exit = True
        aging.cancel()
        await asyncio.gather(task, aging, return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the test has them."""
        yield
