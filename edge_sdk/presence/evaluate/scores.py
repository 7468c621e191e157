"""Play a recorded walk through the presence engine, and tell how near to the truth it came.

The engine is the product's: `Presence` over `WalkerBeliefs`. It hears each reading in its turn and
knows nothing of what follows. Its positions are compared with where the walker was at that moment,
and the zone of its open visit, twice a second, with the zone she was in; before the first visit
opens, it is wrong. The visits decide faster than the default settings do: this asks where she is
now, and not whether she has come to stay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_sdk.presence.evaluate.plain_grid import PlainGrid
from edge_sdk.presence.evaluate.recording import Recording, Track
from edge_sdk.presence.floor import FloorPlan, SurveyPoint
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.statistics import median
from edge_sdk.presence.survey_map import SurveyMap
from edge_sdk.presence.walkers import WalkerBeliefs
from edge_sdk.wire.touchpoint import Touchpoint

STEP_MS = 500
_BEACON = "tag:walker"
_EIGHTY = 1.2816  # standard deviations, each way, of an interval that holds 80 %
_INSIDE_M = 1.0

SETTINGS = PresenceSettings(
    margin=0.4,
    min_dwell_ms=0,
    change_ms=400,
    window_ms=0,
    position_every_ms=STEP_MS,
    dwell_marks_ms=(),
)


@dataclass(slots=True)
class Scores:
    """What was found on one walk, or, added up, on several. Lengths in metres."""

    errors_m: list[float] = field(default_factory=list)
    plain_errors_m: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    right_zone: list[bool] = field(default_factory=list)
    right_inside: list[bool] = field(default_factory=list)
    zone_changes: int = 0
    true_changes: int = 0

    def add(self, other: "Scores") -> None:
        self.errors_m += other.errors_m
        self.plain_errors_m += other.plain_errors_m
        self.covered += other.covered
        self.right_zone += other.right_zone
        self.right_inside += other.right_inside
        self.zone_changes += other.zone_changes
        self.true_changes += other.true_changes

    def as_dict(self) -> dict[str, float | None]:
        """The published keys; None where there was nothing to count."""
        rising = sorted(self.errors_m)
        ratio = self.zone_changes / self.true_changes if self.true_changes else None
        return {
            "mean_error_m": _mean(rising),
            "median_error_m": _rank(rising, 0.5),
            "p90_error_m": _rank(rising, 0.9),
            "interval80_coverage": _mean(self.covered),
            "zone_accuracy": _mean(self.right_zone),
            "zone_accuracy_inside": _mean(self.right_inside),
            "zone_change_ratio": None if ratio is None else round(ratio, 3),
            "plain_mean_error_m": _mean(self.plain_errors_m),
        }


@dataclass(frozen=True, slots=True)
class Store:
    """A surveyed place: its plan and radio map, and what is drawn of it once."""

    recording: Recording
    radio: SurveyMap
    beliefs: WalkerBeliefs

    @classmethod
    def of(cls, recording: Recording, survey: Sequence[SurveyPoint]) -> "Store":
        """`survey` may be a part of the recording's. The walkers carry the beacon of the survey."""
        radio = SurveyMap(recording.plan, survey, recording.beacon_z_m)
        same_beacon = 0.0 if survey else None
        beliefs = WalkerBeliefs(recording.plan, radio, step_ms=STEP_MS, strength_sd_db=same_beacon)
        return cls(recording, radio, beliefs)

    def score(self, track: Track) -> Scores:
        """One walk, alone."""
        scores = Scores()
        told = _told(self.recording.plan, self.beliefs.anew(), track)
        self._positions(scores, track, told)
        self._zones(scores, track, told)
        scores.plain_errors_m = self._plain(track)
        return scores

    def _positions(self, scores: Scores, track: Track, told: Sequence[Touchpoint]) -> None:
        for touchpoint in told:
            if touchpoint.name != "position":
                continue
            true = track.place_at(_since(touchpoint))
            found = (touchpoint.get("x_cm") / 100, touchpoint.get("y_cm") / 100)
            scores.errors_m.append(math.dist(found, true))
            for axis, name in enumerate(("sd_x_cm", "sd_y_cm")):
                half_m = _EIGHTY * touchpoint.get(name) / 100
                scores.covered.append(abs(found[axis] - true[axis]) <= half_m)

    def _zones(self, scores: Scores, track: Track, told: Sequence[Touchpoint]) -> None:
        visits = [one for one in told if one.name in ("visit.enter", "visit.exit")]
        here, last, last_true = None, None, None
        at = 0
        for at_ms in range(STEP_MS, int(track.lasts_ms) + 1, STEP_MS):
            while at < len(visits) and _since(visits[at]) <= at_ms:
                here = visits[at].get("zone") if visits[at].name == "visit.enter" else None
                at += 1
            place = track.place_at(at_ms)
            true = self.recording.zone_at(*place)
            scores.right_zone.append(here == true)
            if self.recording.from_border_m(*place) > _INSIDE_M:
                scores.right_inside.append(here == true)
            scores.true_changes += last_true not in (None, true)
            last_true = true
            if here is not None:
                scores.zone_changes += last not in (None, here)
                last = here

    def _plain(self, track: Track) -> list[float]:
        grid = PlainGrid(self.recording.plan, self.radio, STEP_MS)
        errors = []
        at = 0
        for at_ms in range(STEP_MS, int(track.lasts_ms) + 1, STEP_MS):
            heard: dict[str, list[int]] = {}
            while at < len(track.heard) and track.heard[at].at_ms < at_ms:
                reading = track.heard[at]
                if reading.receiver in self.recording.plan.receivers and reading.rssi_dbm <= 0:
                    heard.setdefault(reading.receiver, []).append(reading.rssi_dbm)
                at += 1
            grid.step([(n, median(sorted(of)), len(of)) for n, of in sorted(heard.items())])
            errors.append(math.dist(grid.place(), track.place_at(at_ms)))
        return errors


_OPENED_MS = 1_000  # the engine's time when a track begins


def _since(touchpoint: Touchpoint) -> int:
    assert touchpoint.at_ms is not None
    return touchpoint.at_ms - _OPENED_MS


def _told(plan: FloorPlan, beliefs: WalkerBeliefs, track: Track) -> list[Touchpoint]:
    engine = Presence(beliefs, plan.receivers, SETTINGS)
    out = []
    for heard in track.heard:
        at_ms = _OPENED_MS + int(heard.at_ms)
        out += engine.hear(at_ms, heard.receiver, _BEACON, heard.rssi_dbm)
    return out + engine.tick(_OPENED_MS + int(track.lasts_ms) + 1)


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


def _rank(rising: Sequence[float], part: float) -> float | None:
    """Nearest rank."""
    return round(rising[min(len(rising) - 1, int(part * len(rising)))], 3) if rising else None
