"""Which devices, API keys and beacons there are: a small file of its own, watched by the bridge.

It is written by the command line, and apart from the store so that devices are enrolled and revoked
while the bridge owns the store. A device's root key and a beacon's key stay here until the bridge
has taken them over; of an API key only the digest ever is.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cloud_bridge.beacons import MAX_IDENTITIES, Beacon
from cloud_bridge.errors import BeaconError, BridgeError
from cloud_bridge.keys import ApiKey, checked, digest_of, new_key
from edge_sdk.adapters.sqlite import (
    Connection,
    OpenConnection,
    create_private,
    open_connection,
    transaction,
    translated,
)
from edge_sdk.errors import ConfigError
from edge_sdk.wire.enrolment import SECRET_BYTES, Enrolment
from edge_sdk.wire.keys import root_key
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import is_tenant

FILE_NAME = "devices.sqlite"

_WAITING = "key IS NOT NULL OR removed = 1"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS devices (
        number INTEGER PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL,
        surface TEXT NOT NULL, zone TEXT NOT NULL, generation INTEGER NOT NULL,
        revoked INTEGER NOT NULL, root_key BLOB, UNIQUE (site, name))""",
    """CREATE TABLE IF NOT EXISTS keys (
        id INTEGER PRIMARY KEY, site TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
        origins TEXT NOT NULL, rate_per_s INTEGER NOT NULL, burst INTEGER NOT NULL,
        created_ms INTEGER NOT NULL, revoked INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS beacons (
        name TEXT NOT NULL, kind TEXT NOT NULL, serial INTEGER NOT NULL,
        exponent INTEGER NOT NULL, beacon_time_s INTEGER NOT NULL, at_s INTEGER NOT NULL,
        key BLOB, removed INTEGER NOT NULL, PRIMARY KEY (name, kind)) WITHOUT ROWID""",
    f"CREATE INDEX IF NOT EXISTS waiting ON beacons (name) WHERE {_WAITING}",
)
_BEACON = "SELECT name, kind, serial, exponent, beacon_time_s, at_s, key, removed FROM beacons"


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device: where it stands and what it can show. Empty surface: nothing."""

    number: int
    site: str
    name: str
    surface: str
    zone: str
    generation: int
    revoked: bool
    root_key: bytes | None = field(repr=False)


class Registry:
    """`open`, then anything, then `close`; several processes may at once.

    Every method may raise StorageError.
    """

    def __init__(self, home: Path, open_database: OpenConnection = open_connection) -> None:
        self.path = home / FILE_NAME
        self.tenant = ""
        self._open_database = open_database
        self._database: Connection | None = None

    def open(self, tenant: str | None = None) -> None:
        """Open, and create it if need be. Raises ConfigError: another tenant's, or none is told."""
        if tenant is not None and not is_tenant(tenant):
            raise ConfigError("a tenant's name is 1 to 32 of a-z, 0-9, hyphen, underscore, stop")
        if tenant is None and not self.path.exists():
            raise ConfigError(f"{self.path.parent}: no tenant has this folder")
        create_private(self.path)
        with translated(self.path):
            database = self._database = self._open_database(self.path)
            # EXTRA: here the rollback journal's removal is the commit, so it has to be synced too.
            for pragma in ("busy_timeout = 5000", "synchronous = EXTRA", "secure_delete = ON"):
                database.execute(f"PRAGMA {pragma}")
        with transaction(database, self.path):
            for statement in _SCHEMA:
                database.execute(statement)
            if tenant is not None:
                database.execute("INSERT OR IGNORE INTO meta VALUES ('tenant', ?)", (tenant,))
        self.tenant = dict(self._select("SELECT name, value FROM meta"))["tenant"]
        if tenant not in (None, self.tenant):
            raise ConfigError(f"{self.path}: belongs to tenant {self.tenant}, not to {tenant}")

    @contextmanager
    def opened(self, tenant: str | None = None) -> Iterator[Self]:
        """Open it for a `with` block."""
        try:
            self.open(tenant)
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Give the file up."""
        database, self._database = self._database, None
        if database is not None:
            with translated(self.path):
                database.close()

    def touched_ns(self) -> int:
        """When the file was last written. Cheap; two writes in one tick look like one."""
        return self.path.stat().st_mtime_ns

    def version(self) -> int:
        """A number that changes when another process has changed something."""
        number: int = self._select("PRAGMA data_version")[0][0]
        return number

    def devices(self) -> list[Device]:
        """All devices, by number."""
        columns = "number, site, name, surface, zone, generation, revoked, root_key"
        return [
            Device(*row)
            for row in self._select(f"SELECT {columns} FROM devices ORDER BY number")  # noqa: S608
        ]

    def enrol(self, suite: Suite, site: str, name: str, surface: str, zone: str) -> Enrolment:
        """Make a device one of ours, or anew one that was; what it must be told, once.

        Raises BridgeError for names that cannot be.
        """
        for word, what in ((site, "site"), (name, "name"), (surface, "surface"), (zone, "zone")):
            required = what in ("site", "name")
            if not required <= len(word) <= 64 or not word.isprintable():
                raise BridgeError(f"a device's {what} is 1 to 64 printable characters")
        secret = secrets.token_bytes(SECRET_BYTES)
        key = root_key(suite, self.tenant, site, secret)
        with transaction(self._connection(), self.path):
            known = self._select(
                "SELECT number, generation FROM devices WHERE site = ? AND name = ?", (site, name)
            )
            if known:
                number, generation = known[0][0], (known[0][1] + 1) % 256
            else:
                number = self._select("SELECT coalesce(max(number), 0) + 1 FROM devices")[0][0]
                generation = 0
            self._connection().execute(
                "INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
                (number, site, name, surface, zone, generation, key),
            )
        return Enrolment(self.tenant, site, number, generation, secret)

    def revoke(self, number: int) -> None:
        """Take nothing more from a device. Raises BridgeError where there is none."""
        if not any(device.number == number for device in self.devices()):
            raise BridgeError(f"no device {number:08x} is enrolled")
        with transaction(self._connection(), self.path):
            sql = "UPDATE devices SET revoked = 1, root_key = NULL WHERE number = ?"
            self._connection().execute(sql, (number,))

    def forget_keys(self, taken: Sequence[tuple[int, int]]) -> None:
        """Forget the root keys of these (number, generation): the store holds what follows."""
        with transaction(self._connection(), self.path):
            sql = "UPDATE devices SET root_key = NULL WHERE number = ? AND generation = ?"
            self._connection().executemany(sql, taken)

    def api_keys(self) -> list[ApiKey]:
        """All API keys, revoked ones as well, by id."""
        columns = "id, site, digest, origins, rate_per_s, burst, created_ms, revoked"
        return [
            ApiKey(
                id_, site, digest, tuple(origins.split()), rate, burst, created_ms, bool(revoked)
            )
            for id_, site, digest, origins, rate, burst, created_ms, revoked in self._select(
                f"SELECT {columns} FROM keys ORDER BY id"  # noqa: S608
            )
        ]

    def add_key(
        self, site: str, origins: Sequence[str], rate_per_s: int, burst: int, created_ms: int
    ) -> tuple[int, str]:
        """Make an API key; its id, and the key, which nothing can tell again.

        Raises KeyRefusedError for what cannot be.
        """
        written = checked(site, origins, rate_per_s, burst)
        key = new_key()
        with transaction(self._connection(), self.path):
            id_: int = self._select("SELECT coalesce(max(id), 0) + 1 FROM keys")[0][0]
            self._connection().execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (id_, site, digest_of(key), " ".join(written), rate_per_s, burst, created_ms),
            )
        return id_, key

    def revoke_key(self, id_: int) -> None:
        """Take nothing more by a key. Raises BridgeError where there is none."""
        if not any(key.id == id_ for key in self.api_keys()):
            raise BridgeError(f"no API key has the id {id_}")
        with transaction(self._connection(), self.path):
            self._connection().execute("UPDATE keys SET revoked = 1 WHERE id = ?", (id_,))

    # Beacons

    def beacons(self) -> list[Beacon]:
        """All beacons, by name; what is to be removed as well."""
        return self._beacons(f"{_BEACON} ORDER BY name, kind")

    def waiting_beacons(self, most: int) -> list[Beacon]:
        """Some of those that the bridge has yet to take over, or to forget."""
        return self._beacons(f"{_BEACON} WHERE {_WAITING} LIMIT ?", most)

    def add_beacon(self, beacon: Beacon) -> None:
        """Register it, in the place of one of that name and kind. Raises BeaconError: no room."""
        with transaction(self._connection(), self.path):
            [(there,)] = self._select("SELECT count(*) FROM beacons")
            if there >= MAX_IDENTITIES:
                raise BeaconError(f"a tenant has at most {MAX_IDENTITIES} beacons")
            self._connection().execute(
                "INSERT OR REPLACE INTO beacons VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    beacon.name,
                    beacon.kind,
                    beacon.serial,
                    beacon.exponent,
                    beacon.beacon_time_s,
                    beacon.at_s,
                    beacon.key,
                ),
            )

    def remove_beacon(self, name: str, kind: str | None = None) -> int:
        """Have a beacon forgotten, of one kind or of all; of how many kinds it was there."""
        with transaction(self._connection(), self.path):
            [(there,)] = self._select(
                "SELECT count(*) FROM beacons WHERE name = ? AND kind = coalesce(?, kind)"
                " AND removed = 0",
                (name, kind),
            )
            self._connection().execute(
                "UPDATE beacons SET removed = 1, key = NULL"
                " WHERE name = ? AND kind = coalesce(?, kind)",
                (name, kind),
            )
        found: int = there
        return found

    def beacons_taken(self, taken: Sequence[tuple[str, str, int]]) -> None:
        """The store holds the keys of these (name, kind, serial), or nothing of them any more."""
        with transaction(self._connection(), self.path):
            which = "WHERE name = ? AND kind = ? AND serial = ?"
            many = self._connection().executemany
            many(f"DELETE FROM beacons {which} AND removed = 1", taken)  # noqa: S608
            many(f"UPDATE beacons SET key = NULL {which}", taken)  # noqa: S608

    def forget_beacons(self, names: Sequence[str]) -> None:
        """Nothing is known of these any more."""
        with transaction(self._connection(), self.path):
            sql = "DELETE FROM beacons WHERE name = ?"
            self._connection().executemany(sql, [(name,) for name in names])

    def _beacons(self, sql: str, *parameters: int) -> list[Beacon]:
        return [
            Beacon(name, kind, serial, exponent, beacon_time_s, at_s, key, bool(removed))
            for name, kind, serial, exponent, beacon_time_s, at_s, key, removed in self._select(
                sql, parameters
            )
        ]

    def _select(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with translated(self.path):
            return list(self._connection().execute(sql, parameters))

    def _connection(self) -> Connection:
        if self._database is None:
            raise RuntimeError("the registry is not open")
        return self._database
