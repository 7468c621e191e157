"""A board's `cryptolib` for MicroPython in WebAssembly, which lacks it: AES by node's crypto.

Bytes cross to JavaScript as hexadecimal text: numbers are cut to 32 bits on the way, and a proxy of
an object would never be freed.
"""

from binascii import hexlify, unhexlify

import node_aes  # type: ignore[import-not-found]  # run.mjs makes it

_MODES = {1: "ecb", 2: "cbc"}  # a stock board has no CTR (6)


class aes:  # noqa: N801 -- its name on a board
    """AES in one mode, as `cryptolib.aes(key, mode[, iv])`."""

    def __init__(self, key: bytes, mode: int, iv: bytes = b"") -> None:
        if mode not in _MODES:
            raise ValueError("mode")
        if len(key) not in (16, 32):
            raise ValueError("key")
        if len(iv) != (16 if mode == 2 else 0):
            raise ValueError("IV")
        self._mode = _MODES[mode]
        self._key = hexlify(key).decode()
        self._iv = hexlify(iv).decode()

    def encrypt(self, blocks: bytes) -> bytes:
        """As many bytes as there are in `blocks`, which must be whole."""
        if len(blocks) % 16:
            raise ValueError("blksize % 16")
        name = f"aes-{4 * len(self._key)}-{self._mode}"
        sealed = node_aes.encrypt(name, self._key, self._iv, hexlify(blocks).decode())
        if self._mode == "cbc":
            self._iv = sealed[-32:]
        data: bytes = unhexlify(sealed)
        return data
