"""Bodies of POST /collect: good ones become touchpoints, hostile ones get a reason, no echo."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud_bridge.collect import MAX_AHEAD_MS, MAX_BODY_BYTES, MAX_EVENTS, TYPES, key_of, parse
from cloud_bridge.errors import CollectError
from edge_sdk.batching import encode
from edge_sdk.wire.touchpoint import CODES, FIELDS, INT, make
from edge_sdk.wire.touchpoint import check as check_touchpoint

NOW = 1_800_000_000_000
SITE = "shop"
SECRET = "ann@example.org"


def body(*events: dict[str, Any], **changes: Any) -> bytes:
    good = {"session": "cookie:1", "id": "b1", "events": list(events)}
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
        SITE,
        NOW,
    )
    assert collected.touchpoints == [
        make("page.view", NOW - 5, session="cookie:1", page="/a", category="coffee"),
        make("identify", NOW, seen="cookie:1", known_as="loyalty:1", method="login"),
        make("consent", NOW, subject="cookie:1", purpose="p", granted=1),
        make("order", NOW, customer="crm:9", order="o-1", items=2),
    ]
    assert (collected.site, collected.received_ms) == ("shop", NOW)
    assert "cookie" not in repr(collected)


def test_a_body_is_known_by_site_session_and_id() -> None:
    keys = {
        parse(body(VIEW, session=session, id=id_), site, NOW).key
        for site in ("a", "b")
        for session in ("cookie:1", "cookie:2")
        for id_ in ("1", "2")
    }
    assert len(keys) == 8
    assert parse(body(VIEW), SITE, NOW).key == parse(body(VIEW, VIEW), SITE, NOW + 9).key


def test_a_site_may_be_said_and_then_is_the_keys() -> None:
    assert parse(body(VIEW, site=SITE, key="ek_1"), SITE, NOW).site == SITE
    with pytest.raises(CollectError, match="site"):
        parse(body(VIEW, site="other"), SITE, NOW)


def test_numbers_may_be_flags_where_they_are() -> None:
    for granted, value in ((True, 1), (False, 0), (1, 1), (0, 0), (None, None)):
        said = body({"type": "consent", "purpose": "p", "granted": granted})
        (touchpoint,) = parse(said, SITE, NOW).touchpoints
        assert touchpoint.get("granted") is value
        assert touchpoint.get("subject") == "cookie:1"


def test_a_key_can_be_in_the_body() -> None:
    assert key_of(body(VIEW, key="ek_1")) == "ek_1"
    for raw in (body(VIEW), b"", b"{", b"[]", b'{"key": 5}', b'{"x": ' + b"[" * 60_000):
        assert key_of(raw) is None


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    (touchpoint,) = parse(body({**VIEW, "at_ms": NOW + MAX_AHEAD_MS}), SITE, NOW).touchpoints
    assert touchpoint.at_ms == NOW


def test_only_what_belongs_to_somebody_comes_over_http() -> None:
    assert "page.view" in TYPES
    assert TYPES.keys().isdisjoint({"visit.enter", "sighting", "prompt.shown", "device.health"})


HOSTILE: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "not JSON": (b"{", 400),
    "not UTF-8": (b'{"session": "\xff"}', 400),
    "NaN": (b'{"session": NaN}', 400),
    "infinity": (body({"type": "basket", "quantity": 1}).replace(b": 1}", b": Infinity}"), 400),
    "an array": (b"[]", 422),
    "nested deep": (b"[" * 60_000, 422),
    "nested deep inside": (b'{"session": ' + b"[" * 60_000, 422),
    "nested deep in an event": (b'{"events": [{"type": ' + b"[" * 60_000, 400),
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
    "a field that looks like a place": (body({**VIEW, f"x` - at `$.{SECRET}": "x"}), 422),
    "a name that looks like a place": (body(VIEW, **{f"x` - at `$.{SECRET}": 1}), 422),
    "a flag that is none": (body({"type": "basket", "quantity": True}), 422),
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
}


@pytest.mark.parametrize(("raw", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies(raw: bytes, status: int) -> None:
    with pytest.raises(CollectError) as error:
        parse(raw, SITE, NOW)
    assert error.value.status == status
    assert SECRET not in str(error.value)
    assert "example" not in str(error.value)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({**VIEW, "page": 5}, "events[1].page: Expected str | null, got int"),
        ({"type": "basket", "quantity": "2"}, "events[1].quantity: Expected int | null, got str"),
        ({"type": "basket", SECRET: 1}, "events[1]: a field that is not described in /docs"),
        ({"type": SECRET}, "events[1].type: none of "),
        ({**VIEW, "at_ms": NOW * 2}, "events[1].at_ms: "),
        ({**VIEW, "session": SECRET}, "events[1].session: Expected str matching regex ':'"),
    ],
)
def test_an_error_says_where_and_what(event: dict[str, Any], said: str) -> None:
    with pytest.raises(CollectError) as error:
        parse(body(VIEW, event), SITE, NOW)
    assert str(error.value).startswith(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(max_size=20) | st.sampled_from(["cookie:1", "\U0001f600:" * 64, "x" * 5000])
NUMBERS = st.integers(-(1 << 65), 1 << 65) | st.booleans()
VALUES = st.none() | TEXTS | NUMBERS | JSON


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly what may be said; sometimes not."""
    name = draw(st.sampled_from(sorted(TYPES)))
    event: dict[str, Any] = {"type": name}
    for field, kind in FIELDS[CODES[name]]:
        if draw(st.booleans()):
            good = NUMBERS if kind is INT else TEXTS
            event[field] = draw(good if draw(st.integers(0, 9)) else VALUES)
    if draw(st.booleans()):
        event["at_ms"] = draw(st.integers(-1, NOW + 2 * MAX_AHEAD_MS) | VALUES)
    if not draw(st.integers(0, 19)):
        event[draw(st.text(max_size=5))] = draw(VALUES)
    return event


