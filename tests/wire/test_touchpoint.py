"""Touchpoints: the table is sound, and what passes the check can always be sent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire import touchpoint
from edge_sdk.wire.batch import decode_columns, decode_rows, encode_columns, encode_rows
from edge_sdk.wire.packing import pack_portably
from edge_sdk.wire.touchpoint import (
    DATA,
    DBM,
    ID,
    INT,
    TEXT,
    TYPES,
    Touchpoint,
    TouchpointError,
    check,
    fits,
    make,
)
from tests.wire import strategies

anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-300, 300)
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.text(st.sampled_from("a:\ud800\U0001f6d2"), max_size=4)
    | st.binary(max_size=12)
    | st.lists(st.integers(), max_size=2)
)


def test_codes_and_names_are_unique() -> None:
    codes = [row[0] for row in TYPES]
    names = [row[1] for row in TYPES]
    assert codes == list(range(1, len(TYPES) + 1))
    assert len(set(names)) == len(names)
    assert all(0 <= row[2] < len(touchpoint.CLASS_NAMES) for row in TYPES)


def test_fields_are_unique_within_a_type_and_of_a_known_kind() -> None:
    for _, name, _, _, fields in TYPES:
        assert len({field for field, _ in fields}) == len(fields), name
        assert {kind for _, kind in fields} <= {TEXT, ID, INT, DBM, DATA}, name


def test_units_are_in_names() -> None:
    for _, _, _, _, fields in TYPES:
        for field, kind in fields:
            assert (kind is DBM) == field.endswith("_dbm")


@pytest.mark.parametrize("row", TYPES, ids=lambda row: row[1])
def test_each_field_of_each_type_can_be_made_by_name(row: Any) -> None:
    samples: dict[str, Any] = {TEXT: "t", ID: "i:d", INT: 5, DBM: -60, DATA: b"d"}
    fields = {field: samples[kind] for field, kind in row[4]}
    made = make(row[1], 5, **fields)
    assert made.values == tuple(fields.values())
    assert (made.code, made.name, made.at_ms) == (row[0], row[1], 5)
    assert all(made.get(field) == value for field, value in fields.items())


@pytest.mark.parametrize("encode", [encode_rows, encode_columns])
@given(
    code=st.sampled_from([row[0] for row in TYPES] + [999]),
    at_ms=st.integers(-5, 1 << 54),
    values=st.lists(anything, max_size=8).map(tuple),
)
@settings(max_examples=300, deadline=None)
def test_what_passes_the_check_can_be_sent(
    encode: Callable[[list[Touchpoint]], bytes], code: int, at_ms: int, values: tuple[Any, ...]
) -> None:
    fields = touchpoint.FIELDS.get(code, ())
    if fields:
        values = (values + (None,) * len(fields))[: len(fields)]
    made = Touchpoint(code, at_ms, values)
    try:
        check(made)
    except TouchpointError:
        return
    decode = decode_rows if encode is encode_rows else decode_columns
    assert decode(encode([made])) == [made]


@given(value=anything)
@settings(max_examples=200, deadline=None)
def test_what_fits_a_kind_has_its_type_and_can_be_packed(value: Any) -> None:
    types = {TEXT: str, ID: str, INT: int, DBM: int, DATA: bytes}
    for kind, expected in types.items():
        if fits(kind, value) and value is not None:
            assert type(value) is expected
            pack_portably(value)


@given(made=strategies.known_touchpoints() | strategies.opaque_touchpoints())
@settings(max_examples=100, deadline=None)
def test_a_repr_is_a_name_and_a_time(made: Touchpoint) -> None:
    assert repr(made) == f"<Touchpoint {made.name} at_ms={made.at_ms}>"


def test_equal_touchpoints_are_equal_and_hash_alike() -> None:
    one, two = make("scan", 5, code="c"), make("scan", 5, code="c")
    assert one == two
    assert len({one, two, make("scan", 6, code="c"), make("scan", 5, code="d")}) == 3
    assert one != "scan"


def test_an_unknown_field_is_named_without_its_value() -> None:
    with pytest.raises(TouchpointError, match=r"^scan has no field colour, size$"):
        make("scan", size="secret", colour="secret")
