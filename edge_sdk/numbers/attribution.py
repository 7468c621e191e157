"""Who has called: how probable each past holder of the number is, and whether to name one.

The last holder is only the likeliest guess. A holder i who was lent the number at age a_i before
the call, and calls with probability p_i at all, calls in this very second with p_i f(a_i), with f
the density of the delay; a stranger (who dials it from a poster, from memory, by mistake, with a
made-up caller id) calls with a rate s. So by Bayes

    P(i | call) = p_i f(a_i) / (s + sum of p_j f(a_j))

over all who ever held the number. Only the latest are looked at one by one; of older holders, lent
at the pace of those, the sum is  pace * p * (share of callers who are slower than that).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from edge_sdk.numbers.delay_model import DelayModel
from edge_sdk.numbers.lease import SESSION, Lease

THRESHOLD = 0.8
MOST_LEASES = 128
CLOCK_SLACK_MS = 2_000  # a call so much before its lease was made with it
_WORTH_TELLING = 0.001  # a share below which a candidate is one of the unknown
_STANDING_PER_S = 1 / 86_400  # calls to a poster's or a campaign's number: one a day

# Why nobody was named; NAMED if somebody was.
NAMED = "named"
UNSURE = "unsure"  # nobody is above the threshold
NEVER_LENT = "never_lent"  # no lease at all
BEFORE_ANY_LEASE = "before_any_lease"  # all of them began later: perhaps a clock is wrong
ERASED = "erased"  # who it was has been erased
REASONS = (NAMED, UNSURE, NEVER_LENT, BEFORE_ANY_LEASE, ERASED)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A holder who may have called.

    lease   the likeliest of her leases of this number; `leases` says how many she had
    share   how probable it is that she called, 0 to 1
    age_ms  from that lease to the call
    chance  that a visitor like her calls at all; None for a poster's or a campaign's number
    """

    lease: Lease
    share: float
    age_ms: int
    chance: float | None
    leases: int = 1

    @property
    def why(self) -> str:
        """The evidence in words; names nobody."""
        what = "shown the number" if self.lease.kind == SESSION else "has had the number"
        words = [f"{self.share:.0%}: {what} {_ago(self.age_ms)} before the call"]
        if self.chance is not None:
            scored = "" if self.lease.intent is not None else ", not scored"
            words.append(f"{self.chance:.1%} of such visitors call{scored}")
        if self.leases > 1:
            words.append(f"held it {self.leases} times")
        return "; ".join(words)


@dataclass(frozen=True, slots=True)
class Attribution:
    """The candidates, likeliest first, and what is left for people who are none of them.

    named    the candidate above the threshold, or None: unattributed
    reason   one of REASONS
    unknown  how probable it is that none of the candidates called: a stranger, or somebody whose
             lease is too old to be looked at, or whose own share is below a thousandth
    """

    named: Candidate | None
    reason: str
    candidates: tuple[Candidate, ...]
    unknown: float

    @property
    def sure(self) -> float:
        """How sure the likeliest candidate is, 0 to 1; named or not."""
        return self.candidates[0].share if self.candidates else 0.0


