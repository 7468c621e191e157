"""A store's file of numbers: nothing is shown that is not on the disk, and a copy lends nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.errors import CorruptError, StorageError
from edge_sdk.number_store import FILE_NAME, NumberStore, lease_touchpoints
from edge_sdk.numbers import ledger_rows as words
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import Reply
from edge_sdk.numbers.ledger_rows import Done
from edge_sdk.numbers.pool import Pool
from tests.edge_sdk.numbers.lent import KEY, NUMBERS, PUBLIC, answered, bridge

SITE: dict[str, Any] = {"tenant": "acme", "site": "paris-1", "pool": "web"}


def free() -> Allocation:
    return Allocation((), split=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NumberStore]:
    store = NumberStore(tmp_path, free, **SITE)
    store.open(0)
    yield store
    store.close()


def talk(pool: Pool, store: NumberStore, now_ms: int, wants: int = 0) -> Done:
    _, report = store.report(now_ms, wants=wants)
    assert report is not None
    _, reply = answered(pool, report.encode(), now_ms, at_most=wants)
    return store.receive(Reply.verify(reply, PUBLIC), now_ms)


def reopened(store: NumberStore, now_ms: int = 0) -> NumberStore:
    store.close()
    store.open(now_ms)
    return store


def everything(store: NumberStore) -> dict[str, Any]:
    rows = store.sub_pool.rows()
    values = {name: getattr(rows, name) for name in type(rows).__dataclass_fields__}
    return {name: set(v) if isinstance(v, tuple) else v for name, v in values.items()}


def test_what_was_done_is_there_after_a_restart(store: NumberStore) -> None:
    pool = bridge()
    talk(pool, store, 0, wants=4)
    first = store.lend("kiosk:1", 10)
    assert first.lease is not None
    store.lend("kiosk:2", 10)
    talk(pool, store, 20)
    store.heartbeat(first.lease.id, 900)
    store.release(first.lease.id, 1_200)
    store.hand_back(1_250, numbers=[NUMBERS[3]])
    store.erase("kiosk:2", 1_260)
    store.tick(1_300)
    before = everything(store)
    assert before["leases"]
    assert before["granted"]
    assert before["told"] != before["leases"]
    assert everything(reopened(store)) == before
    assert not store.copied


def test_the_bridge_need_not_be_there_after_a_restart(store: NumberStore) -> None:
    pool = bridge()
    talk(pool, store, 0, wants=2)
    lease = store.lend("kiosk:1", 10).lease
    reopened(store, 20)
    again, other = store.lend("kiosk:1", 30), store.lend("kiosk:2", 30)
    assert again.lease == lease
    assert other.lease is not None
    assert other.lease.id == "k1.web-2"
    talk(pool, store, 40)
    assert pool.past(again.number) == [lease]


class Failing:
    """A connection whose commits fail while it is told so."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.fails = False

    def execute(self, sql: str, *parameters: Any) -> Any:
        if self.fails and sql == "COMMIT":
            raise StorageError("the disk failed")
        return self.connection.execute(sql, *parameters)

    def executemany(self, sql: str, rows: Any) -> Any:
        return self.connection.executemany(sql, rows)

    def close(self) -> None:
        self.connection.close()


def test_what_cannot_be_committed_was_not_done(tmp_path: Path) -> None:
    opened: list[Failing] = []

    def opener(path: Path) -> Connection:
        opened.append(Failing(open_connection(path)))
        return opened[-1]

    store = NumberStore(tmp_path, free, open_database=opener, **SITE)
    store.open(0)
    pool = bridge()
    talk(pool, store, 0, wants=2)
    before = everything(store)
    opened[-1].fails = True
    with pytest.raises(StorageError):
        store.lend("kiosk:1", 10)
    with pytest.raises(StorageError):
        store.report(10)
    assert everything(store) == before
    opened[-1].fails = False
    assert store.lend("kiosk:2", 20).number == NUMBERS[0]
    store.close()


