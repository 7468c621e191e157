"""Looks at a bridge's folder: every tenant in it, and the process that runs there, if one does."""

import sqlite3
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloud_bridge import running
from cloud_bridge.config import tenants_in
from cloud_bridge.inspection.facts import (
    BridgeFacts,
    DeviceFacts,
    Inspection,
    QueueFacts,
    RowFacts,
    StoreFacts,
    TenantFacts,
)
from cloud_bridge.inspection.of_devices import Enrolled, devices_found, enrolled
from cloud_bridge.inspection.of_store import Asked, Found, OfDevices, store_found
from cloud_bridge.inspection.reading import read_registry, read_store, size_of
from cloud_bridge.registry import FILE_NAME as REGISTRY_NAME
from cloud_bridge.sqlite_store import FILE_NAME, LOCK_NAME
from edge_sdk.adapters.sqlite import Connection
from edge_sdk.errors import ConfigError, CorruptError, EdgeError

_EVERYTHING = Asked()


def look(data: Path, tenant: str | None, now_ms: int, asked: Asked = _EVERYTHING) -> Inspection:
    """All of a folder, or one tenant of it; nothing there is changed.

    Raises ConfigError where there is no such folder, tenant or device.
    """
    names = _tenants(data, tenant)
    bridge, health = _bridge(data)
    tenants = tuple(_tenant(data / name, bridge, health, now_ms, asked) for name in names)
    if asked.device is not None:
        readable = all(not found.unreadable for found in tenants)
        tenants = tuple(found for found in tenants if found.devices or found.unreadable)
        if readable and not tenants:
            raise ConfigError(f"no device {asked.device:08x} is known here")
    return Inspection(str(data), now_ms, bridge, tenants)


def _tenants(data: Path, tenant: str | None) -> list[str]:
    if not data.is_dir():
        raise ConfigError(f"{data}: there is no such folder")
    if (data / REGISTRY_NAME).exists() or (data / FILE_NAME).exists():
        raise ConfigError(f"{data}: this is a tenant's folder; --data is the one around it")
    try:
        stores = {path.parent.name for path in data.glob(f"*/{FILE_NAME}")}
    except OSError as error:
        raise ConfigError(f"{data}: cannot be read ({error.strerror})") from error
    known = sorted({*tenants_in(data), *stores})
    if not known:
        raise ConfigError(f"{data}: no tenant has a folder here; no bridge has run, or elsewhere")
    if tenant is None:
        return known
    if tenant not in known:
        raise ConfigError(f"{data}: no tenant {tenant!r}; there are: {', '.join(known)}")
    return [tenant]


def _bridge(data: Path) -> tuple[BridgeFacts, Mapping[str, Any]]:
    """The process, and what it answers."""
    said = running.announced(data)
    if said is None:
        return BridgeFacts("none"), {}
    facts = BridgeFacts("running", said.pid, said.http, said.since_ms)
    if not running.is_alive(said.pid):
        return replace(facts, state="stale"), {}
    health = running.ask(said.http)
    if health is None:
        return replace(facts, state="silent"), {}
    return facts, health


def _tenant(
    home: Path,
    bridge: BridgeFacts,
    health: Mapping[str, Any],
    now_ms: int,
    asked: Asked,
) -> TenantFacts:
    unreadable: list[str] = []
    notes: list[str] = []
    registry = _registry(home / REGISTRY_NAME, unreadable, notes)
    found = _store(home / FILE_NAME, now_ms, asked, unreadable, notes)
    store: StoreFacts | None = None
    rows: tuple[RowFacts, ...] = ()
    devices: tuple[DeviceFacts, ...] = ()
    if found is not None:
        store, of_devices, rows = found
    else:
        of_devices = OfDevices()
    # What has been silent since the bridge stopped is not to blame.
    heard_ms = store.log.to_ms if store else None
    at_ms = now_ms if bridge.state == "running" or heard_ms is None else min(now_ms, heard_ms)
    try:
        devices = devices_found(registry, of_devices, at_ms, asked.device)
    except (TypeError, ValueError, struct.error):
        unreadable.append(f"{home / FILE_NAME}: what it says of devices is damaged")
    if registry is None and found is None:
        devices = ()
    return TenantFacts(
        home.name,
        tuple(unreadable),
        tuple(notes),
        store,
        _queue(home.name, health),
        at_ms,
        running.lock_holder(home / LOCK_NAME),
        devices,
        rows,
    )


def _registry(path: Path, unreadable: list[str], notes: list[str]) -> dict[int, Enrolled] | None:
    if not path.exists():
        notes.append(f"there is no {path.name}: nobody knows which devices are enrolled")
        return None
    try:
        return read_registry(path, lambda database: _enrolled(database, path))
    except EdgeError as error:
        unreadable.append(str(error))
    except (TypeError, ValueError):
        unreadable.append(f"{path}: its rows are damaged")
    return None


def _enrolled(database: Connection, path: Path) -> dict[int, Enrolled]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if tables and "devices" not in tables:
        raise ConfigError(f"{path}: not the devices of a bridge")
    return enrolled(database) if tables else {}


def _store(
    path: Path, now_ms: int, asked: Asked, unreadable: list[str], notes: list[str]
) -> Found | None:
    def found(database: Connection) -> Found | None:
        try:
            return store_found(database, path, now_ms, asked)
        except sqlite3.OperationalError as error:
            # Tables or columns that are not there: of SQLite's codes, the plainest.
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
                raise CorruptError(f"{path}: its tables are not a bridge's") from error
            raise

    if not size_of(path):
        notes.append("no bridge has kept anything here yet")
        return None
    try:
        result, note = read_store(path, found)
    except EdgeError as error:
        unreadable.append(str(error))
        return None
    except (TypeError, ValueError, struct.error):
        unreadable.append(f"{path}: its rows are damaged")
        return None
    if note:
        notes.append(note)
    if result is None:
        notes.append("no bridge has kept anything here yet")
    return result


def _queue(tenant: str, health: Mapping[str, Any]) -> QueueFacts | None:
    """What GET /health says of a tenant; None: nothing that could be understood."""
    try:
        said = health["tenants"][tenant]
        waiting, people = said["waiting"], said["people"]
        alone = len(health["tenants"]) == 1
        reasons = {
            name if alone else name.removeprefix(f"{tenant}: "): str(why)
            for name, why in health["reasons"].items()
            if alone or name.startswith(f"{tenant}: ")
        }
        return QueueFacts(
            int(waiting["live"]),
            int(waiting["bulk"]),
            int(waiting["collect"]),
            int(said["lag_ms"]),
            said["storage"] != "ok",
            int(said["prompts_outstanding"]),
            int(people["in_memory"]),
            int(people["unwritten"]),
            reasons,
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
