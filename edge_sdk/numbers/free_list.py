"""Free numbers, the least recently used first; a stand-in with the face of `Allocation`."""

from collections import OrderedDict


class LeastRecentlyUsed:
    """One queue; the intent of who asks does not matter."""

    def __init__(self) -> None:
        self._queue: OrderedDict[str, None] = OrderedDict()

    def add(self, number: str) -> None:
        self._queue[number] = None

    def give_back(self, number: str) -> None:
        self._queue[number] = None

    def remove(self, number: str) -> None:
        del self._queue[number]

    def take(self, intent: float | None) -> str | None:
        del intent
        return self._queue.popitem(last=False)[0] if self._queue else None
