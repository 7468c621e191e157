"""NMEA 0183 sentences of a GNSS receiver become fixes. Needs pynmeagps.

GGA brings a place with its precision, GST (where it is sent) the errors in metres, RMC the date; a
receiver that sends no GGA is followed by its RMC. A sentence without a right checksum is refused.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from edge_sdk.errors import ConfigError

try:
    from pynmeagps import NMEAReader
    from pynmeagps.exceptions import (
        NMEAMessageError,
        NMEAParseError,
        NMEAStreamError,
        NMEATypeError,
    )
except ImportError:  # told when a receiver is opened
    NMEAReader = None

REFUSALS = ("not_nmea", "checksum", "malformed", "no_fix", "place")
COUNTS = ("sentences", "fixes", "wrong_date", *REFUSALS)

# The standard allows 82 characters; receivers with many satellites and proprietary ones send more.
MAX_SENTENCE_BYTES = 256
_SENTENCE = re.compile(r"\$([A-Z0-9]{4,8}),([ -)+-~]*)\*([0-9A-Fa-f]{2})")

# Of an open sky, one standard deviation of a distance to a satellite: with the dilution it gives
# the error on the ground (GPS Standard Positioning Service Performance Standard, 2020).
_RANGE_SD_M = 5.0
_UNKNOWN_DILUTION = 5.0
_MOST_DILUTION = 50.0
# Two in three of round normal errors are within 1.515 standard deviations; the error that the
# dilution gives is that of both axes together, 1.414 standard deviations of one.
_TWO_IN_THREE = 1.515
_SENTENCES_WITHOUT_GGA = 20
# Receivers whose week number ran over are 1,024 weeks back.
_FIRST_YEAR, _LAST_YEAR = 2025, 2099


@dataclass(frozen=True, slots=True)
class Fix:
    """A place on WGS 84, true to `accuracy_m` two times in three.

    utc_ms is the satellites' time in ms since 1970; None where no date, or none that can be, came.
    """

    latitude_deg: float
    longitude_deg: float
    accuracy_m: float
    satellites: int | None = None
    utc_ms: int | None = None


def need_pynmeagps() -> None:
    """Raise ConfigError where pynmeagps is missing."""
    if NMEAReader is None:
        raise ConfigError("a GNSS receiver needs pynmeagps: pip install 'edge-sdk[gnss]'")


class Sentences:
    """Takes a receiver's lines, one by one, and gives its fixes. Never raises for a line.

    counts: `sentences` (whole and checked), `fixes`, `wrong_date`, and what gave no fix: REFUSALS.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self._since_gga = _SENTENCES_WITHOUT_GGA
        self._date: date | None = None
        self._errors: tuple[time, float] | None = None  # GST: of what time, in metres

    def line(self, line: str) -> Fix | None:
        """The fix that a line completes, if it does."""
        found = _SENTENCE.fullmatch(line.strip())
        if found is None or len(line) > MAX_SENTENCE_BYTES:
            self.counts["not_nmea"] += 1
            return None
        name, fields, checksum = found.groups()
        if _checksum(f"{name},{fields}") != int(checksum, 16):
            self.counts["checksum"] += 1
            return None
        self.counts["sentences"] += 1
        self._since_gga += 1
        kind = name[2:]
        if name.startswith("P") or kind not in _KINDS:
            return None
        try:
            message = NMEAReader.parse(line.strip().encode("ascii") + b"\r\n")
        except (NMEAMessageError, NMEAParseError, NMEAStreamError, NMEATypeError, ValueError):
            message = None
        if message is None:
            self.counts["malformed"] += 1
            return None
        return _KINDS[kind](self, message)

    def _gga(self, message: Any) -> Fix | None:
        quality = _field(message, "quality")
        # 6 is an estimate, 7 typed in by hand, 8 a simulator; none of them saw the sky.
        if quality not in (1, 2, 3, 4, 5, 9):
            self.counts["no_fix"] += 1
            return None
        self._since_gga = 0
        return self._fix(message, self._accuracy_m(message))

    def _rmc(self, message: Any) -> Fix | None:
        if _field(message, "status") != "A":
            if self._since_gga > _SENTENCES_WITHOUT_GGA:
                self.counts["no_fix"] += 1
            return None
        day = _field(message, "date")
        if isinstance(day, date) and _FIRST_YEAR <= day.year <= _LAST_YEAR:
            self._date = day
        else:
            self._date = None
            self.counts["wrong_date"] += 1
        if self._since_gga <= _SENTENCES_WITHOUT_GGA:
            return None
        return self._fix(message, self._accuracy_m(message))

    def _gst(self, message: Any) -> None:
        at, north, east = (_field(message, name) for name in ("time", "stdLat", "stdLong"))
        if isinstance(at, time) and _is_positive(north) and _is_positive(east):
            self._errors = at, math.hypot(north, east)

    def _accuracy_m(self, message: Any) -> float:
        """From GST, if one came within the last seconds; else from the dilution of precision."""
        at = _field(message, "time")
        if self._errors is not None and isinstance(at, time):
            age_s = (_seconds(at) - _seconds(self._errors[0])) % 86_400
            if age_s <= 3:
                return _TWO_IN_THREE * self._errors[1] / math.sqrt(2)
        dilution = _field(message, "HDOP")
        if not _is_positive(dilution) or dilution > _MOST_DILUTION:
            dilution = _UNKNOWN_DILUTION if dilution == "" else _MOST_DILUTION
        return float(dilution) * _TWO_IN_THREE * _RANGE_SD_M / math.sqrt(2)

    def _fix(self, message: Any, accuracy_m: float) -> Fix | None:
        latitude_deg = _field(message, "lat")
        longitude_deg = _field(message, "lon")
        if not (_is_degrees(latitude_deg, 90) and _is_degrees(longitude_deg, 180)):
            self.counts["place"] += 1
            return None
        if latitude_deg == 0 and longitude_deg == 0:  # in the sea: a receiver's idea of nothing
            self.counts["no_fix"] += 1
            return None
        self.counts["fixes"] += 1
        satellites = _field(message, "numSV")
        return Fix(
            latitude_deg,
            longitude_deg,
            round(accuracy_m, 2),
            satellites if isinstance(satellites, int) else None,
            self._utc_ms(_field(message, "time")),
        )

    def _utc_ms(self, at: object) -> int | None:
        if self._date is None or not isinstance(at, time):
            return None
        return int(datetime.combine(self._date, at, UTC).timestamp() * 1000)


_KINDS = {"GGA": Sentences._gga, "RMC": Sentences._rmc, "GST": Sentences._gst}


def _field(message: Any, name: str) -> Any:
    """What a sentence has there; "" where it has nothing, or ended before."""
    return getattr(message, name, "")


def _checksum(content: str) -> int:
    value = 0
    for char in content:
        value ^= ord(char)
    return value


def _seconds(at: time) -> float:
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < 1e4


def _is_degrees(value: object, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most
