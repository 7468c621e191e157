"""What devices and web shops bring to a bridge under crashes: people, their things, and bulk."""

import random
from collections.abc import Iterator
from itertools import islice

from benches._chain import Chain
from cloud_bridge.turn import Arrival
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.batching import encode
from edge_sdk.epoch import Epoch
from edge_sdk.wire.control import SHED, Hello, encode_hello, encode_notice
from edge_sdk.wire.seal import HELLO, NOTICE, UP_KINDS, read_header
from edge_sdk.wire.topics import BULK, LIVE, topic
from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators.mix import bulk

TENANT = "acme"
PERSONS = tuple(f"login:{name}" for name in ("ann", "bob", "cat", "dan", "eve", "fay"))
_THINGS = tuple(f"{scheme}:{n}" for n in range(5) for scheme in ("cookie", "app", "ble"))
_CATEGORIES = ("coffee", "tea", "rugs", "lamps")

Message = tuple[int, int, int]  # (device, epoch, seq)


def name(arrival: Arrival) -> Message:
    """Which message it is."""
    header = read_header(arrival.payload, UP_KINDS)
    return header.device, header.epoch, header.seq


def touchpoints(seed: int) -> Iterator[Touchpoint]:
    """Half of it the bulk mix, half of it what is folded: who looked, logged in, consented."""
    lot = random.Random(f"people {seed}")
    for touchpoint in bulk(1 << 30, seed):
        yield touchpoint if lot.random() < 0.5 else _of_a_person(lot, touchpoint.at_ms or 0)


def _of_a_person(lot: random.Random, at_ms: int) -> Touchpoint:
    who = lot.choice((*_THINGS, *PERSONS))
    drawn = lot.random()
    if drawn < 0.3:
        return make("identify", at_ms, seen=lot.choice(_THINGS), known_as=lot.choice(PERSONS))
    if drawn < 0.6:
        return make("page.view", at_ms, session=who, page="/", category=lot.choice(_CATEGORIES))
    if drawn < 0.75:
        return make("consent", at_ms, subject=who, purpose="p", granted=lot.randrange(2))
    if drawn < 0.9:
        return make("sighting", at_ms, receiver="r", beacon=who)
    return make("custom", at_ms, name="note", subject=who, data=lot.randbytes(40))


class Device:
    """What one device sends: hellos, batches, notices; in order, or nearly."""

    def __init__(self, chain: Chain, lot: random.Random, touchpoints: Iterator[Touchpoint]) -> None:
        self._chain = chain
        self._lot = lot
        self._touchpoints = touchpoints
        self._late: list[Arrival] = []
        self._epoch = Epoch(chain, AesCcm())
        self._fresh = True
        self._now_ms = 0

    def speak(self, now_ms: int) -> list[Arrival]:
        """The next few messages."""
        lot = self._lot
        self._now_ms = now_ms
        if self._fresh or lot.random() < 0.03:
            return [self._hello()]
        arrivals = []
        for _ in range(lot.randrange(1, 5)):
            listed = list(islice(self._touchpoints, lot.choice((1, 3, 20))))
            for kind, plaintext, _ in encode(listed):
                arrivals.append(self._sealed(kind, plaintext))
        if lot.random() < 0.1:  # one is given up, and that is declared
            gone = name(arrivals.pop())
            notice = [(gone[1], gone[2], gone[2], 1, SHED)]
            arrivals.append(self._sealed(NOTICE, encode_notice(notice)))
        if lot.random() < 0.3:
            self._late.append(arrivals.pop(lot.randrange(len(arrivals))))
        if self._late and lot.random() < 0.3:
            arrivals.append(self._late.pop(0))
        return arrivals

    def _hello(self) -> Arrival:
        held = []
        if not self._fresh:
            held = [(self._epoch.number, 1, self._epoch.next_seq - 1)]
            self._epoch = Epoch(self._chain, AesCcm())
        self._fresh = False
        return self._sealed(HELLO, encode_hello(Hello(self._now_ms, "crash-points", held)))

    def _sealed(self, kind: int, plaintext: bytes) -> Arrival:
        _, message = self._epoch.seal(kind, plaintext)
        lane = self._lot.choice((LIVE, BULK))
        return Arrival(topic(TENANT, lane, self._epoch.device), message, self._now_ms, (lane, 0, 0))
