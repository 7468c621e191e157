"""The key slots: no epoch is ever opened twice, wherever the power goes."""

import stat
from pathlib import Path

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.errors import ConfigError, CorruptError, StorageError
from edge_sdk.key_slots import FILE_NAME, SLOT_BYTES, KeySlots, LocalFile, enrol
from edge_sdk.wire.keys import next_chain_key, root_key
from tests.edge_sdk.homes import SECRET, enrolled

SUITE = AesCcm()


class PowerCut(Exception):
    """The machine stops here."""


class CutFile:
    """A slot file whose power fails at the n-th write or sync; a write may be torn."""

    def __init__(self, path: Path, cut_at: int, kept_bytes: int) -> None:
        self._file = LocalFile(path)
        self._left = cut_at
        self._kept_bytes = kept_bytes

    def read(self) -> bytes:
        return self._file.read()

    def write(self, offset: int, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            self._file.write(offset, data[: self._kept_bytes])
            raise PowerCut
        self._file.write(offset, data)

    def sync(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise PowerCut

    def close(self) -> None:
        self._file.close()


def test_enrolment_keeps_the_first_chain_key_and_not_the_secret(tmp_path: Path) -> None:
    slot = KeySlots(enrolled(tmp_path), SUITE).load()
    assert (slot.tenant, slot.site, slot.device, slot.epoch) == ("acme", "paris-1", 42, 0)
    assert slot.chain_key == root_key(SUITE, "acme", "paris-1", SECRET)
    assert SECRET not in (tmp_path / FILE_NAME).read_bytes()
    assert repr(slot.chain_key) not in repr(slot)


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    mode = (enrolled(tmp_path) / FILE_NAME).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_epochs_follow_the_chain_and_old_keys_are_gone(tmp_path: Path) -> None:
    slots = KeySlots(enrolled(tmp_path), SUITE)
    key = root_key(SUITE, "acme", "paris-1", SECRET)
    for epoch in range(5):
        slot, chain_key = slots.open_epoch()
        assert (slot.epoch, chain_key) == (epoch, key)
        assert key not in (tmp_path / FILE_NAME).read_bytes()
        key = next_chain_key(SUITE, key)


@pytest.mark.parametrize("kept_bytes", [0, 1, 40, 300, SLOT_BYTES])
@pytest.mark.parametrize("cut_at", range(4))
def test_a_power_cut_skips_an_epoch_at_worst(tmp_path: Path, cut_at: int, kept_bytes: int) -> None:
    home = enrolled(tmp_path)
    opened = [KeySlots(home, SUITE).open_epoch()[0].epoch for _ in range(3)]
    with pytest.raises(PowerCut):
        KeySlots(home, SUITE, lambda path: CutFile(path, cut_at, kept_bytes)).open_epoch()
    for _ in range(2):
        opened.append(KeySlots(home, SUITE).open_epoch()[0].epoch)
    assert opened == sorted(set(opened))
    assert opened[-1] <= 5


def test_two_damaged_slots_are_told_and_not_used(tmp_path: Path) -> None:
    path = enrolled(tmp_path) / FILE_NAME
    path.write_bytes(b"\xff" * 2 * SLOT_BYTES)
    with pytest.raises(CorruptError, match="enrol this device anew"):
        KeySlots(tmp_path, SUITE).open_epoch()


@pytest.mark.parametrize("at", range(0, 60, 2))
def test_a_damaged_newest_slot_never_leads_back(tmp_path: Path, at: int) -> None:
    # The older slot was zeroed: damage can lock the device out, but not make it repeat an epoch.
    slots = KeySlots(enrolled(tmp_path), SUITE)
    slots.open_epoch()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    newest = SLOT_BYTES if any(data[SLOT_BYTES:]) else 0
    data[newest + at] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptError):
        slots.open_epoch()


def test_a_home_is_enrolled_once_and_by_a_good_token(tmp_path: Path) -> None:
    enrolled(tmp_path)
    with pytest.raises(ConfigError, match="already"):
        enrolled(tmp_path)
    with pytest.raises(ConfigError, match="cloud-bridge enrol"):
        enrol("edge1.nonsense", tmp_path / "other", SUITE)
    assert not (tmp_path / "other").exists()


def test_an_unenrolled_home_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="edge-sdk enrol"):
        KeySlots(tmp_path, SUITE).load()


def test_a_disk_that_does_not_keep_what_is_written_opens_nothing(tmp_path: Path) -> None:
    class Forgetful(LocalFile):
        def write(self, offset: int, data: bytes) -> None:
            """Claim to write."""

    slots = KeySlots(enrolled(tmp_path), SUITE, Forgetful)
    with pytest.raises(StorageError, match="did not keep"):
        slots.open_epoch()
    assert KeySlots(tmp_path, SUITE).load().epoch == 0
