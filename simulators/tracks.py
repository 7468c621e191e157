"""Real walks past twelve real receivers: the recorded data that the simulated store is made of.

Source and licence: simulators/data/ble_tracks/README.md (Danis et al., CC0).
"""

import csv
import functools
import importlib.resources
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import NamedTuple

TRACKS = (
    "straight_01",
    "straight_02",
    "straight_03",
    "straight_05",
    "rectangular_with_rotation",
    "zigzagging_with_rotation",
)

# The receivers stand in four groups, named by the first digit of a sensor's name. Which of them is
# which part of a shop is our choice: every track begins at group 4, so that is the entrance.
ZONE_OF_GROUP = {"1": "coffee", "2": "kitchen", "3": "living", "4": "entrance"}
ENTRANCE = ZONE_OF_GROUP["4"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A radio on a wall: its zone, and where it is in metres (z is its height)."""

    name: str
    zone: str
    x_m: float
    y_m: float
    z_m: float


class Heard(NamedTuple):
    """One reading of a track, and where the walker truly was (about 4 cm)."""

    at_ms: int  # since the track's first reading
    receiver: str
    rssi_dbm: int
    x_m: float
    y_m: float


@dataclass(frozen=True, slots=True)
class Track:
    """One walk: the readings in the order of time, the zones truly walked through in theirs."""

    name: str
    heard: tuple[Heard, ...]
    zones: tuple[str, ...]

    @property
    def lasts_ms(self) -> int:
        """From the first reading to the last."""
        return self.heard[-1].at_ms


@functools.cache
def receivers() -> tuple[Receiver, ...]:
    """The twelve receivers."""
    return tuple(
        Receiver(
            name=row["sensor"],
            zone=ZONE_OF_GROUP[row["sensor"].removeprefix("sensor")[0]],
            x_m=float(row["x_m"]),
            y_m=float(row["y_m"]),
            z_m=float(row["z_m"]),
        )
        for row in _rows("sensors.csv")
    )


@functools.cache
def load(name: str) -> Track:
    """A track by its name in TRACKS; each is read once. Raises KeyError if there is no such one."""
    if name not in TRACKS:
        raise KeyError(name)
    heard = [
        Heard(
            at_ms=round(float(row["unix_s"]) * 1000),
            receiver=row["sensor"],
            rssi_dbm=int(row["rssi_dbm"]),
            x_m=float(row["x_m"]),
            y_m=float(row["y_m"]),
        )
        for row in _rows("tracks", f"{name}.csv")
    ]
    heard.sort(key=lambda reading: reading.at_ms)
    began_ms = heard[0].at_ms
    return Track(
        name,
        heard=tuple(reading._replace(at_ms=reading.at_ms - began_ms) for reading in heard),
        zones=tuple(zone for zone, _ in itertools.groupby(map(true_zone, heard))),
    )


def true_zone(heard: Heard) -> str:
    """The zone of the receiver that the walker truly was nearest to."""
    nearest = min(receivers(), key=lambda r: math.dist((r.x_m, r.y_m), (heard.x_m, heard.y_m)))
    return nearest.zone


def _rows(*path: str) -> Iterator[dict[str, str]]:
    folder: Traversable = importlib.resources.files("simulators") / "data" / "ble_tracks"
    yield from csv.DictReader(folder.joinpath(*path).read_text(encoding="utf-8").splitlines())
