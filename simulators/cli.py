"""The command `store-simulator`: the simulated store, a crowd, radio, mix, serial devices."""

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edge_sdk.errors import ConfigError
from edge_sdk.wire.touchpoint import FIELDS, Touchpoint
from simulators import crowd_cli, mix, radio, serial_lines, tracks
from simulators.gateway import captured, presence_of
from simulators.store_day import Shopper, StoreDay, replay

DAY = """
Six recorded walks past twelve real radios, under as many made-up shoppers as you like. The same
seed is always the same day. at_ms counts from the opening of the store, in milliseconds.

what to try:
  store-simulator day --format summary               who came, and where the store thinks she was
  store-simulator day --speed 20                     its touchpoints, a minute in three seconds
  store-simulator day --show readings | head         what the radios heard, before any of that
  store-simulator day --seed 7 --shoppers 40 --gap 4 a busy store
"""

RADIO = """
The same day as a D-Bus peer that plays BlueZ: what scans the system's Bluetooth adapters, such as
bleak, hears it without any. It waits until somebody scans, plays the day and ends. Linux only.

what to try, with two terminals:
  store-simulator radio --speed 8                    prints a line to paste into the other one
  DBUS_SYSTEM_BUS_ADDRESS=... python my_gateway.py   hears twelve adapters, hci0 to hci11
"""

MIX = """
The shares of all touchpoint types, as JSON: what the benches send. It is kept in a file, and a test
tells when that is out of date:
  store-simulator mix > tests/data/mix.json
"""


