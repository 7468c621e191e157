"""A snapshot that cannot be used is said to be, and made again where the log has everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_bridge import sqlite_store
from cloud_bridge.batch import Batch
from cloud_bridge.errors import SnapshotError
from cloud_bridge.profile import Profile
from cloud_bridge.record import profile_in
from cloud_bridge.store import BATCH, DECISION, GAPS, SNAPSHOT_VERSION, LogRow, Marks, Writes
from edge_sdk.adapters.sqlite import open_connection
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.lives import Life


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with Life(tmp_path) as made:
        for n in range(6):
            made.touchpoints(view(n), received_ms=START_MS + n)
        made.write_behind()
        yield made


def view(at_ms: int, session: str = "cookie:1") -> Touchpoint:
    return make("page.view", at_ms, session=session, page="/", category="coffee")


def touches(life: Life, identifier: str = "cookie:1") -> int:
    return life.intake.people.subject(life.handle(identifier)).touches


def wrong(life: Life, name: str, value: int) -> None:
    """Something else writes in the file, or it was put together of two copies."""
    life.end()
    database = open_connection(life.home / sqlite_store.FILE_NAME)
    if name == "log":
        database.execute("DELETE FROM log WHERE id > ?", (value,))
    else:
        database.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
    database.close()


TROUBLES = {
    "newer": ("snapshot", SNAPSHOT_VERSION + 1, "later version"),
    "ahead of the log": ("log", 4, "the log ends at 4"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_cannot_be_used_is_made_again_of_a_whole_log(
    life: Life, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, value, said = TROUBLES[trouble]
    wrong(life, name, value)
    life.start()
    assert said in caplog.text
    assert touches(life) == (4 if name == "log" else 6)
    life.again()
    assert touches(life) == (4 if name == "log" else 6)


def test_an_earlier_form_is_made_again(
    life: Life, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_bridge.restoring.SNAPSHOT_VERSION", SNAPSHOT_VERSION + 1)
    life.again()
    assert "earlier version" in caplog.text
    assert touches(life) == 6


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *TROUBLES.values(),
        ("watermark", 1, "ends at log row 1, and the log begins behind 3"),
    ],
    ids=[*TROUBLES, "behind the log's beginning"],
)
def test_what_cannot_be_made_again_is_refused_untouched(
    life: Life, name: str, value: int, said: str
) -> None:
    assert life.store.prune(START_MS + 100, 3) == 3
    wrong(life, name, value)
    for _ in range(2):
        with pytest.raises(SnapshotError) as refused:
            life.start()
        assert said in str(refused.value)
        assert "--rebuild" in str(refused.value)
        assert "up to 3 are gone" in str(refused.value)
    life.start(rebuild=True)
    left = 1 if name == "log" else 3
    assert touches(life) == left
    life.write_behind()
    life.again()
    assert touches(life) == left


def test_an_earlier_form_of_a_pruned_log_is_refused(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.store.prune(START_MS + 100, 3)
    monkeypatch.setattr("cloud_bridge.restoring.SNAPSHOT_VERSION", SNAPSHOT_VERSION + 1)
    with pytest.raises(SnapshotError, match="earlier version"):
        life.again()
    life.start(rebuild=True)
    assert touches(life) == 3


def test_a_rebuild_that_was_killed_is_gone_on_with(life: Life) -> None:
    """Half of the new snapshot is there, and the watermark at the beginning."""
    for n in range(5):
        life.touchpoints(view(10, f"cookie:{n}"))
    before = life.digest()
    life.again(rebuild=True)
    life.intake.snapshot.begin(life.intake.next_log_id - 1, 0.0)
    for _ in range(3):
        life.write_behind(1)
        life.again()
        assert life.digest() == before


def test_a_log_that_was_dropped_whole_goes_on_behind_it(life: Life) -> None:
    assert life.store.prune(START_MS + 100, 100) == 6
    life.again()
    assert life.intake.next_log_id == 7
    life.touchpoints(view(10))
    life.again()
    assert touches(life) == 7
    assert [row.id for row in life.store.log()] == [7]


def test_an_empty_store_begins_with_1(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        assert life.intake.next_log_id == 1
        assert life.store.marks() == Marks(0, 0, 0, 0, 0, 1, life.store.marks().pepper)
        life.again(rebuild=True)
        assert life.intake.next_log_id == 1


def test_rows_that_this_version_cannot_read_are_passed_over(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    def row(kind: int, body: bytes) -> LogRow:
        (last,) = [row.id for row in life.store.log()][-1:]
        return LogRow(last + 1, "paris-1", 1, 0, 0, last, kind, START_MS, 5, 1, body)

    whole = next(life.store.log()).body
    strange = [
        (BATCH, b""),
        (BATCH, b"\xc0"),
        (BATCH, whole[:-1]),
        (BATCH, whole[:9] + b"\xc1" + whole[10:]),
        (DECISION, b"\x95\x01\x02"),
        (GAPS, b"\x90"),
        (77, b"of a later version"),
    ]
    for kind, body in strange:
        life.store.commit(Writes(log=[row(kind, body)]))
    life.again()
    assert caplog.text.count("is passed over") == 5
    assert touches(life) == 6
    assert life.intake.next_log_id == 14
    life.intake.people.prefetch([life.handle("cookie:1")])


def test_a_batch_that_names_who_is_nobody_any_more(life: Life) -> None:
    """Rows that are not scrubbed yet are read as if they were."""
    body = Batch.from_body(next(life.store.log()).body)
    assert body.known() == {life.handle("cookie:1")}
    body.without(body.known())
    assert body.known() == set()
    assert list(body.touches()) == []
    again = Batch.from_body(body.to_body())
    assert again.known() == set()
    people = life.intake.people
    before = life.digest()
    people.at(100, START_MS, "shop")
    people.prefetch(again.known())
    people.apply(again)
    assert life.digest() == before
    assert profile_in(people.subject(life.handle("cookie:1"))) != Profile()
