"""The outbox: `capture` returns when the touchpoint is durable. Commits are shared, in one thread.

Touchpoints wait at most a linger (20 ms) for company; one that can trigger a prompt does not wait,
and takes along whatever did. While a commit runs, the next one fills.

Handing a commit to a thread and back costs as much as a fast disk's sync. So while commits are
fast, what is urgent is committed where it was captured; one slow commit, and the thread does it
again until they are fast (docs/decisions/0019-commit-where-captured.md).
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from edge_sdk.clock import Clock
from edge_sdk.errors import ClosedError, EdgeError, StorageError
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.rows import Changes, Committed, Row
from edge_sdk.wire.batch import TooLarge, encode_rows
from edge_sdk.wire.touchpoint import PROMPTING, Touchpoint, TouchpointError, check

log = logging.getLogger(__name__)

# One commit takes at most this many, so that a flood does not make a prompt wait for seconds.
_COMMIT_TOUCHPOINTS = 4096
# Captured and not yet committed; past this `capture` waits for room.
_WAITING_TOUCHPOINTS = 32_768
# A linger ends early when this many wait.
_FULL_TOUCHPOINTS = 1024
# Commits on the event loop: only while they take less than this, on average, and only so many
# touchpoints at once.
_FAST_COMMIT_S = 0.003
_INLINE_TOUCHPOINTS = 64
# Acknowledged rows are deleted with the next commit, or after this long on their own.
_FORGET_AFTER_S = 0.5
# Text this long may not fit a batch: it is tried out at capture, where the caller can be told.
_CAREFUL_CHARACTERS = 8192


@dataclass(slots=True)
class _Group:
    """One transaction's worth of changes, and who waits for it."""

    changes: Changes = field(default_factory=Changes)
    handed_over: int = 1
    captures: "list[asyncio.Future[None]]" = field(default_factory=list)
    marks: "list[asyncio.Future[set[int]]]" = field(default_factory=list)

    def absorb(self, later: "_Group") -> None:
        ours, theirs = self.changes, later.changes
        ours.touchpoints += theirs.touchpoints
        ours.held += theirs.held
        ours.marks += theirs.marks
        ours.outcomes += theirs.outcomes
        self.handed_over += later.handed_over
        self.captures += later.captures
        self.marks += later.marks


@dataclass(slots=True)
class _Read:
    """A look at stored rows, or, with a limit of 0, a new epoch."""

    after_id: int
    limit: int
    done: "asyncio.Future[list[Row]]"


class _Checkpoint:
    """Something to do between commits."""


_Entry = _Group | _Read | _Checkpoint


