"""MessagePack in Python and in C: the same bytes, the same values, the same refusals."""

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_sdk.wire import packing
from edge_sdk.wire.packing import PackingError, pack, pack_portably, unpack, utf8
from tests.wire import strategies

scalars = (
    st.none()
    | st.booleans()
    | strategies.INTEGERS
    | strategies.TEXTS
    | st.sampled_from(
        [letter * size for letter in "a\u20ac" for size in (31, 32, 85, 86, 255, 256)]
    )
    | st.binary(max_size=40)
    | st.sampled_from([bytes(255), bytes(256)])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=18), max_leaves=30)


def depth(value: Any) -> int:
    """How many arrays lie within each other."""
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(value=values)
@settings(max_examples=120, deadline=None)
def test_python_and_c_write_the_same_bytes(value: Any) -> None:
    data = msgpack.packb(value)
    assert pack_portably(value) == pack(value) == data
    if depth(value) <= packing.MAX_DEPTH:
        assert unpack(data) == msgpack.unpackb(data) == value
    else:
        with pytest.raises(PackingError):
            unpack(data)


@given(value=st.tuples(scalars, st.lists(scalars)) | st.binary().map(bytearray))
@settings(max_examples=50, deadline=None)
def test_tuples_and_buffers_are_written_as_arrays_and_bytes(value: Any) -> None:
    assert pack_portably(value) == pack(value)


@pytest.mark.parametrize("size", [65_535, 65_536])
def test_the_longest_heads(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * size):
        assert pack_portably(value) == pack(value)
        assert unpack(pack(value)) == value


@given(data=st.binary(max_size=60) | values.map(msgpack.packb))
@example(data=b"\xc1")
@settings(max_examples=120, deadline=None)
def test_what_we_read_of_any_bytes_is_what_c_reads(data: bytes) -> None:
    try:
        value = unpack(data)
    except PackingError:
        return
    assert msgpack.unpackb(data, strict_map_key=False) == value


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_what_only_c_reads_is_not_of_the_wire(data: bytes) -> None:
    try:
        value = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError):
        with pytest.raises(PackingError):
            unpack(data)
        return
    try:
        assert unpack(data) == value
    except PackingError:
        assert foreign(value) or depth(value) > packing.MAX_DEPTH


def foreign(value: Any) -> bool:
    """Whether a value holds a form that the wire does not use."""
    if isinstance(value, list):
        return any(map(foreign, value))
    return isinstance(value, float | dict | msgpack.ExtType | msgpack.Timestamp)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (b"\xcc\x05", 5),
        (b"\xcd\x00\x05", 5),
        (b"\xce" + struct.pack(">I", 5), 5),
        (b"\xcf" + struct.pack(">Q", 5), 5),
        (b"\xd3" + struct.pack(">q", 5), 5),
        (b"\xd9\x01a", "a"),
        (b"\xda\x00\x01a", "a"),
        (b"\xdb\x00\x00\x00\x01a", "a"),
        (b"\xc6\x00\x00\x00\x01a", b"a"),
        (b"\xdd\x00\x00\x00\x01\xc0", [None]),
    ],
)
def test_longer_forms_are_read_but_never_written(form: bytes, value: Any) -> None:
    assert unpack(form) == value
    assert len(pack(value)) < len(form)


@given(
    text=st.text(st.characters(), max_size=20) | st.text(st.sampled_from("a\ud800\udfff\U0001f6d2"))
)
@settings(max_examples=200, deadline=None)
def test_a_text_has_utf8_or_cannot_be_sent(text: str) -> None:
    try:
        expected = text.encode()
    except UnicodeEncodeError:
        assert utf8(text) is None
    else:
        assert utf8(text) == expected


def test_errors_do_not_repeat_what_was_read() -> None:
    for data in (b"\x92\xa9secret-17", b"\xa9secret-17\xc0", b"\x92\xa9secret-17\xc1"):
        with pytest.raises(PackingError) as refused:
            unpack(data)
        assert "secret" not in str(refused.value)
