"""A picture of a floor plan as SVG: zones, receivers, kiosks, with metres for units."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from edge_sdk.plan_parser import StorePlan
from edge_sdk.presence.floor import FloorPlan, Zone
from edge_sdk.presence.polygons import bounds, distance_m

# Light tints that dark text can be read on; neighbours in the list differ in hue.
_TINTS = ("#cfe3f7", "#fbe3c5", "#d4efd2", "#ecd9f2", "#f9d6d9", "#d5efef", "#f3efc4", "#e2dfd9")
_MARGIN_M = 1.0


class Sheet:
    """A drawing of one floor: shapes in metres, each put on top of those before it.

    `text`: how large what is written is. The plan's y may grow upwards, SVG's grows downwards: `x`
    and `y` turn one into the other.
    """

    def __init__(self, store: StorePlan, floor: int = 0, text: float = 1.0) -> None:
        self.store = store
        self.floor = floor
        x0, y0, x1, y1 = extent(store.plan, floor)
        self.left_m, self.right_m = x0 - _MARGIN_M, x1 + _MARGIN_M
        self.low_m, self.high_m = y0 - _MARGIN_M, y1 + _MARGIN_M
        self.width_m, self.height_m = self.right_m - self.left_m, self.high_m - self.low_m
        # What is drawn is to be read at any size of store.
        self.text_m = text * max(self.width_m, self.height_m) / 40
        self._parts: list[str] = []

    def x(self, x_m: float) -> float:
        return round(x_m - self.left_m, 3)

    def y(self, y_m: float) -> float:
        up = self.store.y_axis == "up"
        return round(self.high_m - y_m if up else y_m - self.low_m, 3)

    def add(self, shape: str) -> None:
        """A piece of SVG; its texts must be escaped."""
        self._parts.append(shape)

    def parts(self) -> Sequence[str]:
        """All that was added."""
        return self._parts

    def zones(self, tinted: bool = True) -> None:
        for at, zone in enumerate(self._zones()):
            points = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zone.corners)
            fill = _TINTS[at % len(_TINTS)] if tinted else "none"
            width = round(self.text_m / 10, 3)
            self.add(
                f'<polygon class="zone" points="{points}" fill="{fill}" stroke="#5b6570"'
                f' stroke-width="{width}" stroke-linejoin="round"/>'
            )

    def zone_names(self) -> None:
        plan = self.store.plan
        taken = [(r.x_m, r.y_m) for r in plan.receivers.values() if r.floor == self.floor]
        taken += [(kiosk.x_m, kiosk.y_m) for kiosk in plan.kiosks if kiosk.floor == self.floor]
        for zone in self._zones():
            self.text(*label_place(zone, taken), zone.name, size=1.1, weight="600")

    def receivers(self, names: bool = True) -> None:
        radius = round(self.text_m * 0.35, 3)
        for receiver in self.store.plan.receivers.values():
            if receiver.floor != self.floor:
                continue
            self.add(
                f'<circle class="receiver" cx="{self.x(receiver.x_m)}" cy="{self.y(receiver.y_m)}"'
                f' r="{radius}" fill="#1f2933"><title>{escape(receiver.name)}</title></circle>'
            )
            if names:
                self.text(receiver.x_m, receiver.y_m, receiver.name, size=0.7, below=0.95)

    def kiosks(self) -> None:
        side = round(self.text_m * 0.8, 3)
        for kiosk in self.store.plan.kiosks:
            if kiosk.floor == self.floor:
                x, y = (
                    round(self.x(kiosk.x_m) - side / 2, 3),
                    round(self.y(kiosk.y_m) - side / 2, 3),
                )
                self.add(
                    f'<rect class="kiosk" x="{x}" y="{y}" width="{side}" height="{side}"'
                    f' fill="#b4531a"><title>{escape(kiosk.name)}</title></rect>'
                )
                self.text(kiosk.x_m, kiosk.y_m, kiosk.name, size=0.7, below=1.0)

    def text(
        self,
        x_m: float,
        y_m: float,
        text: str,
        *,
        size: float = 1.0,
        below: float = 0.0,
        weight: str = "400",
    ) -> None:
        """Text in the middle of a place, or some lines below it; kept within the sheet."""
        height = self.text_m * size
        half = min(self.width_m / 2, 0.28 * height * len(text))
        x = min(max(self.x(x_m), half), self.width_m - half)
        y = min(self.y(y_m) + below * self.text_m, self.height_m - height / 2)
        self.add(
            f'<text x="{x:.3f}" y="{y:.3f}" font-size="{height:.3f}" font-weight="{weight}"'
            ' text-anchor="middle" dominant-baseline="middle" fill="#1f2933"'
            f' paint-order="stroke" stroke="#fff" stroke-opacity=".7"'
            f' stroke-width="{height / 6:.3f}">{escape(text)}</text>'
        )

    def ruler(self) -> None:
        """A bar of a round length, in the lower left corner."""
        length_m = next(m for m in _round_lengths() if m > self.width_m / 10)
        y = round(self.height_m - self.text_m * 0.5, 3)
        x = round(self.text_m * 0.5, 3)
        self.add(
            f'<path d="M{x} {y}h{length_m:g}" stroke="#1f2933" stroke-width="{self.text_m / 8:.3f}"'
            ' fill="none"/>'
        )
        self.add(
            f'<text x="{x + length_m + self.text_m * 0.4:.3f}" y="{y}"'
            f' font-size="{self.text_m * 0.8:.3f}" fill="#1f2933"'
            f' dominant-baseline="middle">{length_m:g} m</text>'
        )

    def svg(self, pixels: int = 900) -> str:
        """The whole picture; `pixels` wide where nothing else says its size."""
        height = round(pixels * self.height_m / self.width_m)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{pixels}" height="{height}"'
            f' viewBox="0 0 {self.width_m:.3f} {self.height_m:.3f}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def _zones(self) -> Sequence[Zone]:
        return [zone for zone in self.store.plan.zones if zone.floor == self.floor]


def plan_svg(store: StorePlan, floor: int = 0) -> str:
    """The floor as `edge-sdk plan check --svg` shows it."""
    sheet = Sheet(store, floor)
    sheet.zones()
    sheet.receivers()
    sheet.kiosks()
    sheet.zone_names()
    sheet.ruler()
    return sheet.svg()


def floors_of(plan: FloorPlan) -> list[int]:
    """The floors on which there is anything, lowest first."""
    floors = {receiver.floor for receiver in plan.receivers.values()}
    return sorted(floors | {zone.floor for zone in plan.zones} | {k.floor for k in plan.kiosks})


def extent(plan: FloorPlan, floor: int) -> tuple[float, float, float, float]:
    """Least x and y, greatest x and y of what is on a floor."""
    places = [(r.x_m, r.y_m) for r in plan.receivers.values() if r.floor == floor]
    places += [(k.x_m, k.y_m) for k in plan.kiosks if k.floor == floor]
    for zone in plan.zones:
        if zone.floor == floor:
            places += zone.corners
    return bounds(places) if places else (0.0, 0.0, 1.0, 1.0)


def label_place(zone: Zone, taken: Iterable[tuple[float, float]] = ()) -> tuple[float, float]:
    """A place for its name: of a grid over it, the one farthest from its edge and what is there."""
    x0, y0, x1, y1 = bounds(zone.corners)
    inside = [
        (x0 + (x1 - x0) * i / 16, y0 + (y1 - y0) * j / 16)
        for i in range(1, 16)
        for j in range(1, 16)
        if zone.holds(x0 + (x1 - x0) * i / 16, y0 + (y1 - y0) * j / 16)
    ]
    others = list(taken)

    def room(place: tuple[float, float]) -> float:
        edge_m = distance_m(zone.corners, *place)
        return min([edge_m, *(math.dist(place, other) for other in others)])

    return max(inside, key=room, default=zone.corners[0])


def _round_lengths() -> Iterable[float]:
    decade = 0.1
    while True:
        yield from (decade, 2 * decade, 5 * decade)
        decade *= 10
