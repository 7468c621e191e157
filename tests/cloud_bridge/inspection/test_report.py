"""What is printed fits the terminal, the worst first, and reads as words."""

from dataclasses import replace

import pytest

from cloud_bridge.inspection.facts import Count, Inspection
from cloud_bridge.inspection.report import report
from cloud_bridge.inspection.tables import Column, cut, table
from cloud_bridge.inspection.words import ago, brief, lasting, moment, number, plural, size
from tests.cloud_bridge.inspection.test_rules import DEVICE, NOW_MS, RUNNING, TENANT

HOUR_MS = 3_600_000


def lines(width: int, *devices: object, every: bool = False) -> list[str]:
    tenant = replace(TENANT, devices=tuple(devices))  # type: ignore[arg-type]
    return report(Inspection("data", NOW_MS, RUNNING, (tenant,)), width, every=every, details=False)


MANY = [
    replace(DEVICE, device=n, name=f"gateway-of-the-north-{n}", site="rue-de-la-paix-17")
    for n in range(1, 100)
]
BAD = [
    replace(DEVICE, device=100, state="revoked"),
    replace(DEVICE, device=101, missing=1_234_567, missing_ms=HOUR_MS, epochs_open=40),
    replace(DEVICE, device=102, state="without key"),
    replace(DEVICE, device=103, given_up={"shed": 9}),
]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_it_fits(width: int) -> None:
    assert max(map(len, lines(width, *MANY, *BAD))) <= width


def test_the_first_line_of_a_tenant_is_its_verdict() -> None:
    assert lines(80, DEVICE)[:3] == [
        "bridge: running for 1 h, process 17, http://127.0.0.1:8080",
        "",
        "acme: ok",
    ]
    told = lines(80, *BAD, replace(DEVICE, state="without key"))
    assert told[2] == "acme: look at this: 2 devices without key, 1 device with gaps"


def test_the_worst_come_first_and_the_others_on_demand() -> None:
    told = lines(200, *MANY, *BAD)
    at = next(n for n, line in enumerate(told) if line.startswith("   device"))
    assert [line.split()[1] for line in told[at + 1 : at + 3]] == ["00000066", "00000065"]
    assert told[at + 3].split()[0] == "00000067"
    assert told[at + 41 :] == ["and 63 more, 0 of them marked: --all shows them"]
    everything = lines(200, *MANY, *BAD, every=True)
    assert everything[-1].split()[0] == "00000064"  # revoked
    assert "more" not in everything[-1]


def test_where_there_is_no_room_it_says_so() -> None:
    assert lines(80, *MANY, *BAD)[-1].startswith("a wider terminal also shows: ")
    assert "wider" not in lines(200, *MANY, *BAD)[-1]


def test_what_is_named_cannot_move_the_cursor() -> None:
    odd = replace(DEVICE, name="\x1b[2Jgateway\n", missing=3, missing_ms=HOUR_MS)
    assert not any("\x1b" in line or "\n" in line for line in lines(120, odd))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (number(1_234_567), "1,234,567"),
        (number(Count(24_086_620, exact=False)), "about 24,000,000"),
        (number(Count(0, exact=False)), "about 0"),
        (plural(1, "batch", "batches"), "1 batch"),
        (plural(Count(2000), "record"), "2,000 records"),
        (size(999), "999 B"),
        (size(1_440_000), "1.4 MB"),
        (size(999_900), "1.0 MB"),
        (size(251_000_000_000), "251 GB"),
        (size(12_000_000_000_000_000), "12,000 TB"),
        (lasting(-5), "0 s"),
        (lasting(59_999), "59 s"),
        (lasting(12 * 60_000), "12 min"),
        (lasting(3 * HOUR_MS + 12 * 60_000), "3 h 12 min"),
        (lasting(47 * HOUR_MS), "47 h"),
        (lasting(41 * 24 * HOUR_MS), "41 days"),
        (brief(3 * HOUR_MS + 12 * 60_000), "3 h"),
        (ago(None, NOW_MS), "never"),
        (ago(NOW_MS - 4000, NOW_MS), "4 s ago"),
        (ago(NOW_MS + 4000, NOW_MS), "0 s ago"),
        (ago(NOW_MS + HOUR_MS, NOW_MS), "1 h ahead of this clock"),
        (moment(NOW_MS), "2027-01-15 08:00 UTC"),
        (moment(1 << 80), "at no possible time"),
        (cut("a\tb", 16), "a?b"),
        (cut("gateway", 4), "gat…"),
    ],
)
def test_words(said: str, meant: str) -> None:
    assert said == meant


def test_a_column_without_anything_to_tell_goes_first() -> None:
    columns = [
        Column("name", ["a", "bc"]),
        Column("none", ["", ""], drop=1),
        Column("few", ["1", "20"], right=True, drop=2),
    ]
    assert table(columns, 80) == (["name  few", "a       1", "bc     20"], [])
    assert table(columns, 6) == (["name", "a", "bc"], ["few"])
