"""The write-behind: whatever happens in between, the same log comes to the same."""

from pathlib import Path

import pytest

from cloud_bridge import identity, profile, snapshot
from cloud_bridge.people import TOTALS
from cloud_bridge.snapshot import Snapshot
from cloud_bridge.store import SNAPSHOT_VERSION, Writes
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.lives import Life, hard, history, quiet

ANN, BOB = "login:ann", "login:bob"

SEEDS = range(18)
LIVES = 2  # hard ones of each history


@pytest.mark.parametrize("prunes", [False, True], ids=["whole", "pruned"])
def test_a_hard_life_comes_to_what_a_quiet_one_does(tmp_path: Path, prunes: bool) -> None:
    """A record ahead of the watermark is passed over exactly: nothing is folded twice, or never."""
    for seed in SEEDS:
        _compare(tmp_path, seed, prunes)


def test_also_where_little_is_kept_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, interests and purposes that fall off the end."""
    monkeypatch.setattr(identity, "MAX_LINKS", 2)
    monkeypatch.setattr(profile, "MAX_INTERESTS", 1)
    for seed in SEEDS:
        _compare(tmp_path, 1000 + seed, False)


def _compare(tmp_path: Path, seed: int, prunes: bool) -> None:
    steps = history(seed)
    wanted = quiet(tmp_path / f"{seed}", steps)
    digest, logged = wanted.digest(), wanted.logged()
    wanted.end()
    for life_seed in range(LIVES):
        home = tmp_path / f"{seed}-{life_seed}"
        life = hard(home, steps, 100 * seed + life_seed, prunes=prunes)
        assert life.digest() == digest, (seed, life_seed)
        kept = life.logged()
        assert kept == logged[len(logged) - len(kept) :]
        assert prunes or len(kept) == len(logged)
        life.end()


def view(at_ms: int, session: str = "cookie:1") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category="coffee")


def login(at_ms: int, person: str, session: str = "cookie:1") -> Touchpoint:
    return make("identify", at_ms, seen=session, known_as=person, method="login")


def touches(life: Life, identifier: str) -> int:
    return life.intake.people.subject(life.handle(identifier)).touches


# The ways in which a record ahead of the watermark could be folded wrongly, one by one


def test_a_first_log_in_writes_the_thing_and_the_person_at_once(tmp_path: Path) -> None:
    """Else the thing would lead the rows before it to a person whose record has them already."""
    with Life(tmp_path) as life:
        life.touchpoints(view(10), view(11))
        life.touchpoints(login(20, ANN))
        assert life.store.marks().watermark == 0
        written = {row.handle for row in life.store.all_subjects()}
        assert written == {life.handle("cookie:1"), life.handle(ANN)}
        life.touchpoints(view(30))
        for _ in range(3):
            life.again()
            assert (touches(life, "cookie:1"), touches(life, ANN)) == (4, 2)


def test_a_second_log_in_writes_the_first_person_as_well(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        life.touchpoints(login(20, ANN))
        life.touchpoints(view(30))  # Ann's, and of her only the log knows
        life.touchpoints(login(40, BOB))
        life.again()
        assert (touches(life, "cookie:1"), touches(life, ANN), touches(life, BOB)) == (3, 3, 1)


def test_who_falls_off_a_things_links_is_written_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MAX_LINKS", 1)
    with Life(tmp_path) as life:
        life.touchpoints(login(20, ANN))
        life.touchpoints(view(30))
        life.touchpoints(login(40, BOB))
        life.touchpoints(view(50))
        for rebuild in (False, True):
            life.again(rebuild=rebuild)
            assert (touches(life, ANN), touches(life, BOB)) == (3, 2)


def test_a_thing_that_was_written_and_a_person_that_was_not(tmp_path: Path) -> None:
    """A slice ends between them; and the other way round."""
    for most in (1, 2):
        with Life(tmp_path / f"{most}", most_people=1) as life:
            life.touchpoints(login(20, ANN), login(20, BOB, "cookie:2"))
            life.write_behind()
            life.touchpoints(view(30), view(30, "cookie:2"))
            life.write_behind(most)
            life.touchpoints(view(40), view(40, "cookie:2"))
            before = life.digest()
            life.again()
            assert life.digest() == before
            assert touches(life, ANN) == touches(life, BOB) == 3


def test_an_outcome_is_counted_once(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        for n in range(4):
            life.touchpoints(make("prompt.shown", 10, prompt=n))
            life.write_behind(1)
            life.again()
            assert life.intake.people.outcomes == {"shown": n + 1}


# Rounds


def test_a_round_is_cut_into_slices_and_the_last_one_moves_the_watermark(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        for n in range(10):
            life.touchpoints(view(n, f"cookie:{n}"))
        life.write_behind(4)
        assert life.intake.snapshot.under_way
        life.touchpoints(view(99, "cookie:3"), view(99, "cookie:99"))
        watermarks = []
        while life.intake.snapshot.under_way:
            life.write_behind(4)
            watermarks.append(life.store.marks().watermark)
        assert watermarks == [0, 10]
        assert life.intake.snapshot.tail == 2  # what came after the round began
        rows = {row.handle: row for row in life.store.all_subjects()}
        assert len(rows) == 11
        assert {row.as_of for row in rows.values()} == {10, 11}
        assert rows[TOTALS].as_of == 11
        assert life.store.marks().snapshot == SNAPSHOT_VERSION
        assert len(life.intake.people.dirty) <= 2


def test_when_a_round_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "EVERY_TOUCHPOINTS", 10)
    monkeypatch.setattr(snapshot, "EVERY_DIRTY", 5)
    with Life(tmp_path) as life:

        def begins(now_s: float) -> bool:
            writes = Writes()
            round_: Snapshot = life.intake.snapshot
            round_.begin_if_due(life.intake.next_log_id - 1, now_s)
            under_way = round_.under_way
            round_.advance(writes, life.intake.next_log_id - 1, 100)
            if writes:
                life.store.commit(writes)
            return under_way

        assert not begins(1000.0)  # there is nothing to write
        life.touchpoints(view(1))
        assert begins(1000.0)  # a while has passed
        assert not begins(2000.0)
        life.touchpoints(view(1))
        assert not begins(1010.0)
        life.touchpoints(*[view(1)] * 9)
        assert begins(1011.0)  # so much would have to be folded again
        assert not life.intake.snapshot.is_overdue
        life.touchpoints(*[view(1, f"cookie:{n}") for n in range(6)])
        assert begins(1012.0)  # so many records wait
        life.touchpoints(*[view(1, f"cookie:{n}") for n in range(11)])
        assert life.intake.snapshot.is_overdue
        assert begins(1013.0)
        assert not life.intake.snapshot.is_overdue


def test_a_round_of_which_all_was_written_meanwhile_ends_as_well(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        life.touchpoints(view(1))
        life.intake.snapshot.begin(life.intake.next_log_id - 1, 0.0)
        life.touchpoints(login(2, ANN))  # writes both by itself
        life.write_behind(1)
        assert not life.intake.snapshot.under_way
        assert life.store.marks().watermark == 1
