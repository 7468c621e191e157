"""`store-simulator serial`: a device at a real pseudo-terminal."""

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from simulators import serial_lines
from simulators.commands.kinds import RAW, speed

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
A device at a real pseudo-terminal, for a program of yours to open. The path is printed; the device
sends until it is stopped, faults and all.

what to try, in two shells:
  store-simulator serial --device gnss --link ./receiver
  python examples/geofence.py ./receiver
"""

_DEVICES: dict[str, Callable[[int], Iterator[serial_lines.Sent]]] = {
    "scanner": lambda seed: serial_lines.scanner(seed, 1_000),
    "gnss": serial_lines.gnss,
    "counter": lambda seed: serial_lines.counter(seed, 1_000),
}


def add_command(commands: "Commands") -> None:
    """Put `serial` among the commands."""
    one = commands.add_parser(
        "serial", help="be a serial device", description=_WHAT, formatter_class=RAW
    )
    one.add_argument("--device", choices=tuple(_DEVICES), required=True)
    one.add_argument("--seed", type=int, default=1, help="which run (default: 1)")
    one.add_argument("--speed", type=speed, default=1.0, help="times as fast (default: 1)")
    one.add_argument(
        "--link", type=Path, help="where the port is to be (default: in a new temporary folder)"
    )
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    asyncio.run(_serial(arguments))
    return 0


async def _serial(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = serial_lines.PseudoPort(arguments.link or Path(folder) / arguments.device)
        with port:
            print(port.path, flush=True)
            for seed in itertools.count(arguments.seed):
                device = _DEVICES[arguments.device](seed)
                await serial_lines.play(port, device, arguments.speed)
