"""What a touchpoint costs on the wire, in bytes and in time: batches of 50, beside JSON and others.

The touchpoints are those of tests/data/mix.json, sealed as a device seals them: one priority class
a batch, deflated where that is shorter. Bytes are what MQTT carries as payload: batches, the
epoch's hello, and an acknowledgement for each batch, which is the worst case (the bridge merges
what it acknowledges together). Times are of one process, in its own processor time.
"""

import argparse
import json
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from benches import _report
from benches._chain import Chain
from benches._sparkplug import Sparkplug
from cloud_bridge.decode import decode
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.batching import encode
from edge_sdk.epoch import Epoch
from edge_sdk.version import AGENT
from edge_sdk.wire import seal
from edge_sdk.wire.control import Hello, encode_ack, encode_hello
from edge_sdk.wire.enrolment import SECRET_BYTES, Enrolment
from edge_sdk.wire.keys import INCARNATION_BYTES, Ratchet
from edge_sdk.wire.touchpoint import FIELDS, PRIORITY, Touchpoint
from simulators.mix import bulk

BATCH = 50


class Sealed(NamedTuple):
    """One message up, and what is in it."""

    message: bytes
    touchpoints: Sequence[Touchpoint]


def main(argv: list[str]) -> int:
    """Measure bytes and times, print them, and by type what a touchpoint costs."""
    args = parsed(argv)
    touchpoints = list(bulk(args.events, args.seed))
    batches = by_class(touchpoints)
    split = [
        part
        for at in range(0, len(touchpoints), BATCH)
        for part in by_class(touchpoints[at : at + BATCH])
    ]
    rows, keys = bytes_told(batches, split)
    timed_rows, timed_keys = times_told(batches, args.repeat)
    shape = {"events": len(touchpoints), "batches": len(batches), "batch_touchpoints": BATCH}
    _report.publish("wire", rows + timed_rows, {**shape, **keys, **timed_keys}, args)
    print()
    print(_report.table(by_type(touchpoints)))
    return 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events", type=int, default=20_000, metavar="N", help="touchpoints, in one epoch"
    )
    parser.add_argument(
        "--repeat", type=int, default=7, metavar="N", help="repetitions, of which the median counts"
    )
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.events < 1 or args.repeat < 1:
        parser.error("--events and --repeat are 1 at least")
    return args


# Batches


def by_class(touchpoints: Iterable[Touchpoint]) -> list[list[Touchpoint]]:
    """Batches of up to 50, one priority class each, in the order in which they are full."""
    batches: list[list[Touchpoint]] = []
    filling: dict[int, list[Touchpoint]] = {}
    for touchpoint in touchpoints:
        batch = filling.setdefault(PRIORITY[touchpoint.code], [])
        batch.append(touchpoint)
        if len(batch) == BATCH:
            batches.append(filling.pop(PRIORITY[touchpoint.code]))
    return batches + list(filling.values())


class Line:
    """Both ends of one device's epoch: a sealing device and what the bridge answers."""

    def __init__(self) -> None:
        self._suite = AesCcm()
        enrolment = Enrolment("acme", "paris-1", 42, 0, bytes(SECRET_BYTES))
        self._epoch = Epoch(Chain(enrolment), self._suite)
        _, chain_key = Chain(enrolment).open_epoch()
        self._ratchet = Ratchet.of_epoch(self._suite, chain_key)
        incarnation = bytes(INCARNATION_BYTES)
        self._incarnation_key = self._suite.hmac(self._epoch.down_key, incarnation)
        self._incarnation = incarnation

    def hello(self, now_ms: int) -> bytes:
        return self._epoch.seal(seal.HELLO, encode_hello(Hello(now_ms, AGENT, [])))[1]

    def send(self, touchpoints: Sequence[Touchpoint]) -> list[bytes]:
        """Messages up: one, unless they do not fit."""
        return [self._epoch.seal(kind, plain)[1] for kind, plain, _ in encode(touchpoints)]

    def take(self, message: bytes) -> list[Touchpoint]:
        """What the bridge reads; messages come in order, with or without the hello."""
        header = seal.read_header(message, seal.UP_KINDS)
        self._ratchet = self._ratchet.at(header.seq)
        plaintext = seal.open_up(self._suite, header, self._ratchet.message_key(), message)
        return decode(header.kind, plaintext).touchpoints()

    def acknowledge(self, message: bytes) -> bytes:
        """An acknowledgement of this one message."""
        header = seal.read_header(message, seal.UP_KINDS)
        down = seal.Header(seal.ACK, 0, header.device, header.epoch, header.seq, self._incarnation)
        plaintext = encode_ack([(header.epoch, header.seq, header.seq)])
        return seal.seal_down(self._suite, down, self._incarnation_key, plaintext)


# Bytes


class Payload(NamedTuple):
    """Bytes of MQTT payload."""

    uplink: int
    hello: int
    acks: int
    events: int

    def per_event(self) -> float:
        return (self.uplink + self.hello + self.acks) / self.events


def payload_of(batches: Sequence[Sequence[Touchpoint]]) -> Payload:
    """All payload of these batches as one epoch, both ways. Read back, and compared."""
    line = Line()
    hello = len(line.hello(batches[0][0].at_ms or 0))
    uplink = acks = events = 0
    for batch in batches:
        messages = line.send(batch)
        if [touchpoint for message in messages for touchpoint in line.take(message)] != batch:
            raise AssertionError("a batch is not read as it was written")
        uplink += sum(map(len, messages))
        acks += sum(len(line.acknowledge(message)) for message in messages)
        events += len(batch)
    return Payload(uplink, hello, acks, events)


