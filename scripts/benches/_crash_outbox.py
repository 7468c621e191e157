"""The outbox under crashes: captures, acknowledgements, prompts, shedding, epochs, restarts."""

import random
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benches._crash_history import Found, History, State
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import KeySlots, OpenSlots, Slot, enrol
from edge_sdk.outbox_store import FILE_NAME, OutboxFullError, OutboxStore
from edge_sdk.rows import Changes
from edge_sdk.wire.enrolment import SECRET_BYTES, Enrolment, to_token
from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators.mix import bulk

MAX_BYTES = 24 << 10  # small, so that the outbox sheds
NOW_MS = 1_772_440_200_000
STARTS = 6
COMMITS = (40, 110)  # between two starts
_ALL = 1 << 30
_AGENT = "crash-points"


class OutboxUnderCrash:
    """`OutboxStore` and `KeySlots`, as one directory."""

    name = "outbox"

    def enrol(self, home: Path) -> None:
        secret = random.Random("secret").randbytes(SECRET_BYTES)
        enrol(to_token(Enrolment("acme", "paris-1", 42, 0, secret)), home, AesCcm())

    def run(self, history: History, opener: OpenConnection, slots: OpenSlots, seed: int) -> None:
        workload = _Workload(history, seed)
        for start in range(STARTS):
            history.disk.kills = start % 2 == 1
            workload.live(_store(_Witness(history, slots), history.disk.home, MAX_BYTES, opener))

    def recover(self, home: Path, known: State) -> Found:
        found = Found()
        try:
            _recover(home, known, found)
        except (EdgeError, sqlite3.Error) as error:
            found.corrupt = f"{type(error).__name__}: {error}"
        return found


class _Witness(KeySlots):
    """Key slots that tell the history of each epoch that may be used from now on."""

    def __init__(self, history: History, open_slots: OpenSlots) -> None:
        super().__init__(history.disk.home, AesCcm(), open_slots)
        self._history = history

    def open_epoch(self) -> tuple[Slot, bytes]:
        opened = super().open_epoch()
        self._history.epoch_opened(opened[0].epoch)
        return opened


class _Workload:
    """What a device does with its outbox, drawn by lot; every commit is promised."""

    def __init__(self, history: History, seed: int) -> None:
        self._history = history
        self._lot = random.Random(f"outbox {seed}")
        self._touchpoints: Iterator[Touchpoint] = bulk(_ALL, seed)
        self._prompts: dict[int, int] = {}
        self._messages: dict[int, bytes] = {}

    def live(self, store: OutboxStore) -> None:
        """From one start to its end."""
        store.open(NOW_MS)
        self._promise(store)
        commits = self._lot.randrange(*COMMITS)
        for number in range(commits):
            if number == commits // 2:
                store.open_epoch(NOW_MS)
                self._promise(store)
            self._commit(store, self._drawn(store))
        store.close()

    def _commit(self, store: OutboxStore, changes: Changes) -> None:
        shed = store.shed_batches
        try:
            committed = store.commit(changes, NOW_MS)
        except OutboxFullError:
            self._promise(store)  # nothing of it was kept, and what was there still is
            return
        for id_ in committed.marked:
            self._prompts[id_] = 0
        for id_ in changes.outcomes:
            self._prompts[id_] = 1
        state = self._promise(store)
        gone = sum(state.get(("batch", row.id)) != row.message for row in committed.rows)
        if gone > store.shed_batches - shed:  # what is more precious may shed what came along
            raise AssertionError("the outbox does not give back what it said it committed")

    def _promise(self, store: OutboxStore) -> State:
        state: dict[tuple[str, object], object] = {}
        for row in store.rows_after(-1, _ALL):
            state["batch", row.id] = self._messages.setdefault(row.id, row.message)
        state.update({("prompt", id_): at for id_, at in self._prompts.items()})
        self._history.promise(state)
        return state

    def _drawn(self, store: OutboxStore) -> Changes:
        lot, changes = self._lot, Changes()
        if lot.random() < 0.9:
            changes.touchpoints += islice(self._touchpoints, lot.choice((1, 3, 20, 60, 200)))
        if lot.random() < 0.03:  # one that takes several pages
            size = lot.randrange(4_000, 16_000)
            changes.touchpoints.append(make("custom", NOW_MS, data=lot.randbytes(size)))
        if lot.random() < 0.15:
            rows = store.rows_after(-1, _ALL)
            for row in lot.sample(rows, len(rows) // 4):
                changes.held.append((row.epoch, row.seq, min(row.seq + lot.randrange(4), 65_535)))
        if lot.random() < 0.2:
            changes.marks.append((lot.getrandbits(62), "shoes-1", "kiosk-0"))
        open_ = [id_ for id_, at in self._prompts.items() if at == 0]
        if open_ and lot.random() < 0.2:
            changes.outcomes.append(lot.choice(open_))
        return changes


def _store(
    slots: KeySlots, home: Path, max_bytes: int, opener: OpenConnection | None = None
) -> OutboxStore:
    more = {"open_database": opener} if opener else {}
    return OutboxStore(home, AesCcm(), slots, agent=_AGENT, max_bytes=max_bytes, **more)


def _recover(home: Path, known: State, found: Found) -> None:
    store = _store(KeySlots(home, AesCcm()), home, _ALL)
    unreported = {id_ for id_, _, _ in store.open(NOW_MS)}
    found.epoch = store.epoch.number
    rows = [row for row in store.rows_after(-1, _ALL) if row.epoch != store.epoch.number]
    prompts = [int(str(which)) for what, which in known if what == "prompt"]
    touchpoint = make("scan", NOW_MS, scanner="scanner-0", symbology="ean13", code="4061")
    marks = [(id_, "shoes-1", "kiosk-0") for id_ in prompts]
    committed = store.commit(Changes(touchpoints=[touchpoint], marks=marks), NOW_MS)
    state: dict[tuple[str, object], object] = {("batch", row.id): row.message for row in rows}
    for id_ in unreported | (set(prompts) - committed.marked):
        state["prompt", id_] = 0 if id_ in unreported else 1
    found.state = state
    newest = [row.id for row in store.rows_after(-1, _ALL)][-len(committed.rows) :]
    if newest != [row.id for row in committed.rows] or unreported & committed.marked:
        found.wrong = (
            "what was committed after the crash is not there, or a prompt was marked twice"
        )
    store.close()
    _check_file(home, found)


def _check_file(home: Path, found: Found) -> None:
    if aside := sorted(path.name for path in home.glob("*damaged*")):
        found.corrupt = f"set aside: {aside[0]}"
        return
    database = sqlite3.connect(home / FILE_NAME)
    try:
        said = [row[0] for row in database.execute("PRAGMA integrity_check")]
    finally:
        database.close()
    if said != ["ok"]:
        found.corrupt = f"integrity_check: {said[0]}"
