"""The way down: ranges, numbers that are never used twice, and prompts until an outcome."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.dispatch import Downlink, Outstanding, row_of
from cloud_bridge.receiving import Ear
from edge_sdk.wire import control
from edge_sdk.wire.seal import ACK, DOWN_KINDS, MAX_MESSAGE, open_down, read_header
from tests.cloud_bridge.little_device import SUITE

INCARNATION = b"12345678"
EAR = Ear(0, 5, b"k" * 32)
PROMPT = control.Prompt(7, 10_000, "kiosk", "Try", "one", "tasting", ("zone bar",))


def opened(ear: Ear, message: bytes) -> bytes:
    header = read_header(message, DOWN_KINDS)
    key = SUITE.hmac(ear.down_key, header.incarnation)
    return open_down(SUITE, header, key, message)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1))
def test_acknowledgements_are_the_fewest_ranges(held: list[tuple[int, int]]) -> None:
    downlink = Downlink(SUITE, "acme", INCARNATION)
    ((topic, message, qos),) = downlink.acknowledge(EAR, 42, held)
    assert (topic, qos) == ("edge/1/acme/down/0000002a", 0)
    ranges = control.decode_ack(opened(EAR, message))
    covered = [(epoch, seq) for epoch, first, last in ranges for seq in range(first, last + 1)]
    assert covered == sorted(set(held))
    assert all(one[0] < two[0] or one[2] + 1 < two[1] for one, two in pairwise(ranges))


def test_many_ranges_become_several_messages() -> None:
    held = [(1 << 31, seq) for seq in range(0, 65_536, 2)]
    messages = [message for _, message, _ in Downlink(SUITE, "acme", b"").acknowledge(EAR, 1, [])]
    assert messages == []
    told = list(Downlink(SUITE, "acme", INCARNATION).acknowledge(EAR, 1, held))
    assert len(told) == 8
    assert all(len(message) <= MAX_MESSAGE for _, message, _ in told)
    assert sum(len(control.decode_ack(opened(EAR, message))) for _, message, _ in told) == len(held)
    refused = [(epoch, seq, "busy") for epoch, seq in held]
    _, message, qos = Downlink(SUITE, "acme", INCARNATION).refuse(EAR, 1, refused)
    assert len(control.decode_refusal(opened(EAR, message))) == 4096
    assert qos == 1


def test_no_number_is_used_twice_in_one_start_whatever_the_epoch() -> None:
    downlink = Downlink(SUITE, "acme", INCARNATION)
    later = Ear(0, 6, b"l" * 32)
    messages = [
        downlink.prompt(ear, device, PROMPT)[1] for ear in (EAR, later, EAR) for device in (1, 2)
    ]
    headers = [read_header(message, DOWN_KINDS) for message in messages]
    assert [(header.device, header.seq) for header in headers] == [
        (1, 0),
        (2, 0),
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
    ]
    assert headers[0].kind != ACK
    assert control.decode_prompt(opened(EAR, messages[0])).title == "Try"


def dispatched(outstanding: Outstanding, now_s: float) -> list[tuple[int, int]]:
    """(prompt, life left) of what is due."""
    due, _ = outstanding.take_due(now_s)
    return [(prompt.id, prompt.ttl_ms) for _, prompt in due]


def test_a_prompt_leaves_at_growing_intervals_until_it_expires() -> None:
    outstanding = Outstanding()
    outstanding.add(row_of(PROMPT, 42, 1000), 10_000, 100.0)
    assert outstanding.next_s() == 100.0
    assert dispatched(outstanding, 100.0) == [(7, 10_000)]
    assert dispatched(outstanding, 101.9) == []
    assert dispatched(outstanding, 102.0) == [(7, 8000)]
    assert dispatched(outstanding, 106.0) == [(7, 4000)]
    due, expired = outstanding.take_due(110.0)
    assert due == []
    assert [(row.state, row.dispatches) for row in expired] == [("expired", 3)]
    assert len(outstanding) == 0
    assert outstanding.next_s() is None


def test_an_outcome_ends_it_and_a_new_start_of_its_device_hurries_it() -> None:
    outstanding = Outstanding()
    for id_ in (7, 8):
        outstanding.add(replace(row_of(PROMPT, 42, 1000), id=id_), 60_000, 0.0)
    assert len(dispatched(outstanding, 0.0)) == 2
    assert outstanding.settle(7, 43, "shown") is None
    settled = outstanding.settle(7, 42, "shown")
    assert settled is not None
    assert settled.state == "shown"
    assert outstanding.settle(7, 42, "shown") is None
    outstanding.hurry(43, 1.0)
    assert dispatched(outstanding, 1.0) == []
    outstanding.hurry(42, 1.0)
    assert [row.id for row, _ in outstanding.take_due(1.0)[0]] == [8]
    assert len(dispatched(outstanding, 3.0)) == 1
    assert dispatched(outstanding, 3.0) == []
