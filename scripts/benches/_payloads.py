"""Advertisements as radios bring them, and worse: real ones, mutated ones, and noise."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_sdk.presence import beacons

VECTORS = Path(__file__).resolve().parents[2] / "tests/vectors/ble_frames.json"


def emitted() -> list[beacons.Frame]:
    """A frame of each kind that we emit."""
    return [
        beacons.IBeacon(bytes(range(16)), 1, 65_535, -59),
        beacons.AltBeacon(bytes(range(20)), -66, 9, 0x0118),
        beacons.EddystoneUid(bytes(range(10)), bytes(range(6)), -18),
        beacons.EddystoneUrl("https://www.example.com/a", -18),
        beacons.EddystoneTlm(3000, 21.5, 1234, 56_700),
        beacons.EddystoneEid(bytes(range(8)), -18),
    ]


def foreign() -> list[bytes]:
    """Published advertisements of what is none of ours."""
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["frames"]
    whole = [bytes.fromhex(case["hex"]) for case in cases if case["container"] == "adv"]
    return [data for data in whole if beacons.parse_advertisement(data) is None]


def published() -> list[bytes]:
    """Everything of the vectors, whatever is around it, and what we emit."""
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["frames"]
    ours = [beacons.to_advertisement(frame) for frame in emitted()]
    return [bytes.fromhex(case["hex"]) for case in cases] + ours


def payloads(count: int, seed: int) -> Iterator[bytes]:
    """A third noise of 0 to 64 bytes, the rest mutated from published ones, a few times each."""
    dice = random.Random(seed)
    seeds = published()
    for number in range(count):
        if number % 3 == 0:
            yield dice.randbytes(dice.randrange(65))
            continue
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
            mutate(data, dice, seeds)
        yield bytes(data)


def mutate(data: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    """Change it in place: a bit, a byte, a length, its end, a piece of another, its order."""
    at = dice.randrange(len(data) + 1)
    kind = dice.randrange(7)
    if kind == 0:
        del data[at:]
    elif kind == 1:
        data += dice.randbytes(dice.randrange(9)) if dice.random() < 0.5 else bytes(31)
    elif kind == 2:
        other = dice.choice(seeds)
        begin = dice.randrange(len(other))
        data[at:at] = other[begin : begin + dice.randrange(12)]
    elif kind == 3:
        del data[at : at + dice.randrange(1, 6)]
    elif at < len(data):
        if kind == 4:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 5:
            data[at] = dice.choice((0, 1, 2, 3, 0x16, 0xFF, 0x7F, 0x80, dice.randrange(256)))
        else:
            data[at] = (data[at] + dice.choice((-2, -1, 1, 2))) % 256
