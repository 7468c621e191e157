"""What is known of people: a fold over the log, which can be thrown away and made again.

Pure: touchpoints go in with their corrected times, in the order of the log. Nobody is known by
name; a subject is a person's identifier or, before any log-in, an own thing's.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from cloud_bridge.identity import PERSON, Identity, scheme_of
from edge_sdk.wire.touchpoint import CODES, OUTCOMES, Touchpoint

MAX_INTERESTS = 64
MAX_PURPOSES = 32
MAX_OFFERS = 256
# Own things that nobody has logged in on; beyond, the one that was quiet longest is forgotten.
MAX_ANONYMOUS = 200_000

# Type code of a prompt's outcome -> its name.
OUTCOME_CODES = {CODES[f"prompt.{outcome}"]: outcome for outcome in OUTCOMES}


@dataclass(slots=True)
class Profile:
    """What one subject did and said.

    interests  category -> when it was last looked at online, ms; the newest last
    consents   purpose -> (when it was last said, ms; yes or no)
    offered    offer -> when it was last prompted, ms
    """

    interests: dict[str, int] = field(default_factory=dict)
    consents: dict[str, tuple[int, bool]] = field(default_factory=dict)
    offered: dict[str, int] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Offered:
    """A prompt that was decided: to whom (an identifier), and what."""

    prompt: int
    visitor: str = field(repr=False)
    offer: str
    at_ms: int
    device: int

    def pack(self) -> bytes:
        """The body of a log row."""
        return msgspec.msgpack.encode(
            (self.prompt, self.visitor, self.offer, self.at_ms, self.device)
        )

    @classmethod
    def unpack(cls, body: bytes) -> "Offered":
        """From `pack`."""
        return cls(*msgspec.msgpack.decode(body, type=tuple[int, str, str, int, int]))


class People:
    """Everything that is derived from the log."""

    def __init__(self) -> None:
        self.identity = Identity()
        self.persons: dict[str, Profile] = {}
        self.anonymous: dict[str, Profile] = {}
        self.outcomes: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()

    def apply(self, touchpoints: Sequence[Touchpoint], offset_ms: int) -> None:
        """Fold one batch; its times are corrected by `offset_ms`."""
        for touchpoint in touchpoints:
            fold = _FOLDS.get(touchpoint.code)
            if fold is not None:
                fold(self, touchpoint, (touchpoint.at_ms or 0) + offset_ms)

    def apply_offered(self, offered: Offered) -> None:
        """Fold one decision."""
        profile = self._profile(offered.visitor, offered.at_ms)
        if profile is not None:
            profile.offer(offered.offer, offered.at_ms)

    def profile_of(self, subject: str) -> Profile | None:
        """What is known of a subject (`Identity.subject_of`)."""
        return self.persons.get(subject) or self.anonymous.get(subject)

    def digest(self) -> str:
        """One hash of all that was derived: the same log gives the same."""
        derived = (
            self.identity.links,
            {name: _state(profile) for name, profile in self.persons.items()},
            {name: _state(profile) for name, profile in self.anonymous.items()},
            self.outcomes,
        )
        return hashlib.sha256(msgspec.json.encode(derived, order="deterministic")).hexdigest()

    def _profile(self, identifier: str | None, at_ms: int) -> Profile | None:
        """Where to write what an identifier did; None: it belongs to nobody."""
        subject = self.identity.subject_of(identifier, at_ms)
        if subject is None:
            return None
        if scheme_of(subject) in PERSON:
            return self.persons.setdefault(subject, Profile())
        profile = self.anonymous.pop(subject, None) or Profile()
        self.anonymous[subject] = profile
        if len(self.anonymous) > MAX_ANONYMOUS:
            del self.anonymous[next(iter(self.anonymous))]
            self.counted["anonymous.forgotten"] += 1
        return profile

    def _page_view(self, touchpoint: Touchpoint, at_ms: int) -> None:
        session, _, category, _ = touchpoint.values
        if category:
            profile = self._profile(session, at_ms)
            if profile is not None:
                profile.look(category, at_ms)

    def _identify(self, touchpoint: Touchpoint, at_ms: int) -> None:
        seen, known_as, _ = touchpoint.values
        verdict = self.identity.link(seen, known_as, at_ms)
        self.counted[f"identify.{verdict}"] += 1
        if verdict == "claimed":
            person = self.persons.setdefault(known_as, Profile())
            claimed = self.anonymous.pop(seen, None)
            if claimed is not None:
                person.claim(claimed)

    def _consent(self, touchpoint: Touchpoint, at_ms: int) -> None:
        subject, purpose, granted, _ = touchpoint.values
        if purpose:
            profile = self._profile(subject, at_ms)
            if profile is not None:
                profile.say(purpose, at_ms, bool(granted))

    def _outcome(self, touchpoint: Touchpoint, _at_ms: int) -> None:
        self.outcomes[OUTCOME_CODES[touchpoint.code]] += 1


def _state(profile: Profile) -> tuple[object, ...]:
    # A list keeps the order of the interests: it decides which one is forgotten first.
    return list(profile.interests.items()), profile.consents, profile.offered


def _trim(entries: dict[str, int] | dict[str, tuple[int, bool]], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]


_FOLDS: dict[int, Callable[[People, Touchpoint, int], None]] = {
    CODES["page.view"]: People._page_view,
    CODES["identify"]: People._identify,
    CODES["consent"]: People._consent,
    **dict.fromkeys(OUTCOME_CODES, People._outcome),
}
