"""The bulk mix: its file is up to date, and the touchpoints that are sent follow it."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from edge_sdk.wire.batch import decode_columns, encode_columns
from edge_sdk.wire.touchpoint import check
from simulators.mix import bulk, draw_up

MIX = Path(__file__).parents[1] / "data" / "mix.json"


def test_the_file_is_what_would_be_drawn_up_now() -> None:
    # If not: store-simulator mix > tests/data/mix.json
    assert json.loads(MIX.read_text(encoding="utf-8")) == draw_up()


def test_shares_add_up_to_one() -> None:
    assert sum(json.loads(MIX.read_text(encoding="utf-8"))["shares"].values()) == pytest.approx(
        1, abs=1e-5
    )


def test_bulk_follows_the_mix() -> None:
    shares = json.loads(MIX.read_text(encoding="utf-8"))["shares"]
    sent = Counter(touchpoint.name for touchpoint in bulk(40_000, seed=1))
    assert set(sent) == set(shares)
    for name, share in shares.items():
        assert sent[name] / 40_000 == pytest.approx(share, rel=0.3, abs=0.0003), name
    assert sent["sighting"] / 40_000 == pytest.approx(shares["sighting"], abs=0.02)


def test_bulk_is_the_same_for_a_seed_and_as_long_as_asked() -> None:
    assert list(bulk(500, seed=2)) == list(bulk(500, seed=2))
    assert list(bulk(500, seed=2)) == list(bulk(800, seed=2))[:500]
    assert list(bulk(500, seed=2)) != list(bulk(500, seed=3))
    assert list(bulk(0, seed=2)) == []


def test_bulk_has_the_cardinalities_of_a_busy_store() -> None:
    touchpoints = list(bulk(20_000, seed=1))
    assert len({t.get("receiver") for t in touchpoints if t.name == "sighting"}) == 12
    for first in range(0, 20_000, 1_000):
        some = touchpoints[first : first + 1_000]
        assert 5 <= len({t.get("beacon") for t in some if t.name == "sighting"}) <= 45
    assert len({t.get("beacon") for t in touchpoints if t.name == "sighting"}) > 80


def test_bulk_goes_forward_in_time_turn_after_turn() -> None:
    times = [touchpoint.at_ms or 0 for touchpoint in bulk(20_000, seed=1)]
    assert all(after - before > -1_000 for before, after in pairwise(times))
    assert times[-1] - times[0] > 300_000


def test_visits_of_bulk_close_at_most_once_and_after_they_opened() -> None:
    opened: set[tuple[int, str]] = set()
    closed: set[tuple[int, str]] = set()
    numbers: set[int] = set()
    for touchpoint in bulk(30_000, seed=1):
        visit = (touchpoint.get("visit"), touchpoint.get("visitor"))
        if touchpoint.name == "visit.enter":
            assert touchpoint.get("visit") not in numbers
            numbers.add(touchpoint.get("visit"))
            opened.add(visit)
            assert visit not in closed
        elif touchpoint.name == "visit.exit":
            assert visit not in closed
            closed.add(visit)
    assert len(opened & closed) > 200


def test_bulk_can_be_sealed_in_batches_of_fifty() -> None:
    touchpoints = list(bulk(5_000, seed=1))
    for touchpoint in touchpoints:
        check(touchpoint)
    for first in range(0, 5_000, 50):
        batch = touchpoints[first : first + 50]
        assert decode_columns(encode_columns(batch)) == batch
