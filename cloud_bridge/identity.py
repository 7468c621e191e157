"""Whose an identifier is: the first, simple answer, behind the face that a better one will have.

Pure. An identifier is `scheme:value`, and the scheme says what it belongs to. Only log-ins, cards
and the like name a person; only a person's own things can lead to one; what people share never
does. A link holds from its time on, until the next person logs in on the same thing; the first one
also claims what was done before it.
"""

from bisect import insort
from typing import Final

PERSON: Final = frozenset({"crm", "login", "loyalty"})
OWN: Final = frozenset({"app", "ble", "cookie", "phone", "rpa", "tag"})
SHARED: Final = frozenset({"kiosk", "line", "number", "tablet", "wifi"})

# A thing that changes hands more often is a shared one in disguise: the newest links are kept.
MAX_LINKS: Final = 16


def scheme_of(identifier: str) -> str:
    """The part before the first colon."""
    return identifier.partition(":")[0]


class Identity:
    """Links of own things to persons, in the order in which they are learnt."""

    def __init__(self) -> None:
        self.links: dict[str, list[tuple[int, str]]] = {}

    def link(self, seen: str | None, known_as: str | None, at_ms: int) -> str:
        """Learn that `seen` is in the hands of `known_as` from `at_ms` on; what came of it.

        "claimed": the first link of this thing; "linked": another; "known": nothing new;
        "shared", "nobody": no link, since the one is not a person's own or the other no person.
        """
        if seen is None or scheme_of(seen) not in OWN:
            return "shared"
        if known_as is None or scheme_of(known_as) not in PERSON:
            return "nobody"
        links = self.links.get(seen)
        if links is None:
            self.links[seen] = [(at_ms, known_as)]
            return "claimed"
        if self.subject_of(seen, at_ms) == known_as and links[0][0] <= at_ms:
            return "known"
        insort(links, (at_ms, known_as), key=lambda link: link[0])
        del links[:-MAX_LINKS]
        return "linked"

    def subject_of(self, identifier: str | None, at_ms: int) -> str | None:
        """Who this was at that time: a person, or itself where nobody has logged in on it.

        None where it can never lead to a person.
        """
        if identifier is None:
            return None
        scheme = scheme_of(identifier)
        if scheme in PERSON:
            return identifier
        if scheme not in OWN:
            return None
        links = self.links.get(identifier)
        if links is None:
            return identifier
        person = links[0][1]
        for from_ms, holder in links:
            if from_ms > at_ms:
                break
            person = holder
        return person
