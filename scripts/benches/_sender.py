"""Sends what many devices have sealed over one connection, and counts what *our* bridge holds.

Each device has a window of batches on the way, as its courier has, and takes its turn with the
others. All together have one too: a bridge drops what its queue has no room for, to be sent again,
and what is to be measured here is how fast it takes what it takes. Only the bridge's
acknowledgement, sealed for that device, counts. What stays without one is sent again, byte for
byte; after a new start of the bridge, at once.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from benches._line import Line, Sealed
from benches._mqtt import Connection
from benches._stage import BenchFailedError
from edge_sdk.wire import control, seal
from edge_sdk.wire.topics import BULK, LIVE

WINDOW = 64
ALTOGETHER = 768  # a bridge lets 1,024 of a lane wait
RETRY_S = 3.0  # a device that heard nothing for so long asks again
LOOK_S = 0.25
UP_S = 20.0


class _Way:
    """One device's batches: waiting, and on the way."""

    __slots__ = ("heard_s", "is_ready", "line", "on_the_way", "silent", "topics", "waiting")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.topics = {lane: line.topic(lane) for lane in (LIVE, BULK)}
        self.waiting: deque[tuple[float, Sealed]] = deque()
        self.on_the_way: dict[int, tuple[float, Sealed]] = {}  # seq -> (when it was ready, it)
        self.heard_s = 0.0
        self.silent = 0  # how often in a row it asked again in vain
        self.is_ready = False


