"""`fences.toml`: the file in which people write down geofences (docs/sources.md)."""

from pathlib import Path

from edge_sdk import settings_file
from edge_sdk.errors import ConfigError
from edge_sdk.presence.floor import PlanError
from edge_sdk.presence.geofence import MAX_FENCES, MAX_REACH_M, MIN_RADIUS_M, Fence
from edge_sdk.settings_file import Entry


def read_fences(path: Path) -> tuple[Fence, ...]:
    """The fences of a file, in its order. Raises ConfigError, which names entry and key."""
    return _fences(settings_file.read(path))


def parse_fences(text: str, where: str = "fences.toml") -> tuple[Fence, ...]:
    """The fences in this TOML; faults name it as `where`. Raises ConfigError."""
    return _fences(settings_file.parse(text, where))


def _fences(top: Entry) -> tuple[Fence, ...]:
    rows = top.rows("fence")
    if len(rows) > MAX_FENCES:
        raise top.fault("fence", f"entries are {MAX_FENCES} at most")
    fences: dict[str, Fence] = {}
    for row in rows:
        fence = _fence(row)
        if fence.name in fences:
            raise row.fault("name", f"{fence.name!r} has another fence; each has its own")
        fences[fence.name] = fence
    top.end()
    return tuple(fences.values())


def _fence(row: Entry) -> Fence:
    name = row.text("name")
    row.where += f" ({name!r})"
    if row.has("center") == row.has("corners"):
        raise ConfigError(f"{row.where}: has center and radius_m, or corners")
    key = "center" if row.has("center") else "corners"
    try:
        if key == "center":
            latitude_deg, longitude_deg = _place(row, key, row.value(key))
            radius_m = row.number("radius_m", MIN_RADIUS_M, MAX_REACH_M)
            fence = Fence.circle(name, latitude_deg, longitude_deg, radius_m)
        else:
            corners = row.value(key)
            if not isinstance(corners, list):
                raise row.fault(key, "is a list of [latitude, longitude]")
            fence = Fence.polygon(name, [_place(row, key, corner) for corner in corners])
    except PlanError as error:
        raise row.fault(key, f"cannot be: {error}") from None
    row.end()
    return fence


def _place(row: Entry, key: str, value: object) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:
        latitude_deg, longitude_deg = value
        if _is_number(latitude_deg) and _is_number(longitude_deg):
            return float(latitude_deg), float(longitude_deg)
    raise row.fault(key, "holds places as [latitude, longitude] in degrees, as [48.8566, 2.3522]")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
