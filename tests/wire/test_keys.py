"""Keys: the schedule is the page's, moves forward only, and never meets itself."""

import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire import keys
from edge_sdk.wire.keys import MAX_SEQ, RUN, Ratchet
from tests.vectors import by_the_page
from tests.wire.suites import KIOSK

key32 = st.binary(min_size=32, max_size=32)
sequences = st.integers(0, MAX_SEQ) | st.integers(0, 2 * RUN + 2)
CHAIN = bytes(range(32, 64))


@given(tenant=st.text("abc-_.9", max_size=32), site=st.text(max_size=40), secret=key32)
@settings(max_examples=50, deadline=None)
def test_the_root_key_is_what_hkdf_extracts(tenant: str, site: str, secret: bytes) -> None:
    salt = tenant.encode() + b"\0" + site.encode("utf-8", "replace")
    root = keys.root_key(KIOSK, tenant, site.encode("utf-8", "replace").decode(), secret)
    # The library has no HKDF-Extract by itself; what it expands from its own extract must agree.
    whole = HKDF(hashes.SHA256(), 64, salt, b"info").derive(secret)
    assert HKDFExpand(hashes.SHA256(), 64, b"info").derive(root) == whole


@given(chain=key32, seq=sequences)
@settings(max_examples=60, deadline=None)
def test_a_leap_is_the_pages(chain: bytes, seq: int) -> None:
    block = hmac.digest(chain, b"epoch", "sha256")
    for _ in range(seq // 256):
        block = hmac.digest(block, b"\x02", "sha256")
    run = hmac.digest(block, b"\x01", "sha256")
    for _ in range(seq % 256):
        run = hmac.digest(run, b"\x02", "sha256")
    ratchet = Ratchet.of_epoch(KIOSK, chain).at(seq)
    assert ratchet.seq == seq
    assert ratchet.message_key() == hmac.digest(run, b"\x01", "sha256")[:16]


@given(stops=st.lists(sequences, min_size=2, max_size=6).map(sorted), chain=key32)
@settings(max_examples=60, deadline=None)
def test_any_way_to_a_number_ends_alike(stops: list[int], chain: bytes) -> None:
    ratchet = Ratchet.of_epoch(KIOSK, chain)
    direct = ratchet.at(stops[-1])
    for seq in stops:
        ratchet = Ratchet.restored(KIOSK, ratchet.at(seq).state())
    assert ratchet.state() == direct.state()
    assert ratchet.message_key() == direct.message_key()


def test_a_whole_epoch_by_steps_meets_its_leaps_and_no_key_twice() -> None:
    start = step = Ratchet.of_epoch(KIOSK, CHAIN)
    met = set()
    for seq in range(4 * RUN + 2):
        met.add(step.message_key())
        if seq % 100 == 0 or seq % RUN in (0, RUN - 1):
            assert start.at(seq).state() == step.state()
        step = step.at(seq + 1)
    assert len(met) == 4 * RUN + 2


@given(seq=st.integers(1, MAX_SEQ), back=st.integers(1, MAX_SEQ))
@settings(max_examples=30, deadline=None)
def test_there_is_no_way_back(seq: int, back: int) -> None:
    ratchet = Ratchet.of_epoch(KIOSK, CHAIN).at(seq)
    with pytest.raises(ValueError, match="forward"):
        ratchet.at(max(0, seq - back))


def test_a_ratchet_stays_where_it_is() -> None:
    ratchet = Ratchet.of_epoch(KIOSK, CHAIN).at(5)
    before = ratchet.state()
    ratchet.at(MAX_SEQ)
    ratchet.message_key()
    assert (ratchet.state(), ratchet.seq) == (before, 5)


def test_a_leap_over_an_epoch_costs_few_steps() -> None:
    calls = 0

    class Counting:
        def hmac(self, key: bytes, message: bytes) -> bytes:
            nonlocal calls
            calls += 1
            return KIOSK.hmac(key, message)

        seal = staticmethod(KIOSK.seal)
        open = staticmethod(KIOSK.open)

    Ratchet.of_epoch(Counting(), CHAIN).at(MAX_SEQ).message_key()
    assert calls < 3 + 2 * 255 + 255 + 2


def test_no_two_keys_of_a_device_are_the_same() -> None:
    met = []
    chain = keys.root_key(KIOSK, "acme", "paris-1", by_the_page.SECRET)
    for _ in range(20):
        met += [chain, keys.down_key(KIOSK, chain)]
        ratchet = Ratchet.of_epoch(KIOSK, chain)
        for seq in (0, 1, 2, 255, 256, 257, 511, 512, MAX_SEQ):
            there = ratchet.at(seq)
            met += [there.message_key(), there.state()[4:36]]
        for incarnation in range(3):
            key = KIOSK.hmac(keys.down_key(KIOSK, chain), bytes([incarnation] * 8))
            met += [key, *(keys.down_message_key(KIOSK, key, seq) for seq in range(3))]
        chain = keys.next_chain_key(KIOSK, chain)
    heads = [key[:16] for key in met]
    assert len(set(heads)) == len(heads)


@given(
    one=st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)),
    two=st.tuples(st.integers(0, 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)),
)
@settings(max_examples=50, deadline=None)
def test_a_nonce_is_of_one_direction_epoch_and_number(
    one: tuple[int, int, int], two: tuple[int, int, int]
) -> None:
    assert (keys.nonce(*one) == keys.nonce(*two)) == (one == two)
    assert len(keys.nonce(*one)) == 13
