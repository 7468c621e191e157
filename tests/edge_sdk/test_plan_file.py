"""store.toml: what it says is read, and every fault says where it is and what to do."""

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.cli import main
from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan, parse_plan, plan_text, read_plan, write_plan
from edge_sdk.plan_picture import plan_svg
from edge_sdk.presence.polygons import area_m2, zones_of_receivers
from edge_sdk.survey_file import Heard, Surveyed, write_places
from simulators import floor, tracks

EXAMPLE = Path(__file__).parents[2] / "examples" / "store.toml"

SHOP = """
name = "shop"
metres_per_unit = 0.02
privacy = "aggregate"
survey = "survey.csv"
[floors]
0 = "ground"
1 = "gallery"
[[receivers]]
name = "door"
x = 100
y = 50
z_m = 2.5
adapter = "hci0"
[[receivers]]
name = "stairs"
x = 300
y = 50
floor = 1
[[zones]]
name = "entrance"
corners = [[0, 0], [200, 0], [200, 200], [0, 200], [0, 0]]
[[zones]]
name = "gallery"
floor = 1
corners = [[200, 0], [400, 0], [400, 200], [200, 200]]
[[kiosks]]
name = "k1"
x = 150
y = 150
"""


def rows(store: StorePlan) -> object:
    plan = store.plan
    return (
        [(r.name, r.x_m, r.y_m, r.z_m, r.floor) for r in plan.receivers.values()],
        [(z.name, z.corners, z.floor) for z in plan.zones],
        [(k.name, k.x_m, k.y_m, k.zone, k.floor) for k in plan.kiosks],
        (plan.name, store.y_axis, store.privacy, store.survey, dict(store.floors)),
        dict(store.adapters),
    )


def test_pixels_become_metres_and_all_is_there() -> None:
    store = parse_plan(SHOP, folder=Path("shops"))
    assert rows(store) == (
        [("door", 2.0, 1.0, 2.5, 0), ("stairs", 6.0, 1.0, 2.0, 1)],
        [
            ("entrance", ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)), 0),
            ("gallery", ((4.0, 0.0), (8.0, 0.0), (8.0, 4.0), (4.0, 4.0)), 1),
        ],
        [("k1", 3.0, 3.0, "entrance", 0)],
        ("shop", "down", "aggregate", Path("shops/survey.csv"), {0: "ground", 1: "gallery"}),
        {"door": "hci0"},
    )
    assert store.warnings == ()


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    store = parse_plan(SHOP)
    path = tmp_path / "store.toml"
    write_plan(path, store)
    assert rows(parse_plan(path.read_text(encoding="utf-8"))) == rows(store)
    assert [file.name for file in tmp_path.iterdir()] == ["store.toml"]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=64))
def test_a_name_of_any_printable_characters_survives_the_file(name: str) -> None:
    if name.isprintable():
        zone = '{ name = "z", corners = [[0, 0], [9, 0], [0, 9]] }'
        store = parse_plan(f'receivers = [{{ name = "r", x = 0, y = 0 }}]\nzones = [{zone}]')
        (receiver,) = store.plan.receivers.values()
        receiver.name = name
        assert list(parse_plan(plan_text(store)).plan.receivers) == [name]


