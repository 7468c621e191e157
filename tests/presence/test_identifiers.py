"""Rotating identifiers agree with the library's ciphers, and a beacon's clock never goes back."""

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.adapters import x25519
from edge_sdk.adapters.aes import AesCcm, ecb
from edge_sdk.presence.identifiers import (
    MAX_TIME_S,
    BeaconClock,
    ah,
    eid_at,
    eids,
    identity_key,
    private_address,
    resolve_rpa,
)
from tests.wire import suites

key16 = st.binary(min_size=16, max_size=16)


@given(key=key16, exponent=st.integers(0, 15), time_s=st.integers(0, MAX_TIME_S))
@settings(max_examples=200, deadline=None)
def test_an_eid_is_as_the_page_says(key: bytes, exponent: int, time_s: int) -> None:
    cut = time_s >> exponent << exponent
    temporary = suites.ecb(key, bytes(11) + b"\xff\0\0" + struct.pack(">H", time_s >> 16))
    sealed = suites.ecb(temporary, bytes(11) + bytes([exponent]) + struct.pack(">I", cut))
    assert eid_at(ecb, key, exponent, time_s) == sealed[:8]


@given(
    key=key16,
    exponent=st.integers(0, 15),
    first=st.integers(0, 1 << 16),
    count=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_a_run_is_its_periods(key: bytes, exponent: int, first: int, count: int) -> None:
    alone = [eid_at(ecb, key, exponent, (first + at) << exponent) for at in range(count)]
    assert eids(ecb, key, exponent, first, count) == alone


@given(
    agreed=st.binary(min_size=32, max_size=32),
    resolver=st.binary(min_size=32, max_size=32),
    beacon=st.binary(min_size=32, max_size=32),
)
@settings(max_examples=50, deadline=None)
def test_an_identity_key_is_hkdf(agreed: bytes, resolver: bytes, beacon: bytes) -> None:
    hkdf = HKDF(hashes.SHA256(), length=16, salt=resolver + beacon, info=b"")
    assert identity_key(AesCcm().hmac, agreed, resolver, beacon) == hkdf.derive(agreed)


def test_beacon_and_resolver_come_to_one_key() -> None:
    beacon, resolver = x25519.new_private_key(), x25519.new_private_key()
    publics = x25519.public_key(resolver), x25519.public_key(beacon)
    hmac = AesCcm().hmac
    at_beacon = identity_key(hmac, x25519.agree(beacon, publics[0]), *publics)
    at_resolver = identity_key(hmac, x25519.agree(resolver, publics[1]), *publics)
    assert at_beacon == at_resolver
    assert len(at_beacon) == 16


@given(key=key16, other=key16, random=st.binary(min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_an_address_is_its_keys_own(key: bytes, other: bytes, random: bytes) -> None:
    address = private_address(ecb, key, random)
    assert address[0] >> 6 == 1
    assert address[3:] == suites.ecb(key, bytes(13) + address[:3])[-3:]
    assert resolve_rpa(ecb, [(1, other), (2, key)], address) == (1 if other == key else 2)
    for bit in range(48):
        flipped = (int.from_bytes(address, "big") ^ 1 << bit).to_bytes(6, "big")
        # 24 bits of hash: a change goes unnoticed once in 16 million.
        honest = flipped[0] >> 6 == 1 and ah(ecb, key, flipped[:3]) == flipped[3:]
        assert (resolve_rpa(ecb, [(2, key)], flipped) == 2) == honest


lives = st.lists(
    st.tuples(st.integers(0, 20_000), st.booleans(), st.integers(1, 40)), min_size=1, max_size=20
)


@given(lives=lives, exponent=st.integers(0, 12), every=st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_a_clock_never_goes_back_and_writes_little(
    lives: list[tuple[int, bool, int]], exponent: int, every: int
) -> None:
    """Lives between losses of power: uptime at the start, whether the last save was torn, steps."""
    disk: int | None = None
    shown = -1
    for uptime_s, torn, steps in lives:
        clock, writes, began_s = BeaconClock(disk, uptime_s, exponent, every), 0, uptime_s
        for step in range(steps):
            mark_s = clock.due(uptime_s)
            if mark_s is not None:
                if torn and step == steps - 1:
                    break  # the power went before the mark was on the disk
                disk = mark_s
                clock.saved(mark_s)
                writes += 1
            time_s = clock.time_s(uptime_s)
            assert time_s >= shown
            assert disk is not None
            assert time_s < disk <= time_s + (every << exponent)
            shown = time_s
            uptime_s += 1 << exponent
        assert writes <= 1 + (uptime_s - began_s) // (every << exponent) + 1


def test_a_clock_goes_on_ahead_after_a_loss_of_power() -> None:
    clock = BeaconClock(None, 100, 10, every=4)
    assert clock.due(100) == 4096
    clock.saved(4096)
    assert clock.due(4195) is None
    assert clock.time_s(4195) == 4095
    assert BeaconClock(4096, 7, 10).due(7) == 8192
    later = BeaconClock(4096, 7, 10)
    later.saved(8192)
    assert later.time_s(7) == 4096


def test_a_clock_that_cannot_save_stands_still() -> None:
    clock = BeaconClock(None, 0, 10)
    assert clock.time_s(5_000) == 0
    clock.saved(4096)
    assert clock.due(9_000) == 9_000 + 4096
    assert clock.time_s(9_000) == 4095


def test_a_clock_ends_with_its_32_bits() -> None:
    clock = BeaconClock(MAX_TIME_S, 0, 10)
    assert clock.due(50) == MAX_TIME_S
    assert clock.time_s(5_000) == MAX_TIME_S - 1


@pytest.mark.parametrize("exponent", [0, 10, 15])
def test_eids_follow_the_clock(exponent: int) -> None:
    assert len(set(eids(ecb, bytes(16), exponent, 0, 300))) == 300
