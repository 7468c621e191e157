"""The write-behind: a snapshot of what is derived, in slices, so that no commit has to wait for it.

A round takes all records that differ from the disk, sorted by handle, so that neighbours share
pages; each turn carries a slice of them. When the last one is committed, the log up to where the
round began need not be folded again: that is the new watermark.
"""

from cloud_bridge.people import TOTALS, People
from cloud_bridge.store import Writes

# A round begins after so many touchpoints (a restart folds about that many again), when so many
# records wait to be written, or after a while if there is anything to write.
EVERY_TOUCHPOINTS = 1_000_000
EVERY_DIRTY = 100_000
EVERY_S = 30.0


class Snapshot:
    """`grown` at each commit; `advance` puts the next slice into a commit."""

    def __init__(self, people: People) -> None:
        self.tail = 0  # touchpoints behind the watermark
        self._people = people
        self._left: list[int] = []
        self._upto = 0
        self._tail_before = 0
        self._began_s = 0.0

    @property
    def under_way(self) -> bool:
        """Whether a round is not finished."""
        return self._upto > 0

    @property
    def is_overdue(self) -> bool:
        """Whether so much waits to be written that even what is urgent has to carry some."""
        return self.tail >= 2 * EVERY_TOUCHPOINTS or len(self._people.dirty) >= 2 * EVERY_DIRTY

    def grown(self, touchpoints: int) -> None:
        """The log has grown."""
        self.tail += touchpoints

    def begin_if_due(self, last_id: int, now_s: float) -> None:
        """Begin a round, if it is time. `last_id`: the last log row that has been folded."""
        if self.under_way or not self.tail:
            return
        dirty = self._people.dirty
        waited = now_s - self._began_s >= EVERY_S
        if waited or self.tail >= EVERY_TOUCHPOINTS or len(dirty) >= EVERY_DIRTY:
            self.begin(last_id, now_s)

    def begin(self, last_id: int, now_s: float) -> None:
        """Begin a round now."""
        self._left = sorted(self._people.dirty, reverse=True)
        self._upto = last_id
        self._tail_before = self.tail
        self._began_s = now_s

    def advance(self, writes: Writes, last_id: int, most: int) -> None:
        """Add at most `most` records, and with the last ones the watermark."""
        if not self.under_way:
            return
        left, dirty = self._left, self._people.dirty
        taken: list[int] = []
        while left and len(taken) < most:
            handle = left.pop()
            if handle in dirty:
                taken.append(handle)
        for row in self._people.packed(taken, last_id):
            writes.subjects[row.handle] = row
        if not left:
            writes.subjects[TOTALS] = self._people.packed_totals(last_id)
            writes.watermark = self._upto
            self.tail -= self._tail_before
            self._upto = 0
