"""The wire bench: what it counts is all there, and a touchpoint is as small as was promised."""

import json
from pathlib import Path

import pytest

from benches._sparkplug import Sparkplug
from benches.wire import BATCH, by_class, main, payload_of
from edge_sdk.wire.touchpoint import PRIORITY, make
from simulators.mix import bulk


def test_a_touchpoint_costs_twelve_bytes_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    assert main(["--events", "4000", "--repeat", "1", "--json", str(told)]) == 0
    keys = json.loads(told.read_text())
    assert keys["payload_bytes_per_event"] <= 12
    parts = ("uplink", "hello", "ack")
    assert keys["payload_bytes_per_event"] == pytest.approx(
        sum(keys[f"{part}_bytes_per_event"] for part in parts), abs=0.01
    )
    assert keys["json_deflate_bytes_per_event"] < keys["json_bytes_per_event"]
    assert keys["sparkplug_alias_bytes_per_event"] < keys["sparkplug_bytes_per_event"]
    assert "sighting" in capsys.readouterr().out


def test_batches_hold_fifty_of_one_class_and_nothing_is_left_out() -> None:
    touchpoints = list(bulk(1000, seed=1))
    batches = by_class(touchpoints)
    assert sorted(map(id, touchpoints)) == sorted(id(t) for batch in batches for t in batch)
    assert max(map(len, batches)) == BATCH
    for batch in batches:
        assert len({PRIORITY[touchpoint.code] for touchpoint in batch}) == 1


def test_headers_tags_and_acknowledgements_are_counted() -> None:
    payload = payload_of([[make("scan", 1, scanner="s", symbology="ean13", code="1")]])
    assert payload.events == 1
    assert payload.uplink > 30
    assert payload.hello > 30
    assert payload.acks > 38


def test_sparkplug_has_a_metric_for_each_field_with_a_value() -> None:
    touchpoint = make("sighting", 7, receiver="r", beacon="ble:1", rssi_median_dbm=-61)
    for aliases in (False, True):
        sparkplug = Sparkplug(aliases=aliases)
        payload = sparkplug.read(sparkplug.encode([touchpoint, touchpoint]))
        metrics = [metric for metric in payload.metrics if metric.timestamp == 7]
        assert len(metrics) == 6
        assert [m.alias if aliases else m.name for m in metrics[:3]] == (
            [0, 1, 2]
            if aliases
            else ["sighting/receiver", "sighting/beacon", "sighting/rssi_median_dbm"]
        )
        assert metrics[1].string_value == "ble:1"
        assert metrics[2].int_value == (1 << 32) - 61
