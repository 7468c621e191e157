"""Deflated batches: the same as plain columns, and a bomb, a torso or a tail is malformed."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.decode import decode
from edge_sdk.batching import encode
from edge_sdk.wire.batch import BatchError, encode_columns
from edge_sdk.wire.seal import COLUMNS, DEFLATED
from edge_sdk.wire.touchpoint import make

MANY = [make("sighting", 1000 + n, receiver="r1", beacon="ble:aa", window_ms=5) for n in range(50)]


def deflated(plaintext: bytes) -> bytes:
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return squeezer.compress(plaintext) + squeezer.flush()


def test_what_the_edge_sends_is_what_was_captured() -> None:
    [(kind, plaintext, count)] = encode(MANY)
    assert (kind, count) == (DEFLATED, 50)
    assert decode(kind, plaintext).touchpoints() == MANY
    assert decode(COLUMNS, encode_columns(MANY)).touchpoints() == MANY


def test_every_truncation_is_malformed() -> None:
    whole = deflated(encode_columns(MANY))
    for size in range(len(whole)):
        with pytest.raises(BatchError):
            decode(DEFLATED, whole[:size])


def test_a_tail_is_malformed() -> None:
    with pytest.raises(BatchError):
        decode(DEFLATED, deflated(encode_columns(MANY)) + b"\0")


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(BatchError):
        decode(DEFLATED, deflated(bytes(50_000_000)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_malformed_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(BatchError):
        decode(DEFLATED, noise)
