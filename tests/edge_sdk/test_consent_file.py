"""What was allowed outlives a kill, and nothing is allowed by accident."""

import json
from pathlib import Path

import pytest

from edge_sdk.consent_file import FILE_NAME, MAX_PURPOSES, ConsentFile
from edge_sdk.errors import StorageError


def loaded(folder: Path) -> ConsentFile:
    file = ConsentFile(folder)
    file.load()
    return file


def test_it_remembers_what_was_said_and_told(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    assert not first.allows("p")
    first.say("p", granted=True, told=True)
    first.say("q", granted=False)
    first.save()
    again = loaded(tmp_path)
    assert again.allows("p")
    assert again.allowed == ["p"]
    assert again.untold == {"q": False}


def test_what_was_not_saved_is_not_there(tmp_path: Path) -> None:
    loaded(tmp_path).say("p", granted=True)
    assert not loaded(tmp_path).allows("p")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"p": true}',
        b'{"p": [1, 1]}',
        b'{"p": [true]}',
        b'{"p": ["true", true]}',
        b"\xff\xfe",
        b"[" * 60_000,
        json.dumps({str(n): [True, True] for n in range(MAX_PURPOSES + 1)}).encode(),
    ],
)
def test_a_damaged_file_allows_nothing(
    tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    file = loaded(tmp_path)
    assert file.allowed == []
    assert "damaged" in caplog.text
    file.say("p", granted=True)
    file.save()
    assert loaded(tmp_path).allows("p")


def test_every_cut_of_a_file_allows_nothing_that_it_did_not(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    file.say("p", granted=False, told=True)
    file.save()
    whole = (tmp_path / FILE_NAME).read_bytes()
    for size in range(len(whole)):
        (tmp_path / FILE_NAME).write_bytes(whole[:size])
        assert loaded(tmp_path).allowed == []


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        ConsentFile(tmp_path / "nowhere").save()
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StorageError):
        loaded(tmp_path)


def test_purposes_are_bounded(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    for number in range(MAX_PURPOSES):
        file.say(str(number), granted=True)
    file.say("1", granted=False)
    with pytest.raises(ValueError, match="64"):
        file.say("more", granted=True)
