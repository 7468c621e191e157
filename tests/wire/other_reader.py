"""A second reader of batches, written from docs/wire.md over msgspec; it shares only the table."""

from itertools import accumulate, chain, repeat
from typing import Any

import msgspec

from edge_sdk.wire.touchpoint import DBM, FIELDS

Row = tuple[int, int, tuple[Any, ...]]  # code, at_ms, values


def read(form: str, plaintext: bytes) -> list[Row]:
    """(code, at_ms, values) of each touchpoint of a well-formed batch."""
    parts = msgspec.msgpack.decode(plaintext)
    return rows(*parts) if form == "rows" else columns(*parts)


def rows(base_ms: int, *touchpoints: list[Any]) -> list[Row]:
    """`[base_ms, [code, dt_ms, value, ...], ...]`."""
    return [(code, base_ms + dt_ms, known(code, values)) for code, dt_ms, *values in touchpoints]


def columns(
    base_ms: int, words: list[str], runs: list[int], times: Any, groups: list[Any], *_: Any
) -> list[Row]:
    """`[base_ms, words, runs, times, groups]`."""
    lengths = list(zip(runs[::2], runs[1::2], strict=True))
    codes = list(chain.from_iterable(repeat(code, length) for code, length in lengths))
    dictionary = [None, *words]
    rows_of = {}
    for code, group in zip(dict.fromkeys(codes), groups, strict=True):
        count = codes.count(code)
        spread = [column(each, count, dictionary) for each in group]
        rows_of[code] = iter(zip(*spread, strict=True)) if spread else repeat(())
    at_ms = list(accumulate(column(times, len(codes), dictionary), initial=base_ms))[1:]
    return [
        (code, at, known(code, list(next(rows_of[code]))))
        for code, at in zip(codes, at_ms, strict=True)
    ]


def column(value: Any, count: int, dictionary: list[str | None]) -> list[Any]:
    """One value a touchpoint, from each of the three forms."""
    match value:
        case bytes():
            assert len(value) == count
            return [dictionary[index] for index in value]
        case list():
            assert len(value) == count
            return value
        case _:
            return [value] * count


def known(code: int, values: list[Any]) -> tuple[Any, ...]:
    """The fields of the table: what is missing is nil, what is later is left out."""
    if code not in FIELDS:
        return tuple(values)
    fields = FIELDS[code]
    padded = values + [None] * len(fields)
    return tuple(
        -value if kind is DBM and value is not None else value
        for value, (_, kind) in zip(padded, fields, strict=False)
    )
