"""The outbox on disk: what is committed stays, what is shed is declared, damage is set aside."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.errors import DiskFullError, StorageError
from edge_sdk.key_slots import KeySlots
from edge_sdk.outbox_store import FILE_NAME, OutboxFullError, OutboxStore
from edge_sdk.rows import Changes, Committed, Row
from edge_sdk.wire import control, seal
from edge_sdk.wire.keys import MAX_SEQ, Ratchet, next_chain_key, root_key
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.edge_sdk.homes import SECRET, enrolled

SUITE = AesCcm()
ENTER = make("visit.enter", 1000, visit=1, visitor="ble:aa", zone="coffee")
NOISE = "0123456789abcdef"


def store(home: Path, max_bytes: int = 1 << 24, opener: Any = open_connection) -> OutboxStore:
    made = OutboxStore(
        home,
        SUITE,
        KeySlots(home, SUITE),
        agent="test",
        max_bytes=max_bytes,
        open_database=opener,
    )
    made.open(now_ms=1000)
    return made


def commit(outbox: OutboxStore, *touchpoints: Touchpoint, **changes: Any) -> Committed:
    return outbox.commit(Changes(touchpoints=list(touchpoints), **changes), now_ms=2000)


def sightings(count: int, start: int = 0) -> list[Touchpoint]:
    """Sightings that do not deflate away."""
    return [
        make("sighting", 1000 + n, receiver=f"r{hash((n, 1)) % 10**9}", beacon=f"ble:{n:012x}")
        for n in range(start, start + count)
    ]


def opened(row: Row) -> tuple[int, bytes]:
    """(kind, plaintext), as the bridge would open it."""
    chain_key = root_key(SUITE, "acme", "paris-1", SECRET)
    for _ in range(row.epoch):
        chain_key = next_chain_key(SUITE, chain_key)
    header = seal.read_header(row.message, seal.UP_KINDS)
    key = Ratchet.of_epoch(SUITE, chain_key).at(header.seq).message_key()
    return header.kind, seal.open_up(SUITE, header, key, row.message)


def stored(outbox: OutboxStore) -> list[Row]:
    return outbox.rows_after(-1, 100_000)


def hello_of(rows: Sequence[Row]) -> control.Hello:
    kind, plaintext = opened(rows[0])
    assert kind == seal.HELLO
    return control.decode_hello(plaintext)


def notices(rows: Sequence[Row]) -> list[tuple[int, int, int, int, int]]:
    """Every gap that the rows declare."""
    gaps = []
    for row in rows:
        kind, plaintext = opened(row)
        if kind == seal.NOTICE:
            gaps += control.decode_notice(plaintext)
    return gaps


def test_what_was_committed_is_there_after_a_restart_byte_for_byte(tmp_path: Path) -> None:
    first = store(enrolled(tmp_path))
    before = commit(first, ENTER, *sightings(40)).rows
    first.close()
    again = store(tmp_path)
    after = {row.id: row.message for row in stored(again)}
    assert all(after[row.id] == row.message for row in before)
    assert again.epoch.number == 1
    assert hello_of([row for row in stored(again) if row.epoch == 1]).held == [(0, 1, 2)]
    again.close()


def test_each_batch_holds_one_class_and_says_whether_it_can_prompt(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    rows = commit(outbox, *sightings(2), ENTER, *sightings(2, start=9)).rows
    assert [row.prompting for row in rows] == [False, True]
    assert [row.seq for row in rows] == [1, 2]
    outbox.close()


def test_held_batches_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    for _ in range(5):
        commit(outbox, ENTER)
    size = outbox.size_bytes
    commit(outbox, held=[(0, 1, 2), (0, 4, 4), (7, 0, MAX_SEQ)])
    assert [row.seq for row in stored(outbox)] == [0, 3, 5]
    assert outbox.batches == 3
    assert outbox.size_bytes < size
    outbox.close()


def test_shedding_takes_the_least_precious_and_declares_it(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path), max_bytes=20_000)
    call = make("call", 1000, call="c1", phase="ring", number="+441632960001")
    commit(outbox, call)
    enters = [commit(outbox, ENTER).rows[0].seq for _ in range(5)]
    first_sightings = [commit(outbox, *sightings(40, 40 * n)).rows[0].seq for n in range(40)]
    rows = stored(outbox)
    kept = {row.seq for row in rows}
    declared = {
        seq
        for _, first, last, _, reason in notices(rows)
        if reason == control.SHED
        for seq in range(first, last + 1)
    }
    assert outbox.size_bytes <= 20_000 + 1_000  # notices are never shed
    assert {1, *enters} <= kept, "calls and visits are kept while there are sightings"
    assert declared == set(first_sightings) - kept
    assert declared == set(first_sightings[: len(declared)]), "oldest first"
    assert outbox.shed_touchpoints == 40 * len(declared) == sum(g[3] for g in notices(rows))
    outbox.close()


def test_what_is_less_precious_than_all_that_waits_is_refused(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path), max_bytes=4_000)
    call = make("call", 1000, call="c" * 900, phase="ring")

    def fill() -> None:
        for n in itertools.count():
            commit(outbox, *sightings(30, 30 * n))
            commit(outbox, call)

    with pytest.raises(OutboxFullError):
        fill()
    before = [row.id for row in stored(outbox)]
    with pytest.raises(OutboxFullError):
        commit(outbox, *sightings(60))
    assert [row.id for row in stored(outbox)] == before
    outbox.close()


def limited(pages: list[int]) -> Any:
    """An opener of databases that may have so many pages; `pages[0]` can be changed later."""

    def opener(path: Path) -> Connection:
        connection = open_connection(path)
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        pages.append(0)
        opened_connections.append(connection)
        return connection

    opened_connections: list[Connection] = []
    opener.connections = opened_connections  # type: ignore[attr-defined]
    return opener


def test_a_full_disk_is_told_and_work_resumes_when_there_is_room(tmp_path: Path) -> None:
    opener = limited([40])
    outbox = store(enrolled(tmp_path), opener=opener)
    kept: list[Row] = []

    def fill() -> None:
        for n in itertools.count():
            kept.extend(commit(outbox, *sightings(100, 100 * n)).rows)

    with pytest.raises(DiskFullError, match="make room"):
        fill()
    failed_seq = outbox.epoch.next_seq - 1
    opener.connections[0].execute("PRAGMA max_page_count = 100000")
    kept += commit(outbox, ENTER).rows
    rows = stored(outbox)
    assert {row.id for row in kept} <= {row.id for row in rows}
    assert (0, failed_seq) in {(g[0], g[2]) for g in notices(rows)}, "the burned number is told"
    assert len({row.seq for row in rows}) == len(rows)
    outbox.close()


def test_a_damaged_file_is_set_aside_and_the_device_goes_on(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    commit(outbox, ENTER)
    outbox.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(b"this is no database at all, but it is here" * 100)
    again = store(tmp_path)
    rows = commit(again, ENTER).rows
    assert rows[0].epoch == 1
    assert hello_of(stored(again)).held == []
    assert [file.name for file in tmp_path.glob("*damaged*")] == [f"{FILE_NAME}.damaged-0001"]
    again.close()


@pytest.mark.parametrize("round_", range(6))
def test_damaged_files_that_are_kept_are_few(tmp_path: Path, round_: int) -> None:
    enrolled(tmp_path)
    for _ in range(round_):
        (tmp_path / FILE_NAME).write_bytes(b"no database" * 500)
        store(tmp_path).close()
    assert len(list(tmp_path.glob("*damaged*"))) == min(round_, 3)


def test_damage_in_the_middle_of_work_is_set_aside_too(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    for n in range(20):
        commit(outbox, *sightings(100, 100 * n))
    outbox.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data)):
        data[at] = 0xEE
    path.write_bytes(data)
    again = store(tmp_path)
    assert commit(again, ENTER).rows
    again.close()


def test_a_rotten_row_is_given_up_and_declared(tmp_path: Path) -> None:
    connections: list[Connection] = []

    def opener(path: Path) -> Connection:
        connections.append(open_connection(path))
        return connections[-1]

    outbox = store(enrolled(tmp_path), opener=opener)
    commit(outbox, ENTER)
    commit(outbox, ENTER)
    connections[0].execute("UPDATE batches SET message = zeroblob(80) WHERE id = 1")
    assert [row.seq for row in stored(outbox)] == [0, 2]
    assert outbox.has_notice
    commit(outbox)
    rows = stored(outbox)
    assert (0, 1, 1, 0, control.CORRUPT) in notices(rows)
    assert [row.seq for row in rows] == [0, 2, 3]
    outbox.close()


def test_a_second_process_cannot_use_the_same_home(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    with pytest.raises(StorageError, match="another process"):
        store(tmp_path)
    commit(outbox, ENTER)
    outbox.close()


def test_a_full_epoch_is_followed_by_the_next_one(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    commit(outbox, ENTER)
    outbox.epoch._ratchet = outbox.epoch._ratchet.at(MAX_SEQ - 10)  # type: ignore[union-attr]
    rows = commit(outbox, ENTER, *sightings(5)).rows
    assert {row.epoch for row in rows} == {1}
    assert hello_of([row for row in stored(outbox) if row.epoch == 1]).held == [(0, 1, 1)]
    outbox.close()


def test_a_prompt_is_marked_once_and_reported_after_a_crash(tmp_path: Path) -> None:
    outbox = store(enrolled(tmp_path))
    assert commit(outbox, marks=[(7, "o7", "kiosk"), (8, "o8", "kiosk")]).marked == {7, 8}
    assert commit(outbox, marks=[(7, "o7", "kiosk")]).marked == set()
    commit(outbox, outcomes=[8])
    outbox.close()
    again = OutboxStore(tmp_path, SUITE, KeySlots(tmp_path, SUITE), agent="test", max_bytes=1 << 24)
    assert again.open(now_ms=0) == [(7, "o7", "kiosk")]
    assert commit(again, marks=[(7, "o7", "kiosk"), (8, "o8", "kiosk")]).marked == set()
    again.close()


def test_remembered_prompts_are_bounded(tmp_path: Path) -> None:
    connections: list[Connection] = []

    def opener(path: Path) -> Connection:
        connections.append(open_connection(path))
        return connections[-1]

    outbox = store(enrolled(tmp_path), opener=opener)
    for n in range(30):
        ids = range(1000 * n, 1000 * n + 500)
        commit(outbox, marks=[(id_, "o", "s") for id_ in ids], outcomes=list(ids))
    [(count,)] = connections[0].execute("SELECT count(*) FROM prompts")
    assert count <= 4096 + 500
    outbox.close()
