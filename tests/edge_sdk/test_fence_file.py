"""fences.toml: what people write, and what they are told when it cannot be."""

from pathlib import Path

import pytest

from edge_sdk.errors import ConfigError
from edge_sdk.fence_file import parse_fences, read_fences

GOOD = """
[[fence]]
name = "store"
center = [48.8706, 2.3317]
radius_m = 150

[[fence]]
name = "car-park"
corners = [[48.8709, 2.3317], [48.8709, 2.3324], [48.8714, 2.3324]]
"""


def test_fences_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fences.toml"
    path.write_text(GOOD)
    store, car_park = read_fences(path)
    assert (store.name, car_park.name) == ("store", "car-park")
    assert store.depth_m(48.8706, 2.3317) == pytest.approx(150)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["fence is missing", "[[fence]]"]),
        ("[fence]\nname = 'a'", ["[[fence]]", "two brackets"]),
        ("fence = [1]", ["[[fence]]"]),
        ("[[fence]\n", ["is not TOML"]),
        ("x = " + "[" * 5_000, ["f.toml"]),
        ("[[fence]]\ncenter = [1, 2]\nradius_m = 9", ["fence 1", "name is missing"]),
        ("[[fence]]\nname = 'a'\nradius_m = 9", ["('a')", "center and radius_m, or corners"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]", ["('a')", "radius_m"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]\nradius_m = 0", ["radius_m is 5 to 20000"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]\nradius_m = true", ["radius_m is a number"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, '2']\nradius_m = 9", ["[latitude, longitude]"]),
        ("[[fence]]\nname = 'a'\ncenter = [148, 2]\nradius_m = 9", ["center", "latitude"]),
        ("[[fence]]\nname = 'a'\ncorners = 7", ["corners"]),
        ("[[fence]]\nname = 'a'\ncorners = [[0, 0], [0.1, 0.1], [0, 0.1], [0.1, 0]]",
         ["('a')", "corners cannot be", "crosses itself"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]\nradius_m = 9\ncolour = 1", ["'colour'", "known"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]\nradius_m = 9\n" * 2, ["fence 2", "name"]),
        ("[[fence]]\nname = 'a'\ncenter = [1, 2]\nradius_m = 9\n[fences]", ["is it fence?"]),
    ],
)  # fmt: skip
def test_what_cannot_be_names_file_entry_and_key(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse_fences(text, "f.toml")
    for word in ["f.toml", *words]:
        assert word in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_fences(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_fences(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_fences(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="bytes"):
        read_fences(tmp_path / "big.toml")
