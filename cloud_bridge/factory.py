"""Where the bridge's parts meet: the only file that wires them together."""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Self

import uvicorn

from cloud_bridge import rules
from cloud_bridge.answers import Answers
from cloud_bridge.broker import choose
from cloud_bridge.clock import Clock, SystemClock
from cloud_bridge.collect_desk import CollectPorts
from cloud_bridge.config import Config
from cloud_bridge.connections import age
from cloud_bridge.dispatch import Downlink
from cloud_bridge.errors import BridgeError
from cloud_bridge.feed import Feed
from cloud_bridge.hot_http import speaking_to
from cloud_bridge.ingest import Ingest, Outcome
from cloud_bridge.intake import Intake
from cloud_bridge.key_watch import KeyWatch
from cloud_bridge.keys import KeyRing
from cloud_bridge.registry import Registry
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.subscriber import Subscriber
from cloud_bridge.turn import Collected
from cloud_bridge.web import Ports, Web
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.wire.enrolment import to_token
from edge_sdk.wire.keys import INCARNATION_BYTES
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

__all__ = ["Bridge", "Config"]

MAX_REQUESTS = 1000


class Bridge:
    """`async with Bridge(config) as bridge: await bridge.wait()`.

    `suite` and `open_database` are for campaigns that audit every use of a key or write to disk.
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
        self.keys = KeyRing()
        self.collected: Counter[str] = Counter()
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

    def enrol(self, site: str, name: str, surface: str = "", zone: str = "") -> str:
        """Make a device the tenant's, as `cloud-bridge enrol` does; the token that it needs."""
        with Registry(self.config.data).opened() as registry:
            return to_token(registry.enrol(self._suite, site, name, surface, zone))

    async def connected(self) -> None:
        """Until both lanes hear the broker."""
        await self.subscriber.connected()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        home = threading.get_ident()
        chosen = rules.load(self.config.rules) if self.config.rules else rules.load()
        broker = choose(self.config.broker, self.config.broker_port, self.config.data)
        listener = _listener(self.config.http_host, self.config.http_port)
        self._parts.callback(listener.close)
        registry = Registry(self.config.data)
        self._parts.callback(registry.close)
        registry.open(self.config.tenant)
        store = SqliteStore(self.config.data, self._open_database)
        self._parts.callback(store.close)
        store.open(registry.tenant)
        intake = Intake(registry.tenant, self._suite, chosen, secrets.token_bytes(16))
        await asyncio.to_thread(intake.restore, store, self._clock)
        incarnation = secrets.token_bytes(INCARNATION_BYTES)
        downlink = Downlink(self._suite, registry.tenant, incarnation)

        def deliver(outcome: Outcome) -> None:
            if threading.get_ident() == home:
                self._follow(outcome)
            else:
                loop.call_soon_threadsafe(self._follow, outcome)

        self.ingest = Ingest(
            store=store,
            registry=registry,
            intake=intake,
            downlink=downlink,
            clock=self._clock,
            deliver=deliver,
        )
        await self._parts.enter_async_context(broker)
        self.broker_url = str(broker.address)
        self.subscriber = Subscriber(broker, registry.tenant, self._clock, self.ingest.offer)
        await self._parts.enter_async_context(self.subscriber)
        self.ingest.start()
        self._parts.push_async_callback(asyncio.to_thread, self.ingest.stop)
        await self._serve(listener)
        log.info(
            "bridge of tenant %s: http %s, broker %s",
            registry.tenant,
            self.http_url,
            self.broker_url,
        )

    def _watch_keys(self) -> KeyWatch:
        """Keep the ring as the registry is, by a connection of the event loop's own."""
        registry = Registry(self.config.data)
        self._parts.callback(registry.close)
        registry.open()
        watch = KeyWatch(registry, self.keys, self._clock)
        self._run(watch.run(), "keys")
        return watch

    def _run(self, flow: Coroutine[None, None, None], name: str) -> None:
        """Run a flow for as long as the bridge is there."""
        task = asyncio.create_task(flow, name=name)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._parts.push_async_callback(stop)

    def _collect(self, _tenant: str, collected: Collected) -> "asyncio.Future[bool]":
        return self._answers.of(self.ingest.collect(collected))

    async def _serve(self, listener: socket.socket) -> None:
        self._answers = Answers(asyncio.get_running_loop())
        watch = self._watch_keys()
        collect = CollectPorts(self._clock, self.keys, self._collect, watch.look, self.collected)
        web = Web(Ports(collect, self.health, self.feed))
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
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)

        self._parts.push_async_callback(stop)
        while not server.started:
            if task.done():
                raise BridgeError(f"cannot serve {self.http_url}")
            await asyncio.sleep(0.01)

    def _follow(self, outcome: Outcome) -> None:
        """What a commit allows, on the event loop."""
        self.subscriber.follow(outcome)
        self.feed.publish(outcome.events)
        if outcome.failed and self._over is not None and not self._over.done():
            self._over.set_exception(BridgeError("the working thread failed; see the log"))

    def health(self) -> dict[str, object]:
        """What GET /health answers."""
        broker = self.subscriber.health()
        troubles = {
            "storage": self.ingest.stalled,
            "broker": None if broker["connected"] else "not connected",
            "ingest": "failed" if self.ingest.failed else None,
        }
        reasons = {name: why for name, why in troubles.items() if why}
        intake = self.ingest.intake
        return {
            "status": "degraded" if reasons else "ok",
            "reasons": reasons,
            "broker": broker,
            "storage": "stalled" if self.ingest.stalled else "ok",
            "devices": {
                "enrolled": len(intake.devices),
                "seen": len(intake.last_seen_ms),
                "without_key": intake.without_key,
            },
            "waiting": self.ingest.waiting(),
            "lag_ms": self.ingest.oldest_ms(),
            "prompts_outstanding": len(intake.outstanding),
            "people": dict(intake.people.counted) | {"known": len(intake.people.persons)},
            "outcomes": dict(intake.people.outcomes),
            "counted": dict(intake.counted),
            "refused": dict(intake.refused),
            "collect": {"keys": len(self.keys), **self.collected},
            "feed": {"watchers": self.feed.watchers, "dropped": self.feed.dropped},
        }


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
