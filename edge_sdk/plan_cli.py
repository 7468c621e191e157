"""`edge-sdk plan`: what a store plan says, as a table and as a picture."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan, read_plan
from edge_sdk.plan_picture import floors_of, plan_svg
from edge_sdk.presence.polygons import area_m2, zones_of_receivers
from edge_sdk.survey_file import read_places, strangers

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_commands(commands: "Commands") -> None:
    """Put `plan` among the commands of `edge-sdk`."""
    what = "read a store plan and say what was understood"
    plan = commands.add_parser("plan", help="the plan of a store: store.toml", description=what)
    one = plan.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "check", help=what, description=what
    )
    one.add_argument("file", type=Path, help="store.toml")
    one.add_argument("--svg", type=Path, help="draw it there; a picture a floor, if it has several")
    one.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    store = read_plan(arguments.file)
    print(described(store))
    if arguments.svg:
        floors = floors_of(store.plan)
        for floor in floors:
            path = arguments.svg
            if len(floors) > 1:
                path = path.with_name(f"{path.stem}-{floor}{path.suffix}")
            try:
                path.write_text(plan_svg(store, floor), encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
            print(f"drawn: {path}")
    return 0


def described(store: StorePlan) -> str:
    """A table of what a plan says, and its doubts. Raises ConfigError for a faulty survey."""
    plan = store.plan
    several = len(floors_of(plan)) > 1
    lines = [f"store      {plan.name or '(no name)'}"]
    lines.append(f"privacy    {store.privacy or 'not said'}")
    unknown: list[str] = []
    if store.survey and store.survey.exists():
        places = read_places(store.survey)
        unknown = strangers(places, plan)
        lines.append(f"survey     {store.survey}, {len(places)} points")
    elif store.survey:
        lines.append(f"survey     {store.survey} (not there yet)")
    zone_of = zones_of_receivers(plan)
    rows: list[tuple[str, ...]] = [("receiver", "x m", "y m", "z m", "zone", "adapter")]
    for receiver in plan.receivers.values():
        floor = f" /{receiver.floor}" if several else ""
        rows.append(
            (
                receiver.name + floor,
                f"{receiver.x_m:.2f}",
                f"{receiver.y_m:.2f}",
                f"{receiver.z_m:.2f}",
                zone_of.get(receiver.name, "-"),
                store.adapters.get(receiver.name, "-"),
            )
        )
    lines += ["", *_table(rows)]
    rows = [("zone", "area m2", "corners", "receivers", "kiosks")]
    for zone in plan.zones:
        floor = f" /{zone.floor}" if several else ""
        rows.append(
            (
                zone.name + floor,
                f"{area_m2(zone.corners):.1f}",
                str(len(zone.corners)),
                str(sum(1 for name in zone_of.values() if name == zone.name)),
                ", ".join(kiosk.name for kiosk in plan.kiosks if kiosk.zone == zone.name) or "-",
            )
        )
    lines += ["", *_table(rows)]
    if several:
        lines += ["", "after a slash: the floor"]
    told = [*store.warnings]
    told += [f"receiver {name!r}: is in the survey, not in the plan" for name in unknown]
    lines += [""] if told else []
    lines += [f"doubt      {warning}" for warning in told]
    return "\n".join(lines)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if _is_figure(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_figure(cell: str) -> bool:
    return cell.replace(".", "", 1).lstrip("-").isdigit()
