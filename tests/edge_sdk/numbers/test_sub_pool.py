"""A store lends from a block whether or not it reaches the bridge, and every number finds home."""

from dataclasses import replace

import pytest

from edge_sdk.numbers import ledger_rows as words
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import LEASES_PER_REPORT, Reply, Report
from edge_sdk.numbers.lease import CHANNEL, PLACE
from edge_sdk.numbers.sub_pool import MAX_SKEW_MS, SubPool, SubRows
from tests.edge_sdk.numbers.lent import (
    FALLBACK,
    KEY,
    LASTS_MS,
    NUMBERS,
    PUBLIC,
    answered,
    bridge,
    received,
    reported,
    store,
    talk,
)


def test_a_store_gets_what_it_wants_and_lends_it_by_itself() -> None:
    pool, sub_pool = bridge(), store()
    assert not talk(pool, sub_pool, 0, wants=2).refused
    assert sorted(sub_pool.numbers) == NUMBERS[:2]
    assert pool.counts(0)[words.LENT_OUT] == 2
    first, second = sub_pool.lend("kiosk:1", 10), sub_pool.lend("place:poster", 10, kind=PLACE)
    assert first.lease is not None
    assert first.lease.id == "k1.web-1"
    assert [first.number, second.number] == NUMBERS[:2]
    third = sub_pool.lend("cookie:3", 10)
    assert (third.number, third.refused) == (FALLBACK, words.NONE_FREE)
    bridges = [pool.lend(f"cookie:{n}", 10).number for n in range(5)]
    assert bridges == [*NUMBERS[2:], FALLBACK]


def test_a_channel_is_not_lent_from_a_block() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    assert sub_pool.lend("channel:spring", 0, kind=CHANNEL).refused == words.BAD_KIND


def test_the_bridge_learns_of_leases_once_however_often_they_are_told() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=1)
    done = sub_pool.lend("kiosk:1", 10)
    assert done.lease is not None
    message = reported(sub_pool, 20)
    _, reply = answered(pool, message, 30)
    for at_ms in (31, 32):
        answered(pool, message, at_ms)
    assert pool.past(done.number) == [done.lease]
    assert sub_pool.untold == 1
    received(sub_pool, reply, 40)
    received(sub_pool, reply, 41)
    assert sub_pool.untold == 0
    sub_pool.heartbeat(done.lease.id, 900)
    assert sub_pool.untold == 1
    talk(pool, sub_pool, 1_000)
    assert pool.past(done.number)[0].until_ms == 1_300
    sub_pool.tick(5_000)
    talk(pool, sub_pool, 5_000)
    answered(pool, message, 5_001)  # an old one again
    assert pool.past(done.number)[0].ended_ms == 1_300


def test_an_ended_block_lends_nothing_and_its_leases_end_in_order() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    lease = sub_pool.lend("kiosk:1", LASTS_MS - 1).lease
    assert lease is not None
    assert sub_pool.lend("kiosk:2", LASTS_MS).refused == words.NONE_FREE
    assert sub_pool.lend("kiosk:1", LASTS_MS).lease is not None  # she has hers
    for at_ms in range(LASTS_MS, LASTS_MS + 2_000, 100):
        sub_pool.heartbeat(lease.id, at_ms)
    ended = sub_pool.lease(lease.id)
    assert ended is not None
    assert ended.ended_ms == LASTS_MS + 1_000  # its block's end and a session, whatever is heard
    assert sub_pool.lend("kiosk:1", LASTS_MS + 5_000).refused == words.NONE_FREE
    for at_ms in (LASTS_MS, 10**6):  # the clock alone brings nothing back
        pool.tick(at_ms)
        assert pool.counts(at_ms)[words.LENT_OUT] == 2


