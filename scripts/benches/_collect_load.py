"""Posts bodies over keep-alive connections, as fast as they are answered."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import uvloop

_GRACE_S = 60.0
_ITEMS = 400
_VIEWS = 4


def bodies(seed: int, count: int, now_ms: int) -> list[bytes]:
    """Bodies of six events without their ids: page views and baskets of many sessions."""
    lot = random.Random(f"collect {seed}")
    return [_body(lot, now_ms) for _ in range(count)]


def _body(lot: random.Random, now_ms: int) -> bytes:
    events: list[dict[str, object]] = []
    for step in range(6):
        item = lot.randrange(_ITEMS)
        event: dict[str, object] = {"at_ms": now_ms - 60_000 + 9000 * step + lot.randrange(9000)}
        if step < _VIEWS:
            place = f"/shop/{item % 12:02d}/item-{item:05d}"
            event |= {"type": "page.view", "page": place, "category": f"category-{item % 12:02d}"}
        else:
            money = {"value_minor": lot.randrange(100, 9999), "currency": "EUR"}
            event |= {"type": "basket", "action": "add", "item": f"item-{item:05d}"}
            event |= {"quantity": lot.randrange(1, 4), **money}
        events.append(event)
    session = f"cookie:{lot.randrange(1 << 20):012x}"
    return json.dumps({"events": events, "session": session, "id": ""}).encode()[:-2]


class _Sender(asyncio.Protocol):
    """One connection: the next body when the one before is answered."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._heard = b""
        self._began_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit it
        self._send()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        heard = self._heard = self._heard + data
        _, gap, body = heard.partition(b"\r\n\r\n")
        if not gap or not body.endswith(b"}"):  # an answer is one flat object
            return
        self._heard = b""
        self._load.answered(heard.startswith(b"HTTP/1.1 202"), time.perf_counter() - self._began_s)
        self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._load.lost()

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self._transport.close()
        else:
            self._began_s = time.perf_counter()
            self._transport.write(request)


class Load:
    """`run` posts for a while; `accepted`, `refused` and `took_s` tell what came of it."""

    def __init__(self, url: str, key: str, ready: list[bytes], name: str) -> None:
        self.accepted = 0
        self.refused = 0
        self.took_s: list[float] = []
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST /collect HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nAccept: */*\r\nContent-Length: "
        ).encode()
        self._name = name
        self._bodies = self._drawn(ready)
        self._over = True
        self._open = 0
        self._closed: asyncio.Future[None] | None = None

    def run(self, connections: int, seconds: float) -> float:
        """Post over so many connections; the seconds that it took."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._run(connections, seconds))

    async def _run(self, connections: int, seconds: float) -> float:
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        self._over, self._open = False, connections
        began_s = time.perf_counter()
        loop.call_later(seconds, self._end)
        for _ in range(connections):
            await loop.create_connection(lambda: _Sender(self), self._host, self._port)
        async with asyncio.timeout(seconds + _GRACE_S):
            await self._closed
        return time.perf_counter() - began_s

    def _end(self) -> None:
        self._over = True

    def _drawn(self, ready: list[bytes]) -> Iterator[bytes]:
        number = 0
        while True:
            for body in ready:
                number += 1
                whole = body + b'%s-%d"}' % (self._name.encode(), number)
                yield self._head + b"%d\r\n\r\n" % len(whole) + whole

    def next_request(self) -> bytes | None:
        """What to post next; None: it is over."""
        return None if self._over else next(self._bodies)

    def answered(self, accepted: bool, took_s: float) -> None:
        """One answer came."""
        self.took_s.append(took_s)
        if accepted:
            self.accepted += 1
        else:
            self.refused += 1

    def lost(self) -> None:
        """A connection is closed."""
        self._open -= 1
        if self._open == 0 and self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
