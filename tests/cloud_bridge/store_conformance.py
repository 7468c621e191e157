"""What every engine behind the storage port has to do: one suite, to be run on each of them.

A test module makes a fixture `harness` of its engine and derives from the classes here.
"""

import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Protocol

import pytest

from cloud_bridge.errors import FencedError
from cloud_bridge.store import Store, Writes
from edge_sdk.errors import ConfigError, StorageError
from tests.cloud_bridge.store_rows import (
    content,
    device_row,
    epoch_row,
    everything,
    identity_row,
    log_row,
    prompt_row,
    subject_row,
    subjects,
    vault_row,
    visit_row,
    visits,
)

TENANT = "acme"
WAIT_S = 30.0
ACKNOWLEDGED = 40  # commits that a child makes before it is killed
KILLS = 2


class Harness(Protocol):
    """One place of one engine. It can be pickled, and means the same in another process."""

    def open(self, tenant: str = TENANT) -> Store:
        """An owner of the place. Raises what the engine's `open` does."""
        ...

    def crash(self, store: Store) -> None:
        """Let the owner's process be taken for dead: nothing is closed, and another may open."""
        ...

    def trouble(self, store: Store, kind: str) -> AbstractContextManager[None] | None:
        """The disk is "full" or "read-only" for a while; None: that cannot be provoked here."""
        ...

    def of_another_version(self) -> None:
        """The place, which nobody owns, becomes one that another version of the product wrote."""
        ...


