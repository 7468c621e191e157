"""Reads the TOML of a store plan into a floor plan, and says all that is wrong with it at once."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sdk.errors import ConfigError
from edge_sdk.plan_doubts import doubts, hidden
from edge_sdk.plan_presence import PresencePlan, read_presence
from edge_sdk.presence.floor import FloorPlan, Kiosk, PlanError, Receiver, Zone
from edge_sdk.presence.polygons import (
    MIN_AREA_M2,
    area_m2,
    bounds,
    check_corners,
    distance_m,
)
from edge_sdk.presence.privacy import MODES

PRIVACY_MODES = MODES

Y_AXES = ("down", "up")

MAX_EACH = 1_000  # receivers, zones, kiosks
MAX_NAME = 64
MAX_EXTENT_M = 2_000.0  # the largest malls measure some 900 m
MAX_FROM_ORIGIN_M = 10_000.0  # a board counts in single precision: 1 mm at this distance
MAX_HEIGHT_M = 40.0
_FLOORS = range(-20, 201)

_KEYS = {
    "": ("name", "metres_per_unit", "y_axis", "privacy", "presence", "positions", "survey",
         "floors", "receivers", "zones", "kiosks"),
    "receivers": ("name", "x", "y", "z_m", "floor", "adapter"),
    "zones": ("name", "floor", "corners"),
    "kiosks": ("name", "x", "y", "floor", "zone"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StorePlan:
    """What a store's file says.

    plan      the geometry, in metres
    y_axis    which way y grows in pictures; a drawing's pixels grow "down"
    floors    number -> what people call it; may be empty
    adapters  receiver -> the Bluetooth adapter of this machine that it is, as "hci0"
    privacy   one of PRIVACY_MODES, or None: not said
    presence  how presence is to work (plan_presence.py)
    survey    the calibration file, or None
    warnings  what is possible, but was probably not meant
    """

    plan: FloorPlan
    y_axis: str = "down"
    floors: Mapping[int, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    privacy: str | None = None
    presence: PresencePlan = field(default_factory=PresencePlan)
    survey: Path | None = None
    warnings: tuple[str, ...] = ()


def parse_plan(text: str, where: str = "store.toml", folder: Path = Path()) -> StorePlan:
    """The plan in this TOML; faults name it as `where`. Raises ConfigError."""
    try:
        tables = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where}: is nested too deep to be a store plan") from None
    parser = _Parser()
    store = parser.store(tables, folder)
    if parser.faults:
        shown = parser.faults[:20]
        if len(parser.faults) > len(shown):
            shown.append(f"... and {len(parser.faults) - len(shown)} faults more")
        raise ConfigError("\n".join(f"{where}: {fault}" for fault in shown))
    return store


class _Parser:
    """Reads tables into a store; goes on after a fault, so that people see all of them at once."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._metres = 1.0
        self._floors: dict[int, str] = {}

    def store(self, tables: dict[str, Any], folder: Path) -> StorePlan:
        self._known("", tables, "")
        name = self._text(tables, "name", "", required=False) or ""
        metres = self._number(tables, "metres_per_unit", "", 1.0)
        if metres is not None and not 1e-6 <= metres <= 1e4:
            self._fault("metres_per_unit", "is how many metres one unit of the drawing is, as 0.02")
        elif metres is not None:
            self._metres = metres
        y_axis = self._choice(tables, "y_axis", Y_AXES) or "down"
        privacy, presence = read_presence(tables, self._fault)
        survey = self._text(tables, "survey", "", longest=1024, required=False)
        self._read_floors(tables)
        adapters: dict[str, str] = {}
        receivers = [
            receiver
            for row, where in self._rows(tables, "receivers")
            if (receiver := self._receiver(row, where, adapters))
        ]
        zones = [
            zone for row, where in self._rows(tables, "zones") if (zone := self._zone(row, where))
        ]
        if not receivers and not self.faults:
            self._fault("receivers", "are missing: a store has one [[receivers]] at least")
        if not zones and not self.faults:
            self._fault("zones", "are missing: a store has one [[zones]] at least")
        ground = FloorPlan(tuple(receivers), tuple(zones), (), name)
        kiosks = [
            kiosk
            for row, where in self._rows(tables, "kiosks")
            if (kiosk := self._kiosk(row, where, ground))
        ]
        plan = FloorPlan(tuple(receivers), tuple(zones), tuple(kiosks), name)
        self._extent(plan)
        if not self.faults:
            self.faults += hidden(plan)
        return StorePlan(
            plan=plan,
            y_axis=y_axis,
            floors=self._floors,
            adapters=adapters,
            privacy=privacy,
            presence=presence,
            survey=folder / survey if survey else None,
            warnings=() if self.faults else doubts(plan),
        )

    def _receiver(
        self, row: dict[str, Any], where: str, adapters: dict[str, str]
    ) -> Receiver | None:
        name = self._text(row, "name", where)
        place = self._place(row, where)
        z_m = self._number(row, "z_m", where, 2.0)
        if z_m is not None and abs(z_m) > MAX_HEIGHT_M:
            self._fault(f"{where}.z_m", "is its height above its own floor, in metres")
        adapter = self._text(row, "adapter", where, required=False)
        if adapter in adapters.values():
            self._fault(f"{where}.adapter", f"{adapter!r} is another receiver's already")
        floor = self._floor(row, where)
        if name is None or place is None or z_m is None:
            return None
        if adapter is not None:
            adapters[name] = adapter
        return Receiver(name, *place, z_m, floor)

    def _zone(self, row: dict[str, Any], where: str) -> Zone | None:
        name = self._text(row, "name", where)
        floor = self._floor(row, where)
        listed = row.get("corners")
        if not isinstance(listed, list):
            self._fault(f"{where}.corners", "is a list of corners, as [[0, 0], [4, 0], [4, 3]]")
            return None
        corners = []
        for at, corner in enumerate(listed, 1):
            if not isinstance(corner, list) or len(corner) != 2:
                self._fault(f"{where}.corners", f"corner {at} is not [x, y]")
                return None
            pair = {"x": corner[0], "y": corner[1]}
            place = self._place(pair, f"{where}.corners: corner {at}")
            if place is None:
                return None
            corners.append(place)
        if len(corners) > 1 and corners[0] == corners[-1]:
            corners.pop()  # closed, as GeoJSON and drawing programs write it
        try:
            check_corners(corners)
        except PlanError as error:
            self._fault(f"{where}.corners", str(error) + self._scale_doubt(corners))
            return None
        return None if name is None else Zone(name, tuple(corners), floor)

    def _scale_doubt(self, corners: Sequence[tuple[float, float]]) -> str:
        if len(corners) > 2 and area_m2(corners) < MIN_AREA_M2 and self._metres < 1:
            return f"; is metres_per_unit = {self._metres:g} right?"
        return ""

    def _kiosk(self, row: dict[str, Any], where: str, plan: FloorPlan) -> Kiosk | None:
        name = self._text(row, "name", where)
        place = self._place(row, where)
        floor = self._floor(row, where)
        zone = self._text(row, "zone", where, required=False)
        if name is None or place is None:
            return None
        here = plan.zone_at(*place, floor)
        named = {other.name: other for other in plan.zones}
        if zone is None:
            if here is None:
                self._fault(where, "stands in no zone; say zone = ..., or move it")
                return None
            return Kiosk(name, *place, here, floor)
        if zone not in named:
            self._fault(f"{where}.zone", f"there is no zone {zone!r}{_nearest(zone, named)}")
            return None
        # Of touching zones one has the border; a kiosk on the border may name the other.
        if named[zone].floor != floor or not _touches(named[zone], *place):
            stands = "in no zone" if here is None else f"in {here!r}"
            self._fault(f"{where}.zone", f"it stands {stands}, not in {zone!r}; move one of them")
            return None
        return Kiosk(name, *place, zone, floor)

    def _extent(self, plan: FloorPlan) -> None:
        places = [(receiver.x_m, receiver.y_m) for receiver in plan.receivers.values()]
        places += [place for zone in plan.zones for place in zone.corners]
        if not places:
            return
        x0, y0, x1, y1 = bounds(places)
        if max(x1 - x0, y1 - y0) > MAX_EXTENT_M:
            self._fault(
                "metres_per_unit",
                f"makes the store {x1 - x0:,.0f} m by {y1 - y0:,.0f} m;"
                f" {MAX_EXTENT_M:,.0f} m is the most. If these are pixels, give their scale",
            )

    def _read_floors(self, tables: dict[str, Any]) -> None:
        listed = tables.get("floors", {})
        if not isinstance(listed, dict):
            self._fault("floors", 'is a table of numbers and names, as [floors] 0 = "ground"')
            return
        for key in listed:
            try:
                number = int(key)
            except ValueError:
                number = _FLOORS.stop
            if number not in _FLOORS:
                self._fault(f"floors.{key}", "a floor's key is its number, -20 to 200")
            elif (text := self._text(listed, key, "floors")) is not None:
                self._floors[number] = text

    def _rows(self, tables: dict[str, Any], kind: str) -> Iterable[tuple[dict[str, Any], str]]:
        """Each table of a kind with how to speak of it; a name may be there once."""
        listed = tables.get(kind, [])
        if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
            self._fault(kind, f"are tables: write [[{kind}]] before each")
            return
        if len(listed) > MAX_EACH:
            self._fault(kind, f"are {len(listed)}; {MAX_EACH} is the most")
            return
        names: set[str] = set()
        for at, row in enumerate(listed, 1):
            name = row.get("name")
            where = f"{kind}[{at}]"
            if isinstance(name, str) and name and len(name) <= MAX_NAME:
                where += f" {name!r}"
                if name in names:
                    self._fault(where, "the name is taken; each has its own")
                    continue
                names.add(name)
            self._known(kind, row, where)
            yield row, where

    def _place(self, row: dict[str, Any], where: str) -> tuple[float, float] | None:
        x, y = self._number(row, "x", where), self._number(row, "y", where)
        if x is None or y is None:
            return None
        place = (x * self._metres, y * self._metres)
        if max(abs(place[0]), abs(place[1])) > MAX_FROM_ORIGIN_M:
            self._fault(
                where,
                f"is more than {MAX_FROM_ORIGIN_M:,.0f} m from the origin;"
                " check metres_per_unit, and count from a corner of the store",
            )
            return None
        return place

    def _floor(self, row: dict[str, Any], where: str) -> int:
        floor = row.get("floor", 0)
        if not isinstance(floor, int) or isinstance(floor, bool) or floor not in _FLOORS:
            self._fault(f"{where}.floor", "is a whole number, -20 to 200; 0 is the ground floor")
            return 0
        if self._floors and floor not in self._floors:
            self._fault(f"{where}.floor", f"[floors] has no {floor}")
        return floor

    def _number(
        self, row: dict[str, Any], key: str, where: str, default: float | None = None
    ) -> float | None:
        value = row.get(key, default)
        if value is None:
            self._fault(where, f"{key} is missing")
            return None
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            self._fault(f"{where}.{key}".lstrip("."), "is not a number")
            return None
        return number

    def _text(
        self,
        row: dict[str, Any],
        key: str,
        where: str,
        longest: int = MAX_NAME,
        required: bool = True,
    ) -> str | None:
        value = row.get(key)
        path = f"{where}.{key}".lstrip(".")
        if value is None:
            if required:
                self._fault(where, f"{key} is missing")
            return None
        if not isinstance(value, str) or not value or value != value.strip():
            self._fault(path, "is a text in quotes, not empty, without spaces around it")
        elif len(value) > longest or not value.isprintable():
            self._fault(path, f"is {longest} printable characters at most")
        else:
            return value
        return None

    def _choice(self, tables: dict[str, Any], key: str, choices: Sequence[str]) -> str | None:
        value = tables.get(key)
        if value is None or value in choices:
            return value
        near = _nearest(value, choices) if isinstance(value, str) else ""
        self._fault(key, f"is one of {', '.join(choices)}{near}")
        return None

    def _known(self, kind: str, row: dict[str, Any], where: str) -> None:
        for key in row:
            if key not in _KEYS[kind]:
                shown = key if len(key) <= MAX_NAME and key.isprintable() else "this"
                near = _nearest(key, _KEYS[kind]) or f"; there are {', '.join(_KEYS[kind])}"
                self._fault(f"{where}.{shown}".lstrip("."), f"is no key that we know{near}")

    def _fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}" if where else what)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _touches(zone: Zone, x_m: float, y_m: float) -> bool:
    return zone.holds(x_m, y_m) or distance_m(zone.corners, x_m, y_m) < 0.01
