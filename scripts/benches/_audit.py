"""A cipher suite that writes down every key and nonce it seals with, to find one used twice.

Each seal appends a line to a file before it returns: hashes of the key, of key and nonce, and of
what was sealed. The lines survive `kill -9` of their writer; a torn last line is passed over.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from edge_sdk.adapters.aes import AesCcm


class AuditedSuite(AesCcm):
    """AES-CCM as in production, with a witness."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def seal(self, key: bytes, nonce: bytes, header: bytes, plaintext: bytes) -> bytes:
        line = f"{_hash(key)} {_hash(header + plaintext)} {_hash(nonce)}\n"
        os.write(self._descriptor, line.encode())
        return super().seal(key, nonce, header, plaintext)


def keys_used_twice(files: Iterable[Path]) -> int:
    """How many keys sealed two different messages, over all files."""
    sealed: dict[str, str] = {}
    twice = set()
    for path in files:
        for line in path.read_text().splitlines():
            parts = line.split()
            if len(parts) != 3 or any(len(part) != 24 for part in parts):
                continue  # torn by a kill, before its message was sealed
            if sealed.setdefault(parts[0], parts[1]) != parts[1]:
                twice.add(parts[0])
    return len(twice)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
