"""The recording disk: everything is in the journal, and a cut leaves what its model says."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from edge_sdk.adapters.sqlite import checkpoint, configure, transaction
from simulators.disk import (
    SECTOR_BYTES,
    Created,
    Deleted,
    DirectorySynced,
    Disk,
    Event,
    Replay,
    Synced,
    Truncated,
    Written,
    put,
)

LOT = random.Random(0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "device.keys").write_bytes(bytes(2 * SECTOR_BYTES))
    with Disk(home) as disk:
        yield disk


def after(journal: list[Event], keep: int, lot: random.Random = LOT) -> dict[str, bytes]:
    replay = Replay({}, journal)
    replay.advance(len(journal))
    return replay.after_a_cut(keep, lot)


def fill(disk: Disk, rows: int) -> list[int]:
    """One row a commit; the point of the journal after each."""
    path = disk.home / "some.sqlite"
    connection = disk.open_database(path)
    configure(connection, path)
    points = []
    with transaction(connection, path):
        connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
    for row in range(rows):
        with transaction(connection, path):
            connection.execute("INSERT INTO t VALUES (?)", (row,))
        points.append(len(disk.journal))
    connection.close()
    return points


def rows_in(files: dict[str, bytes], home: Path) -> list[int]:
    home.mkdir()
    put(files, home)
    database = sqlite3.connect(home / "some.sqlite")
    rows = [row[0] for row in database.execute("SELECT a FROM t ORDER BY a")]
    database.close()
    return rows


def test_all_kept_is_the_directory_as_it_is(disk: Disk) -> None:
    disk.kills = True
    fill(disk, 5)
    replay = disk.replay()
    replay.advance(len(disk.journal))
    files = {path.name: path.read_bytes() for path in disk.home.iterdir()}
    assert "some.sqlite-wal" in files
    assert replay.after_a_cut(100, LOT) == files


def test_what_was_committed_is_there_whatever_is_kept(disk: Disk, tmp_path: Path) -> None:
    replay = disk.replay()
    for number, point in enumerate(fill(disk, 4)):
        replay.advance(point)
        for keep in (0, 50, 100):
            files = replay.after_a_cut(keep, LOT)
            home = tmp_path / f"{number}-{keep}"
            assert rows_in(files, home) == list(range(number + 1))


def test_a_log_that_others_may_read_is_recorded_and_its_shared_memory_is_not(
    disk: Disk, tmp_path: Path
) -> None:
    """As the bridge's store has it: not locked for one process alone."""
    path = disk.home / "some.sqlite"
    connection = disk.open_database(path)
    configure(connection, path, shared=True)
    with transaction(connection, path):
        connection.execute("CREATE TABLE t (a)")
    for row in range(20):
        with transaction(connection, path):
            connection.execute("INSERT INTO t VALUES (?)", (row,))
    reader = disk.open_database(path)
    assert list(reader.execute("SELECT count(*) FROM t")) == [(20,)]
    assert (disk.home / "some.sqlite-shm").exists()
    for keep in (0, 50, 100):
        files = after(disk.journal, keep)
        assert files.keys() == {"some.sqlite", "some.sqlite-wal"}
        home = tmp_path / str(keep)
        home.mkdir()
        put(files, home)
        found = sqlite3.connect(home / "some.sqlite")
        assert list(found.execute("SELECT count(*) FROM t")) == [(20,)]
        found.close()
    checkpoint(connection, path)  # the reader reads nothing at the moment
    assert after(disk.journal, 0)["some.sqlite"].count(b"CREATE TABLE") == 1
    reader.close()
    connection.close()
    assert "some.sqlite-wal" not in after(disk.journal, 100)


def test_closing_checkpoints_unless_it_is_a_kill(disk: Disk) -> None:
    fill(disk, 2)
    assert Deleted("some.sqlite-wal") in disk.journal
    assert not (disk.home / "some.sqlite-wal").exists()
    before = len(disk.journal)
    disk.kills = True
    fill(disk, 2)
    assert Deleted("some.sqlite-wal") not in disk.journal[before:]
    assert (disk.home / "some.sqlite-wal").exists()


