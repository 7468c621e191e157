"""The live stream of what happens, to any number of watchers; a slow one loses, and is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from cloud_bridge.turn import Event

MAX_WAITING = 256
MAX_WATCHERS = 64
HEARTBEAT_S = 15.0


# Whether a watcher is told a tenant's event.
Wanted = Callable[[str, Event], bool]


def everything(_tenant: str, _event: Event) -> bool:
    """Every event."""
    return True


class Feed:
    """`publish` events on the event loop; `watch` yields them as server-sent events."""

    def __init__(self) -> None:
        self.dropped = 0
        self._watchers: dict[asyncio.Queue[bytes | None], Wanted] = {}

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def publish(self, tenant: str, events: Iterable[Event]) -> None:
        """Hand a tenant's events to every watcher."""
        if self._watchers:
            for event in events:
                self._hand_out(tenant, event)

    def close(self) -> None:
        """End every stream."""
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def watch(
        self, wanted: Wanted = everything, first: Iterable[bytes] = ()
    ) -> AsyncIterator[bytes]:
        """One watcher's stream, from now on, until it is cancelled or the feed closes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._watchers[queue] = wanted
        try:
            yield b": what the bridge does, as it happens\n\n"
            for earlier in first:
                yield earlier
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
            del self._watchers[queue]

    def _hand_out(self, tenant: str, event: Event) -> None:
        told = b""
        for queue, wanted in self._watchers.items():
            if not wanted(tenant, event):
                continue
            told = told or encoded(tenant, event)
            if queue.full():
                queue.get_nowait()
                self.dropped += 1
            queue.put_nowait(told)


def encoded(tenant: str, event: Event) -> bytes:
    """An event as it is sent."""
    data = msgspec.json.encode({"tenant": tenant, **event.fields})
    return b"event: " + event.kind.encode() + b"\ndata: " + data + b"\n\n"
