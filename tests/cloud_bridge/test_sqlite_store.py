"""The store: all or nothing, again and again, for one owner only."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from cloud_bridge.sqlite_store import FILE_NAME, MAX_SET_ASIDE, SqliteStore
from cloud_bridge.store import WAITING, DeviceRow, EpochRow, LogRow, PromptRow, Writes
from edge_sdk.adapters.sqlite import open_connection
from edge_sdk.errors import ConfigError, CorruptError, DiskFullError, StorageError

DEVICE = DeviceRow(1, 0, 3, False, b"c" * 32, b"ear", b"")
EPOCH = EpochRow(1, 2, None, b"state")
PROMPT = PromptRow(7, 1, 1000, 2000, WAITING, 0, b"payload")


def log_row(id_: int, body: bytes = b"body") -> LogRow:
    return LogRow(id_, "paris-1", 1, 0, 2, id_, 0, 5000, -3, body)


def opened(home: Path, tenant: str = "acme") -> SqliteStore:
    store = SqliteStore(home)
    try:
        store.open(tenant)
    except BaseException:
        store.close()
        raise
    return store


def everything() -> Writes:
    return Writes(
        log=[log_row(1), LogRow(2, "shop", None, 0, 0, 0, 1, 6000, 0, b"web")],
        devices={1: DEVICE},
        epochs={(1, 2): EPOCH, (1, 1): None},
        prompts={7: PROMPT},
        collected={b"k" * 16: 2},
        set_aside=[(1, 2, 9, b"bad")],
    )


def content(store: SqliteStore) -> object:
    return (
        list(store.log()),
        list(store.devices()),
        list(store.epochs()),
        list(store.prompts()),
        store.is_collected(b"k" * 16),
    )


def test_what_is_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(everything())
    before = content(store)
    assert before == (everything().log, [DEVICE], [EPOCH], [PROMPT], True)
    store.close()
    store = opened(tmp_path)
    assert content(store) == before
    store.close()


def test_a_commit_can_be_made_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(everything())
    before = content(store)
    store.commit(everything())
    assert content(store) == before
    store.close()


def test_epochs_are_closed_and_prompts_settled(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(everything())
    settled = PromptRow(7, 1, 1000, 2000, "shown", 1, b"payload")
    store.commit(Writes(epochs={(1, 2): None}, prompts={7: settled}))
    assert list(store.epochs()) == []
    assert list(store.prompts()) == []
    store.close()


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


def test_a_full_disk_leaves_nothing_of_a_commit(tmp_path: Path) -> None:
    database = open_connection(tmp_path / FILE_NAME)
    store = SqliteStore(tmp_path, lambda _path: database)
    store.open("acme")
    store.commit(everything())
    before = content(store)
    for _ in database.execute("PRAGMA max_page_count = 1"):
        pass
    large = Writes(log=[log_row(3), log_row(4, bytes(100_000))], epochs={(1, 2): None})
    with pytest.raises(DiskFullError):
        store.commit(large)
    assert content(store) == before
    for _ in database.execute("PRAGMA max_page_count = 100000"):
        pass
    store.commit(large)
    assert len(list(store.log())) == 4
    store.close()


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    opened(tmp_path).close()
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(CorruptError):
        opened(tmp_path)


def own(home: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        opened(home)
    except StorageError as error:
        answer.put(str(error))
    else:
        answer.put("opened")


def test_a_second_owner_is_turned_away(tmp_path: Path) -> None:
    store = opened(tmp_path)
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    other = context.Process(target=own, args=(tmp_path, answer))
    other.start()
    said = answer.get(timeout=30)
    other.join()
    assert "another process" in said
    store.close()


def test_another_tenants_or_versions_file_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(ConfigError, match="acme"):
        opened(tmp_path, "other")
    database = open_connection(tmp_path / FILE_NAME)
    for _ in database.execute("UPDATE meta SET value = '2' WHERE name = 'version'"):
        pass
    database.close()
    with pytest.raises(ConfigError, match="version"):
        opened(tmp_path)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    home = tmp_path / "new"
    store = opened(home)
    store.commit(everything())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    store.close()


def test_no_row_shows_what_it_holds() -> None:
    shown = repr((everything(), log_row(1), DEVICE, EPOCH, PROMPT))
    for secret in ("body", "payload", "state=b", "chain_key", "ear"):
        assert secret not in shown.replace("state='waiting'", "")