def bytes_told(
    batches: Sequence[Sequence[Touchpoint]], split: Sequence[Sequence[Touchpoint]]
) -> tuple[list[tuple[str, object, str]], dict[str, object]]:
    """Rows and keys of what travels, ours and others'."""
    ours, harsh = payload_of(batches), payload_of(split)
    named, aliased = Sparkplug(aliases=False), Sparkplug(aliases=True)
    keys = {
        "payload_bytes_per_event": ours.per_event(),
        "uplink_bytes_per_event": ours.uplink / ours.events,
        "hello_bytes_per_event": ours.hello / ours.events,
        "ack_bytes_per_event": ours.acks / ours.events,
        "payload_bytes_per_event_commits_of_50": harsh.per_event(),
        "json_bytes_per_event": each(batches, as_json),
        "json_deflate_bytes_per_event": each(batches, lambda batch: deflated(as_json(batch))),
        "sparkplug_bytes_per_event": each(batches, named.encode),
        "sparkplug_alias_bytes_per_event": each(batches, aliased.encode),
    }
    notes = (
        "sealed, everything included, both ways",
        f"of it batches of {BATCH}, each with 30 bytes of header and tag",
        "of it the hello, one for all of these events",
        "of it acknowledgements, one for each batch",
        "the same where 50 at a time are committed, and then split by class",
        "compact JSON with field names, 50 to an array, nulls left out, no seal",
        "the same, deflated",
        "Sparkplug B metrics with names, no seal",
        "Sparkplug B metrics with aliases, the birth certificate for nothing, no seal",
    )
    labels = [name.replace("_bytes_per_event", "").replace("_", " ") for name in keys]
    rows: list[tuple[str, object, str]] = [
        (f"bytes per event: {label}", value, note)
        for label, value, note in zip(labels, keys.values(), notes, strict=True)
    ]
    return rows, {name: round(value, 3) for name, value in keys.items()}


def each(
    batches: Sequence[Sequence[Touchpoint]], encoded: Callable[[Sequence[Touchpoint]], bytes]
) -> float:
    """Bytes per event of another form."""
    return sum(len(encoded(batch)) for batch in batches) / sum(map(len, batches))


def as_objects(batch: Sequence[Touchpoint]) -> list[dict[str, object]]:
    """Touchpoints as what a JSON encoder takes."""
    return [
        {"type": touchpoint.name, "at_ms": touchpoint.at_ms}
        | {
            name: value
            for (name, _), value in zip(FIELDS[touchpoint.code], touchpoint.values, strict=True)
            if value is not None
        }
        for touchpoint in batch
    ]


def as_json(batch: Sequence[Touchpoint]) -> bytes:
    """Compact JSON by the standard library."""
    return json.dumps(as_objects(batch), separators=(",", ":")).encode()


def deflated(data: bytes) -> bytes:
    """As a batch is."""
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


def by_type(touchpoints: Sequence[Touchpoint]) -> list[tuple[str, object, str]]:
    """For people: what 50 of one type cost, sealed together, beside JSON."""
    counts = Counter(touchpoint.code for touchpoint in touchpoints)
    rows: list[tuple[str, object, str]] = [("type", "bytes", "each, of 50; JSON; share of the mix")]
    for code, count in counts.most_common():
        batch = [touchpoint for touchpoint in touchpoints if touchpoint.code == code][:BATCH]
        size = sum(map(len, Line().send(batch))) / len(batch)
        share, plain = count / len(touchpoints), len(as_json(batch)) / len(batch)
        few = f"; only {len(batch)} of them" if len(batch) < BATCH else ""
        rows.append((batch[0].name, size, f"JSON {plain:.0f}; {share:.2%}{few}"))
    return rows


# Times


def times_told(
    batches: Sequence[Sequence[Touchpoint]], repeat: int
) -> tuple[list[tuple[str, object, str]], dict[str, object]]:
    """Rows and keys of what coding takes."""
    events = sum(map(len, batches))
    texts = [as_json(batch) for batch in batches]
    objects = [as_objects(batch) for batch in batches]
    pack, unpack = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
    compact = json.JSONEncoder(separators=(",", ":")).encode

    def sealing() -> None:
        line = Line()
        for batch in batches:
            line.send(batch)

    sealed = Line()
    messages = [message for batch in batches for message in sealed.send(batch)]

    def opening() -> None:
        line = Line()
        for message in messages:
            line.take(message)

    work: dict[str, Callable[[], object]] = {
        "encode_us_per_event": sealing,
        "decode_us_per_event": opening,
        "json_encode_us_per_event": lambda: [compact(batch).encode() for batch in objects],
        "json_decode_us_per_event": lambda: [json.loads(text) for text in texts],
        "json_msgspec_encode_us_per_event": lambda: [pack(batch) for batch in objects],
        "json_msgspec_decode_us_per_event": lambda: [unpack(text) for text in texts],
    }
    medians = {name: us / events for name, us in medians_us(work, repeat).items()}
    notes = (
        "columns, deflate, key, seal",
        "key, open, inflate, decode with types checked, to touchpoints",
        "the standard library's, from dicts that are there",
        "the standard library's, to dicts of anything",
        "msgspec's",
        "msgspec's, to dicts of anything",
    )
    rows: list[tuple[str, object, str]] = [
        (f"us per event: {name.removesuffix('_us_per_event').replace('_', ' ')}", value, note)
        for (name, value), note in zip(medians.items(), notes, strict=True)
    ]
    return rows, {name: round(value, 4) for name, value in medians.items()}


def medians_us(work: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Processor time of each; they take turns, because the machine is never equally quiet."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeat):
        for name, act in work.items():
            started = time.process_time()
            act()
            taken[name].append((time.process_time() - started) * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}
