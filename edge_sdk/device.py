"""A device: where the edge's parts meet. Nothing else wires them together."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from edge_sdk import key_slots
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.paho_link import Broker, PahoLink
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.clock import PacedClock, SteadyClock
from edge_sdk.courier import Courier
from edge_sdk.errors import ConfigError
from edge_sdk.outbox import Outbox
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.prompts import Prompts
from edge_sdk.version import AGENT
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import DOWN, topic
from edge_sdk.wire.touchpoint import Touchpoint

_LEAST_OUTBOX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """`home`: the enrolled device's directory. `broker`: `mqtt://host:port` or `mqtts://...`.

    `outbox_bytes` bounds what waits on disk; past it the least precious is shed. `linger_s` is the
    longest that a touchpoint which triggers nothing waits for company in one commit.
    """

    home: Path
    broker: str
    outbox_bytes: int = 256 << 20
    linger_s: float = 0.020
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if self.outbox_bytes < _LEAST_OUTBOX_BYTES:
            raise ConfigError("outbox_bytes is 1 MiB at least")
        if not 0 <= self.linger_s <= 5:
            raise ConfigError("linger_s is 0 to 5 seconds")


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator wants to know of a device, in counts since its start."""

    device: int
    epoch: int
    connected: bool
    captured: int
    outbox_batches: int
    outbox_bytes: int
    on_the_way: int
    delivered_batches: int
    sent_again: int
    payload_bytes: int
    shed_batches: int
    shed_touchpoints: int
    refused_by_broker: dict[str, int]
    refused_by_bridge: dict[str, int]
    refused_downlink: dict[str, int]
    prompts: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def enrol(token: str, home: Path) -> None:
    """Make `home` the directory of the device that the token names. Raises ConfigError."""
    key_slots.enrol(token, home, AesCcm())


class Device:
    """`async with Device(config) as device`, then `capture` and `async for prompt in prompts`.

    Entering opens the outbox and an epoch, and returns without waiting for the broker. Leaving
    commits what was captured; what is not delivered yet is, when the device is next opened.
    Raises ConfigError (not enrolled), StorageError (disk, or another process uses the home).
    """

    def __init__(
        self,
        config: DeviceConfig,
        *,
        suite: Suite | None = None,
        clock: PacedClock | None = None,
        open_database: OpenConnection = open_connection,
        open_slots: key_slots.OpenSlots = key_slots.LocalFile,
    ) -> None:
        self._config = config
        self._broker = Broker.parse(config.broker, config.ca_file)
        suite = suite or AesCcm()
        self.clock = clock = clock or SteadyClock()
        self._slots = key_slots.KeySlots(config.home, suite, open_slots)
        self._store = OutboxStore(
            config.home,
            suite,
            self._slots,
            agent=AGENT,
            max_bytes=config.outbox_bytes,
            open_database=open_database,
        )
        self._outbox = Outbox(self._store, clock, config.linger_s)
        self._courier = Courier(self._outbox, suite, clock)
        self.prompts = Prompts(self._outbox)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        slot = self._slots.load()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._outbox)
            await stack.enter_async_context(self.prompts)
            self._courier.on_prompt = self.prompts.arrived
            await stack.enter_async_context(self._courier)
            down = topic(slot.tenant, DOWN, slot.device)
            client_id = f"edge-{slot.tenant}-{slot.device:08x}"
            link = PahoLink(self._broker, client_id, self._courier, [down])
            self._courier.link = link
            await stack.enter_async_context(link)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def capture(self, touchpoint: Touchpoint) -> None:
        """Return when `touchpoint` is durable: it will reach the bridge once, whatever happens.

        Raises TouchpointError (it is malformed), StorageError (it is not known to be durable;
        DiskFullError and OutboxFullError say why) and ClosedError.
        """
        await self._outbox.capture(touchpoint)

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        """As `capture`, for all of them, in shared commits; at once: without lingering."""
        await self._outbox.capture_many(touchpoints, at_once=at_once)

    async def drained(self) -> None:
        """Return when the bridge holds everything that was captured."""
        await self._courier.drained()

    def status(self) -> Status:
        store, courier = self._store, self._courier
        return Status(
            device=store.epoch.device,
            epoch=store.epoch.number,
            connected=courier.link is not None and courier.link.connected,
            captured=self._outbox.captured,
            outbox_batches=store.batches,
            outbox_bytes=store.size_bytes,
            on_the_way=courier.on_the_way,
            delivered_batches=courier.delivered,
            sent_again=courier.sent_again,
            payload_bytes=courier.payload_bytes,
            shed_batches=store.shed_batches,
            shed_touchpoints=store.shed_touchpoints,
            refused_by_broker=dict(courier.refused_by_broker),
            refused_by_bridge=dict(courier.refused_by_bridge),
            refused_downlink=dict(courier.downlink_refused),
            prompts=dict(self.prompts.counts),
        )
