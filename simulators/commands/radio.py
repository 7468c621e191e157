"""`store-simulator radio`: a day on the air, for whatever scans this machine's Bluetooth."""

import argparse
import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from simulators import radio
from simulators.commands.kinds import RAW, add_day, day_of, finite_speed

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
The same day as a D-Bus peer that plays BlueZ: what scans the system's Bluetooth adapters, such as
bleak, hears it without any. It waits until somebody scans, plays the day and ends. Linux only.

what to try, with two terminals:
  store-simulator radio --speed 8                    prints a line to paste into the other one
  DBUS_SYSTEM_BUS_ADDRESS=... python my_gateway.py   hears twelve adapters, hci0 to hci11
"""


def add_command(commands: "Commands") -> None:
    """Put `radio` among the commands."""
    on_air = commands.add_parser(
        "radio", help="put a day on the air, for bleak", description=_WHAT, formatter_class=RAW
    )
    add_day(on_air)
    on_air.add_argument(
        "--speed", type=finite_speed, default=1.0, help="how many times as fast (default: 1)"
    )
    on_air.set_defaults(run=lambda arguments: asyncio.run(_on_the_air(arguments)))


async def _on_the_air(arguments: argparse.Namespace) -> int:
    # Ended in any way, it leaves no socket behind.
    task = asyncio.current_task()
    with contextlib.suppress(NotImplementedError):  # Windows, which has no BlueZ either
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # type: ignore[union-attr]
    try:
        day = day_of(arguments)
        await radio.on_the_air(day, arguments.speed, lambda line: print(line, flush=True))
    except asyncio.CancelledError:
        return 143
    return 0
