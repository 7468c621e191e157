"""One policy of lending, played with a crowd of visitors, and scored against the truth."""

import heapq
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.attribution import Attribution, attribute
from edge_sdk.numbers.delay_model import DelayModel
from edge_sdk.numbers.lease import SESSION, Lease
from simulators.pool_visitors import CrowdOfVisitors, Visitor, strays

_DAY_MS = 86_400_000
QUIET_MS = _DAY_MS  # who has not called by then is one who does not, to the score's check
GIVEN_UP_MS = 7 * _DAY_MS  # and to the delay model, which knows what to make of a late call
LEARN_MS = 5 * _DAY_MS  # before that nothing is scored
CONFIRMED = 0.5  # of the calls; the rest teach nothing
_IDLE_NUMBERS = 5  # in quarantine, to hear how many strangers call
_REMEMBERED = 512  # leases of a number
_BINS = 10


class Policy(Protocol):
    """What lends numbers; `Allocation` is one."""

    def take(self, intent: float | None) -> str | None: ...
    def give_back(self, number: str) -> None: ...
    def learned(self, intent: float | None, called: bool) -> None: ...


class FirstFree:
    """Lends the first number of the list that is free."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._free = sorted(numbers)

    def take(self, intent: float | None) -> str | None:
        return heapq.heappop(self._free) if self._free else None

    def give_back(self, number: str) -> None:
        heapq.heappush(self._free, number)

    def learned(self, intent: float | None, called: bool) -> None:
        pass


class AnyFree:
    """Lends any number that is free, by lot."""

    def __init__(self, numbers: Sequence[str], seed: int) -> None:
        self._free = list(numbers)
        self._draw = random.Random(seed)

    def take(self, intent: float | None) -> str | None:
        if not self._free:
            return None
        at = self._draw.randrange(len(self._free))
        self._free[at], self._free[-1] = self._free[-1], self._free[at]
        return self._free.pop()

    def give_back(self, number: str) -> None:
        self._free.append(number)

    def learned(self, intent: float | None, called: bool) -> None:
        pass


# Policy -> (how it lends, the score that it and the attribution are given).
POLICIES = {
    "first_free": ("first", "true"),
    "random": ("any", "true"),
    "lru": ("queue", "true"),
    "intent_split": ("split", "true"),
    "noisy_intent": ("split", "noisy"),
    "shuffled_intent": ("split", "shuffled"),
}


def policy_of(kind: str, numbers: Sequence[str], seed: int) -> Policy:
    """The one that a row of POLICIES means."""
    if kind == "first":
        return FirstFree(numbers)
    if kind == "any":
        return AnyFree(numbers, seed)
    return Allocation(numbers, split=kind == "split")


@dataclass(slots=True)
class Outcome:
    """What is counted, after the days of learning."""

    visitors: int = 0
    blocked: int = 0
    calls: int = 0  # of visitors who were lent a number
    late: int = 0
    heard: int = 0  # calls, strangers' included
    named: int = 0
    named_wrong: int = 0
    sure: list[float] = field(default_factory=lambda: [0.0] * _BINS)
    right: list[int] = field(default_factory=lambda: [0] * _BINS)
    of_bin: list[int] = field(default_factory=lambda: [0] * _BINS)

    @property
    def late_error(self) -> float:
        return self.late / max(1, self.calls)

    @property
    def calibration_error(self) -> float:
        """Between how sure the likeliest candidate is and how often it is right; ten bins."""
        off = sum(abs(s - r) for s, r in zip(self.sure, self.right, strict=True))
        return off / max(1, self.heard)

    def row(self) -> dict[str, object]:
        """The figures of one row of the report."""
        return {
            "blocked": round(self.blocked / max(1, self.visitors), 5),
            "late_error": round(self.late_error, 4),
            "named_error": round(self.named_wrong / max(1, self.named), 4),
            "named_coverage": round(self.named / max(1, self.heard), 4),
            "calibration_error": round(self.calibration_error, 4),
            "calls": self.heard,
        }

    def take(self, told: Attribution, caller: str) -> None:
        """A call, what was said of it, and who it was ("" for a stranger)."""
        self.heard += 1
        if told.named is not None:
            self.named += 1
            self.named_wrong += told.named.lease.holder != caller
        at = min(_BINS - 1, int(_BINS * told.sure))
        self.of_bin[at] += 1
        self.sure[at] += told.sure
        self.right[at] += bool(told.candidates) and told.candidates[0].lease.holder == caller


class Play:
    """A crowd before one pool. What is known to the pool is what a bridge would know."""

    def __init__(
        self, policy: str, people: Sequence[Visitor], size: int, crowd: CrowdOfVisitors, seed: int
    ) -> None:
        kind, self._score = POLICIES[policy]
        numbers = [f"+33{n:09}" for n in range(size)]
        self._numbers = numbers
        self._lender = policy_of(kind, numbers, seed)
        # Whatever the order of lending, the score of those who call is checked.
        lent = self._lender
        self._check = (lent if isinstance(lent, Allocation) else Allocation((), split=True)).check
        self._learn_apart = not isinstance(lent, Allocation)
        self._people = people
        self._leases: dict[str, deque[Lease]] = {n: deque(maxlen=_REMEMBERED) for n in numbers}
        self._lent: dict[int, Lease] = {}  # to the visitors not yet given up
        self._held: list[tuple[int, str]] = []
        self._model = DelayModel()
        self._draw = random.Random(seed + 1)
        self._quiet = self._given_up = 0
        self._fit_ms = LEARN_MS
        until_ms = people[-1].at_ms
        self._strays = deque(strays(size, crowd.stray_per_s, until_ms, seed + 2))
        self._idle = deque(strays(_IDLE_NUMBERS, crowd.stray_per_s, until_ms, seed + 3))
        self._called: dict[str, dict[str, float]] = {n: {} for n in numbers}
        self._calls: list[tuple[int, int, Lease]] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """All visitors in turn; the calls after the last of them are not heard."""
        for who, visitor in enumerate(self._people):
            self._until(visitor.at_ms)
            self._arrives(who, visitor)
        return self.outcome

    def _until(self, at_ms: int) -> None:
        """All that happens before a visitor comes."""
        for call_ms, who, lease in self._due(at_ms):
            self._call(call_ms, who, lease)
        while self._held and self._held[0][0] <= at_ms:
            self._lender.give_back(heapq.heappop(self._held)[1])
        while self._people[self._quiet].at_ms + QUIET_MS < at_ms:
            if (waiting := self._lent.get(self._quiet)) is not None:
                self._learn(waiting, False)
            self._quiet += 1
        while self._people[self._given_up].at_ms + GIVEN_UP_MS < at_ms:
            if self._lent.pop(self._given_up, None) is not None:
                self._model.quiet(GIVEN_UP_MS / 1000)
            self._given_up += 1
        if at_ms >= self._fit_ms:
            idle = 0
            while self._idle and self._idle[0][0] <= at_ms:
                self._idle.popleft()
                idle += 1
            self._model.idle(_IDLE_NUMBERS * LEARN_MS / 1000, idle)
            ages = ((at_ms - lease.since_ms) / 1000 for lease in self._lent.values())
            self._model.fit(ages, draws=0)
            self._fit_ms += LEARN_MS

    def _due(self, at_ms: int) -> Iterator[tuple[int, int, Lease | None]]:
        """Calls up to then, in order; a stranger's is of -1 and has no lease."""
        while True:
            stray_ms = self._strays[0][0] if self._strays else at_ms + 1
            call_ms = self._calls[0][0] if self._calls else at_ms + 1
            if min(stray_ms, call_ms) > at_ms:
                return
            if call_ms <= stray_ms:
                yield heapq.heappop(self._calls)
            else:
                yield self._strays.popleft()[0], -1, None

    def _arrives(self, who: int, visitor: Visitor) -> None:
        counts = visitor.at_ms >= LEARN_MS
        self.outcome.visitors += counts
        score = visitor.scores[self._score]
        number = self._lender.take(score)
        if number is None:
            self.outcome.blocked += counts
            return
        until_ms = visitor.at_ms + visitor.hold_ms
        lease = Lease(
            f"b-{who}", "p", number, f"cookie:{who}", SESSION, visitor.at_ms, until_ms, None, score
        )
        self._leases[number].appendleft(lease)
        self._lent[who] = lease
        heapq.heappush(self._held, (until_ms, number))
        if visitor.delay_ms is not None:
            heapq.heappush(self._calls, (visitor.at_ms + visitor.delay_ms, who, lease))

    def _call(self, at_ms: int, who: int, lease: Lease | None) -> None:
        number = self._draw.choice(self._numbers) if lease is None else lease.number
        leases, called = self._leases[number], self._called[number]
        told = attribute(at_ms, leases, self._model, chance=self._chance, called=called)
        if at_ms >= LEARN_MS:
            if lease is not None:
                self.outcome.calls += 1
                self.outcome.late += leases[0] is not lease
            self.outcome.take(told, "" if lease is None else lease.holder)
        if lease is None or self._draw.random() >= CONFIRMED:
            self._model.unconfirmed()
            for candidate in told.candidates:
                had = called.get(candidate.lease.id, 0.0)
                called[candidate.lease.id] = had + candidate.share
            return
        called[lease.id] = 1.0
        if self._lent.pop(who, None) is not None:
            if who >= self._quiet:
                self._learn(lease, True)
            self._model.called((at_ms - lease.since_ms) / 1000)

    def _learn(self, lease: Lease, called: bool) -> None:
        self._lender.learned(lease.intent, called)
        if self._learn_apart:
            self._check.learned(lease.intent, called)

    def _chance(self, intent: float | None) -> float:
        return self._model.call_rate * self._check.lift(intent)
