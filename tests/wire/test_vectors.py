"""The vectors: written from the page, read by the code, and shown on the page."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.wire import seal
from edge_sdk.wire.batch import decode_columns
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.touchpoint import TYPES
from tests.vectors import make_wire, worked_examples
from tests.wire import other_reader
from tests.wire.portable_batches import touchpoints_of
from tests.wire.portable_checks import CHECKS
from tests.wire.suites import SUITES

FOLDER = Path(make_wire.__file__).parent
VECTORS: dict[str, Any] = {
    name: json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    for name in ("wire", "ccm", "hkdf")
}
WIRE = VECTORS["wire"]


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES.keys())
@pytest.mark.parametrize("check", [check for _, check in CHECKS], ids=[name for name, _ in CHECKS])
def test_check(check: Callable[[Suite, Any], int], suite: Suite) -> None:
    assert check(suite, VECTORS) > 0


def test_the_file_is_what_its_maker_writes() -> None:
    assert make_wire.WIRE.read_text("utf-8") == make_wire.as_text(make_wire.vectors())


def test_the_examples_of_the_page_are_those_of_the_file() -> None:
    page = worked_examples.PAGE.read_text("utf-8")
    assert page == worked_examples.rewritten(page, WIRE), "python -m tests.vectors.make_wire --docs"


@pytest.mark.parametrize(
    "case", WIRE["batches"], ids=lambda case: f"{case['name']} ({case['form']})"
)
def test_a_second_reader_agrees(case: Any) -> None:
    rows = other_reader.read(case["form"], bytes.fromhex(case["plaintext"]))
    assert rows == [(t.code, t.at_ms, t.values) for t in touchpoints_of(case)]


def test_every_type_is_there_filled_and_empty() -> None:
    named = {(case["name"], case["form"]) for case in WIRE["batches"]}
    for _, name, *_ in TYPES:
        for form in ("rows", "columns"):
            assert (name, form) in named
            assert (f"{name}, all nil", form) in named


def test_every_kind_of_message_is_there() -> None:
    kinds = {case["kind"] for case in WIRE["messages"]}
    assert kinds == set(seal.UP_KINDS + seal.DOWN_KINDS)


def test_deflated_columns_are_raw_deflate() -> None:
    inflated = zlib.decompress(bytes.fromhex(WIRE["deflated"]["plaintext"]), -zlib.MAX_WBITS)
    assert inflated.hex() == WIRE["deflated"]["inflated"]
    assert decode_columns(inflated) == make_wire.repeated()


def test_no_number_of_the_file_is_too_large_for_other_readers() -> None:
    def seen(number: str) -> int:
        assert abs(int(number)) < 1 << 53, number
        return int(number)

    json.loads(make_wire.WIRE.read_text("utf-8"), parse_int=seen)