def attribute(
    at_ms: int,
    leases: Iterable[Lease],
    model: DelayModel,
    *,
    threshold: float = THRESHOLD,
    chance: Callable[[float | None], float] | None = None,
    called: Mapping[str, float] | None = None,
    most: int = MOST_LEASES,
    slack_ms: int = CLOCK_SLACK_MS,
) -> Attribution:
    """Who called one of our numbers.

    at_ms      when it rang: the earlier of what the source says and when we heard of it, so that
               a clock that is ahead does no harm; one that is late cannot be told from bad news
               that came late, except when no lease had begun yet (BEFORE_ANY_LEASE)
    leases     all of that number, of any state and in any order; whoever was erased has no holder
    threshold  name nobody who is not as probable as this
    chance     of a call, by intent; None: the intent itself, or else the model's call rate. Give
               `lambda intent: model.call_rate * check.lift(intent)` where the score is checked.
    called     lease id -> how probable it is that its holder has called already, 0 to 1: the sum of
               her shares in earlier calls, 1 if she was confirmed. She is not expected twice; who
               rings again is known by the caller's number.
    most       leases to look at one by one, the latest

    Raises ValueError if the threshold is not above 0.5 and at most 1, or `most` is not positive.
    """
    if not 0.5 < threshold <= 1 or most < 1:
        raise ValueError("the threshold is above 0.5 and at most 1, and one lease is looked at")
    begun, later, left_out = _latest(at_ms + slack_ms, leases, most)
    if not begun:
        reason = BEFORE_ANY_LEASE if later else NEVER_LENT
        return Attribution(None, reason, (), 1.0)
    chances = chance or _plain_chance(model)
    found: dict[str, list[_Expected]] = {}
    expected: list[float] = []
    for lease in begun:
        share = None
        if lease.kind != SESSION:
            per_s = _standing_per_s(at_ms, lease, model)
        else:
            share = _bounded(chances(lease.intent))
            had = _bounded(called[lease.id]) if called and lease.id in called else 0.0
            expected.append(share * (1.0 - had))
            age_ms = at_ms - lease.since_ms
            per_s = expected[-1] * model.mix.density_per_s(age_ms / 1000 if age_ms > 0 else 0.0)
        # Each erased one stands alone: nobody knows any more which of them were one person.
        holder = lease.holder or f"erased {lease.id}"
        found.setdefault(holder, []).append(_Expected(per_s, lease, share))
    sums = {holder: sum(each.per_s for each in held) for holder, held in found.items()}
    strangers = model.stray_per_s
    if left_out and expected:
        age_s = max(1, at_ms - begun[-1].since_ms) / 1000
        strangers += _older_per_s(age_s, expected, left_out, model)
    whole = strangers + sum(sums.values())
    candidates = tuple(
        _candidate(at_ms, found[holder], per_s / whole)
        for holder, per_s in sorted(sums.items(), key=lambda item: -item[1])
        if per_s >= _WORTH_TELLING * whole
    )
    unknown = max(0.0, 1.0 - sum(candidate.share for candidate in candidates))
    first = candidates[0] if candidates else None
    if first is None or first.share < threshold:
        return Attribution(None, UNSURE, candidates, unknown)
    if not first.lease.holder:
        return Attribution(None, ERASED, candidates, unknown)
    return Attribution(first, NAMED, candidates, unknown)


class _Expected(NamedTuple):
    """Calls a second to be expected from a lease, now; and the chance behind it."""

    per_s: float
    lease: Lease
    chance: float | None


def _bounded(share: float) -> float:
    return share if 0.0 <= share <= 1.0 else float(share > 1.0)


def _candidate(at_ms: int, held: Sequence[_Expected], share: float) -> Candidate:
    likeliest = max(held, key=lambda each: each.per_s)
    age_ms = max(0, at_ms - likeliest.lease.since_ms)
    return Candidate(likeliest.lease, share, age_ms, likeliest.chance, len(held))


def _latest(before_ms: int, leases: Iterable[Lease], most: int) -> tuple[list[Lease], int, int]:
    """The latest that have begun, the latest first; how many began later; how many are left out."""
    every = list(leases)
    begun = [lease for lease in every if lease.since_ms <= before_ms]
    # The id decides between two of one millisecond, so that the order of `leases` never matters.
    begun.sort(key=attrgetter("since_ms", "id"), reverse=True)
    return begun[:most], len(every) - len(begun), max(0, len(begun) - most)


def _plain_chance(model: DelayModel) -> Callable[[float | None], float]:
    return lambda intent: model.call_rate if intent is None else intent


def _standing_per_s(at_ms: int, lease: Lease, model: DelayModel) -> float:
    """Calls a second to a poster's or a campaign's number: who read it calls later as others do."""
    gone_ms = 0 if lease.ended_ms is None else max(0, at_ms - lease.ended_ms)
    return _STANDING_PER_S * model.mix.remaining(gone_ms / 1000)


def _older_per_s(
    age_s: float, expected: Sequence[float], left_out: int, model: DelayModel
) -> float:
    """Calls a second from all who held the number longer ago than that, and are not looked at.

    `expected` has the chances of those who are: the others are taken to be like them.
    """
    at_this_pace = len(expected) / age_s * model.mix.remaining(age_s)
    none_is_younger = left_out * model.mix.density_per_s(age_s)
    return sum(expected) / len(expected) * min(at_this_pace, none_is_younger)


def _ago(age_ms: int) -> str:
    """An age for people."""
    seconds = age_ms // 1000
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
