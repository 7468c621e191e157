"""As much of an MQTT 3.1.1 client as a sender for many devices needs, and no more.

A device's own client (paho) takes half a millisecond of a core for a batch and its acknowledgement,
two system calls for each message; the bench would measure that. Here whatever is to be written in
one turn of the event loop leaves in one call. The bridge under test has its own client.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Protocol, Self
from urllib.parse import urlsplit

RETRY_S = 0.3
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 1, 2, 3, 4, 8, 9
_QOS_1 = 2  # in the flags of a PUBLISH


class Listener(Protocol):
    """Who is told. Called on the event loop."""

    def link_up(self) -> None:
        """Connected and subscribed."""
        ...

    def link_down(self) -> None: ...

    def received(self, topic: str, payload: bytes) -> None: ...


class Connection(asyncio.Protocol):
    """`async with Connection(url, name, listener, topics)`: keeps itself up; QoS 1 both ways.

    url: mqtt://host:port
    """

    def __init__(self, url: str, name: str, listener: Listener, topics: Sequence[str]) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 1883
        self._name = name
        self._listener = listener
        self._topics = topics
        self._transport: asyncio.Transport | None = None
        self._up = False
        self._received = bytearray()
        self._written: list[bytes] = []
        self._mid = 0
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_up(), name="mqtt")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.abort()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Have it leave with this turn of the event loop; False: not connected."""
        if not self._up:
            return False
        self._mid = self._mid % 65_535 + 1
        body = _text(topic) + struct.pack(">H", self._mid)
        self._write(_PUBLISH, _QOS_1, body, payload)
        return True

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell Protocol's."""
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._received.clear()
        self._written.clear()
        # Version 4 is 3.1.1; a clean session, no keep-alive.
        self._write(_CONNECT, 0, _text("MQTT"), b"\4\2\0\0", _text(self._name))

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell Protocol's."""
        was_up, self._up = self._up, False
        self._transport = None
        self._lost.set()
        if was_up:
            self._listener.link_down()

    def data_received(self, data: bytes) -> None:
        """Tell Protocol's."""
        received = self._received
        received += data
        at = 0
        while (packet := _packet(received, at)) is not None:
            first, start, at = packet
            self._take(first >> 4, first & _QOS_1, bytes(received[start:at]))
        del received[:at]

    # Packets

    def _take(self, kind: int, qos: int, body: bytes) -> None:
        if kind == _PUBLISH:
            size = 2 + int.from_bytes(body[:2], "big")
            topic = body[2:size].decode()
            if qos:
                self._write(_PUBACK, 0, body[size : size + 2])
                size += 2
            self._listener.received(topic, body[size:])
        elif kind == _CONNACK:
            # All filters in one packet, and the answer comes after all: SUBSCRIBE has flags 2.
            filters = b"".join(_text(topic) + b"\1" for topic in self._topics)
            self._write(_SUBSCRIBE, 2, b"\0\1", filters)
        elif kind == _SUBACK:
            self._up = True
            self._listener.link_up()

    def _write(self, kind: int, flags: int, *parts: bytes) -> None:
        if not self._written:
            asyncio.get_running_loop().call_soon(self._flush)
        self._written.append(bytes([kind << 4 | flags]) + _length(sum(map(len, parts))))
        self._written += parts

    def _flush(self) -> None:
        if self._transport is not None and self._written:
            self._transport.write(b"".join(self._written))
        self._written.clear()

    async def _keep_up(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            try:
                await loop.create_connection(lambda: self, *self._address)
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            await self._lost.wait()
            await asyncio.sleep(RETRY_S)


def _packet(data: bytearray, at: int) -> tuple[int, int, int] | None:
    """(first byte, start, end) of the packet's body at `at`; None: it is not whole yet."""
    size, shift, place = 0, 0, at + 1
    while place < len(data):
        byte = data[place]
        place += 1
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (data[at], place, place + size) if place + size <= len(data) else None
    return None


def _length(size: int) -> bytes:
    """Seven bits a byte, the least first."""
    encoded = bytearray()
    while size > 127:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data
