"""The calibration file of a store: what each receiver heard of a beacon at surveyed places.

CSV, a row for each place and receiver, as published data sets have it:

    set,x_m,y_m,z_m,sensor,readings,mean_dbm,sd_db,p10_dbm,p50_dbm,p90_dbm

A column `floor` may follow, and the percentiles may be missing. `edge-sdk survey` writes it.
"""

import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_sdk.errors import ConfigError
from edge_sdk.presence.engine import RSSI_MAX_DBM, RSSI_MIN_DBM
from edge_sdk.presence.floor import FloorPlan, SurveyPoint
from edge_sdk.text_file import read_text

COLUMNS = (
    "set", "x_m", "y_m", "z_m", "sensor", "readings", "mean_dbm", "sd_db",
    "p10_dbm", "p50_dbm", "p90_dbm",
)  # fmt: skip
_NEEDED = frozenset({"x_m", "y_m", "sensor", "readings", "mean_dbm", "sd_db"})

MAX_FILE_BYTES = 64 << 20
MAX_FROM_ORIGIN_M = 10_000.0
_MAX_READINGS = 1_000_000_000
_MAX_SD_DB = 60.0
_SHOWN_FAULTS = 20
_DEFAULT_Z_M = 1.2


@dataclass(frozen=True, slots=True)
class Heard:
    """What one receiver heard at one place. Percentiles (10, 50, 90) may be unknown."""

    readings: int
    mean_dbm: float
    sd_db: float
    percentiles_dbm: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, rssi_dbm: Sequence[int]) -> "Heard":
        """Of one reading at least."""
        count = len(rssi_dbm)
        mean = sum(rssi_dbm) / count
        square = sum((value - mean) ** 2 for value in rssi_dbm)
        ordered = sorted(rssi_dbm)
        ranks = (math.ceil(count * share) - 1 for share in (0.1, 0.5, 0.9))
        p10, p50, p90 = (ordered[max(0, rank)] for rank in ranks)
        return cls(count, mean, math.sqrt(square / max(1, count - 1)), (p10, p50, p90))


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A surveyed place; `name` is what the file calls its `set`."""

    name: str
    x_m: float
    y_m: float
    z_m: float = _DEFAULT_Z_M
    floor: int = 0
    heard: dict[str, Heard] = field(default_factory=dict)

    @property
    def place(self) -> tuple[float, float, float, int]:
        """Where it is: x, y, z in metres, and the floor."""
        return self.x_m, self.y_m, self.z_m, self.floor


def read_survey(path: Path, plan: FloorPlan) -> list[SurveyPoint]:
    """The points that the receivers of a plan heard; other receivers' rows are passed over.

    Raises ConfigError: every fault, a line each; or none of its receivers is in the plan.
    """
    found = []
    places = read_places(path)
    for place in places:
        heard = {
            name: (heard.mean_dbm, heard.sd_db, heard.readings)
            for name, heard in place.heard.items()
            if name in plan.receivers
        }
        if heard:
            found.append(SurveyPoint(place.x_m, place.y_m, heard, place.floor))
    if places and not found:
        names = sorted({name for place in places for name in place.heard})[:5]
        raise ConfigError(
            f"{path}: none of its receivers ({', '.join(map(repr, names))}) is in the plan;"
            " is it another store's?"
        )
    return found


def strangers(places: Iterable[Surveyed], plan: FloorPlan) -> list[str]:
    """Receivers in a survey that the plan does not have."""
    return sorted({name for place in places for name in place.heard} - plan.receivers.keys())


def read_places(path: Path) -> list[Surveyed]:
    """All places of a file, in its order. Raises ConfigError: every fault, a line each."""
    text = read_text(path, "survey", MAX_FILE_BYTES)
    return _Reader(str(path)).read(text)


def write_places(path: Path, places: Iterable[Surveyed]) -> None:
    """Put the file there, whole and durable, or not at all. Raises ConfigError."""
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(survey_text(places))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def survey_text(places: Iterable[Surveyed]) -> str:
    """The file's text; with the column `floor` only where there are several."""
    places = list(places)
    floors = any(place.floor for place in places)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, *(["floor"] if floors else [])])
    for place in places:
        for receiver, heard in sorted(place.heard.items()):
            where = (_short(place.x_m), _short(place.y_m), _short(place.z_m))
            figures = (heard.readings, f"{heard.mean_dbm:.2f}", f"{heard.sd_db:.2f}")
            percentiles = ["", "", ""]
            if heard.percentiles_dbm is not None:
                percentiles = [_short(value) for value in heard.percentiles_dbm]
            row = [place.name, *where, receiver, *figures, *percentiles]
            writer.writerow([*row, *([place.floor] if floors else [])])
    return out.getvalue()