def test_a_renewal_comes_before_the_end_and_after_it() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    talk(pool, sub_pool, LASTS_MS // 2 - 1)
    assert sub_pool.blocks[1].serial == 1
    talk(pool, sub_pool, LASTS_MS // 2 + 1)
    block = sub_pool.blocks[1]
    assert (block.serial, block.expires_ms) == (2, LASTS_MS // 2 + 1 + LASTS_MS)
    sub_pool.tick(50_000)
    assert sub_pool.lend("kiosk:1", 50_000).refused == words.NONE_FREE
    talk(pool, sub_pool, 50_000)
    assert sub_pool.lend("kiosk:1", 50_000).number in NUMBERS


def test_single_numbers_and_whole_blocks_are_handed_back() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=3)
    lease = sub_pool.lend("kiosk:1", 0).lease
    assert lease is not None
    sub_pool.hand_back(10, numbers=[NUMBERS[2]])
    assert sorted(sub_pool.numbers) == NUMBERS[:2]
    talk(pool, sub_pool, 20)
    assert pool.state(NUMBERS[2], 20) == words.COOLING
    sub_pool.hand_back(30, block=1)
    assert list(sub_pool.numbers) == [lease.number]  # what is in somebody's hands goes later
    assert sub_pool.lend("kiosk:2", 30).refused == words.NONE_FREE
    talk(pool, sub_pool, 40)
    assert pool.state(lease.number, 40) == words.LENT_OUT
    sub_pool.tick(2_000)
    talk(pool, sub_pool, 2_000)
    assert pool.counts(2_000)[words.LENT_OUT] == 0
    assert pool.blocks[1].state == words.RETURNED
    ended = pool.past(lease.number)[0]
    assert (ended.id, ended.ended_ms) == (lease.id, 1_000)
    assert sub_pool.rows().leases == ()  # all is told, nothing is kept


def test_what_was_handed_back_does_not_come_again_with_an_old_reply() -> None:
    pool, sub_pool = bridge(), store()
    message = reported(sub_pool, 0, 2)
    _, reply = answered(pool, message, 0, at_most=2)
    received(sub_pool, reply, 0)
    sub_pool.hand_back(10, block=1)
    talk(pool, sub_pool, 10)
    received(sub_pool, reply, 20)
    assert not sub_pool.numbers
    received(sub_pool, answered(pool, message, 30, at_most=2)[1], 30)  # the bridge hears it again
    assert set(sub_pool.numbers).isdisjoint(
        number for number in NUMBERS if pool.state(number, 30) != words.LENT_OUT
    )


def test_a_lost_grant_is_granted_again_and_a_lost_hand_back_handed_back_again() -> None:
    pool, sub_pool = bridge(), store()
    answered(pool, reported(sub_pool, 0, 2), 0, at_most=2)  # never arrives
    talk(pool, sub_pool, 10, wants=2)
    assert pool.counts(10)[words.LENT_OUT] == 2
    assert len(sub_pool.numbers) == 2
    sub_pool.hand_back(20, block=1)
    reported(sub_pool, 20)  # never arrives
    talk(pool, sub_pool, 30)
    assert pool.counts(30)[words.LENT_OUT] == 0


def test_a_written_off_block_that_appears_is_history_and_no_more() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    done = sub_pool.lend("kiosk:1", 10)
    assert not pool.write_off(1, 20).refused
    assert pool.write_off(1, 20).refused == words.CLOSED_BLOCK
    assert pool.renew_block(1, 20).refused == words.CLOSED_BLOCK
    assert pool.state(done.number, 20) == words.QUARANTINED
    talk(pool, sub_pool, 100)
    assert pool.past(done.number) == [done.lease]
    assert pool.state(done.number, 100) == words.QUARANTINED
    assert list(sub_pool.numbers) == [done.number]
    assert sub_pool.lend("kiosk:2", 100).refused == words.NONE_FREE
    rested_ms = LASTS_MS + 1_000 + 100 + 50_000  # from when its last lease can have ended
    assert pool.state(done.number, rested_ms - 1) == words.QUARANTINED
    pool.tick(rested_ms)
    assert pool.state(done.number, rested_ms) == words.RETIRED
    assert not pool.reinstate(done.number, rested_ms).refused


def test_a_recalled_block_comes_back_as_it_becomes_idle() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    pool.recall(1, 10)
    talk(pool, sub_pool, 10)
    assert not sub_pool.numbers
    talk(pool, sub_pool, 11)
    assert pool.blocks[1].state == words.RETURNED


def test_a_store_that_was_recalled_before_it_saw_its_block_never_takes_it() -> None:
    pool, sub_pool = bridge(), store()
    message = reported(sub_pool, 0, 2)
    _, late = answered(pool, message, 0, at_most=2)
    pool.recall(1, 10)
    talk(pool, sub_pool, 10)
    received(sub_pool, late, 20)
    assert not sub_pool.numbers
    talk(pool, sub_pool, 30)
    assert pool.counts(30)[words.LENT_OUT] == 0


def test_another_file_lends_nothing_of_a_block() -> None:
    pool, sub_pool, copy = bridge(), store(), store("file-2")
    message = reported(sub_pool, 0, 2)
    _, reply = answered(pool, message, 0, at_most=2)
    assert received(copy, reply, 0).refused == words.FOREIGN
    forged = replace(Reply.verify(reply, PUBLIC), incarnation="file-2", last=0)
    copy.receive(forged, 0)  # its blocks name the file that they are for
    assert (dict(copy.numbers), copy.turned_down) == ({}, 1)
    talk(pool, copy, 10)
    assert pool.counts(10)[words.LENT_OUT] == 2  # nobody but its own file gives a block back


def copy_of(sub_pool: SubPool) -> SubPool:
    return SubPool.restored(
        Allocation((), split=False), sub_pool.rows(), tenant="acme", site="paris-1", pool="web"
    )


def test_two_copies_of_a_file_are_found_out_and_neither_goes_on() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    copy = copy_of(sub_pool)
    sub_pool.lend("kiosk:1", 10)
    talk(pool, sub_pool, 20)
    copy.hand_back(30, block=1)
    done, reply = answered(pool, reported(copy, 30), 30)
    assert done.refused == words.DOUBTFUL
    assert received(copy, reply, 30).refused == words.DOUBTFUL
    assert pool.counts(30)[words.LENT_OUT] == 2  # what a doubtful file says brings nothing back
    assert talk(pool, sub_pool, 40).refused == words.DOUBTFUL
    assert sub_pool.lend("kiosk:2", 50).refused == words.NONE_FREE
    assert not pool.write_off(1, 60).refused
    sub_pool.restart("file-2", 70)
    assert not talk(pool, sub_pool, 70, wants=2).refused
    assert sub_pool.lend("kiosk:2", 80).number in NUMBERS[2:4]


def test_a_file_that_was_put_back_from_a_copy_finds_out_from_any_reply() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=2)
    old = copy_of(sub_pool)
    for at_ms in range(10, 200, 10):
        talk(pool, sub_pool, at_ms)
    sub_pool.hand_back(200, numbers=[NUMBERS[0]])
    talk(pool, sub_pool, 200)
    assert NUMBERS[0] in old.numbers
    assert talk(pool, old, 300).refused == words.DOUBTFUL
    assert old.lend("kiosk:1", 300).refused == words.NONE_FREE


def test_a_clock_that_is_wrong_takes_no_block_and_the_bridge_has_it_back() -> None:
    pool, sub_pool = bridge(), store()
    wrong_ms = MAX_SKEW_MS + LASTS_MS
    _, reply = answered(pool, reported(sub_pool, wrong_ms, 2), 0, at_most=2)
    received(sub_pool, reply, wrong_ms)
    assert (dict(sub_pool.numbers), sub_pool.turned_down) == ({}, 1)
    answered(pool, reported(sub_pool, wrong_ms), 10)
    assert pool.counts(10)[words.LENT_OUT] == 0
    assert sub_pool.lend("kiosk:1", 0).refused == words.CLOCK_BACK


def test_a_long_backlog_is_told_in_pieces_and_numbers_come_back_with_the_last() -> None:
    pool, sub_pool = bridge(), store()
    sub_pool = store()
    talk(pool, sub_pool, 0, wants=1)
    rows = sub_pool.rows()
    assert rows.granted
    lease = sub_pool.lend("kiosk:1", 0).lease
    assert lease is not None
    many = tuple(
        replace(lease, id=f"k1.web-{n}", since_ms=n, until_ms=n + 1, ended_ms=n + 1)
        for n in range(10, 10 + LEASES_PER_REPORT + 5)
    )
    full = SubPool.restored(
        Allocation((), split=False), replace(rows, leases=many, numbers=()),
        tenant="acme", site="paris-1", pool="web",
    )  # fmt: skip
    report = Report.decode(reported(full, 20_000))
    assert len(report.leases) == LEASES_PER_REPORT
    assert report.holds[1][1] == (lease.number,)
    talk(pool, full, 20_000)
    assert pool.state(lease.number, 20_000) == words.LENT_OUT
    talk(pool, full, 20_001)
    assert pool.state(lease.number, 20_001) == words.COOLING
    assert full.untold == 0


@pytest.mark.parametrize("changed", [
    {"id": "k2-1"}, {"id": "b-1"}, {"id": "k-1"}, {"id": "k1"}, {"number": NUMBERS[5]},
    {"pool": "shop"}, {"since_ms": 5_000}, {"until_ms": 10**9}, {"holder": "x" * 300},
])  # fmt: skip
def test_leases_that_a_store_cannot_have_made_are_counted_and_not_believed(
    changed: dict[str, object],
) -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=1)
    lease = sub_pool.lend("kiosk:1", 0).lease
    assert lease is not None
    pool.learn("paris-1", [replace(lease, **changed)], 10)  # type: ignore[arg-type]
    pool.learn("paris-2", [lease], 10)
    assert pool.strange_leases == 2
    assert pool.past(lease.number) == []
    pool.learn("paris-1", [lease], 10)
    assert pool.past(lease.number) == [lease]


