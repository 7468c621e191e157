"""A store's telephone line on this machine: who calls is on the agent's screen while it rings.

    python examples/call_tracking/run.py [--calls 5] [--headless]

A bridge lends numbers to visitors of a web shop; mosquitto, kamailio and sipp are the store's line;
visitors call the numbers that they were shown. All of it is on 127.0.0.1, and ends by itself.
"""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from edge_sdk import Device, DeviceConfig, enrol
from edge_sdk.call_gateway import CallGateway, CallLine
from edge_sdk.event_stream import EventStream
from simulators.bridge_process import BridgeProcess
from simulators.sip_line import SipLine, free_port, missing

HERE = Path(__file__).parent
POOL = """
[[pool]]
name = "web"
region = "FR"
fallback = "+33170180099"
numbers = ["+33170180000..39"]
"""


def post(bridge: BridgeProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the bridge answers."""
    head = {"Authorization": f"Bearer {bridge.key('paris-1')}"}
    raw = json.dumps(body).encode()
    request = urllib.request.Request(bridge.http + path, raw, head)  # noqa: S310  our own
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        said: dict[str, Any] = json.load(answer)
    return said


def visit(bridge: BridgeProcess, n: int) -> str:
    """Somebody looks at rugs, says yes, and is shown a number."""
    session = f"cookie:{n}"
    events: list[dict[str, Any]] = [
        {"type": "page.view", "page": f"/rugs/{n}", "category": "rugs"},
        {"type": "basket", "action": "add", "item": f"rug-{n}", "value_minor": 9900},
        {"type": "consent", "purpose": "call_assistance", "granted": True},
    ]
    post(bridge, "/collect", {"session": session, "id": "1", "events": events})
    number: str = post(bridge, "/numbers/lease", {"session": session})["number"]["e164"]
    return number


async def show(bridge: BridgeProcess, calls: int, headless: bool) -> list[dict[str, Any]]:
    """Print what an agent's screen would show; the pops of calls that rang."""
    rang: list[dict[str, Any]] = []
    over = 0
    async for pop in EventStream(f"{bridge.http}/calls/feed", bridge.key("paris-1")):
        if not isinstance(pop, dict):
            continue
        if pop["state"] == "ringing":
            rang.append(pop)
            if not headless:
                who = (pop["who"] or {}).get("id", "somebody")
                basket = ", ".join(item["item"] for item in pop["basket"]) or "nothing"
                print(f"{pop['number']} rings: {who}, {pop['sure']:.0%} sure; basket: {basket}")
        over += pop["state"] in ("ended", "missed")
        if over == calls:
            break
    return rang


async def run(bridge: BridgeProcess, line: SipLine, folder: Path, args: argparse.Namespace) -> int:
    """Have visitors call; 0 when each was shown with whom the call is from."""
    numbers = [visit(bridge, n) for n in range(args.calls)]
    enrol(bridge.enrol("paris-1", "line"), folder / "device")
    config = DeviceConfig(folder / "device", bridge.broker)
    told = CallLine(
        line.broker, line.accounting, folder / "leases", "FR", bridge.http, bridge.key("paris-1")
    )
    async with Device(config) as device, CallGateway(device, told):
        screen = asyncio.create_task(show(bridge, args.calls, args.headless))
        await asyncio.sleep(1.5)
        callers = line.call([(f"+3361234{n:04}", number) for n, number in enumerate(numbers)], 2)
        async with asyncio.timeout(60):
            rang = await screen
        await asyncio.to_thread(callers.wait)
    right = sum((pop["who"] or {}).get("id") == f"cookie:{n}" for n, pop in enumerate(rang))
    print(f"{len(rang)} calls rang, {right} were shown with whom they are from")
    return 0 if right == args.calls else 1


def main() -> int:
    """Start all of it, and end it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--headless", action="store_true", help="print the sum alone")
    args = parser.parse_args()
    if missing():
        sys.exit(f"missing: {', '.join(missing())}; on Debian: apt install mosquitto kamailio"
                 " kamailio-mqtt-modules sip-tester")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bridge" / "demo").mkdir(parents=True, mode=0o700)
        (folder / "bridge" / "demo" / "numbers.toml").write_text(POOL)
        http = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        with (
            BridgeProcess(folder / "bridge", http=http) as bridge,
            SipLine(folder / "line", HERE / "kamailio.cfg") as line,
        ):
            time.sleep(1.0)  # the pools are read
            return asyncio.run(run(bridge, line, folder, args))


if __name__ == "__main__":
    sys.exit(main())
