"""Who is prompted, and which clause says no: one table."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from cloud_bridge.decision import CLAUSES, Situation, decide, prompt_id, prompt_of, shows
from cloud_bridge.profile import Profile
from cloud_bridge.registry import Device
from cloud_bridge.rules import Rule

NOW = 1_800_000_000_000
DAY = 86_400_000
RULE = Rule(
    offer="tasting",
    category="coffee",
    within_days=7,
    zone="bar",
    purpose="prompts",
    surface="kiosk",
    title="Try",
    body="one",
    ttl_s=60,
    cooldown_s=3600,
)
OTHER = Rule(
    offer="rug",
    category="rugs",
    within_days=7,
    zone="bar",
    purpose="prompts",
    surface="kiosk",
    title="Sit",
    body="",
    ttl_s=60,
    cooldown_s=3600,
)
KIOSK = Device(1, "paris", "k", "kiosk", "bar", 0, False, None)
SHE = Profile({"coffee": NOW - DAY}, {"prompts": (NOW - DAY, True)}, {})


def but(**other: Any) -> Profile:
    return structs.replace(SHE, **other)


HERE = Situation("paris", "bar", NOW, SHE, shows([KIOSK]))


def test_all_clauses_hold() -> None:
    decision = decide([OTHER, RULE], HERE)
    assert (decision.rule, decision.device) == (RULE, KIOSK)
    assert decision.failed == (("rug", "interest"),)


@pytest.mark.parametrize(
    ("clause", "situation"),
    [
        ("zone", replace(HERE, zone="door")),
        ("known", replace(HERE, profile=None)),
        ("interest", replace(HERE, profile=but(interests={"tea": NOW}))),
        ("interest", replace(HERE, profile=but(interests={"coffee": NOW - 8 * DAY}))),
        ("consent", replace(HERE, profile=but(consents={}))),
        ("consent", replace(HERE, profile=but(consents={"prompts": (NOW, False)}))),
        ("consent", replace(HERE, profile=but(consents={"mail": (NOW, True)}))),
        ("cooldown", replace(HERE, profile=but(offered={"tasting": NOW - 3_599_999}))),
        ("surface", replace(HERE, shows={})),
        ("surface", replace(HERE, shows=shows([replace(KIOSK, zone="door")]))),
        ("surface", replace(HERE, shows=shows([replace(KIOSK, site="rome")]))),
        ("surface", replace(HERE, shows=shows([replace(KIOSK, surface="tablet")]))),
        ("surface", replace(HERE, shows=shows([replace(KIOSK, revoked=True)]))),
        ("surface", replace(HERE, shows=shows([replace(KIOSK, surface="")]))),
    ],
)
def test_the_first_clause_that_fails_is_told(clause: str, situation: Situation) -> None:
    decision = decide([RULE], situation)
    assert (decision.rule, decision.device) == (None, None)
    assert decision.failed == (("tasting", clause),)


def test_the_table_has_a_case_for_every_clause() -> None:
    told = {"zone", "known", "interest", "consent", "cooldown", "surface"}
    assert {name for name, _ in CLAUSES} == told


def test_after_its_cooldown_an_offer_is_made_again() -> None:
    rested = but(offered={"tasting": NOW - 3_600_000})
    assert decide([RULE], replace(HERE, profile=rested)).rule == RULE


def test_the_first_device_shows_it() -> None:
    found = shows([replace(KIOSK, number=2), replace(KIOSK, number=3)])
    assert found["paris", "bar", "kiosk"].number == 2


def test_prompt_ids_are_their_touchpoints_own() -> None:
    ids = {
        prompt_id("acme", device, (generation, epoch, seq), index, offer)
        for device in (1, 2)
        for generation in (0, 1)
        for epoch in (0, 1)
        for seq in (0, 11)
        for index in (0, 1)
        for offer in ("a", "b")
    }
    assert len(ids) == 64
    assert all(0 <= id_ < 1 << 63 for id_ in ids)
    assert prompt_id("acme", 1, (0, 2, 3), 4, "a") == 3_840_015_245_872_397_085


def test_a_prompt_says_why_and_names_nobody() -> None:
    prompt = prompt_of(RULE, 9)
    assert (prompt.id, prompt.ttl_ms, prompt.offer) == (9, 60_000, "tasting")
    assert prompt.why == ("category coffee", "zone bar", "consent prompts")
    assert "coffee" not in repr(HERE)
