"""Presence by the strongest receiver, with hysteresis: the simple engine, and the one to beat.

For each beacon and receiver it takes the median of the last seconds: radio noise has outliers, and
a mean follows them. A beacon is in the zone of the receiver whose median is highest. It leaves that
zone only for one that has been stronger by some dB for some seconds, so that it does not flap at a
border, and when it has not been heard for a while. A visit is one stay in one zone.
"""

from ..wire.touchpoint import make
from .engine import DROPS, is_beacon, is_rssi, is_time

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from ..wire.touchpoint import Touchpoint

MAX_READINGS = 64  # kept per beacon and receiver; older ones only count
_PLACE_EVERY_MS = 500


class NearestReceiver:
    """A presence engine (`engine.PresenceEngine`).

    zones              receiver -> name of the zone that it stands in; others are not heard
    places_m           receiver -> (x, y) in metres; without any there are no positions
    memory_ms          readings younger than this make the median that places a beacon
    hysteresis_db      how much stronger another zone must be,
    settle_ms          and for how long, before a beacon is said to be there
    silence_ms         a beacon not heard for this long has left
    window_ms          a `sighting` sums up this much of one beacon at one receiver
    position_every_ms  between two `position`s of a beacon
    dwell_marks_ms     rising; `visit.dwell` is sent once when a visit passes each of them
    max_beacons        the bound on memory; the quietest (heard longest ago, first of those in no
                       zone) is evicted for a new one
    position_sd_cm     standard deviation of a position, each way
    probability_pct    how often a zone is the right one, or None for "nobody knows"

    The last two are what this engine reached on the walks of `simulators`, rounded to the wary
    side. It cannot tell a good moment from a bad one, so it says the same of all.
    """

    __slots__ = (
        "_beacons",
        "_dwell_marks_ms",
        "_hysteresis_db",
        "_last_visit",
        "_max_beacons",
        "_memory_ms",
        "_now_ms",
        "_places_m",
        "_position_every_ms",
        "_position_sd_cm",
        "_probability_pct",
        "_settle_ms",
        "_silence_ms",
        "_window_ms",
        "_zones",
        "dropped",
    )

    def __init__(
        self,
        zones: "dict[str, str]",
        places_m: "dict[str, tuple[float, float]] | None" = None,
        *,
        memory_ms: int = 4_000,
        hysteresis_db: int = 3,
        settle_ms: int = 3_000,
        silence_ms: int = 20_000,
        window_ms: int = 5_000,
        position_every_ms: int = 2_500,
        dwell_marks_ms: "tuple[int, ...]" = (10_000, 30_000, 60_000, 180_000, 600_000),
        max_beacons: int = 256,
        position_sd_cm: int = 350,
        probability_pct: int | None = 70,
    ) -> None:
        if min(max_beacons, window_ms, position_every_ms) < 1:
            raise ValueError("max_beacons, window_ms and position_every_ms are 1 at least")
        self._zones = zones
        self._places_m = places_m or {}
        self._memory_ms = memory_ms
        self._hysteresis_db = hysteresis_db
        self._settle_ms = settle_ms
        self._silence_ms = silence_ms
        self._window_ms = window_ms
        self._position_every_ms = position_every_ms
        self._dwell_marks_ms = dwell_marks_ms
        self._max_beacons = max_beacons
        self._position_sd_cm = position_sd_cm
        self._probability_pct = probability_pct
        self._beacons: "dict[str, _Beacon]" = {}
        self._now_ms = 0
        self._last_visit = 0
        self.dropped: "dict[str, int]" = dict.fromkeys(DROPS, 0)

    @property
    def beacons(self) -> int:
        """How many beacons are remembered."""
        return len(self._beacons)

    @property
    def open_visits(self) -> int:
        """How many of them are in a zone."""
        return sum(1 for beacon in self._beacons.values() if beacon.zone is not None)

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
        """Touchpoints that this reading, and the time since the one before, bring about."""
        reason = self._refusal(at_ms, receiver, beacon, rssi_dbm)
        if reason is not None:
            self.dropped[reason] += 1
            return []
        now_ms = self._now_ms = max(at_ms, self._now_ms)
        out: "list[Touchpoint]" = []
        state = self._beacons.get(beacon)
        if state is not None and not self._advance(state, now_ms, out):
            del self._beacons[beacon]
            state = None
        if state is None:
            if len(self._beacons) >= self._max_beacons:
                self._evict(now_ms, out)
            state = self._beacons[beacon] = _Beacon(beacon, now_ms)
        state.hear(now_ms, receiver, rssi_dbm)
        return out

    def tick(self, at_ms: int) -> "list[Touchpoint]":
        """Touchpoints that time alone brings about, beacon by beacon."""
        if not is_time(at_ms):
            self.dropped["time"] += 1
            return []
        now_ms = self._now_ms = max(at_ms, self._now_ms)
        out: "list[Touchpoint]" = []
        for name in sorted(self._beacons):
            if not self._advance(self._beacons[name], now_ms, out):
                del self._beacons[name]
        return out

    def close(self, at_ms: int) -> "list[Touchpoint]":
        """The end of every visit, beacon by beacon: as probable as that it was in a wrong zone."""
        out = self.tick(at_ms)
        pct = self._probability_pct
        for name in sorted(self._beacons):
            beacon = self._beacons[name]
            self._sum_up(beacon, min(self._now_ms, beacon.window_from_ms + self._window_ms), out)
            self._leave(
                beacon, self._now_ms, beacon.heard_ms, out, None if pct is None else 100 - pct
            )
        self._beacons = {}
        return out

    def _refusal(
        self, at_ms: object, receiver: object, beacon: object, rssi_dbm: object
    ) -> "str | None":
        if not is_time(at_ms):
            return "time"
        if not isinstance(receiver, str) or receiver not in self._zones:
            return "receiver"
        if not isinstance(beacon, str) or not (beacon in self._beacons or is_beacon(beacon)):
            return "beacon"
        if not is_rssi(rssi_dbm):
            return "rssi"
        return None

    def _evict(self, now_ms: int, out: "list[Touchpoint]") -> None:
        # Its last readings are not summed up: a flood of passing beacons would become a flood of
        # touchpoints.
        quietest = min(
            self._beacons,
            key=lambda name: (
                self._beacons[name].zone is not None,
                self._beacons[name].heard_ms,
                name,
            ),
        )
        beacon = self._beacons.pop(quietest)
        self._leave(beacon, now_ms, beacon.heard_ms, out, self._probability_pct)
        self.dropped["evicted"] += 1

    def _advance(self, beacon: "_Beacon", now_ms: int, out: "list[Touchpoint]") -> bool:
        """Bring a beacon up to now; False when it has left and is to be forgotten."""
        if now_ms - beacon.window_from_ms >= self._window_ms:
            self._close_window(beacon, now_ms, out)
        if now_ms - beacon.heard_ms >= self._silence_ms:
            self._leave(beacon, now_ms, beacon.heard_ms, out, self._probability_pct)
            return False
        if now_ms - beacon.placed_ms >= _PLACE_EVERY_MS:
            beacon.placed_ms = _on_grid(beacon.placed_ms, _PLACE_EVERY_MS, now_ms)
            medians = beacon.medians(now_ms - self._memory_ms)
            if medians:
                self._place(beacon, medians, now_ms, out)
                self._dwell(beacon, now_ms, out)
                self._position(beacon, medians, now_ms, out)
        return True

    def _close_window(self, beacon: "_Beacon", now_ms: int, out: "list[Touchpoint]") -> None:
        # All that was heard since the last window closed belongs to the first of those that have
        # passed.
        self._sum_up(beacon, beacon.window_from_ms + self._window_ms, out)
        beacon.window_from_ms = _on_grid(beacon.window_from_ms, self._window_ms, now_ms)

    def _sum_up(self, beacon: "_Beacon", until_ms: int, out: "list[Touchpoint]") -> None:
        """The `sighting`s of the open window."""
        for receiver in sorted(beacon.heard):
            heard = beacon.heard[receiver]
            if not heard.readings:
                continue
            rssi_dbm = heard.since(beacon.window_from_ms)
            middle_dbm = median(rssi_dbm)
            out.append(
                make(
                    "sighting",
                    until_ms,
                    receiver=receiver,
                    beacon=beacon.visitor,
                    window_ms=self._window_ms,
                    readings=heard.readings,
                    rssi_median_dbm=middle_dbm,
                    rssi_spread_db=median([abs(value - middle_dbm) for value in rssi_dbm]),
                )
            )
            heard.readings = 0

    def _place(
        self, beacon: "_Beacon", medians: "dict[str, int]", now_ms: int, out: "list[Touchpoint]"
    ) -> None:
        strengths: "dict[str, int]" = {}
        for receiver in medians:
            zone = self._zones[receiver]
            strengths[zone] = max(medians[receiver], strengths.get(zone, -999))
        leader = max(sorted(strengths), key=lambda zone: strengths[zone])
        # Before it is anywhere, the zone where it will probably be has the benefit of hysteresis.
        holder = beacon.zone if beacon.zone is not None else beacon.rival
        if holder is not None and strengths[leader] < strengths.get(holder, -999) + max(
            1, self._hysteresis_db
        ):
            leader = holder
        if leader == beacon.zone:
            beacon.rival = None
            return
        if leader != beacon.rival:
            beacon.rival = leader
            beacon.rival_since_ms = now_ms
        if now_ms - beacon.rival_since_ms >= self._settle_ms:
            self._leave(beacon, now_ms, beacon.rival_since_ms, out, self._probability_pct)
            self._enter(beacon, leader, now_ms, out)

    def _enter(self, beacon: "_Beacon", zone: str, now_ms: int, out: "list[Touchpoint]") -> None:
        self._last_visit += 1
        beacon.visit = self._last_visit
        beacon.zone = zone
        beacon.entered_ms = beacon.rival_since_ms
        beacon.marks = 0
        beacon.rival = None
        out.append(
            make(
                "visit.enter",
                now_ms,
                visit=beacon.visit,
                visitor=beacon.visitor,
                zone=zone,
                probability_pct=self._probability_pct,
            )
        )

    def _dwell(self, beacon: "_Beacon", now_ms: int, out: "list[Touchpoint]") -> None:
        if beacon.zone is None:
            return
        dwell_ms = beacon.heard_ms - beacon.entered_ms  # silence is not dwelling
        marks = beacon.marks
        while marks < len(self._dwell_marks_ms) and dwell_ms >= self._dwell_marks_ms[marks]:
            marks += 1
        if marks > beacon.marks:
            beacon.marks = marks
            out.append(self._stay("visit.dwell", beacon, now_ms, dwell_ms, self._probability_pct))

    def _leave(
        self,
        beacon: "_Beacon",
        now_ms: int,
        until_ms: int,
        out: "list[Touchpoint]",
        probability_pct: int | None,
    ) -> None:
        """Close the visit, if there is one; it lasted until `until_ms`."""
        if beacon.zone is not None:
            dwell_ms = max(0, until_ms - beacon.entered_ms)
            out.append(self._stay("visit.exit", beacon, now_ms, dwell_ms, probability_pct))
            beacon.zone = None

    def _stay(
        self,
        name: str,
        beacon: "_Beacon",
        now_ms: int,
        dwell_ms: int,
        probability_pct: int | None,
    ) -> "Touchpoint":
        return make(
            name,
            now_ms,
            visit=beacon.visit,
            visitor=beacon.visitor,
            zone=beacon.zone,
            dwell_ms=dwell_ms,
            probability_pct=probability_pct,
        )

    def _position(
        self, beacon: "_Beacon", medians: "dict[str, int]", now_ms: int, out: "list[Touchpoint]"
    ) -> None:
        """The centroid of the receivers, each as heavy as the amplitude that it hears."""
        if now_ms - beacon.positioned_ms < self._position_every_ms:
            return
        beacon.positioned_ms = _on_grid(beacon.positioned_ms, self._position_every_ms, now_ms)
        total = x_m = y_m = 0.0
        for receiver in sorted(medians):
            place_m = self._places_m.get(receiver)
            if place_m is not None:
                weight = 10 ** (medians[receiver] / 20)
                total += weight
                x_m += weight * place_m[0]
                y_m += weight * place_m[1]
        if total:
            out.append(
                make(
                    "position",
                    now_ms,
                    visitor=beacon.visitor,
                    floor=0,
                    x_cm=round(100 * x_m / total),
                    y_cm=round(100 * y_m / total),
                    sd_x_cm=self._position_sd_cm,
                    sd_y_cm=self._position_sd_cm,
                    correlation_pct=0,
                )
            )


