"""What one subject did lately, bounded: what an agent may be shown, where that is allowed.

The newest of everything, by the time of what happened, so that what comes late takes its place.
"""

from typing import Final

import msgspec

MAX_PAGES: Final = 8
MAX_ITEMS: Final = 16
MAX_VISITS: Final = 4
MAX_CALLS: Final = 8
_MAX_TEXT: Final = 96  # characters of a page or an item

# What is done to a basket: anything else puts nothing in and takes nothing out.
ADDED, REMOVED, QUOTED = "add", "remove", "quote"


class Item(msgspec.Struct, array_like=True, frozen=True):
    """An item of a basket, or one that a price was asked for."""

    at_ms: int
    action: str
    quantity: int
    value_minor: int | None
    currency: str | None


class Visit(msgspec.Struct, array_like=True, frozen=True, order=True):
    """One visit to a zone, which has ended."""

    at_ms: int
    site: str
    zone: str
    dwell_ms: int


class PastCall(msgspec.Struct, array_like=True, frozen=True):
    """One call, as far as it has got."""

    at_ms: int
    number: str
    phase: str
    duration_ms: int


class Journey(msgspec.Struct, array_like=True):
    """What one subject did lately. `calls`: by the call's name."""

    pages: list[tuple[int, str]] = []
    items: dict[str, Item] = {}
    visits: list[Visit] = []
    calls: dict[str, PastCall] = {}

    def page(self, page: str, at_ms: int) -> None:
        """A page was looked at."""
        self.pages.append((at_ms, page[:_MAX_TEXT]))
        self.pages.sort(key=lambda seen: seen[0])
        del self.pages[:-MAX_PAGES]

    def basket(self, item: str, told: Item) -> None:
        """Something was put into a basket, taken out of it, or a price was asked."""
        item = item[:_MAX_TEXT]
        known = self.items.get(item)
        if told.action not in (ADDED, REMOVED, QUOTED) or (known and known.at_ms > told.at_ms):
            return
        self.items.pop(item, None)
        if told.action != REMOVED:
            self.items[item] = told
        while len(self.items) > MAX_ITEMS:
            del self.items[min(self.items, key=lambda name: self.items[name].at_ms)]

    def ordered(self, at_ms: int) -> None:
        """What had been in the basket was bought."""
        self.items = {name: item for name, item in self.items.items() if item.at_ms > at_ms}

    def visited(self, visit: Visit) -> None:
        """A visit has ended."""
        if visit not in self.visits:
            self.visits.append(visit)
            self.visits.sort()
            del self.visits[:-MAX_VISITS]

    def called(self, call: str, told: PastCall) -> None:
        """A call was heard of: it began at the earliest, and has got as far as the furthest."""
        known = self.calls.get(call)
        if known is not None:
            further = max(known, told, key=lambda past: (past.duration_ms, past.phase != "ring"))
            told = msgspec.structs.replace(further, at_ms=min(known.at_ms, told.at_ms))
        self.calls[call] = told
        while len(self.calls) > MAX_CALLS:
            del self.calls[min(self.calls, key=lambda name: (self.calls[name].at_ms, name))]

    def claim(self, other: "Journey") -> None:
        """Take over what was done under another name."""
        for at_ms, page in other.pages:
            self.page(page, at_ms)
        for item, told in other.items.items():
            self.basket(item, told)
        for visit in other.visits:
            self.visited(visit)
        for call, past in other.calls.items():
            self.called(call, past)
