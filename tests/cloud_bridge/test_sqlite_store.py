"""What is SQLite's own of the store: locks, modes, damage, and a disk that stops taking writes."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from cloud_bridge.sqlite_store import FILE_NAME, LOCK_NAME, MAX_SET_ASIDE, SqliteStore
from cloud_bridge.store import Writes
from edge_sdk.adapters import apsw_sqlite, sqlite
from edge_sdk.adapters.sqlite import Connection, OpenConnection, open_connection
from edge_sdk.errors import ConfigError, CorruptError, StorageError
from edge_sdk.wire.topics import BULK
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.store_rows import content, everything, log_row

OPENERS = {"sqlite3": sqlite.open_connection, "apsw": apsw_sqlite.open_connection}


def opened(home: Path, opener: OpenConnection = open_connection) -> SqliteStore:
    store = SqliteStore(home, opener)
    try:
        store.open("acme")
    except BaseException:
        store.close()
        raise
    return store


def own(home: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        opened(home)
    except StorageError as error:
        answer.put(str(error))
    else:
        answer.put("opened")


def test_a_second_process_is_turned_away_while_the_first_lives(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(everything())
    context = multiprocessing.get_context("spawn")
    said = []
    for _ in range(2):
        answer: multiprocessing.Queue[str] = context.Queue()
        other = context.Process(target=own, args=(tmp_path, answer))
        other.start()
        said.append(answer.get(timeout=30))
        other.join()
        if len(said) == 1:
            store.commit(Writes(log=[log_row(3)]))  # it was not disturbed
            store.close()
    assert "another process" in said[0]
    assert said[1] == "opened"


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    home = tmp_path / "new"
    store = opened(home)
    store.commit(everything())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert {FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm", LOCK_NAME} == modes.keys()
    del modes[LOCK_NAME]  # it is empty for ever
    assert (home / LOCK_NAME).read_bytes() == b""
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    store.close()


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_damaged_file_is_said_to_be(tmp_path: Path, opener: OpenConnection) -> None:
    opened(tmp_path).close()
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(CorruptError, match="damaged"):
        opened(tmp_path, opener)


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_a_page_of_garbage_is_damage_and_not_somebody(
    tmp_path: Path, opener: OpenConnection
) -> None:
    store = opened(tmp_path)
    store.commit(Writes(log=[log_row(id_, bytes(900)) for id_ in range(1, 200)]))
    store.close()
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    middle = len(whole) // 2048 * 1024
    path.write_bytes(whole[:middle] + b"\xff" * 4096 + whole[middle + 4096 :])
    store = opened(tmp_path, opener)
    with pytest.raises(CorruptError):
        list(store.log())
    store.close()


def test_the_first_versions_file_is_refused_untouched(tmp_path: Path) -> None:
    """Its log has other columns: not even a missing table may be made in it."""
    tmp_path.chmod(0o700)
    path = tmp_path / FILE_NAME
    database = open_connection(path)
    database.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    database.executemany("INSERT INTO meta VALUES (?, ?)", [("version", "1"), ("tenant", "acme")])
    database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, body BLOB)")
    before = list(database.execute("SELECT * FROM sqlite_master"))
    database.close()
    with pytest.raises(ConfigError, match=r"version \(1\)"):
        opened(tmp_path)
    database = open_connection(path)
    assert list(database.execute("SELECT * FROM sqlite_master")) == before
    database.close()


def test_only_the_newest_malformed_batches_are_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for at in range(3):
        rows = [(1, at, seq, b"") for seq in range(MAX_SET_ASIDE // 2)]
        store.commit(Writes(set_aside=rows))
    store.close()
    kept = open_connection(tmp_path / FILE_NAME).execute(
        "SELECT count(*), min(epoch) FROM set_aside"
    )
    assert list(kept) == [(MAX_SET_ASIDE, 1)]


def test_a_store_that_nobody_opened_or_that_was_closed_says_so(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="not open"):
        store.marks()


def test_checkpoints_keep_the_log_beside_the_file_small(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for id_ in range(1, 1001):
        store.commit(Writes(log=[log_row(id_, bytes(3000))]))
        store.tidy()
    assert (tmp_path / (FILE_NAME + "-wal")).stat().st_size < 3_000_000
    before = content(store)
    store.close()
    store = opened(tmp_path)
    assert content(store) == before
    store.close()


@pytest.mark.parametrize("library", OPENERS)
def test_a_disk_that_turns_read_only_under_load(
    tmp_path: Path, library: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It stalls, says so, goes on by itself, and nothing is lost or folded twice."""
    connections: list[Connection] = []

    def remembered(path: Path) -> Connection:
        connections.append(OPENERS[library](path))
        return connections[-1]

    def said(sql: str) -> None:
        for _ in connections[0].execute(sql):
            pass

    sight = make("sighting", START_MS, receiver="r", beacon="ble:1")
    with Rig(tmp_path, open_database=remembered) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        sent = released = 0
        for toggled in range(3):
            rig.offer(device, *[device.rows(sight) for _ in range(20)], lane=BULK)
            sent += 20
            said("PRAGMA query_only = ON")
            rig.offer(device, *[device.rows(sight) for _ in range(20)], lane=BULK)
            sent += 20
            told = len(rig.heard[device.number])
            while all(kind != "refusal" for kind, _ in rig.heard[device.number][told:]):
                released += len(rig.follow().tokens)
            while rig.ingest.stalled is None:
                pass
            assert "disk failed" in rig.ingest.stalled
            assert len(caplog.records) > toggled
            said("PRAGMA query_only = OFF")
            while released < sent:
                released += len(rig.follow().tokens)
            assert rig.ingest.stalled is None
        held = {
            seq
            for kind, ranges in rig.heard[device.number]
            if kind == "ack"
            for _, first, last in ranges
            for seq in range(first, last + 1)
        }
        assert held == set(range(sent + 1))
        rows = [row.seq for row in rig.store.log()]
        assert sorted(rows) == list(range(1, sent + 1))
        digest = rig.digest()
    with Rig(tmp_path) as again:
        assert again.digest() == digest
        (beacon,) = again.intake.vault.handles(["ble:1"]).values()
        assert again.intake.people.subject(beacon).touches == sent
