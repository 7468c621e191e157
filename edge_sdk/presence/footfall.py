"""How many phones are in each zone, of groups only: privacy mode `aggregate` (privacy.py)."""

from ..wire.touchpoint import CODES, make
from .engine import DROPS, is_time
from .pseudonyms import PseudonymKey, is_hashable

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..wire.touchpoint import Touchpoint
    from .engine import PresenceEngine
    from .pseudonyms import Draw, Hmac

MAX_WINDOW_MS = 1_800_000  # "minutes": nothing is kept longer than this
MIN_WINDOW_MS = 60_000
WINDOW_MS = 900_000
LEAST = 5
# After a change of salt, for how long somebody who comes may be one who was there before it.
_HAND_OVER_MS = 60_000
_MOST_NAMES = 4096  # of a zone and a window; beyond, who comes again is counted again

_ENTER, _EXIT = CODES["visit.enter"], CODES["visit.exit"]


class Aggregate:
    """Mode `aggregate`: `count` touchpoints, one for each zone at the end of each window.

    fresh      makes an engine, whose visits are counted and forgotten with the window
    zones      each has a `count` every window, whatever happened: a missing one would tell as well
    counter    the name of the gateway in them
    draw       32 random bytes, anew each time (`os.urandom`)
    hmac       HMAC-SHA256 (`wire.suite.Suite.hmac`)
    window_ms  1 to 30 minutes; windows end at its multiples, so that gateways agree
    least      the smallest group that is told, 2 at least

    Figures are of different phones. One under `least` is nil, and zero is no exception: if it were
    told, nil would say "one to four", and of a shop at night that is somebody. So nil says "few, or
    nobody".

    At the end of a window nobody can be recognised any more. Of each zone only the number of those
    who were there goes on: as many who are seen there within a minute count as they, and not as
    arrivals; those who are not seen again, as gone.
    """

    __slots__ = (
        "_carried",
        "_counter",
        "_draw",
        "_engine",
        "_entered",
        "_fresh",
        "_from_ms",
        "_hmac",
        "_key",
        "_least",
        "_left",
        "_now_ms",
        "_open",
        "_until_ms",
        "_window_ms",
        "_zones",
        "dropped",
    )

    def __init__(
        self,
        fresh: "Callable[[], PresenceEngine]",
        zones: "tuple[str, ...]",
        counter: str,
        draw: "Draw",
        hmac: "Hmac",
        *,
        window_ms: int = WINDOW_MS,
        least: int = LEAST,
    ) -> None:
        if not MIN_WINDOW_MS <= window_ms <= MAX_WINDOW_MS:
            raise ValueError("window_ms is 1 to 30 minutes")
        if least < 2:
            raise ValueError("least is 2 at least: a group of one is a person")
        self._fresh = fresh
        self._zones = zones
        self._counter = counter
        self._draw = draw
        self._hmac = hmac
        self._window_ms = window_ms
        self._least = least
        self._engine: "PresenceEngine | None" = None
        self._key: "PseudonymKey | None" = None
        self._now_ms = self._from_ms = self._until_ms = 0
        self._open: "dict[int, str]" = {}
        self._carried: "dict[str, int]" = {}
        self._entered: "dict[str, _Group]" = {}
        self._left: "dict[str, _Group]" = {}
        self.dropped: "dict[str, int]" = dict.fromkeys(DROPS + ("withheld",), 0)

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
        """Counts, if a window ends here."""
        out = self._up_to(at_ms)
        if out is None:
            return []
        if not is_hashable(beacon):
            self.dropped["beacon"] += 1
            return out
        if self._engine is not None and self._key is not None:
            name = self._key.name(beacon)
            self._count(self._engine.hear(self._now_ms, receiver, name, rssi_dbm))
        return out

    def tick(self, at_ms: int) -> "list[Touchpoint]":
        """Counts, if a window ends here."""
        out = self._up_to(at_ms)
        if out is None:
            return []
        if self._engine is not None:
            self._count(self._engine.tick(self._now_ms))
        return out

    def close(self, at_ms: int) -> "list[Touchpoint]":
        """The counts of a window that ends early: whoever is there now is `present`."""
        out = self._up_to(at_ms) or []
        if self._engine is not None:
            self._count(self._engine.tick(self._now_ms))
            begun = self._now_ms > self._from_ms
            self._until_ms = self._now_ms
            counts = self._close()
            if begun:
                out = out + counts
        self._carried = {}
        return out

    def _up_to(self, at_ms: int) -> "list[Touchpoint] | None":
        """Let time pass; None if this is no time."""
        if not is_time(at_ms):
            self.dropped["time"] += 1
            return None
        self._now_ms = max(at_ms, self._now_ms)
        out: "list[Touchpoint]" = []
        if self._engine is not None and self._now_ms >= self._until_ms:
            self._count(self._engine.tick(self._until_ms))
            out = self._close()
        if self._engine is None:
            self._begin()
        if self._carried and self._now_ms >= self._from_ms + _HAND_OVER_MS:
            self._miss()
        return out

    def _begin(self) -> None:
        self._engine = self._fresh()
        self._engine.dropped = self.dropped
        self._key = PseudonymKey(self._draw(), self._hmac, "anon:")
        self._from_ms = self._now_ms
        self._until_ms = (self._now_ms // self._window_ms + 1) * self._window_ms

    def _count(self, touchpoints: "list[Touchpoint]") -> None:
        for touchpoint in touchpoints:
            if touchpoint.code not in (_ENTER, _EXIT):
                self.dropped["withheld"] += 1
                continue
            visit = touchpoint.get("visit")
            if touchpoint.code == _ENTER:
                zone = self._open[visit] = touchpoint.get("zone")
                if self._carried.get(zone):
                    self._carried[zone] -= 1
                else:
                    _group(self._entered, zone).add(touchpoint.get("visitor"))
            elif visit in self._open:
                zone = self._open.pop(visit)
                _group(self._left, zone).add(touchpoint.get("visitor"))

    def _miss(self) -> None:
        """Who was there before the salt changed and was not seen again has gone."""
        for zone in self._carried:
            _group(self._left, zone).others += self._carried[zone]
        self._carried = {}

    def _close(self) -> "list[Touchpoint]":
        """The window's counts; all else of it is forgotten."""
        if self._until_ms >= self._from_ms + _HAND_OVER_MS:
            self._miss()
        present = self._carried
        for zone in self._open.values():
            present[zone] = present.get(zone, 0) + 1
        out = []
        for zone in self._zones:
            out.append(
                make(
                    "count",
                    self._until_ms,
                    counter=self._counter,
                    zone=zone,
                    window_ms=self._until_ms - self._from_ms,
                    entered=self._told(_group(self._entered, zone).size()),
                    left=self._told(_group(self._left, zone).size()),
                    present=self._told(present.get(zone, 0)),
                )
            )
        # Somebody who was here a whole window ago is not the one who comes now.
        self._carried = present if self._now_ms < self._until_ms + _HAND_OVER_MS else {}
        self._open = {}
        self._entered = {}
        self._left = {}
        if self._key is not None:
            self._key.forget()
        self._engine = self._key = None
        return out

    def _told(self, figure: int) -> "int | None":
        return figure if figure >= self._least else None


class _Group:
    """Different phones of one window. One that comes five times is not a group of five."""

    __slots__ = ("names", "others")

    def __init__(self) -> None:
        self.names: "set[str]" = set()
        self.others = 0  # those without a name

    def add(self, name: str) -> None:
        if len(self.names) < _MOST_NAMES:
            self.names.add(name)
        elif name not in self.names:
            self.others += 1

    def size(self) -> int:
        return len(self.names) + self.others


def _group(groups: "dict[str, _Group]", zone: str) -> "_Group":
    found = groups.get(zone)
    if found is None:
        found = groups[zone] = _Group()
    return found
