"""A disk that records every change made to a directory, and can be rebuilt as after a power cut.

SQLite is watched at its own interface to the operating system (an apsw VFS over the real one), the
key slots at theirs (`SlotFile`): one journal of both, in order. `Replay` gives the files of the
directory at any point of it.

What a power cut is taken to leave:

* **Data.** What a file's last sync covered is there. Of what was written and truncated since, 0, 50
  or 100 % is kept; at 50 % each 512-byte sector of each write is kept or lost by lot, and so is
  each truncation, so writes are torn and out of order. A sector is written whole or not at all
  (SQLite calls it power-safe overwrite), and nothing changes that was not written.
* **Names.** Creating and deleting files takes effect in order, as in a journalling file system, and
  for certain once the directory was synced; of what happened since, none, a prefix chosen by lot,
  or all is kept. Syncing a file does not save its name. SQLite syncs the directory with a new
  rollback journal's or write-ahead log's first sync, and where it says so when it deletes.
* **Not modelled.** Disks that lie about a sync, bits that rot, sectors of garbage, and whatever is
  done to names behind SQLite's back: a file that is there when SQLite first opens it was created
  then, with what it held. Shared memory (`-shm`) does not outlive its processes.
"""

import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import apsw

from edge_sdk.adapters.sqlite import also_translate
from edge_sdk.key_slots import LocalFile, SlotFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

SECTOR_BYTES = 512
KEEP_PERCENT = (0, 50, 100)

_LOGS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
_Name = str | apsw.URIFilename | None
_instances = itertools.count()


@dataclass(frozen=True, slots=True)
class Created:
    """An empty file has a name in the directory."""

    name: str


@dataclass(frozen=True, slots=True)
class Written:
    """`data` stands at `offset` of the file."""

    name: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncated:
    """The file ends at `size_bytes`."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What was written to the file is safe."""

    name: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The name is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class DirectorySynced:
    """What happened to names is safe."""


Event = Created | Written | Truncated | Synced | Deleted | DirectorySynced


class Disk:
    """`with Disk(home) as disk`: `home` as it is now is safe, and what changes is recorded.

    `open_database` and `open_slots` have the shapes that the product asks for. Nothing is really
    synced. Databases opened while `kills` is true end as in a killed process: closing them leaves
    the write-ahead log as it lies.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()  # SQLite follows links as well
        self.found: dict[str, bytes] = {}
        self.journal: list[Event] = []
        self.kills = False
        self._names: set[str] = set()
        self._vfs: _RecordingVfs | None = None

    def __enter__(self) -> Self:
        for path in self.home.iterdir():
            self.found[path.name] = path.read_bytes()
        self._names = set(self.found)
        self._vfs = _RecordingVfs(self, f"recording-{os.getpid()}-{next(_instances)}")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._vfs is not None:
            self._vfs.unregister()
            self._vfs = None

    def open_database(self, path: Path) -> apsw.Connection:
        """A database of `home`."""
        if self._vfs is None:
            raise RuntimeError("enter the disk first")
        also_translate(apsw.Error)
        connection = apsw.Connection(str(path), vfs=self._vfs.name)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(self.kills))
        return connection

    def open_slots(self, path: Path) -> SlotFile:
        """The key slots of `home`."""
        return _RecordingSlots(self, path)

    def replay(self) -> "Replay":
        """From the beginning of what is recorded so far."""
        return Replay(self.found, self.journal)

    # What the recorders say

    def opened(self, path: Path) -> None:
        """A file of `home` is in use: if it was not known, it is new."""
        if path.name not in self._names:
            self._names.add(path.name)
            self.journal.append(Created(path.name))
            if content := path.read_bytes():
                self.journal.append(Written(path.name, 0, content))

    def deleted(self, path: Path, *, synced: bool) -> None:
        """A file of `home` was deleted, and the directory perhaps synced."""
        self._names.discard(path.name)
        self.journal.append(Deleted(path.name))
        if synced:
            self.journal.append(DirectorySynced())


class _RecordingSlots:
    """The slot file, with its changes in the journal."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._file = LocalFile(path)
        self._name = path.name
        self._journal = disk.journal
        disk.opened(path)

    def read(self) -> bytes:
        return self._file.read()

    def write(self, offset: int, data: bytes) -> None:
        self._file.write(offset, data)
        self._journal.append(Written(self._name, offset, bytes(data)))

    def sync(self) -> None:
        self._journal.append(Synced(self._name))

    def close(self) -> None:
        self._file.close()


