"""`store-simulator phone`: a modem or a caller-id box at a real pseudo-terminal, and who calls."""

import argparse
import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from simulators import phone_line
from simulators.commands.kinds import RAW
from simulators.serial_lines import PseudoPort, play

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
A modem with a SIM (mobile), one at an analogue line, or a box that sends an exchange's caller-id
frames, at a real pseudo-terminal, for a program of yours to open. It answers to AT commands. The
path is printed, and after each call what it was; it is called until it is stopped, faults and all.

what to try, in two shells:
  store-simulator phone --line mobile --link ./modem
  edge-sdk gateway ... --modem ./modem --modem-number +33170180000
"""
_CALLS = 20


def add_command(commands: "Commands") -> None:
    """Put `phone` among the commands."""
    one = commands.add_parser(
        "phone", help="be a telephone line", description=_WHAT, formatter_class=RAW
    )
    one.add_argument("--line", choices=phone_line.KINDS, default=phone_line.MOBILE)
    one.add_argument("--seed", type=int, default=1, help="which run (default: 1)")
    one.add_argument(
        "--gap",
        dest="gap_s",
        type=_gap,
        default=phone_line.GAP_S,
        metavar="SECONDS",
        help="between two calls (default: 12; for a line that only rings, less than 8 is one call)",
    )
    one.add_argument(
        "--link", type=Path, help="where the port is to be (default: in a new temporary folder)"
    )
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    asyncio.run(_phone(arguments))
    return 0


async def _phone(arguments: argparse.Namespace) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        PseudoPort(arguments.link or Path(folder) / arguments.line) as port,
    ):
        print(port.path, flush=True)
        attending = None
        if arguments.line != phone_line.BOX:
            answers = phone_line.Answers(arguments.line)
            attending = asyncio.create_task(phone_line.attend(port, answers), name="attend")
        try:
            for seed in itertools.count(arguments.seed):
                stream = phone_line.calls(arguments.line, seed, _CALLS, gap_s=arguments.gap_s)
                for sent in stream:
                    for means in await play(port, [sent]):
                        print(means, flush=True)
        finally:
            if attending is not None:
                attending.cancel()


def _gap(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("0 to 86400 seconds")
    return seconds
