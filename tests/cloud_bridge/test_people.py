"""The fold over the log: interests, consents, claims, counts, and what fits into memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_bridge import people as module
from cloud_bridge.people import Offered
from cloud_bridge.profile import MAX_INTERESTS, MAX_OFFERS, MAX_PURPOSES, Profile
from cloud_bridge.record import profile_in, unpacked
from cloud_bridge.store import SubjectRow, Writes
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life
from tests.wire.strategies import BATCHES

ANN, BOB = "loyalty:ann", "login:bob"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = Life(tmp_path, rule=None)
    yield made
    made.end()


def view(at_ms: int, category: str = "coffee", session: str = "cookie:1") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category=category)


def login(at_ms: int, person: str | None, session: str = "cookie:1") -> Touchpoint:
    return make("identify", at_ms, seen=session, known_as=person, method="login")


def consent(at_ms: int, granted: bool, subject: str = "cookie:1") -> Touchpoint:
    return make("consent", at_ms, subject=subject, purpose="p", granted=int(granted))


def sight(at_ms: int, beacon: str = "ble:1") -> Touchpoint:
    return make("sighting", at_ms, receiver="r", beacon=beacon)


def profile(life: Life, identifier: str) -> Profile:
    return profile_in(life.intake.people.subject(life.handle(identifier)))


def touches(life: Life, identifier: str) -> int:
    return life.intake.people.subject(life.handle(identifier)).touches


def test_a_log_in_claims_what_its_session_did_before(life: Life) -> None:
    life.touchpoints(view(10), view(11, session="cookie:2"), consent(12, True), login(20, ANN))
    assert profile(life, ANN).interests == {"coffee": 10}
    assert profile(life, ANN).consents_to("p")
    assert profile(life, "cookie:1") == Profile()
    assert profile(life, "cookie:2").interests == {"coffee": 11}


def test_a_second_log_in_claims_nothing_and_takes_what_follows(life: Life) -> None:
    life.touchpoints(view(10), login(20, ANN), view(25, "tea"), login(30, BOB), view(40, "rugs"))
    assert profile(life, ANN).interests == {"coffee": 10, "tea": 25}
    assert profile(life, BOB).interests == {"rugs": 40}


def test_what_was_done_before_a_switch_and_told_after_it_stays_with_the_first(life: Life) -> None:
    life.touchpoints(login(20, ANN), login(30, BOB), view(25), view(5, "tea"))
    assert profile(life, ANN).interests == {"coffee": 25, "tea": 5}
    assert profile(life, BOB) == Profile()


def test_a_shared_thing_joins_nobody(life: Life) -> None:
    for shared in ("kiosk:1", "tablet:1", "wifi:1", "number:1", "line:1", "strange:1"):
        life.touchpoints(
            view(10, session=shared), login(20, ANN, shared), consent(30, True, shared)
        )
        assert profile(life, shared) == Profile()
        assert life.intake.people.subject_of(life.handle(shared), 40) is None
        assert touches(life, shared) == 3
    assert profile(life, ANN) == Profile()
    assert touches(life, ANN) == 6
    assert life.intake.people.counted["identify.shared"] == 6


def test_touches_of_a_thing_are_its_holders_as_well(life: Life) -> None:
    life.touchpoints(sight(5), sight(6))
    life.touchpoints(login(20, ANN, "ble:1"), sight(30))  # its own touch, before it is linked
    assert (touches(life, "ble:1"), touches(life, ANN)) == (4, 1)
    life.touchpoints(sight(40), sight(50))
    life.touchpoints(login(60, BOB, "ble:1"))  # the log-in itself was still on Ann's thing
    life.touchpoints(sight(70), sight(70))
    assert (touches(life, "ble:1"), touches(life, ANN), touches(life, BOB)) == (9, 4, 3)
    life.touchpoints(sight(55))
    assert (touches(life, ANN), touches(life, BOB)) == (5, 3)


def test_where_and_when_somebody_was_last_seen(life: Life) -> None:
    life.touchpoints(sight(START_MS), received_ms=START_MS)
    life.touchpoints(sight(START_MS - 1), received_ms=START_MS + 86_400_000)
    subject = life.intake.people.subject(life.handle("ble:1"))
    assert (subject.seen_ms, subject.site) == (START_MS, "shop")
    assert subject.day == START_MS // 86_400_000 + 1


@pytest.mark.parametrize(
    ("statements", "consents"),
    [
        ([], False),
        ([(10, True)], True),
        ([(10, True), (20, False)], False),
        ([(20, False), (10, True)], False),  # told late, said early
        ([(20, True), (10, False)], True),
        ([(10, True), (10, False)], False),  # at one time: the log's order
    ],
)
def test_the_last_word_counts_whenever_it_is_told(
    life: Life, statements: list[tuple[int, bool]], consents: bool
) -> None:
    life.touchpoints(login(1, ANN), *(consent(at, granted) for at, granted in statements))
    assert profile(life, ANN).consents_to("p") == consents


def test_the_last_word_counts_across_channels(life: Life) -> None:
    life.touchpoints(login(1, ANN), consent(10, True), consent(20, False, ANN))
    assert not profile(life, ANN).consents_to("p")


def test_a_claim_turns_no_consent_back(life: Life) -> None:
    life.touchpoints(consent(20, False, ANN), consent(10, True), login(30, ANN))
    assert not profile(life, ANN).consents_to("p")


def test_a_profile_is_bounded_and_the_oldest_goes() -> None:
    full = Profile()
    for at in range(MAX_INTERESTS + 10):
        full.look(f"c{at}", at)
        full.look("first", at)
    assert len(full.interests) == MAX_INTERESTS
    assert "first" in full.interests
    assert "c0" not in full.interests
    for at in range(MAX_PURPOSES + 10):
        full.say(f"p{at}", at, True)
    assert (len(full.consents), full.consents_to("p0")) == (MAX_PURPOSES, False)
    for at in range(MAX_OFFERS + 10):
        full.offer(f"o{at}", at)
    assert (len(full.offered), "o0" in full.offered) == (MAX_OFFERS, False)


def test_a_late_view_does_not_turn_time_back(life: Life) -> None:
    life.touchpoints(view(20), view(10))
    assert profile(life, "cookie:1").interests == {"coffee": 20}


def test_an_offered_prompt_is_the_persons_who_had_the_thing(life: Life) -> None:
    life.touchpoints(login(20, ANN), view(30))
    people = life.intake.people
    people.apply_offered(Offered(1, life.handle("cookie:1"), "tasting", 40, 2))
    people.apply_offered(Offered(2, life.handle("cookie:1"), "tasting", 35, 2))
    assert profile(life, ANN).offered == {"tasting": 40}


def test_what_is_written_behind_leaves_memory_and_comes_back(tmp_path: Path) -> None:
    with Life(tmp_path, most_people=4, rule=None) as life:
        for n in range(40):
            life.touchpoints(view(n, session=f"cookie:{n}"), login(n, ANN, f"cookie:{n}"))
            life.write_behind()
        people = life.intake.people
        assert len(people) <= 8
        assert people.counted["evicted"] > 30
        assert people.dirty == set()
        assert touches(life, ANN) == 40
        assert touches(life, "cookie:0") == 2
        assert profile(life, ANN).interests == {"coffee": 39}


def test_what_is_not_yet_written_stays_in_memory(tmp_path: Path) -> None:
    with Life(tmp_path, most_people=4, rule=None) as life:
        for n in range(40):
            life.touchpoints(view(n, session=f"cookie:{n}"))
        assert len(life.intake.people.dirty) == len(life.intake.people) == 40
        life.write_behind()
        for n in range(8):
            life.touchpoints(view(50, session=f"cookie:{n}"))
            life.write_behind()
        assert len(life.intake.people) <= 8


def test_nothing_is_remembered_of_rows_that_were_ahead(tmp_path: Path) -> None:
    """What only a restart needs does not grow with the people who come and go."""
    with Life(tmp_path, most_people=2, rule=None) as life:
        for n in range(200):
            life.touchpoints(sight(n, f"ble:{n % 20}"))
            life.write_behind()
        people = life.intake.people
        assert people._ahead == {}
        # Gaps are rows of the log that nobody folds: what is written after them is further.
        beacon = life.handle("ble:0")
        (row,) = life.store.subjects([beacon])
        life.store.commit(Writes(subjects={beacon: replace(row, as_of=1000)}))
        people.forget([beacon])
        assert people.subject(beacon).touches == 10
        assert people._ahead == {}


def test_damaged_records_are_counted_and_empty(tmp_path: Path) -> None:
    with Life(tmp_path, rule=None) as life:
        life.touchpoints(view(10), view(10, session="cookie:2"), make("prompt.shown", 10, prompt=1))
        life.write_behind()
        rows = {row.handle: row for row in life.store.all_subjects()}
        for handle, row in rows.items():
            if handle != life.handle("cookie:2"):
                damaged = bytes([row.body[0] ^ 1]) + row.body[1:]
                broken = SubjectRow(handle, row.as_of, row.day, row.is_stranger, damaged)
                life.store.commit(Writes(subjects={handle: broken}))
                assert unpacked(broken) is None
        life.again()
        people = life.intake.people
        assert profile(life, "cookie:1") == Profile()
        assert profile(life, "cookie:2").interests == {"coffee": 10}
        assert sorted(people.damaged) == [0, life.handle("cookie:1")]
        assert people.outcomes == {}
        life.again(rebuild=True)
        assert profile(life, "cookie:1").interests == {"coffee": 10}
        assert life.intake.people.outcomes == {"shown": 1}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(BATCHES, min_size=1, max_size=4), st.integers(0, 3))
def test_any_touchpoints_come_to_the_same_again(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Touchpoint]], written: int
) -> None:
    """Of every type, with every value that the wire lets pass."""
    with Life(tmp_path_factory.mktemp("life"), most_people=3, rule=None) as life:
        for number, batch in enumerate(batches):
            life.touchpoints(*batch)
            if number == written:
                life.write_behind()
        before = life.digest()
        life.again()
        assert life.digest() == before
        life.again(rebuild=True)
        assert life.digest() == before


def test_a_decision_hides_its_visitor_and_survives_packing() -> None:
    offered = Offered((1 << 63) - 1, 4711, "tasting", 50, 2)
    assert module.unpack_offered(msgspec.msgpack.encode(offered)) == offered
