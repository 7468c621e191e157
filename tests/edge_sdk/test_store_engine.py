"""From a plan to an engine: the radio map, beliefs and privacy mode that the plan asks for."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan, parse_plan
from edge_sdk.plan_presence import PresencePlan
from edge_sdk.store_engine import store_engine
from edge_sdk.survey_file import Heard, Surveyed, write_places
from edge_sdk.wire.touchpoint import Touchpoint
from simulators import tracks
from simulators.floor import store_plan

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

TAG = "eid:9f3ac25d7e01b846"


def plan(privacy: str | None = "consented", **presence: object) -> StorePlan:
    return replace(store_plan(), privacy=privacy, presence=PresencePlan(**presence))  # type: ignore[arg-type]


def surveyed(folder: Path) -> Path:
    """A survey of four places, as the path loss would have it."""
    places = [
        Surveyed(
            f"p{x}",
            x,
            8,
            heard={
                r.name: Heard(20, -59.0 - 25 * (0.2 + abs(r.x_m - x) / 20), 4.0)
                for r in tracks.receivers()
            },
        )
        for x in (2.0, 7.0, 12.0, 18.0)
    ]
    write_places(folder / "survey.csv", places)
    return folder / "survey.csv"


def walked(engine: "PresenceEngine", beacons: tuple[str, ...] = (TAG,)) -> list[Touchpoint]:
    """A recorded walk, heard of each beacon, and the end."""
    track = tracks.load(tracks.TRACKS[0])
    out = []
    for heard in track.heard:
        for beacon in beacons:
            out += engine.hear(heard.at_ms, heard.receiver, beacon, heard.rssi_dbm)
    return out + engine.close(track.lasts_ms)


def names(told: list[Touchpoint]) -> set[str]:
    return {touchpoint.name for touchpoint in told}


def test_a_plan_alone_gives_visits_by_path_loss(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = walked(store_engine(plan(), "gateway-1"))
    assert names(told) >= {"sighting", "visit.enter", "visit.exit"}
    assert "position" not in names(told)
    zones = {zone.name for zone in store_plan().plan.zones}
    assert {t.get("zone") for t in told if t.name == "visit.enter"} <= zones
    assert caplog.text.count("presence: zones, by path loss (no survey)") == 1


@pytest.mark.parametrize("positions", [False, True])
def test_a_survey_and_positions_take_what_numpy_can(
    positions: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = replace(plan(positions=positions), survey=surveyed(tmp_path))
    told = walked(store_engine(store, "gateway-1"))
    assert ("position" in names(told)) is positions
    assert "visit.enter" in names(told)
    assert "by a survey of 4 points" in caplog.text


@pytest.mark.parametrize("positions", [False, True])
def test_without_numpy_it_goes_on_and_says_what_to_install(
    positions: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("survey_map", "walkers"):
        monkeypatch.delitem(sys.modules, f"edge_sdk.presence.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    store = replace(plan(positions=positions), survey=surveyed(tmp_path))
    assert "visit.enter" in names(walked(store_engine(store, "gateway-1")))
    assert caplog.text.count("pip install 'edge-sdk[positioning]'") == 1


def test_a_survey_that_is_still_to_be_made_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_engine(replace(plan(), survey=tmp_path / "survey.csv"), "gateway-1")
    assert "survey.csv is not there yet" in caplog.text


def test_a_survey_of_another_store_is_refused(tmp_path: Path) -> None:
    write_places(tmp_path / "s.csv", [Surveyed("p", 1, 1, heard={"far": Heard(9, -60.0, 3.0)})])
    with pytest.raises(ConfigError, match="another store's"):
        store_engine(replace(plan(), survey=tmp_path / "s.csv"), "gateway-1")


def test_a_gateway_without_a_mode_hears_nobody() -> None:
    with pytest.raises(ConfigError, match="privacy"):
        store_engine(plan(None), "gateway-1")


def test_positions_on_two_floors_are_refused() -> None:
    text = """
    positions = true
    privacy = "consented"
    receivers = [{ name = "a", x = 1, y = 1 }, { name = "b", x = 1, y = 1, floor = 1 }]
    zones = [
      { name = "z", corners = [[0, 0], [9, 0], [9, 9], [0, 9]] },
      { name = "y", floor = 1, corners = [[0, 0], [9, 0], [9, 9], [0, 9]] },
    ]
    """
    with pytest.raises(ConfigError, match="one floor"):
        store_engine(parse_plan(text), "gateway-1")
    store_engine(replace(parse_plan(text), presence=PresencePlan()), "gateway-1")


def test_the_mode_and_its_numbers_are_the_plans() -> None:
    phones = tuple(f"ble:c0ffee0000{number:02x}" for number in range(3))
    few = walked(store_engine(plan("aggregate", least=2), "door"), phones)
    none = walked(store_engine(plan("aggregate"), "door"), phones)
    assert names(few) == names(none) == {"count"}
    assert {t.get("counter") for t in few} == {"door"}
    assert any(t.get("entered") == 3 for t in few)
    assert all(t.get("entered") is None for t in none)
    known = walked(store_engine(plan("pseudonymous-24h"), "door"), phones)
    assert names(known) == {"visit.enter", "visit.dwell", "visit.exit"}
    assert all(t.get("visitor").startswith("p24:") for t in known)
    both = store_engine(plan("consented", count_others=True, least=2), "door")
    told = walked(both, (*phones, TAG))
    assert {t.get("visitor") for t in told if t.name == "visit.enter"} == {TAG}
    assert any(t.get("entered") == 3 for t in told if t.name == "count")
    tag = "ibeacon:f7826da64fa24e988024bc5b71e0893e"
    ours = walked(store_engine(plan(ours=(tag,)), "door"), (f"{tag}-1-7", TAG))
    assert {t.get("visitor") for t in ours if t.name == "visit.enter"} == {f"{tag}-1-7"}


def test_settings_are_the_plans() -> None:
    patient = plan(settings={"min_dwell_ms": 3_600_000})
    assert "visit.enter" not in names(walked(store_engine(patient, "door")))