class Sender:
    """`async with Sender(broker, lines) as sender`: `introduce`, then `push` and `drained`.

    It is the connection's listener. `on_prompt` gets each prompt as it comes, however often.
    """

    def __init__(self, broker: str, lines: Iterable[Line], window: int = WINDOW) -> None:
        self.on_prompt: Callable[[Line, control.Prompt], None] = _nobody
        self.touchpoints_held = 0
        self.batches_held = 0
        self.sent_again = 0
        self.refused: Counter[str] = Counter()
        self._broker = broker
        self._ways = {line.device: _Way(line) for line in lines}
        self._downs = {way.line.down: way for way in self._ways.values()}
        self._window = window
        self._out = 0  # on the way, of all devices
        self._ready: deque[_Way] = deque()
        self._again: deque[tuple[_Way, Sealed]] = deque()
        self._moved = asyncio.Event()
        self._up = asyncio.Event()
        self._closing = contextlib.AsyncExitStack()
        self._link: Connection | None = None

    async def __aenter__(self) -> Self:
        """Connected, or BenchFailedError."""
        async with contextlib.AsyncExitStack() as stack:
            link = Connection(self._broker, f"sender-{time.time_ns():x}", self, [*self._downs])
            self._link = await stack.enter_async_context(link)
            try:
                async with asyncio.timeout(UP_S):
                    await self._up.wait()
            except TimeoutError:
                raise BenchFailedError("the broker does not answer") from None
            task = asyncio.create_task(self._look_after(), name="sender")
            stack.push_async_callback(_ended, task)
            self._closing = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._closing.aclose()

    # What the bench asks for

    async def introduce(self, lines: Sequence[Line], patience_s: float) -> None:
        """Open an epoch of each, and return when the bridge holds all hellos."""
        for line in lines:
            self.push(line, [line.begin()])
        await self.drained(lines, patience_s)

    def push(self, line: Line, sealed: Iterable[Sealed]) -> None:
        """Send these when their turn comes, in this order."""
        way = self._ways[line.device]
        now_s = time.monotonic()
        way.waiting.extend((now_s, message) for message in sealed)
        self._make_ready(way)
        self._pump()

    async def drained(self, lines: Sequence[Line], patience_s: float) -> None:
        """Return when the bridge holds all of these lines' batches.

        Raises BenchFailedError when nothing at all was acknowledged for `patience_s`.
        """
        ways = [self._ways[line.device] for line in lines]
        while any(way.waiting or way.on_the_way for way in ways):
            self._moved.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._moved.wait()
            except TimeoutError:
                missing = sum(len(way.waiting) + len(way.on_the_way) for way in ways)
                raise BenchFailedError(
                    f"{missing} batches were not acknowledged: nothing came for {patience_s:.0f} s;"
                    f" refused: {dict(self.refused)}"
                ) from None

    def oldest_s(self) -> float:
        """How long the oldest batch has been ready and not been acknowledged."""
        now_s = time.monotonic()
        heads = [way.waiting[0][0] for way in self._ways.values() if way.waiting]
        heads += [ready_s for way in self._ways.values() for ready_s, _ in way.on_the_way.values()]
        return now_s - min(heads, default=now_s)

    # What the connection tells (`_mqtt.Listener`)

    def link_up(self) -> None:
        """Tell Listener's."""
        for way in self._ways.values():
            self._send_again(way)
        self._up.set()
        self._pump()

    def link_down(self) -> None:
        """Tell Listener's."""
        self.refused["connection lost"] += 1

    def received(self, topic: str, payload: bytes) -> None:
        """Tell Listener's."""
        way = self._downs.get(topic)
        if way is not None:
            self._hear(way, topic, payload)

    # Hearing

    def _hear(self, way: _Way, name: str, payload: bytes) -> None:
        known = way.line.incarnations
        opened = way.line.opened(name, payload)
        if opened is None:
            return
        if way.line.incarnations > max(known, 1):
            self._send_again(way)
        kind, plaintext = opened
        if kind == seal.ACK:
            self._acknowledged(way, control.decode_ack(plaintext))
        elif kind == seal.PROMPT:
            self.on_prompt(way.line, control.decode_prompt(plaintext))
        else:
            for _, _, reason, _ in control.decode_refusal(plaintext):
                self.refused[reason] += 1

    def _acknowledged(self, way: _Way, ranges: Iterable[tuple[int, int, int]]) -> None:
        way.heard_s, way.silent = time.monotonic(), 0
        epoch = way.line.epoch.number
        for number, first, last in ranges:
            if number != epoch:
                continue
            for seq in [seq for seq in way.on_the_way if first <= seq <= last]:
                _, sealed = way.on_the_way.pop(seq)
                self._out -= 1
                self.batches_held += 1
                self.touchpoints_held += sealed.touchpoints
        self._moved.set()
        self._make_ready(way)
        self._pump()

    # Sending

    def _make_ready(self, way: _Way) -> None:
        if not way.is_ready:
            way.is_ready = True
            self._ready.append(way)

    def _pump(self) -> None:
        """Publish in turns, as far as the windows allow."""
        while (following := self._next()) is not None:
            way, sealed = following
            if self._link is None or not self._link.publish(
                way.topics[sealed.lane], sealed.message
            ):
                return  # `link_up` sends again what is on the way

    def _next(self) -> tuple[_Way, Sealed] | None:
        """What to publish now, and mark it as on the way."""
        while self._again:
            way, sealed = self._again.popleft()
            if sealed.seq in way.on_the_way:
                return way, sealed
        while self._ready and self._out < ALTOGETHER:
            way = self._ready.popleft()
            if not way.waiting or len(way.on_the_way) >= self._window:
                way.is_ready = False
                continue
            if not way.on_the_way:
                way.heard_s = time.monotonic()
            ready_s, sealed = way.waiting.popleft()
            way.on_the_way[sealed.seq] = ready_s, sealed
            self._out += 1
            self._ready.append(way)
            return way, sealed
        return None

    def _send_again(self, way: _Way, most: int | None = None) -> None:
        again = [sealed for _, sealed in way.on_the_way.values()][:most]
        self.sent_again += len(again)
        self._again = deque(item for item in self._again if item[0] is not way)
        self._again.extend((way, sealed) for sealed in again)
        way.heard_s = time.monotonic()

    async def _look_after(self) -> None:
        """Ask again where there was silence: by the oldest batch first, then by all."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            for way in self._ways.values():
                if way.on_the_way and now_s - way.heard_s > RETRY_S:
                    way.silent += 1
                    self._send_again(way, 1 if way.silent == 1 else None)
            self._pump()


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _nobody(_line: Line, _prompt: control.Prompt) -> None:
    """No kiosk listens."""
