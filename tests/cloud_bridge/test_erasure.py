"""Erasure: nothing of who is erased is left, nobody inherits it, and others stay as they were."""

import random
from pathlib import Path

import pytest

from cloud_bridge.batch import Batch
from cloud_bridge.record import profile_in
from cloud_bridge.store import BATCH, Writes
from cloud_bridge.turn import Arrival, Collected, Turn
from edge_sdk.adapters import apsw_sqlite
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.keeping import (
    ANN,
    BOB,
    SetClock,
    erase,
    handles,
    house_of,
    keep_house,
    login,
    sight,
    view,
)
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life, history, open_quickly


@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
def test_nothing_of_who_was_erased_is_left_in_the_files(tmp_path: Path, library: str) -> None:
    """Debian builds SQLite so that it overwrites what is deleted, apsw's has to be told."""
    opener = {"sqlite3": open_quickly, "apsw": apsw_sqlite.open_connection}[library]
    with Life(tmp_path, opener=opener) as life:
        gone = [ANN, "cookie:gone-1", "ble:gone-2"]
        for n in range(30):
            life.touchpoints(
                view(n, "cookie:gone-1"),
                login(n, ANN, "cookie:gone-1"),
                sight(n, "ble:gone-2"),
                login(n, BOB, f"app:{n}"),
                make("custom", n, name="n", subject=ANN, data=b"private %d" % n),
                Touchpoint(4711, n, (ANN, "new")),
            )
            if n % 5 == 0:
                life.write_behind()
        life.store.commit(Writes(set_aside=[(1, 0, 9, ANN.encode() + b" malformed")]))
        rows = life.store.vault_rows([life.handle(name) for name in gone])
        traces = [name.partition(":")[2].encode() for name in gone]
        traces += [part for row in rows.values() for part in (row.key, row.sealed, row.digest)]
        assert any(trace in _files(life) for trace in traces)
        assert erase(life, *gone, "login:nobody") == 3
        clock = SetClock()
        keep_house(house_of(life, clock), clock)
        life.store.tidy()
        assert life.store.erased() == set()
        left = _files(life)
        assert [trace for trace in traces if trace in left] == []
        bobs = life.store.vault_rows([life.handle(BOB)])[life.handle(BOB)]
        assert bobs.key in left  # we do look where keys are
        life.again()
        assert [trace for trace in traces if trace in _files(life)] == []


def test_a_killed_scrub_is_finished_and_its_traces_are_wiped_by_the_next_start(
    tmp_path: Path,
) -> None:
    with Life(tmp_path) as life:
        for n in range(250):
            life.touchpoints(view(n, "cookie:gone-1"))
        (row,) = life.store.vault_rows([life.handle("cookie:gone-1")]).values()
        erase(life, "cookie:gone-1")
        clock = SetClock()
        house = house_of(life, clock)
        house.step(clock.steady_s())
        assert life.store.erased()
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in tmp_path.glob("bridge.sqlite*"):
            if not path.name.endswith("-shm"):
                (copy / path.name).write_bytes(path.read_bytes())
        with Life(copy) as again:
            keep_house(house_of(again, clock), clock)
            assert again.store.erased() == set()
            assert row.key not in _files(again)


