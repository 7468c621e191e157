"""Rotating identifiers on their road: resolved for who agreed, and nobody's for everybody else."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_bridge import plans
from cloud_bridge.batch import Batch
from cloud_bridge.record import stays_in
from cloud_bridge.schemes import OTHER, kind_of_handle
from cloud_bridge.store import BATCH
from edge_sdk.presence.eid_table import EidTable
from edge_sdk.wire.control import Prompt
from edge_sdk.wire.topics import BULK
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS, LittleDevice
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.rotating import (
    PERIOD_MS,
    RULE,
    Tag,
    dwelt,
    entered,
    left,
    register,
    said,
    sighted,
    web,
)
from tests.cloud_bridge.test_visiting import (
    ENTER,
    PLAN,
    SITE,
    check_whole,
    made,
    sighting,
    store_of_boards,
)

MINUTE = 60_000


def with_kiosk(rig: Rig) -> tuple[LittleDevice, LittleDevice]:
    gateway, kiosk = rig.enrol(), rig.enrol("kiosk-1", "kiosk", "coffee")
    rig.send(gateway, gateway.start())
    rig.send(kiosk, kiosk.start())
    return gateway, kiosk


def prompts(rig: Rig, kiosk: LittleDevice) -> set[int]:
    return {
        s.id for kind, s in rig.heard[kiosk.number] if kind == "prompt" and isinstance(s, Prompt)
    }


def goes_on(rig: Rig, gateway: LittleDevice, at_ms: int, *touchpoints: Touchpoint) -> None:
    rig.clock.ms = at_ms
    rig.send(gateway, gateway.rows(*touchpoints))


def rotates(rig: Rig, gateway: LittleDevice, tag: Tag) -> None:
    """A stay over two identifiers: the second enters before the first has left."""
    first, change = START_MS + PERIOD_MS - MINUTE, START_MS + PERIOD_MS
    a, b = tag.eid(first), tag.eid(change)
    assert a != b
    goes_on(rig, gateway, first, entered(first, a, 17))
    goes_on(rig, gateway, first + 30_000, dwelt(first + 30_000, a, 30_000, 17))
    goes_on(rig, gateway, change + 4000, entered(change + 4000, b, 18))
    goes_on(rig, gateway, change + 15_000, left(change + 15_000, a, MINUTE, 17))
    goes_on(rig, gateway, change + 34_000, dwelt(change + 34_000, b, 30_000, 18))
    goes_on(rig, gateway, change + 64_000, left(change + 64_000, b, MINUTE, 18))


def known_handles(rig: Rig) -> set[int]:
    rows = [row for row in rig.store.log() if row.kind == BATCH]
    return set().union(*(Batch.from_body(row.body).known() for row in rows))


def names(rig: Rig) -> set[str | None]:
    return {rig.intake.vault.identifier(handle) for handle in known_handles(rig)}


def test_who_agreed_has_one_visit_over_two_rotations(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path, [RULE]) as rig:
        gateway, kiosk = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        rotates(rig, gateway, tag)
        assert len(prompts(rig, kiosk)) == 2  # at the enter, and once she has stayed
        assert rig.intake.counted["decisions.same_stay"] == 2
        assert rig.intake.counted["visits.continued"] == 1
        handle = rig.intake.vault.find([tag.name])[tag.name]
        stays = stays_in(rig.intake.people.subject(handle))
        assert (stays.visits, stays.dwell_ms) == (1, 124_000)
        assert "visit" in rig.kinds()
        assert rig.kinds().count("continued") == 1
        (first,) = [event.fields for event in rig.events if event.kind == "visit"]
        assert first["visits"] == 1
        assert not {n for n in names(rig) if n and n.startswith("eid:")}  # one handle for all
        told = json.dumps([event.fields for event in rig.events])
        assert "tag:" not in told
        assert "eid:" not in told


def test_the_stay_is_prompted_once_though_nothing_else_keeps_a_second_prompt_back(
    tmp_path: Path,
) -> None:
    tag = Tag()
    with Rig(tmp_path, [RULE]) as rig:
        gateway, kiosk = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        change = START_MS + PERIOD_MS
        goes_on(rig, gateway, change - 5000, entered(change - 5000, tag.eid(change - 5000), 17))
        goes_on(rig, gateway, change + 4000, entered(change + 4000, tag.eid(change), 18))
        assert len(prompts(rig, kiosk)) == 1


@pytest.mark.parametrize("consents", [False, None], ids=["said no", "said nothing"])
def test_who_did_not_agree_is_nobody(tmp_path: Path, consents: bool | None) -> None:
    tag = Tag()
    with Rig(tmp_path, [RULE]) as rig:
        gateway, kiosk = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS, granted=consents))
        before = rig.intake.people.subject(rig.intake.vault.find(["tag:1"])["tag:1"]).touches
        clock = rig.intake.resolving._eids.clock
        (handle,) = rig.intake.resolving.handles
        learnt = clock(str(handle))
        rotates(rig, gateway, tag)
        assert prompts(rig, kiosk) == set()
        assert rig.intake.counted["beacons.withheld"] == 6
        assert rig.intake.counted["beacons.resolved"] == 0
        thing = rig.intake.people.subject(handle)
        assert (thing.touches, thing.stays) == (before, b"")
        assert clock(str(handle)) == learnt  # not even when it was heard
        rotations = {n for n in names(rig) if n and n.startswith("eid:")}
        assert len(rotations) == 2
        handles = rig.intake.vault.find(rotations)
        for rotation in handles.values():
            assert kind_of_handle(rotation) == OTHER
            alone = rig.intake.people.subject(rotation)
            assert (alone.links, alone.profile, alone.stays) == ((), b"", b"")


def test_a_withdrawal_holds_from_that_moment_and_a_yes_for_what_follows(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path, [RULE]) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        handle = rig.intake.vault.find([tag.name])[tag.name]

        def sees(at_ms: int, heard_ms: int) -> bool:
            before = rig.intake.people.subject(handle).touches
            goes_on(rig, gateway, at_ms, sighted(heard_ms, tag.eid(heard_ms)))
            return rig.intake.people.subject(handle).touches > before

        assert sees(START_MS + 1000, START_MS + 1000)
        rig.collect(web(START_MS + 2000, granted=False))
        assert not sees(START_MS + 3000, START_MS + 3000)
        assert not sees(START_MS + 4000, START_MS + 1000)  # heard while she agreed, used now
        rig.clock.ms = START_MS + 60_000
        rig.collect(web(START_MS + 60_000))
        assert sees(START_MS + 61_000, START_MS + 61_000)
        assert not sees(START_MS + 62_000, START_MS + 30_000)  # before she agreed again


def test_a_log_in_of_another_person_counts_by_what_that_one_said(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        login = make("identify", START_MS + 5000, seen="tag:1", known_as="login:bob", method="app")
        goes_on(rig, gateway, START_MS + 5000, login)
        goes_on(rig, gateway, START_MS + 6000, sighted(START_MS + 6000, tag.eid(START_MS)))
        assert rig.intake.counted["beacons.resolved"] == 0
        yes = said(START_MS + 7000, "login:bob")
        goes_on(rig, gateway, START_MS + 7000, yes)
        goes_on(rig, gateway, START_MS + 8000, sighted(START_MS + 8000, tag.eid(START_MS)))
        assert rig.intake.counted["beacons.resolved"] == 1


def test_a_thing_without_a_person_may_agree_for_itself(tmp_path: Path) -> None:
    tag = Tag("app:9")
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS, "app:9", person=False))
        goes_on(rig, gateway, START_MS + 8000, sighted(START_MS + 8000, tag.eid(START_MS)))
        assert rig.intake.counted["beacons.resolved"] == 1


def until(condition: Callable[[], bool]) -> None:
    """The registry lets go of a key after the commit, in its own time."""
    for _ in range(3_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def files_of(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in folder.glob("*.sqlite*"))


def test_a_removed_beacon_is_known_no_more_and_its_key_is_gone(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon(), tag.phone())
        rig.collect(web(START_MS))
        with rig.registry_of_another() as registry:
            until(lambda: [beacon.key for beacon in registry.beacons()] == [None, None])
            assert registry.remove_beacon("tag:1", "irk") == 1
            assert registry.remove_beacon("tag:1") == 1
            assert registry.remove_beacon("tag:2") == 0
        (row, *_) = rig.store.identities()
        rig.send(gateway, gateway.rows(sighted(START_MS, tag.eid(START_MS))), lane=BULK)
        assert rig.intake.counted["beacons.resolved"] == 0
        assert rig.intake.resolving.handles == {}
        assert list(rig.store.identities()) == []
        with rig.registry_of_another() as registry:
            until(lambda: registry.beacons() == [])
        rig.store.tidy()
    files = b"".join(p.read_bytes() for p in tmp_path.glob("*.sqlite*"))
    assert tag.key not in files
    assert row.sealed not in files


def test_no_file_holds_a_key_in_the_open_once_it_was_taken_over(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        with rig.registry_of_another() as registry:
            registry.add_beacon(tag.beacon())
        assert tag.key in b"".join(p.read_bytes() for p in tmp_path.glob("*.sqlite*"))
        register(rig, gateway, tag.phone())
        rig.send(gateway, gateway.rows(sighted(START_MS, tag.eid(START_MS))))
        until(lambda: not any(key in files_of(tmp_path) for key in (tag.key, tag.irk)))


def test_a_replayed_eid_is_refused(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        later = START_MS + 3 * PERIOD_MS + 100_000
        goes_on(rig, gateway, later, sighted(later, tag.eid(later)))
        again = later + 100_000
        goes_on(rig, gateway, again, sighted(again, tag.eid(later - PERIOD_MS)))
        assert rig.intake.counted["beacons.resolved"] == 1
        assert rig.intake.resolving.health()["refused"] == 1


def test_a_clock_in_the_future_teaches_nothing_of_it(tmp_path: Path) -> None:
    """A device whose clock is a day ahead, and was right when it started."""
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        (handle,) = rig.intake.resolving.handles
        ahead = START_MS + 86_400_000
        goes_on(rig, gateway, START_MS + 1000, sighted(ahead, tag.eid(START_MS)))
        clock = rig.intake.resolving._eids.clock(str(handle))
        assert clock is not None
        assert clock[2] <= START_MS // 1000 + 1
        assert rig.intake.counted["beacons.resolved"] == 1


def test_an_address_of_a_phone_is_found_between_turns(tmp_path: Path) -> None:
    tag = Tag("app:1")
    with Rig(tmp_path, [RULE]) as rig:
        gateway, kiosk = with_kiosk(rig)
        register(rig, gateway, tag.phone())
        rig.collect(web(START_MS, "app:1"))
        now = START_MS + 1000
        goes_on(rig, gateway, now, sighted(now, tag.rpa(1)))  # new: tried when there is time
        assert rig.intake.counted["beacons.resolved"] == 0
        rig.send(gateway, gateway.rows(sighted(now, "ble:2")), lane=BULK)
        while rig.intake.resolving._addresses.searching:
            rig.send(gateway, gateway.rows(sighted(now, "ble:2")), lane=BULK)
        goes_on(rig, gateway, now + 1000, entered(now + 1000, tag.rpa(1)))
        assert rig.intake.counted["beacons.resolved"] == 1
        assert len(prompts(rig, kiosk)) == 1


def test_what_is_no_identifier_of_a_beacon_is_left_alone(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, Tag().beacon())
        strange = ("eid:zz", "eid:", "rpa:00", "eid:0011223344556677", "rpa:c00000000000", "eid:é")
        goes_on(rig, gateway, START_MS, *(sighted(START_MS, name) for name in strange))
        opaque = Touchpoint(4711, START_MS, ("eid:0011223344556677", 1, b"x"))
        goes_on(rig, gateway, START_MS, opaque)
        assert set(strange) <= names(rig)


def test_in_a_type_that_nobody_knows_yet_it_is_resolved_as_well(tmp_path: Path) -> None:
    tag = Tag()
    with Rig(tmp_path) as rig:
        gateway, _ = with_kiosk(rig)
        register(rig, gateway, tag.beacon())
        rig.collect(web(START_MS))
        eid = tag.eid(START_MS)
        for seal in (gateway.rows, gateway.columns):
            rig.send(gateway, seal(Touchpoint(4711, START_MS, (eid, 1)), sighted(START_MS, eid)))
        assert rig.intake.counted["beacons.resolved"] == 2
        assert eid not in names(rig)
        handle = rig.intake.vault.find([tag.name])[tag.name]
        for row in list(rig.store.log())[-2:]:
            ((_, _, _, values),) = Batch.from_body(row.body).told([4711])
            assert values[0] in (handle, [handle])


def test_boards_that_hear_two_rotations_make_one_visit_in_the_bridge(tmp_path: Path) -> None:
    """Sightings come to the store's engine under the thing's handle."""
    tag = Tag()
    plan = tmp_path / "made" / "store.toml"
    plan.parent.mkdir()
    plan.write_text(PLAN, encoding="utf-8")
    with Rig(tmp_path) as rig:
        plans.put(tmp_path, SITE, plan)
        boards = store_of_boards(rig)[:2]
        register(rig, boards[0], tag.beacon())
        rig.collect(web(START_MS))
        rig.clock.ms = START_MS + PERIOD_MS - 30_000
        for _ in range(12):
            rig.clock.ms += 5000
            eid = tag.eid(rig.clock.ms)
            for board, name, rssi_dbm in zip(boards, ("left", "right"), (-50, -75), strict=True):
                heard = sighting(name, rssi_dbm, rig.clock.ms, eid)
                rig.send(board, board.columns(heard), lane=BULK)
        told = made(rig.store.log())
        check_whole(told, still_open=1)
        assert {one.visitor for one in told} == {rig.intake.vault.find([tag.name])[tag.name]}
        assert [one.zone for one in told if one.code == ENTER] == ["coffee"]
        assert told[-1].at_ms > START_MS + PERIOD_MS  # it went on over the change


def test_ten_thousand_identities_cost_a_batch_its_look_ups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    whose = EidTable.whose

    def counting(table: EidTable, eid: bytes) -> str | None:
        nonlocal asked
        asked += 1
        return whose(table, eid)

    monkeypatch.setattr(EidTable, "whose", counting)
    tags = [Tag(f"tag:{n}") for n in range(10_000)]
    with Rig(tmp_path, most_people=20_000) as rig:
        gateway, _ = with_kiosk(rig)
        with rig.registry_of_another() as registry:
            registry.add_beacon(tags[0].beacon())
        rig.send(gateway, gateway.rows(sighted(START_MS, "ble:0")), lane=BULK)
        handles = rig.intake.vault.handles([tag.name for tag in tags])
        for tag in tags[1:]:  # the registry is not what is asked about
            rig.intake.resolving._eids.add(
                str(handles[tag.name]), tag.key, 10, tag.beacon().beacon_time_s, START_MS // 1000
            )
        for start in range(0, 1000, 250):
            rig.send(
                gateway,
                gateway.rows(*(said(START_MS, tag.name) for tag in tags[start : start + 250])),
            )
        seen = [tag.eid(START_MS) for tag in tags[:1000:20]]
        rig.send(gateway, gateway.columns(*(sighted(START_MS, eid) for eid in seen)))
        assert rig.intake.counted["beacons.resolved"] == len(seen) == 50
        assert asked == 50
        rig.send(gateway, gateway.columns(*[sighted(START_MS, "ble:5")] * 50))
        assert asked == 50
