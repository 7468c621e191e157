"""The whole product in one command: real radio tracks in, personal prompts out, and a report.

It starts the bridge (and with it a broker), enrols one gateway with twelve radios and a kiosk in
each zone, lets six shoppers look round the web shop, and then lets them walk in. On Linux the
gateway hears them through the real bleak.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import math
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_sdk import Device, DeviceConfig, EdgeError, Prompt, Touchpoint, enrol
from edge_sdk.clock import ScaledClock
from edge_sdk.gateway import Gateway
from simulators.bridge_process import BridgeFailedError, BridgeProcess
from simulators.gateway import LINGER_MS, presence_of
from simulators.radio import Radio, StoreApps, radio_of
from simulators.store_day import StoreDay, collect_bodies

SITE = "demo-store"
DRAIN_S = 30.0
# Sightings and positions are in no hurry, and larger batches are smaller on the line. A visit
# does not linger, whatever this says.
LINGER_S = {"gateway": 0.5}
_DIM, _BOLD, _GREEN, _RESET = "\033[2m", "\033[1m", "\033[32m", "\033[0m"


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0 when nothing was lost and nothing happened twice."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("bleak").setLevel(logging.ERROR)  # that its D-Bus ends with the demo is meant
    with contextlib.ExitStack() as stack:
        if arguments.data is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-sdk-demo-"))
            arguments.data = Path(folder)
        try:
            return asyncio.run(_run(arguments))
        except (EdgeError, BridgeFailedError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Edge SDK, live: a store day with real radio tracks, from beacon to prompt.",
        epilog="Ctrl-C ends it cleanly. Without --seconds it ends when the last shopper has left.",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long")
    parser.add_argument("--speed", type=_speed, default=8.0, metavar="X", help="default 8")
    parser.add_argument("--shoppers", type=int, default=6, metavar="N", help="default 6")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another day; default 1")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--broker",
        default="auto",
        metavar="URL",
        help="mqtt://host:port, embedded, or auto (mosquitto where it is installed; the default)",
    )
    parser.add_argument("--headless", action="store_true", help="print the summary alone")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep all files there")
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError("more than 0, and finite")
    return speed


@dataclass(slots=True)
class _Stage:
    """What is running, and what has happened so far."""

    day: StoreDay
    headless: bool
    names: dict[str, str] = field(default_factory=dict)
    touched: dict[str, float] = field(default_factory=dict)
    touch_to_prompt_ms: list[float] = field(default_factory=list)
    displayed: Counter[int] = field(default_factory=Counter)
    joined: set[tuple[str, str]] = field(default_factory=set)
    radio: str = ""
    began: float = field(default_factory=time.monotonic)

    def say(self, what: str, style: str = "") -> None:
        """One line of the story."""
        if self.headless:
            return
        seconds = f"{time.monotonic() - self.began:6.1f} s  "
        if sys.stdout.isatty():
            print(f"{_DIM}{seconds}{_RESET}{style}{what}{_RESET}", flush=True)
        else:
            print(f"{seconds}{what}", flush=True)


async def _run(arguments: argparse.Namespace) -> int:
    stage = _Stage(StoreDay(arguments.seed, arguments.shoppers), arguments.headless)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows ends by KeyboardInterrupt
            loop.add_signal_handler(name, stop.set)
    bridge = BridgeProcess(arguments.data / "bridge", broker=arguments.broker)
    homes = _enrol(bridge, stage.day, arguments.data)
    await asyncio.to_thread(bridge.start)
    try:
        stage.say(f"bridge at {bridge.http} (documentation: {bridge.http}/docs), {bridge.broker}")
        await _browse(bridge, stage)
        report = await _open_the_store(bridge, homes, stage, arguments, stop)
    finally:
        await asyncio.to_thread(bridge.stop)
    _conclude(report, arguments)
    return 0 if report["lost"] == report["duplicate_effects"] == 0 else 1


def _enrol(bridge: BridgeProcess, day: StoreDay, data: Path) -> dict[str, Path]:
    """A gateway, and a kiosk in each zone; name -> home."""
    homes = {"gateway": data / "gateway"}
    enrol(bridge.enrol(SITE, "gateway"), homes["gateway"])
    for zone in sorted(set(day.zones.values())):
        homes[zone] = data / f"kiosk-{zone}"
        enrol(bridge.enrol(SITE, f"kiosk-{zone}", "kiosk", zone), homes[zone])
    return homes


async def _browse(bridge: BridgeProcess, stage: _Stage) -> None:
    """Before the store opens: everybody's web history, some days and some minutes old."""
    now_ms = int(time.time() * 1000)
    for shopper in stage.day.shoppers:
        stage.names[shopper.visitor] = shopper.name
        for body in collect_bodies(shopper, now_ms):
            await asyncio.to_thread(bridge.collect, body)
        logged_in = "logged in" if shopper.loyalty else "stayed anonymous"
        consent = "consents" if shopper.consent else "does not consent"
        interests = ", ".join(shopper.interests)
        stage.say(f"web    {shopper.name} looked at {interests}, {logged_in}, {consent}")


