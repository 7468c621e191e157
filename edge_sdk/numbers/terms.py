"""The terms on which a pool lends: how long, how a lease goes on, and how long numbers rest."""

from dataclasses import dataclass

from edge_sdk.errors import ConfigError
from edge_sdk.numbers.lease import CHANNEL, PLACE, SESSION, Lease

MINUTE_MS = 60_000
DAY_MS = 86_400_000
# Later than any time that a pool takes: what lasts until here lasts until somebody ends it.
FOREVER_MS = 1 << 52


@dataclass(frozen=True, slots=True)
class Terms:
    """How a pool lends; in ms. Raises ConfigError where they cannot work.

    minimum_ms     a session has its number for so long at least, whatever it says or fails to say
    keep_alive_ms  a heartbeat keeps a session's number for so long from then
    place_ms       the same for a place (a poster, a kiosk's screen), which is heard of seldom
    grace_ms       after that the number is still kept, and a heartbeat revives the lease
    cool_ms        between the end of a lease and the next holder
    rest_ms        a number that was retired or written off is not lent again before
    remember_ms    so long after its end a lease is still known, for calls that come late
    remembered     so many leases of one number are known at most
    """

    minimum_ms: int = 30 * MINUTE_MS
    keep_alive_ms: int = 5 * MINUTE_MS
    place_ms: int = 30 * DAY_MS
    grace_ms: int = MINUTE_MS
    cool_ms: int = 5 * MINUTE_MS
    rest_ms: int = 60 * DAY_MS
    remember_ms: int = 30 * DAY_MS
    remembered: int = 64

    def __post_init__(self) -> None:
        """Refuse what no pool could keep."""
        for name in ("minimum_ms", "grace_ms", "cool_ms", "rest_ms", "remember_ms"):
            if not 0 <= getattr(self, name) <= FOREVER_MS // 8:
                raise ConfigError(f"{name} is 0 or more, and less than some thousand years")
        for name in ("keep_alive_ms", "place_ms", "remembered"):
            if not 1 <= getattr(self, name) <= FOREVER_MS // 8:
                raise ConfigError(f"{name} is 1 or more, and less than some thousand years")

    @property
    def session_ms(self) -> int:
        """How long a session's lease lasts if nothing more is heard of it, before grace."""
        return max(self.minimum_ms, self.keep_alive_ms)

    def first_until_ms(self, kind: str, now_ms: int) -> int:
        """Where a lease that begins now ends by itself."""
        if kind == CHANNEL:
            return FOREVER_MS
        return now_ms + (self.place_ms if kind == PLACE else self.session_ms)

    def kept_until_ms(self, kind: str, now_ms: int) -> int:
        """Where a lease that is heard of now ends by itself, if it did not last longer anyway."""
        if kind == CHANNEL:
            return FOREVER_MS
        return now_ms + (self.place_ms if kind == PLACE else self.keep_alive_ms)

    def guaranteed_ms(self, lease: Lease) -> int:
        """Before this no word of its holder ends a lease: the number has been seen."""
        return lease.since_ms + (self.minimum_ms if lease.kind == SESSION else 0)
