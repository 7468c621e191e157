"""Batches on the bridge: opened plaintext to touchpoints, a column at a time.

The same answers as `edge_sdk.wire.batch`, which a board shares, and many times faster: msgspec
reads, and what is checked is a column's set of types or dictionary indices, not each value.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice, repeat
from operator import attrgetter
from typing import Any

import msgspec

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
    FIELDS,
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
_OPAQUE = "opaque"
_LEVELS: set[int | None] = {None, *range(-255, 256)}
_TYPES: dict[str, set[type]] = {
    TEXT: {str, type(None)},
    ID: {str, type(None)},
    INT: {int, type(None)},
    DBM: {int, type(None)},
    DATA: {bytes, type(None)},
    _OPAQUE: {int, str, bytes, type(None)},
}
_KINDS = {code: tuple(kind for _, kind in fields) for code, fields in FIELDS.items()}
_at_ms = attrgetter("at_ms")


def decode(kind: int, plaintext: bytes) -> list[Touchpoint]:
    """Touchpoints of a batch of kind ROWS, COLUMNS or DEFLATED, in capture order.

    Raises BatchError.
    """
    return _DECODERS[kind](plaintext)


def newest_ms(touchpoints: Iterable[Touchpoint]) -> int:
    """The latest device time in a batch."""
    newest: int = max(map(_at_ms, touchpoints))
    return newest


def _rows(plaintext: bytes) -> list[Touchpoint]:
    rows = _unpacked(plaintext)
    if not 2 <= len(rows) <= 1 + MAX_TOUCHPOINTS:
        raise BatchError("a batch holds 1 to 4096 touchpoints")
    base_ms = _time(rows[0])
    return [_row(row, base_ms) for row in rows[1:]]


def _row(row: object, base_ms: int) -> Touchpoint:
    if type(row) is not list or len(row) < 2 or type(row[1]) is not int:
        raise BatchError("a row is [code, dt_ms, value, ...]")
    code = _code(row[0])
    at_ms = _time(base_ms + row[1])
    kinds = _KINDS.get(code)
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


def _columns(plaintext: bytes) -> list[Touchpoint]:
    parts = _unpacked(plaintext)
    if len(parts) < 5:
        raise BatchError("a column batch has five parts")
    words = _Words(_array(parts[1]))
    runs, counts = _runs(_array(parts[2]))
    times = _times(_time(parts[0]), parts[3], sum(counts.values()))
    groups = _array(parts[4])
    if len(groups) != len(counts):
        raise BatchError("a group of columns for each type")
    rows = {
        code: iter(_group(code, counts[code], _array(group), words))
        for code, group in zip(counts, groups, strict=True)
    }
    _ignored(parts[5:], 1)
    codes: list[int] = []
    values: list[tuple[Any, ...]] = []
    for code, length in runs:
        codes.extend(repeat(code, length))
        values.extend(islice(rows[code], length))
    return list(map(Touchpoint, codes, times, values))


def _runs(runs: list[Any]) -> tuple[list[tuple[int, int]], dict[int, int]]:
    """(code, length) runs, and the number of touchpoints of each code in order of appearance."""
    if len(runs) % 2 or not runs:
        raise BatchError("runs are pairs of code and length")
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    counts: dict[int, int] = {}
    room = MAX_TOUCHPOINTS
    for code, length in pairs:
        if type(length) is not int or not 0 < length <= room:
            raise BatchError("a run is longer than a batch may be")
        room -= length
        counts[_code(code)] = counts.get(code, 0) + length
    return pairs, counts


def _times(base_ms: int, column: object, count: int) -> list[int]:
    """Device time of each touchpoint, from the ms between them."""
    if type(column) is int:
        deltas: Iterable[int] = repeat(column, count)
    elif type(column) is list and len(column) == count and set(map(type, column)) == {int}:
        deltas = column
    else:
        raise BatchError("times are one integer, or one for each touchpoint")
    times = list(accumulate(deltas, initial=base_ms))
    if min(times) < 0 or max(times) >= _END_MS:
        raise BatchError("a time is milliseconds since 1970")
    return times[1:]


class _Words:
    """A batch's dictionary, and which of its texts a column of each kind may hold."""

    def __init__(self, words: list[Any]) -> None:
        if len(words) > MAX_WORDS or not set(map(type, words)) <= {str}:
            raise BatchError("a dictionary holds 255 texts at most")
        self._words = [None, *words]
        self._good: dict[str, bytes] = {}

    def column(self, kind: str, indices: bytes) -> list[Any]:
        """The texts, or nil, of a column's indices."""
        good = self._good.get(kind)
        if good is None:
            good = self._good[kind] = self._indices(kind)
        if indices.translate(None, good):
            raise BatchError("an index beyond the dictionary, or of a text that cannot stand here")
        return list(map(self._words.__getitem__, indices))

    def _indices(self, kind: str) -> bytes:
        if max(map(len, self._words[1:]), default=0) > _SHORT or kind not in (TEXT, ID):
            return bytes(at for at, word in enumerate(self._words) if _fits(kind, word))
        if kind is TEXT:
            return bytes(range(len(self._words)))
        return bytes([0, *(at for at, word in enumerate(self._words[1:], 1) if ":" in word)])


