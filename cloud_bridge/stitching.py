"""Visits put together: pieces of one stay that rotation, two gateways or a restart has cut apart.

Pure. A gateway knows a beacon by what it emits: when that changes, a visit ends for it and another
begins. Once both have been resolved to one thing they are pieces of one stay. A piece is what one
device said of one of its visits; what it says in several touchpoints is joined, in any order, to
the same. Pieces of one zone are one stay where they overlap, or follow within `GAP_MS`. A piece
whose exit was not told lasts for up to `OPEN_MS` after it was last told of.

So what is known depends on the pieces and not on their order, within bounds: news that is up to
12 hours late, of pieces that last up to 12 hours (`LONGEST_MS`; a longer dwell is taken for that),
and `MAX_PIECES` that are not settled. A stay is settled (counted, and its pieces forgotten) once
nothing within these bounds can join it; what comes later than that is a stay of its own.
"""

from bisect import insort
from operator import attrgetter
from typing import Any, Final

import msgspec

from edge_sdk.wire.touchpoint import CODES

ENTER, DWELL, EXIT = CODES["visit.enter"], CODES["visit.dwell"], CODES["visit.exit"]
VISITS: Final = frozenset({ENTER, DWELL, EXIT})

# Whoever is back within this has not left: an engine waited some seconds more before it said so.
GAP_MS: Final = 30_000
# Engines are silent while somebody stays; whose device died never says that she left.
OPEN_MS: Final = 3_600_000
LONGEST_MS: Final = 12 * 3_600_000
SETTLED_MS: Final = 2 * LONGEST_MS
MAX_PIECES: Final = 64
_MAX_ZONE: Final = 64  # characters that tell zones apart

# Whose number of a visit it is: device, generation, epoch.
Source = tuple[int, int, int]
NO_SOURCE: Source = (0, 0, 0)


class Piece(msgspec.Struct, array_like=True, gc=False):
    """What one device said of one visit, as far as it did.

    source, visit  together its name; devices count visits from 1 at each start
    began_ms       the earliest that was said
    dwell_ms       the longest that was said
    seen_ms        when it was last told of
    left           whether its exit was told
    """

    site: str
    zone: str
    source: Source
    visit: int
    began_ms: int
    dwell_ms: int
    seen_ms: int
    left: bool

    def is_same(self, other: "Piece") -> bool:
        """Whether both tell of one visit."""
        return (
            self.visit == other.visit
            and self.source == other.source
            and self.zone == other.zone
            and self.site == other.site
        )

    def joined(self, other: "Piece") -> "Piece":
        """What both tell, together."""
        return Piece(
            self.site,
            self.zone,
            self.source,
            self.visit,
            min(self.began_ms, other.began_ms),
            max(self.dwell_ms, other.dwell_ms),
            max(self.seen_ms, other.seen_ms),
            self.left or other.left,
        )

    @property
    def until_ms(self) -> int:
        """What begins later than this is no continuation of it."""
        return self.seen_ms + GAP_MS + (0 if self.left else OPEN_MS)


