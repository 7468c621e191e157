"""AES-CCM (RFC 3610) built from a block cipher's ECB, for boards that have nothing else.

M = 16 (tag bytes), L = 2 (so 13 nonce bytes and 65,535 bytes of plaintext): COSE algorithm 30.
A stock board has AES-ECB and AES-CBC: the MAC is one CBC call, the key stream one ECB call over
all counter blocks, their XOR one big integer. CPython has CCM in `cryptography`
(edge_sdk/adapters/aes.py); the vectors hold both to the same bytes.
"""

import struct

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

TAG_BYTES = 16
_ZEROS = b"\0" * 16


class CcmSuite:
    """Seal and open with one-shot ciphers: `ecb(key, blocks)`, `cbc(key, iv, blocks)`, `hmac`."""

    def __init__(
        self,
        ecb: "Callable[[bytes, bytes], bytes]",
        cbc: "Callable[[bytes, bytes, bytes], bytes]",
        hmac: "Callable[[bytes, bytes], bytes]",
    ) -> None:
        self._ecb = ecb
        self._cbc = cbc
        self._hmac = hmac

    def hmac(self, key: bytes, message: bytes) -> bytes:
        """HMAC-SHA256, 32 bytes."""
        return self._hmac(key, message)

    def seal(self, key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> bytes:
        """Ciphertext and 16-byte tag; `header` is authenticated, not sealed (RFC 3610, 2.2-2.4)."""
        stream = self._stream(key, nonce, len(plaintext))
        tag = _xor(self._mac(key, nonce, header, plaintext), stream[:16])
        return _xor(plaintext, stream[16:]) + tag

    def open(self, key: bytes, nonce: bytes, header: bytes, sealed: bytes) -> "bytes | None":
        """Plaintext, or None where the tag does not fit (RFC 3610, 2.5)."""
        size = len(sealed) - TAG_BYTES
        if size < 0:
            return None
        stream = self._stream(key, nonce, size)
        plaintext = _xor(sealed[:size], stream[16:])
        tag = _xor(self._mac(key, nonce, header, plaintext), stream[:16])
        return plaintext if _equal(tag, sealed[size:]) else None

    def _stream(self, key: bytes, nonce: bytes, size: int) -> bytes:
        blocks = bytearray()
        for counter in range((size + 15) // 16 + 1):
            blocks.extend(struct.pack(">B13sH", 1, nonce, counter))
        return self._ecb(key, bytes(blocks))

    def _mac(self, key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> bytes:
        # B_0 flags: 0x40 "there is a header", (M - 2) / 2 = 7 in bits 3 to 5, L - 1 = 1.
        flags = 0x79 if header else 0x39
        blocks = struct.pack(">B13sH", flags, nonce, len(plaintext))
        if header:
            blocks += _padded(struct.pack(">H", len(header)) + header)
        blocks += _padded(plaintext)
        return self._cbc(key, _ZEROS, blocks)[-16:]


def _padded(data: bytes) -> bytes:
    return data + _ZEROS[: -len(data) % 16]


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    number = int.from_bytes(left, "big") ^ int.from_bytes(right[:size], "big")
    return number.to_bytes(size, "big")


def _equal(left: bytes, right: bytes) -> bool:
    # Whole length always: the time does not tell how much of a forged tag was right.
    difference = len(left) ^ len(right)
    for at in range(min(len(left), len(right))):
        difference |= left[at] ^ right[at]
    return difference == 0
