"""Enrolment tokens: they come back whole, or are refused without being repeated."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire.enrolment import Enrolment, EnrolmentError, from_token, to_token
from tests.wire.strategies import is_utf8

tenants = st.text("abcxyz0129-_.", min_size=1, max_size=32)
sites = st.text(min_size=1, max_size=64).filter(is_utf8)


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
