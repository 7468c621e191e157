"""The bridge's two connections to the broker: each lane comes by its own, answers leave by live.

A message is released to the broker after its commit, and where many wait a lane reads no more: so
a bridge that stalls or is behind fills the broker's queue and then its devices' outboxes, never its
own memory. What the broker thinks never matters for delivery.
"""

import asyncio
import logging
import secrets
from collections import Counter
from contextlib import AsyncExitStack
from typing import Protocol, Self

from paho.mqtt.enums import MQTTProtocolVersion

from cloud_bridge.broker import OwnBroker
from cloud_bridge.clock import Clock
from cloud_bridge.dispatch import Message
from cloud_bridge.turn import Arrival, Outcome
from edge_sdk.adapters.paho_link import PahoLink
from edge_sdk.wire.topics import BULK, LIVE, every_device

log = logging.getLogger(__name__)

MAX_RETRY_S = 5.0
# Messages of a lane that the broker may have sent and that are not committed yet. Brokers of
# MQTT 3.1.1 are not told, and mosquitto 2.0.11 sends more when it likes: so lanes pause as well.
WINDOW = 256


class Intake(Protocol):
    """Who takes what comes (`ingest.Ingest`)."""

    def offer(self, arrival: Arrival) -> bool:
        """False: it was dropped, and its device will send it again."""
        ...

    def has_room(self, lane: str) -> bool: ...


class Lane:
    """One connection and what it hears (`paho_link.Listener`)."""

    def __init__(self, name: str, clock: Clock, intake: Intake) -> None:
        self.name = name
        self.link: PahoLink | None = None
        self.up = asyncio.Event()
        self.connection = 0
        self.counted: Counter[str] = Counter()
        self._paused = False
        self._clock = clock
        self._intake = intake
        self._told = ""

    def link_up(self, _window: int) -> None:
        """Tell Listener's."""
        self.connection += 1
        self._paused = False
        self._told = ""
        self.up.set()
        log.info("%s lane: connected", self.name)

    def link_down(self, why: str) -> None:
        """Tell Listener's."""
        self.up.clear()
        if why != self._told:
            log.warning("%s lane: %s", self.name, why)
            self._told = why

    def received(self, topic: str, payload: bytes, mid: int) -> None:
        """Tell Listener's."""
        token = (self.name, self.connection, mid)
        if not self._intake.offer(Arrival(topic, payload, self._clock.wall_ms(), token)):
            self.counted["dropped.queue_full"] += 1
            self.release(self.connection, mid)
        if self.link is not None and not self._intake.has_room(self.name):
            self.counted["pauses"] += not self._paused
            self._paused = True
            self.link.pause()

    def settled(self, _mid: int, refusal: str | None) -> None:
        """Tell Listener's."""
        if refusal is not None:
            self.counted["refused_by_broker"] += 1

    def release(self, connection: int, mid: int) -> None:
        """The broker may forget a message, unless it came by an earlier connection."""
        if self.link is not None and connection == self.connection:
            self.link.release(mid)

    def resume(self) -> None:
        """Read again, if there is room."""
        if self._paused and self.link is not None and self._intake.has_room(self.name):
            self._paused = False
            self.link.resume()

    def publish(self, message: Message) -> None:
        """Send it, or count that it could not be sent: it is made again when it matters."""
        if self.link is None or self.link.publish(*message) is None:
            self.counted["unsent"] += 1


class Subscriber:
    """`async with Subscriber(...)`; `follow` does on the event loop what a commit allows."""

    def __init__(self, broker: OwnBroker, tenant: str, clock: Clock, intake: Intake) -> None:
        self._broker = broker
        self.lanes = {name: Lane(name, clock, intake) for name in (LIVE, BULK)}
        self._tenant = tenant
        self._links = AsyncExitStack()

    async def __aenter__(self) -> Self:
        start = secrets.token_hex(4)
        for name, lane in self.lanes.items():
            client = f"bridge-{self._tenant}-{name}-{start}"
            topics = (every_device(self._tenant, name),)
            link = PahoLink(
                self._broker.address,
                client,
                lane,
                topics,
                max_delay_s=MAX_RETRY_S,
                window=WINDOW,
            )
            # What tells 5 from 3.1.1 is that a broker says why it refuses what we publish, and the
            # bulk lane publishes nothing; reading 5 costs paho twice as much.
            if name == BULK or not self._broker.speaks_v5:
                link.protocol = MQTTProtocolVersion.MQTTv311
            lane.link = await self._links.enter_async_context(link)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._links.aclose()

    def follow(self, outcome: Outcome) -> None:
        """Send what a commit allows to be said, and release what it holds."""
        for message in outcome.messages:
            self.lanes[LIVE].publish(message)
        for name, connection, mid in outcome.tokens:
            self.lanes[name].release(connection, mid)
        for lane in self.lanes.values():
            lane.resume()

    async def connected(self) -> None:
        """Wait until both lanes hear."""
        for lane in self.lanes.values():
            await lane.up.wait()

    def health(self) -> dict[str, object]:
        """Where the broker is, by which protocol, and whether both lanes hear."""
        links = [lane.link for lane in self.lanes.values() if lane.link is not None]
        counted: Counter[str] = Counter()
        for lane in self.lanes.values():
            counted.update(lane.counted)
        return {
            "url": str(self._broker.address),
            "connected": bool(links) and all(link.connected for link in links),
            "protocol": links[0].protocol.name if links else None,  # of the lane that publishes
            **counted,
        }
