"""The command `cloud-bridge`: run the bridge, look into it, say what its devices and keys are."""

import argparse
import asyncio
import contextlib
import datetime
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_bridge import beacon_cli, logs, numbers_cli, plans
from cloud_bridge.call_hooks import cli as hooks_cli
from cloud_bridge.clock import SystemClock
from cloud_bridge.config import Config, home_of, host_and_port
from cloud_bridge.inspection import cli as inspecting
from cloud_bridge.keys import BURST, RATE_PER_S
from cloud_bridge.people import MAX_RESIDENT
from cloud_bridge.registry import Registry
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.wire.enrolment import to_token

if TYPE_CHECKING:
    from cloud_bridge.factory import Bridge

READY_S = 10.0

EXAMPLES = """
what to try:
  cloud-bridge enrol --data bridge-data --tenant acme --site paris-1 --name gateway-1
  cloud-bridge enrol --data bridge-data --site paris-1 --name kiosk-1 --surface kiosk --zone coffee
  cloud-bridge key add --data bridge-data --site web-shop --origin https://shop.example
  cloud-bridge beacon add --data bridge-data tag:17 < its-key
  cloud-bridge store set --data bridge-data --site paris-1 store.toml
  cloud-bridge run   --data bridge-data
  cloud-bridge hooks check --data bridge-data
  cloud-bridge numbers size --visitors-per-hour 120 --hold-minutes 5
  cloud-bridge inspect --data bridge-data
  curl http://127.0.0.1:8080/health
  curl http://127.0.0.1:8080/feed

Devices may be enrolled and revoked while the bridge runs. Their token is shown once: give it to
the device (`edge-sdk enrol`), and keep it as you would a password. So may API keys be added and
revoked: docs/collect.md says what a web shop does with one. docs/operating.md has the rest: copies,
/health, several tenants.
"""

