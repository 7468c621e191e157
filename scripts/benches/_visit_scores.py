"""Compares visits that an engine told with the stays that were true; bench presence says how."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edge_sdk.wire.touchpoint import Touchpoint
from simulators.crowd import Stay

RETURN_MS = 10_000  # a gap up to this is no leaving
VISIT_MS = 15_000  # a true stay that is shorter counts for neither side


class Visit(NamedTuple):
    """A visit, true or told."""

    beacon: str
    zone: str
    from_ms: float
    until_ms: float

    @property
    def lasts_ms(self) -> float:
        return self.until_ms - self.from_ms

    def shared_ms(self, other: "Visit") -> float:
        """How long both were going on."""
        return min(self.until_ms, other.until_ms) - max(self.from_ms, other.from_ms)


class ToldVisits:
    """Collects an engine's visits; `settle_ms` before an enter it began, if it does not say."""

    def __init__(self, settle_ms: int = 0) -> None:
        self.closed: list[Visit] = []
        self.exits_ms: list[tuple[Visit, int]] = []
        self.open: dict[int, tuple[float, float, float]] = {}
        self.intervals: list[tuple[Visit, float, float]] = []
        self.touchpoints = 0
        self._settle_ms = settle_ms

    def take(self, touchpoints: Iterable[Touchpoint]) -> None:
        """What an engine gave, in its order."""
        for touchpoint in touchpoints:
            self.touchpoints += 1
            if touchpoint.name == "visit.enter":
                self.open[touchpoint.get("visit")] = self._began(touchpoint)
            elif touchpoint.name == "visit.exit":
                self._close(touchpoint)

    def _began(self, enter: Touchpoint) -> tuple[float, float, float]:
        """When it probably began, and the ends of the interval."""
        at_ms = enter.at_ms or 0
        low_ms, high_ms = enter.get("ago_low_ms"), enter.get("ago_high_ms")
        if low_ms is None:
            return at_ms - self._settle_ms, at_ms - self._settle_ms, at_ms - self._settle_ms
        return at_ms - (low_ms + high_ms) / 2, at_ms - high_ms, at_ms - low_ms

    def _close(self, told: Touchpoint) -> None:
        began_ms, _, _ = self.open.pop(told.get("visit"))
        until_ms = began_ms + told.get("dwell_ms")
        visit = Visit(told.get("visitor"), told.get("zone"), began_ms, until_ms)
        self.closed.append(visit)
        self.exits_ms.append((visit, told.at_ms or 0))
        if told.get("dwell_low_ms") is not None:
            self.intervals.append((visit, told.get("dwell_low_ms"), told.get("dwell_high_ms")))


@dataclass(frozen=True, slots=True)
class Scores:
    """How the visits told compare with the true ones."""

    told: int
    true: int
    matched: int
    neutral: int
    false_exits: int
    interval80_coverage: float | None

    @property
    def precision(self) -> float:
        """Of the visits told that count, those that were true."""
        return self.matched / max(1, self.told - self.neutral)

    @property
    def recall(self) -> float:
        """Of the true visits, those that were told."""
        return self.matched / max(1, self.true)


def visits_of(stays: Iterable[Stay]) -> dict[tuple[str, str], list[Visit]]:
    """True visits by identifier and zone: stays with gaps up to RETURN_MS made one."""
    of: dict[tuple[str, str], list[Visit]] = defaultdict(list)
    for stay in sorted(stays, key=lambda stay: stay.from_ms):
        visits = of[stay.beacon, stay.zone]
        if visits and stay.from_ms - visits[-1].until_ms <= RETURN_MS:
            visits[-1] = visits[-1]._replace(until_ms=stay.until_ms)
        else:
            visits.append(Visit(*stay))
    return of


def scored(told: ToldVisits, stays: Iterable[Stay]) -> Scores:
    """Match what was told with what was true."""
    true = visits_of(stays)
    matched, neutral, covered = 0, 0, []
    taken: set[Visit] = set()
    intervals = {visit: (low_ms, high_ms) for visit, low_ms, high_ms in told.intervals}
    for visit in told.closed:
        there = true.get((visit.beacon, visit.zone), [])
        best = max(there, key=visit.shared_ms, default=None)
        if best is None or visit.shared_ms(best) <= 0:
            continue
        if best.lasts_ms < VISIT_MS:
            neutral += 2 * visit.shared_ms(best) >= min(visit.lasts_ms, best.lasts_ms)
        elif best not in taken and 2 * visit.shared_ms(best) >= max(visit.lasts_ms, best.lasts_ms):
            taken.add(best)
            matched += 1
            if visit in intervals:
                low_ms, high_ms = intervals[visit]
                covered.append(low_ms <= best.lasts_ms <= high_ms)
    count = sum(visit.lasts_ms >= VISIT_MS for visits in true.values() for visit in visits)
    return Scores(
        told=len(told.closed),
        true=count,
        matched=matched,
        neutral=neutral,
        false_exits=sum(_stays_on(visit, true) for visit in told.closed),
        interval80_coverage=sum(covered) / len(covered) if covered else None,
    )


def _stays_on(visit: Visit, true: dict[tuple[str, str], list[Visit]]) -> bool:
    """Whether she was there when the visit was said to end, and stayed on."""
    return any(
        stay.from_ms <= visit.until_ms and stay.until_ms - visit.until_ms > RETURN_MS
        for stay in true.get((visit.beacon, visit.zone), [])
    )
