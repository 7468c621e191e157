"""What needs somebody: one table of rules, which inspect applies and docs/inspect.md lists."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cloud_bridge.inspection.facts import BridgeFacts, DeviceFacts, Finding, TenantFacts
from cloud_bridge.inspection.of_devices import IN_USE, NOT_ENROLLED, WITHOUT_KEY
from cloud_bridge.inspection.words import brief, lasting, number, plural, size
from cloud_bridge.snapshot import EVERY_TOUCHPOINTS

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SILENT_MS = HOUR_MS
# A pause is judged by habit only from here on, and where it is so many times the longest one seen.
SHORT_SILENCE_MS, SILENCE_TIMES = 5 * MINUTE_MS, 3
GAP_MS = 15 * MINUTE_MS
LAG_MS = 30_000
TAIL_TOUCHPOINTS, TAIL_MS = 3 * EVERY_TOUCHPOINTS, 10 * MINUTE_MS
WAL_BYTES = 64_000_000
# Less than the first is little on any disk; less than the share, on a small one.
FREE_BYTES, FREE_ENOUGH_BYTES, FREE_SHARE = 1_000_000_000, 20_000_000_000, 0.05

Of = Callable[[TenantFacts, BridgeFacts], Iterator[tuple[int | None, str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` and `do` are for people; `find` yields (device, what there is to see).

    `label` is how the verdict tells several devices: "2 devices silent".
    """

    name: str
    label: str
    when: str
    do: str
    find: Of


def findings(tenant: TenantFacts, bridge: BridgeFacts) -> list[Finding]:
    """What the rules find, in their order."""
    return [
        Finding(rule.name, device, what, rule.do)
        for rule in RULES
        for device, what in rule.find(tenant, bridge)
    ]


def bridge_findings(bridge: BridgeFacts) -> list[Finding]:
    """What is wrong with the process."""
    what, do = BRIDGE_STATES[bridge.state]
    return [Finding("bridge", None, what.format(pid=bridge.pid), do)] if do else []


# What each state of the process means, and what to do.
BRIDGE_STATES = {
    "running": ("", ""),
    "none": ("no bridge runs here", "start it: cloud-bridge run --data DIR"),
    "stale": (
        "no bridge runs here: process {pid} ended without a word",
        "look into its log, then start it: cloud-bridge run --data DIR",
    ),
    "silent": (
        "process {pid} does not answer within 2 s",
        "look into its log and at its load; if it hangs, end it and start it again",
    ),
}


