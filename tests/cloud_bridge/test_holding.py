"""What is missing is told of a stored holding as of the holding itself, without its keys."""

from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.holding import Holding, missing_in
from edge_sdk.wire.keys import Ratchet
from tests.cloud_bridge.little_device import SUITE

CHAIN_KEY = bytes(range(32))


@given(st.sets(st.integers(0, 60)), st.none() | st.integers(0, 60))
def test_missing_is_the_same_with_and_without_keys(held: set[int], last: int | None) -> None:
    holding = Holding.of_epoch(SUITE, CHAIN_KEY)
    ratchet = Ratchet.of_epoch(SUITE, CHAIN_KEY)
    for seq in sorted(held):
        holding.take(ratchet.at(seq))
    if last is not None:
        holding.end_at(last)
    assert missing_in(holding.to_bytes()) == holding.missing()
