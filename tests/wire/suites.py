"""The cipher suites that run on CPython: that of kiosks, and a board's over the same library."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.wire.ccm import CcmSuite
from edge_sdk.wire.suite import Suite


def ecb(key: bytes, blocks: bytes) -> bytes:
    """A board's AES-ECB."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)


def cbc(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """A board's AES-CBC."""
    return Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(blocks)


KIOSK: Suite = AesCcm()
PORTABLE: Suite = CcmSuite(ecb, cbc, KIOSK.hmac)
SUITES = {"AesCcm": KIOSK, "CcmSuite": PORTABLE}