class Stays(msgspec.Struct, array_like=True):
    """The stays of one thing: how many are settled, how long they lasted together, other pieces."""

    settled: int = 0
    settled_ms: int = 0
    pieces: list[Piece] = []

    def hear(self, piece: Piece) -> "News":
        """A piece, or more of one that is known."""
        same = next((known for known in self.pieces if known.is_same(piece)), None)
        joined = piece if same is None else same.joined(piece)
        self.pieces = [known for known in self.pieces if known is not same]
        insort(self.pieces, joined, key=_ORDER)
        site, zone = piece.site, piece.zone
        here = [known for known in self.pieces if known.zone == zone and known.site == site]
        before = [] if same is None else [same]
        if len(here) > 1:
            stay = next(stay for stay in _stays(here) if any(known is joined for known in stay))
            before += [known for known in stay if known is not joined]
        longest_ms = max((known.dwell_ms for known in before), default=0)
        self._settle()
        return News(not before, longest_ms, self)

    def open(self) -> list[list[Piece]]:
        """The stays that are not settled, in the order of their beginnings."""
        return _stays(self.pieces)

    @property
    def visits(self) -> int:
        """How many stays there were."""
        return self.settled + len(self.open())

    @property
    def dwell_ms(self) -> int:
        """How long they lasted, all together."""
        return self.settled_ms + sum(map(dwell_of, self.open()))

    def _settle(self) -> None:
        old_ms = max([piece.seen_ms for piece in self.pieces]) - SETTLED_MS
        if self.pieces[0].began_ms >= old_ms and len(self.pieces) <= MAX_PIECES:
            return
        stays = sorted(self.open(), key=_until)
        while len(stays) > 1:
            is_old = _until(stays[0]) < old_ms
            if not is_old and sum(map(len, stays)) <= MAX_PIECES:
                break
            self.settled += 1
            self.settled_ms += dwell_of(stays.pop(0))
        pieces = sorted((piece for stay in stays for piece in stay), key=_ORDER)
        if len(pieces) > MAX_PIECES:  # of a single stay
            first, second, *rest = pieces
            pieces = sorted([_merged(first, second), *rest], key=_ORDER)
        self.pieces = pieces


class News:
    """What a touchpoint changed.

    begins      whether it begins a stay
    longest_ms  the longest dwell that had been told of this stay before
    stays       all of the thing's
    """

    __slots__ = ("begins", "longest_ms", "stays")

    def __init__(self, begins: bool, longest_ms: int, stays: Stays) -> None:
        self.begins = begins
        self.longest_ms = longest_ms
        self.stays = stays

    def is_news(self, code: int, values: tuple[Any, ...]) -> bool:
        """Whether it says something of the stay that was not so before."""
        if code == ENTER:
            return self.begins
        return self.begins or _span(values[3]) > self.longest_ms


def piece_of(
    code: int, at_ms: int, values: tuple[Any, ...], site: str, source: Source
) -> Piece | None:
    """What a touchpoint of a visit tells; None: it does not say of which."""
    visit, _, zone, *said = values
    if visit is None:
        return None
    zone = (zone or "")[:_MAX_ZONE]
    if code == ENTER:
        return Piece(site, zone, source, visit, at_ms - _span(said[1]), 0, at_ms, False)
    dwell_ms = _span(said[0])
    return Piece(site, zone, source, visit, at_ms - dwell_ms, dwell_ms, at_ms, code == EXIT)


def dwell_of(stay: list[Piece]) -> int:
    """How long a stay lasted, from its first beginning to the last end that was told."""
    ended_ms = max(piece.began_ms + piece.dwell_ms for piece in stay)
    return ended_ms - min(piece.began_ms for piece in stay)


def _stays(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces in their order, put together."""
    found: list[list[Piece]] = []
    open_: dict[tuple[str, str], tuple[list[Piece], int]] = {}
    for piece in pieces:
        place = piece.site, piece.zone
        stay, until_ms = open_.get(place, (None, 0))
        if stay is None or piece.began_ms > until_ms:
            stay = []
            found.append(stay)
            until_ms = 0
        stay.append(piece)
        open_[place] = stay, max(until_ms, piece.until_ms)
    return found


def _until(stay: list[Piece]) -> int:
    return max(piece.until_ms for piece in stay)


def _merged(first: Piece, second: Piece) -> Piece:
    """Two pieces of a stay that has too many, under the name of the later."""
    ended_ms = max(first.began_ms + first.dwell_ms, second.began_ms + second.dwell_ms)
    began_ms = min(first.began_ms, second.began_ms)
    return Piece(
        second.site,
        second.zone,
        second.source,
        second.visit,
        began_ms,
        ended_ms - began_ms,
        max(first.seen_ms, second.seen_ms),
        first.left and second.left,
    )


def _span(said_ms: int | None) -> int:
    """A span as it may be: a device can say anything."""
    return min(max(said_ms or 0, 0), LONGEST_MS)


_ORDER = attrgetter("began_ms", "seen_ms", "site", "zone", "source", "visit")
