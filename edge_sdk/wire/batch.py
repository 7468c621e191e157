"""Batches: touchpoints to and from the plaintext of a sealed batch, as rows or as columns.

Rows suit a board and a single urgent touchpoint; columns suit bulk. docs/wire.md, "Batches".
"""

from .packing import PackingError, pack, unpack
from .touchpoint import (
    DBM,
    FIELDS,
    ID,
    MAX_CODE,
    MAX_VALUES,
    TEXT,
    Touchpoint,
    fits,
    fits_opaque,
)

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

ROWS, COLUMNS = 0, 1

MAX_TOUCHPOINTS = 4096
MAX_PLAINTEXT = 65_535 - 14 - 16  # L = 2 of RFC 3610, less our header and the tag
MAX_WORDS = 255  # a dictionary index is one byte, 0 is nil


class BatchError(ValueError):
    """Theirs: an opened batch does not have the form of docs/wire.md."""


class TooLarge(ValueError):
    """Ours: these touchpoints do not fit one batch; split them. One alone is refused at capture."""


# Rows: [base_ms, [code, dt_ms, value, ...], ...]


def encode_rows(touchpoints: "list[Touchpoint]") -> bytes:
    """Plaintext of a row batch. Every `at_ms` must be set. Raises TooLarge."""
    base_ms = touchpoints[0].at_ms or 0
    rows: "list[Any]" = [base_ms]
    for touchpoint in touchpoints:
        rows.append((touchpoint.code, (touchpoint.at_ms or 0) - base_ms) + _to_wire(touchpoint))
    return _within_limits(pack(rows), len(touchpoints))


def _to_wire(touchpoint: Touchpoint) -> "tuple[Any, ...]":
    fields = FIELDS.get(touchpoint.code, ())
    values = touchpoint.values
    for at in range(len(fields)):
        if fields[at][1] is DBM:
            values = values[:at] + (_negated(values[at]),) + values[at + 1 :]
    return values


def _negated(value: object) -> object:
    return -value if isinstance(value, int) and not isinstance(value, bool) else value


def decode_rows(plaintext: bytes) -> "list[Touchpoint]":
    """Touchpoints of a row batch, in capture order. Raises BatchError."""
    rows = _unpacked(plaintext)
    base_ms = _time(rows[0])
    if len(rows) > 1 + MAX_TOUCHPOINTS:
        raise BatchError("a batch holds %d touchpoints at most" % MAX_TOUCHPOINTS)
    touchpoints = []
    for row in rows[1:]:
        if not isinstance(row, list) or len(row) < 2:
            raise BatchError("a row is [code, dt_ms, value, ...]")
        code = _code(row[0])
        touchpoints.append(_from_wire(code, _time(base_ms + _integer(row[1])), row[2:]))
    return touchpoints


def _from_wire(code: int, at_ms: int, values: "list[Any]") -> Touchpoint:
    """Known type: our fields, missing ones nil, later ones ignored. Unknown: kept as it came."""
    fields = FIELDS.get(code)
    if fields is None:
        if len(values) > MAX_VALUES:
            raise BatchError("a touchpoint has %d values at most" % MAX_VALUES)
        for value in values:
            if not fits_opaque(value):
                raise BatchError("a value is nil, an integer, text or bytes")
        return Touchpoint(code, at_ms, tuple(values))
    kept = []
    for at in range(len(fields)):
        value = values[at] if at < len(values) else None
        kind = fields[at][1]
        if kind is DBM:
            value = _negated(value)
        if not fits(kind, value):
            raise BatchError("a value does not have its field's kind")
        kept.append(value)
    return Touchpoint(code, at_ms, tuple(kept))


# Columns: [base_ms, words, runs, times, groups]
#   words   array of str: the batch's dictionary; index i means words[i - 1], 0 means nil
#   runs    array of int: code, length, code, length, ... in capture order
#   times   int or array: dt_ms of each touchpoint from the one before (the first from base_ms)
#   groups  one array of columns for each code, in the order of first appearance in runs
# A column is bin (one dictionary index a touchpoint), an array (one value a touchpoint), or any
# other single value, which then holds for every touchpoint of its group.


def encode_columns(touchpoints: "list[Touchpoint]") -> bytes:
    """Plaintext of a column batch. Every `at_ms` must be set. Raises TooLarge."""
    base_ms = last_ms = touchpoints[0].at_ms or 0
    times: "list[int]" = []
    runs: "list[int]" = []
    order: "list[int]" = []
    groups: "dict[int, list[tuple[Any, ...]]]" = {}
    code = None
    for touchpoint in touchpoints:
        at_ms = touchpoint.at_ms or 0
        times.append(at_ms - last_ms)
        last_ms = at_ms
        if touchpoint.code != code:
            code = touchpoint.code
            runs.append(code)
            runs.append(0)
            if code not in groups:
                groups[code] = []
                order.append(code)
        runs[-1] += 1
        groups[code].append(touchpoint.values)
    words: "dict[str, int]" = {}
    packed_groups = [_columns(c, groups[c], words) for c in order]
    if len(words) > MAX_WORDS:
        raise TooLarge("a batch holds at most %d different texts" % MAX_WORDS)
    listed = [""] * len(words)
    for word in words:
        listed[words[word] - 1] = word
    return _within_limits(
        pack([base_ms, listed, runs, _folded(times), packed_groups]), len(touchpoints)
    )


