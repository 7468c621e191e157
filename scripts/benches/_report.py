"""Prints what a bench measured as a table, and writes it as one flat JSON object if asked."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

ROOT = Path(__file__).resolve().parent.parent.parent
COMMIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
PACKAGES = ("amqtt", "cryptography", "fastapi", "msgpack", "msgspec", "paho-mqtt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every bench has: --json FILE and --seed N."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn by lot")


def publish(
    name: str,
    rows: Sequence[tuple[str, object, str]],
    keys: Mapping[str, object],
    args: argparse.Namespace,
    tables: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
) -> None:
    """Print rows of (label, value, note); with --json, write machine, bench, seed and keys.

    A key's value is a string, number, boolean or None: the object stays flat, but for `tables`,
    each a list of such objects under its name. ValueError if a value is anything else, or if a key
    has the name of a fact about the machine.
    """
    print(table(rows))
    if args.json is None:
        return
    facts = {**machine(), "bench": name, "seed": args.seed}
    tables = tables or {}
    if wrong := sorted(facts.keys() & (keys.keys() | tables.keys()) | keys.keys() & tables.keys()):
        raise ValueError(f"keys named like facts: {', '.join(wrong)}")
    for each in (keys, *(row for table_rows in tables.values() for row in table_rows)):
        if wrong := [k for k, v in each.items() if not isinstance(v, str | int | float | None)]:
            raise ValueError(f"keys that are not flat: {', '.join(wrong)}")
    text = json.dumps({**facts, **keys, **tables}, indent=2, allow_nan=False) + "\n"
    unfinished = args.json.with_name(f"{args.json.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(args.json)


def table(rows: Sequence[tuple[str, object, str]]) -> str:
    """Rows of (label, value, note) as aligned lines."""
    cells = [(label, shown(value), note) for label, value, note in rows]
    label_width = max((len(label) for label, _, _ in cells), default=0)
    value_width = max((len(value) for _, value, _ in cells), default=0)
    return "\n".join(
        f"{label:<{label_width}}  {value:>{value_width}}  {note}".rstrip()
        for label, value, note in cells
    )


def shown(value: object) -> str:
    """A value for people: thousands apart, and no more than three digits after a small number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> dict[str, object]:
    """What the figures were measured on and with; keys start with machine_ or version_."""
    now = datetime.datetime.now(datetime.UTC)
    facts: dict[str, object] = {
        "machine_cpu": cpu_model(),
        "machine_cores": usable_cores(),
        "machine_platform": platform.platform(),
        "machine_date_utc": now.isoformat(timespec="seconds"),
        "version_commit": output(*COMMIT),
        "version_python": platform.python_version(),
        "version_sqlite": sqlite3.sqlite_version,
        "version_openssl": backend.openssl_version_text(),
        "version_mosquitto": mosquitto_version(),
    }
    for package in PACKAGES:
        facts[f"version_{package.replace('-', '_')}"] = importlib.metadata.version(package)
    return facts


def cpu_model() -> str:
    """The processor's name as Linux tells it, or what the platform knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mosquitto_version() -> str | None:
    """The installed broker's version, or None without one."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    mosquitto = shutil.which("mosquitto", path=path)
    help_text = output(mosquitto, "-h") if mosquitto else None
    return help_text.splitlines()[0].removeprefix("mosquitto version ") if help_text else None


def output(*command: str) -> str | None:
    """What a program prints, or None if it cannot be run or prints nothing."""
    try:
        run = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None
    return run.stdout.strip() or None
