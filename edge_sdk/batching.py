"""Touchpoints to the plaintexts of batches: one class a batch, in the form that is shortest."""

import zlib
from collections.abc import Sequence

from edge_sdk.wire import seal
from edge_sdk.wire.batch import TooLarge, encode_columns, encode_rows
from edge_sdk.wire.touchpoint import PRIORITY, VISITS, Touchpoint

# Below this many touchpoints the column form's dictionary costs more than it saves.
_COLUMNS_FROM = 3
# A bulk batch need not be larger: past this the dictionary is paid for, and a loss costs more.
_BATCH_TOUCHPOINTS = 256
_UNKNOWN_CLASS = VISITS


def by_class(touchpoints: Sequence[Touchpoint]) -> list[tuple[int, list[Touchpoint]]]:
    """Touchpoints by priority class, first captured first; each list fits a batch by number."""
    found: dict[int, list[Touchpoint]] = {}
    for touchpoint in touchpoints:
        found.setdefault(PRIORITY.get(touchpoint.code, _UNKNOWN_CLASS), []).append(touchpoint)
    return [
        (priority, listed[at : at + _BATCH_TOUCHPOINTS])
        for priority, listed in found.items()
        for at in range(0, len(listed), _BATCH_TOUCHPOINTS)
    ]


def encode(touchpoints: Sequence[Touchpoint]) -> list[tuple[int, bytes, int]]:
    """(kind, plaintext, touchpoints) of one batch, or of more where they do not fit one."""
    listed = list(touchpoints)
    try:
        if len(listed) < _COLUMNS_FROM:
            return [(seal.ROWS, encode_rows(listed), len(listed))]
        return [(*_deflated(encode_columns(listed)), len(listed))]
    except TooLarge:
        if len(listed) == 1:
            raise
        half = len(listed) // 2
        return encode(listed[:half]) + encode(listed[half:])


def _deflated(plaintext: bytes) -> tuple[int, bytes]:
    """(kind, plaintext): deflated where shorter (docs/decisions/0018-deflated-columns.md)."""
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    shorter = squeezer.compress(plaintext) + squeezer.flush()
    if len(shorter) < len(plaintext):
        return seal.DEFLATED, shorter
    return seal.COLUMNS, plaintext
