"""What is rebuilt from the log, also of rows that this version cannot read."""

import pytest

from cloud_bridge.people import Offered, People
from cloud_bridge.restoring import replay
from cloud_bridge.store import DECISION, GAPS, ROWS, LogRow
from edge_sdk.wire.batch import encode_rows
from edge_sdk.wire.touchpoint import make


def row(id_: int, kind: int, body: bytes) -> LogRow:
    return LogRow(id_, "paris-1", 1, 0, 0, id_, kind, 1000, 5, body)


def test_the_log_is_folded_in_order(caplog: pytest.LogCaptureFixture) -> None:
    view = make("page.view", 100, session="cookie:1", category="coffee")
    people = People()
    next_id = replay(
        people,
        [
            row(3, ROWS, encode_rows([view])),
            row(4, GAPS, b"\x90"),
            row(6, ROWS, b"\x92\x00\x93\x0c\x00\x05"),  # a session that is a number
            row(7, DECISION, Offered(9, "cookie:1", "tasting", 110, 2).pack()),
        ],
    )
    assert next_id == 8
    profile = people.anonymous["cookie:1"]
    assert (profile.interests, profile.offered) == ({"coffee": 105}, {"tasting": 110})
    assert "row 6" in caplog.text


def test_an_empty_log_begins_with_1() -> None:
    assert replay(People(), []) == 1
