"""Ciphers on CPython: the wire's AES-128-CCM and HMAC, and AES-ECB for rotating identifiers."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM


class AesCcm:
    """The suite that `edge_sdk.wire` asks for (`wire.suite.Suite`); holds no state."""

    def hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, "sha256")

    def seal(self, key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> bytes:
        return AESCCM(key, tag_length=16).encrypt(nonce, plaintext, header)

    def open(self, key: bytes, nonce: bytes, header: bytes, sealed: bytes) -> bytes | None:
        try:
            return AESCCM(key, tag_length=16).decrypt(nonce, sealed, header)
        except InvalidTag:
            return None


def ecb(key: bytes, blocks: bytes) -> bytes:
    """Whole blocks under AES-ECB: what `presence.identifiers` asks for (its `Ecb`)."""
    # Each block of theirs is a counter or random, and none is a message.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)  # noqa: S305
