"""The table of EIDs follows beacons that drift, restart, stand still and lose their clock."""

import random

import pytest

from edge_sdk.adapters.aes import ecb
from edge_sdk.presence import eid_table
from edge_sdk.presence.eid_table import EidTable
from edge_sdk.presence.identifiers import BeaconClock, eid_at

START_S = 1_700_000_000
DAY_S = 86_400
K = 10


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def eid(number: int, beacon_time_s: int, exponent: int = K) -> bytes:
    return eid_at(ecb, key(number), exponent, beacon_time_s)


def table_of(count: int, exponent: int = K) -> EidTable:
    """Identities whose clocks showed 1,000 s, 2,000 s ... at START_S."""
    table = EidTable(ecb)
    for number in range(count):
        table.add(f"n{number}", key(number), exponent, 1000 * (number + 1), START_S)
    return table


def refreshed(table: EidTable, now_s: int) -> None:
    while table.refresh(now_s, 50) == 50:
        pass


def searched(table: EidTable, now_s: int) -> list[tuple[bytes, str]]:
    """All that a search finds; it must end."""
    found = []
    for _ in range(10_000):
        found += table.search(now_s, 1000)
        if not table.searching:
            return found
    raise AssertionError("the search does not end")


@pytest.mark.parametrize("drift_ppm", [-150, -20, 0, 20, 150])
@pytest.mark.parametrize("exponent", [4, 10, 15])
def test_a_drifting_beacon_is_found_by_the_look_up_alone(drift_ppm: int, exponent: int) -> None:
    table = table_of(1, exponent)
    dice = random.Random(drift_ppm)
    elapsed_s = 0
    while elapsed_s < 90 * DAY_S:
        elapsed_s += dice.choice((5, 60, 3000, DAY_S))
        now_s = START_S + elapsed_s
        refreshed(table, now_s)
        beacon_s = 1000 + elapsed_s + round(elapsed_s * drift_ppm / 1e6)
        assert table.resolve(eid(0, beacon_s, exponent), now_s) == "n0"
    assert table.counts["unknown"] == table.counts["refused"] == 0
    assert table.eids <= eid_table.MAX_LIVE


def test_a_year_unheard_is_within_the_drift() -> None:
    for drift_ppm in (-150, 150):
        table = table_of(1)
        now_s = START_S + 365 * DAY_S
        refreshed(table, now_s)
        beacon_s = 1000 + 365 * DAY_S + round(365 * DAY_S * drift_ppm / 1e6)
        assert table.resolve(eid(0, beacon_s), now_s) == "n0"


