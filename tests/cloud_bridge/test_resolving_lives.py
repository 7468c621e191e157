"""Beacons over restarts: killed, rebuilt and restored, the same log comes to the same visits."""

import random
from pathlib import Path

import pytest

from cloud_bridge import stitching
from cloud_bridge.beacons import Beacon
from cloud_bridge.record import stays_in
from cloud_bridge.turn import Arrival, Turn
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import Touchpoint
from tests.cloud_bridge.keeping import SetClock, erase, handles, house_of, keep_house
from tests.cloud_bridge.little_device import START_MS, LittleDevice
from tests.cloud_bridge.lives import GATEWAY, Life, Step
from tests.cloud_bridge.rotating import PERIOD_MS, Tag, dwelt, entered, left, said, sighted

TAGS = [Tag("tag:1"), Tag("tag:2"), Tag("app:3")]
HOUR = 3_600_000


class Gateway:
    """One that sends what it is told, live, when it happened; `restart` begins a new epoch."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self._device = LittleDevice(GATEWAY)
        self.restart(START_MS)

    def restart(self, now_ms: int) -> None:
        self._send(self._device.start(), now_ms, LIVE)

    def says(self, now_ms: int, *touchpoints: Touchpoint, lane: str = LIVE) -> None:
        self._send(self._device.rows(*touchpoints), now_ms, lane)

    def _send(self, message: bytes, now_ms: int, lane: str) -> None:
        # As housekeeping does, every second.
        while self.life.intake.resolving.step(now_ms // 1000, lambda: 0.0):
            pass
        arrival = Arrival(self._device.topic(lane), message, now_ms, (lane, 1, 1))
        self.life.live(Step(now_ms, [arrival]))


def register(life: Life, *beacons: Beacon) -> None:
    turn = Turn()
    life.intake.registered(turn, beacons, START_MS)
    life.intake.finish(turn)
    life.store.commit(turn.writes)


def visits(life: Life, tag: Tag) -> tuple[int, int]:
    stays = stays_in(life.intake.people.subject(life.handle(tag.name)))
    return stays.visits, stays.dwell_ms


def walks(life: Life, lot: random.Random, hours: int = 14) -> dict[str, int]:
    """Some people come and go for hours; how often each was in the zone."""
    gateway = Gateway(life)
    life.touchpoints(*(said(START_MS, tag.name) for tag in TAGS))
    came = dict.fromkeys((tag.name for tag in TAGS), 0)
    visit, now_ms = 0, START_MS
    clock = SetClock()
    for _ in range(hours):
        now_ms += HOUR
        for tag in TAGS:
            if lot.random() < 0.4:
                continue
            came[tag.name] += 1
            begin_ms = at_ms = now_ms + lot.randrange(HOUR // 4)
            end_ms = begin_ms + lot.randrange(60_000, HOUR // 2)
            while at_ms < end_ms:
                change_ms = START_MS + ((at_ms - START_MS) // PERIOD_MS + 1) * PERIOD_MS
                until_ms, visit, name = min(end_ms, change_ms), visit + 1, tag.eid(at_ms)
                gateway.says(at_ms, entered(at_ms, name, visit))
                if lot.random() < 0.15:
                    life.again()
                    gateway.life = life
                if until_ms - at_ms > 30_000:
                    gateway.says(at_ms + 30_000, dwelt(at_ms + 30_000, name, 30_000, visit))
                told_ms = until_ms + lot.choice((0, 10_000, 60_000))
                gateway.says(told_ms, left(told_ms, name, until_ms - at_ms, visit))
                if lot.random() < 0.3:
                    life.write_behind(lot.choice((1, 100)))
                at_ms = until_ms
        if lot.random() < 0.5:
            clock.ms = now_ms
            keep_house(house_of(life, clock), clock)
        if lot.random() < 0.2:
            gateway.restart(now_ms)
            visit = 0
    return came


@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_rotations_over_kills_is_each_ones_visits(tmp_path: Path, seed: int) -> None:
    with Life(tmp_path, most_people=seed % 2 * 1000 + 3) as life:
        register(life, *(tag.beacon() for tag in TAGS))
        came = walks(life, random.Random(seed))
        assert {tag.name: visits(life, tag)[0] for tag in TAGS} == came
        before = life.digest()
        life.again()
        assert life.digest() == before
        life.again(rebuild=True)
        assert life.digest() == before
        assert {tag.name: visits(life, tag)[0] for tag in TAGS} == came
        assert len(handles(life)) == len(TAGS)  # of all their rotations none has a handle


def test_late_pieces_join_over_a_restart(tmp_path: Path) -> None:
    tag = TAGS[0]
    with Life(tmp_path) as life:
        register(life, tag.beacon())
        life.touchpoints(said(START_MS, tag.name))
        gateway = Gateway(life)
        change = START_MS + PERIOD_MS
        before, after = tag.eid(START_MS), tag.eid(change)
        gateway.says(change + 5000, entered(change + 5000, after, 2))
        life.again()
        gateway.says(change + 6000, left(change + 6000, before, 500_000, 1))
        late = [entered(change - 500_000, before, 1)]
        gateway.says(change + 9000, *late, lane=BULK)
        assert visits(life, tag)[0] == 1
        digest = life.digest()
        life.again(rebuild=True)
        assert life.digest() == digest


def test_what_was_learnt_of_a_clock_survives_and_losing_it_costs_a_search(tmp_path: Path) -> None:
    tag = TAGS[0]
    with Life(tmp_path) as life:
        register(life, tag.beacon())
        life.touchpoints(said(START_MS, tag.name))
        (handle,) = life.intake.resolving.handles
        gateway = Gateway(life)
        shift = 3 * PERIOD_MS  # it restarted, and is ahead
        gateway.says(START_MS + 5000, sighted(START_MS + 5000, tag.eid(START_MS + shift)))
        assert life.intake.counted["beacons.resolved"] == 1
        clock = SetClock()
        learnt = life.intake.resolving._eids.clock(str(handle))
        life.again()
        assert life.intake.resolving._eids.clock(str(handle)) != learnt  # it was not written yet
        gateway.says(START_MS + 6000, sighted(START_MS + 6000, tag.eid(START_MS + shift)))
        keep_house(house_of(life, clock), clock)
        learnt = life.intake.resolving._eids.clock(str(handle))
        life.again()
        assert life.intake.resolving._eids.clock(str(handle)) == learnt


def test_an_erased_thing_takes_its_key_with_it(tmp_path: Path) -> None:
    tag = TAGS[0]
    with Life(tmp_path) as life:
        register(life, tag.beacon(), tag.phone())
        life.touchpoints(said(START_MS, tag.name))
        gateway = Gateway(life)
        gateway.says(START_MS, entered(START_MS, tag.eid(START_MS)))
        sealed = [row.sealed for row in life.store.identities()]
        assert erase(life, tag.name) == 1
        assert life.intake.resolving.handles == {}
        gateway.says(START_MS + 1000, sighted(START_MS + 1000, tag.eid(START_MS)))
        assert life.intake.counted["beacons.resolved"] == 1
        for rebuild in (False, True):
            life.again(rebuild=rebuild)
            assert list(life.store.identities()) == []
            gateway.says(START_MS + 2000, sighted(START_MS + 2000, tag.eid(START_MS)))
            assert life.intake.counted["beacons.resolved"] == 0
        clock = SetClock()
        keep_house(house_of(life, clock), clock)
        life.store.tidy()
        files = b"".join(p.read_bytes() for p in tmp_path.glob("*.sqlite*"))
        assert [part for part in sealed if part in files] == []


def test_a_copy_without_the_vault_knows_no_beacon(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        register(life, TAGS[0].beacon(), TAGS[1].phone())
        life.store._connection().execute("DELETE FROM vault")
        life.again()
        assert life.intake.resolving.handles == {}


def test_a_registered_beacon_is_kept_however_long_it_was_not_seen(tmp_path: Path) -> None:
    tag = TAGS[0]
    with Life(tmp_path) as life:
        register(life, tag.beacon())
        life.touchpoints(said(START_MS, tag.name), sighted(START_MS, "ble:gone"))
        life.write_behind()
        clock = SetClock()
        clock.ms += 100 * 86_400_000
        house = house_of(life, clock)
        keep_house(house, clock)
        assert house.dropped > 0
        assert house.forgotten == 1
        assert life.intake.resolving.handles.keys() == {life.handle(tag.name)}
        life.again()
        assert life.intake.resolving.handles.keys() == {life.handle(tag.name)}


def test_pieces_that_are_forgotten_do_not_change_what_a_restart_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stitching, "MAX_PIECES", 3)
    monkeypatch.setattr(stitching, "SETTLED_MS", HOUR)
    with Life(tmp_path, most_people=2) as life:
        register(life, *(tag.beacon() for tag in TAGS))
        walks(life, random.Random(7), hours=8)
        before = life.digest()
        life.again(rebuild=True)
        assert life.digest() == before