class _Beacon:
    """What is remembered of one beacon."""

    __slots__ = (
        "entered_ms",
        "heard",
        "heard_ms",
        "marks",
        "placed_ms",
        "positioned_ms",
        "rival",
        "rival_since_ms",
        "visit",
        "visitor",
        "window_from_ms",
        "zone",
    )

    def __init__(self, visitor: str, now_ms: int) -> None:
        self.visitor = visitor
        self.heard: "dict[str, _Heard]" = {}
        self.heard_ms = self.window_from_ms = self.placed_ms = self.positioned_ms = now_ms
        self.zone: str | None = None
        self.visit = self.entered_ms = self.marks = 0
        # Where it may be instead, and since when that zone has been the stronger one.
        self.rival: str | None = None
        self.rival_since_ms = 0

    def hear(self, now_ms: int, receiver: str, rssi_dbm: int) -> None:
        self.heard_ms = now_ms
        heard = self.heard.get(receiver)
        if heard is None:
            heard = self.heard[receiver] = _Heard()
        heard.add(now_ms, rssi_dbm)

    def medians(self, after_ms: int) -> "dict[str, int]":
        """Receiver -> median of what it has heard since then, in dBm; silent ones left out."""
        medians = {}
        for receiver in self.heard:
            rssi_dbm = self.heard[receiver].since(after_ms)
            if rssi_dbm:
                medians[receiver] = median(rssi_dbm)
        return medians


