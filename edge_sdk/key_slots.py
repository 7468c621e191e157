"""Who this device is and its chain key: one small file of two slots, written before used.

Each slot is 512 bytes: magic 4 | CRC-32 4 | length 2 | MessagePack [tenant, site, device,
generation, epoch, chain key] | zeros. The valid slot with the higher epoch counts. A new epoch
writes the other slot, syncs, reads it back, and overwrites the old one: a power cut at any point
skips an epoch at worst. docs/wire.md, "Keys".
"""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edge_sdk.errors import ConfigError, CorruptError, StorageError
from edge_sdk.wire.enrolment import Enrolment, EnrolmentError, from_token
from edge_sdk.wire.keys import MAX_EPOCH, next_chain_key, root_key
from edge_sdk.wire.packing import PackingError, pack, unpack
from edge_sdk.wire.suite import Suite

FILE_NAME = "device.keys"
SLOT_BYTES = 512
_MAGIC = b"EDK1"
_HEAD = struct.Struct(">4sIH")


class SlotFile(Protocol):
    """A file of 1,024 bytes that is written in place."""

    def read(self) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


class LocalFile:
    """The slot file on a local disk, readable by its owner only."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
        self._descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)

    def read(self) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, 2 * SLOT_BYTES)

    def write(self, offset: int, data: bytes) -> None:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        if os.write(self._descriptor, data) != len(data):
            raise OSError("the slot was not written whole")

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


OpenSlots = Callable[[Path], SlotFile]


@dataclass(frozen=True, slots=True)
class Slot:
    """One state of the chain: the next epoch to open and its key."""

    tenant: str
    site: str
    device: int
    generation: int
    epoch: int
    chain_key: bytes = field(repr=False)


def _packed(slot: Slot) -> bytes:
    body = pack([slot.tenant, slot.site, slot.device, slot.generation, slot.epoch, slot.chain_key])
    head = _HEAD.pack(_MAGIC, zlib.crc32(body), len(body))
    return (head + body).ljust(SLOT_BYTES, b"\0")


def _unpacked(data: bytes) -> Slot | None:
    """The slot, or None where it is empty, torn or of another format."""
    if len(data) < SLOT_BYTES:
        return None
    magic, crc, size = _HEAD.unpack_from(data)
    body = data[_HEAD.size : _HEAD.size + size]
    if magic != _MAGIC or zlib.crc32(body) != crc:
        return None
    try:
        tenant, site, device, generation, epoch, chain_key = unpack(body)
    except (PackingError, TypeError, ValueError):
        return None
    return Slot(tenant, site, device, generation, epoch, chain_key)


def enrol(token: str, directory: Path, suite: Suite) -> Enrolment:
    """Make `directory` the home of the device that the token names; the secret is not kept.

    Raises ConfigError for a bad token or a directory that is a device's home already.
    """
    try:
        enrolment = from_token(token)
    except EnrolmentError as error:
        raise ConfigError(f"{error}; ask for it again with `cloud-bridge enrol`") from None
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / FILE_NAME
    chain_key = root_key(suite, enrolment.tenant, enrolment.site, enrolment.secret)
    slot = Slot(
        enrolment.tenant, enrolment.site, enrolment.device, enrolment.generation, 0, chain_key
    )
    # Whole or not at all: a half-written home could neither be used nor enrolled again.
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    if path.exists():
        raise ConfigError(f"{directory} is the home of a device already; choose another directory")
    file = LocalFile(draft, create=True)
    try:
        file.write(0, _packed(slot) + bytes(SLOT_BYTES))
        file.sync()
    finally:
        file.close()
    draft.rename(path)
    _sync_directory(directory)
    return enrolment


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return  # a directory cannot be opened there, and a rename is durable by itself
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class KeySlots:
    """The two slots of an enrolled device. `load`, then `open_epoch` once for each epoch."""

    def __init__(self, directory: Path, suite: Suite, open_slots: OpenSlots = LocalFile) -> None:
        self._path = directory / FILE_NAME
        self._suite = suite
        self._open = open_slots

    def load(self) -> Slot:
        """The slot that counts, with the next epoch. Raises ConfigError, CorruptError."""
        try:
            file = self._open(self._path)
        except FileNotFoundError:
            raise ConfigError(
                f"{self._path.parent} is not the home of a device; "
                "enrol it first: edge-sdk enrol --home DIR"
            ) from None
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be opened ({error.strerror})") from error
        try:
            return self._newest(file)[1]
        finally:
            file.close()

    def open_epoch(self) -> tuple[Slot, bytes]:
        """Step the chain durably; the slot of the epoch that may be used now, and its chain key.

        The caller derives what the epoch needs and forgets the key.
        Raises StorageError (nothing was opened) and CorruptError.
        """
        try:
            file = self._open(self._path)
            try:
                place, slot = self._newest(file)
                self._step(file, place, slot)
            finally:
                file.close()
        except OSError as error:
            raise StorageError(f"{self._path}: the epoch was not opened ({error})") from error
        return slot, slot.chain_key

    def _step(self, file: SlotFile, place: int, slot: Slot) -> None:
        if slot.epoch >= MAX_EPOCH:
            raise StorageError(f"{self._path}: this device is out of epochs; enrol it anew")
        following = Slot(
            slot.tenant,
            slot.site,
            slot.device,
            slot.generation,
            slot.epoch + 1,
            next_chain_key(self._suite, slot.chain_key),
        )
        other = 1 - place
        file.write(other * SLOT_BYTES, _packed(following))
        file.sync()
        written = file.read()[other * SLOT_BYTES : (other + 1) * SLOT_BYTES]
        if _unpacked(written) != following:
            raise StorageError(f"{self._path}: the disk did not keep what was written")
        file.write(place * SLOT_BYTES, bytes(SLOT_BYTES))
        file.sync()

    def _newest(self, file: SlotFile) -> tuple[int, Slot]:
        data = file.read()
        slots = [(place, _unpacked(data[place * SLOT_BYTES :][:SLOT_BYTES])) for place in (0, 1)]
        valid = [(place, slot) for place, slot in slots if slot is not None]
        if not valid:
            raise CorruptError(f"{self._path}: both key slots are damaged; enrol this device anew")
        return max(valid, key=lambda entry: entry[1].epoch)
