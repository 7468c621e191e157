"""The times and levels of a presence engine, with what they mean."""


class PresenceSettings:
    """How sure and how slow an engine is; the defaults suit a shop with zones of 5 m and more.

    enter_level, exit_level  a zone is entered above the one and left below the other
    min_dwell_ms       who stays less than that in a zone was no visitor of it
    return_ms          who is back within that has not left
    lag_ms             how late a belief is, about
    forget_ms          nothing heard of a beacon for so long, by receivers that may be dead: it left
    window_ms          a `sighting` sums up this much of one beacon at one receiver; 0: none is made
    position_every_ms  between two `position`s of a beacon; 0: none
    dwell_marks_ms     rising; `visit.dwell` is sent once when a visit passes each of them
    max_beacons        the bound on memory; a quiet one is evicted for a new one
    trust_ms           a receiver that has heard nothing at all for so long may be dead
    """

    __slots__ = (
        "dwell_marks_ms",
        "enter_level",
        "exit_level",
        "forget_ms",
        "lag_ms",
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
        enter_level: float = 0.75,
        exit_level: float = 0.03,
        min_dwell_ms: int = 6_000,
        return_ms: int = 10_000,
        lag_ms: int = 1_500,
        forget_ms: int = 120_000,
        window_ms: int = 5_000,
        position_every_ms: int = 2_500,
        dwell_marks_ms: "tuple[int, ...]" = (10_000, 30_000, 60_000, 180_000, 600_000),
        max_beacons: int = 4_096,
        trust_ms: int = 5_000,
    ) -> None:
        if not 0 < exit_level < enter_level < 1:
            raise ValueError("0 < exit_level < enter_level < 1")
        if min(min_dwell_ms, return_ms, lag_ms, window_ms, position_every_ms) < 0:
            raise ValueError("times are not negative")
        if min(max_beacons, forget_ms, trust_ms) < 1:
            raise ValueError("max_beacons, forget_ms and trust_ms are 1 at least")
        self.enter_level = enter_level
        self.exit_level = exit_level
        self.min_dwell_ms = min_dwell_ms
        self.return_ms = return_ms
        self.lag_ms = lag_ms
        self.forget_ms = forget_ms
        self.window_ms = window_ms
        self.position_every_ms = position_every_ms
        self.dwell_marks_ms = dwell_marks_ms
        self.max_beacons = max_beacons
        self.trust_ms = trust_ms