class _Heard:
    """The last readings of one beacon at one receiver."""

    __slots__ = ("at_ms", "readings", "rssi_dbm")

    def __init__(self) -> None:
        self.at_ms: "list[int]" = []
        self.rssi_dbm: "list[int]" = []
        self.readings = 0  # in the open window, those no longer kept included

    def add(self, now_ms: int, rssi_dbm: int) -> None:
        self.at_ms.append(now_ms)
        self.rssi_dbm.append(rssi_dbm)
        if len(self.at_ms) > MAX_READINGS:
            self.at_ms.pop(0)
            self.rssi_dbm.pop(0)
        self.readings += 1

    def since(self, from_ms: int) -> "list[int]":
        """What was heard at or after that time, in dBm."""
        at = len(self.at_ms)
        while at and self.at_ms[at - 1] >= from_ms:
            at -= 1
        return self.rssi_dbm[at:]


def _on_grid(last_ms: int, every_ms: int, now_ms: int) -> int:
    """The newest time up to now that is a multiple of `every_ms` after `last_ms`.

    All that is done for a beacon is done at multiples after it was first heard. So what a batch
    says of one beacon comes together, and the batch names fewer beacons.
    """
    return last_ms + (now_ms - last_ms) // every_ms * every_ms


def median(values: "list[int]") -> int:
    """The middle value; of two middle ones the higher, so that it stays an integer."""
    return sorted(values)[len(values) // 2]
