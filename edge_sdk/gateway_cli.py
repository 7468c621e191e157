"""`edge-sdk gateway`: from a store plan to a gateway that runs until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.device import Device, DeviceConfig
from edge_sdk.errors import ConfigError
from edge_sdk.gateway import Gateway, Source
from edge_sdk.key_slots import KeySlots
from edge_sdk.plan_file import StorePlan, read_plan
from edge_sdk.sources.serial_line import Port
from edge_sdk.store_engine import store_engine

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)

_WHAT = "hear the store's beacons, make visits of them, and send all of it"
_MORE = """
The radios are the receivers of the plan that name an `adapter` of this machine; the plan also says
what may be kept of other people's phones (`privacy`), and how presence works (docs/gateway.md).

examples:
  edge-sdk gateway --home /var/lib/edge-sdk --broker mqtts://bridge:8883 --plan store.toml
  edge-sdk gateway ... --scanner /dev/serial/by-id/usb-Honeywell_1950-if00
  edge-sdk gateway ... --counter /dev/ttyUSB0@19200 counter.toml
  edge-sdk gateway ... --modem /dev/ttyUSB2@115200 +33170180000

It runs until SIGTERM or Ctrl-C. Then it ends every open visit, commits what it has, gives the
bridge some seconds to take it, and exits with 0. What was not delivered is, after the next start.
`edge-sdk doctor --plan store.toml --home ... --broker ...` says why nothing arrives.

