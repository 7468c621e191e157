"""The leases that a pool remembers: of each number in their order, and who had a number last."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import replace

from edge_sdk.numbers.lease import Lease


class History:
    """Live leases and ended ones. What changed is gathered in `changed` and `forgotten`."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.changed: dict[str, Lease] = {}
        self.forgotten: list[str] = []
        self._past: dict[str, list[tuple[int, str]]] = {}  # number -> (since_ms, id), in order
        self._had: dict[tuple[str, str], list[str]] = {}  # (kind, holder) -> numbers last hers
        self._last: dict[str, tuple[str, str]] = {}  # number -> its key in _had

    def put(self, lease: Lease) -> None:
        """Keep a lease, new or as it is now."""
        if lease.id not in self.leases:
            insort(self._past.setdefault(lease.number, []), (lease.since_ms, lease.id))
        self.leases[lease.id] = self.changed[lease.id] = lease

    def past(self, number: str) -> list[Lease]:
        """The leases of a number, in the order of their beginnings."""
        return [self.leases[id_] for _, id_ in self._past.get(number, ())]

    def first(self, number: str) -> Lease | None:
        """The lease of a number that began first."""
        past = self._past.get(number)
        return self.leases[past[0][1]] if past else None

    def count(self, number: str) -> int:
        return len(self._past.get(number, ()))

    def forget(self, lease: Lease) -> None:
        """Know nothing of a lease any more."""
        past = self._past[lease.number]
        del past[bisect_left(past, (lease.since_ms, lease.id))]
        if not past:
            del self._past[lease.number]
        del self.leases[lease.id]
        self.changed.pop(lease.id, None)
        self.forgotten.append(lease.id)

    def drop(self, number: str) -> list[Lease]:
        """Know nothing of a number any more; its leases, which are not counted as forgotten."""
        dropped = [self.leases.pop(id_) for _, id_ in self._past.pop(number, ())]
        self.note_last(number, "")
        return dropped

    def restore(self, leases: Iterable[Lease]) -> None:
        """Be what these rows say."""
        for lease in leases:
            self.leases[lease.id] = lease
            self._past.setdefault(lease.number, []).append((lease.since_ms, lease.id))
        for past in self._past.values():
            past.sort()

    def erase(self, holder: str) -> list[str]:
        """Forget whose leases these were; their numbers."""
        hers = [lease for lease in self.leases.values() if lease.holder == holder]
        for lease in hers:
            self.put(replace(lease, holder=""))
        return [lease.number for lease in hers]

    def note_last(self, number: str, live: str) -> None:
        """Note who had a number last: whose is the lease `live`, or else the latest."""
        key = None
        if past := self._past.get(number):
            lease = self.leases[live or past[-1][1]]
            key = (lease.kind, lease.holder) if lease.holder else None
        before = self._last.pop(number, None)
        if before is not None and before != key:
            self._had[before].remove(number)
            if not self._had[before]:
                del self._had[before]
        if key is not None:
            self._last[number] = key
            if before != key:
                self._had.setdefault(key, []).append(number)

    def hers(self, kind: str, holder: str) -> list[tuple[int, str, str]]:
        """The numbers that a holder had last: (since_ms, lease, number) of each, latest first."""
        numbers = self._had.get((kind, holder), ())
        return sorted(((*self._past[number][-1], number) for number in numbers), reverse=True)