def test_key_slots_are_in_the_same_journal(disk: Disk) -> None:
    slots = disk.open_slots(disk.home / "device.keys")
    slots.write(SECTOR_BYTES, b"new")
    replay = disk.replay()
    replay.advance(len(disk.journal))
    assert replay.after_a_cut(0, LOT)["device.keys"] == bytes(2 * SECTOR_BYTES)
    slots.sync()
    assert slots.read()[SECTOR_BYTES:][:3] == b"new"
    slots.close()
    replay.advance(len(disk.journal))
    assert replay.after_a_cut(0, LOT)["device.keys"][SECTOR_BYTES:][:3] == b"new"
    assert disk.journal == [Written("device.keys", SECTOR_BYTES, b"new"), Synced("device.keys")]


def test_a_file_that_another_made_is_created_when_sqlite_opens_it(disk: Disk) -> None:
    (disk.home / "some.sqlite").touch(mode=0o600)
    fill(disk, 1)
    assert disk.journal[0] == Created("some.sqlite")


def test_half_kept_is_whole_sectors_by_lot() -> None:
    journal: list[Event] = [Created("a"), DirectorySynced(), Written("a", 100, b"x" * 4000)]
    seen = set()
    for seed in range(50):
        content = after(journal, 50, random.Random(seed))["a"]
        kept = content.ljust(4100, b"\0")
        for at in range(SECTOR_BYTES, 3584, SECTOR_BYTES):
            assert kept[at : at + SECTOR_BYTES] in (b"x" * SECTOR_BYTES, bytes(SECTOR_BYTES))
        assert kept[:100] == bytes(100)
        seen.add(content)
        assert content == after(journal, 50, random.Random(seed))["a"]
    assert len(seen) > 20


def test_a_truncation_may_be_lost_and_a_later_write_kept() -> None:
    journal: list[Event] = [
        Created("a"),
        DirectorySynced(),
        Written("a", 0, b"old" * 400),
        Synced("a"),
        Truncated("a", 0),
        Written("a", 0, b"new"),
    ]
    assert after(journal, 0)["a"] == b"old" * 400
    assert after(journal, 100)["a"] == b"new"
    half = {after(journal, 50, random.Random(seed))["a"] for seed in range(40)}
    assert half == {b"old" * 400, b"", b"new", b"new" + b"old" * 399}


def test_names_are_safe_once_the_directory_is_synced() -> None:
    journal: list[Event] = [Created("a"), Written("a", 0, b"1"), Synced("a")]
    assert after(journal, 0) == {}
    assert after(journal, 100) == {"a": b"1"}
    journal.append(DirectorySynced())
    assert after(journal, 0) == {"a": b"1"}
    journal += [Deleted("a"), Created("a"), Written("a", 0, b"2")]
    assert after(journal, 0) == {"a": b"1"}
    assert after(journal, 100) == {"a": b"2"}
    half = [after(journal, 50, random.Random(seed)) for seed in range(40)]
    assert {} in half
    assert {"a": b"1"} in half
    assert {"a": b""} in half


WRITES = some.one_of(
    some.builds(Written, some.just("a"), some.integers(0, 1500), some.binary(max_size=1500)),
    some.builds(Truncated, some.just("a"), some.integers(0, 2000)),
    some.just(Synced("a")),
)


@given(some.lists(WRITES), some.integers())
def test_after_a_last_sync_nothing_depends_on_the_lot(events: list[Event], seed: int) -> None:
    journal = [Created("a"), DirectorySynced(), *events, Synced("a")]
    assert after(journal, 0) == after(journal, 100) == after(journal, 50, random.Random(seed))


@given(some.lists(WRITES), some.integers())
def test_what_is_kept_by_lot_was_written_there(events: list[Event], seed: int) -> None:
    journal = [Created("a"), DirectorySynced(), *events]
    content = after(journal, 50, random.Random(seed))["a"]
    for at in range(0, len(content), 97):
        written = {0} | {
            event.data[at - event.offset]
            for event in events
            if isinstance(event, Written) and 0 <= at - event.offset < len(event.data)
        }
        assert content[at] in written
