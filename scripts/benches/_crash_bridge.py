"""The bridge under crashes: turns of sealed messages, slices of the snapshot, and keeping house."""

import random
import sqlite3
from itertools import islice
from pathlib import Path

from benches._chain import Chain
from benches._crash_device import PERSONS, Device, Message, name, touchpoints
from benches._crash_history import Found, History, State
from benches._crash_started import SetClock, StartedBridge
from cloud_bridge import registry, sqlite_store
from cloud_bridge.store import WAITING, PromptRow
from cloud_bridge.turn import Arrival, Collected
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import OpenSlots

DEVICES = 4
STARTS = 6
TURNS = (10, 26)  # between two starts
AGAIN = 30  # messages that the devices send again after a crash, and as many new ones
START_MS = 1_772_440_200_000
_HOURS_A_TURN = (0, 0, 1, 4)  # so that the log grows old within some starts
_LIFE_MS = 60_000


class BridgeUnderCrash:
    """`SqliteStore` and `Registry`, one directory, written to by a real `Intake`."""

    name = "bridge"

    def __init__(self, starts: int = STARTS) -> None:
        self._starts = starts
        self._sent: list[Arrival] = []
        self._names: list[Message] = []

    def enrol(self, home: Path) -> None:
        """A bridge starts from nothing."""

    def run(self, history: History, opener: OpenConnection, _slots: OpenSlots, seed: int) -> None:
        workload = _Workload(history, opener, seed, self._sent)
        for start in range(self._starts):
            history.disk.kills = start % 2 == 1
            workload.live(start)

    def recover(self, home: Path, known: State) -> Found:
        found = Found()
        try:
            self._recover(home, known, found)
            _check_files(home, found)
        except (EdgeError, sqlite3.Error) as error:
            found.corrupt = f"{type(error).__name__}: {error}"
        return found

    def _recover(self, home: Path, known: State, found: Found) -> None:
        bridge = StartedBridge(home, open_connection, SetClock(START_MS))
        found.state = bridge.state([which for what, which in known if what == "collected"])
        found.wrong = bridge.at_odds() or bridge.is_not_what_its_log_says()
        # The devices send again what was never acknowledged, and go on.
        if len(self._names) < len(self._sent):
            self._names = [name(arrival) for arrival in self._sent]
        held = {(row.device, row.epoch, row.seq) for row in bridge.store.log()}
        reached = max((n for n, named in enumerate(self._names) if named in held), default=0)
        bridge.take(self._sent[max(0, reached - AGAIN) : reached + AGAIN])
        twice = [named for named, times in bridge.logged().items() if times > 1]
        found.wrong = found.wrong or bridge.at_odds() or ("in the log twice" if twice else "")
        derived = bridge.derived()
        bridge.close()
        bridge = StartedBridge(home, open_connection, SetClock(START_MS))
        if bridge.derived() != derived:
            found.wrong = found.wrong or "what it then came to know, its next start does not know"
        bridge.close()


class _Workload:
    """A bridge's turns, drawn by lot; every commit of either file is promised."""

    def __init__(
        self, history: History, opener: OpenConnection, seed: int, sent: list[Arrival]
    ) -> None:
        self._history = history
        self._opener = opener
        self._sent = sent
        self._clock = SetClock(START_MS)
        self._lot = random.Random(f"bridge {seed}")
        self._touchpoints = touchpoints(seed)
        self._devices: list[Device] = []
        self._collected: list[bytes] = []
        self._prompts: dict[int, PromptRow] = {}
        self._derived = ""

    def live(self, start: int) -> None:
        """From one start to its end."""
        bridge = StartedBridge(
            self._history.disk.home,
            self._opener,
            self._clock,
            committed=self._promise,
            derived_before=self._derived,
            rebuild=start == 1,  # while the log is whole
        )
        self._promise(bridge)
        if len(self._devices) < DEVICES:
            named = f"kiosk-{len(self._devices)}"
            chain = Chain(bridge.registry.enrol(AesCcm(), "paris-1", named, "kiosk", "shoes"))
            self._promise(bridge)
            self._devices.append(Device(chain, self._lot, self._touchpoints))
        for _ in range(self._lot.randrange(*TURNS)):
            self._clock.ms += self._lot.choice(_HOURS_A_TURN) * 3_600_000
            self._turn(bridge)
            self._keep_house(bridge, start)
        bridge.close()

    def _turn(self, bridge: StartedBridge) -> None:
        lot, now_ms = self._lot, self._clock.ms
        speaking = [device for device in self._devices if lot.random() < 0.6]
        arrivals = [arrival for device in speaking for arrival in device.speak(now_ms)]
        self._sent += arrivals
        again = [lot.choice(self._sent)] if self._sent and lot.random() < 0.3 else []
        bodies = [self._body()] if lot.random() < 0.2 else []
        erased = [lot.choice(PERSONS)] if lot.random() < 0.08 else []
        if lot.random() < 0.2 and not bridge.intake.snapshot.under_way:
            bridge.intake.snapshot.begin(bridge.intake.next_log_id - 1, 0.0)
        behind = lot.choice((0, 0, 1, 3, 20))
        turn = bridge.take(arrivals + again, bodies, self._drawn_prompts(), erased, behind)
        if turn.adopted and lot.random() < 0.8:  # a crash in between leaves them there
            bridge.registry.forget_keys(turn.adopted)
            self._promise(bridge)

    def _keep_house(self, bridge: StartedBridge, start: int) -> None:
        lot = self._lot
        if lot.random() < 0.2:
            bridge.take(behind=lot.choice((2, 1000)))
        if start >= 2 and lot.random() < 0.4:  # before that, a fold of the whole log can be asked
            self._clock.ms += 10_000
            while bridge.house.step(self._clock.steady_s()) and lot.random() < 0.8:
                pass
        if lot.random() < 0.5:
            bridge.store.tidy()

    def _body(self) -> Collected:
        key = self._lot.randbytes(32)
        self._collected.append(key)
        return Collected(key, "web", self._clock.ms, list(islice(self._touchpoints, 3)))

    def _drawn_prompts(self) -> list[PromptRow]:
        lot, now_ms, rows = self._lot, self._clock.ms, []
        if self._devices and lot.random() < 0.3:
            payload = lot.randbytes(120)
            device = lot.randrange(len(self._devices)) + 1
            until_ms = now_ms + _LIFE_MS
            row = PromptRow(lot.getrandbits(62), device, now_ms, until_ms, WAITING, 0, payload)
            rows.append(row)
            self._prompts[row.id] = row
        if self._prompts and lot.random() < 0.2:
            row = self._prompts.pop(lot.choice(list(self._prompts)))
            settled = (row.device, row.created_ms, row.expires_ms, "shown", 1, row.payload)
            rows.append(PromptRow(row.id, *settled))
        return rows

    def _promise(self, bridge: StartedBridge) -> None:
        state = bridge.state(self._collected)
        self._derived = str(state["derived", ""])
        self._history.promise(state)


def _check_files(home: Path, found: Found) -> None:
    for file_name in (sqlite_store.FILE_NAME, registry.FILE_NAME):
        database = sqlite3.connect(home / file_name)
        try:
            said = [row[0] for row in database.execute("PRAGMA integrity_check")]
        finally:
            database.close()
        if said != ["ok"]:
            found.corrupt = f"integrity_check of {file_name}: {said[0]}"
