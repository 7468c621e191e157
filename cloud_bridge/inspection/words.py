"""Numbers as an operator reads them."""

from datetime import UTC, datetime

from cloud_bridge.inspection.facts import Count

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000


def number(count: int | Count) -> str:
    """Thousands apart; a reckoned one as what is certain of it: about 24,100,000."""
    if isinstance(count, int):
        return f"{count:,}"
    return f"{count.value:,}" if count.exact else f"about {_rounded(count.value):,}"


def size(size_bytes: int) -> str:
    """Bytes, as in 12 kB, 1.4 MB, 230 GB (powers of 1,000)."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"
    return ""


def lasting(span_ms: int) -> str:
    """How long, by its two greatest units: 3 h 12 min, 41 days."""
    span_ms = max(0, span_ms)
    if span_ms < _MINUTE:
        return f"{span_ms // _SECOND} s"
    if span_ms < _HOUR:
        return f"{span_ms // _MINUTE} min"
    if span_ms < 2 * _DAY:
        hours, minutes = span_ms // _HOUR, span_ms % _HOUR // _MINUTE
        return f"{hours} h {minutes} min" if hours < 10 and minutes else f"{hours} h"
    return f"{span_ms // _DAY} days"


def brief(span_ms: int) -> str:
    """How long, by its greatest unit, for a table."""
    return lasting(span_ms) if span_ms < _HOUR or span_ms >= 2 * _DAY else f"{span_ms // _HOUR} h"


def ago(at_ms: int | None, now_ms: int) -> str:
    """When that was, seen from now."""
    if at_ms is None:
        return "never"
    if at_ms > now_ms + _MINUTE:
        return f"{lasting(at_ms - now_ms)} ahead of this clock"
    return f"{lasting(now_ms - at_ms)} ago"


def moment(at_ms: int) -> str:
    """Date and time of day, as in 2026-04-12 02:59 UTC."""
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "at no possible time"


def plural(count: int | Count, one: str, many: str = "") -> str:
    """1 device, 2 devices, about 24,000 devices."""
    is_one = count in (1, Count(1))
    return f"{number(count)} {one if is_one else many or one + 's'}"


def _rounded(value: int) -> int:
    """Two digits that a sample can vouch for."""
    step: int = 10 ** max(0, len(str(value)) - 2)
    return round(value / step) * step
