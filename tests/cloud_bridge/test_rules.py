"""Files of rules are checked entry by entry, and errors say where and what to do."""

from pathlib import Path

import pytest

from cloud_bridge import rules
from cloud_bridge.errors import RulesError

GOOD = """
[[rule]]
offer = "tasting"
category = "coffee"
within_days = 7
zone = "bar"
purpose = "prompts"
surface = "kiosk"
title = "Try"
body = "one"
ttl_s = 60
cooldown_s = 3600
"""


def load(tmp_path: Path, text: str) -> tuple[rules.Rule, ...]:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return rules.load(path)


def test_the_default_rules_can_be_loaded() -> None:
    loaded = rules.load()
    assert len({rule.offer for rule in loaded}) == len(loaded) > 0


def test_a_good_file(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, GOOD)
    assert (rule.offer, rule.within_days) == ("tasting", 7)
    assert load(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule", "not TOML"),
        ("[rules]\na = 1", "unknown entry 'rules'"),
        ("[rule]\noffer = 'a'", "two brackets"),
        ("[[rule]]\noffer = 'a'", r"rule 1 \('a'\).*category"),
        (GOOD + GOOD, r"rule 2 \('tasting'\): another rule"),
        (GOOD.replace("within_days = 7", "within_days = -1"), "within_days"),
        (GOOD.replace("within_days = 7", "within_days = 'a week'"), "within_days"),
        (GOOD.replace("ttl_s = 60", "ttl_s = 0"), "ttl_s"),
        (GOOD.replace('zone = "bar"', 'zone = ""'), "zone"),
        (GOOD + 'colour = "red"', "colour"),
        ("rule = [1]", "rule 1"),
    ],
)
def test_errors_name_the_entry(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said) as error:
        load(tmp_path, text)
    assert "rules.toml" in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot be read"):
        rules.load(tmp_path / "none.toml")