async def _open_the_store(
    bridge: BridgeProcess,
    homes: dict[str, Path],
    stage: _Stage,
    arguments: argparse.Namespace,
    stop: asyncio.Event,
) -> dict[str, Any]:
    _watch(bridge, stage, asyncio.get_running_loop())
    async with contextlib.AsyncExitStack() as stack:
        devices = {
            name: await stack.enter_async_context(
                Device(DeviceConfig(home, bridge.broker, linger_s=LINGER_S.get(name, 0.02)))
            )
            for name, home in homes.items()
        }
        kiosks = [
            asyncio.create_task(_kiosk(zone, device, stage), name=f"kiosk {zone}")
            for zone, device in devices.items()
            if zone != "gateway"
        ]
        clock = ScaledClock(arguments.speed)
        gateway = _Narrated(devices["gateway"], clock, stage)
        radio = await stack.enter_async_context(radio_of(stage.day, clock))
        stage.radio = radio.way
        stage.say(f"radio  {radio.way}")
        sources = {"radio": radio.source, "apps": StoreApps(stage.day, clock)}
        async with Gateway(gateway, presence_of(stage.day), sources):
            await _until_all_have_left(radio, clock, stop, arguments.seconds)
        await asyncio.sleep(0.5)  # the last prompt's answer
        for kiosk in kiosks:
            kiosk.cancel()
        await asyncio.gather(*kiosks, return_exceptions=True)
        return await _counted(bridge, devices, stage)


async def _until_all_have_left(
    radio: Radio, clock: ScaledClock, stop: asyncio.Event, seconds: float | None
) -> None:
    """Until the day is over, somebody stops it, or its seconds are."""

    async def walk() -> None:
        await radio.play()
        await clock.sleep(LINGER_MS / 1000)

    tasks = [asyncio.create_task(walk()), asyncio.create_task(stop.wait())]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _Narrated:
    """The gateway's device, in the time of a day that passes too fast, and with a story told."""

    def __init__(self, device: Device, clock: ScaledClock, stage: _Stage) -> None:
        self.clock = clock
        self._device = device
        self._stage = stage

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        now_ms, played_ms = self._device.clock.now_ms(), self.clock.now_ms()
        told = []
        for touchpoint in touchpoints:
            _seen(self._stage, touchpoint)
            at_ms = played_ms if touchpoint.at_ms is None else touchpoint.at_ms
            # The device's own clock does not run `speed` times too fast.
            device_ms = now_ms - round((played_ms - at_ms) / self.clock.speed)
            told.append(Touchpoint(touchpoint.code, device_ms, touchpoint.values))
        await self._device.capture_many(told, at_once=at_once)


def _seen(stage: _Stage, touchpoint: Touchpoint) -> None:
    zone, name = touchpoint.get("zone"), touchpoint.name
    if name in ("visit.enter", "visit.dwell"):
        stage.touched[zone] = time.perf_counter()
    if name == "visit.enter":
        stage.say(f"radio  {stage.names[touchpoint.get('visitor')]} is in {zone}")


