"""Signatures on CPython: Ed25519 (RFC 8032) from `cryptography`, for blocks of numbers."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_sdk.errors import PublicKeyError

KEY_BYTES = 32


class SigningKey:
    """Signs blocks (`numbers.blocks.Signer`). `private_key`: 32 random bytes, kept as a secret."""

    def __init__(self, private_key: bytes) -> None:
        if len(private_key) != KEY_BYTES:
            raise PublicKeyError("an Ed25519 private key is 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)

    @classmethod
    def new(cls) -> "SigningKey":
        """A key that nobody had before."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def private_key(self) -> bytes:
        return self._key.private_bytes_raw()

    @property
    def public_key(self) -> bytes:
        """32 bytes to give to whoever is to verify."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class VerifyingKey:
    """Knows what that key signed (`numbers.blocks.Verifier`). Raises PublicKeyError."""

    def __init__(self, public_key: bytes) -> None:
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public_key)
        except ValueError as error:
            raise PublicKeyError("an Ed25519 public key is 32 bytes") from error

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
