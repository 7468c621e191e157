"""The floor plan of a store: where its receivers are, and which part of the floor is which zone.

Values and plane geometry; the file that people write is read by edge_sdk/plan_file.py. Coordinates
are metres, x and y as on the plan, z the height above the floor; a floor is a small integer.
"""


class PlanError(ValueError):
    """Ours: a plan that cannot be. Says which part of it, and what to do."""


class Receiver:
    """A radio and where it hangs."""

    __slots__ = ("floor", "name", "x_m", "y_m", "z_m")

    def __init__(self, name: str, x_m: float, y_m: float, z_m: float = 2.0, floor: int = 0) -> None:
        self.name = name
        self.x_m = x_m
        self.y_m = y_m
        self.z_m = z_m
        self.floor = floor


class Zone:
    """A named part of one floor: a simple polygon, its corners in order, not closed."""

    __slots__ = ("corners", "floor", "name")

    def __init__(
        self, name: str, corners: "tuple[tuple[float, float], ...]", floor: int = 0
    ) -> None:
        self.name = name
        self.corners = corners
        self.floor = floor

    def holds(self, x_m: float, y_m: float) -> bool:
        """Whether a place is in it. Of an edge, one side has it: zones that touch share no place.

        Even-odd rule; see W. R. Franklin, "PNPOLY".
        """
        inside = False
        x1, y1 = self.corners[-1]
        for x2, y2 in self.corners:
            if (y1 > y_m) != (y2 > y_m) and x_m < (x1 - x2) * (y_m - y2) / (y1 - y2) + x2:
                inside = not inside
            x1, y1 = x2, y2
        return inside


class Kiosk:
    """A screen, where it stands and in which zone."""

    __slots__ = ("floor", "name", "x_m", "y_m", "zone")

    def __init__(self, name: str, x_m: float, y_m: float, zone: str, floor: int = 0) -> None:
        self.name = name
        self.x_m = x_m
        self.y_m = y_m
        self.zone = zone
        self.floor = floor


class FloorPlan:
    """A store: `receivers` by name, `zones` (the first that holds a place has it), `kiosks`."""

    __slots__ = ("kiosks", "name", "receivers", "zones")

    def __init__(
        self,
        receivers: "tuple[Receiver, ...]",
        zones: "tuple[Zone, ...]",
        kiosks: "tuple[Kiosk, ...]" = (),
        name: str = "",
    ) -> None:
        self.receivers = {receiver.name: receiver for receiver in receivers}
        self.zones = zones
        self.kiosks = kiosks
        self.name = name

    def zone_at(self, x_m: float, y_m: float, floor: int = 0) -> "str | None":
        """The zone of a place, or None where it is in none."""
        for zone in self.zones:
            if zone.floor == floor and zone.holds(x_m, y_m):
                return zone.name
        return None


class SurveyPoint:
    """What the receivers heard of a beacon that stood at a known place.

    heard  receiver -> (mean in dBm, standard deviation in dB, how many readings)
    """

    __slots__ = ("floor", "heard", "x_m", "y_m")

    def __init__(
        self,
        x_m: float,
        y_m: float,
        heard: "dict[str, tuple[float, float, int]]",
        floor: int = 0,
    ) -> None:
        self.x_m = x_m
        self.y_m = y_m
        self.heard = heard
        self.floor = floor
