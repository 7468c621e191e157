"""What every engine has to do with what is derived, and to stay small; beside store_conformance."""

import pytest

from cloud_bridge.store import SNAPSHOT_VERSION, Store, Writes
from tests.cloud_bridge.store_conformance import Harness
from tests.cloud_bridge.store_rows import (
    content,
    everything,
    log_row,
    prompt_row,
    subject_row,
    subjects,
    vault_row,
)


class Derived:
    """Snapshot rows and the watermark."""

    def test_rows_are_replaced_and_read_in_their_order(self, harness: Harness) -> None:
        store = harness.open()
        assert store.marks().snapshot == 0
        rows = [subject_row(handle) for handle in (9, 0, 5, 1 << 40)]
        store.commit(Writes(subjects=subjects(*rows)))
        again = subject_row(5, as_of=3, day=2, body=b"newer")
        store.commit(Writes(subjects=subjects(again)))
        assert [row.handle for row in store.all_subjects()] == [0, 5, 9, 1 << 40]
        assert [row.handle for row in store.all_subjects(after=5)] == [9, 1 << 40]
        assert list(store.subjects([5, 6])) == [again]
        assert {row.handle for row in store.subjects([9, 0])} == {0, 9}
        assert list(store.subjects([])) == []
        assert store.marks().snapshot == SNAPSHOT_VERSION

    def test_the_watermark_only_rises(self, harness: Harness) -> None:
        store = harness.open()
        for said, holds in ((5, 5), (3, 5), (None, 5), (0, 5), (9, 9)):
            store.commit(Writes(log=[log_row(1)], watermark=said))
            assert store.marks().watermark == holds
        harness.crash(store)
        assert harness.open().marks().watermark == 9

    def test_what_is_derived_can_be_dropped(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        facts = content(store)
        for _ in range(2):
            store.drop_derived()
            found = content(store)
            assert found.subjects == []
            assert (found.marks.watermark, found.marks.snapshot) == (0, 0)
            assert found[:7] == facts[:7]
        store.commit(Writes(subjects=subjects(subject_row(5)), watermark=2))
        assert (store.marks().watermark, store.marks().snapshot) == (2, SNAPSHOT_VERSION)

    def test_the_watermark_falls_to_where_the_log_begins_and_no_lower(
        self, harness: Harness
    ) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_) for id_ in range(1, 6)], watermark=4))
        assert store.prune(6000, 3) == 3
        store.drop_derived()
        marks = store.marks()
        assert (marks.pruned_to, marks.watermark, marks.first) == (3, 3, 4)


