"""The bridge's pool: who gets which number, for how long, and what becomes of it afterwards."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.numbers import ledger_rows as words
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import Report
from edge_sdk.numbers.lease import CHANNEL, PLACE, Lease
from edge_sdk.numbers.ledger_rows import Done, Rows
from edge_sdk.numbers.lending import TOLERATED_MS
from edge_sdk.numbers.pool import Pool
from edge_sdk.numbers.terms import FOREVER_MS, Terms

TERMS = Terms(
    minimum_ms=1_000, keep_alive_ms=400, place_ms=5_000, grace_ms=100, cool_ms=200,
    rest_ms=50_000, remember_ms=20_000, remembered=4,
)  # fmt: skip
FALLBACK = "+33999999999"
NUMBERS = [f"+3316000000{n}" for n in range(5)]


def made(count: int = 3, terms: Terms = TERMS) -> Pool:
    pool = Pool("web", Allocation((), split=True), tenant="acme", terms=terms, fallback=FALLBACK)
    assert not pool.add(NUMBERS[:count], 0).refused
    return pool


def lent(done: Done) -> Lease:
    assert done.lease is not None
    assert done.refused == ""
    assert done.number == done.lease.number
    return done.lease


def test_numbers_are_lent_in_the_order_in_which_they_were_used() -> None:
    pool = made()
    leases = [lent(pool.lend(f"cookie:{n}", 1_000)) for n in range(3)]
    assert [lease.number for lease in leases] == NUMBERS[:3]
    assert [lease.id for lease in leases] == ["b-1", "b-2", "b-3"]
    for at_ms, lease in zip((2_010, 2_020, 2_030), reversed(leases), strict=True):
        assert lent(pool.release(lease.id, at_ms)).ended_ms == at_ms
    again = [lent(pool.lend(f"cookie:{n}", 3_000)).number for n in "abc"]
    assert again == NUMBERS[2::-1]


def test_a_lease_lasts_its_minimum_and_then_as_long_as_it_is_heard_of() -> None:
    pool = made()
    lease = lent(pool.lend("cookie:1", 0, intent=0.3))
    assert (lease.since_ms, lease.until_ms, lease.intent) == (0, 1_000, 0.3)
    assert lent(pool.heartbeat(lease.id, 100)).until_ms == 1_000
    assert lent(pool.heartbeat(lease.id, 900)).until_ms == 1_300
    assert pool.state(lease.number, 1_299) == words.LEASED
    assert pool.state(lease.number, 1_300) == words.GRACE


def test_a_heartbeat_in_grace_revives_and_one_after_it_does_not() -> None:
    pool = made()
    lease = lent(pool.lend("cookie:1", 0))
    assert lent(pool.heartbeat(lease.id, 1_099)).until_ms == 1_499
    late = pool.heartbeat(lease.id, 1_599)
    assert late.refused == words.ENDED_LEASE
    assert late.lease is not None
    assert late.lease.ended_ms == 1_499
    assert late.number == ""


def test_her_number_is_hers_while_it_can_be_had() -> None:
    pool = made()
    first = lent(pool.lend("cookie:1", 0))
    assert lent(pool.lend("cookie:1", 10)).id == first.id  # alive
    revived = lent(pool.lend("cookie:1", 1_050))  # in grace: the same lease goes on
    assert (revived.id, revived.until_ms) == (first.id, 1_450)
    cooled = lent(pool.lend("cookie:1", 1_600))  # it had ended: a new lease, her number
    assert (cooled.number, cooled.id) == (first.number, "b-2")
    assert [lease.ended_ms for lease in pool.past(first.number)] == [1_450, None]
    freed = lent(pool.lend("cookie:1", 9_000))  # long free, nobody else had it
    assert (freed.number, freed.id) == (first.number, "b-3")


def test_her_number_is_not_hers_once_another_had_it() -> None:
    pool = made(1)
    first = lent(pool.lend("cookie:1", 0))
    second = lent(pool.lend("cookie:2", 5_000))
    assert second.number == first.number
    assert pool.lend("cookie:1", 5_001).refused == words.NONE_FREE


def test_none_free_shows_the_fallback_which_is_never_leased() -> None:
    pool = made(1)
    pool.lend("cookie:1", 0)
    done = pool.lend("cookie:2", 0)
    assert (done.lease, done.number, done.refused) == (None, FALLBACK, words.NONE_FREE)
    assert pool.fallbacks == 1
    assert FALLBACK not in {row.number for row in pool.rows().numbers}


def test_a_release_before_the_minimum_leaves_her_the_minimum() -> None:
    pool = made()
    lease = lent(pool.lend("cookie:1", 0))
    pool.heartbeat(lease.id, 950)
    released = lent(pool.release(lease.id, 960))
    assert (released.until_ms, released.ended_ms) == (1_000, None)
    assert lent(pool.lend("cookie:1", 970)).id == lease.id
    pool.release(lease.id, 980)
    assert pool.tick(1_100).changes.leases[0].ended_ms == 1_000


def test_a_channel_has_its_number_until_it_is_released() -> None:
    pool = made()
    lease = lent(pool.lend("channel:spring", 0, kind=CHANNEL))
    assert lease.until_ms == FOREVER_MS
    assert lent(pool.heartbeat(lease.id, 10**12)).until_ms == FOREVER_MS
    assert lent(pool.release(lease.id, 10**12)).ended_ms == 10**12
    assert pool.state(lease.number, 10**12) == words.COOLING


def test_a_place_is_heard_of_seldom() -> None:
    pool = made()
    lease = lent(pool.lend("place:poster-1", 0, kind=PLACE))
    assert lease.until_ms == 5_000
    assert lent(pool.heartbeat(lease.id, 4_000)).until_ms == 9_000
    assert lent(pool.release(lease.id, 4_001)).ended_ms == 4_001


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"holder": "nobody"}, words.BAD_HOLDER),
        ({"holder": ":x"}, words.BAD_HOLDER),
        ({"holder": "cookie:"}, words.BAD_HOLDER),
        ({"holder": "cookie:a\nb"}, words.BAD_HOLDER),
        ({"holder": "cookie:" + "a" * 300}, words.BAD_HOLDER),
        ({"holder": "cookie:1", "kind": "person"}, words.BAD_KIND),
        ({"holder": "cookie:1", "intent": 1.01}, words.BAD_INTENT),
        ({"holder": "cookie:1", "intent": float("nan")}, words.BAD_INTENT),
        ({"holder": "cookie:1", "now_ms": -1}, words.CLOCK_BACK),
        ({"holder": "cookie:1", "now_ms": 1 << 60}, words.CLOCK_BACK),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(arguments: dict[str, Any], refused: str) -> None:
    pool = made()
    before = pool.rows()
    done = pool.lend(**{"now_ms": 0, **arguments})
    shown = FALLBACK if refused == words.CLOCK_BACK else ""
    assert (done.refused, done.number, done.lease) == (refused, shown, None)
    assert not done.changes
    assert pool.rows() == before


def test_what_is_not_there_is_refused() -> None:
    pool = made()
    for lease_id in ("", "b-1", "k1-1", "x" * 1000):
        assert pool.heartbeat(lease_id, 0).refused == words.UNKNOWN_LEASE
        assert pool.release(lease_id, 0).refused == words.UNKNOWN_LEASE
    assert pool.retire("+33100000000", 0).refused == words.UNKNOWN_NUMBER
    assert pool.reinstate("+33100000000", 0).refused == words.UNKNOWN_NUMBER
    assert pool.reinstate(NUMBERS[0], 0).refused == words.NOT_RETIRED
    assert pool.renew_block(1, 0).refused == words.UNKNOWN_BLOCK
    assert pool.write_off(1, 0).refused == words.UNKNOWN_BLOCK
    assert pool.lend_block("paris-1", "f", 0, 0).refused == words.BAD_COUNT
    assert pool.lend_block("paris-1", "f", 1, 0, lasts_ms=0).refused == words.BAD_COUNT
    for number in ("", "0601020304", "+0123456789", "+33 1 60", "+3316000000000000000"):
        assert pool.add([NUMBERS[4], number], 0).refused == words.BAD_NUMBER
    assert pool.state(NUMBERS[4], 0) == ""
    lease = lent(pool.lend("cookie:1", 0))
    pool.release(lease.id, 2_000)
    assert pool.release(lease.id, 2_000).refused == words.ENDED_LEASE


def test_a_pool_is_of_one_region() -> None:
    pool = Pool("web", Allocation((), split=False), prefix="+331")
    assert pool.add(["+33160000000", "+33460000000"], 0).refused == words.BAD_NUMBER
    assert not pool.add(["+33160000000"], 0).refused


def test_likely_callers_get_numbers_of_their_own_once_that_pays() -> None:
    free = Allocation((), split=True)
    pool = Pool("web", free, terms=TERMS)
    pool.add(NUMBERS, 0)
    assert pool.learned(1.5, called=True) == words.BAD_INTENT
    for n in range(512):
        assert pool.learned(0.4 if n % 8 == 0 else 0.01, called=n % 8 == 0 and n % 16 == 0) == ""
    assert free.division is not None
    for n in range(300):  # numbers settle in their parts as they come back
        pool.release(lent(pool.lend(f"cookie:{n}", n * 2_000, intent=0.01)).id, n * 2_000 + 1_000)
    assert 0 < free.likely_numbers < len(NUMBERS)


def test_a_clock_that_goes_back_a_little_stands_and_one_that_goes_far_is_refused() -> None:
    pool = made()
    pool.tick(1_000_000)
    lease = lent(pool.lend("cookie:1", 1_000_000 - TOLERATED_MS))
    assert lease.since_ms == 1_000_000
    assert pool.lend("cookie:2", 1_000_000 - TOLERATED_MS - 1).refused == words.CLOCK_BACK


def test_a_retired_number_rests_and_is_lent_again_only_by_hand() -> None:
    pool = made(1)
    lease = lent(pool.lend("cookie:1", 0))
    done = pool.retire(lease.number, 100)
    assert done.changes.leases[0].ended_ms == 100
    assert pool.state(lease.number, 100) == words.QUARANTINED
    assert pool.heartbeat(lease.id, 101).refused == words.ENDED_LEASE
    assert pool.reinstate(lease.number, 50_099).refused == words.STILL_RESTING
    pool.tick(50_100)
    assert pool.counts(50_100)[words.RETIRED] == 1
    assert pool.lend("cookie:1", 50_100).refused == words.NONE_FREE
    assert not pool.reinstate(lease.number, 50_100).refused
    assert lent(pool.lend("cookie:2", 50_100)).number == lease.number


def test_leases_are_forgotten_with_time_and_in_number() -> None:
    pool = made(1)
    for n in range(6):
        lent(pool.lend(f"cookie:{n}", n * 2_000))
    past = pool.past(NUMBERS[0])
    assert [lease.id for lease in past] == ["b-3", "b-4", "b-5", "b-6"]
    assert [lease.since_ms for lease in past] == sorted(lease.since_ms for lease in past)
    done = pool.tick(4_000 + 1_000 + 20_000)
    assert done.changes.forgotten == ("b-3",)
    assert pool.lease("b-3") is None
    pool.tick(10**6)
    assert pool.past(NUMBERS[0]) == []
    assert pool.rows().leases == ()


def test_an_erased_holder_is_known_to_nobody() -> None:
    pool = made()
    lease = lent(pool.lend("cookie:1", 0))
    done = pool.erase("cookie:1", 10)
    assert [erased.holder for erased in done.changes.leases] == [""]
    assert lent(pool.heartbeat(lease.id, 20)).holder == ""
    assert lent(pool.lend("cookie:1", 20)).number != lease.number


def test_what_failed_to_be_committed_may_go_with_the_next() -> None:
    pool = made(2)
    whole = pool.rows()
    first = pool.lend("cookie:1", 0)
    second = pool.lend("cookie:2", 0)
    third = pool.tick(1_200)
    rows = whole.then(first.changes).then(second.changes).then(third.changes)
    assert same(
        Pool.restored("web", Allocation((), split=True), rows, terms=TERMS).rows(), pool.rows()
    )


def test_terms_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="cool_ms"):
        Terms(cool_ms=-1)
    with pytest.raises(ConfigError, match="remembered"):
        Terms(remembered=0)


def test_no_holder_is_in_a_repr() -> None:
    assert "cookie" not in repr(made().lend("cookie:1", 0))


def same(one: Rows, other: Rows) -> bool:
    return one.counters == other.counters and all(
        set(getattr(one, name)) == set(getattr(other, name))
        for name in ("leases", "numbers", "blocks", "stores")
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lend", "heartbeat", "release", "retire", "reinstate", "block", "back",
                         "write_off", "erase", "tick"]),
        st.integers(0, 7),
        st.sampled_from([0, 1, 90, 350, 1_200, 60_000]),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_a_restored_pool_is_the_pool_and_goes_on_as_it(steps: list[tuple[str, int, int]]) -> None:
    pool, now_ms = made(5), 0
    committed = pool.rows()
    for what, n, gap_ms in steps:
        now_ms += gap_ms
        done = step(pool, what, n, now_ms)
        committed = committed.then(done.changes)
    other = Pool.restored(
        "web", Allocation((), split=True), committed, tenant="acme", terms=TERMS, fallback=FALLBACK
    )
    assert same(other.rows(), pool.rows())
    for n in range(6):
        now_ms += 150
        ours, theirs = (each.lend(f"cookie:{n}", now_ms) for each in (pool, other))
        assert (ours.lease, ours.number) == (theirs.lease, theirs.number)
    assert [pool.past(number) for number in NUMBERS] == [other.past(number) for number in NUMBERS]


def step(pool: Pool, what: str, n: int, now_ms: int) -> Done:
    number = NUMBERS[n % 5]
    if what == "lend":
        return pool.lend(f"cookie:{n}", now_ms)
    if what in ("heartbeat", "release"):
        past = pool.past(number)
        done: Done = getattr(pool, what)(past[-1].id if past else "b-0", now_ms)
        return done
    if what == "block":
        return pool.lend_block("paris-1", "file", 2, now_ms, lasts_ms=10_000)
    if what == "back":
        return pool.reconcile("paris-1", Report("web", "file", now_ms + 1, n), now_ms)[0]
    if what == "write_off":
        return pool.write_off(n, now_ms)
    if what == "erase":
        return pool.erase(f"cookie:{n}", now_ms)
    if what == "tick":
        return pool.tick(now_ms)
    return pool.retire(number, now_ms) if what == "retire" else pool.reinstate(number, now_ms)
