"""What the presence engine must do, as plain functions that CPython and MicroPython both run.

Each check takes the vectors of tests/vectors/presence.json, asserts, and returns how many cases it
went through.
"""

import math

from edge_sdk.presence.floor import FloorPlan, Receiver, Zone
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.silence import Silence
from edge_sdk.presence.statistics import Log, summary
from edge_sdk.presence.zone_belief import ZoneBeliefs
from tests.wire.dice import Dice

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.wire.touchpoint import Touchpoint

    Vectors = dict[str, Any]
    Place = tuple[float, float]

# Two rooms side by side, 8 m each, with a radio in every corner of each.
ZONES = ("coffee", "kitchen")
PLACES = {
    "r1": (1.0, 1.0),
    "r2": (7.0, 7.0),
    "r3": (9.0, 1.0),
    "r4": (15.0, 7.0),
    "r5": (1.0, 7.0),
    "r6": (15.0, 1.0),
}


def plan() -> FloorPlan:
    """The two rooms."""
    receivers = tuple([Receiver(name, PLACES[name][0], PLACES[name][1]) for name in sorted(PLACES)])
    zones = (
        Zone("coffee", ((0.0, 0.0), (8.0, 0.0), (8.0, 8.0), (0.0, 8.0))),
        Zone("kitchen", ((8.0, 0.0), (16.0, 0.0), (16.0, 8.0), (8.0, 8.0))),
    )
    return FloorPlan(receivers, zones)


def engine(**settings: "Any") -> Presence:
    """An engine that knows the rooms and the path loss."""
    rooms = plan()
    beliefs = ZoneBeliefs(rooms, PathLoss(rooms, exponent=2.2), doors=((4.0, 0.0),))
    return Presence(beliefs, rooms.receivers, PresenceSettings(**settings))


def heard_at(place: "Place", dice: Dice, loss_pct: int = 30) -> "list[tuple[str, int]]":
    """What the radios hear of one advertisement from a place: (receiver, dBm)."""
    found = []
    for name in sorted(PLACES):
        noise_db = dice.below(5) + dice.below(5) - 5
        if dice.below(100) < loss_pct:
            continue
        x_m, y_m = PLACES[name]
        away_m = max(0.5, math.sqrt((place[0] - x_m) ** 2 + (place[1] - y_m) ** 2 + 0.64))
        found.append((name, round(-62 - 22 * math.log10(away_m)) + noise_db))
    return found


def way(at_ms: int) -> "Place":
    """A minute in the one room, a walk of ten seconds, a minute in the other."""
    if at_ms < 60_000:
        return (3.0, 4.0)
    if at_ms < 70_000:
        return (3.0 + (at_ms - 60_000) / 1000, 4.0)
    return (13.0, 4.0)


def walk(presence: Presence, seed: int) -> "list[Touchpoint]":
    """What is told of a walk, and of the silence after it; another beacon stays."""
    dice = Dice(seed)
    out = []
    for at_ms in range(0, 130_000, 500):
        for name, rssi_dbm in heard_at(way(at_ms), dice):
            out += presence.hear(at_ms, name, "ble:walker", rssi_dbm)
        for name, rssi_dbm in heard_at((5.0, 2.0), dice):
            out += presence.hear(at_ms, name, "ble:tag", rssi_dbm)
    for at_ms in range(130_000, 300_000, 500):
        if at_ms < 170_000:
            for name, rssi_dbm in heard_at((5.0, 2.0), dice):
                out += presence.hear(at_ms, name, "ble:tag", rssi_dbm)
        out += presence.tick(at_ms)
    return out


def rows_of(touchpoints: "list[Touchpoint]") -> "list[list[Any]]":
    """Touchpoints as what JSON can hold."""
    rows = []
    for touchpoint in touchpoints:
        row = [touchpoint.name, touchpoint.at_ms]
        row.extend(touchpoint.values)
        rows.append(row)
    return rows


def check_walk(vectors: "Vectors") -> int:
    """The same readings give the same touchpoints, wherever they are heard."""
    told = rows_of(walk(engine(), 7))
    expected = vectors["walk"]
    for at in range(min(len(told), len(expected))):
        assert told[at] == expected[at], (at, told[at], expected[at])
    assert len(told) == len(expected)
    return len(told)


def check_silence(vectors: "Vectors") -> int:
    """How probable it is that a beacon is gone, step after step, by how it was heard before."""
    cases = 0
    for row in vectors["silence"]:
        silence = Silence()
        for letter in row["heard"]:
            if letter == "+":
                silence.hear(1.0)
            else:
                silence.miss()
        gone = []
        for _ in row["gone_pct"]:
            silence.miss()
            gone.append(round(100 * silence.gone(1.0)))
        assert gone == row["gone_pct"], gone
        cases += len(gone)
    return cases


def check_statistics(vectors: "Vectors") -> int:
    """Median and spread of readings, wild ones left out, and a log that is full."""
    for row in vectors["summaries"]:
        assert list(summary(sorted(row["rssi_dbm"]))) == row["summary"], row
    log = Log(4)
    for number in range(10):
        log.add(number % 2, -60 - number)
    assert log.by_receiver() == [(0, [-62, -60], 5), (1, [-63, -61], 5)]
    return len(vectors["summaries"]) + 1


def check_junk(vectors: "Vectors") -> int:
    """Nothing that is heard raises, and what cannot be is counted."""
    presence = engine(max_beacons=3)
    dice = Dice(3)
    junk: tuple[Any, ...] = (
        None,
        -1,
        1 << 60,
        2.5,
        "",
        "r1",
        "ble:b",
        b"ble:b",
        True,
        127,
        -128,
        42,
        [],
    )
    for _ in range(2_000):
        picked = [junk[dice.below(len(junk))] for _ in range(4)]
        presence.hear(picked[0], picked[1], picked[2], picked[3])
        presence.tick(junk[dice.below(len(junk))])
    assert presence.beacons == 0
    assert presence.open_visits == 0
    assert sum(presence.dropped.values()) > 2_000
    return 4_000


CHECKS = (
    ("a walk", check_walk),
    ("silence", check_silence),
    ("statistics", check_statistics),
    ("junk", check_junk),
)