@pytest.mark.parametrize(
    ("there", "instead", "says"),
    [
        ("x = 100\n", "", "receivers[1] 'door': x is missing"),
        ("x = 100\n", "x = nan\n", "receivers[1] 'door'.x: is not a number"),
        ("x = 100\n", "x = -inf\n", "receivers[1] 'door'.x: is not a number"),
        ("x = 100\n", "x = true\n", "receivers[1] 'door'.x: is not a number"),
        ("x = 100\n", f"x = {10**400}\n", "receivers[1] 'door'.x: is not a number"),
        ("x = 100\n", "x = 1e9\n", "more than 10,000 m from the origin; check metres_per_unit"),
        ("x = 100\n", "x = 200000\n", "makes the store 4,000 m by"),
        ("z_m = 2.5", "z_m = 250", "receivers[1] 'door'.z_m: is its height"),
        ("z_m = 2.5", "hieght = 2.5\n", "'door'.hieght: is no key that we know; there are name"),
        ("z_m = 2.5", "adaptor = 'hci1'", "did you mean 'adapter'?"),
        ('name = "stairs"', 'name = "door"', "receivers[2] 'door': the name is taken"),
        ('name = "stairs"', 'name = ""', "receivers[2].name: is a text in quotes, not empty"),
        ('name = "stairs"', 'name = "a\\u0007"', ".name: is 64 printable characters at most"),
        ('name = "stairs"', "name = 7", "receivers[2].name: is a text in quotes"),
        ('name = "gallery"', 'name = "entrance"', "zones[2] 'entrance': the name is taken"),
        ("floor = 1\ncorners", "floor = 1.5\ncorners", "'gallery'.floor: is a whole number"),
        ("floor = 1\ncorners", "floor = 2\ncorners", "'gallery'.floor: [floors] has no 2"),
        ('0 = "ground"', 'ground = "ground"', "floors.ground: a floor's key is its number"),
        ("[[200, 0], [400, 0], ", "[[200, 0], ", None),
        ("[[200, 0], [400, 0], [400, 200], ", "[[200, 0], ", "3 corners at least, this one has 2"),
        ("[[200, 0], [400, 0], [400", "[[400, 0], [200, 0], [400", "it crosses itself: the edge"),
        ("[400, 0], [400, 200], [200, 200]]", "[400, 0], [300, 0]]", "it crosses itself"),
        ("[400, 0], [400, 200]", "[400, 0], [400, 0]", "corner 3 is the same place as the one"),
        ("[400, 0], [400, 200]", "[400, 0], [400]", "'gallery'.corners: corner 3 is not [x, y]"),
        ("[400, 0], [400, 200]", "[400, 0], [400, nan]", "corner 3.y: is not a number"),
        ("[[200, 0], [400, 0], [400, 200], [200, 200]]", "7", "is a list of corners, as"),
        ("metres_per_unit = 0.02", "metres_per_unit = 0.0001", "is metres_per_unit = 0.0001 right"),
        ("metres_per_unit = 0.02", "metres_per_unit = 0", "metres_per_unit: is how many metres"),
        ("metres_per_unit = 0.02", 'metres_per_unit = "2"', "metres_per_unit: is not a number"),
        ('privacy = "aggregate"', 'privacy = "agregate"', "did you mean 'aggregate'?"),
        ("x = 150\ny = 150", "x = 350\ny = 150", "kiosks[1] 'k1': stands in no zone"),
        ("y = 150", 'y = 150\nzone = "entrnce"', "no zone 'entrnce'; did you mean 'entrance'?"),
        ("y = 150", "y = 150\nzone = 'gallery'", "it stands in 'entrance', not in 'gallery'"),
        ("y = 150", "y = 350\nzone = 'entrance'", "it stands in no zone, not in 'entrance'"),
        ("[[kiosks]]", "[kiosks]", "kiosks: are tables: write [[kiosks]] before each"),
        ('name = "shop"', "name = shop", "is not TOML"),
    ],
)
def test_a_fault_says_where_and_what_to_do(there: str, instead: str, says: str | None) -> None:
    assert SHOP.count(there) == 1
    text = SHOP.replace(there, instead)
    if says is None:  # a triangle is a polygon
        parse_plan(text)
        return
    with pytest.raises(ConfigError) as raised:
        parse_plan(text, "shop/store.toml")
    assert says in str(raised.value)
    assert all(line.startswith("shop/store.toml: ") for line in str(raised.value).splitlines())


def test_all_faults_are_told_at_once() -> None:
    text = SHOP.replace("x = 100", "x = nan").replace("aggregate", "none").replace("150", "nan")
    with pytest.raises(ConfigError) as raised:
        parse_plan(text)
    assert len(str(raised.value).splitlines()) == 4


@pytest.mark.parametrize("missing", ["receivers", "zones"])
def test_a_store_has_receivers_and_zones(missing: str) -> None:
    receiver, zone = '{ name = "r", x = 0, y = 0 }', '{ name = "z", corners = [[0,0],[9,0],[0,9]] }'
    tables = {"receivers": receiver, "zones": zone}
    del tables[missing]
    with pytest.raises(ConfigError, match=f"{missing}: are missing"):
        parse_plan("\n".join(f"{kind} = [{row}]" for kind, row in tables.items()))


def zones_of(*corners: str) -> StorePlan:
    zones = ", ".join(f'{{ name = "z{at}", corners = {text} }}' for at, text in enumerate(corners))
    return parse_plan(f'receivers = [{{ name = "r", x = 1, y = 1 }}]\nzones = [{zones}]')


