"""One survey under way: what is heard, the point that is being recorded, and those that are done.

No clock and no network: times come in, in seconds of any steady clock. What is done is on disk.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan
from edge_sdk.plan_picture import extent
from edge_sdk.presence.engine import is_beacon, is_rssi
from edge_sdk.survey.covering import Covering
from edge_sdk.survey.notebook import Notebook
from edge_sdk.survey_file import Heard, Surveyed

LIVE_S = 4.0  # what is shown as heard now
MAX_BEACONS = 64  # that are remembered, to choose from
SHOWN_BEACONS = 6
_BEYOND_M = 5.0  # how far outside of the plan a point may be
_MAX_LIVE = 64


class Reading(Protocol):
    """What a radio hands over: `receiver` heard `beacon` at `rssi_dbm`."""

    @property
    def receiver(self) -> str: ...
    @property
    def beacon(self) -> str: ...
    @property
    def rssi_dbm(self) -> int: ...


@dataclass(slots=True)
class Recording:
    """A point that is being recorded."""

    x_m: float
    y_m: float
    began_s: float
    rssi_dbm: dict[str, list[int]] = field(default_factory=dict)

    @property
    def readings(self) -> int:
        return sum(map(len, self.rssi_dbm.values()))


class Session:
    """A survey of one floor.

    store     the plan; only its receivers are heard
    notebook  where points are kept
    beacon    which beacon is carried; None: to be chosen among those that are heard
    seconds   how long a point is recorded
    name      what the file calls these points (`set`)
    height_m  how high the beacon is carried
    """

    def __init__(
        self,
        store: StorePlan,
        notebook: Notebook,
        *,
        beacon: str | None = None,
        seconds: float = 20.0,
        name: str = "survey",
        height_m: float = 1.2,
        floor: int = 0,
    ) -> None:
        if not 0 < seconds <= 600:
            raise ConfigError("a point is recorded for more than 0 and at most 600 seconds")
        if not 0 <= height_m <= 10:
            raise ConfigError("a beacon is carried 0 to 10 m above the floor")
        if beacon is not None and not is_beacon(beacon):
            raise ConfigError("a beacon is named as SCHEME:VALUE, as in ibeacon:UUID-MAJOR-MINOR")
        self.store = store
        self.notebook = notebook
        self.beacon = beacon
        self.seconds = seconds
        self.floor = floor
        self.recording: Recording | None = None
        self.message = ""
        self.dropped = {"receiver": 0, "beacon": 0, "rssi": 0}
        self._name = name
        self._height_m = height_m
        self._covering = Covering(store.plan, floor)
        if not self._covering.cells:
            raise ConfigError(f"floor {floor} has no zone in the plan")
        self._beacons: dict[str, tuple[float, int]] = {}
        self._live: dict[str, deque[tuple[float, int]]] = {}
        self._shown: tuple[tuple[Surveyed, ...], dict[str, Any]] | None = None

    def hear(self, reading: Reading, now_s: float) -> None:
        """One reading. What makes no sense is dropped and counted."""
        if reading.receiver not in self.store.plan.receivers:
            self.dropped["receiver"] += 1
        elif not is_beacon(reading.beacon):
            self.dropped["beacon"] += 1
        elif not is_rssi(reading.rssi_dbm):
            self.dropped["rssi"] += 1
        elif self.beacon is None:
            self._meet(reading, now_s)
        elif reading.beacon == self.beacon:
            live = self._live.setdefault(reading.receiver, deque(maxlen=_MAX_LIVE))
            live.append((now_s, reading.rssi_dbm))
            if self.recording is not None:
                heard = self.recording.rssi_dbm.setdefault(reading.receiver, [])
                heard.append(reading.rssi_dbm)

    def _meet(self, reading: Reading, now_s: float) -> None:
        known = self._beacons.get(reading.beacon)
        if known is None and len(self._beacons) >= MAX_BEACONS:
            del self._beacons[min(self._beacons, key=lambda name: self._beacons[name][0])]
        loudest = reading.rssi_dbm
        if known is not None and now_s - known[0] < LIVE_S:
            loudest = max(loudest, known[1] - 1)  # fades, so that a beacon that was near goes down
        self._beacons[reading.beacon] = (now_s, loudest)

    # What the surveyor does. Each raises ConfigError with words for her.

    def choose(self, beacon: str | None) -> None:
        """Carry this beacon; None: choose again."""
        if beacon is not None and not is_beacon(beacon):
            raise ConfigError("this is no beacon's identifier")
        if self.recording is not None:
            raise ConfigError("a point is being recorded; cancel it first")
        self.beacon = beacon
        self._live.clear()

    def begin(self, x_m: float, y_m: float, now_s: float) -> None:
        """Record a point here."""
        if self.beacon is None:
            raise ConfigError("choose the beacon that you carry first")
        if self.recording is not None:
            raise ConfigError("a point is being recorded already")
        x0, y0, x1, y1 = extent(self.store.plan, self.floor)
        beyond = _BEYOND_M
        if not (x0 - beyond <= x_m <= x1 + beyond and y0 - beyond <= y_m <= y1 + beyond):
            raise ConfigError("this place is not on the plan")
        self.message = ""
        self.recording = Recording(x_m, y_m, now_s)

    def advance(self, now_s: float, *, over: bool = False) -> Surveyed | None:
        """Finish the point if its time is over; the point, if one was kept."""
        recording = self.recording
        if recording is None or not (over or now_s - recording.began_s >= self.seconds):
            return None
        self.recording = None
        if not recording.rssi_dbm:
            self.message = (
                "Nothing was heard of the beacon, so no point was kept. Is it switched on?"
            )
            return None
        heard = {name: Heard.of(rssi_dbm) for name, rssi_dbm in recording.rssi_dbm.items()}
        place = Surveyed(
            self._name, recording.x_m, recording.y_m, self._height_m, self.floor, heard
        )
        try:
            self.notebook.add(place)
        except ConfigError as error:
            self.message = f"The point was not kept: {error}"
            return None
        receivers = f"{len(heard)} receiver{'s' if len(heard) > 1 else ''}"
        self.message = f"Point kept: {recording.readings} readings of {receivers}."
        return place

    def cancel(self) -> None:
        """Record no more; nothing is kept of the point."""
        self.recording = None
        self.message = "Cancelled; nothing was kept of that point."

    def undo(self) -> None:
        """Take the last point back."""
        if self.recording is not None:
            raise ConfigError("a point is being recorded; cancel it first")
        gone = self.notebook.undo()
        self.message = "There is no point to take back."
        if gone is not None:
            self.message = f"The point at {gone.x_m:.1f}, {gone.y_m:.1f} m was taken back."

    def redo(self) -> None:
        """Put back what was taken back."""
        back = self.notebook.redo()
        if back is not None:
            self.message = f"The point at {back.x_m:.1f}, {back.y_m:.1f} m is there again."

    # What she sees

    def view(self, now_s: float) -> dict[str, Any]:
        """All that the page shows, in JSON's types."""
        recording = None
        if self.recording is not None:
            recording = {
                "x_m": self.recording.x_m,
                "y_m": self.recording.y_m,
                "left_s": max(0.0, self.seconds - (now_s - self.recording.began_s)),
                "readings": self.recording.readings,
            }
        return {
            "beacon": self.beacon,
            "beacons": [] if self.beacon else self._loudest(now_s),
            "seconds": self.seconds,
            "recording": recording,
            "message": self.message,
            "can_redo": self.notebook.can_redo,
            "file": self.notebook.path.name,
            "live": self._heard_now(now_s),
            **self._progress(),
        }

    def _loudest(self, now_s: float) -> list[dict[str, Any]]:
        lately = [
            (rssi_dbm, name)
            for name, (heard_s, rssi_dbm) in self._beacons.items()
            if now_s - heard_s <= LIVE_S
        ]
        lately.sort(key=lambda pair: (-pair[0], pair[1]))
        return [{"name": name, "rssi_dbm": rssi_dbm} for rssi_dbm, name in lately[:SHOWN_BEACONS]]

    def _heard_now(self, now_s: float) -> list[dict[str, Any]]:
        """Of each receiver of this floor: the middle of what it hears now, and of this point."""
        counts = self.recording.rssi_dbm if self.recording is not None else {}
        rows: list[dict[str, Any]] = []
        for receiver in self.store.plan.receivers.values():
            if receiver.floor != self.floor:
                continue
            live = self._live.get(receiver.name, ())
            lately = sorted(rssi_dbm for heard_s, rssi_dbm in live if now_s - heard_s <= LIVE_S)
            rows.append(
                {
                    "receiver": receiver.name,
                    "rssi_dbm": lately[len(lately) // 2] if lately else None,
                    "recorded": len(counts.get(receiver.name, ())),
                }
            )
        return rows

    def _progress(self) -> dict[str, Any]:
        """Only computed anew when the points have changed."""
        places = tuple(self.notebook.places)
        if self._shown is None or self._shown[0] != places:
            here = [place for place in places if place.floor == self.floor]
            points = [(place.x_m, place.y_m) for place in here]
            suggested = self._covering.next(points)
            self._shown = (
                places,
                {
                    "points": [
                        {"x_m": p.x_m, "y_m": p.y_m, "receivers": len(p.heard)} for p in here
                    ],
                    "share": self._covering.share(points),
                    "next": None
                    if suggested is None
                    else {"x_m": round(suggested[0], 2), "y_m": round(suggested[1], 2)},
                },
            )
        return self._shown[1]
