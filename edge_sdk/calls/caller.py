"""Who calls, as far as a line tells: four states, and a number in one of them only."""

from dataclasses import dataclass, field

KNOWN, WITHHELD, UNAVAILABLE, UNPARSABLE = "known", "withheld", "unavailable", "unparsable"
# The most telling first: of two reports of one call the better one holds. UNAVAILABLE is the last,
# because it is also what an event says that says nothing of the caller.
STATES = (KNOWN, WITHHELD, UNPARSABLE, UNAVAILABLE)

SCHEME = "tel:"


@dataclass(frozen=True, slots=True)
class Caller:
    """KNOWN has `e164`, which is personal; no other state has a number, so none can be a key."""

    state: str
    e164: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.state not in STATES or (self.e164 is not None) != (self.state == KNOWN):
            raise ValueError("a caller is of a known state, and has a number if it is KNOWN")

    @property
    def identifier(self) -> str | None:
        """What a touchpoint carries: "tel:+33...", inside the seal only."""
        return None if self.e164 is None else SCHEME + self.e164


NOT_TOLD = Caller(UNAVAILABLE)


def better(one: Caller, other: Caller) -> Caller:
    """Of two reports of one call the one that tells more; the same, whichever comes first."""
    return min(one, other, key=lambda caller: (STATES.index(caller.state), caller.e164 or ""))
