"""An inspection as text: a verdict first, what to do, a few aligned lines, then the devices."""

from collections import Counter
from collections.abc import Sequence

from cloud_bridge.inspection.device_report import device_lines, devices_table, rows_table
from cloud_bridge.inspection.facts import (
    Count,
    Finding,
    Inspection,
    StoreFacts,
    TenantFacts,
)
from cloud_bridge.inspection.rules import LABELS, bridge_findings, findings
from cloud_bridge.inspection.tables import cut, paragraph
from cloud_bridge.inspection.words import ago, lasting, moment, number, plural, size

# Devices of one rule that are told one by one above the table.
_TOLD = 3


def report(inspection: Inspection, width: int, *, every: bool, details: bool) -> list[str]:
    """Its lines. `every`: all devices however many; `details`: one device is what was asked for."""
    lines = _bridge(inspection, width)
    for tenant in inspection.tenants:
        found = findings(tenant, inspection.bridge)
        if details:
            found = [f for f in found if f.device is not None or f.rule == "unreadable"]
        lines += ["", *paragraph(f"{tenant.tenant}: ", verdict(tenant, found), width)]
        lines += _todo(tenant, found, width)
        if details:
            for device in tenant.devices:
                lines += device_lines(device, tenant, inspection.read_at_ms, width, every=every)
        else:
            lines += _facts(tenant, inspection.read_at_ms, width)
            lines += devices_table(tenant, found, inspection.read_at_ms, width, every=every)
        lines += rows_table(tenant, inspection.read_at_ms, width)
    return lines


def verdict(tenant: TenantFacts, found: Sequence[Finding]) -> str:
    """In a line: ok, or how much of what needs somebody."""
    if tenant.unreadable:
        return "CANNOT BE READ"
    if not found:
        return "ok" if tenant.store else "ok, nothing kept yet"
    counts = Counter((f.rule, f.device is not None) for f in found)
    told = [
        f"{plural(count, 'device')} {LABELS[rule]}" if of_device else LABELS[rule]
        for (rule, of_device), count in counts.items()
    ]
    return f"look at this: {', '.join(told)}"


def _bridge(inspection: Inspection, width: int) -> list[str]:
    bridge = inspection.bridge
    if bridge.state == "running":
        since = lasting(inspection.read_at_ms - (bridge.since_ms or 0))
        told = f"running for {since}, process {bridge.pid}, {cut(bridge.http or '', 80)}"
        return paragraph("bridge: ", told, width)
    lines: list[str] = []
    for finding in bridge_findings(bridge):
        lines += paragraph("bridge: ", f"look at this: {finding.what}", width)
        lines += paragraph("    -> ", finding.do, width)
    return lines


def _todo(tenant: TenantFacts, found: Sequence[Finding], width: int) -> list[str]:
    """What was found, and below each rule's what to do."""
    lines: list[str] = []
    names = {d.device: f"{d.device:08x} {d.site} {d.name}" for d in tenant.devices}
    for rule in dict.fromkeys(f.rule for f in found):
        mine = [f for f in found if f.rule == rule]
        for finding in mine[:_TOLD]:
            who = "" if finding.device is None else f"{names[finding.device].strip()}: "
            lines += paragraph("  ! ", cut(who, 80) + finding.what, width)
        if len(mine) > _TOLD:
            lines.append(f"  ! and {len(mine) - _TOLD:,} more")
        lines += paragraph("    -> ", mine[0].do, width)
    for note in tenant.notes:
        lines += paragraph("  note: ", note, width)
    return lines


def _facts(tenant: TenantFacts, now_ms: int, width: int) -> list[str]:
    facts = _of_store(tenant.store, now_ms) if tenant.store else []
    if tenant.queue:
        queue = tenant.queue
        waits = f"waiting {queue.live:,} live, {queue.bulk:,} bulk, {queue.collect:,} web"
        if queue.lag_ms:
            waits += f", the oldest for {queue.lag_ms:,} ms"
        prompts = plural(queue.prompts_outstanding, "prompt")
        people = f"{queue.people_in_memory:,} people ({queue.people_unwritten:,} to be written)"
        stalled = "; STALLED" if queue.stalled else ""
        facts.append(("in memory", f"{waits}; {prompts}; {people}{stalled}"))
    if tenant.devices:
        states = Counter(device.state for device in tenant.devices)
        each = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
        facts.append(("devices", f"{len(tenant.devices):,}: {each}"))
    lines: list[str] = []
    for name, text in facts:
        lines += paragraph(f"  {name:<10} ", text, width)
    return lines


def _of_store(store: StoreFacts, now_ms: int) -> list[tuple[str, str]]:
    log, snapshot, vault = store.log, store.snapshot, store.vault
    rows = f"{plural(log.rows, 'row')}, {plural(log.touchpoints, 'touchpoint')}"
    if log.pruned_to:
        rows += f"; rows up to {log.pruned_to:,} were dropped for their age"
    facts = [("log", rows)]
    if log.from_ms is not None and log.to_ms is not None:
        ends = [f"{moment(at)} ({ago(at, now_ms)})" for at in (log.from_ms, log.to_ms)]
        facts.append(("received", f"from {ends[0]} to {ends[1]}"))
    form = (
        f"form {snapshot.form}, {plural(snapshot.records, 'record')}" if snapshot.form else "none"
    )
    tail = f"{plural(snapshot.tail_rows, 'row')}, {plural(snapshot.tail_touchpoints, 'touchpoint')}"
    handles = f"{plural(vault.handles, 'identifier')}, of {vault.given_out:,} ever"
    if vault.erased_waiting:
        handles += f"; {vault.erased_waiting:,} erased, to be put out of the log"
        if vault.scrub_end:
            handles += f" (at row {vault.scrubbed_to:,} of {vault.scrub_end:,})"
    return [
        *facts,
        ("on disk", _on_disk(store)),
        ("snapshot", f"{form}, up to row {snapshot.watermark:,}; tail of {tail}"),
        ("vault", handles),
        ("web", f"{plural(store.collected, 'body', 'bodies')} collected"),
        ("prompts", _prompts(store)),
        ("malformed", f"{plural(store.set_aside, 'batch', 'batches')} set aside"),
    ]


def _on_disk(store: StoreFacts) -> str:
    disk, log = store.disk, store.log
    text = f"{size(disk.file_bytes)} and {size(disk.wal_bytes)} of WAL"
    if log.touchpoints.value:
        each = round((disk.file_bytes + disk.wal_bytes) / log.touchpoints.value)
        of_log = round(log.body_bytes.value / log.touchpoints.value)
        text += f"; {plural(each, 'byte')} a touchpoint, {of_log:,} of them in the log's bodies"
    return f"{text}; {size(disk.free_bytes)} free of {size(disk.total_bytes)}"


def _prompts(store: StoreFacts) -> str:
    prompts = store.prompts
    text = f"{prompts.waiting:,} waiting"
    if prompts.overdue:
        text += f" ({prompts.overdue:,} past their time)"
    states = sorted(prompts.by_state.items(), key=lambda item: -item[1])
    exact = prompts.settled.exact
    each = ", ".join(f"{number(Count(count, exact))} {state}" for state, count in states)
    return f"{text}; {prompts.settled.value:,} settled{f': {each}' if each else ''}"
