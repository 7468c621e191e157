"""Batches: what goes in comes out, another reader agrees, and no bytes do harm."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_sdk.wire.batch import (
    MAX_PLAINTEXT,
    MAX_TOUCHPOINTS,
    BatchError,
    TooLarge,
    decode_columns,
    decode_rows,
    encode_columns,
    encode_rows,
)
from edge_sdk.wire.packing import pack
from edge_sdk.wire.touchpoint import Touchpoint, check, make
from tests.vectors import make_wire
from tests.wire import other_reader, strategies
from tests.wire.refusals import read_or_refused

Encode = Callable[[list[Touchpoint]], bytes]
Decode = Callable[[bytes], list[Touchpoint]]

SLOW = [HealthCheck.too_slow]  # a batch takes a busy machine long to draw

CODECS = pytest.mark.parametrize(
    ("form", "encode", "decode"),
    [("rows", encode_rows, decode_rows), ("columns", encode_columns, decode_columns)],
    ids=["rows", "columns"],
)


def padded(touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    """As columns give them back: opaque touchpoints of a type are as wide as the widest of it."""
    width: dict[int, int] = {}
    for t in touchpoints:
        width[t.code] = max(width.get(t.code, 0), len(t.values))
    return [
        Touchpoint(t.code, t.at_ms, t.values + (None,) * (width[t.code] - len(t.values)))
        for t in touchpoints
    ]


@CODECS
@given(touchpoints=strategies.BATCHES)
@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
def test_what_goes_in_comes_out(
    form: str, encode: Encode, decode: Decode, touchpoints: list[Touchpoint]
) -> None:
    for touchpoint in touchpoints:
        check(touchpoint)
    plaintext = encode(touchpoints)
    expected = padded(touchpoints) if form == "columns" else touchpoints
    assert decode(plaintext) == expected
    read = other_reader.read(form, plaintext)
    assert read == [(t.code, t.at_ms, t.values) for t in expected]
    assert encode(decode(plaintext)) == plaintext


@CODECS
@given(
    touchpoints=strategies.SMALL_BATCHES,
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
)
@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
def test_a_changed_batch_is_read_or_refused(
    form: str,
    encode: Encode,
    decode: Decode,
    touchpoints: list[Touchpoint],
    changes: list[tuple[int, int]],
) -> None:
    plaintext = bytearray(encode(touchpoints))
    for at, byte in changes:
        plaintext[at % len(plaintext)] = byte
    read_or_refused(BatchError, decode, bytes(plaintext))


# Values that come close to a batch, which arbitrary bytes hardly ever do.
near_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.sampled_from([0, 1, 2, 6, 28, 999, 4096, 4097])
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@CODECS
@given(value=near_values, plaintext=st.binary(max_size=200))
@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
def test_whatever_is_read_could_have_been_captured(
    form: str, encode: Encode, decode: Decode, value: Any, plaintext: bytes
) -> None:
    for candidate in (msgpack.packb(value), plaintext):
        try:
            touchpoints = decode(candidate)
        except BatchError:
            continue
        assert 0 < len(touchpoints) <= MAX_TOUCHPOINTS
        for touchpoint in touchpoints:
            check(touchpoint)


@CODECS
def test_every_truncation_of_every_vector_is_refused(
    form: str, encode: Encode, decode: Decode
) -> None:
    cases = json.loads(make_wire.WIRE.read_text("utf-8"))["batches"]
    mine = [bytes.fromhex(case["plaintext"]) for case in cases if case["form"] == form]
    for plaintext in mine:
        for size in range(0, len(plaintext), 1 + len(plaintext) // 300):
            with pytest.raises(BatchError):
                decode(plaintext[:size])


BOMBS = {
    "a nil for each of 65,000 columns": [0, [], [999, 4096], 0, [[None] * 65_000]],
    "as many columns as may be": [0, [], [999, 4096], 0, [[None] * 64]],
    "later columns of a known type": [0, [], [2, 4096], 0, [[None] * 65_000]],
    "one long text 4096 times": [0, [], [6, 4096], 0, [["x" * 16_384] * 3]],
    "a type for each touchpoint": [
        *(0, [], [n for code in range(1000, 5096) for n in (code, 1)], 0),
        [[None] * 8] * 4096,
    ],
    "arrays within arrays": [[[[[[[]] * 8_000] * 2]]]],
}


@CODECS
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_memory_is_bounded(form: str, encode: Encode, decode: Decode, bomb: Any) -> None:
    plaintext = pack(bomb)
    assert len(plaintext) <= MAX_PLAINTEXT + 16_384
    tracemalloc.start()
    try:
        read_or_refused(BatchError, decode, plaintext)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 << 20


@CODECS
def test_a_batch_is_as_large_as_a_message_allows(form: str, encode: Encode, decode: Decode) -> None:
    small = [make("custom", 0, data=bytes(16_000))] * 4
    room = MAX_PLAINTEXT - len(encode([*small, make("custom", 0, data=bytes(1000))])) + 1000
    full = [*small, make("custom", 0, data=bytes(room))]
    assert len(encode(full)) == MAX_PLAINTEXT
    assert decode(encode(full)) == full
    with pytest.raises(TooLarge):
        encode([*small, make("custom", 0, data=bytes(room + 1))])


def test_equal_sightings_cost_few_bytes() -> None:
    batch = [
        make(
            "sighting",
            1_800_000_000_000 + 20 * at,
            receiver="ceiling-4",
            beacon=f"ble:c0ffee{at % 10:06x}",
            window_ms=1000,
            readings=9 + at % 3,
            rssi_median_dbm=-60 - at % 9,
            rssi_spread_db=4,
        )
        for at in range(50)
    ]
    assert len(encode_columns(batch)) / len(batch) <= 12
