"""A store's file of numbers under crashes: leases, reports, blocks that come and go, restarts."""

import random
import sqlite3
from pathlib import Path

from benches._crash_history import Found, History, State
from edge_sdk.adapters.sqlite import OpenConnection, open_connection
from edge_sdk.errors import EdgeError
from edge_sdk.key_slots import OpenSlots
from edge_sdk.number_store import NumberStore
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import Reply
from edge_sdk.numbers.pool import Pool
from edge_sdk.numbers.terms import Terms

NOW_MS = 1_772_440_200_000
STARTS = 4
STEPS = 60  # between two starts
_BLOCK_MS = 20_000
_TERMS = Terms(minimum_ms=2_000, keep_alive_ms=1_000, grace_ms=500, cool_ms=500, remember_ms=9_000)


class NumbersUnderCrash:
    """`NumberStore`, as one directory, and a bridge that loses nothing."""

    name = "numbers"

    def enrol(self, home: Path) -> None:
        store = _store(home)
        store.open(NOW_MS)
        store.close()

    def run(self, history: History, opener: OpenConnection, slots: OpenSlots, seed: int) -> None:
        del slots  # there is no key in it
        lot = random.Random(f"numbers {seed}")
        pool = Pool("web", Allocation((), split=False), tenant="acme", terms=_TERMS)
        pool.add((f"+3316000{n:04d}" for n in range(40)), NOW_MS)
        now_ms = NOW_MS
        for start in range(STARTS):
            history.disk.kills = start % 2 == 1
            store = _store(history.disk.home, opener)
            store.open(now_ms)
            history.promise(_state(store))
            for _ in range(STEPS):
                now_ms += lot.randrange(900)
                if (reply := _step(store, pool, lot, now_ms)) is not None:
                    history.promise(_state(store))
                    store.receive(reply, now_ms)
                history.promise(_state(store))
            store.close()

    def recover(self, home: Path, known: State) -> Found:
        del known
        found = Found()
        store = _store(home)
        try:
            store.open(NOW_MS)
            found.state = _state(store)
            store.report(NOW_MS)
            store.lend("kiosk:after", NOW_MS)
            before = _state(store)
            store.close()
            store.open(NOW_MS)
            if _state(store) != before:
                found.wrong = "what was lent after the crash was not kept"
        except (EdgeError, sqlite3.Error) as error:
            found.corrupt = f"{type(error).__name__}: {error}"
        finally:
            store.close()
        return found


def _store(home: Path, opener: OpenConnection = open_connection) -> NumberStore:
    return NumberStore(
        home,
        lambda: Allocation((), split=False),
        tenant="acme",
        site="paris-1",
        pool="web",
        open_database=opener,
        place=lambda _: "here",  # an image of the disk is the disk
    )


def _step(store: NumberStore, pool: Pool, lot: random.Random, now_ms: int) -> Reply | None:
    """One commit, drawn by lot; what the bridge answered, if it was a report that arrived."""
    live = [lease.id for lease in store.sub_pool.live()] or ["k0-0"]
    what = lot.random()
    if what < 0.4:
        store.lend(f"kiosk:{lot.randrange(12)}", now_ms)
    elif what < 0.55:
        store.heartbeat(lot.choice(live), now_ms)
    elif what < 0.65:
        store.release(lot.choice(live), now_ms)
    elif what < 0.7 and store.sub_pool.numbers:
        store.hand_back(now_ms, numbers=[lot.choice(list(store.sub_pool.numbers))])
    elif what < 0.72 and store.sub_pool.blocks:
        store.hand_back(now_ms, block=lot.choice(list(store.sub_pool.blocks)))
    elif what < 0.85:
        store.report(now_ms)
    else:
        _, report = store.report(now_ms, wants=12)
        assert report is not None
        _, reply = pool.reconcile("paris-1", report, now_ms, at_most=12, lasts_ms=_BLOCK_MS)
        return reply
    return None


def _state(store: NumberStore) -> State:
    rows = store.sub_pool.rows()
    told = set(rows.told)
    state: dict[tuple[str, object], object] = {("file", 0): (rows.file, rows.counters)}
    state.update({("lease", row.id): (row, row.id in told) for row in rows.leases})
    state.update({("number", row.number): row for row in rows.numbers})
    state.update({("block", block.id): block for block in rows.granted})
    return state
