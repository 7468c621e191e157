"""The known people of the benches: what each is called, and how the bridge comes to know them."""

import random
from collections.abc import Iterator

from edge_sdk.wire.touchpoint import CODES, Touchpoint
from simulators.mix import Names
from simulators.store_day import PAGES, PURPOSE

# A dictionary has 255 words: three names each, and what all say.
_CALLS, _VIEWS = 84, 168
_IDENTIFY, _CONSENT, _VIEW = CODES["identify"], CODES["consent"], CODES["page.view"]
_CATEGORIES = tuple(PAGES)


def beacon(person: int) -> str:
    """What a person carries."""
    return f"ble:{person:012x}"


def cookie(person: int) -> str:
    """Where a person browses."""
    return f"cookie:{person:08x}"


def card(person: int) -> str:
    """Who a person is."""
    return f"loyalty:{person:08x}"


def interest(person: int) -> str:
    """The category that a person looked at."""
    return _CATEGORIES[person % len(_CATEGORIES)]


def introduced(first: int, beyond: int, at_ms: int) -> Iterator[list[Touchpoint]]:
    """Batches of one class each that make people known: log-ins, consent, and a page viewed."""
    for start in range(first, beyond, _VIEWS):
        people = range(start, min(beyond, start + _VIEWS))
        for at in range(0, len(people), _CALLS):
            yield [said for person in people[at : at + _CALLS] for said in _said(person, at_ms)]
        yield [_viewed(person, at_ms) for person in people]


def _said(person: int, at_ms: int) -> tuple[Touchpoint, Touchpoint, Touchpoint]:
    name = card(person)
    return (
        Touchpoint(_IDENTIFY, at_ms, (beacon(person), name, "app")),
        Touchpoint(_IDENTIFY, at_ms, (cookie(person), name, "login")),
        Touchpoint(_CONSENT, at_ms, (name, PURPOSE, 1, "app")),
    )


def _viewed(person: int, at_ms: int) -> Touchpoint:
    category = interest(person)
    page = PAGES[category][person // len(_CATEGORIES) % len(PAGES[category])]
    return Touchpoint(_VIEW, at_ms, (cookie(person), f"/{category}/{page}", category, None))


class Crowd:
    """So many people, of whom each shopper is any one, drawn by lot."""

    def __init__(self, count: int, seed: int, first: int = 0) -> None:
        self._first = first
        self._count = count
        self._lot = random.Random(f"people {seed}")

    def grow(self, count: int) -> None:
        """So many more."""
        self._count += count

    def names(self, _came: int, _shopper: int) -> Names:
        """Name a shopper of `simulators.mix.bulk`."""
        person = self._drawn()
        return Names(beacon(person), card(person))

    def replaced(self, batch: list[Touchpoint]) -> list[Touchpoint]:
        """The same batch of other people: each of this crowd's is drawn anew."""
        others: dict[str, int] = {}

        def other(value: object) -> object:
            if not isinstance(value, str) or not value.startswith(("ble:", "loyalty:")):
                return value
            person = others.get(value[-8:])
            if person is None:
                person = others[value[-8:]] = self._drawn()
            return beacon(person) if value.startswith("ble:") else card(person)

        return [
            Touchpoint(said.code, said.at_ms, tuple(other(value) for value in said.values))
            for said in batch
        ]

    def _drawn(self) -> int:
        return self._first + self._lot.randrange(self._count)