def _unreadable(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    for why in tenant.unreadable:
        yield None, why


def _foreign(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.store and tenant.store.tenant != tenant.tenant:
        yield None, f"the store in this folder belongs to tenant {tenant.store.tenant}"


def _lock(tenant: TenantFacts, bridge: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.lock_pid is not None and tenant.lock_pid != bridge.pid:
        yield (
            None,
            f"process {tenant.lock_pid} owns the store, and has not said that it is a bridge",
        )


def _unwell(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    for name, why in tenant.queue.reasons.items() if tenant.queue else ():
        yield None, f"the bridge says: {name}: {why}"


def _lag(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.queue and tenant.queue.lag_ms > LAG_MS:
        yield None, f"a message has waited {lasting(tenant.queue.lag_ms)} in memory"


def _snapshot(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.store and tenant.store.snapshot.trouble:
        yield None, f"the snapshot cannot be used: {tenant.store.snapshot.trouble}"


def _tail(tenant: TenantFacts, bridge: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.store is None:
        return
    snapshot = tenant.store.snapshot
    waited_ms = tenant.judged_ms - (snapshot.tail_since_ms or tenant.judged_ms)
    long = snapshot.tail_touchpoints.value > TAIL_TOUCHPOINTS
    if long or (bridge.state == "running" and waited_ms > TAIL_MS):
        tail = f"the snapshot lacks {number(snapshot.tail_touchpoints)} touchpoints"
        yield None, f"{tail}, the first of them received {lasting(waited_ms)} ago"


def _wal(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.store and tenant.store.disk.wal_bytes > WAL_BYTES:
        yield None, f"the WAL has grown to {size(tenant.store.disk.wal_bytes)}"


def _disk(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[None, str]]:
    if tenant.store is None:
        return
    free, total = tenant.store.disk.free_bytes, tenant.store.disk.total_bytes
    if free < FREE_BYTES or (free < FREE_ENOUGH_BYTES and free < FREE_SHARE * total):
        yield None, f"the disk has {size(free)} left of {size(total)}"


def _without_key(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[int, str]]:
    for device in tenant.devices:
        if device.state == WITHOUT_KEY:
            yield device.device, "its keys are in another store: nothing of it can be opened"


def _not_enrolled(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[int, str]]:
    for device in tenant.devices:
        if device.state == NOT_ENROLLED:
            yield device.device, "the store knows it, the list of enrolled devices does not"


def _gaps(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[int, str]]:
    for device in tenant.devices:
        if device.missing and device.missing_ms > GAP_MS:
            what = plural(device.missing, "batch", "batches")
            yield device.device, f"{what} missing for {lasting(device.missing_ms)} at least"


def _silent(tenant: TenantFacts, _: BridgeFacts) -> Iterator[tuple[int, str]]:
    for device in tenant.devices:
        silence_ms = silence(device, tenant.judged_ms)
        if silence_ms is None:
            continue
        if silence_ms > SILENT_MS:
            yield device.device, f"silent for {lasting(silence_ms)}"
        elif _is_unusual(device, silence_ms):
            usual = brief(device.pause_ms or 0)
            yield device.device, f"silent for {lasting(silence_ms)}, at most {usual} before"


def silence(device: DeviceFacts, judged_ms: int) -> int | None:
    """For how long nothing has come of a device from which something should, in milliseconds."""
    if device.state != IN_USE or device.heard_ms is None:
        return None
    return judged_ms - device.heard_ms


def _is_unusual(device: DeviceFacts, silence_ms: int) -> bool:
    """Much longer than any pause of its own, in a time as long as it has been silent now."""
    if device.pause_ms is None or silence_ms <= SHORT_SILENCE_MS:
        return False
    return silence_ms > SILENCE_TIMES * device.pause_ms and device.span_ms >= silence_ms


RULES: tuple[Rule, ...] = (
    Rule(
        "unreadable",
        "unreadable",
        "a file is damaged, of another version, or not ours to read",
        "if it is damaged: stop the bridge, put the newest copy of the tenant's folder back, start",
        _unreadable,
    ),
    Rule(
        "foreign",
        "foreign store",
        "a store lies in another tenant's folder",
        "the bridge will not start: put each tenant's files into the folder of its name",
        _foreign,
    ),
    Rule(
        "lock",
        "store owned by another",
        "a process owns the store that running.json does not name",
        "see what it is: a bridge that could not write running.json may go on; while anything else"
        " runs, a bridge that starts is turned away",
        _lock,
    ),
    Rule(
        "unwell",
        "bridge unwell",
        "a running bridge says so at GET /health",
        "storage: make room or mend the disk; broker: see that it runs and lets the bridge in;"
        " snapshot: cloud-bridge run --rebuild; ingest: see the log, start the bridge again",
        _unwell,
    ),
    Rule(
        "lag",
        "messages wait",
        "a message has waited in memory for over 30 s",
        "see its load and its disk; a backlog after an outage passes by itself",
        _lag,
    ),
    Rule(
        "snapshot",
        "snapshot trouble",
        "the snapshot does not fit the log or this version",
        "at its next start the bridge makes it again if the log has everything; else it says what"
        " is lost: put a matching copy back, or cloud-bridge run --rebuild",
        _snapshot,
    ),
    Rule(
        "tail",
        "snapshot far behind",
        "the snapshot lacks over 3,000,000 touchpoints, or lags by 10 min while a bridge runs",
        "a restart will take long: see the bridge's log and load; it should catch up when idle",
        _tail,
    ),
    Rule(
        "wal",
        "WAL large",
        "the write-ahead log is over 64 MB",
        "something keeps the file open for reading, or the disk is slow: end what reads it (a copy,"
        " a shell); restarting the bridge folds it in",
        _wal,
    ),
    Rule(
        "disk",
        "disk low",
        "under 1 GB is free, or under 5 % where that is under 20 GB",
        "make room, or let the log be dropped after a while: cloud-bridge run --keep-days N",
        _disk,
    ),
    Rule(
        "key",
        "without key",
        "a device's keys are in another store, as after half a restore",
        "enrol it anew, give it the token: cloud-bridge enrol --data DIR --site SITE --name NAME",
        _without_key,
    ),
    Rule(
        "not_enrolled",
        "not enrolled",
        "a device is in the store and not in devices.sqlite, as after half a restore",
        "all it sends is refused: put devices.sqlite back, or enrol it anew",
        _not_enrolled,
    ),
    Rule(
        "gaps",
        "with gaps",
        "batches have been missing for over 15 min",
        "the device has them and sends them again: see its link and `edge-sdk status` there; what"
        " it has lost it will declare itself",
        _gaps,
    ),
    Rule(
        "silent",
        "silent",
        "nothing came for over an hour, or for three times its longest pause",
        "see its power and network, then `edge-sdk status` there; a closed store is silent too",
        _silent,
    ),
)
LABELS = {rule.name: rule.label for rule in RULES}