def _group(code: int, count: int, columns: list[Any], words: _Words) -> Sequence[tuple[Any, ...]]:
    """The values of all touchpoints of one type, in order."""
    kinds = _KINDS.get(code)
    if kinds is None:
        if len(columns) > MAX_VALUES:
            raise BatchError("an unknown touchpoint holds at most 64 values")
        kinds = (_OPAQUE,) * len(columns)
    known = zip(kinds, columns, strict=False)  # a device of another version has fewer or more
    spread = [_column(kind, column, count, words) for kind, column in known]
    _ignored(columns[len(kinds) :], 3)
    spread += [[None] * count] * (len(kinds) - len(spread))
    return list(zip(*spread, strict=True)) if spread else [()] * count


def _column(kind: str, column: object, count: int, words: _Words) -> Iterable[Any]:
    """One value for each touchpoint, whichever of the three forms the column has."""
    if type(column) is bytes:
        if len(column) != count:
            raise BatchError("a column is shorter or longer than its group")
        return words.column(kind, column)
    if type(column) is not list:
        value = -column if kind is DBM and type(column) is int else column
        if not _fits(kind, value):
            raise BatchError("a value does not have its field's kind")
        return repeat(value, count)
    if len(column) != count:
        raise BatchError("a column is shorter or longer than its group")
    if not set(map(type, column)) <= _TYPES[kind]:
        raise BatchError("a value does not have its field's kind")
    if kind is INT:  # no MessagePack integer is out of its range
        return column
    if kind is DBM:
        column = [None if value is None else -value for value in column]
        if _LEVELS.issuperset(column):
            return column
    if not all(_fits(kind, value) for value in set(column)):
        raise BatchError("a value does not have its field's kind")
    return column


def _fits(kind: str, value: object) -> bool:
    return fits_opaque(value) if kind is _OPAQUE else fits(kind, value)


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


def _deflated(plaintext: bytes) -> list[Touchpoint]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more, or a stream that fills the limit could not be seen to end there.
        columns = inflater.decompress(plaintext, MAX_PLAINTEXT + 1)
    except zlib.error:
        raise BatchError("not a raw deflate stream") from None
    if len(columns) > MAX_PLAINTEXT or not inflater.eof or inflater.unused_data:
        raise BatchError("a deflate stream ends where the message does, and inflates to a batch")
    return _columns(columns)


_DECODERS: dict[int, Callable[[bytes], list[Touchpoint]]] = {
    ROWS: _rows,
    COLUMNS: _columns,
    DEFLATED: _deflated,
}
