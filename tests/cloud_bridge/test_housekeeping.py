"""Pruning, strangers, erasure: what goes is gone, and what stays is as it was."""

import random
from pathlib import Path

import msgspec
import pytest

from cloud_bridge.batch import Batch
from cloud_bridge.housekeeping import DAY_MS, Housekeeping, without
from cloud_bridge.people import NOBODY, Offered, profile_in, unpack_offered
from cloud_bridge.schemes import PERSON, kind_of_handle
from cloud_bridge.store import BATCH, DECISION, GAPS, Writes
from cloud_bridge.turn import Arrival, Turn
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life, history, open_quickly

KEEP_DAYS = 10
ANN, BOB = "login:ann-4711", "loyalty:bob-4712"


class SetClock:
    def __init__(self) -> None:
        self.ms = START_MS

    def wall_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.ms / 1000


def house_of(life: Life, clock: SetClock, keep_days: float = KEEP_DAYS) -> Housekeeping:
    return Housekeeping(life.store, life.intake.people, life.intake.vault, clock, keep_days)


def keep_house(house: Housekeeping, clock: SetClock) -> int:
    """Until there is nothing more to do; how many steps that were."""
    clock.ms += 20_000
    steps = 1
    while house.step(clock.steady_s()):
        steps += 1
    return steps


def view(at_ms: int, session: str, category: str = "coffee") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category=category)


def login(at_ms: int, person: str, session: str) -> Touchpoint:
    return make("identify", at_ms, seen=session, known_as=person, method="login")


def sight(at_ms: int, beacon: str) -> Touchpoint:
    return make("sighting", at_ms, receiver="r", beacon=beacon)


def erase(life: Life, *identifiers: str) -> int:
    turn = Turn()
    gone = life.intake.erase(turn, identifiers)
    life.intake.finish(turn)
    life.store.commit(turn.writes)
    return gone


def handles(life: Life) -> set[int]:
    rows = life.store.vault_rows(range(4, 4 * life.store.marks().next_number + 4))
    return set(rows)


# Growing old


