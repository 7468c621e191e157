"""Batches on the bridge: opened plaintext to checked columns.

The same answers as `edge_sdk.wire.batch`, which a board shares, and many times faster: msgspec
reads, and what is checked is a column's set of types or dictionary indices, not each value.
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from cloud_bridge.batch import KINDS, OPAQUE, Batch
from edge_sdk.wire.batch import (
    COLUMNS,
    MAX_PLAINTEXT,
    MAX_TOUCHPOINTS,
    MAX_WORDS,
    ROWS,
    BatchError,
)
from edge_sdk.wire.packing import MAX_DEPTH
from edge_sdk.wire.seal import DEFLATED
from edge_sdk.wire.touchpoint import (
    DATA,
    DBM,
    ID,
    INT,
    MAX_CODE,
    MAX_ID_BYTES,
    MAX_VALUES,
    TEXT,
    Touchpoint,
    fits,
    fits_opaque,
)

_END_MS = 1 << 53
_SHORT = MAX_ID_BYTES // 4  # characters: within every limit, whatever they are
_LEVELS: set[int | None] = {None, *range(-255, 256)}
_TYPES: dict[str, set[type]] = {
    TEXT: {str, type(None)},
    ID: {str, type(None)},
    INT: {int, type(None)},
    DBM: {int, type(None)},
    DATA: {bytes, type(None)},
    OPAQUE: {int, str, bytes, type(None)},
}


def decode(kind: int, plaintext: bytes) -> Batch:
    """The touchpoints of a batch of kind ROWS, COLUMNS or DEFLATED. Raises BatchError."""
    return _DECODERS[kind](plaintext)


def _rows(plaintext: bytes) -> Batch:
    rows = _unpacked(plaintext)
    if not 2 <= len(rows) <= 1 + MAX_TOUCHPOINTS:
        raise BatchError("a batch holds 1 to 4096 touchpoints")
    base_ms = _time(rows[0])
    return Batch.of([_row(row, base_ms) for row in rows[1:]])


def _row(row: object, base_ms: int) -> Touchpoint:
    if type(row) is not list or len(row) < 2 or type(row[1]) is not int:
        raise BatchError("a row is [code, dt_ms, value, ...]")
    code = _code(row[0])
    at_ms = _time(base_ms + row[1])
    kinds = KINDS.get(code)
    values = row[2:]
    if kinds is None:
        if len(values) > MAX_VALUES or not all(map(fits_opaque, values)):
            raise BatchError("an unknown touchpoint holds at most 64 plain values")
        return Touchpoint(code, at_ms, tuple(values))
    _ignored(values[len(kinds) :], 2)
    values = values[: len(kinds)]
    values += [None] * (len(kinds) - len(values))
    if DBM in kinds:
        values = [
            -value if kind is DBM and type(value) is int else value
            for kind, value in zip(kinds, values, strict=True)
        ]
    if not all(map(fits, kinds, values)):
        raise BatchError("a value does not have its field's kind")
    return Touchpoint(code, at_ms, tuple(values))


def _columns(plaintext: bytes) -> Batch:
    parts = _unpacked(plaintext)
    if len(parts) < 5:
        raise BatchError("a column batch has five parts")
    words = _Words(_array(parts[1]))
    runs, counts = _runs(_array(parts[2]))
    times = _deltas(parts[3], sum(counts.values()))
    groups = _array(parts[4])
    if len(groups) != len(counts):
        raise BatchError("a group of columns for each type")
    checked = {
        code: _group(code, count, _array(group), words)
        for (code, count), group in zip(counts.items(), groups, strict=True)
    }
    _ignored(parts[5:], 1)
    batch = Batch(_time(parts[0]), words.listed, runs, times, checked)
    if min(batch.at_ms) < 0 or max(batch.at_ms) >= _END_MS:
        raise BatchError("a time is milliseconds since 1970")
    return batch


def _runs(runs: list[Any]) -> tuple[list[int], dict[int, int]]:
    """Code, length, code, length ...; the number of each code in order of appearance."""
    if len(runs) % 2 or not runs:
        raise BatchError("runs are pairs of code and length")
    counts: dict[int, int] = {}
    room = MAX_TOUCHPOINTS
    for code, length in zip(runs[::2], runs[1::2], strict=True):
        if type(length) is not int or not 0 < length <= room:
            raise BatchError("a run is longer than a batch may be")
        room -= length
        counts[_code(code)] = counts.get(code, 0) + length
    return runs, counts


def _deltas(column: object, count: int) -> int | list[int]:
    """The ms before each touchpoint."""
    if type(column) is int:
        return column
    if type(column) is list and len(column) == count and set(map(type, column)) == {int}:
        return column
    raise BatchError("times are one integer, or one for each touchpoint")


class _Words:
    """A batch's dictionary, and which of its texts a column of each kind may hold."""

    def __init__(self, words: list[Any]) -> None:
        if len(words) > MAX_WORDS or not set(map(type, words)) <= {str}:
            raise BatchError("a dictionary holds 255 texts at most")
        self.listed: list[str | None] = [None, *words]
        self._good: dict[str, bytes] = {}

    def check(self, kind: str, indices: bytes) -> None:
        """Whether a column of this kind may have these indices. Raises BatchError."""
        good = self._good.get(kind)
        if good is None:
            good = self._good[kind] = self._indices(kind)
        if indices.translate(None, good):
            raise BatchError("an index beyond the dictionary, or of a text that cannot stand here")

    def _indices(self, kind: str) -> bytes:
        words: list[Any] = self.listed
        if max(map(len, words[1:]), default=0) > _SHORT or kind not in (TEXT, ID):
            return bytes(at for at, word in enumerate(words) if _fits(kind, word))
        if kind is TEXT:
            return bytes(range(len(words)))
        return bytes([0, *(at for at, word in enumerate(words[1:], 1) if ":" in word)])


