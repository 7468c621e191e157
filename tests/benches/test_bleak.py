"""The cost of an update through bleak is that of updates which all arrived."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("MISSING: BlueZ, which bleak scans by, is Linux's", allow_module_level=True)

from benches import _bleak
from edge_sdk.sources.reading import Reading


def test_every_update_arrives_by_both_ways() -> None:
    heard: list[Reading] = []
    cost = _bleak.cost(updates=500, devices=20, hear=heard.append)
    assert len(heard) == 500
    assert len({reading.beacon for reading in heard}) == 20
    assert cost.us_bleak > 0
    assert cost.us_source > 0