def taken_or_refused(raw: bytes) -> None:
    """What is accepted is what the rest of the SDK takes; all else is a CollectError."""
    with suppress(CollectError):
        touchpoints = parse(raw, SITE, NOW).touchpoints
        for touchpoint in touchpoints:
            check_touchpoint(touchpoint)
            assert touchpoint.at_ms is not None
            assert touchpoint.at_ms <= NOW
        if len(raw) <= MAX_BODY_BYTES:
            assert sum(count for _, _, count in encode(touchpoints)) == len(touchpoints)


@given(st.lists(events(), min_size=1, max_size=4), TEXTS, VALUES)
def test_whatever_is_accepted_can_be_sealed(
    listed: list[dict[str, Any]], session: str, id_: object
) -> None:
    taken_or_refused(body(*listed))
    taken_or_refused(body(*listed, session=session, id=id_))


@given(JSON)
def test_no_json_value_does_anything_else(value: object) -> None:
    for raw in (
        json.dumps(value).encode(),
        body(VIEW, events=value),
        body({**VIEW, "page": value}),
    ):
        taken_or_refused(raw)


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 20))
@example(b"", 0, 0)
def test_nor_do_raw_bytes(noise: bytes, at: int, cut: int) -> None:
    taken_or_refused(noise)
    good = body(VIEW, {"type": "consent", "purpose": "p", "granted": True})
    taken_or_refused(good[:at] + noise + good[at + cut :])


def test_the_largest_of_bodies_can_be_sealed() -> None:
    session = "cookie:" + "\U0001f600" * 121
    listed = [{"type": "page.view", "page": f"/{at:04}"} for at in range(MAX_EVENTS)]
    raw = json.dumps(json.loads(body(*listed, session=session)), ensure_ascii=False).encode()
    assert len(raw) <= MAX_BODY_BYTES
    taken_or_refused(raw)
    assert len(parse(raw, SITE, NOW).touchpoints) == MAX_EVENTS
