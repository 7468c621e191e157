"""What of other people's phones a gateway may keep and tell: a mode around a presence engine.

Each mode is an engine itself (`engine.PresenceEngine`): readings go in by it, and what comes out is
all that may leave the gateway. The tiers are those that regulators draw for counting shoppers by
their radio: make anonymous within minutes; or make a pseudonym at once and destroy it within a day;
whatever addresses a person needs her consent.

    aggregate          counts of a zone and a window, of groups only; a salt that lives a window
    pseudonymous-24h   visits under pseudonyms whose key is forgotten within 24 hours
    consented          what our own app and tags emit, and nothing of anybody else

A salt and a key are random, in memory alone, and overwritten at their end, so that a restart
forgets them as well. Without it nobody, the gateway included, can tell which phone a pseudonym was:
an unkeyed hash would not do, since all addresses can be tried in hours.

`at_ms` has to be a clock that does not jump (`edge_sdk.clock.SteadyClock`), and `tick` has to be
called: by these a key ends.
"""

from ..wire.touchpoint import CODES, Touchpoint, make
from .engine import DROPS, is_time
from .footfall import LEAST, WINDOW_MS, Aggregate
from .pseudonyms import PseudonymKey, is_hashable

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import PresenceEngine
    from .pseudonyms import Draw, Hmac

    Fresh = Callable[[], PresenceEngine]

AGGREGATE, PSEUDONYMOUS, CONSENTED = "aggregate", "pseudonymous-24h", "consented"

MODES = (AGGREGATE, PSEUDONYMOUS, CONSENTED)

# Mode -> the types of touchpoints that leave, of those that an engine makes.
LEAVES = {
    AGGREGATE: ("count",),
    PSEUDONYMOUS: ("visit.enter", "visit.dwell", "visit.exit"),
    CONSENTED: ("sighting", "visit.enter", "visit.dwell", "visit.exit", "position", "count"),
}

PSEUDONYM = "p24:"
DAY_MS = 86_400_000
MIN_LIFE_MS = 60_000

_VISITS = tuple([CODES[name] for name in LEAVES[PSEUDONYMOUS]])
_ENTER, _EXIT = CODES["visit.enter"], CODES["visit.exit"]


class _Visit:
    """An open visit, as it was told."""

    __slots__ = ("enter", "number")

    def __init__(self, number: int, enter: "Touchpoint") -> None:
        self.number = number
        self.enter = enter


