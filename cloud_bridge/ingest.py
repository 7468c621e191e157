"""The bridge's one working thread: a turn of messages in, one commit, and what follows from it.

Two lanes, so that a backlog never stands before a visit: each turn takes all live messages and web
bodies that wait, but only a few bulk ones. Nothing is acknowledged, dispatched or answered before
the commit. If the commit fails it is made again until it succeeds, and nothing else happens.

Handing a message to a thread and the answer back costs as much as the commit between. So while
little is going on, a live message's turn is taken on the event loop, where it arrived; half of the
loop's time at most (docs/decisions/0019-commit-where-captured.md).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from cloud_bridge.clock import Clock
from cloud_bridge.dispatch import Downlink, Message
from cloud_bridge.errors import StalledError
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Registry
from cloud_bridge.store import PromptRow, Store
from cloud_bridge.turn import Arrival, Collected, Event, Token, Turn
from edge_sdk.errors import StorageError
from edge_sdk.wire.topics import LIVE

log = logging.getLogger(__name__)

Waiting = TypeVar("Waiting")

MAX_WAITING = 1024
LIVE_A_TURN = 256
BULK_A_TURN = 10
# Bulk is in no hurry: in company it costs fewer commits, and a visit finds the disk free.
BULK_LINGER_S = 0.05
BODIES_A_TURN = 256
_FAILED = "ingest failed; the bridge must be started again"
_LOGGED = ("gap",)  # what each customer does is in /feed, and counted
# How often the registry is looked at when nothing comes.
_IDLE_S = 0.5
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0


@dataclass(slots=True)
class Outcome:
    """What follows a commit, to be done on the event loop: send, release to the broker, tell."""

    messages: list[Message] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class _Body:
    collected: Collected
    done: "Future[bool]"


class Ingest:
    """`start()`, then `offer` and `collect` from any thread, then `stop()`.

    `deliver` is called in the working thread with what follows each commit. After `start` the
    store, the registry and the intake belong to that thread.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        intake: Intake,
        downlink: Downlink,
        clock: Clock,
        deliver: Callable[[Outcome], None],
    ) -> None:
        self.intake = intake
        self.stalled: str | None = None
        self.failed = False
        self._store = store
        self._registry = registry
        self._downlink = downlink
        self._clock = clock
        self._deliver = deliver
        self._live: deque[Arrival] = deque()
        self._bulk: deque[Arrival] = deque()
        self._bodies: deque[_Body] = deque()
        self._ready = threading.Condition()
        self._stopping = threading.Event()
        self._state = threading.Lock()  # whoever takes a turn holds it
        self._due_s: float | None = None
        self._here_again_s = 0.0
        self._unfinished: tuple[Turn, list[Token]] | None = None
        self._registry_version: int | None = None
        self._registry_ns = 0
        self._registry_look_s = 0.0
        self._expired: list[PromptRow] = []
        self._thread: threading.Thread | None = None

    # From any thread

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the turn and end; what still waits is neither lost nor acknowledged."""
        self._stopping.set()
        with self._ready:
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()

    def offer(self, arrival: Arrival) -> bool:
        """Take a message; False: too many wait, drop it, its device will send it again."""
        queue = self._live if arrival.token[0] == LIVE else self._bulk
        with self._ready:
            if len(queue) >= MAX_WAITING:
                return False
            queue.append(arrival)
            here = queue is self._live and self._may_turn_here()
            if not here:
                self._ready.notify()
        if here:
            self._turn_here()
        return True

    def collect(self, collected: Collected) -> "Future[bool]":
        """Take a web body; once it is durable, whether it had been collected before.

        Raises StalledError, now or by the future.
        """
        done: Future[bool] = Future()
        with self._ready:
            closed = self.stalled or self.failed or self._stopping.is_set()
            if closed or len(self._bodies) >= MAX_WAITING:
                raise StalledError("the bridge takes nothing at the moment; send it again")
            self._bodies.append(_Body(collected, done))
            self._ready.notify()
        return done

    def waiting(self) -> dict[str, int]:
        """How many messages and bodies wait."""
        counts = len(self._live), len(self._bulk), len(self._bodies)
        return dict(zip(("live", "bulk", "collect"), counts, strict=True))

    def oldest_ms(self) -> int:
        """How long the oldest waiting message has waited."""
        with self._ready:
            heads = [queue[0].received_ms for queue in (self._live, self._bulk) if queue]
        return self._clock.wall_ms() - min(heads) if heads else 0

    # On the event loop, while little is going on

    def _may_turn_here(self) -> bool:
        """Whether to take a turn here; if so, the state is ours until `_turn_here` has ended."""
        if self._clock.steady_s() < self._here_again_s or self._thread is None:
            return False
        if not self._state.acquire(blocking=False):
            return False
        if self.stalled or self.failed or self._unfinished or self._stopping.is_set():
            self._state.release()
            return False
        return True

    def _turn_here(self) -> None:
        began_s = self._clock.steady_s()
        try:
            with self._ready:
                arrivals = _taken(self._live, LIVE_A_TURN)
            turn, _ = self._taken_in(arrivals, [])
            tokens = [arrival.token for arrival in arrivals]
            try:
                if turn.writes:
                    self._store.commit(turn.writes)
            except StorageError:
                # It has to be made again, and the loop must not wait for that.
                self._unfinished = turn, tokens
            else:
                self._follow(turn, tokens)
        except Exception:
            log.exception(_FAILED)
            self._fail()
        finally:
            self._state.release()
        ended_s = self._clock.steady_s()
        self._here_again_s = ended_s + (ended_s - began_s)
        if self._unfinished or self._live:
            with self._ready:
                self._ready.notify()

    def _fail(self) -> None:
        # Memory may be ahead of the disk by half a message: a restart puts that right.
        self.failed = True
        self._deliver(Outcome(failed=True))

    # The working thread

    def _run(self) -> None:
        try:
            while not (self._stopping.is_set() or self.failed):
                arrivals, bodies = self._wait()
                with self._state:
                    if self._finished():
                        self._turn(arrivals, bodies)
                        self._tidy()
                        continue
                for body in bodies:
                    _answer(body, None)
        except Exception:
            log.exception(_FAILED)
            self._fail()
        for body in self._bodies:
            _answer(body, None)

    def _tidy(self) -> None:
        if not (self._live or self._bulk or self._bodies):
            try:
                self._store.tidy()
            except StorageError as error:
                log.error("storage: %s", error)  # the next commit will stall, and say so

    def _finished(self) -> bool:
        """Finish the turn that was begun on the event loop, if its commit failed there."""
        if self._unfinished is not None:
            (turn, tokens), self._unfinished = self._unfinished, None
            if not self._commit(turn):
                return False
            self._follow(turn, tokens)
        return True

    def _turn(self, arrivals: list[Arrival], bodies: list[_Body]) -> None:
        turn, answers = self._taken_in(arrivals, bodies)
        if turn.writes and not self._commit(turn):
            answers = [None] * len(bodies)
        else:
            self._follow(turn, [arrival.token for arrival in arrivals])
        for body, answer in zip(bodies, answers, strict=True):
            _answer(body, answer)

    def _taken_in(
        self, arrivals: list[Arrival], bodies: list[_Body]
    ) -> tuple[Turn, list[bool | None]]:
        """A turn that is ready to be committed, and what to answer the bodies once it is."""
        turn = Turn()
        self._look_at_registry(turn)
        now_s = self._clock.steady_s()
        for arrival in arrivals:
            self.intake.message(turn, arrival, now_s)
        answers = [self._collect(turn, body) for body in bodies]
        self.intake.finish(turn)
        turn.writes.prompts.update((row.id, row) for row in self._expired)
        self._expired = []
        return turn, answers

    def _wait(self) -> tuple[list[Arrival], list[_Body]]:
        """The next turn's work; none of it, where something else is due."""
        with self._ready:
            if not (self._live or self._bulk or self._bodies or self._stopping.is_set()):
                due_s = self._due_s
                idle_s = _IDLE_S if due_s is None else due_s - self._clock.steady_s()
                self._ready.wait(max(0.0, min(_IDLE_S, idle_s)))
            if self._bulk:
                self._ready.wait_for(self._is_urgent, BULK_LINGER_S)
            arrivals = _taken(self._live, LIVE_A_TURN) + _taken(self._bulk, BULK_A_TURN)
            return arrivals, _taken(self._bodies, BODIES_A_TURN)

    def _is_urgent(self) -> bool:
        urgent = self._live or self._bodies or self._unfinished or self._stopping.is_set()
        return bool(urgent) or len(self._bulk) >= BULK_A_TURN

    def _collect(self, turn: Turn, body: _Body) -> bool | None:
        try:
            return self.intake.body(turn, body.collected, self._store.is_collected)
        except StorageError as error:
            log.error("a body is refused: %s", error)
            return None

    def _look_at_registry(self, turn: Turn) -> None:
        now_s = self._clock.steady_s()
        try:
            touched_ns = self._registry.touched_ns()
            if touched_ns == self._registry_ns and now_s < self._registry_look_s:
                return
            self._registry_ns, self._registry_look_s = touched_ns, now_s + _IDLE_S
            version = self._registry.version()
            if version != self._registry_version:
                self.intake.enrolled(turn, self._registry.devices())
                self._registry_version = version
                if self.intake.without_key:
                    log.error(
                        "%d devices must be enrolled anew: their keys are in another store",
                        self.intake.without_key,
                    )
        except (StorageError, OSError) as error:
            log.error("the registry cannot be read: %s", error)

    def _commit(self, turn: Turn) -> bool:
        """Commit, again and again if need be; False: we are to stop."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                self._store.commit(turn.writes)
            except StorageError as error:
                if self.stalled is None:
                    log.error("nothing is taken until this is mended: %s", error)
                    self._deliver(Outcome(messages=self._busy(turn)))
                self.stalled = str(error)
                if self._stopping.wait(pause_s):
                    return False
                pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
            else:
                if self.stalled is not None:
                    log.info("storage works again")
                    self.stalled = None
                return True

    def _busy(self, turn: Turn) -> list[Message]:
        told = []
        for device, held in turn.acks.items():
            ear = self.intake.receivers[device].ear
            if ear is not None:
                refused = [(epoch, seq, "busy") for epoch, seq in held]
                told.append(self._downlink.refuse(ear, device, refused))
        return told

    def _follow(self, turn: Turn, tokens: list[Token]) -> None:
        """Prompts first: somebody is waiting for them."""
        prompts = self._prompts(turn)
        if prompts:
            self._deliver(Outcome(messages=prompts))
        outcome = Outcome(tokens=tokens, events=turn.events)
        for device in turn.started:
            log.info("device %08x begins epoch %d", device, self.intake.newest_epoch(device))
        for event in turn.events:
            if event.kind in _LOGGED:
                log.info("%s: %s", event.kind, event.fields)
        for device, held in turn.acks.items():
            ear = self.intake.receivers[device].ear
            if ear is not None:
                outcome.messages += self._downlink.acknowledge(ear, device, held)
        for (device, ear), refused in turn.refusals.items():
            outcome.messages.append(self._downlink.refuse(ear, device, refused))
        if outcome.messages or outcome.tokens or outcome.events:
            self._deliver(outcome)
        self._forget_root_keys(turn)
        self._due_s = self.intake.outstanding.next_s()

    def _prompts(self, turn: Turn) -> list[Message]:
        now_s = self._clock.steady_s()
        outstanding = self.intake.outstanding
        for row in turn.prompts:
            outstanding.add(row, row.expires_ms - row.created_ms, now_s)
        for device in turn.started:
            outstanding.hurry(device, now_s)
        due, self._expired = outstanding.take_due(now_s)
        messages = []
        for row, prompt in due:
            receiver = self.intake.receivers.get(row.device)
            if receiver is not None and receiver.ear is not None:
                messages.append(self._downlink.prompt(receiver.ear, row.device, prompt))
        return messages

    def _forget_root_keys(self, turn: Turn) -> None:
        if turn.adopted:
            log.info("%d enrolments taken over from the registry", len(turn.adopted))
            try:
                self._registry.forget_keys(turn.adopted)
            except StorageError as error:
                log.error("root keys stay in the registry for now: %s", error)


def _answer(body: _Body, answer: bool | None) -> None:
    if not body.done.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    if answer is None:
        body.done.set_exception(StalledError("the bridge takes nothing now; send it again"))
    else:
        body.done.set_result(answer)


def _taken(queue: "deque[Waiting]", most: int) -> "list[Waiting]":
    return [queue.popleft() for _ in range(min(most, len(queue)))]
