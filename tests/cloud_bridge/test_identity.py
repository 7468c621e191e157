"""Whose an identifier is, at which time: one table."""

import pytest

from cloud_bridge.identity import MAX_LINKS, Identity

ANN, BOB = "loyalty:ann", "login:bob"


@pytest.mark.parametrize(
    ("seen", "known_as", "verdict"),
    [
        ("cookie:1", ANN, "claimed"),
        ("ble:1", ANN, "claimed"),
        ("rpa:1", BOB, "claimed"),
        ("kiosk:1", ANN, "shared"),
        ("tablet:1", ANN, "shared"),
        ("wifi:1", ANN, "shared"),
        ("number:1", ANN, "shared"),
        ("strange:1", ANN, "shared"),
        (ANN, BOB, "shared"),
        (None, ANN, "shared"),
        ("cookie:1", "cookie:2", "nobody"),
        ("cookie:1", "kiosk:1", "nobody"),
        ("cookie:1", None, "nobody"),
    ],
)
def test_what_links(seen: str | None, known_as: str | None, verdict: str) -> None:
    identity = Identity()
    assert identity.link(seen, known_as, 100) == verdict
    linked = verdict == "claimed"
    assert bool(identity.links) == linked
    if seen == "kiosk:1":
        assert identity.subject_of(seen, 100) is None


def test_a_second_log_in_switches_from_then_on() -> None:
    identity = Identity()
    assert identity.subject_of("cookie:1", 50) == "cookie:1"
    assert identity.link("cookie:1", ANN, 100) == "claimed"
    assert identity.link("cookie:1", ANN, 150) == "known"
    assert identity.link("cookie:1", BOB, 200) == "linked"
    assert identity.link("cookie:1", ANN, 300) == "linked"
    times = (50, 100, 199, 200, 299, 300)
    assert [identity.subject_of("cookie:1", at) for at in times] == [ANN, ANN, ANN, BOB, BOB, ANN]


def test_links_hold_from_their_time_whenever_they_are_learnt() -> None:
    identity = Identity()
    identity.link("cookie:1", BOB, 200)
    identity.link("cookie:1", ANN, 100)
    assert [identity.subject_of("cookie:1", at) for at in (50, 150, 250)] == [ANN, ANN, BOB]


def test_persons_are_themselves_and_strange_schemes_nobody() -> None:
    identity = Identity()
    assert identity.subject_of(ANN, 1) == ANN
    assert identity.subject_of("strange:1", 1) is None
    assert identity.subject_of(None, 1) is None


def test_links_are_bounded() -> None:
    identity = Identity()
    for at in range(100):
        identity.link("cookie:1", (ANN, BOB)[at % 2], at)
    assert len(identity.links["cookie:1"]) == MAX_LINKS
    assert identity.subject_of("cookie:1", 1000) == BOB
