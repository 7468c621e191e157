"""What one subject said and was offered, bounded; the part of a record that is read rarely."""

import msgspec

MAX_INTERESTS = 64
MAX_PURPOSES = 32
MAX_OFFERS = 256


class Profile(msgspec.Struct, array_like=True):
    """What one subject said and was offered.

    interests  category -> when it was last looked at online, ms; the newest last
    consents   purpose -> (when it was last said, ms; yes or no)
    offered    offer -> when it was last prompted, ms
    """

    interests: dict[str, int] = {}
    consents: dict[str, tuple[int, bool]] = {}
    offered: dict[str, int] = {}

    def look(self, category: str, at_ms: int) -> None:
        """The subject looked at a category."""
        last_ms = max(at_ms, self.interests.pop(category, at_ms))
        self.interests[category] = last_ms
        _trim(self.interests, MAX_INTERESTS)

    def say(self, purpose: str, at_ms: int, granted: bool) -> None:
        """The subject said yes or no; of two statements the later one counts."""
        if purpose not in self.consents or self.consents[purpose][0] <= at_ms:
            self.consents[purpose] = (at_ms, granted)
            _trim(self.consents, MAX_PURPOSES)

    def offer(self, offer: str, at_ms: int) -> None:
        """The subject was prompted."""
        self.offered[offer] = max(at_ms, self.offered.get(offer, at_ms))
        _trim(self.offered, MAX_OFFERS)

    def consents_to(self, purpose: str) -> bool:
        """Whether the last word was yes. Silence is no."""
        return self.consents.get(purpose, (0, False))[1]

    def claim(self, other: "Profile") -> None:
        """Take over what was done and said under another name."""
        for category, at_ms in sorted(other.interests.items(), key=lambda item: item[1]):
            self.look(category, at_ms)
        for purpose, (at_ms, granted) in other.consents.items():
            self.say(purpose, at_ms, granted)
        for offer, at_ms in other.offered.items():
            self.offer(offer, at_ms)


def _trim(entries: dict[str, int] | dict[str, tuple[int, bool]], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]
