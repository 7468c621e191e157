"""The presence benches: how visits are matched, and a short form of both."""

import json
import sys
from pathlib import Path

import pytest

from benches import presence
from benches._visit_scores import ToldVisits, scored
from edge_sdk.wire.touchpoint import make
from simulators.crowd import Stay
from simulators.crowd_store import little_store


def told(*visits: tuple[str, str, int, int]) -> ToldVisits:
    """Visits as an engine tells them: (beacon, zone, from, until) in seconds."""
    found = ToldVisits()
    for number, (beacon, zone, from_s, until_s) in enumerate(visits):
        who = {"visit": number, "visitor": beacon, "zone": zone}
        enter = make(
            "visit.enter", 1000 * from_s + 9_000, **who, ago_low_ms=8_000, ago_high_ms=10_000
        )
        exit_ = make("visit.exit", 1000 * until_s, **who, dwell_ms=1000 * (until_s - from_s))
        found.take([enter, exit_])
    return found


def stays(*stays: tuple[str, str, int, int]) -> list[Stay]:
    return [Stay(beacon, zone, 1000 * a, 1000 * b) for beacon, zone, a, b in stays]


A, B = "ble:a", "ble:b"


@pytest.mark.parametrize(
    ("said", "true", "matched", "neutral", "false_exits"),
    [
        ([(A, "x", 0, 60)], [(A, "x", 2, 58)], 1, 0, 0),
        ([(A, "x", 0, 60)], [(A, "y", 0, 60)], 0, 0, 0),
        ([(A, "x", 0, 60)], [(B, "x", 0, 60)], 0, 0, 0),
        ([(A, "x", 0, 29)], [(A, "x", 0, 60)], 0, 0, 1),  # less than half of it
        ([(A, "x", 0, 31)], [(A, "x", 0, 60)], 1, 0, 1),
        ([(A, "x", 0, 30), (A, "x", 31, 60)], [(A, "x", 0, 60)], 1, 0, 1),  # each once
        ([(A, "x", 0, 60)], [(A, "x", 0, 30), (A, "x", 38, 60)], 1, 0, 0),  # a short absence
        ([(A, "x", 0, 12)], [(A, "x", 0, 12)], 0, 1, 0),  # too short to count
        ([], [(A, "x", 0, 60)], 0, 0, 0),
    ],
)
def test_what_matches(
    said: list[tuple[str, str, int, int]],
    true: list[tuple[str, str, int, int]],
    matched: int,
    neutral: int,
    false_exits: int,
) -> None:
    scores = scored(told(*said), stays(*true))
    assert (scores.matched, scores.neutral, scores.false_exits) == (matched, neutral, false_exits)
    assert scores.told == len(said)


def test_a_crowd_is_scored_and_the_simple_engine_beside_it() -> None:
    ours, peer = presence.on_crowd(little_store(), 12, 120, 1)
    assert ours.scores.true == peer.scores.true > 10
    assert ours.scores.precision > 0.6
    assert ours.scores.recall > 0.5
    assert ours.scores.precision > peer.scores.precision
    assert ours.us_per_sighting > 0


def test_a_device_takes_a_few_kilobytes() -> None:
    assert 500 < presence.bytes_per_device(1, 20, 15, little_store()) < 4_096


@pytest.mark.skipif(sys.platform != "linux", reason="MISSING: BlueZ, which bleak needs, is Linux's")
def test_scanners_die_and_are_healed_and_nobody_is_sent_away(tmp_path: Path) -> None:
    from benches import presence_soak

    file = tmp_path / "soak.json"
    assert presence_soak.main(["--hours", "0.15", "--json", str(file)]) == 0
    keys = json.loads(file.read_text())
    assert keys["deaths"] == 1
    assert 65 <= keys["healed_within_s"] <= 100
    assert keys["ended_by_deaths"] == 0
    assert keys["open_at_the_end"] == keys["beacons_at_the_end"] == 0
    assert keys["visits"] > 20
