"""The radio map of a survey, the walkers over it, and the command that measures them."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from edge_sdk.errors import ConfigError  # noqa: E402  what needs numpy comes after it
from edge_sdk.presence.evaluate import __main__ as command  # noqa: E402
from edge_sdk.presence.evaluate import recording  # noqa: E402
from edge_sdk.presence.floor import FloorPlan, Receiver, SurveyPoint, Zone  # noqa: E402
from edge_sdk.presence.presence import Presence  # noqa: E402
from edge_sdk.presence.survey_map import SurveyMap  # noqa: E402
from edge_sdk.presence.walkers import WalkerBeliefs  # noqa: E402

DATA = Path(__file__).parents[2] / "simulators" / "data" / "ble_tracks"
ROOM = Zone("room", ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)))
PLAN = FloorPlan(
    tuple(Receiver(f"r{x}{y}", float(x), float(y)) for x in (0, 10) for y in (0, 10)),
    (
        Zone("west", ((0.0, 0.0), (5.0, 0.0), (5.0, 10.0), (0.0, 10.0))),
        Zone("east", ((5.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 10.0))),
    ),
)


def level(receiver: str, x_m: float, y_m: float, power_dbm: float = -59.0) -> float:
    at = PLAN.receivers[receiver]
    return power_dbm - 25 * math.log10(max(0.5, math.dist((x_m, y_m), (at.x_m, at.y_m))))


def survey(power_dbm: float = -59.0, step: int = 2) -> list[SurveyPoint]:
    return [
        SurveyPoint(
            x, y, {name: (level(name, x, y, power_dbm), 3.0, 50) for name in PLAN.receivers}
        )
        for x in np.arange(1.0, 10.0, step).tolist()
        for y in np.arange(1.0, 10.0, step).tolist()
    ]


def stand(beliefs: WalkerBeliefs, x_m: float, y_m: float, steps: int = 40) -> list[float]:
    """Where somebody is found who stands still, and what is believed of the zones."""
    rng = np.random.default_rng(7)
    belief = beliefs.fresh(0)
    for step in range(1, steps + 1):
        noise = rng.normal(0, 4, len(PLAN.receivers))
        heard = [
            (name, level(name, x_m, y_m) + float(off), 1)
            for name, off in zip(sorted(PLAN.receivers), noise, strict=True)
        ]
        belief.step(step * 500, heard)
    return [*belief.position(), *belief.zones()]


def test_a_survey_moves_the_map_to_what_was_heard() -> None:
    bare, surveyed = SurveyMap(PLAN, []), SurveyMap(PLAN, survey(-70.0))
    away = [(3.0, 4.0), (8.0, 2.0)]
    for x_m, y_m in away:
        true_dbm = level("r00", x_m, y_m, -70.0)
        assert abs(surveyed.expect("r00", x_m, y_m)[0] - true_dbm) < 2.5
        assert abs(bare.expect("r00", x_m, y_m)[0] - true_dbm) > 6
        assert surveyed.expect("r00", x_m, y_m)[1] < bare.expect("r00", x_m, y_m)[1]
    with pytest.raises(KeyError):
        surveyed.expect("elsewhere", 0, 0)


def test_a_receiver_that_heard_nothing_is_far() -> None:
    deaf = [SurveyPoint(p.x_m, p.y_m, {"r00": p.heard["r00"]}) for p in survey()]
    assert SurveyMap(PLAN, deaf).expect("r1010", 5, 5)[0] < -88


def test_who_stands_is_found_with_an_honest_spread() -> None:
    beliefs = WalkerBeliefs(PLAN, SurveyMap(PLAN, survey()), particles=500, strength_sd_db=0.0)
    for x_m, y_m, zone in ((2.0, 7.0, 0), (8.0, 3.0, 1)):
        x, y, var_x, var_y, cov, *zones = stand(beliefs, x_m, y_m)
        assert math.dist((x, y), (x_m, y_m)) < 1.5
        assert 0.01 < var_x < 4
        assert 0.01 < var_y < 4
        assert cov**2 <= var_x * var_y * 1.000001
        assert zones[zone] > 0.9
        assert sum(zones) == pytest.approx(1)
    assert beliefs.zones == ("west", "east", "")


def test_a_store_of_which_nothing_is_heard_is_anywhere() -> None:
    beliefs = WalkerBeliefs(PLAN, SurveyMap(PLAN, []), particles=500)
    belief = beliefs.fresh(0)
    belief.step(60_000, [])
    belief.step(90_000, [("elsewhere", -60.0, 1)])
    _, _, var_x, var_y, _ = belief.position()
    assert min(var_x, var_y) > 4


def test_the_same_readings_give_the_same_positions() -> None:
    radio = SurveyMap(PLAN, survey())
    beliefs = WalkerBeliefs(PLAN, radio, particles=200)
    assert stand(beliefs, 3, 3, 10) == stand(beliefs.anew(), 3, 3, 10)


def test_a_receiver_that_lies_moves_nobody_far() -> None:
    beliefs = WalkerBeliefs(PLAN, SurveyMap(PLAN, survey()), particles=800, strength_sd_db=0.0)
    belief = beliefs.fresh(0)
    for step in range(1, 41):
        heard = [(name, level(name, 2, 2), 1) for name in sorted(PLAN.receivers)]
        heard[3] = ("r1010", heard[3][1] + 15, 1)  # as if she stood near it
        belief.step(step * 500, heard)
    x, y, *_ = belief.position()
    assert math.dist((x, y), (2, 2)) < 6  # and she is not beside it


def test_positions_come_out_of_the_engine() -> None:
    beliefs = WalkerBeliefs(PLAN, SurveyMap(PLAN, survey()), particles=300)
    engine = Presence(beliefs, PLAN.receivers)
    out = []
    for at_ms in range(0, 20_000, 250):
        for name in sorted(PLAN.receivers):
            out += engine.hear(at_ms, name, "tag:1", round(level(name, 2, 7)))
    places = [one for one in out if one.name == "position"]
    assert len(places) >= 5
    assert math.dist((places[-1].get("x_cm"), places[-1].get("y_cm")), (200, 700)) < 200
    assert [one.get("zone") for one in out if one.name == "visit.enter"] == ["west"]


def test_a_floor_without_receivers_is_refused() -> None:
    with pytest.raises(ValueError, match="floor 3"):
        WalkerBeliefs(PLAN, SurveyMap(PLAN, []), floor=3)


def test_few_points_are_spread_out() -> None:
    points = survey()
    few = recording.spread_out(points, 4)
    assert len(few) == 4
    gaps = [math.dist((a.x_m, a.y_m), (b.x_m, b.y_m)) for a in few for b in few if a is not b]
    assert min(gaps) >= 4
    assert recording.spread_out(points, 999) == points
    assert recording.spread_out(points, 0) == []


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Ten seconds of one walk, in the published format."""
    folder = tmp_path / "short"
    (folder / "tracks").mkdir(parents=True)
    for name in ("sensors.csv", "calibration.csv"):
        shutil.copy(DATA / name, folder)
    lines = (DATA / "tracks" / "straight_01.csv").read_text().splitlines()
    (folder / "tracks" / "one.csv").write_text("\n".join(lines[:240]))
    return folder


