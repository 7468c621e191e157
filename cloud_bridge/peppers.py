"""Peppers: what makes a pseudonym of a telephone number, kept apart from the database.

There are so few telephone numbers that a plain hash of one is undone in minutes. Under a pepper it
is not, as long as the pepper does not lie where the pseudonyms lie: it has a file of its own, to be
put on another disk and into another backup. A pseudonym names the version of its pepper, so that a
tenant can begin to use another one without losing what is known by the one before.

    pseudonym   tel:v<version>:<the first 16 bytes of HMAC-SHA-256(pepper, number), hex>
    lease       <id>.<the first 8 bytes of HMAC-SHA-256(pepper, "lease " | id), hex>
    sealed      version 2 | salt 16 | AES-CCM under HMAC-SHA-256(pepper, "call" | salt)[:16]
"""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from edge_sdk.adapters.sqlite import create_private
from edge_sdk.errors import ConfigError, StorageError
from edge_sdk.wire.suite import Suite

log = logging.getLogger(__name__)

FILE_NAME: Final = "peppers.json"
PEPPER_BYTES: Final = 32
SCHEME: Final = "tel:"
_SALT_BYTES: Final = 16
_MARK_BYTES: Final = 8
_NONCE: Final = bytes(13)  # a key seals one number
_PSEUDONYM: Final = re.compile(r"tel:v[1-9][0-9]{0,4}:[0-9a-f]{32}")
_ABOUT: Final = (
    "Makes pseudonyms of telephone numbers. Keep a copy, and keep it apart from the database:"
    " without it no caller is known again, with both anybody can be."
)


class Peppers:
    """A tenant's peppers, by version: the newest makes pseudonyms, the others know old ones."""

    def __init__(self, suite: Suite, versions: Mapping[int, bytes]) -> None:
        self.newest = max(versions)
        self._suite = suite
        self._versions = dict(sorted(versions.items(), reverse=True))

    def pseudonym(self, identifier: str) -> str:
        """Of "tel:" and a number; what is a pseudonym already stays as it is."""
        if _PSEUDONYM.fullmatch(identifier):
            return identifier
        return self._under(self.newest, identifier)

    def older(self, identifier: str) -> list[str]:
        """What the same number was called under the peppers before, the newest first."""
        if _PSEUDONYM.fullmatch(identifier):
            return []
        return [self._under(version, identifier) for version in list(self._versions)[1:]]

    def all_of(self, identifiers: Iterable[str]) -> list[str]:
        """Every pseudonym that telephone numbers among these may be known by."""
        found: list[str] = []
        for name in identifiers:
            if name.startswith(SCHEME):
                found += [self.pseudonym(name), *self.older(name)]
        return found

    def seal(self, number: str) -> bytes:
        """A number that has to be kept for a while, so that only who has the pepper reads it."""
        salt = secrets.token_bytes(_SALT_BYTES)
        key = self._key(self.newest, salt)
        sealed = self._suite.seal(key, _NONCE, b"call", number.encode())
        return self.newest.to_bytes(2, "big") + salt + sealed

    def open(self, sealed: bytes) -> str | None:
        """From `seal`; None: its pepper is gone, or it is not that."""
        version, salt = int.from_bytes(sealed[:2], "big"), sealed[2 : 2 + _SALT_BYTES]
        if version not in self._versions:
            return None
        opened = self._suite.open(
            self._key(version, salt), _NONCE, b"call", sealed[2 + _SALT_BYTES :]
        )
        return None if opened is None else opened.decode()

    def shown(self, lease_id: str) -> str:
        """The id of a lease as its holder gets it: nobody else can tell it from another's."""
        return f"{lease_id}.{self._mark(self.newest, lease_id)}"

    def lease_of(self, shown: str) -> str | None:
        """From `shown`, also under a pepper before; None: it is not that."""
        lease_id, _, mark = shown.rpartition(".")
        told = mark.encode()
        for version in self._versions:
            if hmac.compare_digest(self._mark(version, lease_id).encode(), told):
                return lease_id
        return None

    def _mark(self, version: int, lease_id: str) -> str:
        digest = hmac.digest(self._versions[version], b"lease " + lease_id.encode(), hashlib.sha256)
        return digest[:_MARK_BYTES].hex()

    def _under(self, version: int, identifier: str) -> str:
        digest = hmac.digest(self._versions[version], identifier.encode(), hashlib.sha256)
        return f"{SCHEME}v{version}:{digest[:16].hex()}"

    def _key(self, version: int, salt: bytes) -> bytes:
        return hmac.digest(self._versions[version], b"call" + salt, hashlib.sha256)[:16]


def load(path: Path, suite: Suite) -> Peppers:
    """The peppers of a file; a first one is made where there is no file.

    Raises ConfigError where it is damaged, StorageError where it cannot be read or written.
    """
    try:
        versions = _read(path)
        if not versions:
            versions = {1: secrets.token_bytes(PEPPER_BYTES)}
            _write(path, versions)
            log.info("%s: a pepper was made; keep a copy apart from the database", path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from None
    return Peppers(suite, versions)


def rotate(path: Path) -> int:
    """Add a pepper, which the next start of the bridge uses; its version.

    Raises ConfigError, StorageError.
    """
    try:
        versions = _read(path)
        version = max(versions, default=0) + 1
        _write(path, {**versions, version: secrets.token_bytes(PEPPER_BYTES)})
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from None
    return version


def _read(path: Path) -> dict[int, bytes]:
    if not path.exists() or not path.stat().st_size:
        return {}
    try:
        told = json.loads(path.read_text("utf-8"))["peppers"]
        versions = {int(version): bytes.fromhex(pepper) for version, pepper in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path}: damaged; put a copy of it back") from None
    sizes = {len(pepper) for pepper in versions.values()}
    if sizes != {PEPPER_BYTES} or not all(0 < version < 1 << 16 for version in versions):
        raise ConfigError(f"{path}: damaged; put a copy of it back")
    return versions


def _write(path: Path, versions: Mapping[int, bytes]) -> None:
    peppers = {str(version): pepper.hex() for version, pepper in versions.items()}
    fresh = path.with_suffix(".new")
    create_private(fresh)
    with fresh.open("w", encoding="utf-8") as file:
        json.dump({"about": _ABOUT, "peppers": peppers}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    if os.name != "nt":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
