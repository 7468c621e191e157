"""Beacons that rotate, for tests: what they emit, what is said of their owners, and where."""

import json
import random

from cloud_bridge.beacons import EID, IRK, Beacon, new_beacon
from cloud_bridge.resolving import PURPOSE
from cloud_bridge.rules import Rule
from edge_sdk.adapters.aes import ecb
from edge_sdk.presence.identifiers import eid_at, private_address
from edge_sdk.wire.topics import BULK
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS, LittleDevice
from tests.cloud_bridge.rig import Rig

START_S = START_MS // 1000
K = 10
PERIOD_S = 1 << K
PERIOD_MS = 1000 * PERIOD_S
BEACON_TIME_S = 5_000 * PERIOD_S  # at START_S: at the beginning of a period

# No rest between two prompts: what keeps a second one back is the stay.
RULE = Rule(
    offer="tasting",
    category="coffee",
    within_days=9,
    zone="coffee",
    purpose=PURPOSE,
    surface="kiosk",
    title="t",
    body="b",
    ttl_s=60,
    cooldown_s=0,
)


class Tag:
    """A beacon of `name` with keys of its own."""

    def __init__(self, name: str = "tag:1") -> None:
        lot = random.Random(f"tag {name}")
        self.name = name
        self.key = lot.randbytes(16)
        self.irk = lot.randbytes(16)

    def beacon(self) -> Beacon:
        return new_beacon(
            self.name, EID, self.key, START_S, exponent=K, beacon_time_s=BEACON_TIME_S
        )

    def phone(self) -> Beacon:
        return new_beacon(self.name, IRK, self.irk, START_S)

    def eid(self, at_ms: int) -> str:
        """What is heard of it then."""
        beacon_time_s = at_ms // 1000 - START_S + BEACON_TIME_S
        return "eid:" + eid_at(ecb, self.key, K, beacon_time_s).hex()

    def rpa(self, number: int) -> str:
        return "rpa:" + private_address(ecb, self.irk, number.to_bytes(3, "big")).hex()


def entered(at_ms: int, visitor: str, visit: int = 1, zone: str = "coffee") -> Touchpoint:
    return make("visit.enter", at_ms, visit=visit, visitor=visitor, zone=zone)


def dwelt(at_ms: int, visitor: str, dwell_ms: int, visit: int = 1) -> Touchpoint:
    return make(
        "visit.dwell", at_ms, visit=visit, visitor=visitor, zone="coffee", dwell_ms=dwell_ms
    )


def left(at_ms: int, visitor: str, dwell_ms: int, visit: int = 1) -> Touchpoint:
    return make("visit.exit", at_ms, visit=visit, visitor=visitor, zone="coffee", dwell_ms=dwell_ms)


def sighted(at_ms: int, beacon: str) -> Touchpoint:
    return make("sighting", at_ms, receiver="r", beacon=beacon, window_ms=5000)


def said(at_ms: int, thing: str = "tag:1", *, granted: bool = True) -> Touchpoint:
    return make("consent", at_ms, subject=thing, purpose=PURPOSE, granted=int(granted))


def web(
    at_ms: int, thing: str = "tag:1", granted: bool | None = True, person: bool = True
) -> bytes:
    """A body of the app's: she looked at coffee, logged in, and said yes, no or nothing."""
    events: list[dict[str, object]] = [
        {"type": "page.view", "at_ms": at_ms, "page": "/", "category": "coffee"}
    ]
    if person:
        known = {"type": "identify", "at_ms": at_ms, "known_as": "loyalty:7", "method": "app"}
        events.append(known)
    if granted is not None:
        consent = {"type": "consent", "at_ms": at_ms, "purpose": PURPOSE, "granted": granted}
        events.append(consent)
    return json.dumps({"session": thing, "id": f"{at_ms}{granted}", "events": events}).encode()


def register(rig: Rig, device: LittleDevice, *beacons: Beacon) -> None:
    """As the command line does; the bridge takes them over with the next turn."""
    with rig.registry_of_another() as registry:
        for beacon in beacons:
            registry.add_beacon(beacon)
    rig.send(device, device.rows(sighted(START_MS, "ble:0")), lane=BULK)