class Durability:
    """What was committed is there, as a whole."""

    def test_what_is_committed_is_there_when_it_is_opened_again(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        before = content(store)
        wanted = everything()
        assert before.log == wanted.log
        assert before.devices == [*wanted.devices.values()]
        assert before.epochs == [epoch_row()]
        assert before.prompts == [prompt_row()]
        assert before.visits == [visit_row()]
        assert before.collected == {b"k" * 16}
        assert before.vault == {row.handle: row for row in wanted.vault}
        assert before.handles == {row.digest: row.handle for row in wanted.vault}
        assert before.identities == [identity_row(5)]
        assert before.subjects == [*wanted.subjects.values()]
        store.close()
        store = harness.open()
        assert content(store) == before

    def test_what_is_committed_is_there_when_nobody_closed_it(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        before = content(store)
        harness.crash(store)
        assert content(harness.open()) == before

    def test_a_killed_process_leaves_whole_commits(self, harness: Harness) -> None:
        context = multiprocessing.get_context("spawn")
        told = 0
        for _ in range(KILLS):
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_commit_for_ever, args=(harness, theirs, told + 1))
            child.start()
            theirs.close()
            for _ in range(ACKNOWLEDGED):
                assert ours.poll(WAIT_S)
                told = ours.recv()
            child.kill()
            child.join()
            while ours.poll():
                try:
                    told = ours.recv()
                except EOFError:
                    break
            store = harness.open()
            found = content(store)
            made = found.devices[0].next_epoch
            assert told <= made <= told + 1
            assert found.log == [row for n in range(1, made + 1) for row in _numbered(n).log]
            assert found.prompts == [prompt_row(n) for n in range(max(1, made - 1), made + 1)]
            assert found.marks.watermark == made
            assert found.marks.next_number == made + 1
            assert {row.handle: row for row in found.subjects} == {
                number: subject_row(number, as_of)
                for number in range(5)
                if (as_of := max((n for n in range(1, made + 1) if n % 5 == number), default=0))
            }
            store.close()
            told = made

    def test_a_commit_that_fails_leaves_nothing(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        before = content(store)
        broken = replace(everything(), vault=[vault_row(13)], watermark=2)
        broken.log = [log_row(3), replace(log_row(4), body=object())]  # type: ignore[arg-type]
        with pytest.raises((StorageError, TypeError)):
            store.commit(broken)
        assert content(store) == before

    @pytest.mark.parametrize("kind", ["full", "read-only"])
    def test_a_disk_that_takes_nothing(self, harness: Harness, kind: str) -> None:
        store = harness.open()
        store.commit(everything())
        before = content(store)
        trouble = harness.trouble(store, kind)
        if trouble is None:
            pytest.skip("cannot be provoked on this engine")
        large = Writes(log=[log_row(3), log_row(4, bytes(100_000))], epochs={(1, 2): None})
        large.erased = [5]
        with trouble:
            for _ in range(2):
                with pytest.raises(StorageError):
                    store.commit(large)
            assert content(store) == before
        store.commit(large)
        assert [row.id for row in store.log()] == [1, 2, 3, 4]
        assert list(store.epochs()) == []
        assert store.erased() == {5}

    def test_a_commit_can_be_made_again(self, harness: Harness) -> None:
        store = harness.open()
        writes = everything()
        writes.erased = [13]
        store.commit(writes)
        before = content(store)
        for _ in range(2):
            store.commit(writes)
            assert content(store) == before
        store.commit(Writes())
        assert content(store) == before


def _numbered(n: int) -> Writes:
    """Writes that all tell their number, and settle the prompt before the last one."""
    rows = [log_row(3 * n + at, b"%d" % n * (n * 37 % 900 + 1)) for at in range(3)]
    prompts = {n: prompt_row(n)}
    if n > 2:
        prompts[n - 2] = prompt_row(n - 2, "shown")
    return Writes(
        log=rows,
        devices={1: device_row(next_epoch=n)},
        epochs={(1, n): epoch_row(epoch=n), (1, n - 1): None},
        prompts=prompts,
        vault=[vault_row(4 * n)],
        subjects=subjects(subject_row(n % 5, n)),
        watermark=n,
    )


def _commit_for_ever(harness: Harness, told: Connection, number: int) -> None:
    store = harness.open()
    while True:
        store.commit(_numbered(number))
        told.send(number)
        if number % 7 == 0:
            store.tidy()
        number += 1


class Facts:
    """Log, cursors, prompts, keys of bodies, vault, identities."""

    def test_identities_go_by_themselves_and_with_their_handles(self, harness: Harness) -> None:
        store = harness.open()
        rows = [identity_row(5), identity_row(5, "irk"), identity_row(9), identity_row(13)]
        store.commit(Writes(identities={(row.handle, row.kind): row for row in rows}))
        learnt = identity_row(13, clock=b"more")
        store.commit(Writes(identities={(13, "eid"): learnt, (5, "irk"): None, (5, "no"): None}))
        assert content(store).identities == [rows[0], rows[2], learnt]
        store.commit(Writes(erased=[5]))
        store.commit(Writes(forgotten=[9]))
        assert content(store).identities == [learnt]

    def test_the_log_is_in_the_order_of_its_ids(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(7), log_row(3)]))
        store.commit(Writes(log=[log_row(5)]))
        assert [row.id for row in store.log()] == [3, 5, 7]
        assert [row.id for row in store.log(after=3)] == [5, 7]
        assert list(store.log(after=7)) == []
        marks = store.marks()
        assert (marks.first, marks.last) == (3, 7)

    def test_a_log_can_be_read_while_it_grows(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(id_, bytes(5000)) for id_ in range(1, 40)]))
        rows = store.log()
        assert next(rows).id == 1
        store.commit(Writes(log=[log_row(40)]))
        assert [row.id for row in rows][:38] == list(range(2, 40))

    def test_devices_and_epochs_are_replaced_and_closed(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        store.commit(
            Writes(
                devices={1: device_row(next_epoch=9), 2: device_row(2)},
                epochs={(1, 2): epoch_row(batches=5), (2, 2): epoch_row(2), (1, 8): None},
            )
        )
        found = content(store)
        assert found.devices == [device_row(next_epoch=9), device_row(2)]
        assert found.epochs == [epoch_row(batches=5), epoch_row(2)]
        store.commit(Writes(epochs={(1, 2): None}))
        assert content(store).epochs == [epoch_row(2)]

    def test_only_prompts_without_an_outcome_wait(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(prompts={7: prompt_row(7), 8: prompt_row(8)}))
        store.commit(Writes(prompts={7: prompt_row(7, "shown")}))
        assert content(store).prompts == [prompt_row(8)]
        store.commit(Writes(prompts={8: prompt_row(8, "expired")}))
        assert content(store).prompts == []

    def test_keys_of_bodies_are_known(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(Writes(log=[log_row(1)], collected={b"a" * 16: 1, b"b" * 16: 1}))
        assert store.collected([]) == set()
        assert store.collected([b"b" * 16, b"c" * 16, b"a" * 16]) == {b"a" * 16, b"b" * 16}

    def test_the_vault_finds_handles_by_digest(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        digests = [vault_row(9).digest, b"x" * 16, vault_row(5).digest]
        assert store.handles(digests) == {digests[0]: 9, digests[2]: 5}
        assert store.vault_rows([9, 77]) == {9: vault_row(9)}
        assert store.handles([]) == {}
        assert store.vault_rows([]) == {}

    @pytest.mark.parametrize("how", ["erased", "forgotten"])
    def test_a_destroyed_handle_leaves_nothing(self, harness: Harness, how: str) -> None:
        store = harness.open()
        store.commit(everything())
        store.commit(Writes(**{how: [5, 99]}))  # type: ignore[arg-type]
        for _ in range(2):
            assert store.vault_rows([5, 9]) == {9: vault_row(9)}
            assert store.handles([vault_row(5).digest]) == {}
            assert list(store.subjects([5])) == []
            assert store.erased() == ({5, 99} if how == "erased" else set())
            harness.crash(store)
            store = harness.open()

    def test_who_is_erased_may_come_again_in_the_same_commit(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        again = replace(vault_row(13), digest=vault_row(5).digest)
        for _ in range(2):
            store.commit(Writes(vault=[again], erased=[5]))
            assert store.handles([again.digest]) == {again.digest: 13}
            assert store.vault_rows([5, 13]) == {13: again}

    def test_visits_are_those_that_are_open_and_of_somebody(self, harness: Harness) -> None:
        store = harness.open()
        first, second, third = visit_row(1), visit_row(2, visitor=9), visit_row(3, visitor=9)
        store.commit(Writes(visits=visits(first, second, third)))
        longer = visit_row(1, dwell_ms=60_000)
        store.commit(Writes(visits={**visits(longer), ("paris-1", 2): None}))
        assert sorted(store.visits(), key=lambda row: row.visit) == [longer, third]
        store.commit(Writes(visits={("another", 1): None}))
        store.commit(Writes(erased=[9]))
        assert list(store.visits()) == [longer]

    @pytest.mark.parametrize("how", ["erased", "forgotten"])
    def test_no_number_is_given_out_twice(self, harness: Harness, how: str) -> None:
        """Not even the highest one's, when all of them are gone."""
        store = harness.open()
        assert store.marks().next_number >= 1
        store.commit(Writes(vault=[vault_row(4 * 6 + 1), vault_row(4 * 2)]))
        assert store.marks().next_number == 7
        store.commit(Writes(**{how: [25]}))  # type: ignore[arg-type]
        assert store.marks().next_number == 7
        store.commit(Writes(**{how: [8]}))  # type: ignore[arg-type]
        store.close()
        store = harness.open()
        assert store.marks().next_number == 7
        store.commit(Writes(vault=[vault_row(4 * 7 + 3)], forgotten=[31]))
        harness.crash(store)
        assert harness.open().marks().next_number == 8

    def test_a_new_store_has_a_pepper_that_stays(self, harness: Harness) -> None:
        store = harness.open()
        pepper = store.marks().pepper
        assert len(set(pepper)) > 8
        store.close()
        assert harness.open().marks().pepper == pepper


class Owning:
    """One owner, of one tenant."""

    def test_no_two_owners_write(self, harness: Harness) -> None:
        """A second one is turned away, or the first one is from then on."""
        first = harness.open()
        first.commit(everything())
        try:
            second = harness.open()
        except StorageError:
            first.commit(Writes(log=[log_row(3)]))
            assert [row.id for row in first.log()] == [1, 2, 3]
        else:
            _writes_nothing(first, second)

    def test_an_owner_that_was_taken_for_dead_writes_nothing_any_more(
        self, harness: Harness
    ) -> None:
        first = harness.open()
        first.commit(everything())
        first.commit(Writes(erased=[9]))
        harness.crash(first)
        second = harness.open()
        _writes_nothing(first, second)
        second.commit(Writes(log=[log_row(3)]))
        harness.crash(second)
        third = harness.open()
        for old in (first, second):
            _writes_nothing(old, third)

    def test_another_tenants_store_is_refused_and_left_alone(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        before = content(store)
        store.close()
        with pytest.raises(ConfigError, match=TENANT):
            harness.open("other")
        store = harness.open()
        assert content(store) == before

    def test_another_versions_store_is_refused(self, harness: Harness) -> None:
        store = harness.open()
        store.close()
        harness.of_another_version()
        for _ in range(2):
            with pytest.raises(ConfigError, match="version"):
                harness.open()

    def test_no_row_shows_what_it_holds(self, harness: Harness) -> None:
        store = harness.open()
        store.commit(everything())
        shown = repr((everything(), content(store)))
        for value in (b"body", b"payload", b"state 4", b"c" * 32, b"ear", b"sealed 5", b"who"):
            assert repr(value) not in shown
        for row in everything().vault:
            assert repr(row.key) not in repr(row)
        assert repr(store.marks().pepper) not in shown


_WRITING: dict[str, Callable[[Store], object]] = {
    "commit": lambda store: store.commit(Writes(log=[log_row(50)])),
    "drop_derived": lambda store: store.drop_derived(),
    "prune": lambda store: store.prune(1 << 50, 10),
    "scrub": lambda store: store.scrub(10, lambda _kind, _body, _erased: b"scrubbed"),
}


def _writes_nothing(old: Store, owner: Store) -> None:
    before = content(owner)
    for name, write in _WRITING.items():
        if name == "scrub" and not before.erased:
            continue  # there is nothing that it would write
        for _ in range(2):
            with pytest.raises(FencedError):
                write(old)
    assert content(owner) == before
