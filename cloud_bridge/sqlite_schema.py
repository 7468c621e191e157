"""The tables of the bridge's file, and the statements that write rows into them."""

from dataclasses import fields

from cloud_bridge.pool_rows import PoolRow
from cloud_bridge.store import (
    GAPS,
    WAITING,
    CallRow,
    DeviceRow,
    EpochRow,
    IdentityRow,
    LogRow,
    PromptRow,
    SubjectRow,
    VaultRow,
    VisitRow,
)

VERSION = "2"
GIVEN_UP = "given_up"  # the index of GAPS rows

TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS log (
        id INTEGER PRIMARY KEY, site TEXT NOT NULL, device INTEGER, generation INTEGER NOT NULL,
        epoch INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
        received_ms INTEGER NOT NULL, offset_ms INTEGER NOT NULL, touchpoints INTEGER NOT NULL,
        body BLOB NOT NULL)""",
    # What never came is rare, and asked for by an operator who cannot wait for the whole log.
    f"CREATE INDEX IF NOT EXISTS {GIVEN_UP} ON log (kind) WHERE kind = {GAPS}",
    """CREATE TABLE IF NOT EXISTS devices (
        device INTEGER PRIMARY KEY, generation INTEGER NOT NULL, next_epoch INTEGER NOT NULL,
        revoked INTEGER NOT NULL, chain_key BLOB NOT NULL, ear BLOB NOT NULL,
        old_ear BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS epochs (
        device INTEGER NOT NULL, epoch INTEGER NOT NULL, clock_ms INTEGER,
        batches INTEGER NOT NULL, touchpoints INTEGER NOT NULL, received_ms INTEGER NOT NULL,
        state BLOB NOT NULL, PRIMARY KEY (device, epoch)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS prompts (
        id INTEGER PRIMARY KEY, device INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL, state TEXT NOT NULL, dispatches INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    f"CREATE INDEX IF NOT EXISTS waiting ON prompts (id) WHERE state = '{WAITING}'",
    f"CREATE INDEX IF NOT EXISTS settled ON prompts (expires_ms) WHERE state <> '{WAITING}'",
    """CREATE TABLE IF NOT EXISTS visits (
        site TEXT NOT NULL, visit INTEGER NOT NULL, visitor INTEGER NOT NULL, zone TEXT NOT NULL,
        entered_ms INTEGER NOT NULL, dwell_ms INTEGER NOT NULL, PRIMARY KEY (site, visit))
        WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS calls (
        site TEXT NOT NULL, call TEXT NOT NULL, caller INTEGER NOT NULL, whose INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL, waits INTEGER NOT NULL, body BLOB NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (site, call)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS calls_waiting ON calls (site) WHERE waits = 1",
    "CREATE INDEX IF NOT EXISTS calls_seen ON calls (seen_ms)",
    "CREATE INDEX IF NOT EXISTS calls_sealed ON calls (seen_ms) WHERE sealed <> x''",
    "CREATE INDEX IF NOT EXISTS calls_of ON calls (caller) WHERE caller <> 0",
    "CREATE INDEX IF NOT EXISTS calls_whose ON calls (whose) WHERE whose <> 0",
    """CREATE TABLE IF NOT EXISTS pools (
        pool TEXT NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (pool, kind, key)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS collected (
        key BLOB PRIMARY KEY, log_id INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS collected_in ON collected (log_id)",
    """CREATE TABLE IF NOT EXISTS set_aside (
        place INTEGER PRIMARY KEY, device INTEGER NOT NULL, epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (device, epoch, seq))""",
    """CREATE TABLE IF NOT EXISTS vault (
        handle INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, key BLOB NOT NULL,
        sealed BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS identities (
        handle INTEGER NOT NULL, kind TEXT NOT NULL, serial INTEGER NOT NULL,
        exponent INTEGER NOT NULL, sealed BLOB NOT NULL, clock BLOB NOT NULL,
        PRIMARY KEY (handle, kind)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS erased (handle INTEGER PRIMARY KEY)",
    """CREATE TABLE IF NOT EXISTS subjects (
        handle INTEGER PRIMARY KEY, as_of INTEGER NOT NULL, day INTEGER NOT NULL,
        is_stranger INTEGER NOT NULL, body BLOB NOT NULL)""",
)

COLUMNS = {
    table: tuple(column.name for column in fields(row_type))
    for table, row_type in (
        ("log", LogRow),
        ("devices", DeviceRow),
        ("epochs", EpochRow),
        ("prompts", PromptRow),
        ("visits", VisitRow),
        ("calls", CallRow),
        ("pools", PoolRow),
        ("vault", VaultRow),
        ("identities", IdentityRow),
        ("subjects", SubjectRow),
    )
}
SELECT = {
    table: f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608  all of it is ours
    for table, columns in COLUMNS.items()
}
PUT = {
    table: (
        f"INSERT OR REPLACE INTO {table} ({', '.join(columns)})"  # noqa: S608
        f" VALUES ({', '.join('?' * len(columns))})"
    )
    for table, columns in COLUMNS.items()
}