WHOLE, HALF = "[[0, 0], [10, 0], [10, 10], [0, 10]]", "[[5, 0], [10, 0], [10, 10], [5, 10]]"


def test_zones_may_overlap_and_the_first_has_the_place() -> None:
    store = zones_of(HALF, WHOLE)
    (doubt,) = store.warnings
    assert doubt.startswith("zone 'z1': 50 % of it belongs to zones listed before it ('z0')")
    assert store.plan.zone_at(7, 5) == "z0"
    assert store.plan.zone_at(3, 5) == "z1"


def test_a_zone_that_is_wholly_hidden_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="'z1': lies wholly within zones that are listed before"):
        zones_of(WHOLE, HALF)


def test_doubtful_stores_are_read_with_a_warning() -> None:
    far = zones_of(WHOLE, "[[90, 0], [99, 0], [99, 9]]", "[[20, 0], [21, 0], [21, 1]]")
    assert [doubt.split(":")[0] for doubt in far.warnings] == [
        "zone 'z1'",
        "zone 'z2'",
        "zone 'z2'",
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_plan_or_a_config_error(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_plan(data.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no such file"),
        (b"\xff\xfe", "is not UTF-8"),
        (b" " * 2_000_000, "no store"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "store.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_plan(path)


def test_a_file_of_another_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SHOP.replace("\n", "\r\n").encode())
    assert read_plan(path).plan.name == "shop"


def test_the_example_is_the_simulated_store() -> None:
    example, made = read_plan(EXAMPLE), floor.store_plan()
    assert rows(example)[:3] == rows(made)[:3]  # type: ignore[index]
    assert example.warnings == made.warnings == ()
    assert zones_of_receivers(made.plan) == {r.name: r.zone for r in tracks.receivers()}


def test_the_simulated_zones_are_what_is_nearest_to_each_group() -> None:
    plan, centroids = floor.store_plan().plan, floor.zone_centroids()
    covered = sum(area_m2(zone.corners) for zone in plan.zones)
    assert covered == pytest.approx(floor.WIDTH_M * floor.DEPTH_M, rel=1e-3)
    for x in range(1, 206, 3):
        for y in range(1, 176, 3):
            place = (x / 10, y / 10)
            near = sorted((math.dist(place, middle), zone) for zone, middle in centroids.items())
            if near[1][0] - near[0][0] > 0.05:
                assert plan.zone_at(*place) == near[0][1]


def test_check_prints_what_was_understood_and_draws_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.toml"
    path.write_text(SHOP, encoding="utf-8")
    assert main(["plan", "check", str(path), "--svg", str(tmp_path / "shop.svg")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed if line.startswith(("door", "entrance"))] == [
        ["door", "/0", "2.00", "1.00", "2.50", "entrance", "hci0"],
        ["entrance", "/0", "16.0", "4", "1", "k1"],
    ]
    assert sorted(file.name for file in tmp_path.glob("*.svg")) == ["shop-0.svg", "shop-1.svg"]


def test_check_tells_of_the_survey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, survey = tmp_path / "store.toml", tmp_path / "survey.csv"
    path.write_text(SHOP, encoding="utf-8")
    assert main(["plan", "check", str(path)]) == 0
    assert "survey.csv (not there yet)" in capsys.readouterr().out
    write_places(survey, [Surveyed("s", 1.0, 1.0, heard={"window": Heard(1, -60.0, 0.0)})])
    assert main(["plan", "check", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "survey.csv, 1 points" in printed
    assert "doubt      receiver 'window': is in the survey, not in the plan" in printed
    survey.write_text("nothing", encoding="utf-8")
    assert main(["plan", "check", str(path)]) == 1
    assert "survey.csv: its first line does not name" in capsys.readouterr().err


def test_check_of_a_faulty_plan_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "store.toml"
    path.write_text(SHOP.replace("150", "1500"), encoding="utf-8")
    assert main(["plan", "check", str(path)]) == 1
    assert "kiosks[1] 'k1': stands in no zone" in capsys.readouterr().err


def test_a_picture_holds_names_as_text_only() -> None:
    store = parse_plan(SHOP.replace('"k1"', '"<script>&"'))
    svg = plan_svg(store)
    assert "<script>" not in svg
    assert "&lt;script&gt;&amp;" in svg
