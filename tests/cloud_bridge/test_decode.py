"""The bridge's decoder gives the answers of the reference decoder, to good and bad plaintexts."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud_bridge.decode import decode
from edge_sdk.wire.batch import (
    COLUMNS,
    MAX_PLAINTEXT,
    ROWS,
    BatchError,
    decode_columns,
    decode_rows,
    encode_columns,
    encode_rows,
)
from edge_sdk.wire.seal import DEFLATED
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.wire.strategies import BATCHES, SMALL_BATCHES

REFERENCE: dict[int, Callable[[bytes], list[Touchpoint]]] = {
    ROWS: decode_rows,
    COLUMNS: decode_columns,
}
FORMS = {"rows": ROWS, "columns": COLUMNS}
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire.json").read_text())
FEW = [make("visit.enter", 1_800_000_000_000, visit=1, visitor="ble:1", zone="z")] * 3


def answer(decoder: Callable[[bytes], list[Touchpoint]], plaintext: bytes) -> object:
    try:
        return decoder(plaintext)
    except BatchError:
        return "malformed"


def agree(kind: int, plaintext: bytes) -> object:
    ours = answer(lambda data: decode(kind, data).touchpoints(), plaintext)
    theirs = answer(REFERENCE[kind], plaintext)
    assert ours == (filled(theirs) if isinstance(theirs, list) else theirs)
    return ours


def filled(touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    """Those of one unknown type with as many values as the longest of them, as in columns."""
    longest: dict[int, int] = {}
    for t in touchpoints:
        longest[t.code] = max(longest.get(t.code, 0), len(t.values))
    missing = [(None,) * (longest[t.code] - len(t.values)) for t in touchpoints]
    return [
        Touchpoint(t.code, t.at_ms, t.values + nils)
        for t, nils in zip(touchpoints, missing, strict=True)
    ]


def deflated(data: bytes) -> bytes:
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize("vector", VECTORS["batches"], ids=lambda v: f"{v['name']}-{v['form']}")
def test_every_vector_is_decoded(vector: dict[str, Any]) -> None:
    assert agree(FORMS[vector["form"]], bytes.fromhex(vector["plaintext"])) != "malformed"


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS["malformed"] if vector["form"] in FORMS],
    ids=lambda vector: f"{vector['name']}-{vector['form']}",
)
def test_every_malformed_vector_is_refused(vector: dict[str, Any]) -> None:
    assert agree(FORMS[vector["form"]], bytes.fromhex(vector["plaintext"])) == "malformed"


@given(BATCHES)
def test_whatever_can_be_encoded_is_decoded(touchpoints: list[Touchpoint]) -> None:
    assert agree(ROWS, encode_rows(touchpoints)) == filled(touchpoints)
    columns = encode_columns(touchpoints)
    agree(COLUMNS, columns)
    inflated = decode(DEFLATED, deflated(columns)).touchpoints()
    assert inflated == decode(COLUMNS, columns).touchpoints()


@given(SMALL_BATCHES, st.data())
@settings(max_examples=150)
def test_both_decoders_agree_on_damaged_batches(
    touchpoints: list[Touchpoint], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from((ROWS, COLUMNS)))
    plaintext = bytearray((encode_rows, encode_columns)[kind](touchpoints))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(plaintext) - 1))
        plaintext[at] = data.draw(st.integers(0, 255))
    agree(kind, bytes(plaintext))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.sampled_from((0, 1, 2, 255, 256, -1, 28, 1 << 53))
    | st.floats()
    | st.sampled_from(("", "a", "a:b", "z" * 600))
    | st.binary(max_size=4)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(st.lists(ANYTHING, max_size=7), st.sampled_from((ROWS, COLUMNS)))
@settings(max_examples=150)
def test_both_decoders_agree_on_any_array(parts: list[object], kind: int) -> None:
    agree(kind, msgspec.msgpack.encode(parts))


COLUMN = SCALARS | st.lists(SCALARS, min_size=2, max_size=2) | st.binary(min_size=2, max_size=2)


@given(
    st.sampled_from((1, 2, 12, 28, 999)),
    st.lists(st.sampled_from(("ble:1", "zone", "z" * 600, "z:" + "z" * 600)), max_size=3),
    st.lists(COLUMN, max_size=9),
    st.lists(ANYTHING, max_size=2),
)
@settings(max_examples=150)
@example(1, ["ble:1"], [b"\1\1", b"\1\0", 5, [1, None], [61, -20], None, {"a": 1}], [])
@example(1, [], [None] * 6 + [[[[[[1]]]]]], [])
def test_both_decoders_agree_on_any_columns(
    code: int, words: list[str], columns: list[object], more: list[object]
) -> None:
    agree(COLUMNS, msgspec.msgpack.encode([1000, words, [code, 2], 1, [columns], *more]))


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xc0\xa1\xff",
        b"\x92\xd6\xff\0\0\0\0\x93\x02\x00\x00",
        encode_rows(FEW) + b"\0",
    ],
    ids=["empty", "deep", "claims 4 G", "not UTF-8", "timestamp", "more follows"],
)
def test_hostile_bytes_are_refused(plaintext: bytes) -> None:
    for kind in (ROWS, COLUMNS, DEFLATED):
        with pytest.raises(BatchError):
            decode(kind, plaintext)


def test_a_deflated_batch_ends_where_its_message_does() -> None:
    whole = deflated(encode_columns(FEW))
    for end in range(len(whole)):
        with pytest.raises(BatchError):
            decode(DEFLATED, whole[:end])
    with pytest.raises(BatchError):
        decode(DEFLATED, whole + b"\0")


def test_inflating_stops_at_the_limit() -> None:
    """A batch may fill it to the last byte, with what a later version adds."""
    batch = [1000, [], [4, 1], 0, [[None]]]
    room = MAX_PLAINTEXT - len(msgspec.msgpack.encode([*batch, b""])) - 1
    fits = msgspec.msgpack.encode([*batch, bytes(room)])
    assert len(fits) == MAX_PLAINTEXT
    assert len(decode(DEFLATED, deflated(fits))) == 1
    with pytest.raises(BatchError):
        decode(DEFLATED, deflated(msgspec.msgpack.encode([*batch, bytes(room + 1)])))
    with pytest.raises(BatchError):
        decode(DEFLATED, deflated(bytes(50_000_000)))
