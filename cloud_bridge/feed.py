"""The live stream of what happens, to any number of watchers; a slow one loses, and is told."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec

from cloud_bridge.turn import Event

MAX_WAITING = 256
MAX_WATCHERS = 64
HEARTBEAT_S = 15.0


class Feed:
    """`publish` events on the event loop; `watch` yields them as server-sent events."""

    def __init__(self) -> None:
        self.dropped = 0
        self._watchers: set[asyncio.Queue[bytes | None]] = set()

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def publish(self, tenant: str, events: Iterable[Event]) -> None:
        """Hand a tenant's events to every watcher."""
        if self._watchers:
            for event in events:
                self._hand_out(_encoded(tenant, event))

    def close(self) -> None:
        """End every stream."""
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def watch(self) -> AsyncIterator[bytes]:
        """One watcher's stream, from now on, until it is cancelled or the feed closes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._watchers.add(queue)
        try:
            yield b": what the bridge does, as it happens\n\n"
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        event = await queue.get()
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        finally:
            self._watchers.discard(queue)

    def _hand_out(self, event: bytes) -> None:
        for queue in self._watchers:
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                queue.get_nowait()
                queue.put_nowait(event)
                self.dropped += 1


def _encoded(tenant: str, event: Event) -> bytes:
    data = msgspec.json.encode({"tenant": tenant, **event.fields})
    return b"event: " + event.kind.encode() + b"\ndata: " + data + b"\n\n"
