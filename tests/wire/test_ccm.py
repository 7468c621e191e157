"""AES-CCM from a board's ECB and CBC agrees with the library's, and HMAC from its SHA-256."""

import hmac
import importlib
import sys
import types
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire.suite import Suite
from tests.wire import suites
from tests.wire.suites import KIOSK, PORTABLE

key16 = st.binary(min_size=16, max_size=16)
nonce13 = st.binary(min_size=13, max_size=13)


@given(key=key16, nonce=nonce13, header=st.binary(max_size=60), plaintext=st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_the_suites_seal_alike(key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> None:
    sealed = KIOSK.seal(key, nonce, header, plaintext)
    assert PORTABLE.seal(key, nonce, header, plaintext) == sealed
    assert PORTABLE.open(key, nonce, header, sealed) == plaintext
    assert KIOSK.open(key, nonce, header, sealed) == plaintext


@given(key=key16, nonce=nonce13, header=st.binary(max_size=40), sealed=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_suites_refuse_alike(key: bytes, nonce: bytes, header: bytes, sealed: bytes) -> None:
    assert KIOSK.open(key, nonce, header, sealed) is None
    assert PORTABLE.open(key, nonce, header, sealed) is None


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4095, 4096, 65_505])
def test_sizes_around_a_block(size: int) -> None:
    key, nonce, header, plaintext = bytes(16), bytes(13), bytes(14), b"\xa5" * size
    sealed = KIOSK.seal(key, nonce, header, plaintext)
    assert PORTABLE.seal(key, nonce, header, plaintext) == sealed
    assert PORTABLE.open(key, nonce, header, sealed) == plaintext


class StandIn:
    """`cryptolib.aes` of a board, over `cryptography`."""

    def __init__(self, key: bytes, mode: int, iv: bytes = b"") -> None:
        self._key, self._mode, self._iv = key, mode, iv

    def encrypt(self, blocks: bytes) -> bytes:
        if self._mode == 1:
            return suites.ecb(self._key, blocks)
        assert self._mode == 2
        return suites.cbc(self._key, self._iv, blocks)


@pytest.fixture(scope="module")
def board() -> Iterator[Suite]:
    """firmware/board_suite.py, which imports what only boards have."""
    with pytest.MonkeyPatch.context() as patch:
        cryptolib = types.ModuleType("cryptolib")
        patch.setattr(cryptolib, "aes", StandIn, raising=False)
        patch.setitem(sys.modules, "cryptolib", cryptolib)
        module = importlib.import_module("firmware.board_suite")
        suite: Suite = module.board_suite()
        yield suite
        sys.modules.pop("firmware.board_suite")


@given(key=st.binary(max_size=140), message=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_the_boards_hmac(board: Suite, key: bytes, message: bytes) -> None:
    assert board.hmac(key, message) == hmac.digest(key, message, "sha256")


@pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 65, 128])
def test_the_boards_hmac_around_a_block(board: Suite, size: int) -> None:
    assert board.hmac(b"\xa5" * size, b"m") == hmac.digest(b"\xa5" * size, b"m", "sha256")


@given(key=key16, nonce=nonce13, header=st.binary(max_size=30), plaintext=st.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_the_boards_seal(
    board: Suite, key: bytes, nonce: bytes, header: bytes, plaintext: bytes
) -> None:
    sealed = board.seal(key, nonce, header, plaintext)
    assert sealed == KIOSK.seal(key, nonce, header, plaintext)
    assert board.open(key, nonce, header, sealed) == plaintext
