"""The presence engine: readings in; visits with a probability and an interval, and positions, out.

For each beacon it keeps a belief (belief.py), how long its silences are (silence.py) and its visit
(visits.py), and steps them about once a second. Beacons take turns by the tenth of a step in which
they were first heard, so a reading costs the same however many there are.

Silence is evidence only where somebody listened: it counts while the receiver that heard the beacon
best still hears something. A radio that dies takes nobody out of the store.
"""

from ..wire.touchpoint import make
from .engine import DROPS, RSSI_MAX_DBM, RSSI_MIN_DBM, is_beacon, is_rssi, is_time
from .settings import PresenceSettings
from .silence import Silence
from .statistics import MAX_RECEIVERS, Log, median, summary
from .visits import NOWHERE, Numbers, Visits

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..wire.touchpoint import Touchpoint
    from .belief import Belief, Beliefs
    from .visits import Told

_TURNS = 10  # in each step
_END_MS = 1 << 53
_MAX_SUMMED = 100_000
_LOOKED_AT = 16  # beacons, for the quietest of them
_SURELY_GONE = 0.95


class Presence:
    """A presence engine (`engine.PresenceEngine`).

    beliefs    makes what is believed of each beacon, and says how often that is stepped
    receivers  the names of the store's receivers, 256 at most; others are not heard
    settings   times and levels

    The same readings give the same touchpoints. Memory is bounded by `settings.max_beacons`; of
    sixteen beacons, those in no zone first, then the newest ones, then the one heard longest ago,
    one is evicted for a new one.
    """

    __slots__ = (
        "_alive_ms",
        "_beacons",
        "_beliefs",
        "_cursor",
        "_due_ms",
        "_names",
        "_now_ms",
        "_number",
        "_numbers",
        "_ring",
        "_settings",
        "_step_ms",
        "_turn_ms",
        "_turns",
        "dropped",
    )

    def __init__(
        self,
        beliefs: "Beliefs",
        receivers: "Iterable[str]",
        settings: "PresenceSettings | None" = None,
    ) -> None:
        self._beliefs = beliefs
        self._names = sorted(receivers)
        if not 0 < len(self._names) <= MAX_RECEIVERS:
            raise ValueError("a store has 1 to %d receivers" % MAX_RECEIVERS)
        self._number = {name: at for at, name in enumerate(self._names)}
        self._settings = settings if settings is not None else PresenceSettings()
        self._turn_ms = max(1, beliefs.step_ms // _TURNS)
        self._step_ms = self._turn_ms * _TURNS
        self._alive_ms = [-1] * len(self._names)
        self._beacons: "dict[str, _Beacon]" = {}
        self._turns: "list[list[_Beacon]]" = [[] for _ in range(_TURNS)]
        self._ring: "list[_Beacon]" = []
        self._cursor = 0
        self._now_ms = 0
        self._due_ms = 0
        self._numbers = Numbers()
        self.dropped: "dict[str, int]" = dict.fromkeys(DROPS, 0)

    @property
    def beacons(self) -> int:
        """How many beacons are remembered."""
        return len(self._beacons)

    @property
    def open_visits(self) -> int:
        """How many of them are in a zone."""
        return sum([1 for beacon in self._ring if beacon.visits.zone != NOWHERE])

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
        """Touchpoints that the time since the reading before this one brings about."""
        if not (
            type(at_ms) is type(rssi_dbm) is int
            and type(receiver) is type(beacon) is str
            and 0 <= at_ms < _END_MS
            and RSSI_MIN_DBM <= rssi_dbm <= RSSI_MAX_DBM
            and receiver in self._number
        ):
            reason = self._refusal(at_ms, receiver, beacon, rssi_dbm)
            if reason is not None:
                self.dropped[reason] += 1
                return []
        out: "list[Touchpoint]" = []
        self._now_ms = max(self._now_ms, at_ms)
        if self._now_ms >= self._due_ms:
            self._take_turns(out)
        state = self._beacons.get(beacon)
        if state is None:
            if not is_beacon(beacon):
                self.dropped["beacon"] += 1
                return out
            state = self._meet(beacon, out)
        number = self._number[receiver]
        self._alive_ms[number] = state.heard_ms = self._now_ms
        state.log.add(number, rssi_dbm)
        return out

    def hear_summary(
        self,
        at_ms: int,
        receiver: str,
        beacon: str,
        window_ms: int,
        readings: int,
        rssi_median_dbm: int,
        rssi_spread_db: int,
    ) -> "list[Touchpoint]":
        """A receiver's own summary (`sighting`): what it heard in the `window_ms` before `at_ms`.

        For the bridge, whose engine steps about as often as its receivers sum up. Summaries of one
        step may come in any order; one that is older than a window before its beacon's last step
        is dropped ("time"). The spread is not used: a step weighs a median by its readings.
        """
        reason = self._refusal(at_ms, receiver, beacon, rssi_median_dbm)
        if reason is None and not _is_summary(window_ms, readings):
            reason = "rssi"
        state = self._beacons.get(beacon) if reason is None else None
        if state is not None and at_ms < state.stepped_ms - window_ms:
            reason = "time"
        if reason is not None:
            self.dropped[reason] += 1
            return []
        out: "list[Touchpoint]" = []
        self._now_ms = max(at_ms, self._now_ms)
        self._take_turns(out)
        state = self._beacons.get(beacon)
        if state is None:
            state = self._meet(beacon, out)
        number = self._number[receiver]
        state.heard_ms = max(state.heard_ms, at_ms)
        self._alive_ms[number] = max(self._alive_ms[number], at_ms)
        state.log.add_summary(number, rssi_median_dbm, readings)
        return out

    def alive(self, at_ms: int, receiver: str) -> None:
        """A receiver works: it hears something, if only what is not for us.

        Without this, a store with one beacon cannot tell its leaving from a dead radio, and waits
        for `forget_ms`.
        """
        number = self._number.get(receiver)
        if number is not None and is_time(at_ms):
            self._alive_ms[number] = max(self._alive_ms[number], at_ms)

    def tick(self, at_ms: int) -> "list[Touchpoint]":
        """Touchpoints that time alone brings about."""
        if not is_time(at_ms):
            self.dropped["time"] += 1
            return []
        out: "list[Touchpoint]" = []
        self._now_ms = max(at_ms, self._now_ms)
        self._take_turns(out)
        return out

    def close(self, at_ms: int) -> "list[Touchpoint]":
        """The end of every visit, as probable as it is that it is over."""
        out = self.tick(at_ms)
        for beacon in self._ring:
            if self._settings.window_ms and len(beacon.log):
                beacon.keep(beacon.log)
            self._sum_up(beacon, self._now_ms, out)
            if beacon.visits.zone != NOWHERE:
                gone = beacon.silence.gone(self._step_ms / 1000)
                here = (1 - gone) * beacon.belief.zones()[beacon.visits.zone]
                self._close(beacon, 1 - min(1.0, here), out)
        self._beacons = {}
        self._turns = [[] for _ in range(_TURNS)]
        self._ring = []
        self._cursor = 0
        return out

    def _refusal(
        self, at_ms: object, receiver: object, beacon: object, rssi_dbm: object
    ) -> "str | None":
        if not is_time(at_ms):
            return "time"
        if not isinstance(receiver, str) or receiver not in self._number:
            return "receiver"
        if not is_beacon(beacon):
            return "beacon"
        if not is_rssi(rssi_dbm):
            return "rssi"
        return None

    # Beacons come and go

    def _meet(self, name: str, out: "list[Touchpoint]") -> "_Beacon":
        if len(self._ring) >= self._settings.max_beacons:
            self._evict(out)
        now_ms = self._now_ms
        # Its turn is the one that has just passed, so that its first step is a whole one.
        turn = now_ms // self._turn_ms
        at_ms = turn * self._turn_ms
        fresh = self._beliefs.fresh(at_ms)
        beacon = _Beacon(name, at_ms, fresh, Visits(self._settings, at_ms, self._step_ms))
        beacon.seat = len(self._ring)
        self._ring.append(beacon)
        self._turns[turn % _TURNS].append(beacon)
        self._beacons[name] = beacon
        return beacon

    def _evict(self, out: "list[Touchpoint]") -> None:
        # Its last readings are not summed up: a flood of passing beacons would become a flood of
        # touchpoints.
        ring = self._ring
        quietest = None
        looked_at = 0
        for _ in range(len(ring)):
            self._cursor = (self._cursor + 1) % len(ring)
            beacon = ring[self._cursor]
            if quietest is None or beacon.rank() < quietest.rank():
                quietest = beacon
            looked_at += 1
            if looked_at >= _LOOKED_AT and quietest.visits.zone == NOWHERE:
                break
        if quietest is not None:
            self._close(quietest, 0.5, out)
            self._forget(quietest)
            turn = self._turns[quietest.stepped_ms // self._turn_ms % _TURNS]
            turn.remove(quietest)
            self.dropped["evicted"] += 1

    def _forget(self, beacon: "_Beacon") -> None:
        """Out of all but its turn."""
        del self._beacons[beacon.name]
        last = self._ring.pop()
        if last is not beacon:
            self._ring[beacon.seat] = last
            last.seat = beacon.seat

    # Steps

    def _take_turns(self, out: "list[Touchpoint]") -> None:
        """Step every beacon whose time has come, turn by turn."""
        while self._due_ms <= self._now_ms:
            at_ms = self._due_ms
            if not self._beacons:
                self._due_ms = (self._now_ms // self._turn_ms + 1) * self._turn_ms
                return
            turn = at_ms // self._turn_ms % _TURNS
            if turn == 0:
                self._listen(at_ms)
            here = self._turns[turn]
            staying = [beacon for beacon in here if self._step(beacon, at_ms, out)]
            if len(staying) < len(here):
                self._turns[turn] = staying
            self._due_ms = at_ms + self._turn_ms

    def _listen(self, at_ms: int) -> None:
        """Note the receivers that may be dead: what they do not hear says nothing."""
        since_ms = at_ms - self._settings.trust_ms
        deaf = self._beliefs.deaf
        for number in range(len(self._names)):
            if self._alive_ms[number] < since_ms:
                deaf.add(self._names[number])
            else:
                deaf.discard(self._names[number])

    def _step(self, beacon: "_Beacon", at_ms: int, out: "list[Touchpoint]") -> bool:
        """Bring a beacon up to now; False when it has left and is forgotten."""
        if at_ms <= beacon.stepped_ms:
            return True
        log = beacon.log
        if len(log):
            heard = self._heard(beacon)
            beacon.silence.hear(self._step_ms / 1000)
            beacon.known = min(3, beacon.known + 1)
            if self._settings.window_ms:
                beacon.keep(log)
            beacon.log = Log()
        elif at_ms - beacon.heard_ms >= self._settings.forget_ms:
            return self._leave(beacon, 0.5, at_ms, out)
        elif self._alive_ms[beacon.best] < at_ms - self._step_ms:
            beacon.stepped_ms = at_ms
            self._close_window(beacon, at_ms, out)
            return True  # nobody listened
        else:
            heard = []
            beacon.silence.miss()
        beacon.stepped_ms = at_ms
        self._close_window(beacon, at_ms, out)
        return self._believe(beacon, at_ms, heard, out)

    def _heard(self, beacon: "_Beacon") -> "list[tuple[str, float, int]]":
        """A step's readings by receiver: its name, their median, their number."""
        heard = []
        best_dbm = -999.0
        for number, rising_dbm, readings in beacon.log.by_receiver():
            median_dbm = median(rising_dbm)
            heard.append((self._names[number], median_dbm, readings))
            if median_dbm > best_dbm:
                best_dbm = median_dbm
                beacon.best = number
        return heard

    def _believe(
        self,
        beacon: "_Beacon",
        at_ms: int,
        heard: "list[tuple[str, float, int]]",
        out: "list[Touchpoint]",
    ) -> bool:
        beacon.belief.step(at_ms, heard)
        gone = beacon.silence.gone(self._step_ms / 1000)
        zones = beacon.belief.zones()
        zones.pop()  # OUTSIDE
        if gone:
            zones = [(1 - gone) * zone for zone in zones]
        for told in beacon.visits.step(at_ms, beacon.heard_ms, zones, self._numbers):
            self._tell(beacon, told, at_ms, out)
        if gone > _SURELY_GONE and beacon.visits.zone == NOWHERE:
            return self._leave(beacon, gone, at_ms, out)
        every_ms = self._settings.position_every_ms
        if every_ms and heard and at_ms - beacon.positioned_ms >= every_ms:
            beacon.positioned_ms += (at_ms - beacon.positioned_ms) // every_ms * every_ms
            self._position(beacon, at_ms, out)
        return True

    def _leave(
        self, beacon: "_Beacon", probability: float, at_ms: int, out: "list[Touchpoint]"
    ) -> bool:
        self._sum_up(beacon, at_ms, out)
        self._close(beacon, probability, out)
        self._forget(beacon)
        return False

    # What is told

    def _close(self, beacon: "_Beacon", probability: float, out: "list[Touchpoint]") -> None:
        told: "list[Told]" = []
        beacon.visits.close(probability, told)
        for one in told:
            self._tell(beacon, one, self._now_ms, out)

    def _tell(self, beacon: "_Beacon", told: "Told", at_ms: int, out: "list[Touchpoint]") -> None:
        fields: "dict[str, object]" = {
            "visit": told.visit,
            "visitor": beacon.name,
            "zone": self._beliefs.zones[told.zone],
            "probability_pct": round(100 * told.probability),
        }
        if told.dwell_ms is not None:
            fields["dwell_ms"], fields["dwell_low_ms"], fields["dwell_high_ms"] = told.dwell_ms
        if told.ago_ms is not None:
            fields["ago_low_ms"], fields["ago_high_ms"] = told.ago_ms
        out.append(make("visit." + told.what, at_ms, **fields))

    def _position(self, beacon: "_Beacon", at_ms: int, out: "list[Touchpoint]") -> None:
        found = beacon.belief.position()
        if found is None:
            return
        x_m, y_m, var_x, var_y, cov = found
        sd_x, sd_y = var_x**0.5, var_y**0.5
        out.append(
            make(
                "position",
                at_ms,
                visitor=beacon.name,
                floor=0,
                x_cm=round(100 * x_m),
                y_cm=round(100 * y_m),
                sd_x_cm=round(100 * sd_x),
                sd_y_cm=round(100 * sd_y),
                correlation_pct=round(100 * cov / (sd_x * sd_y)) if sd_x and sd_y else 0,
            )
        )

    def _close_window(self, beacon: "_Beacon", at_ms: int, out: "list[Touchpoint]") -> None:
        window_ms = self._settings.window_ms
        if window_ms and at_ms - beacon.window_from_ms >= window_ms:
            self._sum_up(beacon, at_ms, out)
            beacon.window_from_ms += (at_ms - beacon.window_from_ms) // window_ms * window_ms

    def _sum_up(self, beacon: "_Beacon", at_ms: int, out: "list[Touchpoint]") -> None:
        """The `sighting`s of the open window."""
        window = beacon.window
        if window is None:
            return
        beacon.window = None
        window_ms = self._settings.window_ms
        for number, rising_dbm, readings in window.by_receiver():
            median_dbm, spread_db = summary(rising_dbm)
            out.append(
                make(
                    "sighting",
                    min(at_ms, beacon.window_from_ms + window_ms),
                    receiver=self._names[number],
                    beacon=beacon.name,
                    window_ms=window_ms,
                    readings=readings,
                    rssi_median_dbm=median_dbm,
                    rssi_spread_db=spread_db,
                )
            )


class _Beacon:
    """What is remembered of one beacon."""

    __slots__ = (
        "belief",
        "best",
        "heard_ms",
        "known",
        "log",
        "name",
        "positioned_ms",
        "seat",
        "silence",
        "stepped_ms",
        "visits",
        "window",
        "window_from_ms",
    )

    def __init__(self, name: str, at_ms: int, belief: "Belief", visits: Visits) -> None:
        self.name = name
        self.belief = belief
        self.visits = visits
        self.silence = Silence()
        self.log = Log()
        self.window: "Log | None" = None
        self.heard_ms = self.stepped_ms = self.window_from_ms = self.positioned_ms = at_ms
        self.best = 0  # the receiver that heard it best, in the last step in which any did
        self.seat = 0  # among all beacons
        self.known = 0  # steps in which it was heard, up to a few

    def keep(self, log: Log) -> None:
        """Add a step's readings to the window's."""
        if self.window is None:
            self.window = Log(1024)
        self.window.extend(log)

    def rank(self) -> "tuple[bool, int, int]":
        """The lowest is evicted first: who passes before who is in a zone, and who is new first."""
        return self.visits.zone != NOWHERE, self.known, self.heard_ms


def _is_summary(window_ms: object, readings: object) -> bool:
    return (
        is_time(window_ms) and is_time(readings) and window_ms > 0 and 0 < readings <= _MAX_SUMMED
    )
