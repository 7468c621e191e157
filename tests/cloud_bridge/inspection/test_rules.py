"""Each rule finds what it is there for, says nothing of what is well, and is in the documents."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.inspection.facts import (
    BridgeFacts,
    Count,
    DeviceFacts,
    DiskFacts,
    LogFacts,
    PromptFacts,
    QueueFacts,
    SnapshotFacts,
    StoreFacts,
    TenantFacts,
    VaultFacts,
)
from cloud_bridge.inspection.rules import BRIDGE_STATES, RULES, bridge_findings, findings

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DOCUMENT = Path(__file__).parents[3] / "docs/inspect.md"

RUNNING = BridgeFacts("running", 17, "http://127.0.0.1:8080", NOW_MS - HOUR_MS)
DEVICE = DeviceFacts(
    device=7,
    site="paris-1",
    name="gateway-1",
    surface="",
    zone="",
    state="in use",
    newest_epoch=3,
    epochs_open=1,
    counted="open epochs",
    batches=100,
    touchpoints=2000,
    heard_ms=NOW_MS - MINUTE_MS,
    pause_ms=2 * MINUTE_MS,
    span_ms=6 * HOUR_MS,
    missing=0,
    missing_ms=0,
    given_up={"shed": 3},
    set_aside=1,
    clock_ms=HOUR_MS,
)
STORE = StoreFacts(
    tenant="acme",
    term=3,
    log=LogFacts(1000, 1, 1000, 0, NOW_MS - HOUR_MS, NOW_MS, Count(20_000), Count(400_000)),
    disk=DiskFacts(1_000_000, 0, 8_000_000, 30_000_000_000, 1_000_000_000_000),
    snapshot=SnapshotFacts(1, 900, Count(300), 100, Count(2000), NOW_MS - MINUTE_MS, ""),
    vault=VaultFacts(Count(300), 300, 0, 0, 0),
    prompts=PromptFacts(0, 0, Count(0), {}),
    collected=Count(10),
    set_aside=1,
    given_up_since=1,
)
QUEUE = QueueFacts(0, 200, 0, 900, False, 0, 300, 12, {})
TENANT = TenantFacts("acme", (), (), STORE, QUEUE, NOW_MS, 17, (DEVICE,))

Change = Callable[[TenantFacts], TenantFacts]


def device(**changes: Any) -> Change:
    return lambda tenant: replace(tenant, devices=(replace(DEVICE, **changes),))


def store(**changes: Any) -> Change:
    return lambda tenant: replace(tenant, store=replace(STORE, **changes))


def queue(**changes: Any) -> Change:
    return lambda tenant: replace(tenant, queue=replace(QUEUE, **changes))


def snapshot(**changes: Any) -> Change:
    return store(snapshot=replace(STORE.snapshot, **changes))


def disk(**changes: Any) -> Change:
    return store(disk=replace(STORE.disk, **changes))


FOUND = [
    ("unreadable", lambda tenant: replace(tenant, unreadable=("x: damaged",), store=None)),
    ("foreign", store(tenant="brand")),
    ("lock", lambda tenant: replace(tenant, lock_pid=18)),
    ("unwell", queue(reasons={"broker": "not connected"})),
    ("lag", queue(lag_ms=31_000)),
    ("snapshot", snapshot(trouble="it ends at log row 3, and the log begins behind 5")),
    ("tail", snapshot(tail_touchpoints=Count(3_100_000, exact=False))),
    ("tail", snapshot(tail_since_ms=NOW_MS - 11 * MINUTE_MS)),
    ("wal", disk(wal_bytes=70_000_000)),
    ("disk", disk(free_bytes=900_000_000, total_bytes=10_000_000_000)),
    ("disk", disk(free_bytes=19_000_000_000, total_bytes=1_000_000_000_000)),
    ("key", device(state="without key")),
    ("not_enrolled", device(state="not enrolled", site="", name="")),
    ("gaps", device(missing=2, missing_ms=16 * MINUTE_MS)),
    ("silent", device(heard_ms=NOW_MS - 61 * MINUTE_MS)),
    ("silent", device(heard_ms=NOW_MS - 7 * MINUTE_MS)),
]

NOT_FOUND = [
    lambda tenant: tenant,
    lambda tenant: replace(tenant, store=None, queue=None, lock_pid=None),
    device(missing=9, missing_ms=14 * MINUTE_MS),  # it may just have come back
    device(heard_ms=NOW_MS - 5 * MINUTE_MS),
    device(heard_ms=NOW_MS - 59 * MINUTE_MS, pause_ms=HOUR_MS),  # it is like that
    device(heard_ms=NOW_MS - 59 * MINUTE_MS, span_ms=30 * MINUTE_MS),  # too little is known of it
    device(heard_ms=NOW_MS - 59 * MINUTE_MS, pause_ms=None, span_ms=0),
    device(state="revoked", heard_ms=NOW_MS - 100 * HOUR_MS),
    device(state="new", heard_ms=None, newest_epoch=None),
    device(heard_ms=None),
    disk(free_bytes=1_500_000_000, total_bytes=10_000_000_000),
    disk(free_bytes=21_000_000_000),
]


@pytest.mark.parametrize(("rule", "change"), FOUND)
def test_found(rule: str, change: Change) -> None:
    found = findings(change(TENANT), RUNNING)
    assert [f.rule for f in found] == [rule]
    assert found[0].what
    assert found[0].do
    assert found[0].device == (7 if rule in ("key", "not_enrolled", "gaps", "silent") else None)


@pytest.mark.parametrize("change", NOT_FOUND)
def test_not_found(change: Change) -> None:
    assert findings(change(TENANT), RUNNING) == []


def test_a_tail_waits_as_long_as_no_bridge_runs() -> None:
    waiting = snapshot(tail_since_ms=NOW_MS - 100 * HOUR_MS)(TENANT)
    assert findings(replace(waiting, lock_pid=None), BridgeFacts("none")) == []


def test_each_rule_is_tried() -> None:
    assert {rule for rule, _ in FOUND} == {rule.name for rule in RULES}


@pytest.mark.parametrize("state", ["none", "stale", "silent"])
def test_a_bridge_that_does_not_answer(state: str) -> None:
    [found] = bridge_findings(BridgeFacts(state, 17))
    assert "{" not in found.what
    assert ("17" in found.what) == (state != "none")


def test_a_bridge_that_runs() -> None:
    assert bridge_findings(RUNNING) == []


def test_all_rules_are_in_the_document() -> None:
    document = " ".join(DOCUMENT.read_text().split())
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.when} | {rule.do} |" in document
    for _, do in BRIDGE_STATES.values():
        assert do in document