def test_drift_is_learned_from_what_is_heard() -> None:
    heard, unheard = table_of(1), table_of(1)
    for elapsed_s in range(0, 300 * DAY_S, DAY_S // 2):
        now_s = START_S + elapsed_s
        refreshed(heard, now_s)
        assert heard.resolve(eid(0, 1000 + elapsed_s + elapsed_s * 150 // 1_000_000), now_s)
    now_s = START_S + 300 * DAY_S
    refreshed(heard, now_s)
    refreshed(unheard, now_s)
    assert heard.eids < unheard.eids


def test_a_beacon_of_ours_that_restarts_is_found_by_the_look_up() -> None:
    """Short losses of power put its clock ahead, again and again."""
    table = table_of(0)
    table.add("n0", key(0), K, 0, START_S)
    dice = random.Random(5)
    now_s, disk = START_S, None
    for _ in range(60):
        clock = BeaconClock(disk, 0, K)
        for uptime_s in range(0, dice.randrange(200, 20_000), 200):
            mark_s = clock.due(uptime_s)
            if mark_s is not None:
                disk = mark_s
                clock.saved(mark_s)
            refreshed(table, now_s)
            assert table.resolve(eid(0, clock.time_s(uptime_s)), now_s) == "n0"
            now_s += 200


def test_a_beacon_that_stood_still_is_found_by_a_search() -> None:
    table = table_of(20)
    now_s = START_S + 40 * DAY_S
    refreshed(table, now_s)
    mine = eid(7, 8000 + 3 * DAY_S)  # 37 days without power
    assert table.resolve(mine, now_s) is None
    assert searched(table, now_s) == [(mine, "n7")]
    assert table.resolve(mine, now_s) == "n7"
    for elapsed_s in range(0, 2 * DAY_S, 600):
        refreshed(table, now_s + elapsed_s)
        assert table.resolve(eid(7, 8000 + 3 * DAY_S + elapsed_s), now_s + elapsed_s) == "n7"


def test_a_beacon_that_lost_its_clock_is_found_by_a_search() -> None:
    table = table_of(20)
    now_s = START_S + 100_000
    refreshed(table, now_s)
    assert table.resolve(eid(3, 4000 + 100_000), now_s) == "n3"
    now_s += 20 * DAY_S
    mine = eid(3, 12 * DAY_S)  # it has been running for twelve days
    assert table.resolve(mine, now_s) is None
    assert searched(table, now_s) == [(mine, "n3")]
    assert table.resolve(eid(3, 12 * DAY_S + 5000), now_s + 5000) == "n3"


def test_who_replays_an_early_eid_does_not_cut_a_beacon_off() -> None:
    table = table_of(3)
    now_s = START_S + DAY_S
    refreshed(table, now_s)
    assert table.resolve(eid(1, 2000 + DAY_S), now_s) == "n1"
    replayed = eid(1, 0)
    assert table.resolve(replayed, now_s) is None
    assert searched(table, now_s) == []  # it was heard just now
    now_s += 1000
    assert table.resolve(replayed, now_s) is None
    assert searched(table, now_s) == [(replayed, "n1")]  # silent: it may have restarted
    mine = eid(1, 2000 + now_s - START_S)
    assert table.resolve(mine, now_s + 5) is None
    assert searched(table, now_s + 5) == [(mine, "n1")]  # but its clock is not forgotten
    assert table.resolve(mine, now_s + 6) == "n1"
    assert table.resolve(replayed, now_s + 7) is None


def test_an_eid_of_before_the_last_one_is_refused() -> None:
    table = table_of(1)
    assert table.resolve(eid(0, 1000), START_S) == "n0"
    now_s = START_S + 2048
    assert table.resolve(eid(0, 1000 + 2048), now_s) == "n0"
    assert table.resolve(eid(0, 1000), now_s + 10) is None
    assert table.counts["refused"] == 1


def test_what_comes_late_resolves_and_teaches_nothing() -> None:
    table = table_of(1)
    now_s = START_S + 2048
    assert table.resolve(eid(0, 1000 + 2048), now_s) == "n0"
    assert table.resolve(eid(0, 1000), START_S) == "n0"
    assert table.resolve(eid(0, 1000 + 2048 + 1024), START_S) is None
    assert table.resolve(eid(0, 1000 + 2048), now_s) == "n0"
    # Later than the table goes back, a search finds it; the clock stays.
    now_s = START_S + 5 * DAY_S
    refreshed(table, now_s)
    assert table.resolve(eid(0, 1000 + 5 * DAY_S), now_s) == "n0"
    late = eid(0, 1000 + 4 * DAY_S)
    assert table.resolve(late, START_S + 4 * DAY_S) is None
    assert searched(table, now_s) == [(late, "n0")]
    assert table.resolve(eid(0, 1000 + 5 * DAY_S), now_s + 1) == "n0"


def test_a_removed_identity_is_unknown_and_its_key_gone() -> None:
    table = table_of(9)
    gone = table._by_name["n4"]
    table.remove("n4")
    table.remove("n4")
    assert gone.key == b""
    assert table.identities == 8
    refreshed(table, START_S + DAY_S)
    for number in range(9):
        mine = eid(number, 1000 * (number + 1) + DAY_S)
        expected = None if number == 4 else f"n{number}"
        assert table.resolve(mine, START_S + DAY_S) == expected
    assert searched(table, START_S + DAY_S) == []
    table.add("n4", key(4), K, 5000, START_S)
    assert table.resolve(eid(4, 5000 + DAY_S), START_S + DAY_S) is None
    refreshed(table, START_S + DAY_S)
    assert table.resolve(eid(4, 5000 + DAY_S), START_S + DAY_S) == "n4"


def test_an_identity_added_again_has_its_new_clock() -> None:
    table = table_of(2)
    table.add("n1", key(9), K, 70_000, START_S)
    assert table.identities == 2
    assert table.resolve(eid(9, 70_000), START_S) == "n1"
    assert table.resolve(eid(1, 2000), START_S) is None


def test_one_removed_during_a_search_does_not_hide_another() -> None:
    for gone in range(8):
        table = table_of(8)
        now_s = START_S + 10 * DAY_S
        mine = [eid(number, 5 * DAY_S) for number in range(8)]
        for each in mine:
            table.resolve(each, now_s)
        found = table.search(now_s, 1500)
        table.remove(f"n{gone}")
        found += searched(table, now_s)
        names = {name for _, name in found}
        assert {f"n{number}" for number in range(8)} - names <= {f"n{gone}"}


def test_work_is_bounded_by_what_the_caller_allows() -> None:
    computed = 0

    def counting(key: bytes, blocks: bytes) -> bytes:
        nonlocal computed
        computed += len(blocks) // 16
        return ecb(key, blocks)

    table = EidTable(counting)
    for number in range(200):
        table.add(f"n{number}", key(number), K, 0, START_S)
    now_s = START_S + 30 * DAY_S
    each = computed // 200
    assert each < 20
    computed = 0
    assert table.refresh(now_s, 10) == 10
    assert computed <= 10 * 2 * each
    refreshed(table, now_s)
    for stranger in range(1000):
        table.resolve(stranger.to_bytes(8, "big"), now_s)
    assert table.counts["forgotten"] == 1000 - 256
    for _ in range(50):
        computed = 0
        table.search(now_s, 500)
        # Above the budget: the last run it began, and a cipher call for each key.
        assert computed <= 500 + 256 + 50
    for stranger in range(1000):  # heard again soon: not looked for again
        table.resolve(stranger.to_bytes(8, "big"), now_s)
    refreshed(table, now_s)


def test_after_a_search_nothing_is_computed() -> None:
    table = table_of(5)
    table.resolve(b"stranger", START_S)
    assert searched(table, START_S) == []
    for at_s, again in ((100, False), (400, True)):
        table.resolve(b"stranger", START_S + at_s)
        assert table.searching == again


def test_refresh_ends_and_forgets_what_has_passed() -> None:
    table = table_of(50)
    sizes = set()
    for elapsed_s in range(0, 3 * DAY_S, 700):
        refreshed(table, START_S + elapsed_s)
        sizes.add(table.eids)
    assert max(sizes) <= 50 * 20
    assert sum(map(len, table._calendar.values())) <= 2 * 50


@pytest.mark.parametrize(
    ("identity_key", "exponent", "time_s"),
    [(bytes(15), 10, 0), (bytes(16), 16, 0), (bytes(16), -1, 0), (bytes(16), 10, 1 << 32)],
)
def test_what_cannot_be_is_refused(identity_key: bytes, exponent: int, time_s: int) -> None:
    table = table_of(1)
    with pytest.raises(ValueError, match=r"is 16 bytes|0 to 15|32 bits"):
        table.add("n0", identity_key, exponent, time_s, START_S)
    assert table.identities == 1


def test_clocks_near_their_ends() -> None:
    table = EidTable(ecb)
    table.add("new", key(1), K, 0, START_S)
    table.add("old", key(2), K, (1 << 32) - 1, START_S)
    assert table.resolve(eid(1, 0), START_S) == "new"
    assert table.resolve(eid(2, (1 << 32) - 1), START_S) == "old"
    refreshed(table, START_S + DAY_S)
    table.resolve(b"stranger", START_S + DAY_S)
    assert searched(table, START_S + DAY_S) == []
    assert table.refresh(START_S + 200 * 365 * DAY_S, 100) == 2


def test_no_key_is_in_a_repr() -> None:
    assert repr(table_of(2)) == "<EidTable of 2 identities>"


def test_what_is_told_late_is_no_replay_and_teaches_nothing() -> None:
    table = table_of(1)
    table.add("n0", key(0), K, 5 * 1024, START_S)
    change_s = START_S + 1024
    refreshed(table, change_s)
    before, after = eid(0, 5 * 1024), eid(0, 6 * 1024)
    assert table.resolve(before, change_s + 100, 150) == "n0"
    assert table.clock("n0") == (
        (5 * 1024 - START_S - 1) * 10**6,
        (5 * 1024 - START_S + 1) * 10**6,
        START_S,
        5,
    )
    assert table.resolve(after, change_s + 110, 150) == "n0"
    assert table.resolve(before, change_s + 120, 150) == "n0"
    assert table.resolve(before, change_s + 120) is None
    assert table.resolve(before, change_s + 200, 150) is None
    assert table.counts["refused"] == 2


def test_whose_it_may_be_is_told_without_a_trace() -> None:
    table = table_of(2)
    clock, counts = table.clock("n1"), dict(table.counts)
    assert table.whose(eid(1, 2000)) == "n1"
    assert table.whose(eid(1, 2000 + 100 * 1024)) is None
    assert (table.clock("n1"), table.counts, table.searching) == (clock, counts, False)


def test_a_clock_that_was_kept_goes_on_and_one_that_was_not_is_searched() -> None:
    table = table_of(1)
    now_s = START_S + 40 * DAY_S
    refreshed(table, now_s)
    back_s = 3 * 1024  # it lost its clock
    assert table.resolve(eid(0, back_s), now_s) is None
    assert searched(table, now_s) == [(eid(0, back_s), "n0")]
    clock = table.clock("n0")
    assert clock is not None
    again, anew = EidTable(ecb), table_of(1)
    again.restore("n0", key(0), K, clock, now_s + 3600)
    refreshed(anew, now_s + 3600)
    later = eid(0, back_s + 3600)
    assert again.resolve(later, now_s + 3600) == "n0"
    assert anew.resolve(later, now_s + 3600) is None
    assert searched(anew, now_s + 3600) == [(later, "n0")]
    assert anew.clock("nobody") is None
