"""Devices and log rows as tables, the worst first."""

from collections.abc import Callable, Sequence

from cloud_bridge.clock import STEADY_MS
from cloud_bridge.inspection.facts import DeviceFacts, Finding, RowFacts, TenantFacts
from cloud_bridge.inspection.of_devices import NOT_ENROLLED, REVOKED, WITHOUT_KEY
from cloud_bridge.inspection.tables import Column, cut, paragraph, table
from cloud_bridge.inspection.words import ago, brief, lasting, moment, plural

# More than fits a screen is asked for.
MOST_DEVICES = 40
MOST_RANGES = 20
_NAME_WIDTH, _SHORT_NAME_WIDTH, _WIDE = 16, 12, 100
_WORST_STATES = (WITHOUT_KEY, NOT_ENROLLED)


def devices_table(
    tenant: TenantFacts, found: Sequence[Finding], now_ms: int, width: int, *, every: bool
) -> list[str]:
    """All devices of a tenant, or the worst of them."""
    if not tenant.devices:
        return []
    marked = {finding.device for finding in found}
    ordered = worst_first(tenant.devices, marked)
    shown = ordered if every else ordered[:MOST_DEVICES]
    lines, dropped = table(_columns(shown, marked, now_ms, width), width)
    left = len(ordered) - len(shown)
    if left:
        marks = sum(device.device in marked for device in ordered[MOST_DEVICES:])
        lines.append(f"and {left:,} more, {marks:,} of them marked: --all shows them")
    if dropped:
        lines.append(f"a wider terminal also shows: {', '.join(dropped)}")
    return ["", *lines]


def worst_first(devices: Sequence[DeviceFacts], marked: set[int | None]) -> list[DeviceFacts]:
    """Marked ones, then by what they lack, then by how long they are silent; revoked ones last."""

    def badness(device: DeviceFacts) -> tuple[object, ...]:
        return (
            device.state == REVOKED,
            device.device not in marked,
            device.state not in _WORST_STATES,
            -device.missing,
            -sum(device.given_up.values()),
            device.heard_ms if device.heard_ms is not None else float("inf"),
            device.device,
        )

    return sorted(devices, key=badness)


def _columns(
    devices: Sequence[DeviceFacts], marked: set[int | None], now_ms: int, width: int
) -> list[Column]:
    name_width = _NAME_WIDTH if width >= _WIDE else _SHORT_NAME_WIDTH

    def each(tell: str, right: bool = False, drop: int = 0) -> Column:
        return Column(tell, [_CELLS[tell](device, now_ms) for device in devices], right, drop)

    return [
        Column(" ", ["!" if device.device in marked else " " for device in devices]),
        each("device"),
        Column("site", [cut(device.site, name_width) for device in devices]),
        Column("name", [cut(device.name, name_width) for device in devices]),
        each("state"),
        each("heard", right=True),
        each("epoch", right=True, drop=4),
        each("open", right=True, drop=5),
        each("batches", right=True, drop=6),
        each("touchpoints", right=True, drop=3),
        each("missing", right=True, drop=1),
        each("given up", right=True, drop=2),
        each("aside", right=True, drop=7),
        each("clock", right=True, drop=8),
    ]


_CELLS: dict[str, Callable[[DeviceFacts, int], str]] = {
    "device": lambda d, _: f"{d.device:08x}",
    "state": lambda d, _: d.state,
    "heard": lambda d, now_ms: "never" if d.heard_ms is None else brief(now_ms - d.heard_ms),
    "epoch": lambda d, _: "" if d.newest_epoch is None else f"{d.newest_epoch:,}",
    "open": lambda d, _: f"{d.epochs_open:,}" if d.epochs_open > 1 else "",
    "batches": lambda d, _: f"{d.batches:,}",
    "touchpoints": lambda d, _: f"{d.touchpoints:,}",
    "missing": lambda d, _: f"{d.missing:,}" if d.missing else "",
    "given up": lambda d, _: _thousands(sum(d.given_up.values())),
    "aside": lambda d, _: _thousands(d.set_aside),
    "clock": lambda d, _: clock(d.clock_ms, short=True),
}


def _thousands(count: int) -> str:
    return f"{count:,}" if count else ""


def clock(clock_ms: int | None, *, short: bool = False) -> str:
    """How wrong a device's clock is; empty where it is not, or nobody knows."""
    if clock_ms is None or abs(clock_ms) < STEADY_MS:
        return ""
    span = (brief if short else lasting)(abs(clock_ms))
    return f"{span} {'slow' if clock_ms > 0 else 'fast'}"