SERIAL = """
A device at a real pseudo-terminal, for a program of yours to open. The path is printed; the device
sends until it is stopped, faults and all.

what to try, in two shells:
  store-simulator serial --device gnss --link ./receiver
  python examples/geofence.py ./receiver
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "mix":
            print(json.dumps(mix.draw_up(), indent=2))
        elif args.command == "crowd":
            crowd_cli.play(args)
        elif args.command == "serial":
            asyncio.run(_serial(args))
        elif args.command == "radio":
            return asyncio.run(_on_the_air(args))
        elif args.format == "summary":
            _summarise(StoreDay(args.seed, args.shoppers, args.gap_ms))
        else:
            asyncio.run(_play(args))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(f"store-simulator: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="store-simulator", description=__doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{day,crowd,radio,mix,serial}"
    )
    raw = argparse.RawDescriptionHelpFormatter
    day = commands.add_parser(
        "day", help="play a day in the store", description=DAY, formatter_class=raw
    )
    on_air = commands.add_parser(
        "radio", help="put a day on the air, for bleak", description=RADIO, formatter_class=raw
    )
    for of_a_day in (day, on_air):
        _add_day(of_a_day)
    on_air.add_argument("--speed", type=_finite, default=1.0, help="how many times as fast")
    day.add_argument(
        "--speed",
        type=_speed,
        default=math.inf,
        help="how many times as fast as it happened (default: inf, without waiting)",
    )
    day.add_argument(
        "--format",
        choices=("jsonl", "summary"),
        default="jsonl",
        help="one JSON object a line as it happens, or a table of the whole day at once",
    )
    day.add_argument(
        "--show",
        choices=("touchpoints", "readings"),
        default="touchpoints",
        help="in jsonl: what presence makes of it (default), or what each radio hears",
    )
    crowd_cli.add_crowd(
        commands.add_parser(
            "crowd",
            help="a shop full of phones, and the truth",
            description=crowd_cli.CROWD,
            formatter_class=raw,
        )
    )
    commands.add_parser(
        "mix", help="draw up the mix of touchpoints", description=MIX, formatter_class=raw
    )
    serial = commands.add_parser(
        "serial", help="be a serial device", description=SERIAL, formatter_class=raw
    )
    serial.add_argument("--device", choices=tuple(_DEVICES), required=True)
    serial.add_argument("--seed", type=int, default=1, help="which run (default: 1)")
    serial.add_argument("--speed", type=_speed, default=1.0, help="times as fast (default: 1)")
    serial.add_argument(
        "--link", type=Path, help="where the port is to be (default: in a new temporary folder)"
    )
    return parser


def _add_day(parser: argparse.ArgumentParser) -> None:
    """The options that make a day."""
    parser.add_argument("--seed", type=int, default=1, help="which day (default: 1)")
    parser.add_argument("--shoppers", type=_count, default=6, help="how many come (default: 6)")
    parser.add_argument(
        "--gap",
        dest="gap_ms",
        type=_gap,
        default=20_000,
        metavar="SECONDS",
        help="between two of them, on average (default: 20)",
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least one shopper")
    return count


def _gap(text: str) -> int:
    gap_ms = float(text) * 1000
    if not 0 <= gap_ms <= 86_400_000:
        raise argparse.ArgumentTypeError("0 to 86400 seconds")
    return round(gap_ms)


def _speed(text: str) -> float:
    speed = float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError("more than 0; inf does not wait")
    return speed


_DEVICES: dict[str, Callable[[int], Iterator[serial_lines.Sent]]] = {
    "scanner": lambda seed: serial_lines.scanner(seed, 1_000),
    "gnss": serial_lines.gnss,
    "counter": lambda seed: serial_lines.counter(seed, 1_000),
}


async def _serial(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = serial_lines.PseudoPort(args.link or Path(folder) / args.device)
        with port:
            print(port.path, flush=True)
            for seed in itertools.count(args.seed):
                await serial_lines.play(port, _DEVICES[args.device](seed), args.speed)


def _finite(text: str) -> float:
    speed = _speed(text)
    if not math.isfinite(speed):
        raise argparse.ArgumentTypeError("finite: a radio does not wait for who listens")
    return speed


class _Line(NamedTuple):
    at_ms: int
    text: str


async def _play(args: argparse.Namespace) -> None:
    day = StoreDay(args.seed, args.shoppers, args.gap_ms)
    lines = _readings(day) if args.show == "readings" else _touchpoints(day)
    async for line in replay(lines, args.speed):
        print(line.text, flush=math.isfinite(args.speed))


async def _on_the_air(args: argparse.Namespace) -> int:
    day = StoreDay(args.seed, args.shoppers, args.gap_ms)
    # Ended in any way, it leaves no socket behind.
    task = asyncio.current_task()
    with contextlib.suppress(NotImplementedError):  # Windows, which has no BlueZ either
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # type: ignore[union-attr]
    try:
        await radio.on_the_air(day, args.speed, lambda line: print(line, flush=True))
    except ConfigError as error:
        print(f"store-simulator: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 143
    return 0


def _readings(day: StoreDay) -> Iterator[_Line]:
    for reading in day.readings():
        yield _Line(reading.at_ms, json.dumps(reading._asdict()))


def _touchpoints(day: StoreDay) -> Iterator[_Line]:
    for touchpoint in captured(day, presence_of(day)):
        at_ms = touchpoint.at_ms or 0
        yield _Line(at_ms, json.dumps(_as_fields(touchpoint)))


def _as_fields(touchpoint: Touchpoint) -> dict[str, object]:
    names = [name for name, _ in FIELDS[touchpoint.code]]
    return {
        "at_ms": touchpoint.at_ms,
        "type": touchpoint.name,
        **dict(zip(names, touchpoint.values, strict=True)),
    }


def _summarise(day: StoreDay) -> None:
    engine = presence_of(day)
    by_type: Counter[str] = Counter()
    zones: dict[str, list[str]] = {}
    for touchpoint in captured(day, engine):
        by_type[touchpoint.name] += 1
        if touchpoint.name == "visit.enter":
            zones.setdefault(touchpoint.get("visitor"), []).append(touchpoint.get("zone"))
    print(f"seed {day.seed}: {len(day.shoppers)} shoppers in {day.end_ms / 60_000:.1f} minutes\n")
    for shopper in day.shoppers:
        print(_portrait(shopper))
        print(f"    was in      {' > '.join(tracks.load(shopper.track).zones)}")
        print(f"    seen in     {' > '.join(zones.get(shopper.visitor, ['nowhere']))}")
    print()
    for name, count in by_type.most_common():
        print(f"{count:7d}  {name}")
    dropped = [f"{count} for {why}" for why, count in engine.dropped.items() if count]
    print(f"\ndropped: {', '.join(dropped) or 'nothing'}")


def _portrait(shopper: Shopper) -> str:
    said = "said yes" if shopper.consent else "said no"
    return (
        f"{shopper.name}, {shopper.visitor}, {shopper.loyalty or 'never logs in'},"
        f" {said} to prompts, browsed {', '.join(shopper.interests)},"
        f" enters at {shopper.start_ms / 1000:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
