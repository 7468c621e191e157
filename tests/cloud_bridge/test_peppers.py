import stat
from pathlib import Path

import pytest

from cloud_bridge import peppers
from edge_sdk.errors import ConfigError, StorageError
from tests.cloud_bridge.little_device import SUITE

SHE = "tel:+33612345678"


def test_a_number_has_one_pseudonym_that_does_not_tell_it(tmp_path: Path) -> None:
    known = peppers.load(tmp_path / "p.json", SUITE)
    pseudonym = known.pseudonym(SHE)
    assert pseudonym.startswith("tel:v1:")
    assert "612345678" not in pseudonym
    assert pseudonym == peppers.load(tmp_path / "p.json", SUITE).pseudonym(SHE)
    assert pseudonym != known.pseudonym("tel:+33612345679")
    assert known.pseudonym(pseudonym) == pseudonym
    assert known.older(SHE) == known.older(pseudonym) == []


def test_each_tenant_has_another(tmp_path: Path) -> None:
    one, other = (peppers.load(tmp_path / name, SUITE) for name in ("a.json", "b.json"))
    assert one.pseudonym(SHE) != other.pseudonym(SHE)


def test_after_a_rotation_the_old_pseudonym_is_still_known(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    before = peppers.load(path, SUITE)
    sealed = before.seal("+33612345678")
    assert peppers.rotate(path) == 2
    after = peppers.load(path, SUITE)
    assert after.pseudonym(SHE).startswith("tel:v2:")
    assert after.older(SHE) == [before.pseudonym(SHE)]
    assert after.open(sealed) == "+33612345678"
    assert before.open(after.seal("+33612345678")) is None


def test_a_sealed_number_can_be_read_by_who_has_the_pepper(tmp_path: Path) -> None:
    known = peppers.load(tmp_path / "p.json", SUITE)
    sealed = known.seal("+33612345678")
    assert sealed != known.seal("+33612345678")
    assert known.open(sealed) == "+33612345678"
    assert peppers.load(tmp_path / "q.json", SUITE).open(sealed) is None
    assert known.open(sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert known.open(b"") is None


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    peppers.load(path, SUITE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    peppers.rotate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damaged",
    ["{", "[]", "{}", '{"peppers": {}}', '{"peppers": {"1": "00"}}', '{"peppers": {"x": ""}}'],
)
def test_a_damaged_file_is_not_replaced(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(damaged)
    with pytest.raises(ConfigError, match="put a copy"):
        peppers.load(path, SUITE)
    assert path.read_text() == damaged


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        peppers.load(tmp_path / "file" / "p.json", SUITE)


def test_a_lease_is_known_by_its_mark_after_a_rotation_and_not_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    shown = peppers.load(path, SUITE).shown("b.web-17")
    peppers.rotate(path)
    assert peppers.load(path, SUITE).lease_of(shown) == "b.web-17"
    assert peppers.load(tmp_path / "other.json", SUITE).lease_of(shown) is None
