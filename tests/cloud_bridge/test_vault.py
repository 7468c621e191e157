"""The vault: handles for identifiers, keys that can be destroyed, a disk that fails meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cloud_bridge.schemes import OTHER, OWN, PERSON, SHARED, kind_of_handle
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import VaultRow, Writes
from cloud_bridge.vault import PEPPER_BYTES, Vault
from edge_sdk.errors import StorageError
from tests.cloud_bridge.little_device import SUITE

ANN, COOKIE = "login:ann", "cookie:1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path)
    made.open("acme")
    yield made
    made.close()


def vault_of(store: SqliteStore, most: int = 100) -> Vault:
    marks = store.marks()
    return Vault(SUITE, store, marks.pepper, marks.next_number, most)


def commit(store: SqliteStore, vault: Vault) -> list[VaultRow]:
    rows = vault.made()
    store.commit(Writes(vault=rows))
    return rows


def test_an_identifier_has_one_handle_that_tells_what_it_belongs_to(store: SqliteStore) -> None:
    vault = vault_of(store)
    names = [ANN, COOKIE, "kiosk:1", "tel:+44", "strange"]
    handles = vault.handles(names)
    assert len(set(handles.values())) == 5
    kinds = [kind_of_handle(handles[name]) for name in names]
    assert kinds == [PERSON, OWN, SHARED, OTHER, OTHER]
    assert vault.handles(names) == handles
    commit(store, vault)
    assert vault.made() == []
    assert vault_of(store).handles([*names, "new:1"])[ANN] == handles[ANN]


def test_only_the_vault_tells_what_a_handle_means(store: SqliteStore) -> None:
    vault = vault_of(store)
    (handle,) = vault.handles([ANN]).values()
    (row,) = commit(store, vault)
    assert vault.identifier(handle) == ANN
    assert vault.identifier(4 * 99) is None
    assert ANN.encode() not in row.sealed + row.digest + row.key
    assert "ann" not in repr(row)
    for what in (row.sealed, row.key, row.digest):
        assert repr(what) not in repr(row)


def test_equal_identifiers_of_two_stores_have_nothing_in_common(tmp_path: Path) -> None:
    rows = []
    for name in ("one", "two"):
        store = SqliteStore(tmp_path / name)
        store.open("acme")
        vault = vault_of(store)
        vault.handles([ANN])
        rows += vault.made()
        assert len(store.marks().pepper) == PEPPER_BYTES
        store.close()
    assert rows[0].digest != rows[1].digest
    assert rows[0].key != rows[1].key


def test_data_is_its_owners_and_its_places(store: SqliteStore) -> None:
    vault = vault_of(store)
    ann, cookie = vault.handles([ANN, COOKIE]).values()
    sealed = vault.seal(ann, 7, 2, b"private")  # not committed yet
    commit(store, vault)
    assert vault.seal(ann, 7, 2, b"private") == sealed
    assert vault.unseal(ann, 7, 2, sealed) == b"private"
    for handle, log_id, place in ((cookie, 7, 2), (ann, 8, 2), (ann, 7, 3), (4 * 99, 7, 2)):
        assert vault.unseal(handle, log_id, place, sealed) is None


def test_what_was_destroyed_is_gone_and_comes_again_as_somebody_new(store: SqliteStore) -> None:
    vault = vault_of(store)
    (old,) = vault.handles([ANN]).values()
    sealed = vault.seal(old, 7, 2, b"private")
    commit(store, vault)
    assert vault.known([ANN, COOKIE]) == [old]
    vault.forget([old])
    store.commit(Writes(erased=[old]))
    assert vault.known([ANN]) == []
    assert vault.identifier(old) is None
    assert vault.unseal(old, 7, 2, sealed) is None
    (new,) = vault.handles([ANN]).values()
    assert new > old
    commit(store, vault)
    assert vault_of(store).next_number > new >> 2


def test_what_was_only_made_can_be_erased_too(store: SqliteStore) -> None:
    vault = vault_of(store)
    (handle,) = vault.handles([ANN]).values()
    assert vault.known([ANN]) == [handle]
    vault.forget([handle])
    assert vault.made() == []
    assert vault.handles([ANN])[ANN] != handle


def test_what_is_remembered_is_bounded_and_the_rest_is_looked_up(store: SqliteStore) -> None:
    vault = vault_of(store, most=10)
    handles: dict[str, int] = {}
    for n in range(60):
        handles |= vault.handles([f"cookie:{n}", f"cookie:{n // 2}"])
        commit(store, vault)
    assert len(set(handles.values())) == 60
    assert len(vault._recent) + len(vault._older) <= 12
    assert vault.handles(list(handles)) == handles
    assert vault.made() == []


def test_what_is_made_in_one_turn_stays_one_however_much_is_remembered(
    store: SqliteStore,
) -> None:
    """A turn may bring more new identifiers than are remembered."""
    vault = vault_of(store, most=2)
    names = [f"cookie:{n}" for n in range(20)]
    first = {name: vault.handles([name])[name] for name in names}
    assert vault.handles(names) == first
    assert len(commit(store, vault)) == 20
    assert vault.handles(names) == first


def test_who_comes_again_in_the_turn_of_the_erasure_is_somebody_new(store: SqliteStore) -> None:
    vault = vault_of(store)
    (old,) = vault.handles([ANN]).values()
    commit(store, vault)
    vault.forget(vault.known([ANN]))
    (new,) = vault.handles([ANN]).values()
    assert new != old
    assert vault.known([ANN]) == [new]
    store.commit(Writes(vault=vault.made(), erased=[old]))
    assert vault.handles([ANN]) == {ANN: new}
    assert vault_of(store).handles([ANN]) == {ANN: new}
    assert vault.identifier(new) == ANN
    assert vault.identifier(old) is None


class Failing:
    """A disk that cannot be read, now and then."""

    def __init__(self, store: SqliteStore) -> None:
        self.fails = True
        self._store = store

    def handles(self, digests: Sequence[bytes]) -> Mapping[bytes, int]:
        if self.fails:
            raise StorageError("the disk failed")
        return self._store.handles(digests)

    def vault_rows(self, handles: Sequence[int]) -> Mapping[int, VaultRow]:
        return self._store.vault_rows(handles)


def test_a_disk_that_fails_changes_nothing(store: SqliteStore) -> None:
    rows = Failing(store)
    vault = Vault(SUITE, rows, bytes(PEPPER_BYTES), 5)
    with pytest.raises(StorageError):
        vault.handles([ANN])
    assert (vault.made(), vault.next_number) == ([], 5)
    rows.fails = False
    assert vault.handles([ANN]) == {ANN: 4 * 5 + PERSON}


def test_the_files_name_nobody(store: SqliteStore) -> None:
    vault = vault_of(store)
    names = [ANN, COOKIE, "tel:+447700900123"]
    vault.handles(names)
    rows = commit(store, vault)
    store.tidy()
    files = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert all(row.key in files for row in rows)
    for name in names:
        assert name.encode() not in files
