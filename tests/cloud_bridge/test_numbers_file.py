from pathlib import Path

import pytest

from cloud_bridge.numbers_file import NumbersFile, read
from edge_sdk.errors import ConfigError
from tests.cloud_bridge.rig import SetClock

GOOD = """
[[pool]]
name = "web"
region = "FR"
fallback = "+33170180099"
numbers = ["+33170180008..11", "+33170180050", "+33170180010"]
split = true
minimum_minutes = 5
written_off = [2]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "numbers.toml"
    path.write_text(text)
    return path


def test_ranges_are_spelt_out_and_each_number_is_there_once(tmp_path: Path) -> None:
    [spec] = read(written(tmp_path, GOOD))
    assert spec.numbers == (*(f"+331701800{n:02}" for n in (8, 9, 10, 11)), "+33170180050")
    assert (spec.name, spec.region, spec.split, spec.written_off) == ("web", "FR", True, (2,))
    assert spec.terms.minimum_ms == 300_000


@pytest.mark.parametrize(
    ("what", "to", "told"),
    [
        ('"web"', '"We b"', "name"),
        ('"FR"', '"FRA"', "region"),
        ('"+33170180099"', '"anonymous"', "fallback"),
        ('"+33170180099"', '"+33170180050"', "fallback"),
        ('"+33170180008..11"', '"+33170180011..08"', "numbers"),
        ('"+33170180008..11"', '"0170180008"', "numbers"),
        ('"+33170180008..11"', '"+33000000..999999", "+34000000..999999"', "at most"),
        ('"+33170180008..11"', "7", "numbers"),
        ("[2]", "[0]", "written_off"),
        ("= 5", "= -5", "minimum_minutes"),
        ("split", "spilt", "split"),
        ("[[pool]]", "[pool]", "pool"),
        ("[[pool]]", "[[pool", "TOML"),
        ("written_off = [2]", GOOD, "pool"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, what: str, to: str, told: str) -> None:
    path = written(tmp_path, GOOD.replace(what, to, 1))
    with pytest.raises(ConfigError, match=told) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_number_is_of_one_pool(tmp_path: Path) -> None:
    other = GOOD.replace("web", "kiosks")
    with pytest.raises(ConfigError, match="is in web and in kiosks"):
        read(written(tmp_path, GOOD + other))


def test_it_is_read_again_when_it_changes_and_faults_change_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    file = NumbersFile(tmp_path, clock)
    assert file.look() == ()
    for text, count in ((GOOD, 1), (GOOD + "x", None), (GOOD, 1)):
        written(tmp_path, text)
        clock.ms += 1000
        found = file.look()
        assert (found if found is None else len(found)) == count
        assert bool(file.fault) == (count is None)
    (tmp_path / "numbers.toml").unlink()
    clock.ms += 1000
    assert file.look() is None
