"""What lies in the outbox of a device whose secret the test knows, opened as the bridge would."""

import sqlite3
from contextlib import closing
from pathlib import Path

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.outbox_store import FILE_NAME
from edge_sdk.wire import seal
from edge_sdk.wire.batch import COLUMNS, ROWS
from edge_sdk.wire.keys import Ratchet, next_chain_key, root_key
from edge_sdk.wire.touchpoint import Touchpoint
from tests.edge_sdk.homes import SECRET
from tests.wire.portable_batches import CODECS

SUITE = AesCcm()
_FORMS = {ROWS: "rows", COLUMNS: "columns"}


def captured(home: Path) -> list[Touchpoint]:
    """Every touchpoint that was captured and not delivered, in the order of capture."""
    path = home / FILE_NAME
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        messages = [row[0] for row in database.execute("SELECT message FROM batches ORDER BY id")]
    found = []
    for message in messages:
        header = seal.read_header(message, seal.UP_KINDS)
        if header.kind in _FORMS:
            found += CODECS[_FORMS[header.kind]][1](_opened(header, message))
    return found


def _opened(header: seal.Header, message: bytes) -> bytes:
    chain_key = root_key(SUITE, "acme", "paris-1", SECRET)
    for _ in range(header.epoch):
        chain_key = next_chain_key(SUITE, chain_key)
    key = Ratchet.of_epoch(SUITE, chain_key).at(header.seq).message_key()
    plaintext = seal.open_up(SUITE, header, key, message)
    assert plaintext is not None
    return plaintext
