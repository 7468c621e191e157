"""Bodies of POST /collect: good ones become touchpoints, hostile ones get a reason, no echo."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.collect import MAX_AHEAD_MS, MAX_EVENTS, TYPES, parse
from cloud_bridge.decode import decode
from cloud_bridge.errors import CollectError
from edge_sdk.wire.touchpoint import make

NOW = 1_800_000_000_000
SECRET = "ann@example.org"


def body(*events: dict[str, Any], **changes: Any) -> bytes:
    good = {"site": "shop", "session": "cookie:1", "id": "b1", "events": list(events)}
    return json.dumps({**good, **changes}).encode()


VIEW = {"type": "page.view", "at_ms": NOW - 5, "page": "/a", "category": "coffee"}


def test_events_become_touchpoints_of_their_session() -> None:
    collected = parse(
        body(
            VIEW,
            {"type": "identify", "known_as": "loyalty:1", "method": "login", "at_ms": None},
            {"type": "consent", "purpose": "p", "granted": True},
            {"type": "order", "order": "o-1", "items": 2, "customer": "crm:9"},
        ),
        NOW,
    )
    assert collected.touchpoints == [
        make("page.view", NOW - 5, session="cookie:1", page="/a", category="coffee"),
        make("identify", NOW, seen="cookie:1", known_as="loyalty:1", method="login"),
        make("consent", NOW, subject="cookie:1", purpose="p", granted=1),
        make("order", NOW, customer="crm:9", order="o-1", items=2),
    ]
    assert decode(collected.kind, collected.plaintext) == collected.touchpoints
    assert (collected.site, collected.received_ms) == ("shop", NOW)
    assert "cookie" not in repr(collected)


def test_many_different_texts_fit_as_well() -> None:
    events = [{**VIEW, "page": f"/{at}"} for at in range(MAX_EVENTS)]
    collected = parse(body(*events), NOW)
    assert decode(collected.kind, collected.plaintext) == collected.touchpoints


def test_a_body_is_known_by_site_session_and_id() -> None:
    keys = {
        parse(body(VIEW, site=site, session=session, id=id_), NOW).key
        for site in ("a", "b")
        for session in ("cookie:1", "cookie:2")
        for id_ in ("1", "2")
    }
    assert len(keys) == 8
    assert parse(body(VIEW), NOW).key == parse(body(VIEW, VIEW), NOW + 9).key


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    (touchpoint,) = parse(body({**VIEW, "at_ms": NOW + MAX_AHEAD_MS}), NOW).touchpoints
    assert touchpoint.at_ms == NOW


def test_only_what_belongs_to_somebody_comes_over_http() -> None:
    assert "page.view" in TYPES
    assert TYPES.keys().isdisjoint({"visit.enter", "sighting", "prompt.shown", "device.health"})


HOSTILE: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "not JSON": (b"{", 400),
    "not UTF-8": (b'{"site": "\xff"}', 400),
    "NaN": (b'{"site": NaN}', 400),
    "infinity": (body(VIEW).replace(b"coffee", b'", "quantity": Infinity, "a": "'), 400),
    "an array": (b"[]", 422),
    "nested deep": (b"[" * 60_000, 422),
    "nested deep inside": (b'{"site": ' + b"[" * 60_000, 422),
    "nested deep in an event": (b'{"events": [{"type": ' + b"[" * 60_000, 422),
    "nested deep under a strange name": (b'{"x": ' + b"[" * 60_000, 422),
    "a strange field": (body(VIEW, **{SECRET: 1}), 422),
    "a missing field": (json.dumps({"site": "a"}).encode(), 422),
    "no events": (body(), 422),
    "too many events": (body(*[VIEW] * (MAX_EVENTS + 1)), 422),
    "events that are none": (body(events=SECRET), 422),
    "a number for a session": (body(VIEW, session=5), 422),
    "a session without scheme": (body(VIEW, session=SECRET), 422),
    "a long session": (body(VIEW, session="cookie:" + "a" * 600), 422),
    "an empty id": (body(VIEW, id=""), 422),
    "an unknown type": (body({"type": SECRET}), 422),
    "a type that is no text": (body({"type": 12}), 422),
    "no type": (body({"page": "/"}), 422),
    "a type of devices": (body({"type": "visit.enter", "visitor": "ble:1"}), 422),
    "a strange event field": (body({**VIEW, SECRET: "x"}), 422),
    "a field of another type": (body({**VIEW, "granted": True}), 422),
    "a nested value": (body({**VIEW, "page": {"a": SECRET}}), 422),
    "a float": (body({"type": "basket", "quantity": 1.5}), 422),
    "a huge integer": (body({"type": "basket", "quantity": 1 << 70}), 422),
    "text for a number": (body({"type": "basket", "quantity": SECRET}), 422),
    "a number for text": (body({**VIEW, "page": 5}), 422),
    "an identifier without scheme": (body({"type": "identify", "known_as": SECRET}), 422),
    "the far future": (body({**VIEW, "at_ms": NOW + MAX_AHEAD_MS + 1}), 422),
    "before time": (body({**VIEW, "at_ms": -1}), 422),
    "a time that is no number": (body({**VIEW, "at_ms": SECRET}), 422),
    "a time that is true": (body({**VIEW, "at_ms": True}), 422),
    "a lone surrogate": (body(VIEW).replace(b"coffee", b"\\ud800"), 400),
    "bytes": (body({"type": "custom", "name": "n", "data": SECRET}), 422),
    "long text": (body(*[{**VIEW, "page": "x" * 17_000}]), 422),
    "more than a batch": (
        body(*[{"type": "page.view", "session": f"cookie:{at}{'é' * 100}"} for at in range(400)]),
        413,
    ),
}


@pytest.mark.parametrize(("raw", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies(raw: bytes, status: int) -> None:
    with pytest.raises(CollectError) as error:
        parse(raw, NOW)
    assert error.value.status == status
    assert SECRET not in str(error.value)
    assert "example" not in str(error.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_no_json_value_does_anything_else(value: object) -> None:
    for raw in (
        json.dumps(value).encode(),
        body(VIEW, events=value),
        body({**VIEW, "page": value}),
    ):
        with suppress(CollectError):
            parse(raw, NOW)
