"""The vault: what is personal, apart from the facts, so that it can be destroyed by itself.

Every identifier has a handle, and every handle a key of its own. The log and all that is derived
hold handles; the identifier lies here, encrypted under its handle's key, and is found by a keyed
digest. To erase somebody is to destroy handles: what the log still says of them is then nobody's.
A handle is never given out twice: an identifier that comes again after that is somebody new.

    handle   a number that counts up, times 4, plus what its identifier belongs to (`schemes`)
    digest   BLAKE2b-128 of the identifier under the vault's pepper (RFC 7693)
    nonce    13 bytes: log row 8 | place in its batch 4 | 1; registration 8 | 0000 | 2 for a key of
             a beacon; all zero for the identifier itself
"""

import hashlib
import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cloud_bridge.schemes import KIND_BITS, kind_of
from cloud_bridge.store import VaultRow
from edge_sdk.wire.suite import Suite

KEY_BYTES = 16
PEPPER_BYTES = 32
# Identifiers whose handles are remembered: some 200 bytes each.
MAX_REMEMBERED = 200_000

_NAMELESS = bytes(13)
_HEADER = b"vault"


class Rows(Protocol):
    """What the vault asks of storage. Each raises StorageError."""

    def handles(self, digests: Sequence[bytes]) -> Mapping[bytes, int]: ...

    def vault_rows(self, handles: Sequence[int]) -> Mapping[int, VaultRow]: ...


class Vault:
    """Identifiers to handles and back. What is new is only made: its rows are to be committed.

    `next_number`: above that of every handle that was ever given out.
    """

    def __init__(
        self,
        suite: Suite,
        rows: Rows,
        pepper: bytes,
        next_number: int,
        most: int = MAX_REMEMBERED,
    ) -> None:
        self.next_number = next_number
        self._suite = suite
        self._rows = rows
        self._pepper = pepper
        self._half = max(1, most // 2)
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}
        # What the disk does not know yet: rows that are new, also by digest, and what is destroyed.
        self._uncommitted: dict[int, VaultRow] = {}
        self._fresh: dict[bytes, int] = {}
        self._destroyed: set[int] = set()

    @property
    def next_handle(self) -> int:
        """No handle that was given out is as high as this."""
        return self.next_number << KIND_BITS

    def handles(self, identifiers: Iterable[str]) -> dict[str, int]:
        """A handle for each. Raises StorageError, and then nothing has changed.

        Rows of new ones are in `made` from then on.
        """
        found: dict[str, int] = {}
        missing: list[str] = []
        recent = self._recent
        for identifier in identifiers:
            handle = recent.get(identifier)
            if handle is None:
                handle = self._older.get(identifier)
                if handle is None:
                    missing.append(identifier)
                    continue
                recent[identifier] = handle
            found[identifier] = handle
        if missing:
            self._look_up(missing, found)
        return found

    def known(self, identifiers: Sequence[str]) -> list[int]:
        """The handles of such as have one, be it not committed yet. Raises StorageError."""
        return sorted(self.find(identifiers).values())

    def find(self, identifiers: Iterable[str]) -> dict[str, int]:
        """The same, by identifier."""
        digests = {identifier: self._digest(identifier) for identifier in identifiers}
        handles = {**self._rows.handles([*digests.values()]), **self._fresh}
        found = {name: handles[digest] for name, digest in digests.items() if digest in handles}
        return {name: handle for name, handle in found.items() if handle not in self._destroyed}

    def made(self) -> list[VaultRow]:
        """The rows of handles that were made since the last call: a commit follows."""
        rows = list(self._uncommitted.values())
        self._uncommitted, self._fresh, self._destroyed = {}, {}, set()
        return rows

    def identifier(self, handle: int) -> str | None:
        """What a handle stands for; None: it was destroyed. Raises StorageError."""
        row = self._uncommitted.get(handle) or self._rows.vault_rows([handle]).get(handle)
        if row is None:
            return None
        opened = self._suite.open(row.key, _NAMELESS, _HEADER, row.sealed)
        return None if opened is None else opened.decode()

    def seal(self, handle: int, log_id: int, place: int, data: bytes) -> bytes:
        """Personal data, under its owner's key. Raises StorageError."""
        row = self._uncommitted.get(handle) or self._rows.vault_rows([handle])[handle]
        return self._suite.seal(row.key, _nonce(log_id, place), _HEADER, data)

    def unseal(self, handle: int, log_id: int, place: int, sealed: bytes) -> bytes | None:
        """From `seal`; None: it was destroyed, or is not that."""
        row = self._rows.vault_rows([handle]).get(handle)
        if row is None:
            return None
        return self._suite.open(row.key, _nonce(log_id, place), _HEADER, sealed)

    def seal_key(self, handle: int, serial: int, key: bytes) -> bytes:
        """A beacon's key, under the key of the handle that it is of. Raises StorageError.

        `serial`: of no other registration.
        """
        row = self._uncommitted.get(handle) or self._rows.vault_rows([handle])[handle]
        return self._suite.seal(row.key, _key_nonce(serial), _HEADER, key)

    def unseal_key(self, handle: int, serial: int, sealed: bytes) -> bytes | None:
        """From `seal_key`; None: it was destroyed, or is not that. Raises StorageError."""
        row = self._rows.vault_rows([handle]).get(handle)
        if row is None:
            return None
        return self._suite.open(row.key, _key_nonce(serial), _HEADER, sealed)

    def forget(self, handles: Iterable[int]) -> None:
        """Remember none of these: their rows are about to be destroyed, or are never written."""
        gone = set(handles)
        self._destroyed |= gone
        for row in [self._uncommitted.pop(h) for h in gone if h in self._uncommitted]:
            self._fresh.pop(row.digest, None)
        for remembered in (self._recent, self._older):
            for identifier in [i for i, handle in remembered.items() if handle in gone]:
                del remembered[identifier]

    def _look_up(self, missing: list[str], found: dict[str, int]) -> None:
        digests = [self._digest(identifier) for identifier in missing]
        known = self._rows.handles(digests)
        if len(self._recent) + len(missing) > self._half:
            self._older, self._recent = self._recent, {}
        for identifier, digest in zip(missing, digests, strict=True):
            handle = self._fresh.get(digest, known.get(digest))
            if handle is None or handle in self._destroyed:
                handle = self._new(identifier, digest)
            self._recent[identifier] = found[identifier] = handle

    def _new(self, identifier: str, digest: bytes) -> int:
        handle = self.next_number << KIND_BITS | kind_of(identifier)
        self.next_number += 1
        key = secrets.token_bytes(KEY_BYTES)
        sealed = self._suite.seal(key, _NAMELESS, _HEADER, identifier.encode())
        self._uncommitted[handle] = VaultRow(handle, digest, key, sealed)
        self._fresh[digest] = handle
        return handle

    def _digest(self, identifier: str) -> bytes:
        text = identifier.encode()
        return hashlib.blake2b(text, digest_size=16, key=self._pepper).digest()


def _nonce(log_id: int, place: int) -> bytes:
    return struct.pack(">QIB", log_id, place, 1)


def _key_nonce(serial: int) -> bytes:
    return struct.pack(">QIB", serial, 0, 2)
