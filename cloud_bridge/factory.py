"""Where the bridge's parts meet: the only file that wires them together."""

import asyncio
import contextlib
import logging
import os
import socket
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import uvicorn

from cloud_bridge import rules, running
from cloud_bridge.beacon_desk import BeaconDesk
from cloud_bridge.broker import choose
from cloud_bridge.call_feed import CallFeed
from cloud_bridge.call_hooks.board import HookBoard
from cloud_bridge.call_hooks.desk import HookPorts, HooksDesk
from cloud_bridge.calls_desk import CallsDesk
from cloud_bridge.calls_web import CallsPorts
from cloud_bridge.clock import Clock, SystemClock
from cloud_bridge.collect_desk import CollectPorts
from cloud_bridge.config import Config, home_of, tenants_in
from cloud_bridge.connections import age
from cloud_bridge.errors import BridgeError
from cloud_bridge.feed import Feed
from cloud_bridge.hot_http import speaking_to
from cloud_bridge.key_watch import KeyWatch
from cloud_bridge.keys import KeyRing
from cloud_bridge.numbers_desk import NumbersPorts
from cloud_bridge.numbers_web import LeaseFeed, LeasesPorts
from cloud_bridge.queues import Turnstile
from cloud_bridge.registry import Registry
from cloud_bridge.staff_door import StaffDoor
from cloud_bridge.tenancy import Tenancy
from cloud_bridge.turn import Collected, Event
from cloud_bridge.web import Ports, Web
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.apsw_sqlite import open_connection
from edge_sdk.adapters.sqlite import OpenConnection
from edge_sdk.calls.model import CallEvent
from edge_sdk.errors import ConfigError
from edge_sdk.wire.enrolment import to_token
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

__all__ = ["Bridge", "Config"]

# A thousand at once, of a provider that has had to wait, and whoever asks how the bridge is.
MAX_REQUESTS = 1200


