"""An inspection as one object of JSON; docs/inspect.md lists its keys."""

from dataclasses import asdict
from typing import Any

from cloud_bridge.inspection.facts import FORM, DeviceFacts, Finding, Inspection, TenantFacts
from cloud_bridge.inspection.rules import bridge_findings, findings


def as_json(inspection: Inspection) -> dict[str, Any]:
    """What `json` can write. Devices are named by their eight digits."""
    return {
        "form": FORM,
        "data": inspection.data,
        "read_at_ms": inspection.read_at_ms,
        "bridge": asdict(inspection.bridge),
        "findings": [_finding(found) for found in bridge_findings(inspection.bridge)],
        "tenants": [_tenant(tenant, inspection) for tenant in inspection.tenants],
    }


def _tenant(tenant: TenantFacts, inspection: Inspection) -> dict[str, Any]:
    found = findings(tenant, inspection.bridge)
    verdict = "unreadable" if tenant.unreadable else "look" if found else "ok"
    facts = asdict(tenant)
    facts["devices"] = [_device(device) for device in tenant.devices]
    for row in facts["rows"]:
        row["device"] = _hex(row["device"])
    return {"verdict": verdict, "findings": [_finding(f) for f in found], **facts}


def _device(device: DeviceFacts) -> dict[str, Any]:
    return {**asdict(device), "device": _hex(device.device)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "device": _hex(finding.device)}


def _hex(device: int | None) -> str | None:
    return None if device is None else f"{device:08x}"
