"""Key agreement on CPython: X25519 (RFC 7748) from `cryptography`.

For the identity key of a rotating beacon (edge_sdk/presence/identifiers.py, `identity_key`).
"""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ..errors import PublicKeyError


def new_private_key() -> bytes:
    """32 random bytes that are a private key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_key(private_key: bytes) -> bytes:
    """32 bytes to give away."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def agree(private_key: bytes, their_public_key: bytes) -> bytes:
    """The 32 bytes that both sides come to; to be hashed, not to be used as a key as they are.

    Raises PublicKeyError where theirs is not 32 bytes, or one of the few with which everybody
    comes to zero.
    """
    if len(their_public_key) != 32:
        raise PublicKeyError("an X25519 public key is 32 bytes")
    mine = X25519PrivateKey.from_private_bytes(private_key)
    theirs = X25519PublicKey.from_public_bytes(their_public_key)
    try:
        return mine.exchange(theirs)
    except ValueError as error:
        raise PublicKeyError("a public key that agrees on zero: the beacon is broken") from error
