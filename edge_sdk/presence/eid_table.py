"""Whose Eddystone-EID this is: a look-up in what thousands of beacons should be emitting now.

What is known of a beacon's clock is an interval: how far it is ahead of ours, at least and at most.
It widens with time (crystals drift by up to 150 ppm) and each EID that is heard narrows it again.
The table holds the EIDs of that interval, of two periods before it and of four to eight after, so
that drift, a little lateness and a beacon that restarted ahead (`identifiers.BeaconClock`) are
found by the look-up itself. `refresh` keeps it so, a few identities a call.

An EID that is not there is remembered, and `search` looks for it where a clock can have gone while
there was no power: from the last period that was heard up to now (it stood still), and from zero
up to the time since it was heard (it lost everything, as beacons of others do). It computes as
much a call as the caller allows, whoever sends EIDs that are nobody's.

A beacon's clock does not go back otherwise, so an EID of an earlier period than one that was heard
is a replay, and refused. Only the search from zero can be deceived by one, and only while the
beacon is silent; the clock it had is then kept beside, and is looked for as well.
"""

from .identifiers import EID_BYTES, KEY_BYTES, MAX_EXPONENT, MAX_TIME_S, eids

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .identifiers import Ecb

BEHIND, AHEAD = 2, 4  # periods that the table holds around the interval
MAX_LIVE = 64  # periods of one identity in the table
MAX_SEARCHED = 4096  # periods of one identity that a search goes through from one start

_SLACK_S = 2  # receivers' clocks, and the time that a sighting took
_SILENT_S = 60  # after less, a beacon did not restart at zero, and there is nothing to learn of it
_AGAIN_S = 300  # nobody's EID is looked for again after this long
_CHUNK = 256  # periods computed at a time
_BUCKET_S = 8  # of the calendar
_US = 1_000_000


class _Clock:
    """Of a beacon: at our `synced_s` it was ahead of ours by `low_us` to `high_us`.

    period  the one heard last
    """

    __slots__ = ("high_us", "low_us", "period", "synced_s")

    def __init__(self, low_us: int, high_us: int, synced_s: int, period: int) -> None:
        self.low_us = low_us
        self.high_us = high_us
        self.synced_s = synced_s
        self.period = period

    def drifted(self, at_s: int, drift_ppm: int) -> "tuple[int, int]":
        """How far ahead it is at another time, in us: at least and at most."""
        drift_us = abs(at_s - self.synced_s) * drift_ppm
        return self.low_us - drift_us, self.high_us + drift_us


class _Identity:
    __slots__ = ("at", "before", "clock", "due", "eids", "exponent", "first", "key", "name")

    def __init__(self, name: str, key: bytes, exponent: int, clock: _Clock, at: int) -> None:
        self.name = name
        self.key = key
        self.exponent = exponent
        self.clock = clock
        self.before: "_Clock | None" = None  # the clock that it had, if it went back
        self.first = 0  # the period of eids[0]
        self.eids: "list[bytes]" = []
        self.due = -1  # the calendar's bucket in which it is refreshed
        self.at = at  # its place in the ring


