"""What knowing rotating beacons adds to the bridge's intake: the same batches three times, in turn.

A real store, without broker and threads. Batches of 50 sightings, positions and visits, in the
shares of the mix, of ten people each, of 300 who are there:

    plain       nobody is registered; everybody is heard under a name that stays
    registered  all are registered and agreed, and are heard as before
    rotating    all are registered and agreed, and are heard under identifiers that rotate

Processor time of `Intake.message`, without the commit.
"""

import gc
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benches._line import Line, Sealed
from cloud_bridge.beacons import EID, new_beacon
from cloud_bridge.clock import SystemClock
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Device
from cloud_bridge.resolving import PURPOSE
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.turn import Arrival, Collected, Turn
from edge_sdk.adapters.aes import AesCcm, ecb
from edge_sdk.presence.identifiers import eid_at
from edge_sdk.wire.enrolment import SECRET_BYTES, Enrolment, to_token
from edge_sdk.wire.keys import root_key
from edge_sdk.wire.touchpoint import Touchpoint, make

TENANT, SITE = "acme", "paris-1"
EXPONENT = 10
ARMS = ("plain", "registered", "rotating")
ROUNDS, BATCHES, BATCH = 9, 54, 50
PEOPLE_A_BATCH = 10
PRESENT = 300  # of all who are registered
# Of 27 batches.
_VISITS, _POSITIONS = 1, 4

Rows = list[tuple[str, object, str]]


def resolving_told(keys: list[bytes], dice: random.Random) -> tuple[Rows, dict[str, object]]:
    """Microseconds a touchpoint of each arm, and what resolving adds to the plain one."""
    now_ms = SystemClock().wall_ms()
    names = [f"tag:{number}" for number in range(len(keys))]
    eids = [f"eid:{eid_at(ecb, key, EXPONENT, 0).hex()}" for key in keys]
    with tempfile.TemporaryDirectory(prefix="bench-resolving-") as folder:
        arms = {name: _Arm(Path(folder) / name, now_ms) for name in ARMS}
        for arm in arms.values():
            arm.consent(names)
        for name in ARMS[1:]:
            arms[name].register(names, keys)
        heard = {"plain": names, "registered": names, "rotating": eids}
        present = dice.sample(range(len(keys)), min(PRESENT, len(keys)))
        took: dict[str, list[float]] = {name: [] for name in ARMS}
        gc.collect()
        gc.freeze()  # as the bridge does when it has started
        for _ in range(ROUNDS):
            drawn = [dice.sample(present, PEOPLE_A_BATCH) for _ in range(BATCHES)]
            for name in ARMS:
                whose = heard[name].__getitem__
                load = [[whose(person) for person in people] for people in drawn]
                took[name].append(arms[name].take(load))
        gc.unfreeze()
        resolved = arms["rotating"].intake.counted["beacons.resolved"]
        for arm in arms.values():
            arm.close()
    if resolved != ROUNDS * BATCHES * PEOPLE_A_BATCH:
        raise AssertionError("an identity was not resolved")
    us = {name: statistics.median(took[name]) for name in ARMS}
    ratio = {
        name: statistics.median(
            with_ / without for with_, without in zip(took[name], took["plain"], strict=True)
        )
        for name in ARMS[1:]
    }
    rows: Rows = [
        ("us a touchpoint in the intake", us["plain"], "nobody is registered"),
        ("  all registered", us["registered"], f"{ratio['registered']:.2f} times that"),
        ("  all registered and rotating", us["rotating"], f"{ratio['rotating']:.2f} times that"),
    ]
    return rows, {
        "resolving_us_plain": us["plain"],
        "resolving_us_registered": us["registered"],
        "resolving_us_rotating": us["rotating"],
        "resolving_ratio_registered": ratio["registered"],
        "resolving_ratio_rotating": ratio["rotating"],
    }


class _Arm:
    """A bridge's inside, and a gateway that sends to it."""

    def __init__(self, home: Path, now_ms: int) -> None:
        home.mkdir()
        suite = AesCcm()
        enrolment = Enrolment(TENANT, SITE, 1, 0, secrets.token_bytes(SECRET_BYTES))
        key = root_key(suite, TENANT, SITE, enrolment.secret)
        self._devices = [Device(1, SITE, "gateway", "", "", 0, False, key)]
        self._now_ms = now_ms
        self._store = SqliteStore(home)
        self._store.open(TENANT)
        self.intake = Intake(TENANT, suite, [], bytes(16), self._store)
        self.intake.restore(SystemClock())
        self._line = Line(to_token(enrolment), SITE)
        self._visit = 0
        self._message(self._line.begin())

    def close(self) -> None:
        self._store.close()

    def consent(self, names: list[str]) -> None:
        """Everybody says yes."""
        said = [
            make("consent", self._now_ms, subject=name, purpose=PURPOSE, granted=1)
            for name in names
        ]
        for first in range(0, len(said), 500):
            part = said[first : first + 500]
            body = Collected(b"%016d" % first, "shop", self._now_ms, part)
            self._turn(lambda turn, body=body: self.intake.bodies(turn, [body]))  # type: ignore[misc]

    def register(self, names: list[str], keys: list[bytes]) -> None:
        """Everybody's beacon; their clocks begin now."""
        beacons = [
            new_beacon(name, EID, key, self._now_ms // 1000, exponent=EXPONENT)
            for name, key in zip(names, keys, strict=True)
        ]
        self._turn(lambda turn: self.intake.registered(turn, beacons, self._now_ms))

    def take(self, load: list[list[str]]) -> float:
        """Take in a batch of each group of people; microseconds a touchpoint."""
        sealed = [s for at, people in enumerate(load) for s in self._sealed(at, people)]
        began_s = time.process_time()
        turns = [self._message(each, commits=False) for each in sealed]
        took_s = time.process_time() - began_s
        for turn in turns:
            self._store.commit(turn.writes)
        return took_s * 1e6 / sum(each.touchpoints for each in sealed)

    def _sealed(self, at: int, people: list[str]) -> list[Sealed]:
        place = at % 27
        made: list[Touchpoint] = []
        for number in range(BATCH):
            who, at_ms = people[number % len(people)], self._now_ms + number
            if place < _VISITS:
                self._visit += 1
                visit = {"visit": self._visit, "visitor": who, "zone": f"zone-{number % 4}"}
                made.append(make("visit.exit", at_ms, **visit, dwell_ms=60_000))
            elif place < _VISITS + _POSITIONS:
                made.append(make("position", at_ms, visitor=who, x_cm=number, y_cm=7 * number))
            else:
                made.append(
                    make(
                        "sighting",
                        at_ms,
                        receiver=f"r{number % 12}",
                        beacon=who,
                        window_ms=5000,
                        readings=9,
                        rssi_median_dbm=-60 - number % 20,
                        rssi_spread_db=4,
                    )
                )
        return self._line.seal(made)

    def _message(self, sealed: Sealed, *, commits: bool = True) -> Turn:
        topic = self._line.topic(sealed.lane)
        arrival = Arrival(topic, sealed.message, self._now_ms + 60_000, (sealed.lane, 1, 1))
        return self._turn(lambda turn: self.intake.message(turn, arrival, 0.0), commits=commits)

    def _turn(self, work: Callable[[Turn], object], *, commits: bool = True) -> Turn:
        turn = Turn()
        if not self.intake.devices:
            self.intake.enrolled(turn, self._devices)
        work(turn)
        self.intake.finish(turn)
        if commits:
            self._store.commit(turn.writes)
        return turn