def test_a_copy_elsewhere_lends_nothing_and_the_file_itself_goes_on(
    store: NumberStore, tmp_path: Path
) -> None:
    pool = bridge()
    talk(pool, store, 0, wants=2)
    done = store.lend("kiosk:1", 10)
    store.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tmp_path / FILE_NAME, elsewhere / FILE_NAME)
    store.open(20)
    copy = NumberStore(elsewhere, free, **SITE)
    copy.open(20)
    assert (copy.copied, store.copied) == (True, False)
    assert copy.lend("kiosk:2", 30).refused == words.NONE_FREE
    assert store.lend("kiosk:2", 30).number == NUMBERS[1]
    talk(pool, copy, 40)
    talk(pool, store, 50)
    assert pool.counts(50)[words.LENT_OUT] == 2
    assert pool.past(done.number)[0] == done.lease
    assert reopened(copy, 60).sub_pool.file.incarnation != store.sub_pool.file.incarnation
    talk(pool, copy, 70, wants=1)
    assert copy.lend("kiosk:3", 80).number == NUMBERS[2]
    copy.close()


def test_a_file_put_back_in_its_place_finds_out_and_begins_anew(
    store: NumberStore, tmp_path: Path
) -> None:
    pool = bridge()
    talk(pool, store, 0, wants=2)
    store.close()
    old = (tmp_path / FILE_NAME).read_bytes()
    store.open(10)
    for at_ms in (10, 20, 30):
        talk(pool, store, at_ms)
    store.close()
    with (tmp_path / FILE_NAME).open("r+b") as file:  # the same file, as a restoring program does
        file.truncate()
        file.write(old)
    store.open(40)
    assert not store.copied
    assert talk(pool, store, 50).refused == words.DOUBTFUL
    assert store.copied
    assert store.lend("kiosk:1", 60).refused == words.NONE_FREE
    assert pool.counts(60)[words.LENT_OUT] == 2
    talk(pool, store, 70, wants=2)
    assert store.lend("kiosk:1", 80).number == NUMBERS[2]


def test_a_damaged_file_is_refused_and_kept(store: NumberStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / FILE_NAME).write_bytes(os.urandom(4096))
    with pytest.raises(CorruptError):
        store.open(0)
    assert (tmp_path / FILE_NAME).stat().st_size == 4096
    store.close()


def test_rows_that_make_no_sense_are_a_damaged_file(store: NumberStore) -> None:
    talk(bridge(), store, 0, wants=1)
    store.close()
    for sql in (
        "UPDATE numbers SET row = '[]'",
        "UPDATE numbers SET row = 'x'",
        "UPDATE blocks SET row = '[1]'",
        "UPDATE file SET row = '7'",
    ):
        connection = open_connection(store.path)
        before = {
            t: list(connection.execute(f"SELECT * FROM {t}")) for t in ("numbers", "blocks", "file")
        }
        connection.execute(sql)
        with_damage = NumberStore(store.path.parent, free, **SITE)
        connection.close()
        with pytest.raises(CorruptError):
            with_damage.open(0)
        with_damage.close()
        connection = open_connection(store.path)
        for table, rows in before.items():
            connection.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.close()
    store.open(0)


def test_one_process_owns_the_file(store: NumberStore, tmp_path: Path) -> None:
    second = NumberStore(tmp_path, free, **SITE)
    with pytest.raises(StorageError, match="another process"):
        second.open(0)
    second.close()


def test_a_lease_is_a_touchpoint(store: NumberStore) -> None:
    talk(bridge(), store, 0, wants=1)
    done = store.lend("kiosk:1", 10)
    [touchpoint] = lease_touchpoints(done, 10)
    assert (touchpoint.get("number"), touchpoint.get("session")) == (NUMBERS[0], "kiosk:1")
    assert (touchpoint.get("lease"), touchpoint.get("ttl_ms")) == ("k1.web-1", 1_000)
    assert (touchpoint.get("kind"), touchpoint.get("ended")) == ("session", 0)
    [ended] = lease_touchpoints(store.tick(5_000), 5_000)
    assert (ended.get("ended"), ended.at_ms, ended.get("ttl_ms")) == (1, 1_010, 0)
    assert KEY.public_key


def test_checkpoints_are_asked_for_now_and_then(store: NumberStore) -> None:
    talk(bridge(), store, 0, wants=1)
    for at_ms in range(10, 12_000, 50):
        store.lend("kiosk:1", at_ms)
        if store.wants_checkpoint:
            store.checkpoint()
            return
    pytest.fail("never")