async def _kiosk(zone: str, device: Device, stage: _Stage) -> None:
    """A screen: shows what comes, and somebody touches it."""
    async for prompt in device.prompts:
        stage.displayed[prompt.id] += 1
        if zone in stage.touched:
            took_ms = 1000 * (time.perf_counter() - stage.touched[zone])
            stage.touch_to_prompt_ms.append(took_ms)
            stage.say(_shown(zone, prompt, took_ms), _BOLD + _GREEN)
        await prompt.shown()
        await (prompt.accepted() if prompt.id % 3 else prompt.dismissed())


def _shown(zone: str, prompt: Prompt, took_ms: float) -> str:
    why = "; ".join(prompt.why)
    return f"KIOSK  [{zone}] {prompt.title}: {prompt.body}  ({took_ms:.1f} ms; because {why})"


def _watch(bridge: BridgeProcess, stage: _Stage, loop: asyncio.AbstractEventLoop) -> None:
    """Follow the bridge's own feed, in a thread that ends with it."""
    watching = threading.Event()

    def follow() -> None:
        with contextlib.suppress(OSError, ValueError):
            for kind, fields in bridge.feed(watching.set):
                loop.call_soon_threadsafe(_told, stage, kind, fields)

    threading.Thread(target=follow, name="feed", daemon=True).start()
    watching.wait(10)


def _told(stage: _Stage, kind: str, fields: dict[str, Any]) -> None:
    if kind == "visit" and fields["known"]:
        visit = (fields["person"], fields["zone"])
        if visit not in stage.joined:
            stage.say(f"join   the visit in {fields['zone']} is web visitor {fields['person']}")
        stage.joined.add(visit)
    elif kind == "no_prompt" and fields["person"]:
        # An offer for another zone is no news; one for this zone that was held back is.
        held_back = {offer: why for offer, why in fields["failed"].items() if why != "zone"}
        if held_back:
            reasons = ", ".join(f"{offer}: {clause}" for offer, clause in held_back.items())
            stage.say(f"quiet  no prompt for {fields['person']} in {fields['zone']} ({reasons})")
    elif kind in ("gap", "refused"):
        stage.say(f"bridge {kind}: {fields}")


async def _counted(
    bridge: BridgeProcess, devices: dict[str, Device], stage: _Stage
) -> dict[str, Any]:
    """Wait until the bridge holds everything, and compare what it has with what was captured."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            await asyncio.gather(*(device.drained() for device in devices.values()))
    statuses = [device.status() for device in devices.values()]
    health = await asyncio.to_thread(bridge.health)
    captured_ = sum(status.captured for status in statuses)
    committed = health["counted"].get("touchpoints.from_devices", 0)
    times = sorted(stage.touch_to_prompt_ms)
    repeated = sum(count - 1 for count in stage.displayed.values())
    return {
        "captured": captured_,
        "committed": committed,
        "joined": len(stage.joined),
        "prompts_shown": len(stage.displayed),
        "lost": max(0, captured_ - committed),
        "duplicate_effects": repeated + max(0, committed - captured_),
        "payload_bytes_per_event": round(
            sum(status.payload_bytes for status in statuses) / max(1, captured_), 1
        ),
        "touch_to_prompt_ms": {"p50": _percentile(times, 50), "p99": _percentile(times, 99)},
        "broker": bridge.broker,
        "radio": stage.radio,
        "seed": stage.day.seed,
    }


def _percentile(values: Sequence[float], percent: int) -> float | None:
    """Nearest rank, of rising values; None without any."""
    if not values:
        return None
    return round(values[min(len(values) - 1, len(values) * percent // 100)], 2)


def _conclude(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.report is not None:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    took = report["touch_to_prompt_ms"]
    print(
        f"\n{report['captured']} touchpoints captured, {report['committed']} committed,"
        f" {report['lost']} lost, {report['duplicate_effects']} happened twice\n"
        f"{report['joined']} visits joined to a web session, {report['prompts_shown']} prompts"
        f" shown; touch to prompt p50 {took['p50']} ms, p99 {took['p99']} ms\n"
        f"{report['payload_bytes_per_event']} payload bytes a touchpoint, both ways,"
        f" at this store's small batches; radio: {report['radio']}"
    )
