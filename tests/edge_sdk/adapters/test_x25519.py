"""X25519 by the vectors of RFC 7748, 6.1; and public keys with which nothing can be agreed."""

import pytest

from edge_sdk.adapters import x25519
from edge_sdk.errors import PublicKeyError

ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


def test_the_published_keys() -> None:
    assert x25519.public_key(ALICE) == ALICE_PUBLIC
    assert x25519.public_key(BOB) == BOB_PUBLIC
    assert x25519.agree(ALICE, BOB_PUBLIC) == SHARED
    assert x25519.agree(BOB, ALICE_PUBLIC) == SHARED


@pytest.mark.parametrize("theirs", [b"", bytes(31), bytes(33), bytes(32), b"\1" + bytes(31)])
def test_a_key_that_agrees_on_nothing_is_refused(theirs: bytes) -> None:
    with pytest.raises(PublicKeyError):
        x25519.agree(ALICE, theirs)


def test_private_keys_differ() -> None:
    assert x25519.new_private_key() != x25519.new_private_key()
