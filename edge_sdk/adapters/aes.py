"""The cipher suite on CPython: AES-128-CCM from `cryptography`, HMAC from the standard library."""

import hmac

from cryptography.exceptions import InvalidTag
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
