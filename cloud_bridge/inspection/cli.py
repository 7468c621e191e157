"""The command `cloud-bridge inspect`."""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud_bridge.inspection.as_json import as_json
from cloud_bridge.inspection.facts import Inspection
from cloud_bridge.inspection.looking import look
from cloud_bridge.inspection.of_store import Asked
from cloud_bridge.inspection.report import report
from cloud_bridge.inspection.rules import bridge_findings, findings

FINE, UNREADABLE, LOOK_AT_THIS = 0, 1, 3
_MAX_LOG_ROWS = 10_000
# Of what is not a terminal.
_WIDTH = 120

DESCRIPTION = """
Says what the log, the vault, the cursors, the snapshot, the prompts and the queues of a bridge
hold, by tenant and by device. It may be used at any time, while a bridge runs as well, and changes
nothing. The first line of a tenant is a verdict; lines marked with ! need somebody, and say what to
do. No key, identifier or handle is shown.
"""

EPILOG = """
exit codes: 0 fine; 1 something cannot be read; 2 the command is wrong; with --check also 3: look at
this.

--json: one object {form, data, read_at_ms, bridge, findings, tenants}. Each tenant has {verdict:
"ok" | "look" | "unreadable", findings, tenant, unreadable, notes, store, queue, devices, rows};
each finding {rule, device, what, do}. Times are milliseconds since 1970, devices eight hexadecimal
digits, a number that may be reckoned from a sample {value, exact}. All keys and all rules:
docs/inspect.md.

what to try:
  cloud-bridge inspect --data bridge-data
  cloud-bridge inspect --data bridge-data --device 00000007 --log 20
  cloud-bridge inspect --data bridge-data --check > report.txt || mail -s bridge you < report.txt
  cloud-bridge inspect --data bridge-data --json | jq '.tenants[] | {tenant, verdict}'
"""


def add_options(parser: argparse.ArgumentParser, device: Callable[[str], int]) -> None:
    """What the command takes. `device` reads a device's number."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the bridge's folder"
    )
    parser.add_argument("--tenant", metavar="NAME", help="this tenant alone")
    parser.add_argument(
        "--device", type=device, metavar="HEX", help="one device, its epochs and its gaps"
    )
    parser.add_argument("--json", action="store_true", help="the same facts, for a program")
    parser.add_argument(
        "--log",
        type=_log_rows,
        default=0,
        metavar="N",
        help="also the newest N rows of the log, without their bodies",
    )
    parser.add_argument("--all", action="store_true", help="all devices and gaps, however many")
    parser.add_argument(
        "--full",
        action="store_true",
        help="count all of a big log instead of a sample, and check the file; may take minutes",
    )
    parser.add_argument(
        "--check", action="store_true", help="end with exit code 3 where something needs somebody"
    )


def _log_rows(text: str) -> int:
    rows = int(text)
    if not 0 <= rows <= _MAX_LOG_ROWS:
        raise argparse.ArgumentTypeError(f"rows of the log are 0 to {_MAX_LOG_ROWS}")
    return rows


def run(args: argparse.Namespace) -> int:
    """Look, and print; returns the exit code. Raises ConfigError."""
    progress = _tell if sys.stderr.isatty() else _keep_quiet
    asked = Asked(args.device, args.log, args.full, progress)
    inspection = look(args.data, args.tenant, time.time_ns() // 1_000_000, asked)
    with _for_whoever_reads():
        _print(inspection, args)
    return exit_code(inspection, check=args.check)


def _print(inspection: Inspection, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(as_json(inspection), indent=2))
    else:
        width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
        details = args.device is not None
        print("\n".join(report(inspection, width, every=args.all, details=details)))


@contextmanager
def _for_whoever_reads() -> Iterator[None]:
    """Whoever has seen enough, as `head` has, may close what we write into."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(inspection: Inspection, *, check: bool) -> int:
    """0, 1 or, where that is asked for, 3."""
    if any(tenant.unreadable for tenant in inspection.tenants):
        return UNREADABLE
    found = bridge_findings(inspection.bridge) or any(
        findings(tenant, inspection.bridge) for tenant in inspection.tenants
    )
    return LOOK_AT_THIS if check and found else FINE


def _tell(done: float) -> None:
    """On standard error, which is a terminal."""
    print(f"\rcounting: {done:.0%}   ", end="\r", file=sys.stderr, flush=True)


def _keep_quiet(_done: float) -> None:
    """Nobody watches."""
