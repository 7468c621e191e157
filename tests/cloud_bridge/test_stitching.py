"""Pieces of a stay come to one visit, however it was cut and in whatever order they are told."""

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge import stitching
from cloud_bridge.stitching import (
    DWELL,
    ENTER,
    EXIT,
    GAP_MS,
    LONGEST_MS,
    OPEN_MS,
    SETTLED_MS,
    News,
    Piece,
    Source,
    Stays,
    dwell_of,
    piece_of,
)

T0 = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
LOTS = settings(max_examples=40, deadline=None)
A: Source = (1, 0, 0)
B: Source = (2, 0, 0)

Said = tuple[int, int, Source, int, str, int]  # code, ms, by whom, its visit, zone, dwell


def pieces(said: Iterable[Said]) -> list[Piece]:
    made = []
    for code, at_ms, source, visit, zone, dwell_ms in said:
        rest = (90, None, None) if code == ENTER else (dwell_ms, 90, None, None)
        piece = piece_of(code, at_ms, (visit, 7, zone, *rest), "paris", source)
        assert piece is not None
        made.append(piece)
    return made


def enter(at: int, visit: int, source: Source = A, zone: str = "coffee") -> Said:
    return ENTER, T0 + at, source, visit, zone, 0


def dwell(at: int, visit: int, dwell_ms: int, source: Source = A, zone: str = "coffee") -> Said:
    return DWELL, T0 + at, source, visit, zone, dwell_ms


def leave(at: int, visit: int, dwell_ms: int, source: Source = A, zone: str = "coffee") -> Said:
    return EXIT, T0 + at, source, visit, zone, dwell_ms


def heard(*said: Said) -> tuple[Stays, list[News]]:
    stays = Stays()
    return stays, [stays.hear(piece) for piece in pieces(said)]


def counted(*said: Said) -> list[int]:
    """How many visits there were after each."""
    stays, found = Stays(), []
    for piece in pieces(said):
        stays.hear(piece)
        found.append(stays.visits)
    return found


def test_a_rotation_is_no_end_and_no_beginning() -> None:
    """Gateway A lets visit 17 exit after visit 18 of the new identifier has begun."""
    stays, news = heard(
        enter(0, 17),
        dwell(30_000, 17, 30_000),
        enter(65_000, 18),
        leave(80_000, 17, 60_000),
        dwell(95_000, 18, 30_000),
        leave(140_000, 18, 75_000),
    )
    assert [n.begins for n in news] == [True, False, False, False, False, False]
    assert stays.visits == 1
    assert dwell_of(stays.open()[0]) == 140_000
    assert stays.dwell_ms == 140_000


@pytest.mark.parametrize(("gap_ms", "visits"), [(0, 1), (GAP_MS, 1), (GAP_MS + 1, 2)])
def test_whoever_is_back_at_once_has_not_left(gap_ms: int, visits: int) -> None:
    stays, _ = heard(enter(0, 1), leave(MINUTE, 1, MINUTE), enter(MINUTE + gap_ms, 2))
    assert stays.visits == visits


def test_another_zone_or_site_is_another_visit() -> None:
    stays, news = heard(enter(0, 1), enter(10, 2, zone="door"), enter(20, 1, B))
    assert [n.begins for n in news] == [True, True, False]
    elsewhere = piece_of(ENTER, T0, (9, 7, "coffee", 90, None, None), "rome", A)
    assert elsewhere is not None
    assert stays.hear(elsewhere).begins
    assert stays.visits == 3


def test_who_never_said_that_she_left_is_believed_for_an_hour() -> None:
    for at_ms, visits in ((OPEN_MS + GAP_MS, 1), (OPEN_MS + GAP_MS + 1, 2)):
        stays, _ = heard(enter(0, 1), enter(at_ms, 2))
        assert stays.visits == visits


def test_a_late_piece_joins_two_stays_to_one() -> None:
    said = (
        enter(0, 1),
        leave(MINUTE, 1, MINUTE),
        enter(5 * MINUTE, 3),
        leave(6 * MINUTE, 3, MINUTE),
        leave(5 * MINUTE, 9, 4 * MINUTE, B),
    )
    assert counted(*said) == [1, 1, 2, 2, 1]
    stays, _ = heard(*said)
    assert stays.dwell_ms == 6 * MINUTE


def test_a_device_that_restarted_counts_its_visits_anew() -> None:
    again: Source = (1, 0, 1)
    stays, _ = heard(enter(0, 1), leave(MINUTE, 1, MINUTE), enter(HOUR, 1, again))
    assert stays.visits == 2