class Pseudonymous:
    """Mode `pseudonymous-24h`: visits of `p24:` pseudonyms, which nobody can follow past a day.

    fresh    makes an engine; it hears pseudonyms only
    draw     32 random bytes, anew each time (`os.urandom`)
    hmac     HMAC-SHA256 (`wire.suite.Suite.hmac`)
    life_ms  of a key: 1 minute to 24 hours

    When a key ends, every open visit does, with a `visit.exit` of `probability_pct` 0: nobody has
    left, but nobody can be recognised either. Sightings and positions stay here: a path tells more
    of a person than that she was there. Gateways have keys of their own, so what two of them tell
    of one phone cannot be put together.
    """

    __slots__ = (
        "_draw",
        "_engine",
        "_fresh",
        "_hmac",
        "_key",
        "_last_visit",
        "_life_ms",
        "_now_ms",
        "_open",
        "_until_ms",
        "dropped",
    )

    def __init__(
        self, fresh: "Fresh", draw: "Draw", hmac: "Hmac", *, life_ms: int = DAY_MS
    ) -> None:
        if not MIN_LIFE_MS <= life_ms <= DAY_MS:
            raise ValueError("a key lives 1 minute to 24 hours")
        self._fresh = fresh
        self._draw = draw
        self._hmac = hmac
        self._life_ms = life_ms
        self._engine: "PresenceEngine | None" = None
        self._key: "PseudonymKey | None" = None
        self._now_ms = self._until_ms = self._last_visit = 0
        self._open: "dict[int, _Visit]" = {}
        self.dropped: "dict[str, int]" = dict.fromkeys(DROPS + ("withheld",), 0)

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
        """Visits that this reading, and the time since the one before, bring about."""
        out = self._up_to(at_ms)
        if out is None:
            return []
        if not is_hashable(beacon):
            self.dropped["beacon"] += 1
            return out
        if self._engine is None or self._key is None:
            self._engine = self._fresh()
            self._engine.dropped = self.dropped
            self._key = PseudonymKey(self._draw(), self._hmac, PSEUDONYM)
            self._until_ms = self._now_ms + self._life_ms
        name = self._key.name(beacon)
        return self._leaving(self._engine.hear(self._now_ms, receiver, name, rssi_dbm), out)

    def tick(self, at_ms: int) -> "list[Touchpoint]":
        """Visits that time alone brings about."""
        out = self._up_to(at_ms)
        if out is None:
            return []
        if self._engine is not None:
            self._leaving(self._engine.tick(self._now_ms), out)
        return out

    def close(self, at_ms: int) -> "list[Touchpoint]":
        """The ends of all visits; the key ends as well."""
        out = self._up_to(at_ms) or []
        if self._engine is not None:
            self._leaving(self._engine.close(self._now_ms), out)
            self._until_ms = self._now_ms
            self._end(out)
        return out

    def _up_to(self, at_ms: int) -> "list[Touchpoint] | None":
        """Let time pass; None if this is no time."""
        if not is_time(at_ms):
            self.dropped["time"] += 1
            return None
        self._now_ms = max(at_ms, self._now_ms)
        out: "list[Touchpoint]" = []
        if self._engine is not None and self._now_ms >= self._until_ms:
            self._leaving(self._engine.tick(self._until_ms), out)
            self._end(out)
        return out

    def _end(self, out: "list[Touchpoint]") -> None:
        """Nobody is recognised from here on."""
        for visit in sorted(self._open):
            out.append(self._cut(self._open[visit]))
        self._open = {}
        if self._key is not None:
            self._key.forget()
        self._engine = self._key = None

    def _leaving(
        self, touchpoints: "list[Touchpoint]", out: "list[Touchpoint]"
    ) -> "list[Touchpoint]":
        """Those that may leave; engines come and go, and visits are numbered through."""
        for touchpoint in touchpoints:
            if touchpoint.code not in _VISITS:
                self.dropped["withheld"] += 1
                continue
            theirs = touchpoint.get("visit")
            if touchpoint.code == _ENTER:
                self._last_visit += 1
                self._open[theirs] = _Visit(self._last_visit, touchpoint)
            visit = self._open.get(theirs)
            if visit is None:
                self.dropped["withheld"] += 1
                continue
            if touchpoint.code == _EXIT:
                del self._open[theirs]
            values = (visit.number,) + touchpoint.values[1:]
            out.append(Touchpoint(touchpoint.code, touchpoint.at_ms, values))
        return out

    def _cut(self, visit: "_Visit") -> "Touchpoint":
        """The end of a visit whose key ended."""
        enter = visit.enter
        since_ms = self._until_ms - (enter.at_ms or 0)
        low_ms, high_ms = enter.get("ago_low_ms"), enter.get("ago_high_ms")
        known = low_ms is not None and high_ms is not None
        return make(
            "visit.exit",
            self._until_ms,
            visit=visit.number,
            visitor=enter.get("visitor"),
            zone=enter.get("zone"),
            dwell_ms=since_ms + ((low_ms + high_ms) // 2 if known else 0),
            probability_pct=0,
            dwell_low_ms=since_ms + low_ms if known else None,
            dwell_high_ms=since_ms + high_ms if known else None,
        )


class Consented:
    """Mode `consented`: what our own app and tags emit passes; of others nothing is kept.

    engine  hears what passes
    ours    "eid:" for rotating ids, and namespaces of our own tags, as "ibeacon:<uuid, 32 hex>" or
            "uid:<namespace, 20 hex>"
    beside  counts all others (`Aggregate`), or None: they are dropped

    A rotating id does not say whose it is, and a gateway has no key to find out: another maker's
    EID passes as well. It leads to nobody, because the bridge resolves those who consented alone.
    Own tags do not rotate: whom they are given to has to have consented.
    """

    __slots__ = ("_alive", "_beside", "_engine", "_ours", "dropped")

    def __init__(
        self,
        engine: "PresenceEngine",
        ours: "tuple[str, ...]" = ("eid:",),
        beside: "Aggregate | None" = None,
    ) -> None:
        self._engine = engine
        self._ours = tuple([prefix_of(namespace) for namespace in ours])
        self._beside = beside
        # A stranger's phone tells nothing but that the receiver works; some engines ask for that.
        self._alive = getattr(engine, "alive", None)
        self.dropped: "dict[str, int]" = engine.dropped
        self.dropped["foreign"] = 0

    def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
        """Touchpoints that this reading, and the time since the one before, bring about."""
        if isinstance(beacon, str):
            for prefix in self._ours:
                if beacon.startswith(prefix):
                    return self._engine.hear(at_ms, receiver, beacon, rssi_dbm)
        self.dropped["foreign"] += 1
        if self._alive is not None:
            self._alive(at_ms, receiver)
        return [] if self._beside is None else self._beside.hear(at_ms, receiver, beacon, rssi_dbm)

    def tick(self, at_ms: int) -> "list[Touchpoint]":
        """Touchpoints that time alone brings about."""
        out = self._engine.tick(at_ms)
        return out if self._beside is None else out + self._beside.tick(at_ms)

    def close(self, at_ms: int) -> "list[Touchpoint]":
        """The ends of all visits, and the counts of the window that is cut."""
        out = self._engine.close(at_ms)
        return out if self._beside is None else out + self._beside.close(at_ms)


# A namespace of ours -> how many hexadecimal digits it has, and what follows it in an identifier.
NAMESPACES = {"eid": (0, ""), "ibeacon": (32, "-"), "uid": (20, "-")}


def prefix_of(namespace: str) -> str:
    """How an identifier of this namespace begins. Raises ValueError for what is none of ours."""
    scheme, _, digits = namespace.partition(":")
    size, behind = NAMESPACES.get(scheme, (-1, ""))
    if len(digits) != size or [char for char in digits if char not in "0123456789abcdef"]:
        raise ValueError(
            "a namespace is 'eid:', 'ibeacon:' and 32 hexadecimal digits in lower case, or"
            " 'uid:' and 20: what everybody's phone emits is nobody's namespace"
        )
    return namespace + behind


def guarded(
    mode: str,
    fresh: "Fresh",
    zones: "tuple[str, ...]",
    counter: str,
    draw: "Draw",
    hmac: "Hmac",
    ours: "tuple[str, ...]" = ("eid:",),
    count_others: bool = False,
    least: int = LEAST,
    window_ms: int = WINDOW_MS,
) -> "PresenceEngine":
    """The engine of a gateway in the mode that its store plan names (`privacy = ...`).

    count_others  in mode `consented`: those who are not ours are counted as in mode `aggregate`
    least, window_ms  of counts, as `Aggregate` has them

    As the classes above say. Raises ValueError: a gateway without a mode hears nobody.
    """
    if mode == PSEUDONYMOUS:
        return Pseudonymous(fresh, draw, hmac)
    counts = None
    if mode == AGGREGATE or (mode == CONSENTED and count_others):
        counts = Aggregate(fresh, zones, counter, draw, hmac, window_ms=window_ms, least=least)
    if mode == CONSENTED:
        return Consented(fresh(), ours, counts)
    if counts is not None:
        return counts
    raise ValueError("a gateway's privacy is one of %s" % ", ".join(MODES))
