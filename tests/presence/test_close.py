"""Every engine ends what is open when its gateway stops, says how sure that is, and may go on."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.presence.floor import FloorPlan, Receiver, Zone
from edge_sdk.presence.footfall import Aggregate
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.privacy import Consented, Pseudonymous
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.zone_belief import ZoneBeliefs
from edge_sdk.wire.touchpoint import Touchpoint

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

PLAN = FloorPlan(
    (Receiver("west", 2, 3), Receiver("east", 14, 3)),
    (
        Zone("coffee", ((0, 0), (8, 0), (8, 6), (0, 6))),
        Zone("kitchen", ((8, 0), (16, 0), (16, 6), (8, 6))),
    ),
)
TAGS = [f"eid:9f3ac25d7e01b8{number:02x}" for number in range(6)]
HMAC = AesCcm().hmac


def draw() -> bytes:
    return bytes(32)


def nearest() -> NearestReceiver:
    return NearestReceiver({"west": "coffee", "east": "kitchen"})


def presence() -> Presence:
    return Presence(ZoneBeliefs(PLAN, PathLoss(PLAN)), PLAN.receivers)


def aggregate() -> Aggregate:
    return Aggregate(presence, ("coffee", "kitchen"), "door", draw, HMAC)


ENGINES: "dict[str, Callable[[], PresenceEngine]]" = {
    "nearest": nearest,
    "presence": presence,
    "pseudonymous": lambda: Pseudonymous(presence, draw, HMAC),
    "consented": lambda: Consented(presence()),
}


def stay(
    engine: "PresenceEngine", from_ms: int, until_ms: int, tags: Iterable[str] = tuple(TAGS)
) -> list[Touchpoint]:
    """All stand in the west, heard twice a second by both."""
    out = []
    for at_ms in range(from_ms, until_ms, 500):
        for tag in tags:
            out += engine.hear(at_ms, "west", tag, -58)
            out += engine.hear(at_ms, "east", tag, -84)
        out += engine.tick(at_ms)
    return out


def visits(told: Iterable[Touchpoint], name: str) -> dict[int, Touchpoint]:
    return {t.get("visit"): t for t in told if t.name == f"visit.{name}"}


@pytest.mark.parametrize("name", ENGINES)
def test_every_visit_that_is_open_ends(name: str) -> None:
    engine = ENGINES[name]()
    entered = visits(stay(engine, 0, 60_000), "enter")
    told = engine.close(60_200)
    ended = visits(told, "exit")
    assert entered.keys() == ended.keys()
    assert len(ended) == len(TAGS)
    for visit, leave in ended.items():
        assert leave.get("visitor") == entered[visit].get("visitor")
        assert leave.get("zone") == "coffee"
        assert leave.at_ms == 60_200
        assert 40_000 < leave.get("dwell_ms") <= 60_200
        # They stand there, as clearly as can be: that they have left is improbable.
        assert leave.get("probability_pct") <= 30
    assert engine.close(60_300) == []


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_over_anyway_is_told_as_surer(name: str) -> None:
    heard, silent = ENGINES[name](), ENGINES[name]()
    stay(heard, 0, 60_000)
    stay(silent, 0, 60_000)
    later = stay(silent, 60_000, 67_000, TAGS[:1])  # one of them shows that the radios live
    now = visits(heard.close(60_100), "exit")
    then = {**visits(later, "exit"), **visits(silent.close(67_000), "exit")}
    assert now.keys() == then.keys()
    if name != "nearest":  # which cannot tell a good moment from a bad one
        surer = [v for v in now if then[v].get("probability_pct") > now[v].get("probability_pct")]
        assert len(surer) >= len(TAGS) - 1


@pytest.mark.parametrize("name", ENGINES)
def test_it_may_hear_again_and_numbers_go_on(name: str) -> None:
    engine = ENGINES[name]()
    first = visits(stay(engine, 0, 30_000), "enter")
    engine.close(30_000)
    second = visits(stay(engine, 40_000, 80_000), "enter")
    assert len(second) == len(TAGS)
    assert not first.keys() & second.keys()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("at_ms", [-1, 2**53])
def test_a_time_that_is_none_ends_them_all_the_same(name: str, at_ms: int) -> None:
    engine = ENGINES[name]()
    stay(engine, 0, 30_000)
    assert len(visits(engine.close(at_ms), "exit")) == len(TAGS)


def test_the_readings_of_an_open_window_are_summed_up() -> None:
    for make in (nearest, presence):
        engine = make()
        sightings = [t for t in stay(engine, 0, 7_000) if t.name == "sighting"]
        sightings += [t for t in engine.close(7_000) if t.name == "sighting"]
        assert sum(t.get("readings") for t in sightings) == 14 * 2 * len(TAGS)


def test_an_early_end_of_a_window_counts_groups_only() -> None:
    engine = aggregate()
    assert stay(engine, 5_000, 60_000) == []
    coffee, kitchen = engine.close(60_000)
    assert (coffee.get("zone"), coffee.get("window_ms")) == ("coffee", 55_000)
    assert (coffee.get("entered"), coffee.get("left"), coffee.get("present")) == (6, None, 6)
    assert (kitchen.get("entered"), kitchen.get("present")) == (None, None)
    assert engine.close(60_500) == []
    few = aggregate()
    stay(few, 5_000, 60_000, TAGS[:4])
    assert few.close(60_000)[0].get("present") is None


def test_who_is_counted_beside_is_counted_at_the_end() -> None:
    engine = Consented(presence(), beside=aggregate())
    stay(engine, 5_000, 60_000)
    phones = [f"ble:c0ffee0000{number:02x}" for number in range(6)]
    stay(engine, 60_000, 90_000, phones)
    names = [t.name for t in engine.close(90_000)]
    assert names.count("count") == 2
