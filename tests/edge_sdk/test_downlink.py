"""What the bridge says: current epoch and incarnation, each message once, never a changed bit."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.downlink import Downlink
from edge_sdk.epoch import Epoch
from edge_sdk.key_slots import KeySlots
from edge_sdk.wire import control, seal
from edge_sdk.wire.topics import DOWN, topic
from tests.edge_sdk.homes import DEVICE, enrolled

SUITE = AesCcm()
TOPIC = topic("acme", DOWN, DEVICE)
FIRST, SECOND = b"\1" * 8, b"\2" * 8


@pytest.fixture
def epoch(tmp_path: Path) -> Epoch:
    slots = KeySlots(enrolled(tmp_path), SUITE)
    Epoch(slots, SUITE)
    return Epoch(slots, SUITE)


def ack(epoch: Epoch, seq: int, incarnation: bytes = FIRST, **other: Any) -> bytes:
    """A sealed acknowledgement; `other` says what its header has wrong."""
    header = seal.Header(
        other.get("kind", seal.ACK),
        other.get("generation", 0),
        other.get("device", DEVICE),
        other.get("of_epoch", epoch.number),
        seq,
        incarnation,
    )
    key = SUITE.hmac(epoch.down_key, incarnation)
    return seal.seal_down(SUITE, header, key, control.encode_ack([(1, 0, 3)]))


def test_a_message_opens_once(epoch: Epoch) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    message = ack(epoch, 5)
    opened = downlink.open(TOPIC, message)
    assert opened is not None
    assert control.decode_ack(opened[1]) == [(1, 0, 3)]
    assert downlink.open(TOPIC, message) is None
    assert downlink.refused == {"replay": 1}


def test_order_does_not_matter_within_the_window(epoch: Epoch) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    order = [0, 2000, 1999, 1500, 977, 976, 2001, 1500, 0]
    taken = [downlink.open(TOPIC, ack(epoch, seq)) is not None for seq in order]
    assert taken == [True, True, True, True, True, False, True, False, False]
    assert downlink.refused == {"replay": 3}


def test_a_new_incarnation_retires_the_one_before_for_good(epoch: Epoch) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    assert downlink.open(TOPIC, ack(epoch, 0, FIRST))
    assert downlink.open(TOPIC, ack(epoch, 0, SECOND))
    assert downlink.open(TOPIC, ack(epoch, 1, FIRST)) is None
    assert downlink.open(TOPIC, ack(epoch, 1, SECOND))
    assert downlink.refused == {"incarnation": 1}


@pytest.mark.parametrize(
    ("reason", "wrong"),
    [
        ("epoch", {"of_epoch": 0}),
        ("epoch", {"of_epoch": 2}),
        ("generation", {"generation": 1}),
        ("topic", {"device": 43}),
        ("direction", {"kind": seal.ROWS}),
        ("kind", {"kind": 15}),
    ],
)
def test_what_is_not_for_us_now_is_refused(
    epoch: Epoch, reason: str, wrong: dict[str, Any]
) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    assert downlink.open(TOPIC, ack(epoch, 0, **wrong)) is None
    assert downlink.refused == {reason: 1}


def test_another_topic_is_refused(epoch: Epoch) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    assert downlink.open(topic("acme", DOWN, 43), ack(epoch, 0)) is None
    assert downlink.open("something/else", ack(epoch, 0)) is None
    assert downlink.refused == {"topic": 2}


def test_every_flipped_bit_and_every_truncation_is_refused_and_changes_nothing(
    epoch: Epoch,
) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    assert downlink.open(TOPIC, ack(epoch, 0))
    message = ack(epoch, 1)
    for bit in range(8 * len(message)):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        assert downlink.open(TOPIC, bytes(changed)) is None, bit
    for size in range(len(message)):
        assert downlink.open(TOPIC, message[:size]) is None, size
    assert downlink.open(TOPIC, message)
    assert downlink.open(TOPIC, ack(epoch, 2))


def test_an_oversized_message_is_refused(epoch: Epoch) -> None:
    downlink = Downlink(SUITE, epoch, Counter())
    assert downlink.open(TOPIC, ack(epoch, 0) + bytes(65_535)) is None
    assert downlink.refused == {"oversized": 1}
