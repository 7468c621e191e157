"""SQLite through apsw, which is newer than the system's and asks less of the processor.

Imported by its own path: apsw is no part of the core.
"""

from pathlib import Path

import apsw

from edge_sdk.adapters.sqlite import Connection, also_translate


def open_connection(path: Path) -> Connection:
    """As `sqlite.open_connection`; its errors are translated from here on."""
    also_translate(apsw.Error)
    connection: Connection = apsw.Connection(str(path))
    return connection
