"""The seal: what was sealed opens, by its own key, number and direction alone."""

import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_sdk.wire import keys, seal
from edge_sdk.wire.seal import Header, Refused
from edge_sdk.wire.suite import Suite
from tests.wire.suites import KIOSK, PORTABLE, SUITES

uint32 = st.integers(0, (1 << 32) - 1)
key16 = st.binary(min_size=16, max_size=16)
key32 = st.binary(min_size=32, max_size=32)

headers_up = st.builds(
    Header,
    st.sampled_from(seal.UP_KINDS),
    st.integers(0, 255),
    uint32,
    uint32,
    st.integers(0, keys.MAX_SEQ),
)
headers_down = st.builds(
    Header,
    st.sampled_from(seal.DOWN_KINDS),
    st.integers(0, 255),
    uint32,
    uint32,
    uint32,
    st.binary(min_size=8, max_size=8),
)


@given(header=headers_up, key=key16, plaintext=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_up_is_the_page(header: Header, key: bytes, plaintext: bytes) -> None:
    message = seal.seal_up(KIOSK, header, key, plaintext)
    head = struct.pack(
        ">BBIII", 0x10 | header.kind, header.generation, header.device, header.epoch, header.seq
    )
    nonce = b"\0" + struct.pack(">II", header.epoch, header.seq) + bytes(4)
    assert message == head + AESCCM(key).encrypt(nonce, plaintext, head)
    assert message == seal.seal_up(PORTABLE, header, key, plaintext)
    read = seal.read_header(message, seal.UP_KINDS)
    assert read.raw == header.raw
    assert seal.open_up(KIOSK, read, key, message) == plaintext


@given(header=headers_down, key=key32, plaintext=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_down_is_the_page(header: Header, key: bytes, plaintext: bytes) -> None:
    message = seal.seal_down(KIOSK, header, key, plaintext)
    head = struct.pack(
        ">BBIII", 0x10 | header.kind, header.generation, header.device, header.epoch, header.seq
    )
    head += header.incarnation
    nonce = b"\1" + struct.pack(">II", header.epoch, header.seq) + bytes(4)
    message_key = KIOSK.hmac(key, struct.pack(">I", header.seq))[:16]
    assert message == head + AESCCM(message_key).encrypt(nonce, plaintext, head)
    assert message == seal.seal_down(PORTABLE, header, key, plaintext)
    read = seal.read_header(message, seal.DOWN_KINDS)
    assert (read.raw, read.incarnation) == (header.raw, header.incarnation)
    assert seal.open_down(KIOSK, read, key, message) == plaintext


@given(header=headers_up, key=key16, data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_other_bytes_open(header: Header, key: bytes, data: st.DataObject) -> None:
    message = seal.seal_up(KIOSK, header, key, data.draw(st.binary(max_size=40)))
    other = data.draw(
        st.binary(max_size=len(message) + 9)
        | st.binary(min_size=len(message), max_size=len(message))
        | st.tuples(st.integers(0, len(message) - 1), st.integers(1, 255)).map(
            lambda change: (
                message[: change[0]]
                + bytes([message[change[0]] ^ change[1]])
                + message[change[0] + 1 :]
            )
        )
    )
    assume(other != message)
    with pytest.raises(Refused):
        seal.open_up(KIOSK, seal.read_header(other, seal.UP_KINDS), key, other)


@given(message=st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_a_header_is_read_or_refused_under_a_name_of_the_page(message: bytes) -> None:
    for kinds in (seal.UP_KINDS, seal.DOWN_KINDS):
        reason = ""
        try:
            assert message.startswith(seal.read_header(message, kinds).raw)
        except Refused as refused:
            reason = refused.reason
        assert reason in ("", "truncated", "version", "kind", "direction", "sequence")


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES.keys())
def test_a_message_may_lie_in_any_kind_of_bytes(suite: Suite) -> None:
    header = Header(seal.ROWS, 0, 42, 1, 2)
    message = seal.seal_up(suite, header, bytes(16), b"plaintext")
    for form in (bytearray(message), memoryview(message)):
        assert seal.read_header(bytes(form), seal.UP_KINDS).raw == header.raw