def test_the_command_prints_and_writes_its_figures(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    assert command.main(["--data", str(short), "--json", str(found), "--points", "30"]) == 0
    report = json.loads(found.read_text())
    keys = {
        "mean_error_m", "median_error_m", "p90_error_m", "interval80_coverage", "zone_accuracy",
        "zone_accuracy_inside", "zone_change_ratio", "plain_mean_error_m",
    }  # fmt: skip
    assert keys <= report.keys()
    assert report["tracks"].keys() == {"one"}
    assert report["tracks"]["one"].keys() == keys
    assert report["mean_error_m"] < 6
    assert report["points"] == 30
    assert "mean" in capsys.readouterr().out


def test_it_never_looks_ahead(short: Path) -> None:
    """What is told of the first half is the same without the second."""
    from edge_sdk.presence.evaluate import scores

    place = recording.load(short)
    (track,) = place.tracks
    half = track.lasts_ms / 2
    first = recording.Track(
        "half",
        tuple(h for h in track.heard if h.at_ms < half),
        tuple(t for t in track.truth if t[0] < half),
        0,
    )
    store = scores.Store.of(place, place.survey)
    whole, part = store.score(track), store.score(first)
    count = len(part.errors_m) - 1
    assert count > 5
    assert whole.errors_m[:count] == part.errors_m[:count]


def test_bad_files_are_named(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--data", str(short / "nowhere")]) == 1
    assert "sensors.csv" in capsys.readouterr().err
    path = short / "tracks" / "one.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[5][3] = "nan"
    path.write_text("\n".join(",".join(row) for row in rows))
    assert recording.load(short).tracks[0].unreadable == 1
    path.write_text("unix_s,sensor,rssi_dbm,x_m,y_m\nsoon,here,loud,1,2\n")
    with pytest.raises(ConfigError, match=r"one\.csv"):
        recording.load(short)
