"""A lease: a tracking number in somebody's hands for a while."""

from dataclasses import dataclass, field

SESSION, CHANNEL, PLACE = "session", "channel", "place"
KINDS = (SESSION, CHANNEL, PLACE)


@dataclass(frozen=True, slots=True)
class Lease:
    """A number, who holds it, and from when to when.

    id        unique for ever: "<lender>-<counter>"; lender "b.<pool>" is the bridge,
              "k<block>.<pool>" a store
    number    E.164, ours: it names nobody
    holder    "scheme:value" ("cookie:...", "kiosk:...", "place:...", "channel:..."); personal
    kind      SESSION, CHANNEL (a campaign's number) or PLACE (a poster's, a kiosk's)
    until_ms  heartbeats move it; a lease that none has moved ends there
    ended_ms  when it was over; None while it is not
    intent    how probable it is that this visitor calls, 0 to 1; None: nobody knows
    """

    id: str
    pool: str
    number: str
    holder: str = field(repr=False)
    kind: str
    since_ms: int
    until_ms: int
    ended_ms: int | None = None
    intent: float | None = None
