"""Enrolment tokens: they come back whole, or are refused without being repeated."""

import base64
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire.enrolment import Enrolment, EnrolmentError, from_token, to_token
from edge_sdk.wire.packing import pack

tenants = st.text("abcxyz0129-_.", min_size=1, max_size=32)
sites = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)


@given(
    tenant=tenants,
    site=sites,
    device=st.integers(0, (1 << 32) - 1),
    generation=st.integers(0, 255),
    secret=st.binary(min_size=32, max_size=32),
)
@settings(max_examples=100, deadline=None)
def test_a_token_comes_back(
    tenant: str, site: str, device: int, generation: int, secret: bytes
) -> None:
    token = to_token(Enrolment(tenant, site, device, generation, secret))
    assert token.isascii()
    assert not set(token) & set(" +/=\n")
    read = from_token(token)
    assert (read.tenant, read.site, read.device) == (tenant, site, device)
    assert (read.generation, read.secret) == (generation, secret)


@given(text=st.text(max_size=80) | st.text("edge1.AB-_=+/ \n").map("edge1.{}".format))
@settings(max_examples=200, deadline=None)
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(EnrolmentError) as refused:
        from_token(text)
    assert len(text) < 12 or text not in str(refused.value)


def test_a_repr_has_no_secret() -> None:
    enrolment = Enrolment("acme", "paris-1", 42, 0, b"secret" * 5 + b"!!")
    assert repr(enrolment) == "<Enrolment of device 0000002a of acme>"


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        ["acme", "paris-1", 42, 0],
        ["Acme", "paris-1", 42, 0, bytes(32)],
        ["", "paris-1", 42, 0, bytes(32)],
        [7, "paris-1", 42, 0, bytes(32)],
        ["acme", "", 42, 0, bytes(32)],
        ["acme", "s" * 65, 42, 0, bytes(32)],
        ["acme", b"paris", 42, 0, bytes(32)],
        ["acme", "paris-1", -1, 0, bytes(32)],
        ["acme", "paris-1", 1 << 32, 0, bytes(32)],
        ["acme", "paris-1", "42", 0, bytes(32)],
        ["acme", "paris-1", 42, -1, bytes(32)],
        ["acme", "paris-1", 42, 256, bytes(32)],
        ["acme", "paris-1", 42, None, bytes(32)],
        ["acme", "paris-1", 42, 0, bytes(31)],
        ["acme", "paris-1", 42, 0, bytes(33)],
        ["acme", "paris-1", 42, 0, "s" * 32],
        [[[[[[[]]]]]]],
    ],
)
def test_a_whole_token_with_other_parts_is_refused(parts: Any) -> None:
    with pytest.raises(EnrolmentError, match="something else"):
        from_token(written(pack(parts)))


def test_later_parts_are_left_alone() -> None:
    token = written(pack(["acme", "paris-1", 42, 0, bytes(32), "later"]))
    assert from_token(token).device == 42


def test_the_other_alphabet_of_base64_is_refused() -> None:
    token = written(pack(["acme", "paris-1", 42, 0, b"\xff" * 32]))
    assert from_token(token).secret == b"\xff" * 32
    with pytest.raises(EnrolmentError, match="mistyped"):
        from_token(token.replace("_", "/"))


def written(data: bytes) -> str:
    """A token with a good CRC around anything."""
    whole = data + struct.pack(">I", zlib.crc32(data))
    return "edge1." + base64.urlsafe_b64encode(whole).decode().rstrip("=")
