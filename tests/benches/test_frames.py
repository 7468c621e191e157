"""The frames bench: payloads raise nothing, and many of them are frames; and that of identities."""

import json
from pathlib import Path

import pytest

from benches import frames, identities
from benches._payloads import payloads
from edge_sdk.presence.beacons import LAYOUTS


def test_payloads_raise_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "told.json"
    assert frames.main(["--payloads", "20000", "--repeat", "1", "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    assert keys["exceptions"] == 0
    assert keys["us_parse_ibeacon"] > 0
    assert keys["frames_found"] > 2000  # or the mutations leave nothing to parse
    printed = capsys.readouterr().out
    for layout in LAYOUTS:
        assert layout.frame.kind in printed


def test_an_exception_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        if data[:1] == b"\x02":
            raise IndexError

    monkeypatch.setattr(frames, "parse_advertisement", broken)
    monkeypatch.setattr(frames, "measured", list)
    assert frames.main(["--payloads", "300", "--repeat", "1"]) == 1


def test_payloads_are_the_same_for_a_seed_and_differ_within_it() -> None:
    once = list(payloads(3000, 4))
    assert once == list(payloads(3000, 4))
    assert len(set(once)) > 2500
    assert list(payloads(300, 5)) != once[:300]


def test_identities_are_all_found(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    assert identities.main(["--identities", "20", "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    assert keys["eid_recovered"] == 1
    assert keys["eid_bytes_per_identity"] > 0
