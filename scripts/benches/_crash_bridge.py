"""The bridge under crashes: micro-batches of sealed messages, cursors, prompts, bodies, keys."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from benches._chain import Chain
from benches._crash_history import Found, History, State
from cloud_bridge import registry, restoring, sqlite_store
from cloud_bridge.clock import SystemClock
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Registry
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import DECISION, GAPS, WAITING, PromptRow
from cloud_bridge.turn import Arrival, Collected, Turn
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.batching import encode
from edge_sdk.epoch import Epoch
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import OpenSlots
from edge_sdk.wire.control import SHED, Hello, decode_notice, encode_hello, encode_notice
from edge_sdk.wire.seal import HELLO, NOTICE, UP_KINDS, read_header
from edge_sdk.wire.topics import BULK, LIVE, topic
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.mix import bulk

TENANT = "acme"
DEVICES = 4
STARTS = 6
TURNS = (12, 36)  # between two starts
AGAIN = 30  # messages that the devices send again after a crash, and as many new ones
NOW_MS = 1_772_440_200_000
_LIFE_MS = 60_000

Message = tuple[int, int, int]  # (device, epoch, seq)
Things = dict[tuple[str, object], object]


class BridgeUnderCrash:
    """`SqliteStore` and `Registry`, one directory, written to by a real `Intake`."""

    name = "bridge"

    def __init__(self) -> None:
        self._sent: list[Arrival] = []
        self._names: list[Message] = []

    def enrol(self, home: Path) -> None:
        """A bridge starts from nothing."""

    def run(self, history: History, opener: OpenConnection, _slots: OpenSlots, seed: int) -> None:
        workload = _Workload(history, opener, seed, self._sent)
        for start in range(STARTS):
            history.disk.kills = start % 2 == 1
            workload.live()

    def recover(self, home: Path, known: State) -> Found:
        found = Found()
        try:
            self._recover(home, known, found)
            _check_files(home, found)
        except (EdgeError, sqlite3.Error) as error:
            found.corrupt = f"{type(error).__name__}: {error}"
        return found

    def _recover(self, home: Path, known: State, found: Found) -> None:
        bridge = _Bridge(home, open_connection)
        found.state = bridge.state([which for what, which in known if what == "collected"])
        found.wrong = bridge.at_odds()
        # The devices send again what was never acknowledged, and go on.
        if len(self._names) < len(self._sent):
            self._names = [_name(arrival) for arrival in self._sent]
        held = {(row.device, row.epoch, row.seq) for row in bridge.store.log()}
        reached = max((n for n, name in enumerate(self._names) if name in held), default=0)
        bridge.take(self._sent[max(0, reached - AGAIN) : reached + AGAIN])
        twice = [name for name, times in bridge.logged().items() if times > 1]
        found.wrong = found.wrong or bridge.at_odds() or ("in the log twice" if twice else "")
        bridge.close()


class _Bridge:
    """What a start of the bridge does with its two files, and one turn after another."""

    def __init__(self, home: Path, opener: OpenConnection) -> None:
        self.registry = Registry(home, opener)
        self.registry.open(TENANT)
        self.store = SqliteStore(home, opener)
        self.store.open(TENANT)
        self.intake = Intake(TENANT, AesCcm(), (), bytes(16))
        self.intake.restore(self.store, SystemClock())

    def take(
        self,
        arrivals: Sequence[Arrival],
        bodies: Sequence[Collected] = (),
        prompts: Sequence[PromptRow] = (),
    ) -> Turn:
        """One turn, committed."""
        turn = Turn()
        self.intake.enrolled(turn, self.registry.devices())
        for arrival in arrivals:
            self.intake.message(turn, arrival, now_s=0.0)
        for body in bodies:
            self.intake.body(turn, body, self.store.is_collected)
        self.intake.finish(turn)
        turn.writes.prompts.update((row.id, row) for row in prompts)
        self.store.commit(turn.writes)
        return turn

    def state(self, keys: Sequence[object]) -> Things:
        """All that is stored; of collected bodies, what is there of `keys`."""
        store = self.store
        things: Things = {("log", row.id): row for row in store.log()}
        things |= {("device", row.device): row for row in store.devices()}
        things |= {("epoch", (row.device, row.epoch)): row for row in store.epochs()}
        things |= {("prompt", row.id): row for row in store.prompts()}
        things |= {("registry", device.number): device for device in self.registry.devices()}
        collected = [key for key in keys if isinstance(key, bytes) and store.is_collected(key)]
        return things | {("collected", key): True for key in collected}

    def logged(self) -> Counter[Message]:
        """How often each message of a device is in the log."""
        rows = (row for row in self.store.log() if row.kind != DECISION)
        return Counter((row.device, row.epoch, row.seq) for row in rows if row.device is not None)

    def at_odds(self) -> str:
        """Whether a cursor claims what the log does not hold, or does not know what it does."""
        logged: dict[tuple[int, int], set[int]] = {}
        for row in self.store.log():
            if row.device is None or row.kind == DECISION:
                continue
            numbers = logged.setdefault((row.device, row.epoch), {0})  # a hello is not logged
            numbers.add(row.seq)
            if row.kind == GAPS:
                for epoch, first, last, _, _ in decode_notice(row.body):
                    given_up = logged.setdefault((row.device, epoch), {0})
                    given_up.update(range(first, last + 1))
        receivers = restoring.receivers(AesCcm(), self.store.devices(), self.store.epochs())
        for device, receiver in receivers.items():
            for epoch, holding in receiver.holdings.items():
                is_open = holding.gaps and holding.gaps[-1].last == holding.last
                end = holding.gaps[-1].first if is_open else holding.last + 1
                held = {seq for seq in range(end) if holding.gap_of(seq) is None}
                if held != logged.get((device, epoch), {0}):
                    return f"cursor and log of device {device}, epoch {epoch}, do not agree"
        for enrolled in self.registry.devices():
            if enrolled.root_key is None and enrolled.number not in receivers:
                return f"the keys of device {enrolled.number} are nowhere"
        return ""

    def close(self) -> None:
        self.store.close()
        self.registry.close()


class _Device:
    """What one device sends: hellos, batches, notices; in order, or nearly."""

    def __init__(self, chain: Chain, lot: random.Random, touchpoints: Iterator[Touchpoint]) -> None:
        self._chain = chain
        self._lot = lot
        self._touchpoints = touchpoints
        self._late: list[Arrival] = []
        self._epoch = Epoch(chain, AesCcm())
        self._fresh = True

    def speak(self) -> list[Arrival]:
        """The next few messages."""
        lot = self._lot
        if self._fresh or lot.random() < 0.03:
            return [self._hello()]
        arrivals = []
        for _ in range(lot.randrange(1, 5)):
            listed = list(islice(self._touchpoints, lot.choice((1, 3, 20))))
            for kind, plaintext, _ in encode(listed):
                arrivals.append(self._sealed(kind, plaintext))
        if lot.random() < 0.1:  # one is given up, and that is declared
            gone = _name(arrivals.pop())
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
        return self._sealed(HELLO, encode_hello(Hello(NOW_MS, "crash-points", held)))

    def _sealed(self, kind: int, plaintext: bytes) -> Arrival:
        _, message = self._epoch.seal(kind, plaintext)
        lane = self._lot.choice((LIVE, BULK))
        return Arrival(topic(TENANT, lane, self._epoch.device), message, NOW_MS, (lane, 0, 0))


class _Workload:
    """A bridge's turns, drawn by lot; every commit of either file is promised."""

    def __init__(
        self, history: History, opener: OpenConnection, seed: int, sent: list[Arrival]
    ) -> None:
        self._history = history
        self._opener = opener
        self._sent = sent
        self._lot = random.Random(f"bridge {seed}")
        self._touchpoints = bulk(1 << 30, seed)
        self._devices: list[_Device] = []
        self._collected: list[bytes] = []
        self._prompts: dict[int, PromptRow] = {}

    def live(self) -> None:
        """From one start to its end."""
        bridge = _Bridge(self._history.disk.home, self._opener)
        self._promise(bridge)
        if len(self._devices) < DEVICES:
            name = f"kiosk-{len(self._devices)}"
            chain = Chain(bridge.registry.enrol(AesCcm(), "paris-1", name, "kiosk", "shoes"))
            self._promise(bridge)
            self._devices.append(_Device(chain, self._lot, self._touchpoints))
        for _ in range(self._lot.randrange(*TURNS)):
            self._turn(bridge)
        bridge.close()

    def _turn(self, bridge: _Bridge) -> None:
        lot = self._lot
        arrivals = [a for device in self._devices if lot.random() < 0.6 for a in device.speak()]
        self._sent += arrivals
        again = [lot.choice(self._sent)] if self._sent and lot.random() < 0.3 else []
        bodies = [self._body()] if lot.random() < 0.2 else []
        turn = bridge.take(arrivals + again, bodies, self._drawn_prompts())
        self._promise(bridge)
        if turn.adopted and lot.random() < 0.8:  # a crash in between leaves them there
            bridge.registry.forget_keys(turn.adopted)
            self._promise(bridge)

    def _body(self) -> Collected:
        listed = list(islice(self._touchpoints, 3))
        key = self._lot.randbytes(32)
        self._collected.append(key)
        return Collected(key, "web", NOW_MS, listed)

    def _drawn_prompts(self) -> list[PromptRow]:
        lot, rows = self._lot, []
        if self._devices and lot.random() < 0.3:
            payload = lot.randbytes(120)
            device = lot.randrange(len(self._devices)) + 1
            until_ms = NOW_MS + _LIFE_MS
            row = PromptRow(lot.getrandbits(62), device, NOW_MS, until_ms, WAITING, 0, payload)
            rows.append(row)
            self._prompts[row.id] = row
        if self._prompts and lot.random() < 0.2:
            row = self._prompts.pop(lot.choice(list(self._prompts)))
            settled = (row.device, row.created_ms, row.expires_ms, "shown", 1, row.payload)
            rows.append(PromptRow(row.id, *settled))
        return rows

    def _promise(self, bridge: _Bridge) -> None:
        self._history.promise(bridge.state(self._collected))


def _name(arrival: Arrival) -> Message:
    header = read_header(arrival.payload, UP_KINDS)
    return header.device, header.epoch, header.seq


def _check_files(home: Path, found: Found) -> None:
    for name in (sqlite_store.FILE_NAME, registry.FILE_NAME):
        database = sqlite3.connect(home / name)
        try:
            said = [row[0] for row in database.execute("PRAGMA integrity_check")]
        finally:
            database.close()
        if said != ["ok"]:
            found.corrupt = f"integrity_check of {name}: {said[0]}"