def test_the_log_goes_after_its_days_and_what_was_folded_of_it_stays(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        for day in range(20):
            clock.ms = START_MS + day * DAY_MS
            life.touchpoints(view(1, "cookie:1"), login(2, ANN, "cookie:1"), received_ms=clock.ms)
        before = life.digest()
        keep_house(house, clock)
        assert house.dropped == 0  # nothing is folded on disk yet
        life.write_behind()
        keep_house(house, clock)
        assert (house.dropped, len(list(life.store.log()))) == (10, 10)
        assert life.digest() == before
        life.again()
        assert life.digest() == before


def test_a_log_that_is_kept_for_ever(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        life.touchpoints(view(1, "cookie:1"))
        life.write_behind()
        clock.ms += 10_000 * DAY_MS
        assert keep_house(house_of(life, clock, keep_days=0), clock) == 1
        assert len(list(life.store.log())) == 1


def test_there_is_a_look_now_and_then_and_a_little_at_a_time(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        for _ in range(450):
            life.touchpoints(sight(1, "ble:1"))
        life.write_behind()
        clock.ms += 11 * DAY_MS
        house = house_of(life, clock)
        assert house.step(clock.steady_s())
        assert house.dropped == 200
        assert keep_house(house, clock) >= 2
        assert house.dropped == 450
        assert not house.step(clock.steady_s())
        clock.ms += DAY_MS
        assert not house.step(clock.steady_s())


def test_strangers_go_with_their_rows_and_nobody_else(tmp_path: Path) -> None:
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        life.touchpoints(sight(1, "rpa:1"), sight(1, "rpa:2"), sight(1, "kiosk:1"))
        life.touchpoints(sight(1, "ble:1"), login(2, ANN, "ble:1"), login(2, BOB, "wifi:1"))
        life.write_behind()
        clock.ms += 12 * DAY_MS
        life.touchpoints(sight(1, "rpa:2"), received_ms=clock.ms)
        life.write_behind()
        keep_house(house, clock)
        assert house.forgotten == 3
        known = {life.intake.vault.identifier(handle) for handle in handles(life)}
        assert known == {"rpa:2", "ble:1", ANN, BOB}
        before = life.digest()
        life.again()
        assert life.digest() == before
        assert life.handle("rpa:1") not in handles(life)  # somebody new


@pytest.mark.parametrize("written", [True, False])
def test_a_stranger_stays_while_the_log_holds_a_row_of_it(tmp_path: Path, written: bool) -> None:
    """Of a row above the watermark, or behind one of a clock that was ahead."""
    clock = SetClock()
    with Life(tmp_path, rule=None) as life:
        house = house_of(life, clock)
        life.touchpoints(sight(1, "rpa:1"))
        life.write_behind()
        life.touchpoints(sight(1, "rpa:9"), received_ms=START_MS + 100 * DAY_MS)
        life.touchpoints(sight(1, "rpa:1"))
        if written:
            life.write_behind()
        clock.ms += 12 * DAY_MS
        keep_house(house, clock)
        assert house.dropped == 1
        assert house.forgotten == 0
        before = life.digest()
        life.again()
        assert life.digest() == before
        assert life.intake.people.subject(life.handle("rpa:1")).touches == 2


def test_what_is_left_after_forgetting_is_what_a_life_without_it_knows(tmp_path: Path) -> None:
    """Of persons all but what they would have claimed of strangers that are forgotten by then."""
    for seed in range(20):
        lot = random.Random(seed)
        steps = history(seed, turns=20)
        with Life(tmp_path / f"{seed}-quiet") as wanted:
            for step in steps:
                wanted.live(step)
            people = wanted.intake.people
            known = {
                wanted.intake.vault.identifier(handle): msgspec.to_builtins(subject)
                for handle, subject in people.residents()
                if kind_of_handle(handle) == PERSON
            }
        with Life(tmp_path / f"{seed}-short", most_people=3) as life:
            clock = SetClock()
            for step in steps:
                life.live(step, lot.choice((0, 2, 100)))
                life.write_behind(lot.choice((1, 100)))
                clock.ms = max(clock.ms, step.received_ms)
                if lot.random() < 0.5:
                    house = house_of(life, clock, keep_days=0.5)
                    keep_house(house, clock)
                if lot.random() < 0.2:
                    life.again()
            for name, subject in known.items():
                assert name is not None
                found = msgspec.to_builtins(life.intake.people.subject(life.handle(name)))
                assert found[:-1] == subject[:-1], (seed, name)
            before = life.digest()
            life.again()
            assert life.digest() == before, seed


# Erasure


def test_nothing_of_who_was_erased_is_left_in_the_files(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
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
        reader.close()
        life.store.tidy()
        assert row.key not in _files(life)


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


def test_how_a_row_loses_handles(caplog: pytest.LogCaptureFixture) -> None:
    offered = msgspec.msgpack.encode(Offered(1, 42, "tasting", 50, 2))
    assert without(DECISION, offered, {43}) is None
    changed = without(DECISION, offered, {42})
    assert changed is not None
    assert unpack_offered(changed) == Offered(1, NOBODY, "tasting", 50, 2)
    batch = Batch.of([sight(1, "ble:1"), sight(2, "ble:2")])
    batch.resolve({"ble:1": 42, "ble:2": 46})
    assert without(BATCH, batch.to_body(), {43}) is None
    changed = without(BATCH, batch.to_body(), {42})
    assert changed is not None
    assert Batch.from_body(changed).known() == {46}
    assert without(BATCH, changed, {42}) is None
    assert without(GAPS, b"\x90", {42}) is None
    assert without(77, b"of a later version", {42}) is None
    assert caplog.text == ""
    assert without(BATCH, b"\xc1", {42}) is None
    assert without(DECISION, b"\xc1", {42}) is None
    assert caplog.text.count("cannot be read") == 2
