"""Telnyx's call control webhooks: JSON, one for each event of each leg of a session.

Duplicates and disorder are usual. A session is the call: its first leg is the caller's and alone
knows the number that was dialled; the others are agents'. An agent's leg that ends without having
been talked on ends nothing. TeXML applications of Telnyx speak as Twilio does: twilio.py.
https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks
"""

from cloud_bridge.call_hooks.reading import (
    ISO,
    Fields,
    Line,
    NotReadableError,
    Told,
    agent_name,
    at_path,
    call_name,
    happened_ms,
    json_fields,
    our_number,
)
from cloud_bridge.call_hooks.signatures import Delivery
from edge_sdk.calls.caller import NOT_TOLD
from edge_sdk.calls.model import ANSWER, END, MISSED, RING, CallEvent
from edge_sdk.calls.phone import caller_of

EVENTS = {
    "call.initiated": RING,
    "call.answered": ANSWER,
    "call.bridged": ANSWER,
    "call.hangup": END,
}
# Of a hang-up of the caller's leg: the phase, and why it ended.
HANGUPS = {
    "normal_clearing": (END, "answered"),
    "time_limit": (END, "answered"),
    "originator_cancel": (MISSED, "cancelled"),
    "user_busy": (MISSED, "busy"),
    "call_rejected": (MISSED, "rejected"),
    "timeout": (MISSED, "no_answer"),
    "no_answer": (MISSED, "no_answer"),
    "not_found": (MISSED, "failed"),
    "unspecified": (MISSED, "failed"),
}


class Telnyx:
    """See Provider."""

    name = "telnyx"

    def read(self, delivery: Delivery, line: Line) -> Told:
        """See Provider."""
        data = json_fields(delivery).get("data")
        payload = data.get("payload") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(payload, dict):
            raise NotReadableError("data.payload is missing")
        told = at_path(payload, "call_session_id") or at_path(payload, "call_leg_id")
        call = call_name(self.name, told)
        status = at_path(data, "event_type") or ""
        sequence = at_path(data, "id") or at_path(payload, "call_leg_id") or ""
        phase, cause = EVENTS.get(status), None
        is_first = _is_first(payload)
        if status == "call.hangup":
            why = at_path(payload, "hangup_cause") or ""
            phase, cause = HANGUPS.get(why, (END, None))
        passed = ""
        if phase is None:
            passed = "unknown_status"
        elif not is_first and (phase == MISSED or status == "call.initiated"):
            passed = "leg"
        if phase is None or passed:
            return Told(call, status, sequence, passed=passed)
        at_ms, _ = happened_ms(at_path(data, "occurred_at"), ISO, line.received_ms)
        is_agents = not is_first and phase in {ANSWER, END}
        event = CallEvent(
            call,
            phase,
            at_ms,
            our_number(at_path(payload, "to"), line.region) if is_first else "",
            caller_of(at_path(payload, "from"), line.region) if is_first else NOT_TOLD,
            duration_ms=0 if phase == MISSED else None,
            cause=cause,
            agent=agent_name(at_path(payload, "to")) if is_agents else None,
        )
        return Told(call, status, sequence, (event,), number=event.number)


def _is_first(payload: Fields) -> bool:
    """Whether it is the caller's leg; an event that does not say is taken by the leg's name."""
    direction = at_path(payload, "direction")
    if direction is not None:
        return direction == "incoming"
    leg, session = at_path(payload, "call_leg_id"), at_path(payload, "call_session_id")
    return leg is None or session is None or leg == session
