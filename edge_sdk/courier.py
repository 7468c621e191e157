"""The courier: a window of sealed batches on the way, sent again until *our* acknowledgement.

A batch that can trigger a prompt leaves at once by the live lane; a backlog and bulk go by the bulk
lane, in the order of sealing. What the broker says (PUBACK, refusals) is told to the operator and
never counts as delivery.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from edge_sdk.clock import Clock
from edge_sdk.downlink import Downlink
from edge_sdk.errors import StorageError
from edge_sdk.outbox import Outbox
from edge_sdk.rows import Row, row_id
from edge_sdk.wire import control, seal
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import BULK, LIVE, topic

log = logging.getLogger(__name__)

LIVE_WINDOW = 32
BULK_WINDOW = 32
FRESH_MS = 5000
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 60.0
# Connected, sending, and not one acknowledgement for so long: the operator should know.
SILENCE_S = 30.0
# How often a bridge that has lost our epoch may make us open a new one.
ANEW_EVERY_S = 30.0


class Link(Protocol):
    """What the courier needs of a connection (`adapters.paho_link.PahoLink`)."""

    @property
    def connected(self) -> bool: ...

    def publish(self, topic: str, payload: bytes) -> int | None:
        """Id for `settled`, or None: not sent."""
        ...

    def release(self, mid: int) -> None: ...


@dataclass(slots=True)
class _OnTheWay:
    row: Row
    lane: str
    attempt: int
    retry_at: float
    mid: int | None


class Courier:
    """`async with Courier(outbox, suite, clock) as courier`, then `courier.link = link`.

    It is the link's listener. `on_prompt` gets each prompt that arrives, however often.
    """

    def __init__(self, outbox: Outbox, suite: Suite, clock: Clock) -> None:
        self.on_prompt: Callable[[control.Prompt], None] = _nobody
        self.link: Link | None = None
        self.delivered = 0
        self.sent_again = 0
        self.payload_bytes = 0  # all that MQTT carried as payload, either way
        self.refused_by_broker: Counter[str] = Counter()
        self.refused_by_bridge: Counter[str] = Counter()
        self.downlink_refused: Counter[str] = Counter()
        self._outbox = outbox
        self._suite = suite
        self._clock = clock
        self._on_the_way: dict[int, _OnTheWay] = {}
        self._fresh: list[Row] = []
        self._sent_to = -1  # rows up to here have been sent, or are on the way
        self._stored_to = 0
        self._window = LIVE_WINDOW + BULK_WINDOW
        self._introduced = False
        self._told: set[str] = set()
        self._lanes_refused: set[str] = set()
        self._anew_at = 0.0
        self._heard_at = 0.0
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        epoch = self._outbox.store.epoch
        self._downlink = Downlink(self._suite, epoch, self.downlink_refused)
        self._hello_id = row_id(epoch.number, 0)
        self._stored_to = row_id(epoch.number, epoch.next_seq - 1)
        self._outbox.on_committed = self._committed
        self._task = asyncio.create_task(self._run(), name="courier")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._outbox.on_committed = _ignore
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def on_the_way(self) -> int:
        """Batches sent and not yet acknowledged."""
        return len(self._on_the_way)

    async def drained(self) -> None:
        """Return when the bridge holds all that the outbox had sealed by now."""
        target = self._stored_to
        while True:
            lowest = min(self._on_the_way, default=target + 1)
            if self._introduced and self._sent_to >= target and lowest > target:
                return
            self._moved.clear()
            await self._moved.wait()

    # What the link tells us

    def link_up(self, window: int) -> None:
        log.info("connected")
        self._told.discard("link")
        self._window = min(LIVE_WINDOW + BULK_WINDOW, window)
        self._heard_at = asyncio.get_running_loop().time()
        self._restart()

    def link_down(self, why: str) -> None:
        self._tell_once("link", "not connected: %s; what is captured is kept", why)

    def settled(self, mid: int, refusal: str | None) -> None:
        if refusal is None and not self._lanes_refused:
            return
        way = next((way for way in self._on_the_way.values() if way.mid == mid), None)
        if way is None:
            return
        if refusal is None:
            if way.lane in self._lanes_refused:
                self._lanes_refused.discard(way.lane)
                log.info("the broker takes our batches on the %s lane again", way.lane)
            return
        self.refused_by_broker[refusal] += 1
        way.mid = None
        if way.lane not in self._lanes_refused:
            self._lanes_refused.add(way.lane)
            log.warning(
                "the broker refuses our batches on the %s lane: %s. They are kept and sent again; "
                "check this device's access rights and quota at the broker",
                way.lane,
                refusal,
            )

    def received(self, name: str, payload: bytes, mid: int) -> None:
        self._hear(name, payload)
        if self.link is not None:
            self.link.release(mid)

    def _hear(self, name: str, payload: bytes) -> None:
        self.payload_bytes += len(payload)
        known = self._downlink.incarnations
        opened = self._downlink.open(name, payload)
        if opened is None:
            return
        kind, plaintext = opened
        if self._downlink.incarnations > max(known, 1):
            self._hurry()
        try:
            if kind == seal.ACK:
                self._acknowledged(control.decode_ack(plaintext))
            elif kind == seal.PROMPT:
                self.on_prompt(control.decode_prompt(plaintext))
            else:
                self._refused(control.decode_refusal(plaintext))
        except control.ControlError:
            self.downlink_refused["malformed"] += 1

    # What the outbox tells us

    def _committed(self, rows: list[Row]) -> None:
        if not rows:
            return
        newest = rows[-1].id
        # A commit by the outbox's thread can be told after a later one made on the event loop.
        self._sent_to = min(self._sent_to, rows[0].id - 1)
        caught_up = self._sent_to == self._stored_to
        self._stored_to = max(self._stored_to, newest)
        epoch = self._outbox.store.epoch
        if row_id(epoch.number, 0) != self._hello_id:
            self._new_epoch()
        elif self._introduced and self._connected():
            self._send_fresh(rows, caught_up)
        self._wake.set()

    def _send_fresh(self, rows: list[Row], caught_up: bool) -> None:
        """Straight from the commit to the socket, where the windows allow it."""
        for row in rows:
            if row.prompting and self._room(LIVE):
                self._send(row, LIVE, 0)
            elif caught_up and self._room(BULK):
                self._send(row, BULK, 0)
            else:
                caught_up = False
                continue
            if caught_up:
                self._sent_to = row.id

    def _new_epoch(self) -> None:
        epoch = self._outbox.store.epoch
        self._hello_id = row_id(epoch.number, 0)
        self._downlink = Downlink(self._suite, epoch, self.downlink_refused)
        self._introduced = False
        self._restart()

    # Acknowledgements and refusals

    def _acknowledged(self, ranges: list[tuple[int, int, int]]) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if "silence" in self._told:
            self._told.discard("silence")
            log.info("the bridge acknowledges again")
        for epoch, first, last in ranges:
            low, high = row_id(epoch, first), row_id(epoch, last)
            if low <= self._hello_id <= high:
                self._introduced = True
            for id_ in [id_ for id_ in self._on_the_way if low <= id_ <= high]:
                del self._on_the_way[id_]
                self.delivered += 1
        self._outbox.forget(ranges)
        self._moved.set()
        self._wake.set()

    def _refused(self, refusals: list[tuple[int, int, str, bool]]) -> None:
        for epoch, seq, reason, again in refusals:
            self.refused_by_bridge[reason] += 1
            way = self._on_the_way.get(row_id(epoch, seq))
            if not again:
                self._tell_once(
                    f"bridge {reason}",
                    "the bridge refuses our batches: %s. They are kept; %s",
                    reason,
                    "enrol this device anew" if reason != "malformed" else "please report this",
                )
                if way is not None:
                    way.retry_at = max(way.retry_at, self._now() + LONGEST_RETRY_S)
            elif reason == "no_hello":
                self._introduced = False
        self._wake.set()

    def _hurry(self) -> None:
        """The bridge has started anew: what it had not committed is to be sent again now."""
        for way in self._on_the_way.values():
            way.retry_at, way.attempt = 0.0, 0

    # Sending

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
            except StorageError as error:
                log.error("courier: %s", error)
                await asyncio.sleep(1.0)
            try:
                async with asyncio.timeout(self._until_next()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _round(self) -> None:
        if not self._connected():
            return
        self._retry()
        self._watch_silence()
        if not self._introduced:
            await self._introduce()
            return
        while self._room(BULK) and self._sent_to < self._stored_to:
            after = self._sent_to
            rows = await self._outbox.rows_after(after, BULK_WINDOW)
            if self._sent_to != after:
                continue  # a new connection starts from the oldest, or a commit went ahead
            if not rows:
                self._sent_to = self._stored_to
            done = bool(rows) and self._send_stored(rows)
            self._moved.set()
            if not done:
                return

    def _send_stored(self, rows: list[Row]) -> bool:
        """Send what was read from the outbox; False where a window is full or the link is gone."""
        for row in rows:
            if not self._introduced or not self._connected():
                return False
            if row.id <= self._sent_to:
                continue  # sent meanwhile, straight from its commit
            if row.id == self._hello_id:
                self._sent_to = row.id
                continue
            if row.id not in self._on_the_way:
                fresh = row.prompting and 0 <= self._clock.now_ms() - row.sealed_ms < FRESH_MS
                lane = LIVE if fresh and self._room(LIVE) else BULK
                if not self._room(lane) or not self._send(row, lane, 0):
                    return False
            self._sent_to = row.id
        return True

    async def _introduce(self) -> None:
        """Send the epoch's hello, alone; everything else waits for its acknowledgement."""
        if self._hello_id in self._on_the_way:
            return
        for row in await self._outbox.rows_after(self._hello_id - 1, 1):
            if row.id == self._hello_id:
                self._send(row, LIVE, 0)
                return
        # It was acknowledged and forgotten, and now the bridge asks for it: a bridge restored from
        # a backup. A new epoch introduces itself, and names this one as still held.
        if self._now() >= self._anew_at:
            self._anew_at = self._now() + ANEW_EVERY_S
            log.warning("the bridge has lost this epoch (restored?): opening a new one")
            await self._outbox.open_epoch()

    def _send(self, row: Row, lane: str, attempt: int) -> bool:
        epoch = self._outbox.store.epoch
        if self.link is None:
            return False
        mid = self.link.publish(topic(epoch.tenant, lane, epoch.device), row.message)
        if mid is None:
            return False
        self.payload_bytes += len(row.message)
        delay_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempt, 10))
        retry_at = self._now() + delay_s * random.uniform(0.75, 1.25)
        self._on_the_way[row.id] = _OnTheWay(row, lane, attempt, retry_at, mid)
        return True

    def _retry(self) -> None:
        now = self._now()
        for way in list(self._on_the_way.values()):
            if way.retry_at <= now and self._send(way.row, BULK, way.attempt + 1):
                self.sent_again += 1

    def _restart(self) -> None:
        """A new connection or epoch: everything unacknowledged is sent again, oldest first."""
        self._on_the_way.clear()
        self._sent_to = -1
        self._wake.set()

    def _room(self, lane: str) -> bool:
        used = 0
        for way in self._on_the_way.values():
            used += way.lane == lane
        limit = LIVE_WINDOW if lane == LIVE else BULK_WINDOW
        return used < limit and len(self._on_the_way) < max(1, self._window)

    def _until_next(self) -> float:
        if not self._on_the_way or not self._connected():
            return 5.0
        soonest = min(way.retry_at for way in self._on_the_way.values())
        return min(5.0, max(0.01, soonest - self._now()))

    def _connected(self) -> bool:
        return self.link is not None and self.link.connected

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # For the operator

    def _watch_silence(self) -> None:
        if not self._on_the_way:
            self._heard_at = self._now()
        elif self._now() - self._heard_at > SILENCE_S:
            self._tell_once(
                "silence",
                "%d batches are sent and none was acknowledged for %d s; they are kept. Is the "
                "bridge running, and does the broker let this device publish?",
                len(self._on_the_way),
                int(SILENCE_S),
            )

    def _tell_once(self, what: str, message: str, *arguments: object) -> None:
        """Say it once until things are well again."""
        if what not in self._told:
            self._told.add(what)
            log.warning(message, *arguments)


def _nobody(_prompt: control.Prompt) -> None:
    """No application listens."""


def _ignore(_rows: list[Row]) -> None:
    """The courier has gone home."""
