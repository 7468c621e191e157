"""A bridge without MQTT and HTTP: a real store, registry and working thread, and a set clock."""

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from cloud_bridge import rules
from cloud_bridge.collect import parse
from cloud_bridge.dispatch import Downlink
from cloud_bridge.errors import StalledError
from cloud_bridge.housekeeping import Housekeeping
from cloud_bridge.ingest import Ingest
from cloud_bridge.intake import Intake
from cloud_bridge.numbers_file import NumbersFile
from cloud_bridge.people import digest
from cloud_bridge.plans import Plans
from cloud_bridge.registry import Registry
from cloud_bridge.rules import Rule
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.turn import Arrival, Event, Outcome, Turn
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.wire.seal import Refused
from edge_sdk.wire.topics import LIVE, device_of
from tests.cloud_bridge.little_device import START_MS, SUITE, LittleDevice

TENANT = "acme"
SITE = "shop"
WAIT_S = 30.0


class SetClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = START_MS

    def wall_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.ms / 1000


class Rig:
    """`with Rig(home) as rig`: everything that the commits allowed is in `heard` and `events`."""

    def __init__(
        self,
        home: Path,
        chosen: Sequence[Rule] | None = None,
        open_database: OpenConnection = open_connection,
        clock: SetClock | None = None,
        *,
        most_people: int = 1000,
        keep_days: float = 0,
    ) -> None:
        self.clock = clock or SetClock()
        self.events: list[Event] = []
        self.devices: dict[int, LittleDevice] = {}
        self.heard: dict[int, list[tuple[str, Any]]] = {}
        self.registry = Registry(home)
        self.store = SqliteStore(home, open_database)
        chosen = rules.load() if chosen is None else chosen
        self.intake = Intake(
            TENANT, SUITE, chosen, b"handles of this ", self.store, most_people=most_people
        )
        self._keep_days = keep_days
        self._incarnation = len(list(home.glob("start-*"))).to_bytes(8, "big")
        self._start = home / f"start-{self._incarnation.hex()}"
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._mid = 0

    def __enter__(self) -> Self:
        self.registry.open(TENANT)
        self.store.open(TENANT)
        self._start.touch()
        self.intake.restore(self.clock)
        self.ingest = Ingest(
            store=self.store,
            registry=self.registry,
            intake=self.intake,
            downlink=Downlink(SUITE, TENANT, self._incarnation),
            clock=self.clock,
            plans=Plans(self.registry.path.parent),
            numbers=NumbersFile(self.registry.path.parent, self.clock),
            deliver=self._deliver,
            housekeeping=Housekeeping(
                self.store,
                self.intake.people,
                self.intake.vault,
                self.clock,
                self._keep_days,
                resolving=self.intake.resolving,
            ),
        )
        self.ingest.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.ingest.stop()
        self.store.close()
        self.registry.close()

    def enrol(
        self, name: str = "gateway", surface: str = "", zone: str = "", site: str = "paris-1"
    ) -> LittleDevice:
        with self.registry_of_another() as registry:
            return self.know(LittleDevice(registry.enrol(SUITE, site, name, surface, zone)))

    @contextmanager
    def registry_of_another(self) -> Iterator[Registry]:
        """The registry as the command line opens it: another connection."""
        other = Registry(self.registry.path.parent)
        other.open()
        try:
            yield other
        finally:
            other.close()

    def know(self, device: LittleDevice) -> LittleDevice:
        """Read what is sent to this device."""
        self.devices[device.number] = device
        self.heard.setdefault(device.number, [])
        return device

    def offer(self, device: LittleDevice, *messages: bytes, lane: str = LIVE) -> None:
        for message in messages:
            self._mid += 1
            arrival = Arrival(device.topic(lane), message, self.clock.ms, (lane, 1, self._mid))
            assert self.ingest.offer(arrival)

    def send(
        self, device: LittleDevice, *messages: bytes, lane: str = LIVE
    ) -> list[tuple[str, Any]]:
        """Send, wait until all is released, and return what this device heard meanwhile."""
        before = len(self.heard.get(device.number, []))
        self.offer(device, *messages, lane=lane)
        released = 0
        while released < len(messages):
            released += len(self.follow().tokens)
        return self.heard.get(device.number, [])[before:]

    def follow(self, wait_s: float = WAIT_S) -> Outcome:
        """The next outcome, with what it lets the devices hear."""
        outcome = self._outcomes.get(timeout=wait_s)
        self.events += outcome.events
        for topic, message, _ in outcome.messages:
            device = self.devices.get(device_of(topic) or 0)
            if device is not None:
                try:
                    self.heard[device.number].append(device.read(message))
                except Refused:
                    self.heard[device.number].append(("unreadable", None))
        return outcome

    def follow_quietly(self, wait_s: float = 0.1) -> None:
        """What has come out meanwhile, if anything has: an idle turn may bring nothing."""
        with suppress(queue.Empty):
            self.follow(wait_s)

    def _deliver(self, outcome: Outcome) -> None:
        for answer, duplicate in outcome.answers:
            answer(duplicate)
        self._outcomes.put(outcome)

    def collect(self, body: bytes) -> bool:
        """POST a body; whether it was a duplicate."""
        answers: queue.Queue[bool | None] = queue.Queue()
        self.ingest.collect(parse(body, SITE, self.clock.ms), answers.put)
        duplicate = answers.get(timeout=WAIT_S)
        if duplicate is None:
            raise StalledError("not taken")
        return duplicate

    def erase(self, identifiers: Sequence[str]) -> Turn:
        """Erase between two turns, as the bridge would; the turn that did."""
        turn = Turn()
        with self.ingest._state:
            self.intake.erase(turn, identifiers)
            self.intake.finish(turn)
            self.store.commit(turn.writes)
        return turn

    def digest(self) -> str:
        """One hash of all that is derived, in memory and on disk."""
        return digest(self.intake.people, self.store)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
