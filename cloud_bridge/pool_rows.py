"""Rows of number pools, as they are stored: (pool, kind, key) and a body.

Which columns a lease has is the pools' own matter (edge_sdk/numbers/ledger_rows.py): here it is
bytes. A holder in it is a handle of the vault, as "h:17", or a place, as "kiosk:entrance".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from edge_sdk.numbers.lease import Lease
from edge_sdk.numbers.ledger_rows import BlockRow, Counters, NumberRow, Rows, StoreRow

LEASE, NUMBER, BLOCK, STORE, COUNTERS, MODEL = range(1, 7)

_pack: Final = msgspec.msgpack.Encoder().encode
_TYPES: Final[dict[int, Any]] = {
    LEASE: Lease,
    NUMBER: NumberRow,
    BLOCK: BlockRow,
    STORE: StoreRow,
    COUNTERS: Counters,
}
_decoders: Final = {kind: msgspec.msgpack.Decoder(row) for kind, row in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One row. `body` is empty where it is to be deleted."""

    pool: str
    kind: int
    key: str
    body: bytes = field(repr=False)


def written(pool: str, rows: Rows) -> Iterator[PoolRow]:
    """What a change does, deletions first."""
    gone: list[tuple[int, Iterable[str]]] = [
        (LEASE, rows.forgotten),
        (NUMBER, rows.gone),
        (BLOCK, map(str, rows.blocks_gone)),
        (STORE, map("\0".join, rows.stores_gone)),
    ]
    for kind, keys in gone:
        for key in keys:
            yield PoolRow(pool, kind, key, b"")
    for lease in rows.leases:
        yield PoolRow(pool, LEASE, lease.id, _pack(lease))
    for number in rows.numbers:
        yield PoolRow(pool, NUMBER, number.number, _pack(number))
    for block in rows.blocks:
        yield PoolRow(pool, BLOCK, str(block.id), _pack(block))
    for store in rows.stores:
        yield PoolRow(pool, STORE, f"{store.site}\0{store.incarnation}", _pack(store))
    if rows.counters is not None:
        yield PoolRow(pool, COUNTERS, "", _pack(rows.counters))


def read(rows: Iterable[PoolRow]) -> Rows:
    """All rows of one pool. Raises msgspec.DecodeError, msgspec.ValidationError."""
    found: dict[int, list[Any]] = {kind: [] for kind in _TYPES}
    for row in rows:
        if row.kind in found:
            found[row.kind].append(_decoders[row.kind].decode(row.body))
    return Rows(
        leases=tuple(found[LEASE]),
        numbers=tuple(found[NUMBER]),
        blocks=tuple(found[BLOCK]),
        stores=tuple(found[STORE]),
        counters=next(iter(found[COUNTERS]), None),
    )