def test_what_is_news() -> None:
    """A continuation's dwell is none until the stay is longer than was told."""
    said = [enter(0, 1), dwell(60_000, 1, 60_000), enter(70_000, 2), dwell(80_000, 2, 10_000)]
    said += [dwell(250_000, 2, 180_000)]
    stays = Stays()
    told = []
    for code, at_ms, source, visit, zone, dwell_ms in said:
        rest = (90, None, None) if code == ENTER else (dwell_ms, 90, None, None)
        values = (visit, 7, zone, *rest)
        piece = piece_of(code, at_ms, values, "paris", source)
        assert piece is not None
        told.append(stays.hear(piece).is_news(code, values))
    assert told == [True, True, False, False, True]


def test_what_devices_may_say_is_bounded() -> None:
    assert piece_of(ENTER, T0, (None, 7, "z", 90, None, None), "s", A) is None
    for said_ms in (-5, 1 << 63):
        piece = piece_of(DWELL, T0, (1, 7, None, said_ms, 90, None, None), "s", A)
        assert piece is not None
        assert 0 <= piece.dwell_ms <= LONGEST_MS
        assert piece.zone == ""
    long = piece_of(ENTER, T0, (1, 7, "z" * 9000, 90, -1, None), "s", A)
    assert long is not None
    assert len(long.zone) == 64
    assert long.began_ms == T0


def cut(lot: random.Random) -> tuple[int, list[Said]]:
    """A stay, and what some devices say of the pieces into which they cut it."""
    length_ms = lot.choice((1000, 50 * MINUTE, lot.randrange(1000, 5 * HOUR)))
    said: list[Said] = []
    for source in lot.choice(([A], [A, B], [A, B, (3, 1, 4)])):
        at_ms, visit = 0, lot.randrange(3)
        while True:
            end_ms = min(length_ms, at_ms + lot.randrange(MINUTE, 40 * MINUTE))
            visit += 1
            said.append(enter(at_ms, visit, source))
            marks = [ms for ms in (10_000, 30_000, MINUTE, 10 * MINUTE) if ms < end_ms - at_ms]
            said += [dwell(at_ms + ms, visit, ms, source) for ms in marks]
            said.append(leave(end_ms, visit, end_ms - at_ms, source))
            if end_ms == length_ms:
                break
            at_ms = max(0, end_ms + lot.randrange(-20_000, GAP_MS + 1))
    return length_ms, said


@LOTS
@given(st.randoms(use_true_random=True))
def test_however_a_stay_is_cut_and_told_it_is_one_visit(lot: random.Random) -> None:
    length_ms, said = cut(lot)
    wanted, _ = heard(*said)
    assert (wanted.visits, wanted.dwell_ms) == (1, length_ms)
    lot.shuffle(said)
    stays, news = heard(*said)
    assert stays.visits == 1
    assert news[-1].stays is stays
    assert stays.dwell_ms == length_ms
    if len(said) <= stitching.MAX_PIECES:  # nothing had to be merged on the way
        assert stays == wanted
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stays), type=Stays) == stays


@LOTS
@given(st.randoms(use_true_random=True))
def test_in_order_only_the_first_enter_is_news(lot: random.Random) -> None:
    _, said = cut(lot)
    lot.shuffle(said)
    said.sort(key=lambda one: one[1])
    _, news = heard(*said)
    assert [n.begins for n in news] == [True] + [False] * (len(news) - 1)


@LOTS
@given(st.randoms(use_true_random=True))
def test_days_of_stays_come_to_the_same_if_nothing_is_later_than_the_bound(
    lot: random.Random,
) -> None:
    """Stays an hour apart; everything may come up to twelve hours late."""
    said: list[Said] = []
    for n in range(40):
        begin_ms = n * 3 * HOUR + lot.randrange(HOUR)
        length_ms = lot.randrange(1, 50 * MINUTE)
        zone = lot.choice(("coffee", "door"))
        for source in (A, B):
            said.append(enter(begin_ms, n, source, zone))
            said.append(leave(begin_ms + length_ms, n, length_ms, source, zone))
    wanted, _ = heard(*said)
    assert wanted.visits == 40
    assert len(wanted.pieces) < 40
    late = sorted(said, key=lambda one: one[1] + lot.randrange(LONGEST_MS))
    found, _ = heard(*late)
    assert found == wanted


def test_memory_is_bounded_whatever_comes() -> None:
    stays = Stays()
    for n in range(1000):
        for piece in pieces([enter(n * 1000, n), leave(n * 1000 + 500, n, 500)]):
            stays.hear(piece)
            assert len(stays.pieces) <= stitching.MAX_PIECES
    assert stays.visits == 1
    assert stays.dwell_ms == 999_500
    for n in range(1000):
        (piece,) = pieces([enter(n * 3 * HOUR, n, B, zone=f"zone {n}")])
        stays.hear(piece)
        assert len(stays.pieces) <= stitching.MAX_PIECES
    assert stays.visits == 1001
    assert SETTLED_MS > 0