RUN = """
Runs until it is interrupted, for every tenant in --data. The folder holds all that must survive:
for each tenant one of its own, with two SQLite files that only their owner may read. One bridge at
a time owns it. A tenant that is added while it runs is served from the next start on.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "run":
            return _run(args)
        if args.command == "inspect":
            return inspecting.run(args)
        if args.command == "hooks":
            return hooks_cli.run(args)
        if args.command == "numbers":
            return numbers_cli.run(args)
        with Registry(home_of(args.data, args.tenant)).opened(args.tenant) as registry:
            return _COMMANDS[args.command](registry, args)
    except EdgeError as error:
        print(f"cloud-bridge: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="cloud-bridge", description=__doc__, epilog=EXAMPLES, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the bridge", description=RUN, formatter_class=raw)
    enrol = commands.add_parser("enrol", help="make a device one of the tenant's; print its token")
    revoke = commands.add_parser("revoke", help="take nothing more from a device")
    devices = commands.add_parser("devices", help="list the devices")
    inspect = commands.add_parser(
        "inspect",
        help="say what it holds and what needs somebody; changes nothing",
        description=inspecting.DESCRIPTION,
        epilog=inspecting.EPILOG,
        formatter_class=raw,
    )
    for command in (run, enrol, revoke, devices):
        _add_whose(command)
    _add_run(run)
    _add_enrol(enrol)
    inspecting.add_options(inspect, _device)
    revoke.add_argument("device", type=_device, help="its number, as `devices` lists it")
    _add_key(commands)
    beacon_cli.add_command(commands, _add_whose)
    hooks_cli.add_command(commands, _add_whose)
    numbers_cli.add_command(commands)
    _add_store(commands)
    return parser


def _add_whose(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the bridge's folder"
    )
    command.add_argument(
        "--tenant",
        metavar="NAME",
        help="which tenant; needed for a new one, and (but for run) where there are several",
    )


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--broker",
        default="auto",
        metavar="WHICH",
        help="auto: mosquitto if it is installed, else embedded (default); embedded: inside this"
        " process; mosquitto; or mqtt://[user:password@]host:port, mqtts://...",
    )
    run.add_argument(
        "--broker-port",
        type=int,
        default=0,
        metavar="PORT",
        help="where a broker of our own listens, on 127.0.0.1 (default: any free port)",
    )
    run.add_argument(
        "--http",
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="where to serve /collect, /calls, /health, /feed and /docs (default: 127.0.0.1:8080)",
    )
    run.add_argument("--rules", type=Path, metavar="FILE", help="rules instead of our examples")
    run.add_argument(
        "--keep-days",
        type=float,
        default=0.0,
        metavar="N",
        help="drop the log's rows after so many days, and identifiers that led to nobody"
        " (default: keep all)",
    )
    run.add_argument(
        "--people-in-memory",
        type=int,
        default=MAX_RESIDENT,
        metavar="N",
        help="a tenant's records that stay in memory, some 300 bytes each"
        f" (default: {MAX_RESIDENT})",
    )
    run.add_argument(
        "--rebuild",
        action="store_true",
        help="make what is derived again from the log; what the log no longer has is lost",
    )
    run.add_argument(
        "--secrets",
        type=Path,
        metavar="FOLDER",
        help="where the peppers of telephone numbers lie; best on another disk, and in another"
        " backup (default: beside the database)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")
    run.add_argument(
        "--ready-json",
        action="store_true",
        help="once it runs, print one line of JSON with its addresses and process id",
    )


def _add_enrol(enrol: argparse.ArgumentParser) -> None:
    enrol.add_argument("--site", required=True, help="the store it stands in")
    enrol.add_argument(
        "--name", required=True, help="its name there; one that exists is enrolled anew"
    )
    enrol.add_argument("--surface", default="", help="what it can show, such as kiosk")
    enrol.add_argument("--zone", default="", help="where in the store it stands")


def _add_key(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    key = commands.add_parser("key", help="API keys of POST /collect: add, list, revoke")
    doings = key.add_subparsers(dest="doing", required=True, metavar="WHAT")
    add = doings.add_parser("add", help="make a key of a site; print it, once")
    listing = doings.add_parser("list", help="list the keys, without the keys themselves")
    revoke = doings.add_parser("revoke", help="take nothing more by a key")
    for command in (add, listing, revoke):
        _add_whose(command)
    add.add_argument("--site", required=True, help="what its events are reported as, as web-shop")
    add.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="pages that may use it, as https://shop.example; may be given several times; * is any;"
        " without one no web page may, and only servers can",
    )
    add.add_argument(
        "--rate",
        type=int,
        default=RATE_PER_S,
        metavar="N",
        help=f"events a second that it may send for ever (default {RATE_PER_S})",
    )
    add.add_argument(
        "--burst",
        type=int,
        default=BURST,
        metavar="M",
        help=f"events that it may send at once after a rest (default {BURST})",
    )
    revoke.add_argument("id", type=int, help="its id, as `key list` shows it")


def _add_store(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    store = commands.add_parser("store", help="plans of stores whose receivers are separate")
    doings = store.add_subparsers(dest="doing", required=True, metavar="WHAT")
    put = doings.add_parser("set", help="make visits of a site's sightings, by this plan")
    listing = doings.add_parser("list", help="list the sites that have a plan")
    drop = doings.add_parser("drop", help="make no more visits of a site's sightings")
    for command in (put, listing, drop):
        _add_whose(command)
    for command in (put, drop):
        command.add_argument("--site", required=True, help="the store, as its devices are enrolled")
    put.add_argument("file", type=Path, help="store.toml; docs/store-plan.md")


def _device(text: str) -> int:
    number = int(text, 16)
    if not 0 <= number < 1 << 32:
        raise argparse.ArgumentTypeError("a device's number is eight hexadecimal digits")
    return number


def _enrol(registry: Registry, args: argparse.Namespace) -> int:
    enrolment = registry.enrol(AesCcm(), args.site, args.name, args.surface, args.zone)
    print(to_token(enrolment))
    print(f"device {enrolment.device:08x}, enrolment {enrolment.generation + 1}", file=sys.stderr)
    return 0


def _revoke(registry: Registry, args: argparse.Namespace) -> int:
    registry.revoke(args.device)
    return 0


def _devices(registry: Registry, _args: argparse.Namespace) -> int:
    print(f"{'device':8}  {'site':16}  {'name':16}  {'surface':8}  {'zone':12}  state")
    for device in registry.devices():
        state = "revoked" if device.revoked else "new" if device.root_key else "in use"
        names = f"{device.site:16}  {device.name:16}  {device.surface:8}  {device.zone:12}"
        print(f"{device.number:08x}  {names}  {state}")
    return 0


def _key(registry: Registry, args: argparse.Namespace) -> int:
    return {"add": _key_add, "list": _key_list, "revoke": _key_revoke}[args.doing](registry, args)


def _key_add(registry: Registry, args: argparse.Namespace) -> int:
    now_ms = SystemClock().wall_ms()
    id_, key = registry.add_key(args.site, args.origin, args.rate, args.burst, now_ms)
    print(key)
    print(f"key {id_} of site {args.site}; it is shown this once", file=sys.stderr)
    return 0


def _key_list(registry: Registry, _args: argparse.Namespace) -> int:
    print(f"{'id':>4}  {'site':16}  {'made':10}  {'rate':>8}  {'burst':>8}  {'state':8}  origins")
    for key in registry.api_keys():
        made = datetime.datetime.fromtimestamp(key.created_ms / 1000, datetime.UTC)
        state = "revoked" if key.revoked else "live"
        limits = f"{key.rate_per_s:>8}  {key.burst:>8}  {state:8}"
        origins = " ".join(key.origins) or "none"
        print(f"{key.id:>4}  {key.site:16}  {made:%Y-%m-%d}  {limits}  {origins}")
    return 0


def _key_revoke(registry: Registry, args: argparse.Namespace) -> int:
    registry.revoke_key(args.id)
    return 0


def _store(registry: Registry, args: argparse.Namespace) -> int:
    return {"set": _store_set, "list": _store_list, "drop": _store_drop}[args.doing](registry, args)


def _store_set(registry: Registry, args: argparse.Namespace) -> int:
    store = plans.put(registry.path.parent, args.site, args.file)
    for warning in store.warnings:
        print(f"doubt: {warning}", file=sys.stderr)
    if all(device.site != args.site for device in registry.devices()):
        print(f"no device is enrolled at site {args.site} yet", file=sys.stderr)
    return 0


def _store_list(registry: Registry, _args: argparse.Namespace) -> int:
    print(f"{'site':16}  {'name':20}  receivers  zones  kiosks  privacy")
    faulty = 0
    for site, store in plans.listed(registry.path.parent):
        if isinstance(store, ConfigError):
            faulty = 1
            print(f"{site:16}  {store}")
            continue
        plan = store.plan
        counts = f"{len(plan.receivers):>9}  {len(plan.zones):>5}  {len(plan.kiosks):>6}"
        print(f"{site:16}  {plan.name:20}  {counts}  {store.privacy or '-'}")
    return faulty


def _store_drop(registry: Registry, args: argparse.Namespace) -> int:
    plans.drop(registry.path.parent, args.site)
    return 0


_COMMANDS = {
    "enrol": _enrol,
    "revoke": _revoke,
    "devices": _devices,
    "key": _key,
    "beacon": beacon_cli.run,
    "store": _store,
}


def _run(args: argparse.Namespace) -> int:
    logs.set_up(args.log_format)
    host, port = host_and_port(args.http)
    if not 0 <= args.broker_port <= 65_535:
        raise ConfigError("a port is 0 to 65535")
    config = Config(
        args.data,
        args.tenant,
        args.broker,
        args.broker_port,
        host,
        port,
        args.rules,
        args.people_in_memory,
        args.keep_days,
        args.rebuild,
        args.secrets,
    )
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_serve(config, args.ready_json))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  only `run` needs it
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


# How long the working thread may keep the interpreter from the event loop, where visits arrive.
# Python's own 5 ms are as long as all the rest of a prompt's way.
SWITCH_S = 0.001


async def _serve(config: Config, ready_json: bool) -> int:
    from cloud_bridge.factory import Bridge  # noqa: PLC0415  a second that only `run` is worth

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Bridge(config) as bridge:
        # What is there now stays: no collection has to look through it while a customer waits.
        gc.collect()
        gc.freeze()
        tasks = [
            asyncio.create_task(stop.wait(), name="signals"),
            asyncio.create_task(bridge.wait(), name="bridge"),
        ]
        telling = asyncio.create_task(_tell(bridge), name="ready") if ready_json else None
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, telling):
            if task is not None:
                task.cancel()
        for task in done:
            task.result()
    return 0


async def _tell(bridge: "Bridge") -> None:
    """One line of JSON, once devices can be heard; or a little later, if the broker is away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            await bridge.connected()
    ready = {"http": bridge.http_url, "broker": bridge.broker_url, "pid": os.getpid()}
    print(json.dumps(ready), flush=True)


if __name__ == "__main__":
    sys.exit(main())
