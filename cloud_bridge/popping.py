"""The screen pop: what an agent is shown of a call while it rings, and until it is over.

Pure. Who it is and what she did is shown only where she said yes to `PURPOSE`, asked now. Earlier
calls of the same telephone are the tenant's own telephone book-keeping, and need no yes.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from cloud_bridge.journey import QUOTED, Journey
from edge_sdk.calls.model import Call

PURPOSE: Final = "call_assistance"
FROM: Final = "bridge"
_NO_CONSENT: Final = f"no consent to {PURPOSE}: who it is and what she did is not shown"


@dataclass(frozen=True, slots=True)
class Joined:
    """Whose a call is held to be. `method`: "lease", "memory", "place"; "" where it is nobody's.

    why  in words, also of what was looked at in vain
    """

    method: str
    sure: float
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of whom a call was joined to.

    who       an identifier of hers, or None where none may be told
    consents  whether she said yes to `PURPOSE`
    """

    who: str | None = field(repr=False)
    consents: bool
    journey: Journey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call goes: the site, the pool of its number, the group of agents."""

    site: str
    pool: str
    group: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the telephone itself."""

    pseudonym: str | None
    journey: Journey = field(repr=False)


def pop_of(
    call: Call, place: Place, joined: Joined, seen: Seen | None, earlier: Earlier
) -> dict[str, Any]:
    """The pop, in JSON's types."""
    why = list(joined.why)
    may_show = seen is not None and seen.consents
    if seen is not None and not may_show:
        why.append(_NO_CONSENT)
    caller: dict[str, Any] = {"state": call.caller.state}
    if earlier.pseudonym is not None:
        caller["pseudonym"] = earlier.pseudonym
    pop: dict[str, Any] = {
        "call": call.call,
        "site": place.site,
        "state": call.state,
        "at_ms": call.began_ms or call.over_ms,
        "number": call.number,
        "pool": place.pool,
        "group": place.group,
        "caller": caller,
        "agent": call.agent,
        "waited_ms": call.waited_ms,
        "duration_ms": call.duration_ms,
        "cause": call.cause,
        "lease": call.lease,
        "joined_by": joined.method or None,
        "sure": round(joined.sure, 3),
        "why": why,
        "session_known": bool(joined.method),
        "who": None,
        "journey": [],
        "basket": [],
        "quotes": [],
        "visits": [],
        "earlier_calls": _calls(call.call, earlier.journey),
        "from": FROM,
    }
    if seen is not None and may_show:
        pop.update(_journey(seen))
    return pop


def _journey(seen: Seen) -> dict[str, Any]:
    journey = seen.journey
    items = [
        {
            "item": name,
            "quantity": item.quantity,
            "value_minor": item.value_minor,
            "currency": item.currency,
            "at_ms": item.at_ms,
        }
        for name, item in journey.items.items()
        if item.action != QUOTED
    ]
    quotes = [
        {"item": n, "value_minor": i.value_minor, "currency": i.currency, "at_ms": i.at_ms}
        for n, i in journey.items.items()
        if i.action == QUOTED
    ]
    return {
        "who": {"id": seen.who} if seen.who else None,
        "journey": [{"at_ms": at_ms, "page": page} for at_ms, page in reversed(journey.pages)],
        "basket": items,
        "quotes": quotes,
        "visits": [
            {"at_ms": v.at_ms, "site": v.site, "zone": v.zone, "dwell_ms": v.dwell_ms}
            for v in reversed(journey.visits)
        ],
    }


def _calls(this: str, journey: Journey) -> list[dict[str, Any]]:
    past = [told for name, told in journey.calls.items() if name != this]
    past.sort(key=lambda told: told.at_ms, reverse=True)
    return [
        {
            "at_ms": told.at_ms,
            "number": told.number,
            "answered": told.duration_ms > 0 or told.phase == "answer",
            "duration_ms": told.duration_ms,
        }
        for told in past
    ]