Each log line is a time, a level, a part of the program, and what happened; counts are name=value.
"""
_DELIVER_WITHIN_S = 3.0
_GNSS_SILENCE_S = 10.0
_FIRST_OUTDOORS = 1 << 32  # visits to fences are numbered apart from those of the engine
_LEAST_REPORT_S, _MOST_REPORT_S = 1.0, 86_400.0


def add_commands(commands: "Commands", broker: argparse.ArgumentParser) -> None:
    """Put `gateway` among the commands of `edge-sdk`; `broker` has the options of a device."""
    one = commands.add_parser(
        "gateway",
        help=_WHAT,
        description=_WHAT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[broker],
    )
    one.add_argument("--plan", type=Path, required=True, metavar="store.toml", help="of the store")
    one.add_argument(
        "--name", help="of this gateway, in counts and scans (default: gateway- and its number)"
    )
    one.add_argument(
        "--scanner",
        action="append",
        default=[],
        metavar="PORT[@BAUD]",
        help="a barcode scanner at a serial port; may be given several times",
    )
    one.add_argument(
        "--counter",
        action="append",
        nargs=2,
        default=[],
        metavar=("PORT[@BAUD]", "FILE.toml"),
        help="a door counter or till, and how its lines are read (docs/sources.md); likewise",
    )
    one.add_argument(
        "--gnss",
        nargs=2,
        metavar=("PORT[@BAUD]", "FENCES.toml"),
        help="a GNSS receiver, and the fenced places whose visits it makes (docs/sources.md)",
    )
    one.add_argument(
        "--modem",
        action="append",
        nargs=2,
        default=[],
        metavar=("PORT[@BAUD]", "NUMBER"),
        help="a modem at a telephone line or with a SIM, and the number that people dial to reach"
        " it, as +33170180000 (docs/call-lines.md); may be given several times",
    )
    one.add_argument(
        "--caller-id",
        action="append",
        nargs=2,
        default=[],
        metavar=("PORT[@BAUD]", "NUMBER"),
        help="a box that tells who calls at an analogue line, and its number; likewise",
    )
    one.add_argument(
        "--report",
        type=_seconds,
        default=300.0,
        metavar="S",
        help="seconds between two log lines that say how it goes (300)",
    )
    one.set_defaults(run=_gateway)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not _LEAST_REPORT_S <= seconds <= _MOST_REPORT_S:
        raise argparse.ArgumentTypeError(f"{_LEAST_REPORT_S:g} to {_MOST_REPORT_S:g} seconds")
    return seconds


def _gateway(arguments: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):  # Windows: everything has been left in order
        asyncio.run(_run(arguments))
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    """Raises ConfigError and StorageError before anything runs, or what a part cannot survive."""
    store = read_plan(arguments.plan)
    number = KeySlots(arguments.home, AesCcm()).load().device
    name = arguments.name or f"gateway-{number:08x}"
    engine = store_engine(store, name)
    stop = asyncio.Event()
    _stop_on_signals(stop)
    config = DeviceConfig(arguments.home, arguments.broker, ca_file=arguments.ca_file)
    async with AsyncExitStack() as parts:
        device = Device(config)
        sources = sources_of(arguments, store, device, name)
        await parts.enter_async_context(device)
        parts.push_async_callback(_delivered, device)
        gateway = Gateway(
            device, engine, sources, report_s=arguments.report, told=lambda: _status(device)
        )
        await parts.enter_async_context(gateway)
        log.info(
            "%s runs in store %s: privacy=%s receivers=%s",
            name,
            store.plan.name or "(no name)",
            store.privacy,
            ",".join(store.adapters),
        )
        await stop.wait()
        log.info("told to stop: the open visits end")


def sources_of(
    arguments: argparse.Namespace, store: StorePlan, device: Device, name: str
) -> dict[str, Source]:
    """The radios of the plan and the serial devices of the command line. Raises ConfigError."""
    sources: dict[str, Source] = {"radio": _radio(store, device)}
    if arguments.scanner:
        from edge_sdk.sources.scanner import Scanner  # noqa: PLC0415  only who has one needs it

        for at, port in enumerate(arguments.scanner, 1):
            which = f"{name}-scanner-{at}" if len(arguments.scanner) > 1 else f"{name}-scanner"
            sources[f"scanner{at}"] = Scanner(_port(port), which)
    if arguments.counter:
        from edge_sdk.sources.line_device import LineDevice  # noqa: PLC0415
        from edge_sdk.sources.line_mapping import read_mapping  # noqa: PLC0415

        for at, (port, file) in enumerate(arguments.counter, 1):
            mapping = read_mapping(Path(file))
            sources[f"counter{at}"] = LineDevice(_port(port), mapping, clock=device.clock)
    if arguments.modem or arguments.caller_id:
        sources |= _telephones(arguments, device)
    if arguments.gnss:
        sources["gnss"] = _fenced(arguments.gnss, device, name)
    return sources


def _radio(store: StorePlan, device: Device) -> Source:
    if not store.adapters:
        raise ConfigError(
            "no receiver of the plan is a radio of this machine: give one an adapter, as"
            ' adapter = "hci0" (`edge-sdk doctor` lists those that are there)'
        )
    from edge_sdk.sources.bluetooth import Bluetooth  # noqa: PLC0415  an extra
    from edge_sdk.sources.bluetooth_scan import LINUX, THE_ONLY_ADAPTER  # noqa: PLC0415

    receivers = {adapter: receiver for receiver, adapter in store.adapters.items()}
    if not LINUX and len(receivers) == 1:
        receivers = {THE_ONLY_ADAPTER: next(iter(store.adapters))}
    return Bluetooth(receivers, clock=device.clock)


def _telephones(arguments: argparse.Namespace, device: Device) -> dict[str, Source]:
    from edge_sdk.sources.call_touchpoints import CallTouchpoints  # noqa: PLC0415
    from edge_sdk.sources.caller_id_box import CallerIdBox  # noqa: PLC0415
    from edge_sdk.sources.modem import Modem  # noqa: PLC0415

    found: dict[str, Source] = {}
    for at, (port, number) in enumerate(arguments.modem, 1):
        modem = Modem(_port(port), number, clock=device.clock)
        found[f"modem{at}"] = CallTouchpoints(modem)
    for at, (port, number) in enumerate(arguments.caller_id, 1):
        box = CallerIdBox(_port(port), number, clock=device.clock)
        found[f"caller-id{at}"] = CallTouchpoints(box)
    return found


def _fenced(said: Sequence[str], device: Device, name: str) -> Source:
    from edge_sdk.fence_file import read_fences  # noqa: PLC0415  only who has a receiver needs it
    from edge_sdk.presence.geofence import Geofences  # noqa: PLC0415
    from edge_sdk.sources.geofence import GeofenceSource, Gnss  # noqa: PLC0415

    port, file = said
    gnss = Gnss(_port(port, _GNSS_SILENCE_S))
    fences = Geofences(read_fences(Path(file)), f"gnss:{name}", first_visit=_FIRST_OUTDOORS)
    return GeofenceSource(gnss, fences, clock=device.clock)


def _port(text: str, silence_s: float | None = None) -> Port:
    path, at, baud = text.rpartition("@")
    if not at:
        return Port(text, silence_s=silence_s)
    if not baud.isdigit():
        raise ConfigError(f"{text}: a port is /dev/ttyUSB0 or /dev/ttyUSB0@115200")
    return Port(path, int(baud), silence_s=silence_s)


def _status(device: Device) -> dict[str, object]:
    """Of the way to the bridge, for the log."""
    status = device.status()
    return {
        "connected": "yes" if status.connected else "no",
        "outbox": status.outbox_batches,
        "outbox_bytes": status.outbox_bytes,
        "delivered": status.delivered_batches,
    }


async def _delivered(device: Device) -> None:
    """Let the bridge take what came last, if it is there."""
    why = "no connection"
    if device.status().connected:
        try:
            async with asyncio.timeout(_DELIVER_WITHIN_S):
                await device.drained()
        except TimeoutError:
            why = "the bridge does not answer"
        else:
            log.info("stopped: the bridge holds everything")
            return
    waiting = device.status().outbox_batches
    log.warning("stopped: %s; %d batches wait for the next start", why, waiting)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal stops in order; the second one is Python's own, at once."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def told() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        try:
            loop.add_signal_handler(number, told)
        except NotImplementedError:  # Windows: Ctrl-C cancels the main task, which ends in order
            return
