"""The pools bench, in a short form: the order of the policies, and what the goals are read from."""

import json
from pathlib import Path

import pytest

from benches import _report, pools
from benches._pool_play import POLICIES, FirstFree, Outcome


@pytest.fixture(scope="module")
def rows() -> dict[str, pools.Row]:
    played = pools.played(20_000, 1, ["mid"], [40])
    assert [row["policy"] for row in played] == list(POLICIES)
    return {str(row["policy"]): row for row in played}


def test_policies_are_as_good_as_they_should_be(rows: dict[str, pools.Row]) -> None:
    late = {name: pools.number(row, "late_error") for name, row in rows.items()}
    assert late["first_free"] > late["random"] > late["lru"] > late["noisy_intent"]
    assert late["intent_split"] < 0.65 * late["lru"]
    assert late["shuffled_intent"] <= late["lru"] + 0.01


def test_naming_is_bold_and_right_enough(rows: dict[str, pools.Row]) -> None:
    for name in ("lru", "intent_split"):
        assert pools.number(rows[name], "named_error") <= 0.1
        assert pools.number(rows[name], "named_coverage") >= 0.55


def test_the_goals_are_read_from_the_rows(rows: dict[str, pools.Row]) -> None:
    keys = pools.goals(list(rows.values()))
    late = {name: pools.number(row, "late_error") for name, row in rows.items()}
    assert keys["split_saves"] == round(1 - late["intent_split"] / late["lru"], 4)
    assert keys["split_saves_rows_35"] == 1
    assert keys["named_error_mid_40"] == rows["intent_split"]["named_error"]


def test_the_report_has_rows(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    args = pools.parsed(["--json", str(file)])
    _report.publish("pools", [], {"visitors": 1}, args, {"rows": [{"policy": "lru", "n": 10}]})
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["rows"] == [{"policy": "lru", "n": 10}]
    with pytest.raises(ValueError, match="not flat"):
        _report.publish("pools", [], {}, args, {"rows": [{"policy": []}]})
    with pytest.raises(ValueError, match="named like"):
        _report.publish("pools", [], {"rows": 1}, args, {"rows": []})


def test_first_free_is_what_it_says() -> None:
    policy = FirstFree(["+2", "+1", "+3"])
    assert [policy.take(None), policy.take(None)] == ["+1", "+2"]
    policy.give_back("+1")
    assert policy.take(None) == "+1"


def test_an_outcome_without_calls_has_figures() -> None:
    assert set(Outcome().row().values()) == {0.0}


@pytest.mark.parametrize("words", [["--visitors", "100"], ["--sizes", "0"], ["--jobs", "0"]])
def test_settings_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        pools.parsed(words)
