"""Histories by lot, and lives that a bridge's inside can lead with them: quiet ones, and hard ones.

The messages of a history are sealed once; each life takes the same ones in. A quiet life folds
everything in one go and in memory alone. A hard one is written behind, evicted, killed and
restored in between, and has to come to the same.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cloud_bridge.intake import Intake
from cloud_bridge.people import digest
from cloud_bridge.registry import Device
from cloud_bridge.rules import Rule
from cloud_bridge.snapshot import Snapshot
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import DECIDED, LogRow
from cloud_bridge.turn import Arrival, Collected, Turn
from edge_sdk.adapters.sqlite import Connection, OpenConnection, open_connection
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.keys import root_key
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import OUTCOMES, Touchpoint, make
from tests.cloud_bridge.little_device import SECRET, START_MS, SUITE, LittleDevice

TENANT = "acme"
PERSONS = ("login:ann", "loyalty:bob", "crm:cat")
THINGS = ("cookie:1", "cookie:2", "app:3", "ble:4", "phone:5")
SHARED = ("kiosk:1", "wifi:2")
STRANGERS = tuple(f"rpa:{n}" for n in range(8))
SEEN = (*THINGS, *THINGS, *PERSONS, *SHARED, *STRANGERS)
CATEGORIES = ("coffee", "coffee", "tea", "rugs")
RULE = Rule(
    offer="tasting",
    category="coffee",
    within_days=2,
    zone="bar",
    purpose="prompts",
    surface="kiosk",
    title="t",
    body="b",
    ttl_s=60,
    cooldown_s=600,
)
GATEWAY = Enrolment(TENANT, "paris-1", 1, 0, SECRET)
DEVICES = [
    Device(1, "paris-1", "gateway", "", "", 0, False, root_key(SUITE, TENANT, "paris-1", SECRET)),
    Device(2, "paris-1", "kiosk", "kiosk", "bar", 0, False, bytes(32)),
]

Came = Arrival | Collected


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn takes in."""

    received_ms: int
    came: list[Came] = field(repr=False)


class StoppedClock:
    """Nothing here lives long enough to see it move."""

    def wall_ms(self) -> int:
        return START_MS

    def steady_s(self) -> float:
        return 0.0


def history(seed: int, turns: int = 14) -> list[Step]:
    """Turns of touchpoints of a few persons and their things, at all sorts of times."""
    lot = random.Random(f"history {seed}")
    device = LittleDevice(GATEWAY)
    steps = [Step(START_MS, [_arrival(device, device.start(), START_MS, LIVE)])]
    now_ms = START_MS
    for _ in range(lot.randrange(3, turns)):
        now_ms += lot.choice((0, 1, 60_000, 3_600_000, 90_000_000))
        came: list[Came] = []
        for _ in range(lot.randrange(1, 4)):
            listed = [touchpoint(lot, now_ms) for _ in range(lot.choice((1, 1, 2, 5)))]
            if lot.random() < 0.3:
                key = lot.randbytes(16)
                came.append(Collected(key, lot.choice(("shop", "app")), now_ms, listed))
                continue
            seal = device.rows if lot.random() < 0.5 else device.columns
            lane = LIVE if lot.random() < 0.5 else BULK
            came.append(_arrival(device, seal(*listed), now_ms, lane))
        steps.append(Step(now_ms, came))
    return steps


def touchpoint(lot: random.Random, now_ms: int) -> Touchpoint:
    """Of a type that is folded, mostly; now, mostly."""
    at_ms = now_ms - lot.choice((0, 0, 0, 5, 1000, 7_200_000, lot.randrange(100_000_000)))
    who = lot.choice(SEEN)
    drawn = lot.random()
    if drawn < 0.22:
        return make("page.view", at_ms, session=who, page="/", category=lot.choice(CATEGORIES))
    if drawn < 0.44:
        known_as = lot.choice((*PERSONS, *PERSONS, *PERSONS, "cookie:2", None))
        seen = lot.choice((*THINGS, *THINGS, *THINGS, *SHARED, None))
        return make("identify", at_ms, seen=seen, known_as=known_as, method="login")
    if drawn < 0.58:
        granted = int(lot.random() < 0.85)
        return make("consent", at_ms, subject=who, purpose="prompts", granted=granted)
    if drawn < 0.78:
        zone = lot.choice(("bar", "bar", "door"))
        return make("visit.enter", at_ms, visit=lot.getrandbits(20), visitor=who, zone=zone)
    if drawn < 0.9:
        return make("sighting", at_ms, receiver="r", beacon=who, window_ms=100)
    if drawn < 0.96:
        outcome = lot.choice(OUTCOMES)
        return make(f"prompt.{outcome}", at_ms, prompt=lot.getrandbits(40), offer="tasting")
    return Touchpoint(4711, at_ms, (who, 1, "new"))