def test_an_erased_holder_is_told_to_nobody() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=1)
    sub_pool.lend("kiosk:1", 0)
    sub_pool.erase("kiosk:1", 1)
    assert b"kiosk" not in reported(sub_pool, 2)


def test_a_restored_sub_pool_is_the_sub_pool() -> None:
    pool, sub_pool = bridge(), store()
    talk(pool, sub_pool, 0, wants=4)
    for n in range(3):
        sub_pool.lend(f"kiosk:{n}", n)
    talk(pool, sub_pool, 10)
    sub_pool.tick(1_050)
    again = copy_of(sub_pool)
    rows, restored = sub_pool.rows(), again.rows()
    for name in SubRows.__dataclass_fields__:
        ours, theirs = getattr(rows, name), getattr(restored, name)
        assert (set(ours), name) == (set(theirs), name) if isinstance(ours, tuple) else True
    assert restored.file == rows.file
    assert restored.counters == rows.counters
    for n in range(4):
        ours, theirs = (each.lend(f"kiosk:{n}", 1_100) for each in (sub_pool, again))
        assert ours.lease == theirs.lease


def test_what_is_not_there_is_refused() -> None:
    sub_pool = store()
    assert sub_pool.heartbeat("k1.web-1", 0).refused == words.UNKNOWN_LEASE
    assert sub_pool.release("k1.web-1", 0).refused == words.UNKNOWN_LEASE
    assert sub_pool.hand_back(0, block=1).refused == words.UNKNOWN_BLOCK
    assert sub_pool.hand_back(0, numbers=[NUMBERS[0]]).refused == words.UNKNOWN_NUMBER
    assert sub_pool.lend("kiosk:1", 0).refused == words.NONE_FREE
    assert sub_pool.lend("kiosk:1", -1).refused == words.CLOCK_BACK
    other = Report("shop", "file-1", 1, 0)
    assert bridge().reconcile("paris-1", other, 0)[0].refused == words.FOREIGN
    assert KEY.public_key != KEY.private_key
