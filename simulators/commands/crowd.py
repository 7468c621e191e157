"""`store-simulator crowd`: what radios hear of a crowd, or where everybody truly was."""

import argparse
import json
from typing import TYPE_CHECKING

from simulators.commands.kinds import RAW
from simulators.crowd import Crowd, CrowdSettings
from simulators.crowd_store import large_store

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
A shop full of phones, and the truth about it: walkers who stop at shelves, leave and return, some
who only pass by, addresses that rotate, three advertisements in ten lost. The same seed is always
the same crowd. at_ms counts from the beginning, in milliseconds.

what to try:
  store-simulator crowd | head                       what the radios hear, one reading a line
  store-simulator crowd --show stays                 who was in which zone, and when
  store-simulator crowd --devices 500 --loss 0.6     a bad day for radio
"""


def add_command(commands: "Commands") -> None:
    """Put `crowd` among the commands."""
    parser = commands.add_parser(
        "crowd", help="a shop full of phones, and the truth", description=_WHAT, formatter_class=RAW
    )
    parser.add_argument("--seed", type=int, default=1, help="which crowd (default: 1)")
    parser.add_argument(
        "--devices", type=_devices, default=100, help="there at any time (default: 100)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=60, help="for how long (default: 60; up to a week)"
    )
    parser.add_argument("--loss", type=_share, default=0.3, help="lost (default: 0.3)")
    parser.add_argument(
        "--show", choices=("readings", "stays"), default="readings", help="default: readings"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    radio = CrowdSettings(devices=args.devices).radio.with_loss(args.loss)
    crowd = Crowd(large_store(), args.seed, CrowdSettings(devices=args.devices, radio=radio))
    until_ms = 1000 * args.seconds
    for reading in crowd.readings(until_ms):
        if args.show == "readings":
            print(json.dumps(reading._asdict()))
        _tell_stays(crowd, args.show)
    crowd.close(until_ms)
    _tell_stays(crowd, args.show)
    return 0


def _tell_stays(crowd: Crowd, show: str) -> None:
    if show == "stays":
        for stay in crowd.stays:
            print(json.dumps(stay._asdict()))
    crowd.stays.clear()


def _devices(text: str) -> int:
    devices = int(text)
    if not 1 <= devices <= 100_000:
        raise argparse.ArgumentTypeError("1 to 100000 devices")
    return devices


def _seconds(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= 604_800:
        raise argparse.ArgumentTypeError("1 second to a week")
    return seconds


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("0 or more, and less than 1")
    return share
