"""The times and levels of a presence engine, with what they mean."""


class PresenceSettings:
    """How sure and how slow an engine is; the defaults suit a shop with zones of 5 m and more.

    margin             by so much must the one place be more probable than the other, to count
    min_dwell_ms       what it takes at least to have entered a zone from nowhere,
    change_ms          to have gone on to another zone,
    return_ms          and to have left: who is back within that has not
    lag_ms             how late a belief is, about
    forget_ms          nothing heard of a beacon for so long, by receivers that may be dead: it left
    window_ms          a `sighting` sums up this much of one beacon at one receiver; 0: none is made
    position_every_ms  between two `position`s of a beacon; 0: none
    dwell_marks_ms     rising; `visit.dwell` is sent once when a visit passes each of them
    max_beacons        the bound on memory; a quiet one is evicted for a new one
    trust_ms           a receiver that has heard nothing at all for so long may be dead
    """

    __slots__ = (
        "change_ms",
        "dwell_marks_ms",
        "forget_ms",
        "lag_ms",
        "margin",
        "max_beacons",
        "min_dwell_ms",
        "position_every_ms",
        "return_ms",
        "trust_ms",
        "window_ms",
    )

    def __init__(
        self,
        *,
        margin: float = 0.35,
        min_dwell_ms: int = 5_000,
        change_ms: int = 8_000,
        return_ms: int = 10_000,
        lag_ms: int = 1_500,
        forget_ms: int = 120_000,
        window_ms: int = 5_000,
        position_every_ms: int = 2_500,
        dwell_marks_ms: "tuple[int, ...]" = (10_000, 30_000, 60_000, 180_000, 600_000),
        max_beacons: int = 4_096,
        trust_ms: int = 5_000,
    ) -> None:
        if not 0 <= margin < 1:
            raise ValueError("0 <= margin < 1")
        if min(min_dwell_ms, change_ms, return_ms, lag_ms, window_ms, position_every_ms) < 0:
            raise ValueError("times are not negative")
        if min(max_beacons, forget_ms, trust_ms) < 1:
            raise ValueError("max_beacons, forget_ms and trust_ms are 1 at least")
        self.margin = margin
        self.min_dwell_ms = min_dwell_ms
        self.change_ms = change_ms
        self.return_ms = return_ms
        self.lag_ms = lag_ms
        self.forget_ms = forget_ms
        self.window_ms = window_ms
        self.position_every_ms = position_every_ms
        self.dwell_marks_ms = dwell_marks_ms
        self.max_beacons = max_beacons
        self.trust_ms = trust_ms
