"""A tenant's one working thread: a turn of messages in, one commit, and what follows from it.

Two lanes, so that a backlog never stands before a visit: each turn takes all live messages and web
bodies that wait, but only a few bulk ones. Nothing is acknowledged, dispatched or answered before
the commit. If the commit fails it is made again until it succeeds, and nothing else happens; where
storage cannot be read, what was to be taken in waits. Turns that are in no hurry carry a slice of
the snapshot, and between turns there is some housekeeping.

Handing a message to a thread and the answer back costs as much as the commit between. So while
little is going on, a live message's turn is taken on the event loop, where it arrived; half of the
loop's time at most (docs/decisions/0019-commit-where-captured.md).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_bridge.clock import Clock
from cloud_bridge.dispatch import Downlink
from cloud_bridge.errors import FencedError, StalledError
from cloud_bridge.following import Following
from cloud_bridge.housekeeping import Housekeeping
from cloud_bridge.intake import Intake
from cloud_bridge.numbers_file import NumbersFile
from cloud_bridge.plans import Plans
from cloud_bridge.queues import FairQueue, Turnstile
from cloud_bridge.registering import Registering
from cloud_bridge.registry import Registry
from cloud_bridge.store import Store
from cloud_bridge.turn import Answer, Arrival, Collected, Outcome, Token, Turn, Work
from edge_sdk.errors import StorageError
from edge_sdk.wire.topics import LIVE

log = logging.getLogger(__name__)

MAX_WAITING = 1024
LIVE_A_TURN = 256
BULK_A_TURN = 16
# Records of the snapshot that go with a turn; a turn of their own, when nothing waits.
BEHIND_A_TURN = 200
BEHIND_ALONE = 1000
# Bulk is in no hurry: in company it costs fewer commits, and a visit finds the disk free.
BULK_LINGER_S = 0.05
# Nobody stands before a kiosk for the sake of a web body; in company it costs less.
BODY_LINGER_S = 0.004
BODIES_A_TURN = 256
_FAILED = "ingest failed; the bridge must be started again"
# How often the registry is looked at when nothing comes.
_IDLE_S = 0.5
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0
# A tenant that is never idle keeps house as well.
_KEEP_HOUSE_S = 0.25


@dataclass(slots=True)
class _Body:
    collected: Collected
    answer: Answer


@dataclass(slots=True)
class _Asked:
    work: Work
    answer: Answer


class Ingest:
    """`start()`, then `offer`, `collect` and `ask` from any thread, then `stop()`.

    `deliver` is called in the working thread with what follows each commit. After `start` the
    store, the registry and the intake belong to that thread. All tenants of a process share one
    `turnstile`.
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
        housekeeping: Housekeeping,
        plans: Plans,
        numbers: NumbersFile | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self.intake = intake
        self.housekeeping = housekeeping
        self.stalled: str | None = None
        self.failed = False
        self._store = store
        self._registry = registry
        self._registering = Registering(registry, intake, clock)
        self._plans = plans
        self._following = Following(intake, registry, downlink, clock, deliver)
        self._clock = clock
        self._deliver = deliver
        self._turnstile = turnstile or Turnstile()
        self._live = FairQueue(MAX_WAITING)
        self._bulk = FairQueue(MAX_WAITING)
        self._bodies: deque[_Body] = deque()
        self._asked: deque[_Asked] = deque()
        self._numbers = numbers
        self._ready = threading.Condition()
        self._stopping = threading.Event()
        self._state = threading.Lock()  # whoever takes a turn holds it
        self._here_again_s = 0.0
        self._unfinished: tuple[Turn, list[Token]] | None = None
        self._registry_version: int | None = None
        self._registry_ns = 0
        self._registry_look_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._keep_house_s = 0.0
        self._told_damaged = 0
        self._house_more = False
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
            if not queue.put(arrival):
                return False
            here = queue is self._live and self._may_turn_here()
            if not here:
                self._ready.notify()
        if here:
            self._turn_here()
        return True

    def has_room(self, lane: str) -> bool:
        """Whether more should be read of a lane; while not, the broker has to keep it."""
        return (self._live if lane == LIVE else self._bulk).has_room

    def collect(self, collected: Collected, answer: Answer) -> None:
        """Take a web body; `answer` follows the commit, as part of an outcome.

        Raises StalledError.
        """
        with self._ready:
            closed = self.stalled or self.failed or self._stopping.is_set()
            if closed or len(self._bodies) >= MAX_WAITING:
                raise StalledError("the bridge takes nothing at the moment; send it again")
            self._bodies.append(_Body(collected, answer))
            if len(self._bodies) == 1:
                self._ready.notify()

    def ask(self, work: Work, answer: Answer) -> None:
        """Have work done within the next turn; its result follows the commit, as its answer.

        Raises StalledError.
        """
        with self._ready:
            closed = self.stalled or self.failed or self._stopping.is_set()
            if closed or len(self._asked) >= MAX_WAITING:
                raise StalledError("the bridge takes nothing at the moment; ask again")
            self._asked.append(_Asked(work, answer))
            if len(self._asked) == 1:
                self._ready.notify()

    def waiting(self) -> dict[str, int]:
        """How many messages and bodies wait."""
        counts = len(self._live), len(self._bulk), len(self._bodies), len(self._asked)
        return dict(zip(("live", "bulk", "collect", "asked"), counts, strict=True))

    def oldest_ms(self) -> int:
        """How long the oldest waiting message has waited."""
        with self._ready:
            heads = [queue.oldest_ms() for queue in (self._live, self._bulk)]
        oldest = min((ms for ms in heads if ms is not None), default=None)
        return 0 if oldest is None else self._clock.wall_ms() - oldest

    # On the event loop, while little is going on

    def _may_turn_here(self) -> bool:
        """Whether to take a turn here; if so, the state is ours until `_turn_here` has ended."""
        if self._clock.steady_s() < self._here_again_s or self._thread is None:
            return False
        if not self._state.acquire(blocking=False):
            return False
        busy = self.stalled or self.failed or self._unfinished or self._stopping.is_set()
        if busy or not self._turnstile.try_enter():
            self._state.release()
            return False
        return True

    def _turn_here(self) -> None:
        began_s = self._clock.steady_s()
        try:
            try:
                with self._ready:
                    arrivals = self._live.take(LIVE_A_TURN)
                turn, tokens, _ = self._taken_in(arrivals, [])
            finally:
                self._turnstile.leave()
            try:
                if turn.writes:
                    self._store.commit(turn.writes)
            except StorageError:
                # It has to be made again, and the loop must not wait for that.
                self._unfinished = turn, tokens
            else:
                self._following.follow(turn, tokens)
        except Exception:
            log.exception(_FAILED)
            self._fail()
        finally:
            self._state.release()
        ended_s = self._clock.steady_s()
        self._here_again_s = ended_s + (ended_s - began_s)
        if self._unfinished or self._live or self.stalled:
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
                        self._keep_house()
                        continue
                # We are to stop, and nothing was taken in.
                self._put_back(arrivals)
                self._refuse_bodies(bodies)
        except FencedError as error:
            log.error("%s", error)
            self._fail()
        except Exception:
            log.exception(_FAILED)
            self._fail()
        with self._ready:
            bodies = list(self._bodies)
            self._bodies.clear()
            asked = self._take_asked()
        self._refuse_bodies(bodies)
        self._refuse_asked(asked)

    def _take_asked(self) -> list[_Asked]:
        return [self._asked.popleft() for _ in range(min(BODIES_A_TURN, len(self._asked)))]

    def _refuse_asked(self, asked: list[_Asked]) -> None:
        if asked:
            self._deliver(Outcome(answers=[(one.answer, None) for one in asked]))

    def _put_back(self, arrivals: list[Arrival]) -> None:
        with self._ready:
            self._live.put_back([a for a in arrivals if a.token[0] == LIVE])
            self._bulk.put_back([a for a in arrivals if a.token[0] != LIVE])

    def _refuse_bodies(self, bodies: list[_Body]) -> None:
        if bodies:
            self._deliver(Outcome(answers=[(body.answer, None) for body in bodies]))

    def _keep_house(self) -> None:
        """When nothing waits, and now and then when something always does."""
        now_s = self._clock.steady_s()
        idle = self._is_idle()
        if not idle and now_s < self._keep_house_s:
            return
        self._keep_house_s = now_s + _KEEP_HOUSE_S
        damaged = len(self.intake.people.damaged)
        if damaged > self._told_damaged:
            self._told_damaged = damaged
            log.error(
                "%d records of the snapshot are damaged and count as empty; to make them again"
                " from the log: cloud-bridge run --rebuild",
                damaged,
            )
        try:
            self._house_more = self.housekeeping.step(now_s)
            if idle:
                self._store.tidy()
        except FencedError:
            raise
        except StorageError as error:
            log.error("storage: %s", error)  # the next commit will stall, and say so
            self._house_more = False

    def _is_idle(self) -> bool:
        return not (self._live or self._bulk or self._bodies or self._asked)

    def _finished(self) -> bool:
        """Finish the turn that was begun on the event loop, if its commit failed there."""
        if self._unfinished is not None:
            (turn, tokens), self._unfinished = self._unfinished, None
            if not self._commit(turn):
                return False
            self._following.follow(turn, tokens)
        return True

    def _turn(self, arrivals: list[Arrival], bodies: list[_Body]) -> None:
        with self._ready:
            asked = self._take_asked()
        urgent = bool(bodies or asked) or any(arrival.token[0] == LIVE for arrival in arrivals)
        if not arrivals:
            behind = BEHIND_A_TURN if bodies or asked else BEHIND_ALONE
        else:
            # What is urgent waits for nobody, unless it never ends.
            spared = urgent and not self.intake.snapshot.is_overdue
            behind = 0 if spared else BEHIND_A_TURN
        with self._turnstile.turn(urgent):
            self._plans.keep_up(self.intake.planned, self._clock)
            self.intake.visiting.tick(self._clock.wall_ms())
            turn, tokens, answers = self._taken_in(arrivals, bodies, behind, asked)
        if turn.writes and not self._commit(turn):
            self._refuse_bodies(bodies)
            self._refuse_asked(asked)
        else:
            whose = [body.answer for body in bodies] + [one.answer for one in asked]
            self._following.follow(turn, tokens, list(zip(whose, answers, strict=True)))
        if self.stalled is not None:
            self._stopping.wait(self._retry_s)

    def _taken_in(
        self,
        arrivals: list[Arrival],
        bodies: list[_Body],
        behind: int = 0,
        asked: Sequence[_Asked] = (),
    ) -> tuple[Turn, list[Token], Sequence[Any]]:
        """A turn that is ready to be committed, what to release then, and what to answer."""
        turn = Turn()
        self._look_at_registry(turn)
        now_s = self._clock.steady_s()
        self._registering.step(turn, now_s, urgent=not behind)
        tokens = self._messages(turn, arrivals, now_s)
        answers = [*self._collected(turn, bodies), *self._worked(turn, asked)]
        if behind or asked:
            self._keep_numbers(turn)
        if self.intake.visiting.stores:
            self._visits(turn)
        if behind:
            self.intake.snapshot.begin_if_due(self.intake.next_log_id - 1, now_s)
        self.intake.finish(turn, behind)
        following = self._following
        turn.writes.prompts.update((row.id, row) for row in following.expired)
        following.expired = []
        return turn, tokens, answers

    def _messages(self, turn: Turn, arrivals: list[Arrival], now_s: float) -> list[Token]:
        for at, arrival in enumerate(arrivals):
            if at and self._live and arrival.token[0] != LIVE:
                # Somebody has just come in: the commit is now, and the rest of the bulk after that.
                self._put_back(arrivals[at:])
                return [taken.token for taken in arrivals[:at]]
            try:
                self.intake.message(turn, arrival, now_s)
            except StorageError as error:
                self._stall(error)
                self._put_back(arrivals[at:])
                return [taken.token for taken in arrivals[:at]]
        return [arrival.token for arrival in arrivals]

    def _collected(self, turn: Turn, bodies: list[_Body]) -> Sequence[bool | None]:
        if not bodies:
            return ()
        try:
            return self.intake.bodies(turn, [body.collected for body in bodies])
        except StorageError as error:
            self._stall(error)
            return [None] * len(bodies)

    def _worked(self, turn: Turn, asked: Sequence[_Asked]) -> list[Any]:
        found: list[Any] = []
        try:
            for one in asked:
                found.append(one.work(turn))
            if asked:
                self.intake.tell_leases(turn, self._clock.wall_ms())
        except StorageError as error:
            self._stall(error)
        return found + [None] * (len(asked) - len(found))

    def _keep_numbers(self, turn: Turn) -> None:
        """Pools as their file has them now, and what time alone does to leases."""
        now_ms = self._clock.wall_ms()
        specs = self._numbers.look() if self._numbers is not None else None
        if specs is not None:
            self.intake.pools.planned(turn, specs, now_ms)
        self.intake.pools.tick(turn, now_ms)

    def _visits(self, turn: Turn) -> None:
        """What came out of the stores' presence engines, with what brought it about."""
        try:
            self.intake.visiting.visits(turn, self._clock.wall_ms())
        except StorageError as error:
            self._stall(error)

    def _wait(self) -> tuple[list[Arrival], list[_Body]]:
        """The next turn's work; none of it, where something else is due."""
        with self._ready:
            if self._is_idle() and not self._stopping.is_set():
                self._ready.wait(self._idle_s())
            if self._bulk:
                self._ready.wait_for(self._is_urgent, BULK_LINGER_S)
            alone = bool(self._bodies) and not (self._live or self._asked)
        if alone:
            self._stopping.wait(BODY_LINGER_S)
        with self._ready:
            arrivals = self._live.take(LIVE_A_TURN) + self._bulk.take(BULK_A_TURN)
            bodies = [self._bodies.popleft() for _ in range(min(BODIES_A_TURN, len(self._bodies)))]
        return arrivals, bodies

    def _idle_s(self) -> float:
        """How long there is nothing to do, if nothing comes."""
        if self._house_more or self.intake.snapshot.under_way or self._registering.more:
            return 0.0
        due = [due_s for due_s in (self._following.due_s, self.housekeeping.due_s) if due_s]
        idle_s = min(due) - self._clock.steady_s() if due else _IDLE_S
        return max(0.0, min(_IDLE_S, idle_s))

    def _is_urgent(self) -> bool:
        waits = self._live or self._bodies or self._asked or self._unfinished
        return bool(waits) or self._stopping.is_set() or len(self._bulk) >= BULK_A_TURN

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
                self._registering.look()
                if self.intake.without_key:
                    log.error(
                        "%d devices must be enrolled anew: their keys are in another store",
                        self.intake.without_key,
                    )
        except (StorageError, OSError) as error:
            log.error("the registry cannot be read: %s", error)

    def _commit(self, turn: Turn) -> bool:
        """Commit, again and again if need be; False: we are to stop."""
        while True:
            try:
                self._store.commit(turn.writes)
            except FencedError:
                raise
            except StorageError as error:
                if self.stalled is None:
                    self._deliver(Outcome(messages=self._following.busy(turn)))
                self._stall(error)
                if self._stopping.wait(self._retry_s):
                    return False
            else:
                if self.stalled is not None:
                    log.info("storage works again")
                    self.stalled = None
                    self._retry_s = _FIRST_RETRY_S
                return True

    def _stall(self, error: StorageError) -> None:
        if self.stalled is None:
            log.error("nothing is taken until this is mended: %s", error)
        else:
            self._retry_s = min(self._retry_s * 2, _LONGEST_RETRY_S)
        self.stalled = str(error)
