"""`edge-sdk calls`: a store's telephone line, as a program that runs until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Any

from edge_sdk.call_gateway import CallGateway, CallLine
from edge_sdk.device import Device, DeviceConfig
from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

KEY = "EDGE_SDK_BRIDGE_KEY"
_WHAT = "tell the bridge of every call at the store's SIP line, and agents of who calls"
_MORE = f"""
A SIP proxy and a broker run on this machine (examples/call_tracking/). The API key of the bridge is
read from the environment ({KEY}) or from --key-file: one of a site without origins.

example:
  edge-sdk calls --home line --broker mqtt://bridge.example --line mqtt://127.0.0.1 \\
    --accounting /var/lib/kamailio/calls --bridge https://bridge.example --key-file line.key \\
    --group +33170180000=sales --group pool:web=sales
"""


def add_command(commands: Any, broker: argparse.ArgumentParser) -> None:  # noqa: ANN401
    """Put `calls` among the commands of `edge-sdk`; `broker` has the options of a device."""
    one = commands.add_parser(
        "calls",
        help=_WHAT,
        description=_WHAT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[broker],
    )
    one.add_argument("--line", required=True, metavar="URL", help="the broker of this machine")
    one.add_argument(
        "--accounting", type=Path, required=True, metavar="FOLDER", help="of the proxy's account"
    )
    one.add_argument("--region", help="where the line is, as FR: for numbers without their +")
    one.add_argument("--bridge", metavar="URL", help="the bridge's HTTP address, for leases")
    one.add_argument("--key-file", type=Path, help=f"with the bridge's API key (or ${KEY})")
    one.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NUMBER=GROUP",
        help="which agents a number, or pool:NAME, is for; may be given several times",
    )
    one.add_argument("--default-group", default="agents", help="of every other number (agents)")
    one.set_defaults(run=_calls)


def _calls(arguments: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments))
    return 0


def line_of(arguments: argparse.Namespace) -> CallLine:
    """The line that the arguments tell of. Raises ConfigError."""
    key = os.environ.get(KEY, "")
    if arguments.key_file is not None:
        try:
            key = arguments.key_file.read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{arguments.key_file}: {error.strerror}") from None
    if arguments.bridge is not None and not key:
        raise ConfigError(f"--bridge needs an API key: --key-file, or ${KEY}")
    groups = dict(text.split("=", 1) for text in arguments.group if "=" in text)
    if len(groups) < len(arguments.group):
        raise ConfigError("--group is NUMBER=GROUP, as +33170180000=sales, each number once")
    return CallLine(
        arguments.line,
        arguments.accounting,
        arguments.home,
        arguments.region,
        arguments.bridge,
        key,
        groups,
        arguments.default_group,
    )


async def _run(arguments: argparse.Namespace) -> None:
    line = line_of(arguments)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    config = DeviceConfig(arguments.home, arguments.broker, ca_file=arguments.ca_file)
    async with Device(config) as device, CallGateway(device, line):
        log.info("the line is heard: %s", line.broker)
        await stop.wait()
