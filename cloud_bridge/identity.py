"""Whose a thing is: the first, simple answer, behind the face that a better one will have.

Pure. A link holds from its time on, until the next person logs in on the same thing; the first one
also claims what was done before it. Links are flat: ms, person, ms, person ... in order of time.
Whoever was erased is nobody in them (`schemes.nobody_like`), and keeps the place.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from cloud_bridge.schemes import LAST_NOBODY, OWN, PERSON, kind_of_handle, nobody_like

Links = tuple[int, ...]

# A thing that changes hands more often is a shared one in disguise: the newest links are kept.
MAX_LINKS: Final = 16
# After so long without a call half of what a telephone's calls tell is gone.
MEMORY_HALVED_MS: Final = 60 * 86_400_000


def linked(seen: int | None, known_as: int | None, links: Links, at_ms: int) -> tuple[str, Links]:
    """Learn that `seen` is in the hands of `known_as` from `at_ms` on; what came of it.

    "claimed": the first link of this thing; "linked": another; "known": nothing new;
    "shared", "nobody": no link, since the one is not a person's own or the other no person.
    """
    if seen is None or kind_of_handle(seen) != OWN:
        return "shared", links
    if known_as is None or kind_of_handle(known_as) != PERSON:
        return "nobody", links
    if not links:
        return "claimed", (at_ms, known_as)
    if holder(links, at_ms) == known_as and links[0] <= at_ms:
        return "known", links
    at = next((at for at in range(0, len(links), 2) if links[at] > at_ms), len(links))
    links = (*links[:at], at_ms, known_as, *links[at:])
    return "linked", links[-2 * MAX_LINKS :]


def remembered(links: Links, whose: int, at_ms: int) -> Links:
    """Remember that a telephone was `whose` at that time: every time counts, also the same again.

    Not as the links of a thing: a telephone that calls may be a household's, so it leads nowhere.
    """
    at = next((at for at in range(0, len(links), 2) if links[at] > at_ms), len(links))
    return (*links[:at], at_ms, whose, *links[at:])[-2 * MAX_LINKS :]


def recalled(links: Links, at_ms: int) -> tuple[int, float]:
    """Whose a telephone was most often before that time, and how sure that makes it.

    Of n calls k hers: (k + 1/2) / (n + 1), as Krichevsky and Trofimov estimate it; halved with
    every `MEMORY_HALVED_MS` since her last. Nobody: 0, 0.0.
    """
    before = [(links[at], links[at + 1]) for at in range(0, len(links), 2) if links[at] < at_ms]
    often = Counter(whose for _, whose in before if whose > LAST_NOBODY)
    if not often:
        return 0, 0.0
    last_ms = {whose: ms for ms, whose in before}
    whose = max(often, key=lambda one: (often[one], last_ms[one]))
    halvings = (at_ms - last_ms[whose]) / MEMORY_HALVED_MS
    return whose, (often[whose] + 0.5) / (len(before) + 1) * 0.5**halvings


def holder(links: Links, at_ms: int) -> int:
    """Who had the thing at that time. There must be a link."""
    if len(links) == 2:
        return links[1]
    at = next((at for at in range(2, len(links), 2) if links[at] > at_ms), len(links))
    return links[at - 1]


def without(links: Links, dead: Collection[int]) -> Links:
    """The same, where these persons are nobody: what was theirs becomes no one else's."""
    return tuple(
        nobody_like(value) if at % 2 and value in dead else value for at, value in enumerate(links)
    )
