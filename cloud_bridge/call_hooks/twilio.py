"""Twilio's voice webhooks, and TeXML's, which are the same: a form for each change of a call.

Four kinds come to one URL. The number's own request, which asks for TwiML; the number's status
callback; the status callbacks of a dialled agent's leg, which name the call as `ParentCallSid`; and
the end of a `<Dial>`, which asks how to go on. A leg that rang in vain ends nothing: others may
ring. Statuses that are not in the table tell nothing, so that new ones do no harm.
https://www.twilio.com/docs/voice/twiml#request-parameters
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cloud_bridge.call_hooks.reading import (
    DONE,
    RFC2822,
    ROUTE,
    Line,
    Told,
    agent_name,
    call_name,
    form_fields,
    happened_ms,
    our_number,
    seconds_ms,
)
from cloud_bridge.call_hooks.signatures import Delivery
from edge_sdk.calls.model import ANSWER, END, MISSED, RING, CallEvent
from edge_sdk.calls.phone import caller_of

# Of a call, or of a `<Dial>`: the phase, and why it ended.
STATUSES = {
    "queued": (RING, None),
    "initiated": (RING, None),
    "ringing": (RING, None),
    "answered": (ANSWER, None),
    "in-progress": (ANSWER, None),
    "completed": (END, "answered"),
    "busy": (MISSED, "busy"),
    "no-answer": (MISSED, "no_answer"),
    "canceled": (MISSED, "cancelled"),
    "failed": (MISSED, "failed"),
}


@dataclass(frozen=True, slots=True)
class Twilio:
    """`name`, the prefix of its calls: "twilio", or "telnyx" for TeXML."""

    name: str = "twilio"

    def read(self, delivery: Delivery, line: Line) -> Told:
        """See Provider."""
        fields = form_fields(delivery)
        if "DialCallStatus" in fields:
            return self._dialled(fields, line)
        if fields.get("ParentCallSid"):
            return self._leg(fields, line)
        return self._call(fields, line)

    def _call(self, fields: Mapping[str, str], line: Line) -> Told:
        call = call_name(self.name, fields.get("CallSid"))
        status = fields.get("CallStatus", "")
        phase, cause = STATUSES.get(status, (None, None))
        # A status callback says where it comes from; what does not asks for instructions.
        is_report = "CallbackSource" in fields or "SequenceNumber" in fields
        asks = "" if is_report or phase not in {RING, ANSWER} else ROUTE
        number = our_number(fields.get("To"), line.region)
        passed = ""
        if fields.get("Direction", "").startswith("outbound"):
            passed, asks = "outgoing", ""
        elif phase is None:
            passed = "unknown_status"
        events: tuple[CallEvent, ...] = ()
        if phase is not None and not passed:
            is_over = phase in {END, MISSED}
            at_ms, _ = happened_ms(fields.get("Timestamp"), RFC2822, line.received_ms)
            event = CallEvent(
                call,
                phase,
                at_ms,
                number,
                caller_of(fields.get("From"), line.region),
                duration_ms=_duration_ms(phase, fields.get("CallDuration")) if is_over else None,
                cause=cause,
            )
            events = (event,)
        sequence = fields.get("SequenceNumber", "")
        return Told(call, status, sequence, events, passed, asks, number)

    def _leg(self, fields: Mapping[str, str], line: Line) -> Told:
        """Of an agent's leg: it says when an agent answered, who, and when that was over."""
        call = call_name(self.name, fields.get("ParentCallSid"))
        leg = call_name(self.name, fields.get("CallSid"))
        status = fields.get("CallStatus", "")
        sequence = f"{leg} {fields.get('SequenceNumber', '')}"
        phase, cause = STATUSES.get(status, (None, None))
        if phase is None or phase == MISSED:
            return Told(call, status, sequence, passed="leg" if phase else "unknown_status")
        at_ms, _ = happened_ms(fields.get("Timestamp"), RFC2822, line.received_ms)
        event = CallEvent(
            call,
            phase,
            at_ms,
            duration_ms=_duration_ms(END, fields.get("CallDuration")) if phase == END else None,
            cause=cause,
            agent=agent_name(fields.get("To")) if phase in {ANSWER, END} else None,
        )
        return Told(call, status, sequence, (event,))

    def _dialled(self, fields: Mapping[str, str], line: Line) -> Told:
        """The end of a `<Dial>`: nobody else is rung, so this is how the call ended for us."""
        call = call_name(self.name, fields.get("CallSid"))
        status = fields["DialCallStatus"]
        phase, cause = STATUSES.get(status, (None, None))
        if phase == ANSWER:
            phase, cause = END, "answered"
        number = our_number(fields.get("To"), line.region)
        sequence = fields.get("DialCallSid", "")
        name = f"dial {status}"
        if phase not in {END, MISSED}:
            return Told(call, name, sequence, passed="unknown_status", asks=DONE)
        event = CallEvent(
            call,
            phase,
            line.received_ms,
            number,
            caller_of(fields.get("From"), line.region),
            duration_ms=_duration_ms(phase, fields.get("DialCallDuration")),
            cause=cause,
        )
        return Told(call, name, sequence, (event,), asks=DONE)


def _duration_ms(phase: str, told: str | None) -> int | None:
    return 0 if phase == MISSED else seconds_ms(told)
