"""The crash campaign finds nothing in the product as it is, and does find what is done to it."""

import json
from pathlib import Path

import pytest

from benches._crash_bridge import BridgeUnderCrash
from benches._crash_numbers import NumbersUnderCrash
from benches._crash_outbox import OutboxUnderCrash
from benches.crash_points import SUBJECTS, Tally, campaign, chosen, main
from cloud_bridge.snapshot import Snapshot
from cloud_bridge.store import Writes
from edge_sdk.key_slots import OpenSlots, SlotFile
from simulators.disk import Created, Disk, Event, Synced, Written

POINTS = {"outbox": 40, "bridge": 12, "numbers": 40}


def found(tally: Tally) -> dict[str, int]:
    return {
        "lost": tally.lost,
        "corrupt": tally.corrupt,
        "key_reuse": tally.key_reuse,
        "wrong": tally.wrong,
    }


@pytest.mark.parametrize("name", ["outbox", "bridge", "numbers"])
def test_a_power_cut_costs_nothing(name: str) -> None:
    subject = BridgeUnderCrash(starts=4) if name == "bridge" else SUBJECTS[name]()
    tally = campaign(subject, seed=1, points=POINTS[name])
    assert tally.images == POINTS[name] * 3
    assert tally.bad == []
    assert found(tally) == {"lost": 0, "corrupt": 0, "key_reuse": 0, "wrong": 0}


def test_without_full_synchronization_the_outbox_loses() -> None:
    tally = campaign(OutboxUnderCrash(), seed=1, points=20, synchronous="NORMAL")
    assert tally.lost > 0


def test_without_full_synchronization_the_numbers_are_lost() -> None:
    assert campaign(NumbersUnderCrash(), seed=1, points=20, synchronous="NORMAL").lost > 0


def test_without_any_the_outbox_is_damaged_as_well() -> None:
    tally = campaign(OutboxUnderCrash(), seed=1, points=20, synchronous="OFF")
    assert tally.lost > 0
    assert tally.corrupt > 0


def test_without_full_synchronization_the_bridge_loses() -> None:
    tally = campaign(BridgeUnderCrash(starts=2), seed=1, points=8, synchronous="NORMAL")
    assert tally.lost > 0


def test_a_snapshot_that_says_it_is_further_than_it_is_does_not_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hasty(self: Snapshot, writes: Writes, last_id: int, most: int) -> None:
        advance(self, writes, last_id, most)
        if writes.subjects:
            writes.watermark = last_id

    advance = Snapshot.advance
    monkeypatch.setattr(Snapshot, "advance", hasty)
    tally = campaign(BridgeUnderCrash(starts=2), seed=1, points=8)
    assert tally.wrong + tally.lost > 0


def test_key_slots_that_are_not_synced_open_an_epoch_twice() -> None:
    tally = campaign(OutboxUnderCrash(), seed=1, points=20, slots=careless)
    assert tally.key_reuse > 0


def careless(disk: Disk) -> OpenSlots:
    class NeverSynced:
        def __init__(self, path: Path) -> None:
            self._file: SlotFile = disk.open_slots(path)
            self.read = self._file.read
            self.write = self._file.write
            self.close = self._file.close

        def sync(self) -> None:
            """Forgotten."""

    return NeverSynced


def test_points_lie_around_each_sync_and_between() -> None:
    journal: list[Event] = [Created("a"), *([Written("a", 0, b"x")] * 8), Synced("a")]
    points = chosen(journal, None, seed=1)
    assert {0, 9, 10} <= set(points)
    assert points == sorted(points)
    assert points[-1] == len(journal)
    assert chosen(journal, 2, seed=1) == chosen(journal, 2, seed=1)
    assert len(chosen(journal, 2, seed=1)) == 2


def test_the_command_tells_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    options = ["outbox", "--points", "6", "--json", str(told)]
    assert main(options) == 0
    assert main([*options, "--synchronous", "OFF"]) == 1
    assert json.loads(told.read_text())["lost"] > 0
    assert "outbox: point" in capsys.readouterr().out
