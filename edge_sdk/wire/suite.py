"""The port through which the wire reaches a cipher. For type checkers: a board never loads it."""

from typing import Protocol


class Suite(Protocol):
    """AES-128-CCM with a 16-byte tag and HMAC-SHA256.

    `adapters.aes.AesCcm` on CPython, `wire.ccm.CcmSuite` over a board's AES-ECB and AES-CBC.
    """

    def hmac(self, key: bytes, message: bytes) -> bytes:
        """32 bytes."""
        ...

    def seal(self, key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> bytes:
        """Ciphertext and tag. `key` 16 bytes, `nonce` 13; `header` is authenticated only."""
        ...

    def open(self, key: bytes, nonce: bytes, header: bytes, sealed: bytes) -> bytes | None:
        """Plaintext, or None where the tag does not fit."""
        ...
