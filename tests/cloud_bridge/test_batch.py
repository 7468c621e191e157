"""A batch with handles: the same touchpoints again, and nothing in the log that names anybody."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from cloud_bridge import batch as batches
from cloud_bridge.batch import Batch
from cloud_bridge.decode import decode
from cloud_bridge.schemes import is_identifier
from edge_sdk.wire.batch import COLUMNS, ROWS, encode_columns, encode_rows
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.wire.strategies import BATCHES

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire.json").read_text())


def met(batch: Batch) -> dict[str, int]:
    """Give it handles, as a vault would."""
    handles = {name: 4 * number for number, name in enumerate(sorted(batch.identifiers()), 1)}
    batch.resolve(handles)
    return handles


def through_the_log(batch: Batch) -> tuple[Batch, bytes, dict[int, str]]:
    names = {handle: name for name, handle in met(batch).items()}
    body = batch.to_body()
    return Batch.from_body(body), body, names


@given(BATCHES)
def test_the_log_gives_back_what_came(touchpoints: list[Touchpoint]) -> None:
    for kind, encode in ((ROWS, encode_rows), (COLUMNS, encode_columns)):
        came = decode(kind, encode(touchpoints))
        wanted = came.touchpoints()
        again, _, names = through_the_log(came)
        assert again.touchpoints(names.get) == wanted
        assert came.touchpoints(names.get) == wanted


@pytest.mark.parametrize("vector", VECTORS["batches"], ids=lambda v: f"{v['name']}-{v['form']}")
def test_every_vector_passes_through_the_log(vector: dict[str, Any]) -> None:
    kind = {"rows": ROWS, "columns": COLUMNS}[vector["form"]]
    came = decode(kind, bytes.fromhex(vector["plaintext"]))
    wanted = came.touchpoints()
    again, _, names = through_the_log(came)
    assert again.touchpoints(names.get) == wanted


@pytest.mark.parametrize("form", ["rows", "columns"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_log_of_fewer_fields_and_types_is_read(
    form: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by a bridge to which a visit had no interval, and `geolocation` was no type."""
    kind, encode = {"rows": (ROWS, encode_rows), "columns": (COLUMNS, encode_columns)}[form]
    place = {"latitude_e7": -515_000_000, "longitude_e7": 1, "accuracy_cm": 9}
    sent = [
        make("visit.enter", 5, visit=1, visitor="app:b", zone="shoes", probability_pct=9),
        *[make("geolocation", 6 + at, visitor=f"app:{at}", **place) for at in range(count)],
    ]
    stranger = make("geolocation", 9, visitor="unheard-of:a", **place)
    with monkeypatch.context() as earlier:
        for table in (batches.KINDS, batches._IDS):
            earlier.delitem(table, 30)
        earlier.setitem(batches.KINDS, 2, batches.KINDS[2][:4])
        _, body, names = through_the_log(decode(kind, encode([*sent, stranger])))
    now = Batch.from_body(body)
    assert now.touchpoints(names.get) == [*sent, make("geolocation", 9, **place)]
    assert now.known() == set(names)


def test_a_text_that_looked_like_an_identifier_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = make("count", 5, counter="app:door", zone="shoes", window_ms=1)
    with monkeypatch.context() as earlier:
        for table in (batches.KINDS, batches._TEXTS):
            earlier.delitem(table, 29)
        _, body, names = through_the_log(decode(ROWS, encode_rows([sent])))
    assert Batch.from_body(body).touchpoints(names.get) == [
        make("count", 5, zone="shoes", window_ms=1)
    ]


MIXED = [
    make("sighting", 1000, receiver="r-1", beacon="ble:c0ffee", window_ms=5, rssi_median_dbm=-60),
    make("sighting", 1010, receiver="r-1", beacon="ble:beef", window_ms=5, rssi_median_dbm=-70),
    make("identify", 1020, seen="ble:c0ffee", known_as="loyalty:4711", method="app"),
    make("call", 1030, call="c", phase="ring", number="+44", caller="tel:+447700900123"),
    make("sighting", 1040, receiver="r-2", beacon="ble:c0ffee", window_ms=5),
    Touchpoint(4711, 1050, ("cookie:secret", 7, "plain", b"\1")),
    make("custom", 1060, name="n", subject="app:me", data=b"private"),
]


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_no_identifier_is_left_in_a_body(form: str) -> None:
    encode = {"rows": encode_rows, "columns": encode_columns}[form]
    kind = {"rows": ROWS, "columns": COLUMNS}[form]
    _, body, _ = through_the_log(decode(kind, encode(MIXED)))
    for word in (b"c0ffee", b"4711,", b"+4477", b"secret", b"app:me", b"beef", b"loyalty"):
        assert word not in body
    assert b"r-1" in body


