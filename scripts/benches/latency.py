"""Touch to prompt: from `capture()` called to the prompt in the application, against a floor.

A gateway captures visits at a steady rate, a kiosk in the same process gets the prompts; bridge and
broker are processes of their own; both ends sync to disk. The floor is measured in the same run, in
turns with the product: the same number of bytes over the same broker, one sync on each side, and no
product code.
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import paho.mqtt.client as paho

from benches._kill_broker import start as start_broker
from benches._latency_floor import DOWN, UP
from benches._latency_floor import client as floor_client
from benches._report import add_arguments, publish
from benches._shop import RULES, SCRIPTS, browsed, free_port
from benches._touches import SHOPPERS, percentile, show, touch
from edge_sdk import Device, DeviceConfig, enrol
from simulators.bridge_process import BridgeProcess

# What travels for one touch: a sealed row batch up, a sealed prompt down.
UP_BYTES, DOWN_BYTES = 88, 130


def main(argv: Sequence[str]) -> int:
    """Measure in turns; 0 when every touch brought its prompt."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--touches", type=int, default=4000, metavar="N", help="default 4000")
    parser.add_argument("--rate", type=float, default=100.0, metavar="PER_S", help="default 100")
    parser.add_argument("--turns", type=int, default=10, metavar="N", help="default 10")
    add_arguments(parser)
    args = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = str(SCRIPTS)
    build = SCRIPTS.parent / "build"  # a real disk, where a temporary folder may be memory
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="latency-", dir=build) as folder:
        product, floor = _measure(Path(folder), args)
    return _tell(product, floor, args)


def _measure(folder: Path, args: argparse.Namespace) -> tuple[list[float], list[float]]:
    port = free_port()
    broker = start_broker(port, folder)
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    address = f"mqtt://127.0.0.1:{port}"
    bridge = BridgeProcess(folder / "bridge", tenant="bench", broker=address, rules=rules)
    homes = [folder / "gateway", folder / "kiosk"]
    enrol(bridge.enrol("s", "gateway"), homes[0])
    enrol(bridge.enrol("s", "kiosk", "kiosk", "coffee"), homes[1])
    far: subprocess.Popen[bytes] | None = None
    try:
        bridge.start()
        for shopper in range(SHOPPERS):
            bridge.collect(browsed(shopper, int(time.time() * 1000)))
        command = [sys.executable, "-m", "benches._latency_floor", str(port)]
        far = subprocess.Popen([*command, str(folder / "far"), str(DOWN_BYTES)])
        return asyncio.run(_turns(homes, bridge.broker, port, folder, args))
    finally:
        bridge.stop()
        for process in (far, broker):
            if process is not None:
                process.terminate()
                process.wait()


async def _turns(
    homes: Sequence[Path], broker: str, port: int, folder: Path, args: argparse.Namespace
) -> tuple[list[float], list[float]]:
    near = Near(port, folder / "near", args.rate)
    await near.warm_up()
    product: list[float] = []
    floor: list[float] = []
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(Device(DeviceConfig(home, broker))) for home in homes
        ]
        touched: dict[int, float] = {}
        showing = asyncio.create_task(show(devices[1], touched, product))
        await touch(devices[0], touched, 50, args.rate)  # warm: epochs open, links up
        await asyncio.sleep(2)
        product.clear()
        gc.collect()
        gc.freeze()  # as `cloud-bridge run` does: no collection looks through what stays
        each = max(1, args.touches // args.turns)
        for turn in range(args.turns):
            await touch(devices[0], touched, each, args.rate)
            await asyncio.sleep(0.3)
            floor += await asyncio.to_thread(near.touch, each)
            print(f"turn {turn + 1} of {args.turns}", file=sys.stderr, flush=True)
        await asyncio.sleep(1)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    near.close()
    return product, floor


class Near:
    """The near side of the floor: sync to disk, publish, wait for the answer."""

    def __init__(self, port: int, path: Path, rate: float) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._rate = rate
        self._began: list[float] = []
        self._took_ms: list[float] = []
        self._client = floor_client("floor-near", port)
        self._client.on_message = self._answered
        self._client.subscribe(DOWN, qos=1)
        self._client.loop_start()

    async def warm_up(self) -> None:
        """Until the far side answers."""
        while not self._took_ms:
            self._began = [time.perf_counter()]
            self._client.publish(UP, os.urandom(UP_BYTES), qos=1)
            await asyncio.sleep(0.2)

    def _answered(self, _client: paho.Client, _userdata: object, _message: object) -> None:
        at = len(self._took_ms)
        if at < len(self._began):
            self._took_ms.append(1000 * (time.perf_counter() - self._began[at]))

    def touch(self, count: int) -> list[float]:
        """`count` round trips at the steady rate, in ms."""
        self._began, self._took_ms = [], []
        began = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, began + number / self._rate - time.perf_counter()))
            self._began.append(time.perf_counter())
            payload = os.urandom(UP_BYTES)
            os.write(self._descriptor, payload)
            os.fdatasync(self._descriptor)
            self._client.publish(UP, payload, qos=1)
        time.sleep(0.3)
        return list(self._took_ms)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        os.close(self._descriptor)


def _tell(product: list[float], floor: list[float], args: argparse.Namespace) -> int:
    keys = {
        "p50_ms": percentile(product, 50),
        "p99_ms": percentile(product, 99),
        "floor_p50_ms": percentile(floor, 50),
        "floor_p99_ms": percentile(floor, 99),
        "touches": len(product),
        "rate_per_s": args.rate,
    }
    ratio_50 = keys["p50_ms"] / keys["floor_p50_ms"]
    ratio_99 = keys["p99_ms"] / keys["floor_p99_ms"]
    keys |= {"ratio_p50": ratio_50, "ratio_p99": ratio_99}
    rows = [
        ("touches", len(product), f"at {args.rate:g} a second, {len(floor)} of the floor"),
        ("touch to prompt p50, ms", keys["p50_ms"], f"{ratio_50:.2f} x the floor"),
        ("touch to prompt p99, ms", keys["p99_ms"], f"{ratio_99:.2f} x the floor"),
        ("floor p50, ms", keys["floor_p50_ms"], "two hops, one sync on each side"),
        ("floor p99, ms", keys["floor_p99_ms"], ""),
    ]
    publish("latency", rows, keys, args)
    wanted = args.touches // args.turns * args.turns
    return 0 if len(product) == wanted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
