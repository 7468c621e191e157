"""`store.toml`: the file in which people write down a store, read into a floor plan and written.

Coordinates may be those of a drawing (pixels): `metres_per_unit` says its scale. The format, with
an example, is docs/store-plan.md.
"""

import json
import os
from pathlib import Path

from edge_sdk.errors import ConfigError
from edge_sdk.plan_parser import PRIVACY_MODES, StorePlan, parse_plan
from edge_sdk.plan_presence import presence_lines
from edge_sdk.presence.floor import Kiosk, Receiver
from edge_sdk.text_file import read_text

__all__ = ["PRIVACY_MODES", "StorePlan", "parse_plan", "plan_text", "read_plan", "write_plan"]

MAX_FILE_BYTES = 1 << 20


def read_plan(path: Path) -> StorePlan:
    """The plan in a file; `survey` is found from its folder.

    Raises ConfigError: every fault, a line each.
    """
    text = read_text(path, "store plan", MAX_FILE_BYTES)
    return parse_plan(text, str(path), path.parent)


def plan_text(store: StorePlan) -> str:
    """TOML that `parse_plan` reads back as the same store, to a tenth of a millimetre."""
    plan = store.plan
    lines = [f"name = {_quoted(plan.name)}"] if plan.name else []
    lines += ["metres_per_unit = 1.0", f"y_axis = {_quoted(store.y_axis)}"]
    top, tables = presence_lines(store.privacy, store.presence)
    lines += top
    if store.survey:
        lines.append(f"survey = {_quoted(store.survey.as_posix())}")
    if store.floors:
        named = ", ".join(f"{number} = {_quoted(name)}" for number, name in store.floors.items())
        lines.append(f"floors = {{ {named} }}")
    lines += ["", "receivers = ["]
    for receiver in plan.receivers.values():
        adapter = store.adapters.get(receiver.name)
        more = f", adapter = {_quoted(adapter)}" if adapter else ""
        lines.append(f"  {{ {_placed(receiver)}, z_m = {_number(receiver.z_m)}{more} }},")
    lines += ["]", "", "zones = ["]
    for zone in plan.zones:
        corners = ", ".join(f"[{_number(x_m)}, {_number(y_m)}]" for x_m, y_m in zone.corners)
        floor = f", floor = {zone.floor}" if zone.floor else ""
        lines.append(f"  {{ name = {_quoted(zone.name)}{floor}, corners = [{corners}] }},")
    lines += ["]", "", "kiosks = ["]
    for kiosk in plan.kiosks:
        lines.append(f"  {{ {_placed(kiosk)}, zone = {_quoted(kiosk.zone)} }},")
    return "\n".join([*lines, "]", *tables, ""])


def write_plan(path: Path, store: StorePlan) -> None:
    """Put the plan there, whole or not at all. Raises ConfigError, also if it could not be read."""
    text = plan_text(store)
    parse_plan(text, str(path), path.parent)
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def _placed(thing: Receiver | Kiosk) -> str:
    floor = f", floor = {thing.floor}" if thing.floor else ""
    place = f"x = {_number(thing.x_m)}, y = {_number(thing.y_m)}"
    return f"name = {_quoted(thing.name)}, {place}{floor}"


def _number(value: float) -> str:
    return repr(round(float(value), 4))


def _quoted(text: str) -> str:
    # A JSON string without escaped surrogates is a TOML basic string, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
