"""Visits: from the probability of each zone, step by step, to stays that open once and close once.

Where she probably is now gains a lead over where she was: by how much it is more probable, less a
margin, second by second, and never below nothing. When the lead is large enough, she has moved: a
sure thing takes some seconds, an even chance for ever, so that nobody flaps at a border (the
cumulative sum test, E. S. Page, 1954). Decisions come late on purpose; what they say is dated back
to when it probably happened, with an interval: she
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

    __slots__ = (
        "_came",
        "_going",
        "_lead_s",
        "_left",
        "_marks",
        "_rival",
        "_settings",
        "_step_s",
        "visit",
        "zone",
    )

    def __init__(self, settings: "PresenceSettings", at_ms: int, step_ms: int = 1_000) -> None:
        self._settings = settings
        self.zone = NOWHERE
        self.visit = 0
        self._came = _Edge(at_ms)
        self._left = _Edge(at_ms)
        self._marks = 0
        self._step_s = step_ms / 1000
        # Where she may be instead, since when, and how clearly: see below.
        self._rival = NOWHERE
        self._going = _Edge(at_ms)
        self._lead_s = 0.0

    def step(
        self, at_ms: int, heard_ms: int, zones: "list[float]", numbers: Numbers
    ) -> "list[Told]":
        """What a step brings.

        zones     the probability of each; that she is in none makes up the rest
        heard_ms  when the beacon was heard last: silence is not dwelling
        """
        out: "list[Told]" = []
        nowhere = max(0.0, 1.0 - sum(zones))
        here = nowhere if self.zone == NOWHERE else zones[self.zone]
        if self.zone != NOWHERE:
            self._stay(at_ms, heard_ms, here, out)
        rival = self._best(zones, nowhere)
        there = nowhere if rival == NOWHERE else zones[rival]
        self._follow(at_ms, rival, there)
        self._lead_s += self._step_s * (there - here - self._settings.margin)
        if self._lead_s <= 0:
            self._lead_s = 0.0
            self._going.at_ms = at_ms
        elif self._lead_s >= self._needed_s(rival):
            self.close(1.0 - here, out)
            if rival != NOWHERE:
                self._enter(at_ms, rival, there, numbers, out)
            self._restart(at_ms)
        return out

    def _best(self, zones: "list[float]", nowhere: float) -> int:
        """Where she is most probably if she is not where she was."""
        best = NOWHERE
        most = nowhere if self.zone != NOWHERE else -1.0
        for zone in range(len(zones)):
            if zone != self.zone and zones[zone] > most:
                best, most = zone, zones[zone]
        return best

    def _follow(self, at_ms: int, rival: int, there: float) -> None:
        """Keep the times of the rival."""
        if rival != self._rival:
            self._rival = rival
            self._restart(at_ms)
            self._rival = rival
        if there < _SLIM:
            self._going.low_ms = at_ms
        if there < _LIKELY:
            self._going.high_ms = at_ms

    def _restart(self, at_ms: int) -> None:
        self._lead_s = 0.0
        self._rival = NOWHERE
        self._going = _Edge(at_ms)

    def _needed_s(self, rival: int) -> float:
        settings = self._settings
        if rival == NOWHERE:
            needed_ms = settings.return_ms
        else:
            needed_ms = settings.min_dwell_ms if self.zone == NOWHERE else settings.change_ms
        return needed_ms / 1000 * (1 - settings.margin)

    def close(self, probability: float, out: "list[Told]") -> None:
        """End the visit, if there is one; `probability` says how sure it is."""
        if self.zone == NOWHERE:
            return
        out.append(
            Told("exit", self.visit, self.zone, probability, dwell_ms=self._dwell(self._left))
        )
        self.zone = NOWHERE

    def _stay(self, at_ms: int, heard_ms: int, probability: float, out: "list[Told]") -> None:
        """She may still be there."""
        left = self._left
        if probability >= _LIKELY:
            left.low_ms = max(left.low_ms, heard_ms)
        if probability >= _EVEN:
            left.at_ms = max(left.at_ms, heard_ms)
            self._mark(at_ms, probability, out)
        if probability >= _SLIM:
            left.high_ms = max(left.high_ms, at_ms)

    def _mark(self, at_ms: int, probability: float, out: "list[Told]") -> None:
        marks_ms = self._settings.dwell_marks_ms
        dwell_ms = self._dwell(self._left)
        marks = self._marks
        while marks < len(marks_ms) and dwell_ms[0] >= marks_ms[marks]:
            marks += 1
        if marks > self._marks:
            self._marks = marks
            out.append(Told("dwell", self.visit, self.zone, probability, dwell_ms=dwell_ms))

    def _enter(
        self, at_ms: int, zone: int, probability: float, numbers: Numbers, out: "list[Told]"
    ) -> None:
        settings = self._settings
        self.visit = numbers.next()
        self.zone = zone
        self._came = self._going
        self._left = _Edge(at_ms)
        self._marks = 0
        began_ago_ms = at_ms - self._came.at_ms + settings.lag_ms
        half_ms = self._came.half_ms(settings.lag_ms)
        ago_ms = (max(0, began_ago_ms - half_ms), began_ago_ms + half_ms)
        out.append(Told("enter", self.visit, zone, probability, ago_ms=ago_ms))

    def _dwell(self, left: _Edge) -> "tuple[int, int, int]":
        """How long the visit lasts: most probably, and within what."""
        lag_ms = self._settings.lag_ms
        came = self._came
        dwell_ms = max(0, left.at_ms - came.at_ms + lag_ms)
        half_ms = round(math.sqrt(came.half_ms(lag_ms) ** 2 + left.half_ms(lag_ms) ** 2))
        return dwell_ms, max(0, dwell_ms - half_ms), dwell_ms + half_ms
