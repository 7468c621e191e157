"""What an app sums up of the store's beacons, and what it will not hear of."""

from edge_sdk.beacon_windows import BeaconWindows
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.wire.touchpoint import check

SHELF, DOOR = (
    "ibeacon:f7826da64fa24e988024bc5b71e0893e-1-7",
    "uid:00010203040506070809-0a0b0c0d0e0f",
)
STORE = {SHELF: "shelf", DOOR: "door"}
ZONES = {"shelf": "coffee", "door": "entrance"}
T = 1_800_000_000_000


def windows() -> BeaconWindows:
    return BeaconWindows("app:1", STORE, 5_000)


def test_a_window_is_summed_up_by_beacon() -> None:
    heard = windows()
    for at, rssi in enumerate((-60, -61, -90, -62, -61)):
        assert heard.hear(T + at, T + at, SHELF, rssi) == "shelf"
    heard.hear(T + 4_999, T + 4_999, DOOR, -80)
    assert heard.close(T + 4_999) == []
    door, shelf = heard.close(T + 5_000)
    check(shelf)
    assert shelf.values == ("shelf", "app:1", 5_000, 5, -61, 1)
    assert door.values == ("door", "app:1", 5_000, 1, -80, 0)
    assert shelf.at_ms == T + 5_000
    assert heard.close(T + 99_000) == [], "it is told once"


def test_more_readings_than_are_kept_are_counted() -> None:
    heard = windows()
    for at in range(100):
        heard.hear(T + at, T + at, SHELF, -60)
    assert heard.close(T + 5_000)[0].get("readings") == 100


def test_other_peoples_things_are_none_of_its_business() -> None:
    heard = windows()
    for other in ("ble:c0ffee120001", SHELF.replace("-7", "-8"), "eid:9f3ac25d7e01b846", ""):
        assert heard.hear(T, T, other, -40) is None
    assert heard.close(T + 5_000) == []
    assert heard.dropped["foreign"] == 4


def test_what_no_radio_means_is_dropped() -> None:
    heard = windows()
    for rssi in (127, 42, -128, float("nan"), None):
        assert heard.hear(T, T, SHELF, rssi) is None  # type: ignore[arg-type]
    assert heard.dropped["rssi"] == 5


def test_what_was_heard_long_ago_or_by_another_clock_is_dropped() -> None:
    heard = windows()
    for at_ms in (T - 10_001, 0, T + 1_001):
        assert heard.hear(T, at_ms, SHELF, -60) is None
    assert heard.hear(T, T - 10_000, SHELF, -60)
    assert heard.dropped["stale"] == 3


def test_a_window_that_slept_is_not_told_as_if_it_were_fresh() -> None:
    heard = windows()
    heard.hear(T, T, SHELF, -60)
    assert heard.close(T + 3_600_000) == []
    assert heard.dropped["stale"] == 1
    heard.hear(T + 3_600_000, T + 3_600_000, SHELF, -60)
    assert len(heard.close(T + 3_605_000)) == 1


def test_the_engine_that_hears_boards_finds_the_app() -> None:
    """In the bridge: the plan has the beacons as receivers, and the app is what they hear."""
    heard, engine = windows(), NearestReceiver(ZONES, memory_ms=12_000)
    visits = []
    for at_ms in range(T, T + 40_000, 200):
        near, far = (DOOR, SHELF) if at_ms < T + 15_000 else (SHELF, DOOR)
        heard.hear(at_ms, at_ms, near, -60)
        heard.hear(at_ms, at_ms, far, -80)
        for told in heard.close(at_ms):
            assert told.at_ms is not None
            visits += engine.hear(
                told.at_ms, told.get("receiver"), told.get("beacon"), told.get("rssi_median_dbm")
            )
    entered = [(t.get("visitor"), t.get("zone")) for t in visits if t.name == "visit.enter"]
    assert entered == [("app:1", "entrance"), ("app:1", "coffee")]
