"""`edge-sdk doctor`: why nothing arrives, a line a finding."""

import argparse
import asyncio
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.doctor.examine import Wanted, examine
from edge_sdk.doctor.finding import FAIL, RESULTS, Finding
from edge_sdk.doctor.serial_ports import Named

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_LONGEST_S = 600.0


def add_commands(commands: "Commands") -> None:
    """Put `doctor` among the commands of `edge-sdk`."""
    what = "say why nothing arrives: radios, serial ports, broker, clock, disk, keys"
    one = commands.add_parser(
        "doctor",
        help=what,
        description=what,
        epilog="Changes nothing, but what --deliver sends. Exit code 1 if a check fails.",
    )
    one.add_argument("--home", type=Path, help="the device's directory")
    one.add_argument("--broker", help="mqtt://[user:password@]host[:port]")
    one.add_argument("--ca-file", help="certificate authority of a mqtts:// broker")
    one.add_argument("--bridge", help="http://host:port of the bridge, to compare clocks")
    one.add_argument("--plan", type=Path, help="store.toml; its adapters are the ones heard")
    one.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="HCI",
        help="a Bluetooth adapter that has to work, as hci0",
    )
    one.add_argument(
        "--serial",
        type=_port,
        action="append",
        default=[],
        metavar="PORT[@BAUD]",
        help="open this port and hear it; others are listed only",
    )
    one.add_argument(
        "--listen", type=_seconds, default=5.0, metavar="S", help="how long to hear (5)"
    )
    one.add_argument("--passive", action="store_true", help="compare with a passive scan")
    one.add_argument(
        "--deliver",
        action="store_true",
        help="send a touchpoint all the way; stop the device first",
    )
    one.add_argument("--json", action="store_true", help="one JSON array")
    one.set_defaults(run=_doctor)


def _port(text: str) -> Named:
    try:
        return Named.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a port is /dev/ttyUSB0 or /dev/ttyUSB0@115200") from None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"seconds, {_LONGEST_S:g} at most")
    return seconds


def _doctor(arguments: argparse.Namespace) -> int:
    wanted = Wanted(
        home=arguments.home,
        broker=arguments.broker,
        ca_file=arguments.ca_file,
        bridge=arguments.bridge,
        plan=arguments.plan,
        adapters=tuple(arguments.adapter),
        serial=tuple(arguments.serial),
        listen_s=arguments.listen,
        passive=arguments.passive,
        deliver=arguments.deliver,
    )
    if not arguments.verbose:  # the findings say it, and what to do
        logging.getLogger("edge_sdk").setLevel(logging.CRITICAL)
    found = asyncio.run(examine(wanted))
    if arguments.json:
        print(json.dumps([finding.as_dict() for finding in found], indent=2))
    else:
        print(report(found))
    return 1 if any(finding.result == FAIL for finding in found) else 0


def report(found: list[Finding]) -> str:
    """A line a finding, what to do below it, and a sum at the end."""
    lines = []
    for finding in found:
        lines.append(f"{finding.result:<8} {finding.check:<10} {finding.found}")
        if finding.to_do:
            lines.append(f"{'':<19} -> {finding.to_do}")
    sums = {result: sum(f.result == result for f in found) for result in RESULTS}
    lines += ["", ", ".join(f"{count} {result}" for result, count in sums.items() if count)]
    return "\n".join(lines)