class Bridge:
    """`async with Bridge(config) as bridge: await bridge.wait()`.

    It serves every tenant that has a folder in `config.data`. `suite` and `open_database` are for
    campaigns that audit every use of a key or write to disk.
    """

    def __init__(
        self,
        config: Config,
        suite: Suite | None = None,
        open_database: OpenConnection = open_connection,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.http_url = ""
        self.broker_url = ""
        self.feed = Feed()
        self.pops = CallFeed()
        self.leases = LeaseFeed()
        self.tenants: dict[str, Tenancy] = {}
        self.keys = KeyRing()
        self.collected: Counter[str] = Counter()
        self.lent: Counter[str] = Counter()
        self.hooked: Counter[str] = Counter()
        self._suite = suite or AesCcm()
        self._open_database = open_database
        self._clock = clock or SystemClock()
        self._parts = AsyncExitStack()
        self._over: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Start everything. Raises BridgeError, ConfigError, StorageError."""
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._parts.aclose()
        log.info("stopped")

    async def wait(self) -> None:
        """Until the bridge cannot go on. Raises BridgeError."""
        if self._over is not None:
            await asyncio.shield(self._over)

    def enrol(
        self, site: str, name: str, surface: str = "", zone: str = "", tenant: str | None = None
    ) -> str:
        """Make a device a tenant's, as `cloud-bridge enrol` does; the token that it needs."""
        with Registry(home_of(self.config.data, tenant)).opened() as registry:
            return to_token(registry.enrol(self._suite, site, name, surface, zone))

    async def connected(self) -> None:
        """Until both lanes of every tenant hear the broker."""
        for tenancy in self.tenants.values():
            await tenancy.subscriber.connected()

    async def _start(self) -> None:
        config = self.config
        self._over = asyncio.get_running_loop().create_future()
        chosen = rules.load(config.rules) if config.rules else rules.load()
        wanted = [] if config.tenant is None else [config.tenant]
        names = sorted({*wanted, *tenants_in(config.data)})
        homes = {name: home_of(config.data, name) for name in names}
        if not homes:
            raise ConfigError(f"{config.data}: no tenant has a folder here; make one: --tenant")
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        broker = choose(config.broker, config.broker_port, config.data)
        listener = _listener(config.http_host, config.http_port)
        self._parts.callback(listener.close)
        await self._parts.enter_async_context(broker)
        self.broker_url = str(broker.address)
        turnstile = Turnstile()
        for name, home in homes.items():
            self.tenants[name] = await self._parts.enter_async_context(
                Tenancy(
                    name,
                    home,
                    suite=self._suite,
                    rules=chosen,
                    clock=self._clock,
                    broker=broker,
                    turnstile=turnstile,
                    open_database=self._open_database,
                    tell=self._tell,
                    pop=self.pops.publish,
                    lease=self.leases.publish,
                    secrets_in=home if config.secrets is None else config.secrets / name,
                    is_watched=lambda: self.feed.watchers > 0,
                    failed=self._failed,
                    most_people=config.people_in_memory,
                    keep_days=config.keep_days,
                    rebuild=config.rebuild,
                )
            )
        await self._serve(listener)
        self._announce()
        log.info(
            "bridge of %s: http %s, broker %s", ", ".join(names), self.http_url, self.broker_url
        )

    def _watch_keys(self, tenant: str) -> KeyWatch:
        """Keep the ring as a registry is, by a connection of the event loop's own."""
        registry = Registry(home_of(self.config.data, tenant))
        self._parts.callback(registry.close)
        registry.open()
        watch = KeyWatch(registry, self.keys, self._clock)
        self._run(watch.run(), f"keys of {tenant}")
        return watch

    def _run(self, flow: Coroutine[None, None, None], name: str) -> None:
        """Run a flow for as long as the bridge is there."""
        task = asyncio.create_task(flow, name=name)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._parts.push_async_callback(stop)

    def _announce(self) -> None:
        """Tell `cloud-bridge inspect` where to ask, for as long as the bridge is there."""
        data, pid = self.config.data, os.getpid()

        def withdraw() -> None:
            with contextlib.suppress(OSError):
                running.withdraw(data, pid)

        try:
            running.announce(data, running.Running(pid, self.http_url, self._clock.wall_ms()))
        except OSError as error:
            log.warning("%s/%s cannot be written: %s", data, running.FILE_NAME, error.strerror)
        else:
            self._parts.callback(withdraw)

    async def _serve(self, listener: socket.socket) -> None:
        watches = [self._watch_keys(name) for name in self.tenants]

        def look() -> None:
            for watch in watches:
                watch.look()

        collect = CollectPorts(self._clock, self.keys, self._collect, look, self.collected)
        door = StaffDoor(self._clock, self.keys, look)
        beacons = BeaconDesk(
            self._suite,
            self._clock,
            door,
            lambda tenant: Registry(home_of(self.config.data, tenant)),
        )
        calls = CallsDesk(
            self._clock,
            door,
            waiting=lambda tenant: self.tenants[tenant].callbacks(),
            number=lambda tenant, sealed: self.tenants[tenant].peppers.open(sealed),
            collect=self._collect,
        )
        homes = {name: home_of(self.config.data, name) for name in self.tenants}
        self.hooks = HookBoard(homes, self._clock)
        self.hooks.look()
        hooks = HooksDesk(HookPorts(self._clock, self.hooks.find, self._take, self.hooked))
        numbers = NumbersPorts(
            self._clock,
            self.keys,
            look,
            lend=lambda tenant, *asked: self.tenants[tenant].lend(*asked),
            tell=lambda tenant, *told: self.tenants[tenant].told_of_lease(*told),
            marks=lambda tenant: self.tenants[tenant].peppers,
            pool=lambda tenant, name: self.tenants[tenant].ingest.intake.pools.find(name),
            counted=self.lent,
        )
        leases = LeasesPorts(door, self.leases, lambda tenant: self.tenants[tenant].live_leases())
        shown = CallsPorts(calls, self.pops)
        web = Web(Ports(collect, self.health, self.feed, beacons, hooks, shown, numbers, leases))
        server = _Server(
            uvicorn.Config(
                web,
                http=speaking_to(web.desk),
                proxy_headers=False,
                ws="none",
                server_header=False,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
                limit_concurrency=MAX_REQUESTS,
            )
        )
        host, port = listener.getsockname()[:2]
        self._run(age(lambda: server.server_state.connections), "connections")
        self.http_url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        task = asyncio.create_task(server.serve([listener]), name="http")

        async def stop() -> None:
            self.feed.close()
            self.pops.close()
            self.leases.close()
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)

        self._parts.push_async_callback(stop)
        while not server.started:
            if task.done():
                raise BridgeError(f"cannot serve {self.http_url}")
            await asyncio.sleep(0.01)

    def _collect(self, tenant: str, collected: Collected) -> "asyncio.Future[bool]":
        return self.tenants[tenant].collect(collected)

    async def _take(self, tenant: str, site: str, key: bytes, events: Sequence[CallEvent]) -> bool:
        """Keep what a provider told, by the way of web bodies. Raises StalledError."""
        touchpoints = [event.touchpoint() for event in events]
        collected = Collected(key, site, self._clock.wall_ms(), touchpoints)
        return await self._collect(tenant, collected)

    def _tell(self, tenant: str, events: Sequence[Event]) -> None:
        self.feed.publish(tenant, events)

    def _failed(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_exception(BridgeError("the working thread failed; see the log"))

    def health(self) -> dict[str, object]:
        """What GET /health answers: of all tenants together, and of each."""
        each = {name: tenancy.health() for name, tenancy in self.tenants.items()}
        together: dict[str, Any] = {}
        for name, told in each.items():
            reasons = told.pop("reasons")
            together = _added(together, told)
            together.setdefault("reasons", {}).update(_reasons(name, reasons, len(each)))
        return {
            "status": "degraded" if together.get("reasons") else "ok",
            **together,
            "collect": {"keys": len(self.keys), **self.collected},
            "hooks": {"hooks": len(self.hooks), "faulty": self.hooks.faulty, **self.hooked},
            "feed": {"watchers": self.feed.watchers, "dropped": self.feed.dropped},
            "lent": {"watchers": self.leases.watchers, **self.lent},
            "screens": {"watchers": self.pops.watchers, "dropped": self.pops.dropped},
            "tenants": each,
        }


def _added(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of two reports added up; of ages the greater, of the rest what is not well."""
    sum_: dict[str, Any] = dict(one)
    for name, value in other.items():
        if name not in sum_:
            sum_[name] = dict(value) if isinstance(value, dict) else value
        elif isinstance(value, dict):
            sum_[name] = _added(sum_[name], value)
        elif isinstance(value, bool):
            sum_[name] = sum_[name] and value
        elif isinstance(value, str | None):
            sum_[name] = value if sum_[name] == "ok" else sum_[name]
        elif name.endswith("_ms"):
            sum_[name] = max(sum_[name], value)
        else:
            sum_[name] += value
    return sum_


def _reasons(tenant: str, reasons: Mapping[str, str], tenants: int) -> dict[str, str]:
    if tenants == 1:
        return dict(reasons)
    return {f"{tenant}: {name}": why for name, why in reasons.items()}


class _Server(uvicorn.Server):
    """Leaves signals to the command line, which has more to stop than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket. Raises BridgeError where the address cannot be had."""
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = info[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise BridgeError(f"cannot listen at {host}:{port}: {error.strerror}") from None
    return listener
