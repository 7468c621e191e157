"""MQTT topics: all that a broker learns of a message besides its size and its time.

    edge/1/<tenant>/live/<device>   up: what can trigger a prompt, while it is fresh
    edge/1/<tenant>/bulk/<device>   up: everything else, and every backlog
    edge/1/<tenant>/down/<device>   down: acknowledgements, refusals, prompts

`device` is its number as eight hexadecimal digits. QoS 1, never retained. A device needs leave to
publish on its two topics and to subscribe to one; the bridge the reverse, for "+".
"""

LIVE, BULK, DOWN = "live", "bulk", "down"
_PREFIX = "edge/1"
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-_."
_HEX = "0123456789abcdef"


def is_tenant(name: str) -> bool:
    """Whether this can be a tenant's name: 1 to 32 of a-z, 0-9, hyphen, underscore, full stop."""
    return 0 < len(name) <= 32 and all([letter in _NAME for letter in name])


def topic(tenant: str, lane: str, device: int) -> str:
    """Topic of one lane (LIVE, BULK or DOWN) of one device."""
    return "%s/%s/%s/%08x" % (_PREFIX, tenant, lane, device)


def every_device(tenant: str, lane: str) -> str:
    """Filter for one lane of all of a tenant's devices."""
    return "%s/%s/%s/+" % (_PREFIX, tenant, lane)


def device_of(name: str) -> "int | None":
    """Device of a topic, or None where it is not one of ours."""
    parts = name.split("/")
    if (
        len(parts) != 5
        or parts[0] + "/" + parts[1] != _PREFIX
        or parts[3] not in (LIVE, BULK, DOWN)
    ):
        return None
    digits = parts[4]
    if not is_tenant(parts[2]) or len(digits) != 8 or not all([digit in _HEX for digit in digits]):
        return None
    return int(digits, 16)
