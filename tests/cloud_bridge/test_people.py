"""The fold over the log: interests, consents, claims, and that it can be made again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge import people as module
from cloud_bridge.people import MAX_INTERESTS, Offered, People, Profile
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.wire.strategies import BATCHES

ANN, BOB = "loyalty:ann", "loyalty:bob"


def view(at_ms: int, category: str = "coffee", session: str = "cookie:1") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category=category)


def login(at_ms: int, person: str, session: str = "cookie:1") -> Touchpoint:
    return make("identify", at_ms, seen=session, known_as=person, method="login")


def consent(at_ms: int, granted: bool, subject: str = "cookie:1") -> Touchpoint:
    return make("consent", at_ms, subject=subject, purpose="p", granted=int(granted))


def folded(*touchpoints: Touchpoint) -> People:
    people = People()
    people.apply(touchpoints, 0)
    return people


def test_a_log_in_claims_what_its_session_did_before() -> None:
    people = folded(view(10), view(11, session="cookie:2"), consent(12, True), login(20, ANN))
    assert people.persons[ANN].interests == {"coffee": 10}
    assert people.persons[ANN].consents_to("p")
    assert people.anonymous.keys() == {"cookie:2"}


def test_a_second_log_in_claims_nothing_and_takes_what_follows() -> None:
    people = folded(view(10), login(20, ANN), view(25, "tea"), login(30, BOB), view(40, "rugs"))
    assert people.persons[ANN].interests == {"coffee": 10, "tea": 25}
    assert people.persons[BOB].interests == {"rugs": 40}


def test_what_was_done_before_a_switch_and_told_after_it_stays_with_the_first() -> None:
    people = folded(login(20, ANN), login(30, BOB), view(25), view(5, "tea"))
    assert people.persons[ANN].interests == {"coffee": 25, "tea": 5}
    assert BOB not in people.persons


def test_a_shared_kiosk_joins_nobody() -> None:
    people = folded(
        view(10, session="kiosk:1"), login(20, ANN, "kiosk:1"), consent(30, True, "kiosk:1")
    )
    assert people.persons == people.anonymous == {}
    assert people.identity.subject_of("kiosk:1", 40) is None
    assert people.counted["identify.shared"] == 1


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
    statements: list[tuple[int, bool]], consents: bool
) -> None:
    people = folded(login(1, ANN), *(consent(at, granted) for at, granted in statements))
    assert people.persons[ANN].consents_to("p") == consents


def test_the_last_word_counts_across_channels() -> None:
    people = folded(login(1, ANN), consent(10, True), consent(20, False, ANN))
    assert not people.persons[ANN].consents_to("p")


def test_times_are_corrected() -> None:
    people = People()
    people.apply([view(10)], 1000)
    assert people.anonymous["cookie:1"].interests == {"coffee": 1010}


def test_interests_are_bounded_and_the_oldest_goes() -> None:
    profile = Profile()
    for at in range(MAX_INTERESTS + 10):
        profile.look(f"c{at}", at)
        profile.look("first", at)
    assert len(profile.interests) == MAX_INTERESTS
    assert "first" in profile.interests
    assert "c0" not in profile.interests


def test_a_late_view_does_not_turn_time_back() -> None:
    people = folded(view(20), view(10))
    assert people.anonymous["cookie:1"].interests == {"coffee": 20}


def test_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANONYMOUS", 3)
    people = folded(*(view(at, session=f"cookie:{at % 5}") for at in range(10)))
    assert list(people.anonymous) == ["cookie:2", "cookie:3", "cookie:4"]
    assert people.counted["anonymous.forgotten"] == 7


@given(st.lists(BATCHES, max_size=4))
def test_the_same_log_gives_the_same_and_nothing_shows_in_a_repr(
    batches: list[list[Touchpoint]],
) -> None:
    first, second = People(), People()
    for people in (first, second):
        for batch in batches:
            people.apply(batch, 7)
        people.apply_offered(Offered(1, "cookie:1", "tasting", 50, 2))
    assert first.digest() == second.digest()
    second.apply_offered(Offered(2, "cookie:1", "tasting", 51, 2))
    assert first.digest() != second.digest()


def test_an_offered_prompt_survives_packing_and_hides_its_visitor() -> None:
    offered = Offered((1 << 63) - 1, "ble:1", "tasting", 50, 2)
    assert Offered.unpack(offered.pack()) == offered
    assert "ble" not in repr(offered)