class EidTable:
    """Resolves EIDs. Times are whole seconds of the resolver's clock: when an EID was heard.

    None of them is later than the resolver's now: who hears with other clocks cuts theirs. Earlier
    ones may come late, and teach nothing about a clock that was heard since.

    ecb         `identifiers.Ecb`
    drift_ppm   of the worst beacon
    max_misses  bound on EIDs that are remembered because they are nobody's

    `counts` has what became of the EIDs: "resolved", "unknown", "refused" (replayed), "recovered"
    by a search, "forgotten" to make room for another.
    """

    def __init__(self, ecb: "Ecb", *, drift_ppm: int = 150, max_misses: int = 256) -> None:
        self._ecb = ecb
        self._drift_ppm = drift_ppm
        self._max_misses = max_misses
        self._by_name: "dict[str, _Identity]" = {}
        self._by_eid: "dict[bytes, _Identity]" = {}
        self._ring: "list[_Identity]" = []
        self._calendar: "dict[int, list[_Identity]]" = {}
        self._misses: "dict[bytes, int]" = {}  # EID -> when it was heard
        self._miss_ring: "list[bytes]" = []
        self._next_miss = 0
        self._oldest_s = 0  # of the misses that are searched for
        self._cursor = 0  # the search's place in the ring,
        self._left = 0  # how many identities it has not been through yet,
        self._ranges: "list[tuple[int, int]] | None" = None  # and what is left of this one's
        self.counts = dict.fromkeys(("resolved", "unknown", "refused", "recovered", "forgotten"), 0)

    @property
    def identities(self) -> int:
        """How many there are."""
        return len(self._ring)

    @property
    def eids(self) -> int:
        """How many EIDs the table holds."""
        return len(self._by_eid)

    @property
    def searching(self) -> bool:
        """Whether `search` has something to do."""
        return self._left > 0 and bool(self._misses)

    def __repr__(self) -> str:
        return "<EidTable of %d identities>" % len(self._ring)

    def add(
        self, name: str, identity_key: bytes, exponent: int, beacon_time_s: int, at_s: int
    ) -> None:
        """Take in an identity whose clock showed `beacon_time_s` at `at_s`; one of that name goes.

        Raises ValueError for a key, exponent or time that cannot be.
        """
        if len(identity_key) != KEY_BYTES:
            raise ValueError("an identity key is 16 bytes")
        if not 0 <= exponent <= MAX_EXPONENT:
            raise ValueError("an exponent is 0 to 15")
        if not 0 <= beacon_time_s <= MAX_TIME_S:
            raise ValueError("a beacon's time is 32 bits of seconds")
        offset_us = (beacon_time_s - at_s) * _US
        clock = _Clock(offset_us - _US, offset_us + _US, at_s, beacon_time_s >> exponent)
        self._put(name, identity_key, exponent, clock, at_s)

    def restore(
        self,
        name: str,
        identity_key: bytes,
        exponent: int,
        clock: "tuple[int, int, int, int]",
        now_s: int,
    ) -> None:
        """Take in an identity again with what `clock` told of it."""
        self._put(name, identity_key, exponent, _Clock(*clock), now_s)

    def clock(self, name: str) -> "tuple[int, int, int, int] | None":
        """What has been learnt of a beacon's clock, for `restore`; None: there is none.

        (at least, at most so many us ahead of ours at, that time in s, the last period heard).
        """
        identity = self._by_name.get(name)
        if identity is None:
            return None
        clock = identity.clock
        return clock.low_us, clock.high_us, clock.synced_s, clock.period

    def _put(
        self, name: str, identity_key: bytes, exponent: int, clock: _Clock, now_s: int
    ) -> None:
        self.remove(name)
        identity = _Identity(name, identity_key, exponent, clock, len(self._ring))
        self._by_name[name] = identity
        self._ring.append(identity)
        self._fill(identity, now_s)

    def remove(self, name: str) -> None:
        """Forget an identity and its key, if it is there."""
        identity = self._by_name.pop(name, None)
        if identity is None:
            return
        self._drop(identity, identity.eids)
        last = self._ring.pop()
        if last is not identity:
            self._ring[identity.at] = last
            last.at = identity.at
            # The one that moved may not have been searched yet.
            self._left = len(self._ring) if self._left else 0
        self._left = min(self._left, len(self._ring))
        self._ranges = None
        # The calendar may hold it for a while; there is nothing in it any more.
        identity.due, identity.key, identity.eids = -1, b"", []

    def whose(self, eid: bytes) -> "str | None":
        """The name of the identity that may emit this; nothing is learnt or remembered of it."""
        identity = self._by_eid.get(eid)
        return None if identity is None else identity.name

    def resolve(self, eid: bytes, at_s: int, late_s: int = 0) -> "str | None":
        """The name of the identity that emitted this, or None. A look-up.

        late_s  it may have been heard as much earlier: what is told of a visit is told when it is
                over. Of that long before an EID changed, the one before is no replay.
        """
        identity = self._by_eid.get(eid)
        if identity is None:
            self.counts["unknown"] += 1
            if len(eid) == EID_BYTES:
                self._miss(eid, at_s)
            return None
        if not self._heard(identity, identity.first + identity.eids.index(eid), at_s, late_s):
            self.counts["refused"] += 1
            return None
        self.counts["resolved"] += 1
        return identity.name

    def refresh(self, now_s: int, budget: int) -> int:
        """Bring at most `budget` identities up to date; how many were. To be called every second.

        Fewer than `budget`: the table is as it should be.
        """
        done, now = 0, now_s // _BUCKET_S
        while self._calendar and done < budget:
            bucket = min(self._calendar)
            if bucket > now:
                break
            waiting = self._calendar[bucket]
            while waiting and done < budget:
                identity = waiting.pop()
                if identity.due == bucket:
                    self._fill(identity, now_s)
                    done += 1
            if not waiting:
                del self._calendar[bucket]
        return done

    def search(self, now_s: int, budget: int) -> "list[tuple[bytes, str]]":
        """Look for the EIDs that were nobody's, computing some `budget` EIDs; (EID, name) found.

        From now on those resolve. An empty list, and nothing computed, when there is none to find.
        """
        found: "list[tuple[bytes, str]]" = []
        while budget > 0 and self.searching:
            identity = self._ring[self._cursor % len(self._ring)]
            if self._ranges is None:
                self._ranges = self._candidates(identity, now_s)
            if not self._ranges:
                self._ranges = None
                self._cursor = identity.at + 1
                self._left -= 1
                budget -= 1
                continue
            first, after = self._ranges.pop()
            count = min(after - first, _CHUNK)
            if first + count < after:
                self._ranges.append((first + count, after))
            budget -= count
            period = first
            for eid in eids(self._ecb, identity.key, identity.exponent, first, count):
                if eid in self._misses:
                    self._recover(identity, period, self._misses.pop(eid), now_s)
                    found.append((eid, identity.name))
                period += 1
        return found

    # Clocks

    def _expected(self, identity: _Identity, clock: _Clock, at_s: int) -> "tuple[int, int]":
        """The first and the last period in which the beacon can be by this clock."""
        low_us, high_us = clock.drifted(at_s, self._drift_ppm)
        low_s = at_s - _SLACK_S + low_us // _US
        high_s = at_s + _SLACK_S - -high_us // _US
        exponent = identity.exponent
        return (
            min(max(0, low_s), MAX_TIME_S) >> exponent,
            min(max(0, high_s), MAX_TIME_S) >> exponent,
        )

    def _heard(self, identity: _Identity, period: int, at_s: int, late_s: int) -> bool:
        """Whether the beacon can have been in this period; learns from it."""
        clock = identity.clock
        if period == clock.period and 0 <= at_s - clock.synced_s < _SILENT_S:
            return True  # several receivers hear it many times a minute
        low, high = self._expected(identity, clock, at_s)
        if late_s and period < low:
            earliest, _ = self._expected(identity, clock, at_s - late_s)
            if earliest <= period:
                return True  # and nobody knows when it was heard
        expected = low <= period <= high
        if at_s < clock.synced_s:
            return expected  # late news of what was so before
        if not expected and period < clock.period:
            return False
        fresh = _clock_of(identity.exponent, period, at_s)
        if expected:
            low_us, high_us = clock.drifted(at_s, self._drift_ppm)
            low_us, high_us = max(low_us, fresh.low_us), min(high_us, fresh.high_us)
            if low_us <= high_us:
                fresh.low_us, fresh.high_us = low_us, high_us
        fresh.period = max(period, clock.period)
        identity.clock = fresh
        self._plan(identity, at_s)
        return True

    def _recover(self, identity: _Identity, period: int, at_s: int, now_s: int) -> None:
        clock, before = identity.clock, identity.before
        self.counts["recovered"] += 1
        if at_s < clock.synced_s:
            return  # late news
        if period < clock.period and (before is None or before.period < clock.period):
            identity.before = clock
        elif before is not None and before.period <= period:
            identity.before = None
        identity.clock = _clock_of(identity.exponent, period, at_s)
        self._fill(identity, now_s)

    # The table

    def _fill(self, identity: _Identity, now_s: int) -> None:
        """Hold the EIDs that are wanted now and for some periods; forget those that are not."""
        low, high = self._expected(identity, identity.clock, now_s)
        first, after = low - BEHIND, high + 1 + AHEAD + _batch(identity.exponent)
        over = (after - first - MAX_LIVE + 1) // 2
        if over > 0:  # a long time unheard, and short periods: the search has the rest
            first, after = first + over, after - over
        first = max(0, first)
        after = min(after, (MAX_TIME_S >> identity.exponent) + 1)
        had, had_after = identity.first, identity.first + len(identity.eids)
        if had <= first < had_after <= after:
            kept = identity.eids[first - had :]
            self._drop(identity, identity.eids[: first - had])
        else:
            kept = []
            self._drop(identity, identity.eids)
        begin = first + len(kept)
        fresh = eids(self._ecb, identity.key, identity.exponent, begin, max(0, after - begin))
        identity.first, identity.eids = first, kept + fresh
        for eid in fresh:
            self._by_eid[eid] = identity
            if eid in self._misses:
                del self._misses[eid]
        identity.due = -1
        self._plan(identity, now_s)

    def _drop(self, identity: _Identity, gone: "list[bytes]") -> None:
        for eid in gone:
            if self._by_eid.get(eid) is identity:
                del self._by_eid[eid]

    def _plan(self, identity: _Identity, now_s: int) -> None:
        """Have it refreshed before the beacon comes to within AHEAD periods of the table's end."""
        end_s = identity.first + len(identity.eids) - AHEAD << identity.exponent
        _, high_us = identity.clock.drifted(now_s, self._drift_ppm)
        due = (end_s - 2 * _SLACK_S - high_us // _US) // _BUCKET_S
        due = max(due, now_s // _BUCKET_S + 1)
        if identity.due < 0 or due < identity.due:
            identity.due = due
            if due not in self._calendar:
                self._calendar[due] = []
            self._calendar[due].append(identity)

    # The search

    def _miss(self, eid: bytes, at_s: int) -> None:
        before_s = self._misses.get(eid)
        if before_s is not None and abs(at_s - before_s) < _AGAIN_S:
            return
        if before_s is None:
            if len(self._miss_ring) < self._max_misses:
                self._miss_ring.append(eid)
            else:
                oldest = self._miss_ring[self._next_miss]
                if self._misses.pop(oldest, None) is not None:
                    self.counts["forgotten"] += 1
                self._miss_ring[self._next_miss] = eid
                self._next_miss = (self._next_miss + 1) % self._max_misses
        self._misses[eid] = at_s
        self._oldest_s = min(self._oldest_s, at_s) if self._left else at_s
        # All of them, and the one that is being searched once more, from its beginning.
        self._left = len(self._ring) + (self._ranges is not None)

    def _candidates(self, identity: _Identity, now_s: int) -> "list[tuple[int, int]]":
        """Runs of periods (first, after the last) that the table lacks, the likeliest last."""
        clock = identity.clock
        ranges: "list[tuple[int, int]]" = []
        for each in (identity.before, clock):
            if each is not None:
                low, _ = self._expected(identity, each, min(self._oldest_s, now_s))
                _, high = self._expected(identity, each, now_s)
                ranges.append((min(low, each.period), high + 1))
        silent_s = now_s - clock.synced_s
        if silent_s >= _SILENT_S:
            ranges.append((0, (silent_s + _SLACK_S >> identity.exponent) + 1))
        held, held_after = identity.first, identity.first + len(identity.eids)
        out = []
        for first, after in ranges:
            middle = min(after, first + MAX_SEARCHED // 2)
            for start, end in ((max(middle, after - MAX_SEARCHED // 2), after), (first, middle)):
                for left, right in ((max(start, held_after), end), (start, min(end, held))):
                    if left < right:
                        out.append((left, right))
        return out


def _clock_of(exponent: int, period: int, at_s: int) -> _Clock:
    """All that one EID tells: the beacon was somewhere in that period."""
    begin_s = period << exponent
    return _Clock(
        (begin_s - at_s - 1) * _US, (begin_s + (1 << exponent) - at_s) * _US, at_s, period
    )


def _batch(exponent: int) -> int:
    """Periods to compute at a time: four, and at least two minutes of them."""
    return max(4, 128 >> exponent)