def test_a_text_that_is_an_identifier_elsewhere_stays_a_text() -> None:
    """A receiver that is named like the beacon that it hears."""
    strange = [make("sighting", 1, receiver="ble:1", beacon="ble:1")] * 4
    again, _, names = through_the_log(decode(COLUMNS, encode_columns(strange)))
    assert again.touchpoints(names.get) == strange


def test_who_was_touched_how_often_and_when_last() -> None:
    batch = decode(COLUMNS, encode_columns(MIXED))
    handles = met(batch)
    touched = sorted(batch.touches())
    assert touched == sorted(
        [
            (handles["ble:c0ffee"], 1040, 2),
            (handles["ble:beef"], 1010, 1),
            (handles["ble:c0ffee"], 1020, 1),
            (handles["loyalty:4711"], 1020, 1),
            (handles["tel:+447700900123"], 1030, 1),
            (handles["app:me"], 1060, 1),
        ]
    )


def test_what_happened_is_told_in_the_order_of_capture() -> None:
    batch = decode(ROWS, encode_rows(MIXED))
    handles = met(batch)
    told = batch.told({1, 9})
    assert [(place, code, at_ms) for place, code, at_ms, _ in told] == [
        (0, 1, 1000),
        (1, 1, 1010),
        (2, 9, 1020),
        (4, 1, 1040),
    ]
    assert told[0][3][:2] == ("r-1", handles["ble:c0ffee"])
    assert told[0][3][4] == -60


def test_whoever_is_erased_is_nobody() -> None:
    again, _, names = through_the_log(decode(ROWS, encode_rows(MIXED)))
    dead = {handle for handle, name in names.items() if "c0ffee" in name or "secret" in name}
    again.without(dead)
    assert not again.known() & dead
    left = Batch.from_body(again.to_body()).touchpoints(names.get)
    assert left[0].get("beacon") is None
    assert left[1].get("beacon") == "ble:beef"
    assert left[5].values == (None, 7, "plain", b"\1")


def test_personal_data_is_sealed_for_its_owner() -> None:
    batch = decode(ROWS, encode_rows(MIXED))
    handles = met(batch)
    batch.sealed(lambda handle, place, data: b"%d/%d/" % (handle, place) + data[::-1])
    _, _, _, _, _, _, custom = Batch.from_body(batch.to_body()).touchpoints(lambda _: "x:y")
    assert custom.get("data") == b"%d/6/etavirp" % handles["app:me"]


def test_only_schemes_that_we_know_make_an_identifier() -> None:
    assert is_identifier("ble:1")
    assert not is_identifier("http://shop")
    assert not is_identifier("ble")
    assert not is_identifier(7)


def test_what_is_stitched_is_told_by_the_log_and_leaves_with_its_handle() -> None:
    batch = Batch.of([make("visit.enter", 5, visit=1, visitor="tag:1", zone="z")])
    batch.resolve({"tag:1": 6})
    plain = batch.to_body()
    assert Batch.from_body(plain).stitched == []
    batch.stitched = {6, 10}
    again = Batch.from_body(batch.to_body())
    assert again.stitched == [6, 10]
    again.without({10})
    assert again.stitched == [6]
    again.without({6})
    assert len(again.to_body()) == len(plain)


def test_when_each_identifier_last_stood_in_a_batch() -> None:
    touchpoints = [
        make("sighting", 10, receiver="r", beacon="eid:a"),
        make("position", 20, visitor="eid:a"),
        make("sighting", 30, receiver="eid:b", beacon="eid:b"),
        Touchpoint(4711, 40, ("eid:c", b"x", 7)),
        make("identify", 50, seen="eid:a", known_as="eid:b", method="m"),
        make("sighting", 60, receiver="eid:a", beacon="ble:1"),
    ]
    wanted = {"eid:a": 50, "eid:b": 50, "eid:c": 40, "eid:d": 0}
    for batch in (Batch.of(touchpoints), decode(COLUMNS, encode_columns(touchpoints))):
        assert batch.seen(wanted) == wanted
