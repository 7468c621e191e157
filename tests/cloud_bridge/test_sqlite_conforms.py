"""SQLite behind the storage port, over either library that speaks it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.sqlite_store import FILE_NAME, SqliteStore
from cloud_bridge.store import Store
from edge_sdk.adapters import apsw_sqlite, sqlite
from edge_sdk.adapters.sqlite import Connection
from tests.cloud_bridge.store_conformance import TENANT, Durability, Facts, Owning
from tests.cloud_bridge.store_conformance_derived import Derived, Small

LIBRARIES = {"sqlite3": sqlite.open_connection, "apsw": apsw_sqlite.open_connection}
TROUBLES = {
    "full": ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"),
    "read-only": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


@dataclass(slots=True)
class SqliteHarness:
    """A directory."""

    home: Path
    library: str
    owners: list[SqliteStore] = field(default_factory=list)
    connections: dict[int, Connection] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return SqliteHarness, (self.home, self.library)

    def open(self, tenant: str = TENANT) -> SqliteStore:
        opened: list[Connection] = []

        def open_connection(path: Path) -> Connection:
            opened.append(LIBRARIES[self.library](path))
            return opened[-1]

        store = SqliteStore(self.home, open_connection)
        self.owners.append(store)
        try:
            store.open(tenant)
        except BaseException:
            store.close()
            raise
        self.connections[id(store)] = opened[0]
        return store

    def crash(self, store: Store) -> None:
        """The system gives up the lock, and that is all."""
        assert isinstance(store, SqliteStore)
        lock, store._lock = store._lock, None
        assert lock is not None
        lock.close()

    def trouble(self, store: Store, kind: str) -> AbstractContextManager[None] | None:
        return troubled(self.connections[id(store)], *TROUBLES[kind])

    def of_another_version(self) -> None:
        database = sqlite.open_connection(self.home / FILE_NAME)
        database.execute("UPDATE meta SET value = '9' WHERE name = 'version'")
        database.close()

    def end(self) -> None:
        for store in self.owners:
            store.close()


@contextmanager
def troubled(database: Connection, begin: str, end: str) -> Iterator[None]:
    for _ in database.execute(begin):
        pass
    yield
    for _ in database.execute(end):
        pass


@pytest.fixture(params=LIBRARIES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteHarness]:
    made = SqliteHarness(tmp_path / "place", request.param)
    yield made
    made.end()


class TestDurability(Durability): ...


class TestFacts(Facts): ...


class TestOwning(Owning): ...


class TestDerived(Derived): ...


class TestSmall(Small): ...
