"""Whose a thing is, at which time: one table."""

import pytest

from cloud_bridge.identity import MAX_LINKS, Links, holder, linked, without
from cloud_bridge.schemes import OTHER, OWN, PERSON, SHARED, nobody_like

ANN, BOB = 4 * 10 + PERSON, 4 * 11 + PERSON
COOKIE, APP, KIOSK, STRANGE = 4 * 20 + OWN, 4 * 21 + OWN, 4 * 22 + SHARED, 4 * 23 + OTHER


@pytest.mark.parametrize(
    ("seen", "known_as", "verdict"),
    [
        (COOKIE, ANN, "claimed"),
        (APP, BOB, "claimed"),
        (KIOSK, ANN, "shared"),
        (STRANGE, ANN, "shared"),
        (ANN, BOB, "shared"),
        (None, ANN, "shared"),
        (COOKIE, APP, "nobody"),
        (COOKIE, KIOSK, "nobody"),
        (COOKIE, STRANGE, "nobody"),
        (COOKIE, None, "nobody"),
    ],
)
def test_what_links(seen: int | None, known_as: int | None, verdict: str) -> None:
    said, links = linked(seen, known_as, (), 100)
    assert said == verdict
    assert links == ((100, known_as) if verdict == "claimed" else ())


def learnt(*said: tuple[int, int]) -> tuple[list[str], Links]:
    verdicts: list[str] = []
    links: Links = ()
    for at_ms, person in said:
        verdict, links = linked(COOKIE, person, links, at_ms)
        verdicts.append(verdict)
    return verdicts, links


def test_a_second_log_in_switches_from_then_on() -> None:
    verdicts, links = learnt((100, ANN), (150, ANN), (200, BOB), (300, ANN))
    assert verdicts == ["claimed", "known", "linked", "linked"]
    times = (50, 100, 199, 200, 299, 300)
    assert [holder(links, at) for at in times] == [ANN, ANN, ANN, BOB, BOB, ANN]


def test_links_hold_from_their_time_whenever_they_are_learnt() -> None:
    _, links = learnt((200, BOB), (100, ANN))
    assert [holder(links, at) for at in (50, 150, 250)] == [ANN, ANN, BOB]


def test_what_is_told_late_of_the_first_holder_moves_the_beginning() -> None:
    verdicts, links = learnt((200, ANN), (100, ANN), (150, BOB))
    assert verdicts == ["claimed", "linked", "linked"]
    assert [holder(links, at) for at in (99, 149, 150, 199, 200)] == [ANN, ANN, BOB, BOB, ANN]


def test_links_of_one_time_are_in_the_order_of_their_telling() -> None:
    _, links = learnt((100, ANN), (100, BOB))
    assert links == (100, ANN, 100, BOB)
    assert holder(links, 100) == BOB


def test_links_are_bounded_and_the_newest_stay() -> None:
    _, links = learnt(*((at, (ANN, BOB)[at % 2]) for at in range(100)))
    assert len(links) == 2 * MAX_LINKS
    assert links[-2:] == (99, BOB)
    assert holder(links, 1000) == BOB


def test_who_is_erased_keeps_the_place() -> None:
    nobody = nobody_like(ANN)
    _, links = learnt((100, ANN), (200, BOB))
    left = without(links, {ANN})
    assert left == (100, nobody, 200, BOB)
    assert [holder(left, at) for at in (50, 150, 250)] == [nobody, nobody, BOB]
    # As it is learnt anew of a log in which Ann is nobody.
    assert learnt((100, nobody), (200, BOB)) == (["claimed", "linked"], left)
    assert without((ANN, BOB), {ANN}) == (ANN, BOB)  # a time is no person
