"""Statistics of a window of readings that one wild reading does not move.

Radio noise is one-sided: a fade takes 20 dB away, nothing adds them. So a window is told by its
median and the median deviation from it, after what lies outside of Tukey's fences (J. W. Tukey,
"Exploratory Data Analysis", 1977) has been left out.
"""

MAX_KEPT = 64  # readings of one receiver that a window is told by; the others only count
MAX_RECEIVERS = 256

_OFFSET = 128  # -127 to +20 dBm as a byte
_FENCED_FROM = 5  # of fewer readings the quartiles say nothing


class Log:
    """What was heard of one beacon in a short while: receiver and strength, two bytes a reading.

    `add` costs the same however much is in it; `most` bounds the readings that it keeps.
    """

    __slots__ = ("_more", "_most", "_pairs")

    def __init__(self, most: int = 256) -> None:
        self._pairs = bytearray()
        self._most = 2 * most
        # Receiver -> readings that only count, once it is full.
        self._more: "dict[int, int] | None" = None

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, receiver: int, rssi_dbm: int) -> None:
        """A reading at a receiver (by number, below 256), -127 to +20 dBm."""
        pairs = self._pairs
        if len(pairs) < self._most:
            pairs.append(receiver)
            pairs.append(rssi_dbm + _OFFSET)
        else:
            self._count(receiver, 1)

    def add_summary(self, receiver: int, rssi_dbm: int, readings: int) -> None:
        """Several readings of which only the median is known."""
        for _ in range(min(readings, MAX_KEPT)):
            self.add(receiver, rssi_dbm)
        if readings > MAX_KEPT:
            self._count(receiver, readings - MAX_KEPT)

    def extend(self, other: "Log") -> None:
        """All readings of another log as well."""
        room = max(0, self._most - len(self._pairs))
        self._pairs.extend(other._pairs[:room])
        left = other._pairs[room:]
        for at in range(0, len(left), 2):
            self._count(left[at], 1)
        if other._more:
            for receiver in other._more:
                self._count(receiver, other._more[receiver])

    def by_receiver(self) -> "list[tuple[int, list[int], int]]":
        """Of each receiver, in their order: number, strengths kept in dBm rising, readings."""
        pairs = self._pairs
        of: "dict[int, list[int]]" = {}
        for at in range(0, len(pairs), 2):
            receiver = pairs[at]
            strength_dbm = pairs[at + 1] - _OFFSET
            if receiver in of:
                of[receiver].append(strength_dbm)
            else:
                of[receiver] = [strength_dbm]
        more = self._more or {}
        found = []
        for receiver in sorted(of):
            rssi_dbm = of[receiver]
            readings = len(rssi_dbm) + more.get(receiver, 0)
            rssi_dbm.sort()
            found.append((receiver, rssi_dbm, readings))
        return found

    def _count(self, receiver: int, readings: int) -> None:
        if self._more is None:
            self._more = {}
        self._more[receiver] = self._more.get(receiver, 0) + readings


def median(rising: "list[int]") -> float:
    """The median of values that rise; of two middle ones their mean."""
    count = len(rising)
    return (rising[(count - 1) // 2] + rising[count // 2]) / 2


def middle(rising: "list[int]") -> int:
    """The middle of values that rise; of two middle ones the higher, so that it stays an int."""
    return rising[len(rising) // 2]


def fenced(rising: "list[int]") -> "list[int]":
    """The values within 1.5 times the range between the quartiles of the quartiles."""
    count = len(rising)
    if count < _FENCED_FROM:
        return rising
    low, high = rising[count // 4], rising[(3 * count) // 4]
    reach = max(3, (3 * (high - low)) // 2)
    if rising[0] >= low - reach and rising[-1] <= high + reach:
        return rising
    return [value for value in rising if low - reach <= value <= high + reach]


def summary(rising: "list[int]") -> "tuple[int, int]":
    """Median and median deviation from it of values that rise, wild ones left out."""
    kept = fenced(rising)
    centre = middle(kept)
    return centre, middle(sorted([abs(value - centre) for value in kept]))