def _columns(code: int, rows: "list[tuple[Any, ...]]", words: "dict[str, int]") -> "list[Any]":
    fields = FIELDS.get(code)
    columns: "list[Any]" = []
    if fields is None:  # it may come from boards of several versions: what one lacks is nil
        width = max([len(row) for row in rows])
        rows = [row + (None,) * (width - len(row)) for row in rows]
    at = 0
    for column in zip(*rows):
        kind = fields[at][1] if fields else None
        if kind is TEXT or kind is ID or (kind is None and _all_text(column)):
            columns.append(_indexed(column, words))
        elif kind is DBM:
            columns.append(_folded([_negated(value) for value in column]))
        else:
            columns.append(_folded(column))
        at += 1
    return columns


def _all_text(column: "tuple[Any, ...]") -> bool:
    for value in column:
        if not (value is None or isinstance(value, str)):
            return False
    return True


def _indexed(column: "tuple[Any, ...]", words: "dict[str, int]") -> object:
    """Dictionary indices as bin, or nil where no touchpoint has a value."""
    indices = []
    for value in column:
        if value is None:
            indices.append(0)
            continue
        index = words.get(value)
        if index is None:
            index = words[value] = len(words) + 1
        indices.append(index)
    if len(words) > MAX_WORDS:
        raise TooLarge("a batch holds at most %d different texts" % MAX_WORDS)
    return bytes(indices) if any(indices) else None


def _folded(column: "list[Any] | tuple[Any, ...]") -> object:
    """The column, or its one value where all are the same number or nil."""
    first = column[0]
    if first is None or isinstance(first, int):
        for value in column:
            if value != first:
                return column
        return first
    return column


def decode_columns(plaintext: bytes) -> "list[Touchpoint]":
    """Touchpoints of a column batch, in capture order. Raises BatchError."""
    parts = _unpacked(plaintext)
    if len(parts) < 5:
        raise BatchError("a column batch has five parts")
    at_ms = _time(parts[0])
    words = _words(_array(parts[1]))
    codes = _codes(_array(parts[2]))
    times = _spread(parts[3], len(codes), words)
    columns = _groups(codes, _array(parts[4]), words)
    taken = dict.fromkeys(columns, 0)
    touchpoints = []
    for at in range(len(codes)):
        code = codes[at]
        at_ms = _time(at_ms + _integer(times[at]))
        row = taken[code]
        taken[code] = row + 1
        touchpoints.append(_from_wire(code, at_ms, [column[row] for column in columns[code]]))
    return touchpoints


def _words(words: "list[Any]") -> "list[str | None]":
    if len(words) > MAX_WORDS:
        raise BatchError("a dictionary holds %d texts at most" % MAX_WORDS)
    for word in words:
        if not isinstance(word, str):
            raise BatchError("a dictionary holds texts")
    return [None] + words


def _codes(runs: "list[Any]") -> "list[int]":
    codes: "list[int]" = []
    if len(runs) % 2:
        raise BatchError("runs are pairs of code and length")
    for at in range(0, len(runs), 2):
        code, length = _code(runs[at]), _integer(runs[at + 1])
        if not 0 < length <= MAX_TOUCHPOINTS - len(codes):
            raise BatchError("a run is longer than a batch may be")
        codes.extend([code] * length)
    if not codes:
        raise BatchError("a batch holds a touchpoint at least")
    return codes


def _groups(
    codes: "list[int]", groups: "list[Any]", words: "list[Any]"
) -> "dict[int, list[list[Any]]]":
    order: "list[int]" = []
    counts: "dict[int, int]" = {}
    for code in codes:
        if code not in counts:
            counts[code] = 0
            order.append(code)
        counts[code] += 1
    if len(groups) != len(order):
        raise BatchError("a group of columns for each type")
    columns = {}
    for at in range(len(order)):
        code = order[at]
        group = _array(groups[at])
        # A nil of one byte spreads to a value a touchpoint: only so many columns are spread.
        if code in FIELDS:
            group = group[: len(FIELDS[code])]
        elif len(group) > MAX_VALUES:
            raise BatchError("a touchpoint has %d values at most" % MAX_VALUES)
        columns[code] = [_spread(column, counts[code], words) for column in group]
    return columns


def _spread(column: object, count: int, words: "list[Any]") -> "list[Any]":
    """One value a touchpoint, whichever of the three forms the column has."""
    if isinstance(column, bytes):
        if len(column) != count:
            raise BatchError("a column is shorter or longer than its group")
        try:
            return [words[index] for index in column]
        except IndexError:
            raise BatchError("an index beyond the dictionary")
    if isinstance(column, list):
        if len(column) != count:
            raise BatchError("a column is shorter or longer than its group")
        return column
    return [column] * count


def _unpacked(plaintext: bytes) -> "list[Any]":
    try:
        parts = unpack(plaintext)
    except PackingError as error:
        raise BatchError(str(error))
    parts = _array(parts)
    if len(parts) < 2:
        raise BatchError("a batch holds a touchpoint at least")
    return parts


def _array(value: object) -> "list[Any]":
    if not isinstance(value, list):
        raise BatchError("an array is expected here")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BatchError("an integer is expected here")
    return value


def _time(at_ms: object) -> int:
    at_ms = _integer(at_ms)
    if not 0 <= at_ms < 1 << 53:
        raise BatchError("a time is milliseconds since 1970")
    return at_ms


def _code(code: object) -> int:
    code = _integer(code)
    if not 0 < code <= MAX_CODE:
        raise BatchError("a type code is 1 to %d" % MAX_CODE)
    return code


def _within_limits(plaintext: bytes, touchpoints: int) -> bytes:
    if len(plaintext) > MAX_PLAINTEXT or touchpoints > MAX_TOUCHPOINTS:
        raise TooLarge("a batch holds %d bytes at most" % MAX_PLAINTEXT)
    return plaintext