class Small:
    """Pruning, forgetting, scrubbing."""

    def test_only_what_is_old_and_folded_is_dropped(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_, received_ms=100 * id_) for id_ in range(1, 11)]))
        assert store.prune(10_000, 100) == 0  # nothing is folded yet
        store.commit(Writes(watermark=6))
        assert store.prune(401, 100) == 4
        assert store.prune(401, 100) == 0
        marks = store.marks()
        assert (marks.first, marks.last, marks.pruned_to, marks.watermark) == (5, 10, 4, 6)
        assert store.prune(10_000, 100) == 2
        assert [row.id for row in store.log()] == [7, 8, 9, 10]

    def test_a_little_at_a_time(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_) for id_ in range(1, 8)], watermark=7))
        assert [store.prune(6000, 3) for _ in range(4)] == [3, 3, 1, 0]

    def test_a_young_row_keeps_older_ones_behind_it(self, harness: Harness) -> None:
        """A clock that went back: what is dropped is a beginning, always."""
        store = harness.open()
        times = (100, 900, 200)
        rows = [log_row(id_, received_ms=ms) for id_, ms in enumerate(times, 1)]
        store.commit(Writes(log=rows, watermark=3))
        assert store.prune(500, 100) == 1
        assert [row.id for row in store.log()] == [2, 3]

    def test_the_last_id_is_remembered_when_the_log_is_empty(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(1), log_row(2)], watermark=2))
        assert store.prune(10_000, 100) == 2
        for _ in range(2):
            marks = store.marks()
            assert (marks.first, marks.last, marks.pruned_to) == (0, 2, 2)
            harness.crash(store)
            store = harness.open()

    def test_keys_and_settled_prompts_go_with_it(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(
            Writes(
                log=[log_row(id_, received_ms=100 * id_) for id_ in (1, 2, 3)],
                collected={b"a" * 16: 1, b"b" * 16: 3},
                prompts={
                    1: prompt_row(1, "shown", expires_ms=150),
                    2: prompt_row(2, expires_ms=150),
                    3: prompt_row(3, "shown", expires_ms=5000),
                },
                watermark=3,
            )
        )
        assert store.prune(201, 100) == 2
        assert store.collected([b"a" * 16, b"b" * 16]) == {b"b" * 16}
        assert content(store).prompts == [prompt_row(2, expires_ms=150)]

    def test_strangers_are_told_a_page_at_a_time(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(1), log_row(2)], watermark=1))
        store.prune(6000, 1)
        old = [subject_row(4 * n, day=n % 3, is_stranger=True) for n in range(1, 10)]
        kept = [
            subject_row(0, is_stranger=True),  # the totals
            subject_row(41),  # a person, or a thing that leads to one
            subject_row(44, as_of=2, is_stranger=True),  # the log may still hold it
        ]
        store.commit(Writes(subjects=subjects(*old, *kept)))
        for page in (1, 4, 100):
            assert _strangers(store, 2, page) == [4 * n for n in range(1, 10) if n % 3 < 2]
        assert store.strangers(2, 0, 4) == ([4, 12, 16], 16)
        assert store.strangers(0, 0, 100) == ([], -1)

    def test_rewriting_goes_through_the_log_a_little_at_a_time(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_, b"%d" % (id_ % 3)) for id_ in range(1, 11)]))
        assert store.scrub(4, _scrubbed) == 0  # nobody was erased
        store.commit(Writes(vault=[vault_row(5)], erased=[5]))
        assert store.scrub(4, _scrubbed) == 4
        harness.crash(store)
        store = harness.open()
        assert store.erased() == {5}
        assert [store.scrub(4, _scrubbed) for _ in range(3)] == [4, 2, 0]
        assert store.erased() == set()
        bodies = {row.id: row.body for row in store.log()}
        assert bodies == {n: b"%d" % (n % 3) if n % 3 else b"nobody" for n in range(1, 11)}
        assert store.scrub(4, _scrubbed) == 0

    def test_who_is_erased_meanwhile_is_looked_for_from_the_beginning(
        self, harness: Harness
    ) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_) for id_ in range(1, 7)], erased=[5]))
        asked: list[set[int]] = []

        def rewritten(_kind: int, _body: bytes, erased: set[int]) -> bytes | None:
            asked.append(set(erased))
            return None

        assert store.scrub(4, rewritten) == 4
        store.commit(Writes(log=[log_row(7)], erased=[9]))
        while store.scrub(4, rewritten):
            assert store.erased() == {5, 9}
        assert asked == [{5}] * 4 + [{5, 9}] * 7
        assert store.erased() == set()

    def test_a_scrub_ends_while_the_log_grows_and_is_dropped(self, harness: Harness) -> None:
        store = harness.open()
        rows = [log_row(id_) for id_ in range(1, 6)]
        store.commit(Writes(log=rows, watermark=5, erased=[5]))
        for id_ in range(6, 60):
            done = store.scrub(1, _scrubbed)
            store.prune(6000, 1)
            if not done:
                break
            store.commit(Writes(log=[log_row(id_)]))
        assert store.erased() == set()

    def test_a_body_that_cannot_be_rewritten_changes_nothing(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(1, b"0"), log_row(2, b"0")], erased=[5]))

        def torn(_kind: int, _body: bytes, _erased: set[int]) -> bytes | None:
            torn.calls += 1  # type: ignore[attr-defined]
            if torn.calls > 1:  # type: ignore[attr-defined]
                raise ZeroDivisionError
            return b"nobody"

        torn.calls = 0  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            store.scrub(10, torn)
        assert [row.body for row in store.log()] == [b"0", b"0"]
        assert store.scrub(10, _scrubbed) == 2


def _scrubbed(_kind: int, body: bytes, _erased: set[int]) -> bytes | None:
    return b"nobody" if body == b"0" else None


def _strangers(store: Store, before_day: int, page: int) -> list[int]:
    found: list[int] = []
    after = 0
    while after >= 0:
        listed, after = store.strangers(before_day, after, page)
        found += listed
    return found