def test_whoever_reads_meanwhile_only_puts_the_wiping_off(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        life.touchpoints(view(1, "cookie:gone-1"))
        (row,) = life.store.vault_rows([life.handle("cookie:gone-1")]).values()
        reader = open_quickly(life.store.path)
        reader.execute("BEGIN")
        assert list(reader.execute("SELECT count(*) FROM log")) == [(1,)]
        erase(life, "cookie:gone-1")
        clock = SetClock()
        keep_house(house_of(life, clock), clock)
        life.store.tidy()
        assert row.key in _files(life)
        copy = tmp_path / "copy"  # as a crash leaves it now
        copy.mkdir()
        for name in ("bridge.sqlite", "bridge.sqlite-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
        reader.close()
        life.store.tidy()
        assert row.key not in _files(life)
        with Life(copy) as again:
            assert again.store.erased() == set()
            assert row.key in _files(again)
            again.store.tidy()
            assert row.key not in _files(again)


def _files(life: Life) -> bytes:
    paths = [path for path in life.home.glob("bridge.sqlite*") if not path.name.endswith("-shm")]
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.parametrize("scrubbed", [True, False])
def test_who_was_erased_is_nobody_to_whoever_folds_the_log_again(
    tmp_path: Path, scrubbed: bool
) -> None:
    clock = SetClock()
    with Life(tmp_path) as life:
        life.touchpoints(view(10, "cookie:1"), login(20, ANN, "cookie:1"), view(30, "cookie:1"))
        ann, cookie = life.handle(ANN), life.handle("cookie:1")
        life.write_behind()
        assert erase(life, ANN) == 1
        if scrubbed:
            keep_house(house_of(life, clock), clock)
        for rebuild in (False, True):
            life.again(rebuild=rebuild)
            people = life.intake.people
            assert profile_in(people.subject(cookie)).interests == {}
            assert people.subject_of(cookie, 30) is None  # it was hers, and she is nobody
            assert people.subject(ann).touches == 0
        life.touchpoints(view(40, "cookie:1"), login(50, BOB, "cookie:1"), view(60, "cookie:1"))
        people = life.intake.people
        bob = people.subject(life.handle(BOB))
        assert profile_in(bob).interests == {"coffee": 60}  # nothing of hers became his
        life.touchpoints(login(70, ANN, "cookie:2"))
        new = life.handle(ANN)
        assert new != ann
        assert people.subject(new).touches == 1
        assert people.subject(ann).touches == 0
        before = life.digest()
        life.again(rebuild=True)
        assert life.digest() == before


def test_a_thing_that_comes_in_the_turn_of_the_erasure_leads_to_nobody(tmp_path: Path) -> None:
    """The disk still has the person's record at that moment."""
    with Life(tmp_path, rule=None) as life:
        life.touchpoints(login(20, ANN, "cookie:1"), login(20, ANN, "cookie:2"))
        ann = life.handle(ANN)
        life.write_behind()
        life.again()
        life.intake.people.subject(life.handle("cookie:2"))  # this one is in memory
        turn = Turn()
        assert life.intake.erase(turn, [ANN]) == 1
        views = [view(30, "cookie:1"), view(30, "cookie:2")]
        life.intake.bodies(turn, [Collected(b"k" * 16, "shop", START_MS, views)])
        life.intake.finish(turn)
        life.store.commit(turn.writes)
        for _ in range(2):
            life.write_behind()
            assert ann not in {row.handle for row in life.store.all_subjects()}
            life.touchpoints(*views)
            life.again()


def test_an_erasure_comes_to_the_same_whenever_the_log_is_folded(tmp_path: Path) -> None:
    """A person is erased in the middle of a random history: restarted, scrubbed or rebuilt."""
    for seed in range(25):
        lot = random.Random(seed)
        steps = history(seed, turns=18)
        at = lot.randrange(len(steps))
        with Life(tmp_path / f"{seed}", most_people=lot.choice((2, 6, 1000))) as life:
            clock = SetClock()
            for number, step in enumerate(steps):
                life.live(step, lot.choice((0, 1, 100)))
                if number == at:
                    erase(life, "login:ann")
                if lot.random() < 0.3:
                    life.write_behind(lot.choice((1, 100)))
                if lot.random() < 0.2:
                    life.again()
                if lot.random() < 0.2:
                    keep_house(house_of(life, clock), clock)
            before = _everybody(life)
            life.again()
            assert _everybody(life) == before, seed
            keep_house(house_of(life, clock), clock)
            life.again(rebuild=True)
            assert _everybody(life) == before, seed


def _everybody(life: Life) -> str:
    """The digest, once everybody has been looked at: what leads to nobody is found out then."""
    people = life.intake.people
    people.prefetch(handles(life))
    return life.digest()


def test_what_was_taken_in_and_not_committed_yet_can_be_erased(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        life.live(history(3)[0])
        turn = Turn()
        for came in history(3)[1].came:
            if isinstance(came, Arrival):
                life.intake.message(turn, came, 0.0)
            else:
                life.intake.bodies(turn, [came])
        names = [*life.intake.vault._recent]
        assert life.intake.erase(turn, names) == len(names) > 0
        life.intake.finish(turn)
        life.store.commit(turn.writes)
        clock = SetClock()
        keep_house(house_of(life, clock), clock)
        assert handles(life) == set()
        assert list(life.store.all_subjects()) == []
        bodies = [row.body for row in life.store.log() if row.kind == BATCH]
        assert bodies
        for body in bodies:
            assert Batch.from_body(body).known() == set()
