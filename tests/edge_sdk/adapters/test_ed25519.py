"""Ed25519 as RFC 8032 has it."""

import pytest

from edge_sdk.adapters.ed25519 import SigningKey, VerifyingKey
from edge_sdk.errors import PublicKeyError

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_the_standard_s_vectors(secret: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(secret))
    assert key.public_key.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert VerifyingKey(key.public_key).verifies(bytes.fromhex(signature), bytes.fromhex(message))


def test_a_signature_of_something_else_is_none() -> None:
    key = SigningKey.new()
    public = VerifyingKey(key.public_key)
    assert not public.verifies(key.sign(b"this"), b"that")
    assert not public.verifies(b"", b"that")
    assert not VerifyingKey(SigningKey.new().public_key).verifies(key.sign(b"this"), b"this")
    assert SigningKey(key.private_key).public_key == key.public_key


def test_keys_of_other_lengths_are_refused() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(PublicKeyError):
            SigningKey(wrong)
        with pytest.raises(PublicKeyError):
            VerifyingKey(wrong)
