"""A batch inside the bridge: columns as they came, with every identifier as a handle of the vault.

Touchpoints are made only of what somebody asks for: most of a batch is bulk that is folded a column
at a time. The body of a log row is a batch's columns again, in which no identifier is left:

    [base_ms, words, runs, times, groups, handles, stitched]

The first five are docs/wire.md's, with corrected times and with nil for a word that was only an
identifier; `handles` is index, handle, index, handle ...: what a column's index means where its
field is an identifier; `stitched`, which is left out where it is empty, are handles whose visits
are put together (cloud_bridge/stitching.py). An identifier that is not indexed stands as its
handle, and one in a field that this version does not know as an array of its handle.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise, repeat
from operator import itemgetter
from typing import Any

import msgspec

from cloud_bridge.schemes import LAST_NOBODY, is_identifier, nobody_like
from edge_sdk.wire.touchpoint import DATA, DBM, FIELDS, ID, TEXT, Touchpoint

OPAQUE = "opaque"
KINDS = {code: tuple(kind for _, kind in fields) for code, fields in FIELDS.items()}


def _places(wanted: str) -> dict[int, tuple[int, ...]]:
    found = {
        code: tuple(at for at, kind in enumerate(kinds) if kind is wanted)
        for code, kinds in KINDS.items()
    }
    return {code: places for code, places in found.items() if places}


_IDS, _TEXTS, _DATA = _places(ID), _places(TEXT), _places(DATA)
_LOGGED = {ID: {int, type(None)}, TEXT: {str, type(None)}}


class _Body(msgspec.Struct, array_like=True, gc=False):
    base_ms: int
    words: list[Any]
    runs: list[int]
    times: Any
    groups: list[list[Any]]
    handles: list[int]
    stitched: list[int] = []


_reader = msgspec.msgpack.Decoder(_Body)
_writer = msgspec.msgpack.Encoder()
_place = itemgetter(0)

# What happened: its place in the batch, type code, corrected time, values (identifiers as handles).
Told = tuple[int, int, int, tuple[Any, ...]]


class Batch:
    """Checked columns. `resolve` puts handles in the place of identifiers, once.

    at_ms    time of each touchpoint, as the device told it; in the log, corrected
    words    the dictionary, from index 1 on
    handles  what an index means in a column of identifiers
    groups   type code -> its columns: indices (bytes), a value a touchpoint (list), or one for all
    stitched handles whose visits are put together
    """

    __slots__ = ("at_ms", "base_ms", "groups", "handles", "runs", "stitched", "times", "words")

    def __init__(
        self,
        base_ms: int,
        words: list[str | None],
        runs: list[int],
        times: int | list[int],
        groups: dict[int, list[Any]],
    ) -> None:
        self.base_ms = base_ms
        self.words = words
        self.runs = runs
        self.times = times
        self.groups = groups
        self.handles: list[int | None] = []
        self.stitched: Collection[int] = ()
        deltas = repeat(times, sum(runs[1::2])) if isinstance(times, int) else times
        self.at_ms: list[int] = list(accumulate(deltas, initial=base_ms))[1:]

    def __len__(self) -> int:
        return len(self.at_ms)

    @classmethod
    def of(cls, touchpoints: Sequence[Touchpoint]) -> "Batch":
        """Of checked touchpoints, each with its time."""
        rows = [(t.code, t.at_ms or 0, t.values) for t in touchpoints]
        runs: list[int] = []
        groups: dict[int, list[tuple[Any, ...]]] = {}
        for code, _, values in rows:
            if not runs or runs[-2] != code:
                runs += (code, 0)
            runs[-1] += 1
            groups.setdefault(code, []).append(values)
        times = [after[1] - before[1] for before, after in pairwise(rows)]
        return cls(
            rows[0][1],
            [None],
            runs,
            [0, *times],
            {code: _transposed(code, listed) for code, listed in groups.items()},
        )

    # Identifiers and handles

    def identifiers(self) -> set[str]:
        """All that stand in it, before they are resolved."""
        found: set[Any] = set()
        indices: set[int] = set()
        for code, columns in self.groups.items():
            for at in _IDS.get(code, ()):
                column = columns[at]
                if type(column) is bytes:
                    indices.update(column)
                elif type(column) is list:
                    found.update(column)
                else:
                    found.add(column)
            if code not in KINDS:
                for column in columns:
                    if type(column) is bytes:
                        indices.update(i for i in set(column) if is_identifier(self.words[i]))
                    else:
                        values = column if type(column) is list else [column]
                        found.update(value for value in values if is_identifier(value))
        found.update(map(self.words.__getitem__, indices))
        found.discard(None)
        return found

    def seen(self, wanted: Collection[str]) -> dict[str, int]:
        """When, as the device told it, each of these identifiers last stood in it."""
        found = dict.fromkeys(wanted, 0)
        indexed = {at: word for at, word in enumerate(self.words) if word in found}
        for code, columns in self.groups.items():
            at_ms = self._times(code)
            for at in _IDS.get(code, range(0 if code in KINDS else len(columns))):
                column = columns[at]
                if type(column) is bytes:
                    by_index = dict(zip(column, at_ms, strict=True))
                    last = {indexed[i]: by_index[i] for i in indexed.keys() & by_index.keys()}
                else:
                    many = column if type(column) is list else repeat(column, len(at_ms))
                    last = dict(zip(many, at_ms, strict=True))
                for identifier in last.keys() & found.keys():
                    found[identifier] = max(found[identifier], last[identifier])
        return found

    def resolve(self, handles: Mapping[str, int]) -> None:
        """From here on identifiers are handles; each of `identifiers` has one."""
        self.handles = [handles.get(word) if word else None for word in self.words]
        for code, columns in self.groups.items():
            for at in _IDS.get(code, ()):
                column = columns[at]
                if type(column) is list:
                    columns[at] = [None if value is None else handles[value] for value in column]
                elif type(column) is str:
                    columns[at] = handles[column]
            if code not in KINDS:
                count = self.counts()[code]
                columns[:] = [_wrapped(column, count, handles) for column in columns]

    def sealed(self, seal: Callable[[int, int, bytes], bytes]) -> None:
        """Put `seal(handle, place, data)` in the place of data that belongs to somebody."""
        for code in self.groups.keys() & _DATA.keys():
            columns = self.groups[code]
            for at in _DATA[code]:
                if type(columns[at]) is not list:
                    continue
                places = self._positions(code)
                rows = list(self._values(code, len(places), self.handles))
                whose = [row[_IDS[code][0]] for row in rows]
                columns[at] = [
                    data if data is None or handle is None else seal(handle, place, data)
                    for handle, place, data in zip(whose, places, columns[at], strict=True)
                ]

    def without(self, dead: Collection[int]) -> None:
        """Whom these handles meant is nobody any more."""
        self.handles = [_living(handle, dead) for handle in self.handles]
        self.stitched = [handle for handle in self.stitched if handle not in dead]
        for code, columns in self.groups.items():
            for at in _IDS.get(code, ()):
                column = columns[at]
                if type(column) is list:
                    columns[at] = [_living(value, dead) for value in column]
                elif type(column) is int:
                    columns[at] = _living(column, dead)
            if code not in KINDS:
                columns[:] = [_forgotten(column, dead) for column in columns]

    def known(self) -> set[int]:
        """All handles that stand in it, but nobody's."""
        found: set[Any] = set()
        for code, columns in self.groups.items():
            for at in _IDS.get(code, ()):
                column = columns[at]
                if type(column) is bytes:
                    found.update(map(self.handles.__getitem__, set(column)))
                elif type(column) is list:
                    found.update(column)
                else:
                    found.add(column)
        found.discard(None)
        return {handle for handle in found if handle > LAST_NOBODY}

    # To and from the log

    def correct(self, offset_ms: int) -> None:
        """Add what a device's clock is behind to every time."""
        if offset_ms:
            self.base_ms += offset_ms
            self.at_ms = [at_ms + offset_ms for at_ms in self.at_ms]

    def to_body(self) -> bytes:
        """The body of a log row."""
        texts: set[int] = set()
        for code, columns in self.groups.items():
            for at in _TEXTS.get(code, ()):
                column = columns[at]
                if type(column) is bytes:
                    texts.update(column)
            if code not in KINDS:
                for column in columns:
                    if type(column) is bytes:
                        texts.update(i for i in set(column) if not is_identifier(self.words[i]))
        words: list[str | None] = []
        handles: list[int] = []
        for index, word in enumerate(self.words):
            handle = self.handles[index]
            if handle is None:
                words.append(word)
                continue
            handles += (index, handle)
            words.append(word if index in texts else None)
        groups = list(self.groups.values())
        body = self.base_ms, words[1:], self.runs, self.times, groups, handles
        return _writer.encode((*body, sorted(self.stitched)) if self.stitched else body)

    @classmethod
    def from_body(cls, body: bytes) -> "Batch":
        """From `to_body`. Raises msgspec.DecodeError."""
        row = _reader.decode(body)
        codes = dict.fromkeys(row.runs[::2])
        groups = {
            code: _of_today(code, group) for code, group in zip(codes, row.groups, strict=True)
        }
        batch = cls(row.base_ms, [None, *row.words], row.runs, row.times, groups)
        batch.handles = [None] * len(batch.words)
        batch.stitched = row.stitched
        for index, handle in zip(row.handles[::2], row.handles[1::2], strict=True):
            batch.handles[index] = handle
        return batch

    # What it says

    def counts(self) -> dict[int, int]:
        """How many touchpoints there are of each type code."""
        if len(self.runs) == 2:
            return {self.runs[0]: self.runs[1]}
        found: dict[int, int] = {}
        for code, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            found[code] = found.get(code, 0) + length
        return found

    def touches(self) -> Iterator[tuple[int, int, int]]:
        """(handle, ms, how often): who was seen how often, and when last, in each column."""
        for code, columns in self.groups.items():
            places = _IDS.get(code, ())
            at_ms = self._times(code) if places else []
            for at in places:
                column = columns[at]
                if type(column) is bytes:
                    last = dict(zip(column, at_ms, strict=True))
                    for index, ms in last.items():
                        handle = self.handles[index]
                        if handle is not None and handle > LAST_NOBODY:
                            yield handle, ms, column.count(index)
                elif type(column) is list:
                    often = Counter(column)
                    for handle, ms in dict(zip(column, at_ms, strict=True)).items():
                        if handle is not None and handle > LAST_NOBODY:
                            yield handle, ms, often[handle]
                elif column is not None and column > LAST_NOBODY:
                    yield column, at_ms[-1], len(at_ms)

    def told(self, wanted: Collection[int]) -> list[Told]:
        """What happened of these type codes, in the order of capture."""
        codes = [code for code in self.groups if code in wanted]
        found: list[Told] = []
        for code in codes:
            places = self._positions(code)
            values = self._values(code, len(places), self.handles)
            at_ms = map(self.at_ms.__getitem__, places)
            found += zip(places, repeat(code), at_ms, values, strict=False)
        if len(codes) > 1:
            found.sort(key=_place)
        return found

    def touchpoints(
        self, identifier: Callable[[int], str | None] | None = None
    ) -> list[Touchpoint]:
        """All of it, in the order of capture.

        Where handles stand for identifiers, `identifier` tells them, or None for one that is gone.
        """
        found: list[tuple[int, Touchpoint]] = []
        meant = self.words
        if identifier is not None:
            meant = [None if h is None else identifier(h) for h in self.handles]
        for code in self.groups:
            places = self._positions(code)
            for place, row in zip(places, self._values(code, len(places), meant), strict=False):
                values = row
                if identifier is not None:
                    values = _named(code, row, identifier)
                found.append((place, Touchpoint(code, self.at_ms[place], values)))
        found.sort(key=_place)
        return [touchpoint for _, touchpoint in found]

    def _times(self, code: int) -> list[int]:
        if len(self.groups) == 1:
            return self.at_ms
        return list(map(self.at_ms.__getitem__, self._positions(code)))

    def _positions(self, code: int) -> Sequence[int]:
        if len(self.groups) == 1:
            return range(len(self.at_ms))
        found: list[int] = []
        at = 0
        for other, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            if other == code:
                found.extend(range(at, at + length))
            at += length
        return found

    def _values(self, code: int, count: int, meant: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        """The values of a type's touchpoints; an identifier's index means what `meant` has."""
        columns = self.groups[code]
        kinds = KINDS.get(code, (OPAQUE,) * len(columns))
        spread: list[Iterable[Any]] = []
        for kind, column in zip(kinds, columns, strict=True):
            if type(column) is bytes:
                words = self.words
                if kind is ID:
                    words = meant  # type: ignore[assignment]
                elif kind is OPAQUE:
                    words = [
                        other if word is None else word
                        for word, other in zip(words, meant, strict=True)
                    ]
                spread.append(map(words.__getitem__, column))
            elif type(column) is list:
                if kind is DBM:
                    column = [None if value is None else -value for value in column]
                spread.append(column)
            else:
                value = -column if kind is DBM and column is not None else column
                spread.append(repeat(value, count))
        return zip(*spread, strict=False) if spread else repeat((), count)


def _transposed(code: int, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    kinds = KINDS.get(code)
    if kinds is None:
        width = max(map(len, rows))
        rows = [row + (None,) * (width - len(row)) for row in rows]
        kinds = (OPAQUE,) * width
    columns = [list(column) for column in zip(*rows, strict=True)]
    return [
        [None if value is None else -value for value in column] if kind is DBM else column
        for kind, column in zip(kinds, columns, strict=True)
    ]


def _of_today(code: int, columns: list[Any]) -> list[Any]:
    """The columns of a row that an earlier bridge wrote: its table had fewer fields, or types."""
    kinds = KINDS.get(code, ())
    for at, kind in enumerate(kinds[: len(columns)]):
        usual = _LOGGED.get(kind)
        column = columns[at]
        if usual is None:
            continue
        if type(column) is list:
            if not usual.issuperset(map(type, column)):
                columns[at] = [_known_now(kind, value) for value in column]
        elif kind is ID and type(column) is str:
            columns[at] = None
    columns += [None] * (len(kinds) - len(columns))
    return columns


def _known_now(kind: str, value: object) -> object:
    """A value of a type that was unknown when it was logged (`_wrapped`), in a field of its kind.

    A text that was not seen to be an identifier, and is one, has no handle: it is not told.
    """
    if kind is ID:
        return value[0] if type(value) is list else None
    return None if type(value) is list else value


def _wrapped(column: object, count: int, handles: Mapping[str, int]) -> object:
    """A column of an unknown type: what looks like an identifier is one."""
    if type(column) is list:
        return [[handles[value]] if is_identifier(value) else value for value in column]
    if is_identifier(column):
        return [[handles[column]]] * count
    return column


def _living(handle: int | None, dead: Collection[int]) -> int | None:
    return nobody_like(handle) if handle is not None and handle in dead else handle


def _forgotten(column: object, dead: Collection[int]) -> object:
    if type(column) is not list:
        return column
    return [None if type(value) is list and value[0] in dead else value for value in column]


def _named(
    code: int, row: tuple[Any, ...], identifier: Callable[[int], str | None]
) -> tuple[Any, ...]:
    """A row in which handles that stand as values are identifiers again."""
    kinds = KINDS.get(code)
    if kinds is None:
        return tuple(identifier(v[0]) if type(v) is list else v for v in row)
    return tuple(
        identifier(value) if kind is ID and type(value) is int else value
        for kind, value in zip(kinds, row, strict=True)
    )