class _RecordingVfs(apsw.VFS):
    """SQLite's default operating system, with the changes to one directory in the journal."""

    def __init__(self, disk: Disk, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self._disk = disk

    def xOpen(self, name: _Name, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  SQLite's name
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = None if text is None else Path(text)
        if path is None or path.parent != self._disk.home:
            return apsw.VFSFile("", name, flags)
        is_new_log = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _LOGS)
        file = _RecordingFile(self._disk, path, name, flags)
        file.is_new_log = is_new_log
        self._disk.opened(path)
        return file

    def xDelete(self, name: str, sync_directory: bool) -> None:  # noqa: FBT001, N802, RUF100
        super().xDelete(name, False)
        path = Path(name)
        if path.parent == self._disk.home:
            self._disk.deleted(path, synced=bool(sync_directory))


class _RecordingFile(apsw.VFSFile):
    """One open file of the directory."""

    def __init__(self, disk: Disk, path: Path, name: _Name, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.is_new_log = False
        self._journal = disk.journal
        self._name = path.name

    def xWrite(self, data: "Buffer", offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._journal.append(Written(self._name, offset, bytes(data)))

    def xTruncate(self, size_bytes: int) -> None:  # noqa: N802
        super().xTruncate(size_bytes)
        self._journal.append(Truncated(self._name, size_bytes))

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802, RUF100
        self._journal.append(Synced(self._name))
        if self.is_new_log:  # as os_unix.c does, unixSync() and UNIXFILE_DIRSYNC
            self.is_new_log = False
            self._journal.append(DirectorySynced())


class _File:
    """A file's content as it is safe, and what was done to it since."""

    __slots__ = ("safe", "since")

    def __init__(self, content: bytes = b"") -> None:
        self.safe = bytearray(content)
        self.since: list[Written | Truncated] = []

    def sync(self) -> None:
        for change in self.since:
            _apply(self.safe, change)
        self.since.clear()

    def after_a_cut(self, keep_percent: int, lot: random.Random) -> bytes:
        content = bytearray(self.safe)
        for change in self.since if keep_percent else ():
            for part in _sectors(change) if keep_percent < 100 else (change,):
                if lot.randrange(100) < keep_percent:
                    _apply(content, part)
        return bytes(content)


class Replay:
    """The directory at `point` of a journal: so many of its events have happened. Only forward."""

    def __init__(self, found: dict[str, bytes], journal: Sequence[Event]) -> None:
        self.point = 0
        self._journal = journal
        self._names = {name: _File(content) for name, content in found.items()}
        self._safe_names = dict(self._names)
        self._renamings: list[tuple[str, _File | None]] = []

    def advance(self, point: int) -> None:
        """Let everything before the journal's event number `point` happen."""
        for event in self._journal[self.point : point]:
            self._happen(event)
        self.point = max(self.point, point)

    def after_a_cut(self, keep_percent: int, lot: random.Random) -> dict[str, bytes]:
        """Name and content of each file, where the power was cut at this point."""
        kept = len(self._renamings) * keep_percent // 100
        if 0 < keep_percent < 100:
            kept = lot.randint(0, len(self._renamings))
        names = dict(self._safe_names)
        _rename(names, self._renamings[:kept])
        return {name: file.after_a_cut(keep_percent, lot) for name, file in names.items()}

    def _happen(self, event: Event) -> None:
        if isinstance(event, Written | Truncated):
            self._names[event.name].since.append(event)
        elif isinstance(event, Synced):
            self._names[event.name].sync()
        elif isinstance(event, DirectorySynced):
            self._safe_names = dict(self._names)
            self._renamings.clear()
        else:
            renaming = (event.name, _File() if isinstance(event, Created) else None)
            self._renamings.append(renaming)
            _rename(self._names, [renaming])


def put(files: dict[str, bytes], home: Path) -> None:
    """Make an empty directory the one that a `Replay` gave."""
    for name, content in files.items():
        (home / name).write_bytes(content)


def _rename(names: dict[str, _File], renamings: Sequence[tuple[str, _File | None]]) -> None:
    for name, file in renamings:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def _apply(content: bytearray, change: Written | Truncated) -> None:
    end = change.size_bytes if isinstance(change, Truncated) else change.offset
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if isinstance(change, Truncated):
        del content[end:]
    else:
        content[end : end + len(change.data)] = change.data


def _sectors(change: Written | Truncated) -> list[Written | Truncated]:
    """A write as the sectors that it touches; a truncation is one of its own."""
    if isinstance(change, Truncated):
        return [change]
    parts: list[Written | Truncated] = []
    at, end = change.offset, change.offset + len(change.data)
    while at < end:
        until = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        start = change.offset
        parts.append(Written(change.name, at, change.data[at - start : until - start]))
        at = until
    return parts
