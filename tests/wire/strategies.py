"""Arbitrary touchpoints of every type, from the table of types, for Hypothesis."""

from typing import Any

from hypothesis import strategies as st

from edge_sdk.wire.touchpoint import (
    CODES,
    DATA,
    DBM,
    ID,
    INT,
    MAX_CODE,
    MAX_VALUES,
    TEXT,
    TYPES,
    Touchpoint,
)

INTEGERS = st.integers(-(1 << 63), (1 << 64) - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
TIMES = st.integers(0, (1 << 53) - 1)

KINDS: dict[str, st.SearchStrategy[Any]] = {
    TEXT: TEXTS,
    ID: st.builds("{}:{}".format, st.text("abz09", max_size=8), st.text("abz09:", max_size=20)),
    INT: INTEGERS,
    DBM: st.integers(-255, 255),
    DATA: st.binary(max_size=40),
}


def opaque_touchpoints() -> st.SearchStrategy[Touchpoint]:
    """Of types that the table does not have."""
    values = st.none() | INTEGERS | KINDS[TEXT] | KINDS[DATA]
    codes = st.integers(1, MAX_CODE).filter(lambda code: code not in CODES.values())
    rows = st.lists(values, max_size=4) | st.lists(values, min_size=MAX_VALUES, max_size=MAX_VALUES)
    return st.builds(Touchpoint, codes, TIMES, rows.map(tuple))


def known_touchpoints() -> st.SearchStrategy[Touchpoint]:
    """Of every type of the table."""
    return st.one_of(
        *(
            st.builds(
                Touchpoint,
                st.just(code),
                TIMES,
                st.tuples(*(st.none() | KINDS[kind] for _, kind in fields)),
            )
            for code, _, _, _, fields in TYPES
        )
    )


def batches(max_size: int = 12) -> st.SearchStrategy[list[Touchpoint]]:
    """What a batch may hold, with types and values that repeat."""
    touchpoints = known_touchpoints() | opaque_touchpoints()
    mixed = st.lists(touchpoints, min_size=1, max_size=max_size)
    drawn_again = mixed.flatmap(
        lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=2 * max_size)
    )
    return mixed | drawn_again


BATCHES = batches()
SMALL_BATCHES = batches(max_size=4)
