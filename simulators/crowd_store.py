"""The shop that a simulated crowd walks in: zones side by side, doors in front, radios overhead."""

from dataclasses import dataclass

from edge_sdk.presence.floor import FloorPlan, Receiver, Zone

FRONT_M = 12.0  # of pavement before the shop that the radios may still hear


@dataclass(frozen=True, slots=True)
class CrowdStore:
    """A shop of `across` by `deep` zones; x runs along its front, y inwards; the street is y < 0.

    plan      what an engine is told of it
    doors     x of each door, in the front wall
    zone_m    the side of a zone, and
    aisle_m   how far inside of a zone its shelves are
    """

    plan: FloorPlan
    doors: tuple[float, ...]
    across: int
    deep: int
    zone_m: float
    aisle_m: float

    @property
    def width_m(self) -> float:
        """Along the front."""
        return self.across * self.zone_m

    @property
    def depth_m(self) -> float:
        """From the front to the back."""
        return self.deep * self.zone_m

    def zone_at(self, x_m: float, y_m: float) -> str | None:
        """The zone of a place, or None on the street."""
        column, row = int(x_m // self.zone_m), int(y_m // self.zone_m)
        if 0 <= column < self.across and 0 <= row < self.deep:
            return zone_name(column, row)
        return None


def zone_name(column: int, row: int) -> str:
    """The zone in a column (from the left) and a row (from the front)."""
    return f"zone-{column}{row}"


def large_store() -> CrowdStore:
    """960 m2: fifteen zones of 8 m, a radio for every 32 square metres, and two doors."""
    return _store(across=5, deep=3, zone_m=8.0, aisle_m=1.5, spacing_m=6.0)


def small_zones_store() -> CrowdStore:
    """The hard case: fifteen zones of 4 m, and a radio for every 15 square metres."""
    return _store(across=5, deep=3, zone_m=4.0, aisle_m=0.75, spacing_m=4.0)


def little_store() -> CrowdStore:
    """Four zones of 8 m, and six radios: what one small gateway has."""
    return _store(across=2, deep=2, zone_m=8.0, aisle_m=1.5, spacing_m=8.0)


def _store(
    *, across: int, deep: int, zone_m: float, aisle_m: float, spacing_m: float
) -> CrowdStore:
    zones = []
    for row in range(deep):
        for column in range(across):
            left, front = column * zone_m, row * zone_m
            right, back = left + zone_m, front + zone_m
            corners = ((left, front), (right, front), (right, back), (left, back))
            zones.append(Zone(zone_name(column, row), corners))
    width_m, depth_m = across * zone_m, deep * zone_m
    doors = (width_m * 0.25, width_m * 0.75)
    columns, rows = max(2, round(width_m / spacing_m)), max(2, round(depth_m / spacing_m))
    radios = [Receiver(f"door-{number}", x_m, 0.5, 2.5) for number, x_m in enumerate(doors)]
    for row in range(rows):
        for column in range(columns):
            x_m = (column + 0.5) * width_m / columns
            # Cables do not follow zones: every other radio hangs a metre nearer to the front.
            y_m = (row + 0.5) * depth_m / rows - (column % 2)
            radios.append(Receiver(f"radio-{column}{row}", x_m, y_m, 3.0))
    plan = FloorPlan(tuple(radios), tuple(zones), name="crowd")
    return CrowdStore(plan, doors, across, deep, zone_m, aisle_m)
