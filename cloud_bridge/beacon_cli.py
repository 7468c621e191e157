"""The command `cloud-bridge beacon`: register, list and remove beacons whose identifiers rotate."""

import argparse
import datetime
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud_bridge.beacons import (
    DEFAULT_EXPONENT,
    EID,
    IRK,
    KINDS,
    PUBLIC_KEY_BYTES,
    agreed,
    from_hex,
    new_beacon,
)
from cloud_bridge.clock import SystemClock
from cloud_bridge.errors import BeaconError
from cloud_bridge.registry import Registry
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.presence.identifiers import KEY_BYTES

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_ADD = """
Registers a beacon whose identifier changes with time, under the name of a person's own thing. Its
key is read from standard input, in hexadecimal digits; it is never an argument, and never printed.

  --kind eid           32 digits: the identity key of an Eddystone-EID beacon
  --kind eid --agree   64 digits: the beacon's X25519 public key; ours is printed, for the beacon
  --kind irk           32 digits: the identity resolving key of a phone or tag

Only where the thing, or who has it, consented to in_store_prompts is it known again.
"""


def add_command(
    commands: "Subparsers", add_whose: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Put `beacon` among the commands."""
    beacon = commands.add_parser("beacon", help="beacons whose identifiers rotate")
    doings = beacon.add_subparsers(dest="doing", required=True, metavar="WHAT")
    add = doings.add_parser(
        "add",
        help="register one; its key is read from standard input",
        description=_ADD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listing = doings.add_parser("list", help="list them, without keys")
    remove = doings.add_parser("remove", help="forget one, and its key")
    for command in (add, listing, remove):
        add_whose(command)
    for command in (add, remove):
        command.add_argument("name", help="tag:ID or app:ID")
    add.add_argument("--kind", choices=KINDS, default=EID)
    add.add_argument("--agree", action="store_true", help="agree on the key (eid)")
    add.add_argument(
        "--exponent",
        type=int,
        default=DEFAULT_EXPONENT,
        metavar="K",
        help=f"its EID changes every 2^K seconds (default {DEFAULT_EXPONENT})",
    )
    add.add_argument(
        "--clock", type=int, default=0, metavar="S", help="what its clock shows now (default 0)"
    )
    remove.add_argument("--kind", choices=KINDS, help="of this kind alone")


def run(registry: Registry, args: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code. Raises BeaconError, StorageError."""
    return {"add": _add, "list": _list, "remove": _remove}[args.doing](registry, args)


def _add(registry: Registry, args: argparse.Namespace) -> int:
    if args.agree and args.kind == IRK:
        raise BeaconError("a resolving key is not agreed on; give it on standard input")
    told = sys.stdin.readline().strip()
    ours = b""
    if args.agree:
        theirs = from_hex(told, PUBLIC_KEY_BYTES, "a beacon's public key")
        key, ours = agreed(AesCcm(), theirs)
    else:
        key = from_hex(told, KEY_BYTES, "a beacon's key")
    now_s = SystemClock().wall_ms() // 1000
    registry.add_beacon(
        new_beacon(
            args.name, args.kind, key, now_s, exponent=args.exponent, beacon_time_s=args.clock
        )
    )
    if ours:
        print(ours.hex())
    print(f"{args.kind} of {args.name} is registered", file=sys.stderr)
    return 0


def _list(registry: Registry, _args: argparse.Namespace) -> int:
    print(f"{'kind':4}  {'K':>2}  {'registered':10}  {'state':14}  name")
    for beacon in registry.beacons():
        made = datetime.datetime.fromtimestamp(beacon.at_s, datetime.UTC)
        state = "to be removed" if beacon.removed else "new" if beacon.key else "in use"
        exponent = str(beacon.exponent) if beacon.kind == EID else ""
        print(f"{beacon.kind:4}  {exponent:>2}  {made:%Y-%m-%d}  {state:14}  {beacon.name}")
    return 0


def _remove(registry: Registry, args: argparse.Namespace) -> int:
    if not registry.remove_beacon(args.name, args.kind):
        raise BeaconError("no such beacon is registered")
    return 0
