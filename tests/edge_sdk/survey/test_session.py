"""A survey keeps what was heard where, at once, and can be taken back and gone on with."""

import json
from pathlib import Path

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import parse_plan
from edge_sdk.survey.covering import Covering, walk
from edge_sdk.survey.notebook import Notebook
from edge_sdk.survey.picture import survey_svg, thin_places
from edge_sdk.survey.session import MAX_BEACONS, Session
from edge_sdk.survey_file import Heard, Surveyed, read_survey
from simulators import floor
from tests.edge_sdk.survey.stores import BEACON, PLAN, Reading, session, store


def record(survey: Session, x_m: float, y_m: float, at_s: float = 0.0) -> None:
    survey.begin(x_m, y_m, at_s)
    for value in (-60, -62, -64):
        survey.hear(Reading("left", BEACON, value), at_s + 1)
    survey.hear(Reading("right", BEACON, -80), at_s + 1)
    assert survey.advance(at_s + 9.9) is None
    assert survey.advance(at_s + 10.0) is not None


def test_a_point_is_in_the_file_when_it_is_over(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    assert (tmp_path / "survey.csv").read_text(encoding="utf-8").splitlines()[1:] == [
        "first,2,3,1.2,left,3,-62.00,2.00,-64,-62,-60",
        "first,2,3,1.2,right,1,-80.00,0.00,-80,-80,-80",
    ]
    (point,) = read_survey(tmp_path / "survey.csv", store().plan)
    assert point.heard["left"] == (-62.0, 2.0, 3)
    assert survey.message == "Point kept: 4 readings of 2 receivers."


def test_a_survey_that_was_killed_goes_on(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    survey.begin(8.0, 3.0, 20.0)
    survey.hear(Reading("left", BEACON, -60), 21.0)
    again = session(tmp_path)  # and the first one is never heard of again
    record(again, 9.0, 3.0)
    assert [(place.x_m, place.y_m) for place in Notebook(again.notebook.path).places] == [
        (2.0, 3.0),
        (9.0, 3.0),
    ]


def test_undo_and_redo_are_in_the_file_too(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    record(survey, 9.0, 3.0)
    survey.undo()
    assert len(Notebook(survey.notebook.path).places) == 1
    assert survey.view(0)["can_redo"] is True
    survey.redo()
    assert len(Notebook(survey.notebook.path).places) == 2
    for _ in range(3):
        survey.undo()
    assert survey.message == "There is no point to take back."
    assert Notebook(survey.notebook.path).places == ()
    record(survey, 2.0, 3.0)
    assert survey.view(0)["can_redo"] is False


def test_a_place_that_is_measured_again_is_measured_anew(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    record(survey, 9.0, 3.0)
    record(survey, 2.0, 3.0)
    assert [place.x_m for place in survey.notebook.places] == [9.0, 2.0]


def test_where_nothing_was_heard_there_is_no_point(tmp_path: Path) -> None:
    survey = session(tmp_path)
    survey.begin(2.0, 3.0, 0.0)
    survey.hear(Reading("left", "uid:another-1", -50), 1.0)
    survey.hear(Reading("elsewhere", BEACON, -50), 1.0)
    survey.hear(Reading("left", BEACON, 42), 1.0)
    survey.hear(Reading("left", BEACON, 127), 1.0)
    assert survey.advance(10.0) is None
    assert survey.recording is None
    assert survey.message.startswith("Nothing was heard of the beacon")
    assert survey.dropped == {"receiver": 1, "beacon": 0, "rssi": 2}
    assert not survey.notebook.path.exists()


def test_a_disk_that_takes_nothing_is_told_and_changes_nothing(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    (tmp_path / "survey.csv.new").mkdir()
    survey.begin(9.0, 3.0, 0.0)
    survey.hear(Reading("left", BEACON, -60), 1.0)
    assert survey.advance(10.0) is None
    assert survey.message.startswith("The point was not kept: ")
    assert len(survey.notebook.places) == 1
    with pytest.raises(ConfigError):
        survey.undo()
    assert len(survey.notebook.places) == 1


def test_the_loudest_beacons_are_offered_and_no_more_are_remembered(tmp_path: Path) -> None:
    survey = session(tmp_path, beacon=None)
    for number in range(MAX_BEACONS * 3):
        survey.hear(Reading("left", f"ble:{number:012x}", -90 + number % 9), number / 1000)
    survey.hear(Reading("right", BEACON, -40), 1.0)
    view = survey.view(1.0)
    assert view["beacons"][0] == {"name": BEACON, "rssi_dbm": -40}
    assert len(survey._beacons) == MAX_BEACONS
    with pytest.raises(ConfigError, match="choose the beacon"):
        survey.begin(1.0, 1.0, 1.0)
    survey.choose(BEACON)
    survey.hear(Reading("right", BEACON, -50), 1.5)
    view = survey.view(2.0)
    assert view["beacons"] == []
    assert [(row["receiver"], row["rssi_dbm"]) for row in view["live"]] == [
        ("left", None),
        ("right", -50),
    ]
    assert survey.view(60.0)["live"][1]["rssi_dbm"] is None


def test_what_the_surveyor_cannot_do_is_refused_in_words(tmp_path: Path) -> None:
    survey = session(tmp_path)
    with pytest.raises(ConfigError, match="not on the plan"):
        survey.begin(90.0, 3.0, 0.0)
    survey.begin(2.0, 3.0, 0.0)
    for refused in (survey.undo, lambda: survey.begin(2, 3, 0), lambda: survey.choose(None)):
        with pytest.raises(ConfigError, match="being recorded"):
            refused()
    survey.cancel()
    assert survey.advance(99.0) is None


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0}, {"seconds": float("nan")}, {"height_m": -1}, {"beacon": "x"}, {"floor": 3}],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Session(store(), Notebook(tmp_path / "s.csv"), **wrong)  # type: ignore[arg-type]


def test_what_is_shown_is_json(tmp_path: Path) -> None:
    survey = session(tmp_path)
    record(survey, 2.0, 3.0)
    survey.begin(9.0, 3.0, 30.0)
    view = json.loads(json.dumps(survey.view(32.0), allow_nan=False))
    assert view["recording"]["left_s"] == 8.0
    assert view["points"] == [{"x_m": 2.0, "y_m": 3.0, "receivers": 2}]
    assert 0 < view["share"] < 1


# Where the next one helps


def test_the_suggested_points_cover_a_store_with_few() -> None:
    plan = floor.store_plan().plan
    points = list(walk(plan, 0, 100))
    assert len(points) < 60
    assert Covering(plan, 0).share(points) >= 0.99
    assert all(plan.zone_at(*point) for point in points)
    assert Covering(plan, 0).next(points) is None
    half = Covering(plan, 0).share(points[:15])
    assert half > Covering(plan, 0).share([(x, 1.0) for x in range(1, 16)])


def test_the_picture_has_a_map_for_each_receiver_and_tells_where_it_is_thin() -> None:
    heard = {"left": Heard(5, -60.0, 2.0), "right": Heard(5, -91.0, 2.0)}
    places = [Surveyed("s", 1.0, 2.0, heard=heard)]
    svg = survey_svg(store(), places)
    for word in ("left", "right", "Where it is thin", "1 surveyed points, 10 readings"):
        assert f">{word}" in svg
    far, deaf = thin_places(store(), places)
    assert 0.6 < far < 0.95
    assert deaf == 1.0  # there are only two receivers
    assert thin_places(store(), []) == (1.0, 0.0)


def test_names_in_a_picture_are_text_only() -> None:
    wild = parse_plan(PLAN.replace('"left"', '"<script>"').replace('"shop"', '"<b>"'))
    svg = survey_svg(wild, [Surveyed("s", 1.0, 2.0, heard={"<script>": Heard(1, -60.0, 0.0)})])
    assert "<script>" not in svg
    assert "<b>" not in svg
