"""`store-simulator day`: a day in the store, as lines of JSON or as a table."""

import argparse
import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from edge_sdk.wire.touchpoint import FIELDS, Touchpoint
from simulators import tracks
from simulators.commands.kinds import RAW, add_day, day_of, speed
from simulators.gateway import captured, presence_of
from simulators.store_day import Shopper, StoreDay, replay

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WHAT = """
Six recorded walks past twelve real radios, under as many made-up shoppers as you like. The same
seed is always the same day. at_ms counts from the opening of the store, in milliseconds.

what to try:
  store-simulator day --format summary               who came, and where the store thinks she was
  store-simulator day --speed 20                     its touchpoints, a minute in three seconds
  store-simulator day --show readings | head         what the radios heard, before any of that
  store-simulator day --seed 7 --shoppers 40 --gap 4 a busy store
"""


def add_command(commands: "Commands") -> None:
    """Put `day` among the commands."""
    day = commands.add_parser(
        "day", help="play a day in the store", description=_WHAT, formatter_class=RAW
    )
    add_day(day)
    day.add_argument(
        "--speed",
        type=speed,
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
    day.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    day = day_of(arguments)
    if arguments.format == "summary":
        _summarise(day)
    else:
        lines = _readings(day) if arguments.show == "readings" else _touchpoints(day)
        asyncio.run(_play(lines, arguments.speed))
    return 0


class _Line(NamedTuple):
    at_ms: int
    text: str


async def _play(lines: Iterator[_Line], times: float) -> None:
    async for line in replay(lines, times):
        print(line.text, flush=math.isfinite(times))


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
