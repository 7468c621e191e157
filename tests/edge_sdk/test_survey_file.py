"""The calibration file: the published format is read and written, and faults say their line."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.presence.floor import FloorPlan, Receiver
from edge_sdk.survey_file import (
    Heard,
    Surveyed,
    read_places,
    read_survey,
    strangers,
    survey_text,
    write_places,
)

# The first rows of the data set that gave the format (Danis et al., CC0; simulators/data).
PUBLISHED = """\
set,x_m,y_m,z_m,sensor,readings,mean_dbm,sd_db,p10_dbm,p50_dbm,p90_dbm
set_1,0.16,2.19,1.85,sensor10,3408,-70.19,2.88,-74,-69,-67
set_1,0.16,2.19,1.85,sensor11,3524,-76.66,5.12,-83,-76,-71
set_1,0.16,4.2,1.85,sensor10,3589,-68.53,3.63,-73,-69,-64
"""
PLAN = FloorPlan((Receiver("sensor10", 7, 7), Receiver("sensor11", 7, 1)), ())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "survey.csv"
    path.write_text(PUBLISHED, encoding="utf-8")
    return path


def test_the_published_format_is_read(file: Path) -> None:
    first, second = read_survey(file, PLAN)
    assert (first.x_m, first.y_m, first.floor) == (0.16, 2.19, 0)
    assert first.heard == {"sensor10": (-70.19, 2.88, 3408), "sensor11": (-76.66, 5.12, 3524)}
    assert second.heard == {"sensor10": (-68.53, 3.63, 3589)}


def test_what_is_read_is_written_the_same(file: Path) -> None:
    places = read_places(file)
    write_places(file, places)
    assert file.read_text(encoding="utf-8") == PUBLISHED
    assert [path.name for path in file.parent.iterdir()] == ["survey.csv"]


def test_percentiles_and_heights_and_sets_may_be_missing(file: Path) -> None:
    file.write_text(
        "sensor,y_m,x_m,sd_db,mean_dbm,readings\nsensor10,2,1,3,-70,9\n", encoding="utf-8"
    )
    (place,) = read_places(file)
    assert (place.x_m, place.y_m, place.heard["sensor10"].percentiles_dbm) == (1, 2, None)
    assert read_places(file) == [place]
    (point,) = read_survey(file, PLAN)
    assert point.heard == {"sensor10": (-70, 3, 9)}


def test_receivers_that_the_plan_lost_are_passed_over_and_can_be_told(file: Path) -> None:
    plan = FloorPlan((Receiver("sensor11", 7, 1),), ())
    (point,) = read_survey(file, plan)
    assert list(point.heard) == ["sensor11"]
    assert strangers(read_places(file), plan) == ["sensor10"]
    with pytest.raises(ConfigError, match="none of its receivers"):
        read_survey(file, FloorPlan((Receiver("door", 7, 1),), ()))


def test_a_row_without_readings_says_nothing(file: Path) -> None:
    file.write_text(PUBLISHED + "set_1,9,9,1,sensor10,0,,,,,\n\n", encoding="utf-8")
    assert len(read_survey(file, PLAN)) == 2


@pytest.mark.parametrize(
    ("there", "instead", "says"),
    [
        ("x_m", "x", "does not name x_m; it is set,x_m"),
        ("0.16,4.2", "nan,4.2", "line 4: x_m is not a number of -10000 to 10000"),
        ("0.16,4.2", ",4.2", "line 4: x_m is not a number"),
        ("-76.66", "+42", "line 3: mean_dbm is not a number of -127 to 20"),
        ("5.12", "-1", "line 3: sd_db is not a number of 0 to 60"),
        ("3524", "many", "line 3: readings is not a number"),
        ("sensor11,", ",", "line 3: sensor is missing"),
        ("sensor11", "sensor10", "line 3: 'sensor10' is there twice for this place"),
        (",", ";", "does not name"),
    ],
)
def test_a_fault_says_its_line(file: Path, there: str, instead: str, says: str) -> None:
    file.write_text(PUBLISHED.replace(there, instead), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_survey(file, PLAN)
    assert says in str(raised.value)
    assert str(file) in str(raised.value)


def test_a_survey_of_several_floors_says_so(tmp_path: Path) -> None:
    places = [Surveyed("s", 1, 2, 1.2, floor, {"r": Heard(1, -60, 0)}) for floor in (0, 1)]
    path = tmp_path / "survey.csv"
    write_places(path, places)
    assert path.read_text(encoding="utf-8").splitlines()[0].endswith(",p90_dbm,floor")
    assert read_places(path) == places


@given(st.lists(st.integers(-127, 20), min_size=1, max_size=40))
def test_figures_of_readings(rssi_dbm: list[int]) -> None:
    heard = Heard.of(rssi_dbm)
    assert heard.readings == len(rssi_dbm)
    assert min(rssi_dbm) <= heard.mean_dbm <= max(rssi_dbm)
    assert heard.percentiles_dbm is not None
    p10, p50, p90 = heard.percentiles_dbm
    assert p10 <= p50 <= p90
    assert sum(1 for value in rssi_dbm if value <= p50) >= len(rssi_dbm) / 2
    assert survey_text([Surveyed("s", 1, 2, heard={"r": heard})]).count("\n") == 2


@given(st.binary(max_size=300))
def test_any_bytes_are_a_survey_or_a_config_error(data: bytes) -> None:
    with TemporaryDirectory() as folder, suppress(ConfigError):
        path = Path(folder) / "survey.csv"
        path.write_bytes(b"x_m,y_m,sensor,readings,mean_dbm,sd_db\n" + data)
        read_places(path)
