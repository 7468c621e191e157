"""`edge-sdk`: enrol a device, look at it, send touchpoints and read prompts from a shell."""

import argparse
import asyncio
import getpass
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

from edge_sdk import call_gateway_cli, doctor_cli, gateway_cli, plan_cli, survey_cli
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import configure, open_connection, translated
from edge_sdk.device import Device, DeviceConfig, enrol
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import KeySlots
from edge_sdk.outbox_store import FILE_NAME
from edge_sdk.version import VERSION
from edge_sdk.wire.touchpoint import CLASS_NAMES, TYPES, Touchpoint, TouchpointError, make

_EXAMPLES = """
examples:
  cloud-bridge enrol --data bridge --site paris-1 --name kiosk-1 | edge-sdk enrol --home kiosk-1
  edge-sdk status --home kiosk-1
  echo '{"type": "scan", "scanner": "s1", "symbology": "ean13", "code": "4061000000005"}' \\
    | edge-sdk send --home kiosk-1 --broker mqtt://127.0.0.1:1883
  edge-sdk prompts --home kiosk-1 --broker mqtt://127.0.0.1:1883
  edge-sdk gateway --home gateway-1 --broker mqtt://127.0.0.1:1883 --plan store.toml
  edge-sdk calls --help
  edge-sdk plan check store.toml --svg store.svg
  edge-sdk survey store.toml --listen 0.0.0.0:8100
  edge-sdk doctor --home kiosk-1 --broker mqtt://127.0.0.1:1883
  edge-sdk types
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 when it did not, 2 when it was called wrongly."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    try:
        return int(arguments.run(arguments))
    except (EdgeError, TouchpointError) as error:
        print(f"edge-sdk: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-sdk",
        description="Edge SDK on a kiosk or gateway.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=what)

    home = argparse.ArgumentParser(add_help=False)
    home.add_argument("--home", type=Path, required=True, help="the device's directory")
    broker = argparse.ArgumentParser(add_help=False, parents=[home])
    broker.add_argument("--broker", required=True, help="mqtt://[user:password@]host[:port]")
    broker.add_argument("--ca-file", help="certificate authority of a mqtts:// broker")

    what = "make a directory the home of a device; the token comes from standard input"
    one = commands.add_parser("enrol", help=what, description=what, parents=[home])
    one.set_defaults(run=_enrol)
    what = "who a stopped device is, and what waits in its outbox"
    one = commands.add_parser("status", help=what, description=what, parents=[home])
    one.set_defaults(run=_status)
    what = "capture touchpoints, one JSON object a line, from standard input until it ends"
    one = commands.add_parser("send", help=what, description=what, parents=[broker])
    one.add_argument("--no-wait", action="store_true", help="end before the bridge holds them")
    one.set_defaults(run=lambda arguments: _run(_send(arguments)))
    what = "print each prompt that arrives as a line of JSON, and report it as shown"
    one = commands.add_parser("prompts", help=what, description=what, parents=[broker])
    one.set_defaults(run=lambda arguments: _run(_prompts(arguments)))
    gateway_cli.add_commands(commands, broker)
    call_gateway_cli.add_command(commands, broker)
    plan_cli.add_commands(commands)
    survey_cli.add_commands(commands)
    doctor_cli.add_commands(commands)
    command("types", "the types of touchpoints and their fields").set_defaults(run=_types)
    return parser


def _enrol(arguments: argparse.Namespace) -> int:
    # Not an argument: arguments are seen by every user of the machine, and stay in histories.
    if sys.stdin.isatty():
        token = getpass.getpass("enrolment token (cloud-bridge enrol prints it): ")
    else:
        token = sys.stdin.read()
    enrol(token, arguments.home)
    slot = KeySlots(arguments.home, AesCcm()).load()
    print(f"{arguments.home} is device {slot.device:08x} of {slot.tenant}, site {slot.site}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    slot = KeySlots(arguments.home, AesCcm()).load()
    report: dict[str, object] = {
        "device": f"{slot.device:08x}",
        "tenant": slot.tenant,
        "site": slot.site,
        "generation": slot.generation,
        "next_epoch": slot.epoch,
    }
    path = arguments.home / FILE_NAME
    if path.exists():
        database = open_connection(path)
        configure(database, path)
        with translated(path):
            for priority, batches, touchpoints, size in database.execute(
                "SELECT class, count(*), sum(touchpoints), sum(length(message)) FROM batches"
                " GROUP BY class ORDER BY class"
            ):
                report[f"outbox_{CLASS_NAMES[priority]}"] = {
                    "batches": batches,
                    "touchpoints": touchpoints,
                    "bytes": size,
                }
            database.close()
    print(json.dumps(report, indent=2))
    return 0


async def _send(arguments: argparse.Namespace) -> int:
    refused = 0
    config = DeviceConfig(arguments.home, arguments.broker, ca_file=arguments.ca_file)
    async with Device(config) as device:
        async for number, line in _lines():
            try:
                await device.capture(_parsed(line))
            except TouchpointError as error:
                refused += 1
                print(f"line {number}: {error}", file=sys.stderr)
        if not arguments.no_wait:
            await device.drained()
        status = device.status()
    print(json.dumps({"captured": status.captured, "refused": refused}))
    return 1 if refused else 0


def _parsed(line: str) -> Touchpoint:
    try:
        fields = json.loads(line)
    except ValueError:
        raise TouchpointError("this is no JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise TouchpointError('a touchpoint is {"type": NAME, FIELD: VALUE, ...}')
    return make(fields.pop("type"), fields.pop("at_ms", None), **fields)


async def _lines() -> AsyncIterator[tuple[int, str]]:
    number = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        number += 1
        if line.strip():
            yield number, line


async def _prompts(arguments: argparse.Namespace) -> int:
    config = DeviceConfig(arguments.home, arguments.broker, ca_file=arguments.ca_file)
    async with Device(config) as device:
        async for prompt in device.prompts:
            shown = {
                "id": prompt.id,
                "surface": prompt.surface,
                "title": prompt.title,
                "body": prompt.body,
                "offer": prompt.offer,
                "ttl_s": round(prompt.ttl_s, 1),
                "why": prompt.why,
            }
            print(json.dumps(shown, ensure_ascii=False), flush=True)
            await prompt.shown()
    return 0


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run until done or told to stop; stopping commits what was captured."""

    async def until_stopped() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, task.cancel)
            except NotImplementedError:
                break  # Windows: KeyboardInterrupt cancels the main task by itself
        try:
            return await task
        except asyncio.CancelledError:
            return 0

    return asyncio.run(until_stopped())


def _types(_arguments: argparse.Namespace) -> int:
    for code, name, priority, prompting, fields in TYPES:
        listed = ", ".join(f"{field}: {kind}" for field, kind in fields)
        live = ", can trigger a prompt" if prompting else ""
        print(f"{code:3} {name}  ({CLASS_NAMES[priority]}{live})\n      {listed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