def _arrival(device: LittleDevice, message: bytes, now_ms: int, lane: str) -> Arrival:
    return Arrival(device.topic(lane), message, now_ms, (lane, 1, 1))


class _Quick:
    """A connection that promises nothing: these lives end with a process that is killed at most."""

    def __init__(self, path: Path) -> None:
        self._database = open_connection(path)
        self.executemany = self._database.executemany
        self.close = self._database.close

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[Any]:
        if sql == "PRAGMA synchronous = FULL":
            sql = "PRAGMA synchronous = OFF"
        return self._database.execute(sql, parameters)


def open_quickly(path: Path) -> Connection:
    return _Quick(path)


class Life:
    """One bridge's inside over one directory. `most_people`: records in memory."""

    def __init__(
        self,
        home: Path,
        most_people: int = 10_000,
        rule: Rule | None = RULE,
        opener: OpenConnection = open_quickly,
    ) -> None:
        self.home = home
        self._opener = opener
        self.most_people = most_people
        self._rules = [rule] if rule else []
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def start(self, *, rebuild: bool = False) -> None:
        self.store = SqliteStore(self.home, self._opener)
        self.store.open(TENANT)
        self.intake = Intake(
            TENANT, SUITE, self._rules, bytes(16), self.store, most_people=self.most_people
        )
        try:
            self.intake.restore(StoppedClock(), rebuild)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """As a process ends that is killed: what is in memory is gone."""
        self.store.close()

    def again(self, *, rebuild: bool = False) -> None:
        self.end()
        self.start(rebuild=rebuild)

    def take(self, step: Step, behind: int = 0) -> Turn:
        """One turn, taken in but not committed."""
        turn = Turn()
        self.intake.enrolled(turn, DEVICES)
        bodies = [came for came in step.came if isinstance(came, Collected)]
        for came in step.came:
            if isinstance(came, Arrival):
                self.intake.message(turn, came, 0.0)
        self.intake.bodies(turn, bodies)
        self.intake.finish(turn, behind)
        return turn

    def live(self, step: Step, behind: int = 0) -> None:
        """One turn."""
        self.store.commit(self.take(step, behind).writes)

    def touchpoints(self, *touchpoints: Touchpoint, received_ms: int = START_MS) -> None:
        """A turn of a web body."""
        key = random.Random(self.intake.next_log_id).randbytes(16)
        self.live(Step(received_ms, [Collected(key, "shop", received_ms, list(touchpoints))]))

    def write_behind(self, most: int = 1 << 30) -> None:
        """A turn of nothing but a slice; a round is begun if none is under way."""
        snapshot: Snapshot = self.intake.snapshot
        if not snapshot.under_way:
            snapshot.begin(self.intake.next_log_id - 1, 0.0)
        turn = Turn()
        self.intake.finish(turn, most)
        if turn.writes:
            self.store.commit(turn.writes)

    def digest(self) -> str:
        return digest(self.intake.people, self.store)

    def handle(self, identifier: str) -> int:
        (handle,) = self.intake.vault.handles([identifier]).values()
        return handle

    def logged(self) -> list[LogRow]:
        """The log; without the bodies of batches, which differ in what is sealed in them."""
        return [row if row.kind in DECIDED else replace(row, body=b"") for row in self.store.log()]


def quiet(home: Path, steps: Sequence[Step]) -> Life:
    """Nothing is written behind, and nothing goes wrong."""
    life = Life(home)
    for step in steps:
        life.live(step)
    return life


def hard(home: Path, steps: Sequence[Step], seed: int, *, prunes: bool = False) -> Life:
    """The same, with everything in between that can happen to a bridge."""
    lot = random.Random(f"life {seed}")
    life = Life(home, most_people=lot.choice((1, 2, 5, 12)))
    for step in steps:
        if lot.random() < 0.1:
            life.take(step, lot.randrange(4))  # and then it is killed
            life.again()
        if lot.random() < 0.3 and not life.intake.snapshot.under_way:
            life.intake.snapshot.begin(life.intake.next_log_id - 1, 0.0)
        behind = lot.choice((0, 0, 1, 2, 100))
        life.live(step, behind)
        while lot.random() < 0.3:
            life.write_behind(lot.choice((1, 3, 100)))
        if prunes and lot.random() < 0.3:
            life.store.prune(step.received_ms + 1, lot.choice((1, 2, 100)))
        if lot.random() < 0.25:
            life.again(rebuild=not prunes and lot.random() < 0.3)
    life.again()
    return life