def _group(code: int, count: int, columns: list[Any], words: _Words) -> list[Any]:
    """The checked columns of all touchpoints of one type: a column a field, nil where it lacks."""
    kinds = KINDS.get(code)
    if kinds is None:
        if len(columns) > MAX_VALUES:
            raise BatchError("an unknown touchpoint holds at most 64 values")
        kinds = (OPAQUE,) * len(columns)
    _ignored(columns[len(kinds) :], 3)
    columns = columns[: len(kinds)]  # a device of another version has fewer or more
    for kind, column in zip(kinds, columns, strict=False):
        _check(kind, column, count, words)
    columns += [None] * (len(kinds) - len(columns))
    return columns


def _check(kind: str, column: object, count: int, words: _Words) -> None:
    """Whichever of the three forms a column has. Raises BatchError."""
    if type(column) is bytes:
        if len(column) != count:
            raise BatchError("a column is shorter or longer than its group")
        words.check(kind, column)
        return
    if type(column) is not list:
        value = -column if kind is DBM and type(column) is int else column
        if not _fits(kind, value):
            raise BatchError("a value does not have its field's kind")
        return
    if len(column) != count:
        raise BatchError("a column is shorter or longer than its group")
    if not set(map(type, column)) <= _TYPES[kind]:
        raise BatchError("a value does not have its field's kind")
    if kind is INT or (kind is DBM and _LEVELS.issuperset(column)):
        return  # no MessagePack integer is out of an INT's range
    if not all(_fits(kind, value) for value in set(column)):
        raise BatchError("a value does not have its field's kind")


def _fits(kind: str, value: object) -> bool:
    return fits_opaque(value) if kind is OPAQUE else fits(kind, value)


def _ignored(values: list[Any], depth: int) -> None:
    """What a later version added is left alone, but it must be what the wire can carry."""
    for value in values:
        if type(value) is list:
            if depth >= MAX_DEPTH:
                raise BatchError("an array is deeper than the wire allows")
            _ignored(value, depth + 1)
        elif value is not None and type(value) not in (int, str, bytes, bool):
            raise BatchError("a form that the wire does not use")


def _unpacked(plaintext: bytes) -> list[Any]:
    try:
        return _array(msgspec.msgpack.decode(plaintext))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, OverflowError):
        raise BatchError("not MessagePack as the wire uses it") from None


def _array(value: object) -> list[Any]:
    if type(value) is not list:
        raise BatchError("an array is expected here")
    return value


def _time(at_ms: object) -> int:
    if type(at_ms) is not int or not 0 <= at_ms < _END_MS:
        raise BatchError("a time is milliseconds since 1970")
    return at_ms


def _code(code: object) -> int:
    if type(code) is not int or not 0 < code <= MAX_CODE:
        raise BatchError("a type code is 1 to 65535")
    return code


def _deflated(plaintext: bytes) -> Batch:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more, or a stream that fills the limit could not be seen to end there.
        columns = inflater.decompress(plaintext, MAX_PLAINTEXT + 1)
    except zlib.error:
        raise BatchError("not a raw deflate stream") from None
    if len(columns) > MAX_PLAINTEXT or not inflater.eof or inflater.unused_data:
        raise BatchError("a deflate stream ends where the message does, and inflates to a batch")
    return _columns(columns)


_DECODERS: dict[int, Callable[[bytes], Batch]] = {
    ROWS: _rows,
    COLUMNS: _columns,
    DEFLATED: _deflated,
}
