"""The mapping of a device's lines: what it makes of them, and what it refuses when it is read."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.sources.line_device import REFUSALS, Reader
from edge_sdk.sources.line_mapping import parse_mapping, read_mapping
from edge_sdk.wire.touchpoint import Touchpoint, check
from simulators.serial_lines import COUNTER_MAPPING

TILL = r"""
encoding = "latin-1"

[[line]]
name = "sale"
pattern = 'SALE (?P<no>\d+) (?P<sum>[\d.,-]+) (?P<cur>[A-Z]+)( CARD (?P<card>\w+))?'
type = "order"
[line.fields]
customer = { from = "card", prefix = "loyalty:" }
order = { from = "no", prefix = "till-1/" }
value_minor = { from = "sum", unit = "major", decimal = "," }
currency = { from = "cur", values = { EUR = "EUR", E = "EUR" } }

[[line]]
name = "queue"
pattern = 'Q (?P<ticket>\w+) (?P<waited>\S+)'
type = "queue.leave"
[line.fields]
queue = "tills"
outcome = "served"
ticket = { from = "ticket" }
waited_ms = { from = "waited", unit = "min" }

[[line]]
pattern = '#.*'
ignore = true
"""


def made(text: str, *lines: str) -> tuple[list[Touchpoint], dict[str, int]]:
    reader = Reader(parse_mapping(text))
    found = [reader.line(line, at * 1_000) for at, line in enumerate(lines)]
    return [touchpoint for touchpoint in found if touchpoint is not None], reader.counts


def test_a_till() -> None:
    orders, counts = made(
        TILL,
        "# hello",
        "SALE 17 12,34 EUR CARD 4711",
        "SALE 18 1,005 E",
        "SALE 19 -3 EUR",
        "Q a 1.5",
    )
    assert [one.get("value_minor") for one in orders] == [1234, 100, -300, None]
    assert [one.get("customer") for one in orders] == ["loyalty:4711", None, None, None]
    assert orders[0].get("order") == "till-1/17"
    assert orders[1].get("currency") == "EUR"
    assert orders[3].get("waited_ms") == 90_000
    assert orders[3].get("queue") == "tills"
    assert (counts["touchpoints"], counts["ignored"]) == (4, 1)


def test_what_a_line_may_not_say_is_counted() -> None:
    found, counts = made(
        TILL, "SALE 1 1.5 EUR", "SALE 1 1,2,3 EUR", "SALE 1 5 USD", "nonsense", "Q a nan",
        "Q a -1e5", "Q a ٣", "SALE 1 " + "9" * 40 + " EUR", "Q a 999999999999999999",
    )  # fmt: skip
    assert found == []
    assert {reason: counts[reason] for reason in REFUSALS} == {
        "unmatched": 1,
        "number": 6,
        "value": 1,
        "range": 1,
    }


def test_running_totals_become_what_was_added() -> None:
    found, counts = made(
        COUNTER_MAPPING, "IN 100 OUT 90", "OK x", "IN 103 OUT 91", "IN 103 OUT 91", "IN 2 OUT 0"
    )
    assert [(one.get("entered"), one.get("left")) for one in found] == [(3, 1), (0, 0), (2, 0)]
    assert [one.get("window_ms") for one in found] == [2_000, 1_000, 1_000]
    assert {one.get("counter") for one in found} == {"door-1"}
    assert counts["first"] == 1


LINE = "[[line]]\npattern = '(?P<a>.*)'\n"
COUNT = LINE + "type = 'count'\nfields = "
SCAN = LINE + "type = 'scan'\nfields = "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["line is missing"]),
        ("[[line]]\ntype = 'scan'", ["line 1", "pattern is missing"]),
        ("[[line]]\npattern = '('\ntype = 'scan'", ["line 1", "pattern", "regular expression"]),
        (LINE, ["type is missing"]),
        (LINE + "type = 'scann'", ["type", "'scann' is no touchpoint"]),
        (SCAN + "7", ["fields is a table"]),
        (SCAN + "{ kode = '1' }", ["kode is no field of scan", "code"]),
        (SCAN + "{ code = 7 }", ["code is not a valid text"]),
        (SCAN + "{ code = 2020-01-01 }", ["code is not a valid text"]),
        (SCAN + "{ code = { from = 'b' } }", ["'b' is no group", "(it has: a)"]),
        (SCAN + "{ code = { } }", ["code", "from is missing"]),
        (SCAN + "{ code = { from = 'a', form = 'b' } }", ["'form'", "is it from?"]),
        (SCAN + "{ visitor = { from = 'a' } }", ["visitor", "prefix", "scheme"]),
        (SCAN + "{ visitor = '17' }", ["visitor is not a valid id"]),
        (COUNT + "{ window_ms = { from = 'a' } }", ["window_ms", "unit is missing"]),
        (COUNT + "{ window_ms = { from = 'a', unit = 'm' } }", ["'m' cannot become"]),
        (COUNT + "{ entered = { from = 'a', unit = 's' } }", ["units for it: none"]),
        (COUNT + "{ entered = { elapsed = true } }", ["elapsed", "milliseconds"]),
        (COUNT + "{ entered = { from = 'a', decimal = ';' } }", ["decimal"]),
        (COUNT + "{ left = { from = 'a', values = { x = 'y' } } }", ["'x'", "valid int"]),
        (COUNT + "{ entered = { from = 'a', values = { } } }", ["values is empty"]),
        (COUNT + "{ entered = { from = 'a', per_major = 1 } }", ["per_major"]),
        (LINE + "ignore = 'yes'", ["ignore is true or false"]),
        (2 * (LINE + "ignore = true\nname = 'x'\n"), ["line 2", "'x'"]),
        ("encoding = 'klingon'\n" + LINE + "ignore = true", ["encoding", "klingon"]),
        ("max_line_bytes = 0\n" + LINE + "ignore = true", ["max_line_bytes"]),
        ("speed = 3\n" + LINE + "ignore = true", ["'speed'"]),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_names_file_and_key(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        parse_mapping(text, "till.toml")
    for word in ["till.toml", *words]:
        assert word in str(error.value)


def test_money_of_other_currencies() -> None:
    text = (
        LINE
        + "type = 'basket'\n[line.fields.value_minor]\nfrom = 'a'\nunit = 'major'\nper_major = 1"
    )
    found, _ = made(text, "500")
    assert found[0].get("value_minor") == 500


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "door.toml").write_text(COUNTER_MAPPING)
    assert [rule.name for rule in read_mapping(tmp_path / "door.toml").rules] == [
        "totals",
        "line 2",
    ]


SCRAPS = st.sampled_from(["SALE ", "17", " ", ",", ".", "-", "EUR", " CARD ", "4711", "Q ", "#",
                          "IN ", " OUT ", "٣", "\x00", "9" * 30, "é"])  # fmt: skip


@given(
    st.lists(st.one_of(st.text(max_size=20), st.lists(SCRAPS, max_size=9).map("".join)), max_size=6)
)
def test_no_line_raises_and_what_comes_out_can_be_sent(lines: list[str]) -> None:
    for text in (TILL, COUNTER_MAPPING):
        found, counts = made(text, *lines)
        for touchpoint in found:
            check(touchpoint)
        assert sum(counts.values()) == len(lines)


@given(
    st.recursive(
        st.one_of(
            st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "s", "scan", "count", "("])
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.dictionaries(
                st.sampled_from(["from", "unit", "values", "prefix", "total", "code", "entered"]),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=6,
    )
)
def test_no_value_in_a_file_raises_anything_but_a_config_error(value: Any) -> None:
    def toml(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(toml(one) for one in value) + "]"
        return repr(value)

    for place in ("fields", "type", "pattern", "name", "ignore"):
        rows = {"pattern": "'(?P<a>.*)'", "type": "'count'", "fields": "{ }", place: toml(value)}
        text = "[[line]]\n" + "\n".join(f"{key} = {one}" for key, one in rows.items())
        try:
            parse_mapping(text)
        except ConfigError:
            continue
