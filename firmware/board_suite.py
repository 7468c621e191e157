"""The cipher suite on a board: AES-CCM over `cryptolib`, HMAC over `hashlib`.

A stock board has no `hmac` module, and of AES only ECB and CBC (edge_sdk/wire/ccm.py).
"""

import hashlib

import cryptolib

from edge_sdk.wire.ccm import CcmSuite

_ECB, _CBC = 1, 2  # cryptolib's modes
_BLOCK = 64  # of SHA-256
_INNER = int.from_bytes(b"\x36" * _BLOCK, "big")
_OUTER = int.from_bytes(b"\x5c" * _BLOCK, "big")


def board_suite() -> CcmSuite:
    """The suite that `edge_sdk.wire` asks for (`wire.suite.Suite`)."""
    return CcmSuite(ecb, _cbc, hmac_sha256)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104), 32 bytes."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    number = int.from_bytes(key + bytes(_BLOCK - len(key)), "big")
    inner = hashlib.sha256((number ^ _INNER).to_bytes(_BLOCK, "big"))
    inner.update(message)
    outer = hashlib.sha256((number ^ _OUTER).to_bytes(_BLOCK, "big"))
    outer.update(inner.digest())
    return outer.digest()


def ecb(key: bytes, blocks: bytes) -> bytes:
    """Whole blocks under AES-ECB: also what `edge_sdk.presence.identifiers` asks for."""
    sealed: bytes = cryptolib.aes(key, _ECB).encrypt(blocks)
    return sealed


def _cbc(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    sealed: bytes = cryptolib.aes(key, _CBC, iv).encrypt(blocks)
    return sealed
