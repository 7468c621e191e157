"""Beacon frames: random and mutated payloads that raise nothing, and what a parse costs.

Each payload is parsed as AD structures, and as what a Bluetooth library has taken apart. An
exception is a finding: it is counted, the first few are shown, and the exit code is 1. Times are
processor time of one core, the best of some repetitions, since others use the machine too.
"""

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable

from benches import _report
from benches._payloads import emitted, foreign, payloads
from edge_sdk.presence import beacons
from edge_sdk.presence.beacons import identify, parse_advertisement, parse_data

SHOWN = 3
ADDRESS = "4A:BB:CC:DD:EE:0F"


def main(argv: list[str]) -> int:
    """Parse, count and measure; 1 if anything raised."""
    args = parsed(argv)
    began_s = time.process_time()
    kinds, raised = campaign(args.payloads, args.seed)
    took_s = time.process_time() - began_s
    rows: list[tuple[str, object, str]] = [
        ("payloads", args.payloads, "parsed both ways"),
        ("exceptions", raised, "must be 0"),
        ("frames found", sum(kinds.values()), ", ".join(f"{k} {n:,}" for k, n in kinds.items())),
        ("us a payload", took_s / args.payloads * 1e6, "made, and parsed both ways"),
    ]
    keys: dict[str, object] = {
        "payloads": args.payloads,
        "exceptions": raised,
        "frames_found": sum(kinds.values()),
    }
    for name, call, count in measured():
        us = best_us(call, args.repeat) / count
        rows.append((f"us: {name}", us, ""))
        keys[f"us_{name.replace(' ', '_').replace('-', '_')}"] = us
    _report.publish("frames", rows, keys, args)
    return 1 if raised else 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payloads", type=int, default=1_000_000, metavar="N")
    parser.add_argument(
        "--repeat", type=int, default=25, metavar="N", help="repetitions, of which the best counts"
    )
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.payloads < 1 or args.repeat < 1:
        parser.error("--payloads and --repeat are 1 at least")
    return args


def campaign(count: int, seed: int) -> tuple[Counter[str], int]:
    """How many frames of each kind were found, and how many payloads raised."""
    kinds: Counter[str] = Counter()
    raised = 0
    for data in payloads(count, seed):
        try:
            company = data[0] | data[1] << 8 if len(data) > 1 else 0
            for frame in (
                parse_advertisement(data),
                parse_data({company: data[2:]}, {beacons.EDDYSTONE_UUID: data}),
            ):
                identify(data[:6], frame, True)
                if frame is not None:
                    kinds[frame.kind] += 1
                    if frame.power_dbm is not None and frame.power_at_1m_dbm is None:
                        raise AssertionError("a power that is nowhere")
        except Exception:  # noqa: BLE001 -- whatever it is, it is what this looks for
            raised += 1
            if raised <= SHOWN:
                print(f"{data.hex()}:\n{traceback.format_exc()}")
    return kinds, raised


def measured() -> list[tuple[str, Callable[[], object], int]]:
    """(Name, what to time, how many parses it is)."""
    out: list[tuple[str, Callable[[], object], int]] = []
    for frame in emitted():
        data = beacons.to_advertisement(frame)
        out.append((f"parse {frame.kind}", lambda data=data: parse_advertisement(data), 1))  # type: ignore[misc]
    others = foreign()
    out.append(
        ("parse foreign", lambda: [parse_advertisement(data) for data in others], len(others))
    )
    beacon = emitted()[0]
    content = beacons.to_advertisement(beacon)[7:]
    out.append(("parse_data ibeacon", lambda: parse_data({beacons.APPLE: content}, {}), 1))
    out.append(("identify a frame", lambda: identify(ADDRESS, beacon, True), 1))
    out.append(("identify an address", lambda: identify(ADDRESS, None, True), 1))
    return out


def best_us(call: Callable[[], object], repeat: int) -> float:
    """Processor time of one call in us, the best of `repeat` runs of 1,000."""
    best = float("inf")
    for _ in range(repeat):
        began_s = time.process_time()
        for _ in range(1000):
            call()
        best = min(best, time.process_time() - began_s)
    return best * 1000
