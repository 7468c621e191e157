"""The crowd: the same for a seed, in order of time, true to its own truth, and bounded."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from edge_sdk.presence.engine import is_beacon, is_rssi
from simulators.cli import main
from simulators.crowd import Crowd, CrowdSettings, Stay
from simulators.crowd_radio import RadioSettings
from simulators.crowd_store import large_store, little_store, small_zones_store

STORE = little_store()
FEW = CrowdSettings(devices=12, interval_ms=1_000)


def stays_of(crowd: Crowd, until_ms: int) -> list[Stay]:
    for _ in crowd.readings(until_ms):
        pass
    crowd.close(until_ms)
    return crowd.stays


def test_one_seed_is_one_crowd_and_another_seed_another() -> None:
    first, again, other = (list(Crowd(STORE, seed, FEW).readings(20_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_readings_are_a_radios_and_come_in_the_order_of_time() -> None:
    readings = list(Crowd(STORE, 1, FEW).readings(60_000))
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(readings))
    assert {reading.receiver for reading in readings} == set(STORE.plan.receivers)
    assert all(is_beacon(r.beacon) and is_rssi(r.rssi_dbm) for r in readings)


def test_stays_of_an_identifier_do_not_overlap_and_lie_in_the_time() -> None:
    stays = stays_of(Crowd(STORE, 3, FEW), 1_800_000)
    of: dict[str, list[Stay]] = defaultdict(list)
    for stay in stays:
        assert 0 <= stay.from_ms < stay.until_ms <= 1_800_000
        of[stay.beacon].append(stay)
    for each in of.values():
        each.sort(key=lambda stay: stay.from_ms)
        assert all(before.until_ms <= after.from_ms for before, after in pairwise(each))
    assert {stay.zone for stay in stays} == {zone.name for zone in STORE.plan.zones}


def test_addresses_rotate_about_every_quarter_of_an_hour_and_tags_do_not() -> None:
    crowd = Crowd(STORE, 1, replace(FEW, tags=0.25, passing=0.0, pause_s=2_000.0))
    beacons = {stay.beacon for stay in stays_of(crowd, 3_600_000)}
    phones = [beacon for beacon in beacons if beacon.startswith("rpa:")]
    assert len(beacons) - len(phones) == 3
    assert 9 * 3 <= len(phones) <= 9 * 7
    assert all(int(beacon[4:], 16) >> 46 == 0b01 for beacon in phones)


def test_a_rotation_takes_no_time() -> None:
    crowd = Crowd(STORE, 1, replace(FEW, tags=0.0, passing=0.0, pause_s=4_000.0))
    ends = Counter(stay.until_ms for stay in stays_of(crowd, 1_800_000))
    begins = {stay.from_ms for stay in crowd.stays}
    assert sum(until_ms in begins for until_ms in ends) >= 12


def test_so_much_is_lost_as_was_asked_for() -> None:
    def heard(loss: float) -> int:
        settings = replace(FEW, sleeps_s=0, bursts_s=0, radio=RadioSettings(loss=loss))
        return sum(1 for _ in Crowd(STORE, 1, settings).readings(60_000))

    assert heard(0.6) / heard(0.0) == pytest.approx(0.4, abs=0.03)


def test_a_place_has_its_own_shadow_for_ever_and_a_body_weakens() -> None:
    def medians(body_db: float) -> dict[str, int]:
        radio = RadioSettings(body_db=body_db, rician_k=1e6)
        settings = replace(FEW, devices=1, tags=0.0, passing=0.0, pause_s=9_000.0, radio=radio)
        heard = defaultdict(list)
        for reading in Crowd(STORE, 5, settings).readings(60_000):
            heard[reading.receiver].append(reading.rssi_dbm)
        return {name: sorted(values)[len(values) // 2] for name, values in heard.items()}

    bare, carried = medians(0.0), medians(20.0)
    assert all(carried[name] <= bare[name] for name in carried)
    assert any(carried[name] < bare[name] - 5 for name in carried)


def test_only_who_is_there_takes_memory() -> None:
    crowd = Crowd(STORE, 1, FEW)
    for number, _ in enumerate(crowd.readings(3_600_000)):
        if number % 1_000 == 0:
            crowd.stays.clear()
            assert crowd.present <= 12
            assert sum(len(device.legs) for _, _, device in crowd._due) < 12 * 400


def test_walkers_leave_return_and_pass_by() -> None:
    stays = stays_of(Crowd(STORE, 2, replace(FEW, tags=0.0, returning=1.0)), 3_600_000)
    gaps = [
        after.from_ms - before.until_ms
        for before, after in pairwise(sorted(stays))
        if before.beacon == after.beacon
    ]
    assert sum(60_000 < gap < 330_000 for gap in gaps) >= 3
    heard = {r.beacon for r in Crowd(STORE, 2, FEW).readings(600_000)}
    crowd = Crowd(STORE, 2, FEW)
    inside = {stay.beacon for stay in stays_of(crowd, 600_000)}
    assert heard - inside


@pytest.mark.parametrize("store", [large_store(), little_store(), small_zones_store()])
def test_a_plan_agrees_with_the_zones_of_its_shop(store: object) -> None:
    from simulators.crowd_store import CrowdStore

    assert isinstance(store, CrowdStore)
    for x in range(-3, round(store.width_m) + 3):
        for y in range(-3, round(store.depth_m) + 3):
            place = (x + 0.37, y + 0.61)
            assert store.plan.zone_at(*place) == store.zone_at(*place)
    assert all(store.zone_at(r.x_m, r.y_m) for r in store.plan.receivers.values())


def test_the_command_shows_readings_and_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crowd", "--devices", "5", "--seconds", "2"]) == 0
    first = json.loads(next(islice(capsys.readouterr().out.splitlines(), 1)))
    assert first.keys() == {"at_ms", "receiver", "beacon", "rssi_dbm"}
    assert main(["crowd", "--devices", "5", "--seconds", "2", "--show", "stays"]) == 0
    stay = json.loads(next(islice(capsys.readouterr().out.splitlines(), 1)))
    assert stay.keys() == {"beacon", "zone", "from_ms", "until_ms"}
