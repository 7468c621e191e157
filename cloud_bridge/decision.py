"""Whether somebody who has just been seen in a zone is prompted, with what, where, and why not.

Pure. A rule is a row of clauses, asked in the order of this file; the first rule of which all hold
decides. Consent is asked now, of what was said last, and not when an interest was learnt.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cloud_bridge.profile import Profile
from cloud_bridge.registry import Device
from cloud_bridge.rules import Rule
from edge_sdk.wire.control import Prompt

_DAY_MS = 86_400_000

# What can be shown where: (site, zone, surface) -> the device that does.
Shows = Mapping[tuple[str, str, str], Device]


def shows(devices: Iterable[Device]) -> dict[tuple[str, str, str], Device]:
    """The first device of each site, zone and surface that may still be one of ours."""
    found: dict[tuple[str, str, str], Device] = {}
    for device in devices:
        if device.surface and not device.revoked:
            found.setdefault((device.site, device.zone, device.surface), device)
    return found


@dataclass(frozen=True, slots=True)
class Situation:
    """Somebody is in a zone of a site now; `profile` is None for a stranger."""

    site: str
    zone: str
    now_ms: int
    profile: Profile | None = field(repr=False)
    shows: Shows = field(repr=False)

    def device_for(self, rule: Rule) -> Device | None:
        """The device that can show it here."""
        return self.shows.get((self.site, rule.zone, rule.surface))


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule that decided and the device that shows it, or neither.

    `failed` has (offer, the first clause that failed) of each offer before it.
    """

    rule: Rule | None
    device: Device | None
    failed: tuple[tuple[str, str], ...]


def _is_in_zone(rule: Rule, now: Situation) -> bool:
    return now.zone == rule.zone


def _is_known(_rule: Rule, now: Situation) -> bool:
    return now.profile is not None


def _was_interested(rule: Rule, now: Situation) -> bool:
    seen_ms = now.profile.interests.get(rule.category) if now.profile else None
    return seen_ms is not None and now.now_ms - seen_ms <= rule.within_days * _DAY_MS


def _has_consented(rule: Rule, now: Situation) -> bool:
    return now.profile is not None and now.profile.consents_to(rule.purpose)


def _is_rested(rule: Rule, now: Situation) -> bool:
    offered_ms = now.profile.offered.get(rule.offer) if now.profile else None
    return offered_ms is None or now.now_ms - offered_ms >= rule.cooldown_s * 1000


def _can_be_shown(rule: Rule, now: Situation) -> bool:
    return now.device_for(rule) is not None


CLAUSES: tuple[tuple[str, Callable[[Rule, Situation], bool]], ...] = (
    ("zone", _is_in_zone),
    ("known", _is_known),
    ("interest", _was_interested),
    ("consent", _has_consented),
    ("cooldown", _is_rested),
    ("surface", _can_be_shown),
)


def decide(rules: Sequence[Rule], now: Situation) -> Decision:
    """The first rule of which every clause holds."""
    failed: list[tuple[str, str]] = []
    for rule in rules:
        for clause, holds in CLAUSES:
            if not holds(rule, now):
                failed.append((rule.offer, clause))
                break
        else:
            return Decision(rule, now.device_for(rule), tuple(failed))
    return Decision(None, None, tuple(failed))


def prompt_id(tenant: str, device: int, batch: tuple[int, int, int], index: int, offer: str) -> int:
    """63 bits that are this touchpoint's and offer's own: a replay never makes a second prompt.

    The touchpoint is `index` of `batch`, a (generation, epoch, seq).
    """
    origin = f"{tenant}|{device}|{'|'.join(map(str, batch))}|{index}|{offer}"
    return int.from_bytes(hashlib.sha256(origin.encode()).digest()[:8], "big") >> 1


def prompt_of(rule: Rule, id_: int) -> Prompt:
    """What is shown, and the clauses that led to it."""
    why = (f"category {rule.category}", f"zone {rule.zone}", f"consent {rule.purpose}")
    return Prompt(id_, rule.ttl_s * 1000, rule.surface, rule.title, rule.body, rule.offer, why)
