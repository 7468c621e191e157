"""The typed constructors say what the table says: every type, every field, nothing else."""

import inspect

import pytest

from edge_sdk import touchpoints
from edge_sdk.wire.touchpoint import TYPES

VALUES = {"text": "a", "id": "ble:a", "int": 1, "dbm": -70, "data": b"a"}


@pytest.mark.parametrize("row", TYPES, ids=lambda row: row[1])
def test_one_function_a_type(row: tuple[int, str, int, bool, tuple[tuple[str, str], ...]]) -> None:
    code, name, _, _, fields = row
    function = getattr(touchpoints, {"return": "return_"}.get(name, name.replace(".", "_")))
    parameters = inspect.signature(function).parameters
    assert sorted(parameters) == sorted([*(field for field, _ in fields), "at_ms"])
    touchpoint = function(**{field: VALUES[kind] for field, kind in fields}, at_ms=5)
    assert touchpoint.code == code
    assert touchpoint.at_ms == 5
    assert touchpoint.values == tuple(VALUES[kind] for _, kind in fields)
    assert function.__doc__


def test_consent_is_a_yes_or_a_no() -> None:
    said = touchpoints.consent(subject="crm:1", purpose="p", granted=False)
    assert said.get("granted") == 0