def _short(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1000 else f"{value:.2f}"


class _Reader:
    """Rows to places; goes on after a fault, so that people see all of them at once."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._faults: list[str] = []
        self._places: dict[tuple[str, float, float, float, int], Surveyed] = {}

    def read(self, text: str) -> list[Surveyed]:
        rows = csv.reader(io.StringIO(text, newline=""))
        try:
            names = [name.strip() for name in next(rows, [])]
            missing = sorted(_NEEDED - set(names))
            if missing:
                raise ConfigError(
                    f"{self._where}: its first line does not name {', '.join(missing)};"
                    f" it is {','.join(COLUMNS)}"
                )
            for row in rows:
                if any(cell.strip() for cell in row):
                    padded = [*row, *[""] * (len(names) - len(row))]
                    self._row(rows.line_num, dict(zip(names, padded, strict=False)))
        except csv.Error as error:
            raise ConfigError(f"{self._where}: line {rows.line_num}: is not CSV: {error}") from None
        if self._faults:
            shown = self._faults[:_SHOWN_FAULTS]
            if len(self._faults) > len(shown):
                shown.append(f"... and {len(self._faults) - len(shown)} faults more")
            raise ConfigError("\n".join(f"{self._where}: {fault}" for fault in shown))
        return list(self._places.values())

    def _row(self, line: int, row: dict[str, str]) -> None:
        faults = len(self._faults)
        most = MAX_FROM_ORIGIN_M
        x_m = self._number(line, row, "x_m", -most, most)
        y_m = self._number(line, row, "y_m", -most, most)
        z_m = self._number(line, row, "z_m", -most, most, default=_DEFAULT_Z_M)
        floor = self._number(line, row, "floor", -20, 200, default=0)
        readings = self._number(line, row, "readings", 0, _MAX_READINGS)
        receiver = row["sensor"].strip()
        if not receiver:
            self._faults.append(f"line {line}: sensor is missing")
        if readings == 0 and len(self._faults) == faults:
            return  # nothing heard: of that there is no mean
        mean_dbm = self._number(line, row, "mean_dbm", RSSI_MIN_DBM, RSSI_MAX_DBM)
        sd_db = self._number(line, row, "sd_db", 0, _MAX_SD_DB)
        percentiles: list[float] = []
        if all(row.get(name, "").strip() for name in COLUMNS[-3:]):
            percentiles = [
                self._number(line, row, name, RSSI_MIN_DBM, RSSI_MAX_DBM) for name in COLUMNS[-3:]
            ]
        if len(self._faults) > faults:
            return
        name = row.get("set", "").strip()
        key = (name, x_m, y_m, z_m, int(floor))
        place = self._places.setdefault(key, Surveyed(*key))
        if receiver in place.heard:
            self._faults.append(f"line {line}: {receiver!r} is there twice for this place")
            return
        p = percentiles
        heard = Heard(int(readings), mean_dbm, sd_db, (p[0], p[1], p[2]) if p else None)
        place.heard[receiver] = heard

    def _number(
        self,
        line: int,
        row: dict[str, str],
        name: str,
        least: float,
        most: float,
        *,
        default: float | None = None,
    ) -> float:
        text = row.get(name, "").strip()
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            self._faults.append(f"line {line}: {name} is not a number of {least:g} to {most:g}")
            return least
        return value
