"""Visits: from the probability of each zone, step by step, to stays that open once and close once.

A zone is entered when its probability has been high for a while, and left when it has been low for
a while; between the two levels nothing happens, so that nobody flaps at a border. Decisions come
late on purpose; what they say is dated back to when it probably happened, with an interval: she
came when the probability passed 50 %, give or take half of the time from 10 % to 90 %. A belief
that weighs what it hears is a little late (`lag_ms`), which is taken off.
"""

import math

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .settings import PresenceSettings

NOWHERE = -1

_LIKELY = 0.9  # the ends of the interval, and its middle
_EVEN = 0.5
_SLIM = 0.1


class Told:
    """What is to be told: "enter", "dwell" or "exit" of a visit.

    ago_ms    (low, high): an enter began so long ago, four times in five
    dwell_ms  (most probable, low, high), of a dwell and an exit
    """

    __slots__ = ("ago_ms", "dwell_ms", "probability", "visit", "what", "zone")

    def __init__(
        self,
        what: str,
        visit: int,
        zone: int,
        probability: float,
        ago_ms: "tuple[int, int] | None" = None,
        dwell_ms: "tuple[int, int, int] | None" = None,
    ) -> None:
        self.what = what
        self.visit = visit
        self.zone = zone
        self.probability = probability
        self.ago_ms = ago_ms
        self.dwell_ms = dwell_ms


class Numbers:
    """Numbers of visits: 1, 2, 3 and so on."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


class _Edge:
    """When something probably happened: between `low_ms` and `high_ms`, most probably `at_ms`."""

    __slots__ = ("at_ms", "high_ms", "low_ms")

    def __init__(self, at_ms: int) -> None:
        self.low_ms = self.at_ms = self.high_ms = at_ms

    def half_ms(self, least_ms: int) -> int:
        """Half the width of the interval."""
        return max(least_ms, (self.high_ms - self.low_ms) // 2)


class Visits:
    """The visits of one beacon, one after the other.

    `step` is called with the probabilities of all zones but OUTSIDE; `zone` is where she is.
    """

    __slots__ = ("_came", "_coming", "_left", "_marks", "_rival", "_settings", "visit", "zone")

    def __init__(self, settings: "PresenceSettings", at_ms: int) -> None:
        self._settings = settings
        self.zone = NOWHERE
        self.visit = 0
        self._came = _Edge(at_ms)
        self._left = _Edge(at_ms)
        self._marks = 0
        self._rival = NOWHERE
        self._coming: "_Edge | None" = None

    def step(
        self, at_ms: int, heard_ms: int, zones: "list[float]", numbers: Numbers
    ) -> "list[Told]":
        """What a step brings.

        heard_ms  when the beacon was heard last: silence is not dwelling
        """
        out: "list[Told]" = []
        if self.zone != NOWHERE:
            self._stay(at_ms, heard_ms, zones[self.zone], out)
        arrived = self._arrival(at_ms, zones)
        if arrived and (self.zone == NOWHERE or zones[self.zone] < self._settings.exit_level):
            self.close(1.0 - zones[self.zone], out)
            self._enter(at_ms, zones, numbers, out)
        return out

    def close(self, probability: float, out: "list[Told]") -> None:
        """End the visit, if there is one; `probability` says how sure it is."""
        if self.zone == NOWHERE:
            return
        out.append(
            Told("exit", self.visit, self.zone, probability, dwell_ms=self._dwell(self._left))
        )
        self.zone = NOWHERE

    def _stay(self, at_ms: int, heard_ms: int, probability: float, out: "list[Told]") -> None:
        """She may still be there, or be gone for good."""
        left = self._left
        if probability >= _LIKELY:
            left.low_ms = max(left.low_ms, heard_ms)
        if probability >= _EVEN:
            left.at_ms = max(left.at_ms, heard_ms)
        if probability >= _SLIM:
            left.high_ms = max(left.high_ms, at_ms)
        if probability >= self._settings.exit_level:
            self._mark(at_ms, probability, out)
        elif at_ms - left.at_ms >= self._settings.return_ms:
            self.close(1.0 - probability, out)

    def _mark(self, at_ms: int, probability: float, out: "list[Told]") -> None:
        marks_ms = self._settings.dwell_marks_ms
        dwell_ms = self._dwell(self._left)
        marks = self._marks
        while marks < len(marks_ms) and dwell_ms[0] >= marks_ms[marks]:
            marks += 1
        if marks > self._marks:
            self._marks = marks
            out.append(Told("dwell", self.visit, self.zone, probability, dwell_ms=dwell_ms))

    def _arrival(self, at_ms: int, zones: "list[float]") -> bool:
        """Follow the zone where she may have gone; True when she has been there long enough."""
        best = NOWHERE
        for zone in range(len(zones)):
            probability = zones[zone]
            if zone == self.zone or probability < _SLIM:
                continue
            if best == NOWHERE or probability > zones[best]:
                best = zone
        if best != self._rival:
            self._rival = best
            self._coming = None if best == NOWHERE else _Edge(at_ms)
        coming = self._coming
        if coming is None:
            return False
        probability = zones[best]
        if probability < _EVEN:
            coming.at_ms = at_ms
        if probability < _LIKELY:
            coming.high_ms = at_ms
        settings = self._settings
        return probability >= settings.enter_level and at_ms - coming.at_ms >= settings.min_dwell_ms

    def _enter(self, at_ms: int, zones: "list[float]", numbers: Numbers, out: "list[Told]") -> None:
        coming = self._coming
        assert coming is not None
        self.visit = numbers.next()
        self.zone = self._rival
        self._came = coming
        self._left = _Edge(at_ms)
        self._marks = 0
        self._rival = NOWHERE
        self._coming = None
        began_ago_ms = at_ms - coming.at_ms + self._settings.lag_ms
        half_ms = coming.half_ms(self._settings.lag_ms)
        ago_ms = (max(0, began_ago_ms - half_ms), began_ago_ms + half_ms)
        out.append(Told("enter", self.visit, self.zone, zones[self.zone], ago_ms=ago_ms))

    def _dwell(self, left: _Edge) -> "tuple[int, int, int]":
        """How long the visit lasts: most probably, and within what."""
        lag_ms = self._settings.lag_ms
        came = self._came
        dwell_ms = max(0, left.at_ms - came.at_ms + lag_ms)
        half_ms = round(math.sqrt(came.half_ms(lag_ms) ** 2 + left.half_ms(lag_ms) ** 2))
        return dwell_ms, max(0, dwell_ms - half_ms), dwell_ms + half_ms
