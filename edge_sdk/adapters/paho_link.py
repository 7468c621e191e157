"""One MQTT connection over paho-mqtt, hosted on asyncio, that keeps itself up.

paho's own queue stays empty: nothing is published while the link is down, and each connection is a
new paho client, so that nothing is sent again behind the outbox's back. Publishing writes to the
socket at once. What the broker says about a message (PUBACK) is passed on for the operator's sake;
it never means delivery. A broker that speaks only MQTT 3.1.1 is found out and remembered.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 5.0
# paho would hold a 21st unacknowledged message back; the window is the courier's business.
_PAHO_INFLIGHT = 65_535
# Messages that are read in one go, if they are there.
READ_AHEAD = 32
_PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class Listener(Protocol):
    """Who is told what happens on a link. Called on the event loop; must not block or raise."""

    def link_up(self, window: int) -> None:
        """Connected and subscribed. The broker takes `window` unacknowledged messages at most."""
        ...

    def link_down(self, why: str) -> None: ...

    def received(self, topic: str, payload: bytes, mid: int) -> None:
        """A message, to be released with `PahoLink.release(mid)` (QoS 1, manual; of QoS 0: 0)."""
        ...

    def settled(self, mid: int, refusal: str | None) -> None:
        """The broker took message `mid`, or says why it did not."""
        ...


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, and as whom. `protocol` is "5", "3.1.1" or "": find out.

    `parse` reads `mqtt://[user:password@]host[:port][?protocol=3.1.1]`, or `mqtts://...`.
    """

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    protocol: str = ""

    @classmethod
    def parse(cls, url: str, ca_file: str | None = None) -> Self:
        """Raises ConfigError, which never repeats a password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("the broker's address is not a URL: mqtt://host:port") from None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ConfigError("the broker's address is mqtt://host:port or mqtts://host:port")
        protocol = dict(parse_qsl(parts.query)).get("protocol", "")
        if protocol not in ("", *_PROTOCOLS):
            raise ConfigError("the broker's protocol is 5 or 3.1.1, or is left out")
        tls = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            port or (8883 if tls else 1883),
            tls,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            ca_file,
            protocol,
        )

    def __str__(self) -> str:
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"


class _Lost(Exception):
    """This connection is over; the message is for the operator."""


class PahoLink:
    """`async with PahoLink(broker, client_id, listener, subscriptions) as link: link.publish(...)`.

    Entering returns at once; `listener.link_up` follows when the broker is reached, and after each
    loss the link tries again after 0.2 s to `max_delay_s`, with jitter, for ever. `window`: how
    many messages the broker may have sent us that are not released; None: as many as it likes.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        listener: Listener,
        subscriptions: Sequence[str] = (),
        *,
        max_delay_s: float = 30.0,
        window: int | None = None,
    ) -> None:
        self.broker = broker
        self.protocol = _PROTOCOLS.get(broker.protocol, MQTTProtocolVersion.MQTTv5)
        self._client_id = client_id
        self._listener = listener
        self._subscriptions = tuple(subscriptions)
        self._max_delay_s = max_delay_s
        self._most_received = window
        self._client: paho.Client | None = None
        self._window = 65_535
        self._received: deque[paho.MQTTMessage] = deque()  # during one call of paho's alone
        self._up = False
        self._paused = False
        self._writing = False
        self._over: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_up(), name=f"link {self._client_id}")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._client is not None and self._up:
            self._client.disconnect()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def connected(self) -> bool:
        return self._up

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> int | None:
        """Write one message to the socket; its id for `settled`, or None: not connected."""
        if self._client is None or not self._up:
            return None
        info = self._client.publish(topic, payload, qos)
        self._want_write()
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def release(self, mid: int) -> None:
        """Tell the broker that a received message needs no redelivery on this connection."""
        if self._client is not None and self._up and mid:  # a message of QoS 0 has none
            self._client.ack(mid, 1)
            self._want_write()

    def pause(self) -> None:
        """Read nothing more from the broker until `resume`; what it sends waits there."""
        self._paused = True
        sock = self._client.socket() if self._client is not None else None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)

    def resume(self) -> None:
        """Read again."""
        if not self._paused:
            return
        self._paused = False
        client = self._client
        sock = client.socket() if client is not None else None
        if client is not None and sock is not None:
            asyncio.get_running_loop().add_reader(sock, self._readable, client, sock)

    # The life of the link

    async def _keep_up(self) -> None:
        attempt = 0
        while True:
            was_up = False
            try:
                await self._one_connection()
            except _Lost as lost:
                was_up = self._up
                self._drop()
                self._listener.link_down(str(lost))
            except asyncio.CancelledError:
                self._drop()
                raise
            attempt = 0 if was_up else attempt + 1
            ceiling = min(self._max_delay_s, 0.2 * 2 ** min(attempt, 10))
            await asyncio.sleep(random.uniform(ceiling / 2, ceiling))

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        client = self._client = self._new_client()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.to_thread(
                    client.connect,
                    self.broker.host,
                    self.broker.port,
                    KEEPALIVE_S,
                    properties=self._connect_properties(),
                )
        except (OSError, TimeoutError) as error:
            raise _Lost(f"{self.broker} cannot be reached: {str(error) or 'time-out'}") from None
        sock = client.socket()
        if sock is None:
            raise _Lost(f"{self.broker} closed the connection")
        self._paused = False
        loop.add_reader(sock, self._readable, client, sock)
        self._want_write()
        silent_s = 0.0
        while not self._over.done():
            client.loop_misc()
            await asyncio.wait([self._over], timeout=1.0)
            silent_s = 0.0 if self._up else silent_s + 1.0
            if silent_s >= ANSWER_TIMEOUT_S:
                self._try_other_protocol()
                self._lose(f"{self.broker} does not answer")
        raise _Lost(self._over.result())

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self.protocol,
            manual_ack=True,
            clean_session=None if self._is_v5() else True,
        )
        client.max_inflight_messages_set(_PAHO_INFLIGHT)
        if self.broker.username is not None:
            client.username_pw_set(self.broker.username, self.broker.password)
        if self.broker.tls:
            client.tls_set_context(ssl.create_default_context(cafile=self.broker.ca_file))
        client.suppress_exceptions = False
        client.on_socket_open = _no_delay
        client.on_socket_close = self._socket_closed
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _connect_properties(self) -> Properties | None:
        # None unless we must: a broker of MQTT 3.1.1 can then read, and refuse, our CONNECT.
        if self._most_received is None or not self._is_v5():
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = self._most_received
        return properties

    def _is_v5(self) -> bool:
        return self.protocol == MQTTProtocolVersion.MQTTv5

    def _drop(self) -> None:
        self._up = False
        client, self._client = self._client, None
        if client is None:
            return
        sock = client.socket()
        if sock is not None:
            self._socket_closed(client, None, sock)
            sock.close()

    def _lose(self, why: str) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(why)

    # Sockets

    def _readable(self, client: paho.Client, sock: Any) -> None:
        client.loop_read()
        while client.socket() is sock and isinstance(sock, ssl.SSLSocket) and sock.pending():
            client.loop_read()
        # paho reads a packet at a time. Where messages come one behind the other, a turn of the
        # event loop for each costs as much as the message.
        taken = 0
        while taken < len(self._received) < READ_AHEAD and client.socket() is sock:
            taken = len(self._received)
            client.loop_read()
        # Not from within paho's callback: whoever publishes there while the socket breaks waits for
        # ever for the lock that the callback holds.
        while self._received:
            message = self._received.popleft()
            self._listener.received(message.topic, bytes(message.payload), message.mid)
        if client is self._client:
            self._want_write()

    def _want_write(self) -> None:
        # Write now; ask the loop only for what the kernel did not take.
        client = self._client
        sock = client.socket() if client is not None else None
        if client is None or sock is None:
            return
        if client.want_write():
            client.loop_write()
        wants = client.want_write() and client.socket() is sock
        if wants != self._writing and client.socket() is sock:
            self._writing = wants
            loop = asyncio.get_running_loop()
            if wants:
                loop.add_writer(sock, self._want_write)
            else:
                loop.remove_writer(sock)

    def _socket_closed(self, _client: paho.Client, _userdata: object, sock: Any) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # still in the connecting thread: the loop does not know this socket
        if sock.fileno() >= 0:
            loop.remove_reader(sock)
            if self._writing:
                loop.remove_writer(sock)
        self._writing = False

    # What paho tells us

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            if str(reason) == "Unsupported protocol version":
                self._try_other_protocol()
            self._lose(f"{self.broker} refused the connection: {reason}")
            return
        self._window = getattr(properties, "ReceiveMaximum", 65_535)
        if self._subscriptions:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        else:
            self._is_up()

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [
            f"{topic} ({reason})"
            for topic, reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._lose(f"{self.broker} refused the subscription to {', '.join(refused)}")
        else:
            self._is_up()

    def _is_up(self) -> None:
        self._up = True
        self._listener.link_up(self._window)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._up and not flags.is_disconnect_packet_from_server:
            # Brokers of MQTT 3.1.1 close the connection on a CONNECT of version 5.
            self._try_other_protocol()
        self._lose(f"{self.broker} closed the connection: {reason}")

    def _try_other_protocol(self) -> None:
        if self.broker.protocol or self._over is None or self._over.done():
            return  # it was told, or this connection has been judged already
        self.protocol = (
            MQTTProtocolVersion.MQTTv311 if self._is_v5() else MQTTProtocolVersion.MQTTv5
        )

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        self._received.append(message)

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._listener.settled(mid, str(reason) if reason.is_failure else None)


def _no_delay(_client: paho.Client, _userdata: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
