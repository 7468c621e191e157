"""Privacy modes: what leaves, what is kept and for how long; no phone's address ever does or is."""

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.device import Device, DeviceConfig
from edge_sdk.presence import privacy
from edge_sdk.presence.footfall import Aggregate
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.presence.privacy import Consented, Pseudonymous, guarded
from edge_sdk.wire.batch import encode_columns, encode_rows
from edge_sdk.wire.touchpoint import Touchpoint
from tests.edge_sdk.homes import enrolled
from tests.presence.memory import found, remembered

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine

ZONES = {"r1": "coffee", "r2": "kitchen"}
PHONES = [f"ble:c0ffee12{number:04x}" for number in range(0x10A0, 0x10AC)]
OURS = "eid:9f3ac25d7e01b846"
TAG = "ibeacon:f7826da64fa24e988024bc5b71e0893e-17-42"
MINUTE_MS = 60_000
DAY_MS = 86_400_000
HMAC = AesCcm().hmac

Drawn = list[bytes]


def fresh() -> NearestReceiver:
    return NearestReceiver(ZONES, {"r1": (0.0, 0.0), "r2": (9.0, 0.0)}, silence_ms=20_000)


def draws() -> tuple[Drawn, Callable[[], bytes]]:
    """Keys in turn, which the test gets to know as well."""
    drawn: Drawn = []

    def draw() -> bytes:
        drawn.append(bytes([len(drawn) + 1]) * 32)
        return drawn[-1]

    return drawn, draw


def aggregate(**more: int) -> Aggregate:
    return Aggregate(fresh, ("coffee", "kitchen"), "door", draws()[1], HMAC, **more)


def stay(
    engine: "PresenceEngine",
    phones: Iterable[str],
    from_ms: int,
    until_ms: int,
    receiver: str = "r1",
) -> list[Touchpoint]:
    """Phones heard once a second each, and what comes out."""
    out = []
    names = list(phones)
    for at_ms in range(from_ms, until_ms, 1000):
        for name in names:
            out += engine.hear(at_ms, receiver, name, -60)
        out += engine.tick(at_ms)
    return out


def figures(counts: Iterable[Touchpoint], zone: str = "coffee") -> list[tuple[object, ...]]:
    return [
        (count.get("entered"), count.get("left"), count.get("present"))
        for count in counts
        if count.get("zone") == zone
    ]


def names(touchpoints: Iterable[Touchpoint]) -> list[str]:
    return [touchpoint.name for touchpoint in touchpoints]


# Nothing that identifies a phone leaves, or is kept

MODES: dict[str, "Callable[[], PresenceEngine]"] = {
    "aggregate": lambda: aggregate(window_ms=MINUTE_MS),
    "pseudonymous-24h": lambda: Pseudonymous(fresh, draws()[1], HMAC),
    "consented": lambda: Consented(fresh()),
    "consented and counted": lambda: Consented(fresh(), beside=aggregate(window_ms=MINUTE_MS)),
}