def device_lines(
    device: DeviceFacts, tenant: TenantFacts, now_ms: int, width: int, *, every: bool
) -> list[str]:
    """One device with its epochs and gaps."""
    where = " ".join(filter(None, (device.surface, device.zone and f"in {device.zone}")))
    heard = ago(device.heard_ms, now_ms)
    if device.pause_ms is not None:
        heard += f"; its longest pause lately was {lasting(device.pause_ms)}"
    sent = plural(device.batches, "batch", "batches")
    counted = "in the log" if device.counted == "log" else "in its open epochs"
    facts = [
        ("device", f"{device.device:08x}, {device.state}"),
        ("is", f"{cut(device.site, 64)} {cut(device.name, 64)}{f' ({where})' if where else ''}"),
        ("heard", heard),
        ("sent", f"{sent}, {plural(device.touchpoints, 'touchpoint')} {counted}"),
        ("clock", clock(device.clock_ms) or "as the bridge's, or not known"),
        ("missing", _missing(device)),
        ("given up", _given_up(device, tenant)),
        ("malformed", f"{plural(device.set_aside, 'batch', 'batches')} set aside"),
    ]
    lines: list[str] = []
    for name, text in facts:
        lines += paragraph(f"  {name:<10} ", text, width)
    return lines + _epochs(device, now_ms, width, every) + _ranges(device, now_ms, width, every)


def _missing(device: DeviceFacts) -> str:
    if not device.missing:
        return "nothing"
    since = f", for {lasting(device.missing_ms)} at least" if device.missing_ms else ""
    return f"{plural(device.missing, 'batch', 'batches')}{since}; the device may still send them"


def _given_up(device: DeviceFacts, tenant: TenantFacts) -> str:
    each = ", ".join(f"{count:,} {reason}" for reason, count in device.given_up.items())
    since = tenant.store.given_up_since if tenant.store else 0
    all_of_it = tenant.store is None or since <= tenant.store.log.first
    return f"{each or 'nothing'}{'' if all_of_it else f' (since log row {since:,})'}"


def _epochs(device: DeviceFacts, now_ms: int, width: int, every: bool) -> list[str]:
    newest = list(reversed(device.epochs))
    epochs = newest if every else [e for e in newest if e.missing or e is newest[0]][:MOST_RANGES]
    if not epochs:
        return []
    columns = [
        Column("epoch", [f"{e.epoch:,}" for e in epochs], right=True),
        Column("batches", [f"{e.batches:,}" for e in epochs], right=True),
        Column("touchpoints", [f"{e.touchpoints:,}" for e in epochs], right=True),
        Column("heard", [ago(e.heard_ms, now_ms) for e in epochs], right=True),
        Column("clock", [clock(e.clock_ms, short=True) for e in epochs], right=True, drop=1),
        Column("missing", [_spans(e.missing, every) for e in epochs]),
    ]
    lines, _ = table(columns, max(width, 200))
    left = len(device.epochs) - len(epochs)
    more = [f"and {plural(left, 'open epoch')} more: --all shows them"] if left else []
    return ["", *lines, *more]


def _spans(missing: Sequence[tuple[int, int]], every: bool) -> str:
    shown = missing if every else missing[:6]
    spans = [f"{first}" if first == last else f"{first}-{last}" for first, last in shown]
    return ", ".join(spans) + (" ..." if len(shown) < len(missing) else "")


def _ranges(device: DeviceFacts, now_ms: int, width: int, every: bool) -> list[str]:
    newest = list(reversed(device.given_up_ranges))
    ranges = newest if every else newest[:MOST_RANGES]
    if not ranges:
        return []
    columns = [
        Column("given up", [ago(r.at_ms, now_ms) for r in ranges], right=True),
        Column("epoch", [f"{r.epoch:,}" for r in ranges], right=True),
        Column("numbers", [_spans([(r.first, r.last)], every) for r in ranges], right=True),
        Column("batches", [f"{r.batches:,}" for r in ranges], right=True),
        Column("reason", [r.reason for r in ranges]),
    ]
    lines, _ = table(columns, width)
    left = len(newest) - len(ranges)
    more = [f"and {plural(left, 'older range')} more: --all shows them"] if left else []
    return ["", *lines, *more]


def _sender(row: RowFacts) -> str:
    """Who a row is of: a device, a web shop, or the store's presence engine in the bridge."""
    if row.device is not None:
        return f"{row.device:08x}"
    return "store" if row.seq else "web"


def rows_table(tenant: TenantFacts, now_ms: int, width: int) -> list[str]:
    """Rows of the log, the newest first."""
    rows = tenant.rows
    if not rows:
        return []
    columns = [
        Column("row", [f"{r.id:,}" for r in rows], right=True),
        Column("received", [moment(r.received_ms) for r in rows], drop=3),
        Column("", [ago(r.received_ms, now_ms) for r in rows], right=True),
        Column("site", [cut(r.site, _NAME_WIDTH) for r in rows]),
        Column("device", [_sender(r) for r in rows]),
        Column("epoch", ["" if r.device is None else f"{r.epoch:,}" for r in rows], right=True),
        Column("seq", ["" if r.device is None else f"{r.seq:,}" for r in rows], right=True),
        Column("kind", [r.kind for r in rows]),
        Column("touchpoints", [_thousands(r.touchpoints) for r in rows], right=True, drop=1),
        Column("bytes", [f"{r.body_bytes:,}" for r in rows], right=True, drop=2),
        Column("clock", [clock(r.offset_ms, short=True) for r in rows], right=True, drop=4),
    ]
    lines, _ = table(columns, width)
    return ["", *lines]