class Outbox:
    """`async with Outbox(store, clock) as outbox: await outbox.capture(touchpoint)`.

    `on_committed` is called on the event loop with the rows of each commit, in their order.
    """

    def __init__(self, store: OutboxStore, clock: Clock, linger_s: float = 0.020) -> None:
        self.store = store
        self.captured = 0
        self.unreported: list[tuple[int, str, str]] = []
        self.on_committed: Callable[[list[Row]], None] = _nobody
        self._clock = clock
        self._linger_s = linger_s
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._next = _Group()
        self._wanted = False  # whether anything is in the next group
        self._lingers = False  # whether it leaves within a linger already
        self._uncommitted = 0
        self._room = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._store_lock = threading.Lock()
        self._commit_s = 0.0  # a moving average
        self._in_thread = 0  # groups that the thread has and that are not concluded
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._home_loop = asyncio.get_running_loop()
        self.unreported = await asyncio.to_thread(self.store.open, self._clock.now_ms())
        self._loop = self._home_loop
        self._room.set()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Commit what waits, then close."""
        self._flush()
        self._loop = None
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self.store.close)

    # On the event loop

    async def capture(self, touchpoint: Touchpoint) -> None:
        """Return when `touchpoint` is durable. Raises TouchpointError, StorageError, ClosedError.

        A StorageError means that it is not known to be durable. Cancelling does not take it back.
        """
        # The hot path: what `_captured` does, for one, without a second coroutine or a list.
        _check(touchpoint)
        while self._uncommitted >= _WAITING_TOUCHPOINTS:
            self._room.clear()
            await self._room.wait()
        done: asyncio.Future[None] = self._loop_or_raise().create_future()
        if touchpoint.at_ms is None:
            touchpoint = Touchpoint(touchpoint.code, self._clock.now_ms(), touchpoint.values)
        group = self._next
        waiting = group.changes.touchpoints
        waiting.append(touchpoint)
        group.captures.append(done)
        self._uncommitted += 1
        if PROMPTING.get(touchpoint.code, False) or len(waiting) >= _FULL_TOUCHPOINTS:
            self._commit_within(0)
        elif not self._lingers:
            self._lingers = True
            self._commit_within(self._linger_s)
        await done

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        """As `capture`, for all of them; beyond 4,096 in several commits, in order.

        at_once  none of them lingers, whether or not one can trigger a prompt
        """
        listed = list(touchpoints)
        prompting = at_once
        for touchpoint in listed:
            _check(touchpoint)
            prompting = prompting or PROMPTING.get(touchpoint.code, False)
        for at in range(0, len(listed), _COMMIT_TOUCHPOINTS):
            await self._captured(listed[at : at + _COMMIT_TOUCHPOINTS], prompting)

    async def capture_outcome(self, touchpoint: Touchpoint, prompt: int) -> None:
        """Capture what became of a prompt, and remember in the same commit that it is reported."""
        _check(touchpoint)
        self._next.changes.outcomes.append(prompt)
        await self._captured([touchpoint], at_once=False)

    async def mark(self, prompts: Sequence[tuple[int, str, str]]) -> set[int]:
        """Durably note that prompts (id, offer, surface) are about to be displayed, in one commit.

        Gives the ids of those that were not noted before.
        """
        done: asyncio.Future[set[int]] = self._loop_or_raise().create_future()
        self._next.changes.marks += prompts
        self._next.marks.append(done)
        self._commit_within(0)
        return await done

    def forget(self, held: Sequence[tuple[int, int, int]]) -> None:
        """Delete rows that the bridge holds, with the next commit or soon."""
        if self._loop is not None:
            self._next.changes.held += held
            self._commit_within(_FORGET_AFTER_S)

    async def rows_after(self, after_id: int, limit: int) -> list[Row]:
        """Stored rows in the order of sealing. Raises StorageError."""
        done: asyncio.Future[list[Row]] = self._loop_or_raise().create_future()
        self._queue.put(_Read(after_id, limit, done))
        return await done

    async def open_epoch(self) -> None:
        """Open the next epoch now, with a new hello. Raises StorageError."""
        done: asyncio.Future[list[Row]] = self._loop_or_raise().create_future()
        self._queue.put(_Read(0, 0, done))
        self.on_committed(await done)

    async def _captured(self, touchpoints: list[Touchpoint], at_once: bool) -> None:
        while self._uncommitted >= _WAITING_TOUCHPOINTS:
            self._room.clear()
            await self._room.wait()
        done = self._loop_or_raise().create_future()
        waiting = self._next.changes.touchpoints
        now_ms = self._clock.now_ms()
        for touchpoint in touchpoints:
            if touchpoint.at_ms is None:
                touchpoint = Touchpoint(touchpoint.code, now_ms, touchpoint.values)
            waiting.append(touchpoint)
        self._next.captures.append(done)
        self._uncommitted += len(touchpoints)
        full = len(waiting) >= _FULL_TOUCHPOINTS
        self._commit_within(0 if at_once or full else self._linger_s)
        await done

    def _commit_within(self, delay_s: float) -> None:
        """Hand the next group to the thread, now or when the first of its members has lingered."""
        self._wanted = True
        if self._loop is None or delay_s == 0:
            self._flush(at_once=True)
        elif self._timer is None or self._timer.when() > self._loop.time() + delay_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(delay_s, self._flush)

    def _committed_inline(self, group: _Group) -> bool:
        """Commit here and now, where that is fast and nothing else comes first."""
        if (
            self._commit_s > _FAST_COMMIT_S
            or len(group.changes.touchpoints) > _INLINE_TOUCHPOINTS
            or self._in_thread
            or not self._store_lock.acquire(blocking=False)
        ):
            return False
        try:
            outcome = self._commit(group)
        finally:
            self._store_lock.release()
        self._conclude(group, outcome)
        if self.store.wants_checkpoint and self._queue.empty():
            self._queue.put(_Checkpoint())
        return True

    def _conclude_theirs(self, group: _Group, outcome: Committed | EdgeError) -> None:
        self._in_thread -= group.handed_over
        self._conclude(group, outcome)

    def _conclude(self, group: _Group, outcome: Committed | EdgeError) -> None:
        if isinstance(outcome, Committed):
            self._finished(group, outcome)
        else:
            self._failed(group, outcome)

    def _flush(self, at_once: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lingers = False
        if self._wanted:
            group, self._next, self._wanted = self._next, _Group(), False
            if not (at_once and self._committed_inline(group)):
                self._in_thread += 1
                self._queue.put(group)

    def _loop_or_raise(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise ClosedError("the device is not open: use it inside `async with`")
        return self._loop

    def _finished(self, group: _Group, committed: Committed) -> None:
        count = len(group.changes.touchpoints)
        self._uncommitted -= count
        self.captured += count
        self.on_committed(committed.rows)  # first: a prompt may hang on it
        for done in group.captures:
            if not done.done():
                done.set_result(None)
        for marked in group.marks:
            if not marked.done():
                marked.set_result(committed.marked)
        self._room.set()

    def _failed(self, group: _Group, error: EdgeError) -> None:
        log.error("outbox: %s", error)
        self._uncommitted -= len(group.changes.touchpoints)
        waiting: list[asyncio.Future[Any]] = [*group.captures, *group.marks]
        for done in waiting:
            if not done.done():
                done.set_exception(error)
        self._room.set()

    # In the outbox's thread

    def _work(self) -> None:
        entry = self._queue.get()
        while entry is not None:
            if not isinstance(entry, _Group):
                with self._store_lock:
                    self._look_after(entry)
                entry = self._queue.get()
            else:
                following = self._absorb_waiting(entry)
                with self._store_lock:
                    outcome = self._commit(entry)
                self._tell(self._conclude_theirs, entry, outcome)
                if self.store.wants_checkpoint and following is None:
                    following = _Checkpoint()
                entry = following or self._queue.get()

    def _look_after(self, entry: _Read | _Checkpoint) -> None:
        if isinstance(entry, _Read):
            self._read(entry)
            return
        try:
            self.store.checkpoint()
        except EdgeError as error:
            log.error("outbox: %s", error)  # the next commit will tell whoever waits for it

    def _absorb_waiting(self, group: _Group) -> _Read | _Checkpoint | None:
        """Let what piled up during the commit before share this one; what ended the pile."""
        while not self._queue.empty() and len(group.changes.touchpoints) < _COMMIT_TOUCHPOINTS:
            entry = self._queue.get()
            if not isinstance(entry, _Group):
                if entry is None:
                    self._queue.put(None)
                return entry
            group.absorb(entry)
        return None

    def _commit(self, group: _Group) -> Committed | EdgeError:
        """One transaction; call it holding the store's lock."""
        began_s = time.monotonic()
        try:
            return self.store.commit(group.changes, self._clock.now_ms())
        except EdgeError as error:
            return error
        except Exception as error:
            # A bug of ours: the waiting must not wait for ever for it.
            log.exception("the outbox failed")
            return StorageError(f"the outbox failed: {type(error).__name__}")
        finally:
            self._commit_s += (time.monotonic() - began_s - self._commit_s) / 4

    def _read(self, read: _Read) -> None:
        try:
            if read.limit == 0:
                rows = [self.store.open_epoch(self._clock.now_ms())]
            else:
                rows = self.store.rows_after(read.after_id, read.limit)
            if self.store.has_notice:
                committed = self.store.commit(Changes(), self._clock.now_ms())
                self._tell(self._finished, _Group(), committed)
        except EdgeError as error:
            self._tell(_settle, read.done, None, error)
        else:
            self._tell(_settle, read.done, rows, None)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._home_loop.is_closed():
            self._home_loop.call_soon_threadsafe(callback, *arguments)


def _settle(
    done: "asyncio.Future[list[Row]]", rows: list[Row] | None, error: EdgeError | None
) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(rows or [])


def _check(touchpoint: Touchpoint) -> None:
    if check(touchpoint) > _CAREFUL_CHARACTERS:
        try:
            encode_rows([touchpoint])
        except TooLarge:
            raise TouchpointError(f"{touchpoint.name} does not fit a batch") from None


def _nobody(_rows: list[Row]) -> None:
    """No courier yet."""