@pytest.mark.parametrize("mode", MODES)
def test_no_address_leaves_or_is_remembered(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = MODES[mode]()
    out = []
    for part in range(4):
        out += stay(engine, PHONES, 90_000 * part, 90_000 * (part + 1), ("r1", "r2")[part % 2])
        assert found(PHONES, remembered(engine)) == []
    out += engine.tick(DAY_MS * 2)
    assert found(PHONES, remembered(engine)) == []
    assert found(PHONES, remembered(out) + repr(out).encode()) == []
    assert found(PHONES, repr(engine).encode() + caplog.text.encode()) == []
    if out:
        assert found(PHONES, encode_rows(out) + encode_columns(out)) == []


def test_what_would_be_found_if_it_were_there() -> None:
    """The search that the others trust."""
    leaky = fresh()
    out = stay(leaky, PHONES, 0, 10_000)
    assert found(PHONES, remembered(leaky)) == PHONES
    assert found(PHONES, encode_rows(out)) == PHONES
    kept = {"a": [hashlib.sha256(PHONES[0].encode()).digest()]}
    assert found(PHONES[:1], remembered(kept)) == PHONES[:1]
    assert found(PHONES[:1], remembered(((bytes.fromhex("c0ffee1210a0"),),))) == PHONES[:1]
    assert found(PHONES[:1], remembered([0xC0FFEE1210A0])) == PHONES[:1]
    assert found(PHONES[:1], remembered(["C0:FF:EE:12:10:A0"])) == PHONES[:1]


@pytest.mark.parametrize("mode", MODES)
def test_no_address_is_in_what_is_captured(
    mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine = MODES[mode]()

    async def captured() -> None:
        config = DeviceConfig(enrolled(tmp_path / "home"), "mqtt://127.0.0.1:1")
        async with Device(config) as device:
            await device.capture_many(stay(engine, PHONES, 0, 130_000))
            assert found(PHONES, remembered(device)) == []

    asyncio.run(captured())
    files = [path.read_bytes() for path in (tmp_path / "home").iterdir()]
    assert files
    assert found(PHONES, b"\n".join(files) + caplog.text.encode()) == []


# Aggregate


def test_only_groups_are_counted() -> None:
    engine = aggregate()
    out = stay(engine, PHONES[:7], 0, 300_000)
    out += stay(engine, PHONES[7:11], 0, 300_000, "r2")
    out += engine.tick(15 * MINUTE_MS)
    assert names(out) == ["count", "count"]
    assert [(count.get("counter"), count.get("zone")) for count in out] == [
        ("door", "coffee"),
        ("door", "kitchen"),
    ]
    assert figures(out) == [(7, 7, None)]
    assert figures(out, "kitchen") == [(None, None, None)], "four are too few to be told"
    assert {count.get("window_ms") for count in out} == {15 * MINUTE_MS}
    assert {count.at_ms for count in out} == {15 * MINUTE_MS}


def test_few_and_nobody_look_alike() -> None:
    some, none = aggregate(), aggregate()
    told = stay(some, PHONES[:4], 0, 15 * MINUTE_MS) + some.tick(15 * MINUTE_MS)
    nobody = none.tick(0) + none.tick(15 * MINUTE_MS)
    assert [count.values for count in told] == [count.values for count in nobody]


def test_one_phone_that_comes_five_times_is_no_group() -> None:
    engine = aggregate()
    out = []
    for visit in range(7):
        out += stay(engine, PHONES[:1], visit * 100_000, visit * 100_000 + 30_000)
    out += engine.tick(15 * MINUTE_MS)
    assert figures(out) == [(None, None, None)]


def test_those_who_stay_past_a_window_do_not_come_again() -> None:
    engine = aggregate(window_ms=5 * MINUTE_MS)
    out = stay(engine, PHONES, 0, 11 * MINUTE_MS) + engine.tick(15 * MINUTE_MS)
    assert figures(out) == [(12, None, 12), (None, None, 12), (None, 12, None)]


def test_those_who_go_as_the_window_ends_are_gone() -> None:
    engine = aggregate(window_ms=5 * MINUTE_MS)
    out = stay(engine, PHONES, 0, 5 * MINUTE_MS)
    out += stay(engine, PHONES[:6], 5 * MINUTE_MS, 10 * MINUTE_MS)
    out += engine.tick(10 * MINUTE_MS)
    assert figures(out) == [(12, None, 12), (None, 6, 6)]


def test_windows_end_at_their_multiples_also_after_a_pause() -> None:
    engine = aggregate(window_ms=5 * MINUTE_MS)
    out = stay(engine, PHONES, 7 * MINUTE_MS, 8 * MINUTE_MS)
    out += stay(engine, PHONES, 123 * MINUTE_MS, 124 * MINUTE_MS)
    out += engine.tick(200 * MINUTE_MS)
    ends = [(count.at_ms, count.get("window_ms")) for count in out[::2]]
    assert ends == [
        (10 * MINUTE_MS, 3 * MINUTE_MS),
        (125 * MINUTE_MS, 2 * MINUTE_MS),
    ]
    assert figures(out) == [(12, 12, None), (12, 12, None)], "who was there hours ago has gone"


def test_a_salt_lives_a_window() -> None:
    drawn, draw = draws()
    engine = Aggregate(fresh, ("coffee",), "door", draw, HMAC, window_ms=5 * MINUTE_MS)
    stay(engine, PHONES, 0, 4 * MINUTE_MS)
    pseudonyms = [HMAC(drawn[0], phone.encode())[:16].hex().encode() for phone in PHONES]
    during = remembered(engine)
    assert all(name in during for name in pseudonyms)
    assert drawn[0] in during
    stay(engine, PHONES, 5 * MINUTE_MS, 6 * MINUTE_MS)
    after = remembered(engine)
    assert not any(name in after for name in pseudonyms)
    assert drawn[0] not in after
    assert len(set(drawn)) == 2


def test_a_flood_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_sdk.presence import footfall

    monkeypatch.setattr(footfall, "_MOST_NAMES", 5)
    engine = aggregate()
    out = stay(engine, PHONES, 0, 10_000) + engine.tick(15 * MINUTE_MS)
    assert figures(out) == [(12, 12, None)]


# Pseudonymous


def test_visits_leave_under_pseudonyms_of_a_day() -> None:
    drawn, draw = draws()
    engine = Pseudonymous(fresh, draw, HMAC)
    out = stay(engine, PHONES[:2], 0, 15_000)
    out += stay(engine, PHONES[:2], 3_600_000, 3_615_000)
    assert set(names(out)) == {"visit.enter", "visit.dwell", "visit.exit"}
    told = [t.get("visitor") for t in out if t.name == "visit.enter"]
    expected = [f"p24:{HMAC(drawn[0], phone.encode())[:16].hex()}" for phone in PHONES[:2]]
    assert sorted(told) == sorted(expected * 2), "within the day it is the same visitor"
    assert engine.dropped["withheld"] > 0


def test_at_the_end_of_a_key_visits_end_and_nobody_is_known_again() -> None:
    drawn, draw = draws()
    engine = Pseudonymous(fresh, draw, HMAC)
    out = stay(engine, PHONES[:3], 0, 10_000)
    out += stay(engine, PHONES[:3], DAY_MS - 60_000, DAY_MS + 10_000)
    visits: dict[str, list[int]] = {"visit.enter": [], "visit.exit": []}
    for touchpoint in out:
        if touchpoint.name in visits:
            visits[touchpoint.name].append(touchpoint.get("visit"))
    assert visits["visit.enter"] == list(range(1, 10)), "numbered through all engines"
    assert sorted(visits["visit.exit"]) == list(range(1, 7))
    cut = [t for t in out if t.name == "visit.exit" and t.at_ms == DAY_MS]
    assert len(cut) == 3
    assert all(55_000 < t.get("dwell_ms") <= 60_000 for t in cut)
    assert {t.get("probability_pct") for t in cut} == {0}
    first = {t.get("visitor") for t in out if (t.at_ms or 0) <= DAY_MS}
    second = {t.get("visitor") for t in out if (t.at_ms or 0) > DAY_MS}
    assert len(first) == len(second) == 3
    assert not first & second
    memory = remembered(engine)
    assert drawn[0] not in memory
    assert drawn[1] in memory
    assert not any(name.encode() in memory for name in first)


def test_time_alone_ends_a_key() -> None:
    drawn, draw = draws()
    engine = Pseudonymous(fresh, draw, HMAC)
    out = stay(engine, PHONES[:1], 0, 10_000) + engine.tick(DAY_MS)
    assert names(out)[-1] == "visit.exit"
    memory = remembered(engine)
    assert drawn[0] not in memory
    assert b"p24:" not in memory
    assert engine.tick(3 * DAY_MS) == []
    assert len(drawn) == 1, "no key without anybody"


def test_a_restart_forgets() -> None:
    first, again = (stay(Pseudonymous(fresh, key, HMAC), PHONES[:1], 0, 9_000) for key in KEYS)
    assert first[0].get("visitor") != again[0].get("visitor")


KEYS = (lambda: b"a" * 32, lambda: b"b" * 32)


class Told(NearestReceiver):
    """An engine that says an interval: a visit began 2 to 4 s before it is told of."""

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> list[Touchpoint]:
        return [
            Touchpoint(t.code, t.at_ms, (*t.values[:4], 2_000, 4_000))
            if t.name == "visit.enter"
            else t
            for t in super().hear(at_ms, receiver, beacon, rssi_dbm)
        ]


def test_a_visit_that_is_cut_has_the_interval_of_its_beginning() -> None:
    engine = Pseudonymous(lambda: Told(ZONES), KEYS[0], HMAC, life_ms=MINUTE_MS)
    out = stay(engine, PHONES[:1], 0, 61_000)
    enter = next(t for t in out if t.name == "visit.enter")
    cut = next(t for t in out if t.name == "visit.exit")
    since_ms = MINUTE_MS - (enter.at_ms or 0)
    assert cut.get("dwell_low_ms") == since_ms + 2_000
    assert cut.get("dwell_high_ms") == since_ms + 4_000
    assert cut.get("dwell_ms") == since_ms + 3_000


# Consented


def test_only_our_own_pass() -> None:
    engine = Consented(fresh(), ("eid:", TAG.partition("-")[0]))
    out = stay(engine, [OURS, TAG, *PHONES], 0, 10_000)
    assert {t.get("visitor") for t in out if t.name == "visit.enter"} == {OURS, TAG}
    assert {t.get("beacon") for t in out if t.name == "sighting"} == {OURS, TAG}
    assert engine.dropped["foreign"] == 10 * len(PHONES)


@pytest.mark.parametrize(
    "beacon",
    [
        TAG.replace("f7826", "f7827"),
        "ibeacon:f7826da64fa24e988024bc5b71e0893e",
        "rpa:4a0000000001",
        "uid:00010203040506070809-0a0b0c0d0e0f",
        "altbeacon:9f3ac25d7e01b846",
        "eidolon:1",
        "EID:9f3ac25d7e01b846",
        "",
    ],
)
def test_what_only_looks_like_ours_does_not(beacon: str) -> None:
    engine = Consented(fresh(), ("eid:", TAG.partition("-")[0]))
    assert stay(engine, [beacon], 0, 10_000) == []
    assert engine.dropped["foreign"] == 10


@pytest.mark.parametrize(
    "ours", ["", "ble:", "rpa:", "ibeacon:", "uid:12", "eid:9f", "uid:" + "G" * 20, "ibeacon"]
)
def test_everybodys_namespace_is_refused(ours: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Consented(fresh(), (ours,))


def test_others_are_counted_beside_and_without_ours() -> None:
    engine = Consented(fresh(), beside=aggregate(window_ms=MINUTE_MS))
    out = stay(engine, [OURS, *PHONES[:5]], 0, 50_000) + engine.tick(MINUTE_MS)
    assert figures(t for t in out if t.name == "count") == [(5, None, 5)]
    assert {t.get("visitor") for t in out if t.name.startswith("visit.")} == {OURS}


class Asks(NearestReceiver):
    """An engine that asks whether a receiver hears anything."""

    __slots__ = ("alive_at",)

    def alive(self, at_ms: int, receiver: str) -> None:
        self.alive_at = (at_ms, receiver)


def test_strangers_say_that_a_receiver_works() -> None:
    inner = Asks(ZONES)
    Consented(inner).hear(7_000, "r2", PHONES[0], -60)
    assert inner.alive_at == (7_000, "r2")


# All of them


@pytest.mark.parametrize("mode", privacy.MODES)
def test_a_mode_by_its_name_lets_out_what_the_table_says(mode: str) -> None:
    engine = guarded(mode, fresh, ("coffee", "kitchen"), "door", draws()[1], HMAC)
    out = stay(engine, [OURS, *PHONES], 0, 10_000) + stay(engine, PHONES, 10_000, 40_000, "r2")
    out += engine.tick(30 * MINUTE_MS)
    assert out
    assert set(names(out)) <= set(privacy.LEAVES[mode])


def test_a_gateway_without_a_mode_hears_nobody() -> None:
    with pytest.raises(ValueError, match="aggregate, pseudonymous-24h, consented"):
        guarded("", fresh, (), "door", draws()[1], HMAC)


@pytest.mark.parametrize("mode", MODES)
def test_nonsense_is_counted_and_never_raises(mode: str) -> None:
    engine = MODES[mode]()
    stay(engine, [OURS, *PHONES], 0, 5_000)
    bad: list[tuple[object, ...]] = list(
        itertools.product(
            (None, -1, True, 1 << 53, "0"), ("r1", None), (PHONES[0], OURS), (-60, 127, None)
        )
    )
    bad += [(9_000, "r1", name, -60) for name in (None, "", "x", "a:" + "b" * 99, b"ble:1", 7)]
    bad += [(9_000, "r1", name, -60) for name in ("ble:\ud800", "ble:\u00e9", ":b", "b:")]
    bad += [(9_000, name, OURS, -60) for name in (None, "r9")]
    bad += [(9_000, "r1", OURS, rssi) for rssi in (None, 127, 42, -60.5, float("nan"))]
    before = sum(engine.dropped.values())
    for reading in bad:
        assert engine.hear(*reading) == []  # type: ignore[arg-type]
    assert sum(engine.dropped.values()) > before
    assert engine.tick(None) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: aggregate(window_ms=59_999),
        lambda: aggregate(window_ms=1_800_001),
        lambda: aggregate(least=1),
        lambda: Pseudonymous(fresh, KEYS[0], HMAC, life_ms=DAY_MS + 1),
        lambda: Pseudonymous(fresh, lambda: b"short", HMAC).hear(0, "r1", OURS, -60),
    ],
)
def test_settings_that_would_promise_too_much_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"minute|least|bytes"):
        wrong()
