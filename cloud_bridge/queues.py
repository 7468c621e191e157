"""What waits for a turn, and whose turn it is: fair by device within a tenant, then by tenant."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from cloud_bridge.turn import Arrival

# Half of what a lane may have on the way to us, and twice what a device of ours ever has.
DEVICE_SHARE = 128
# Messages of one device in a row: they are acknowledged together.
RUN = 4


class FairQueue:
    """Messages of one lane. `take` goes round the devices, a few messages each.

    The device is what the topic says: nobody is authenticated yet. Whoever has `share` messages
    waiting adds no more, so that the broker's window is never full of one device's.
    """

    def __init__(self, most: int, share: int = DEVICE_SHARE) -> None:
        self._most = most
        self._share = share
        self._count = 0
        self._waiting: dict[str, deque[Arrival]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return self._count

    def put(self, arrival: Arrival) -> bool:
        """Add a message; False: too many wait."""
        mine = self._waiting.get(arrival.topic)
        if self._count >= self._most or (mine is not None and len(mine) >= self._share):
            return False
        if mine is None:
            mine = self._waiting[arrival.topic] = deque()
            self._turns.append(arrival.topic)
        mine.append(arrival)
        self._count += 1
        return True

    def put_back(self, arrivals: list[Arrival]) -> None:
        """What was taken, and has to come first again."""
        for arrival in reversed(arrivals):
            mine = self._waiting.get(arrival.topic)
            if mine is None:
                mine = self._waiting[arrival.topic] = deque()
                self._turns.appendleft(arrival.topic)
            mine.appendleft(arrival)
        self._count += len(arrivals)

    @property
    def has_room(self) -> bool:
        """Whether more should be asked for: half of what it can take is kept for what is coming."""
        return self._count < self._most // 2

    def take(self, most: int) -> list[Arrival]:
        """At most so many messages, the device that waited longest first."""
        taken: list[Arrival] = []
        turns, waiting = self._turns, self._waiting
        while turns and len(taken) < most:
            topic = turns.popleft()
            mine = waiting[topic]
            for _ in range(min(RUN, len(mine), most - len(taken))):
                taken.append(mine.popleft())
            if mine:
                turns.append(topic)
            else:
                del waiting[topic]
        self._count -= len(taken)
        return taken

    def oldest_ms(self) -> int | None:
        """When the message that has waited longest was received."""
        return min((mine[0].received_ms for mine in self._waiting.values()), default=None)


class Turnstile:
    """Lets one tenant compute at a time: whoever is urgent first, else in the order of asking.

    Python computes one thing at a time anyway; without this, a tenant that floods would get a turn
    whenever the interpreter happens to switch, and another's visit would wait for many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._urgent: deque[threading.Lock] = deque()
        self._others: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, urgent: bool) -> Iterator[None]:
        """Wait for a turn, and have it."""
        gate: threading.Lock | None = None
        with self._lock:
            if self._taken:
                gate = threading.Lock()
                gate.acquire()
                (self._urgent if urgent else self._others).append(gate)
            self._taken = True
        if gate is not None:
            gate.acquire()  # whoever has the turn now opens it
        try:
            yield
        finally:
            self.leave()

    def try_enter(self) -> bool:
        """Have a turn at once, or not at all; it ends with `leave`."""
        with self._lock:
            if self._taken:
                return False
            self._taken = True
            return True

    def leave(self) -> None:
        """Give the turn on."""
        with self._lock:
            waiting = self._urgent or self._others
            if waiting:
                waiting.popleft().release()
            else:
                self._taken = False
