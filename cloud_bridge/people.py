"""What is known of people: a fold over the log, kept in memory while it is warm.

Batches go in with their handles, in the order of the log; what comes out can be thrown away and
made again. There is a record for each handle: of a person, of a thing that leads to one or may yet,
and of what is shared. `prefetch` reads what a batch will touch, and only then may it be folded, so
that a disk that fails leaves nothing half done. What was quiet longest leaves memory once it has
been written behind (cloud_bridge/snapshot.py).

A record on disk is ahead of the log's watermark by what was folded into it since; such rows are
passed over when the log is folded again. That is exact, because every fold of a row changes records
independently of each other, but for one: a link decides whose the touches of a thing are. So a
link's commit also writes the thing and everybody whom it has belonged to (`bound`). And so a person
to whom a link leads and of whom there is no record was erased.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from cloud_bridge.batch import Batch
from cloud_bridge.identity import Links, holder, linked, recalled, remembered, without
from cloud_bridge.journey import Item, Journey, PastCall, Visit
from cloud_bridge.profile import Profile
from cloud_bridge.record import (
    Subject,
    checked,
    journey_in,
    pack,
    profile_in,
    sealed,
    stays_in,
    unpack_subject,
)
from cloud_bridge.schemes import LAST_NOBODY, OWN, PERSON, kind_of_handle, nobody_like
from cloud_bridge.stitching import NO_SOURCE, VISITS, News, Source, piece_of
from cloud_bridge.store import SubjectRow
from edge_sdk.wire.touchpoint import CODES, OUTCOMES

# Records in memory: some 300 bytes each.
MAX_RESIDENT = 400_000

TOTALS = 0  # the handle under which totals are kept
_DAY_MS = 86_400_000
RING = "ring"
_NO_LIMIT = 1 << 63

# Type code of a prompt's outcome -> its name.
OUTCOME_CODES = {CODES[f"prompt.{outcome}"]: outcome for outcome in OUTCOMES}
IDENTIFY, CONSENT, PAGE_VIEW = CODES["identify"], CODES["consent"], CODES["page.view"]
BASKET, ORDER, EXIT, CALL = (CODES[name] for name in ("basket", "order", "visit.exit", "call"))


class Offered(msgspec.Struct, array_like=True, frozen=True):
    """A prompt that was decided: to whom (a handle), and what. The body of a log row, packed."""

    prompt: int
    visitor: int
    offer: str
    at_ms: int
    device: int


class Joined(msgspec.Struct, array_like=True, frozen=True):
    """A call that was joined to a session: the body of a log row, packed.

    caller  a handle; nobody where the caller withheld her number
    whose   the session's handle, or the person's whom it led to at that time
    method  by what: "lease", "memory", "place"
    """

    call: str
    number: str
    caller: int
    whose: int
    at_ms: int
    method: str
    sure_pct: int


class Rows(Protocol):
    """What is asked of storage. Raises StorageError."""

    def subjects(self, handles: Sequence[int]) -> Iterable[SubjectRow]: ...


class AllRows(Protocol):
    """What a digest is taken of. Raises StorageError."""

    def all_subjects(self) -> Iterable[SubjectRow]: ...


NOBODY = 0  # the visitor of a decision who has been erased

unpack_offered = msgspec.msgpack.Decoder(Offered).decode
unpack_joined = msgspec.msgpack.Decoder(Joined).decode
_totals = msgspec.msgpack.Decoder(dict[str, int]).decode


class People:
    """Everything that is derived from the log.

    `at(row)` before the folds of each log row. `most`: records in memory. `news`: what the visits
    of the batch that was folded last came to, by their places in it.
    """

    def __init__(self, rows: Rows, most: int = MAX_RESIDENT) -> None:
        self.outcomes: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self.dirty: set[int] = set()
        self.bound: set[int] = set()
        self.damaged: list[int] = []
        self.news: dict[int, News] = {}
        self._rows = rows
        self._half = max(1, most // 2)
        self._young: dict[int, Subject] = {}
        self._old: dict[int, Subject] = {}
        self._ahead: dict[int, int] = {}
        self._restoring = True
        self._erased: set[int] = set()  # persons, since the start
        self._row = 0
        self._day = 0
        self._site = ""
        self._source = NO_SOURCE
        self._sites: dict[str, str] = {}

    def __len__(self) -> int:
        """How many records are in memory."""
        return len(self._young) + len(self._old)

    # Memory and disk

    def prefetch(self, handles: Collection[int], known_below: int = _NO_LIMIT) -> None:
        """Have these in memory, and those they lead to. Raises StorageError.

        Of handles from `known_below` on there can be no record: they are new.
        """
        if len(self._young) > self._half:
            self._evict()
        people, _ = self._fetch(handles, known_below)
        if people:
            _, gone = self._fetch(people, known_below)
            if gone:
                self._unlink(handles, gone)

    def _fetch(self, handles: Iterable[int], known_below: int) -> tuple[set[int], list[int]]:
        """Have these in memory; whom they lead to, and of which of them there was no record."""
        young, old = self._young, self._old
        missing: list[int] = []
        blank: list[int] = []
        people: set[int] = set()
        for handle in handles:
            subject = young.get(handle)
            if subject is None:
                subject = old.pop(handle, None)
                if subject is None:
                    if handle < known_below:
                        missing.append(handle)
                    else:
                        young[handle] = Subject()
                    continue
                young[handle] = subject
            if subject.links:
                people.update(subject.links[1::2])
        if missing:
            rows = {row.handle: row for row in self._rows.subjects(missing)}
            for handle in missing:
                row = rows.get(handle)
                if row is None or handle in self._erased:
                    young[handle] = Subject()
                    blank.append(handle)
                    continue
                subject = young[handle] = self._unpacked(handle, row)
                people.update(subject.links[1::2])
        people = {person for person in people if person > LAST_NOBODY}
        return people, blank

    def _unlink(self, things: Iterable[int], gone: Collection[int]) -> None:
        for handle in things:
            subject = self._young[handle]
            links = without(subject.links, gone)
            if links != subject.links:
                subject.links = links
                self.dirty.add(handle)
        for person in gone:
            del self._young[person]

    def _unpacked(self, handle: int, row: SubjectRow) -> Subject:
        body = checked(row.body)
        if body is None:
            self.damaged.append(handle)
            return Subject()
        subject = unpack_subject(body)
        subject.site = self._sites.setdefault(subject.site, subject.site)
        if self._restoring and row.as_of >= self._row:
            self._ahead[handle] = row.as_of
        return subject

    def _evict(self) -> None:
        """Let go of what was quiet longest; what is not yet written behind has to stay."""
        kept = {handle: s for handle, s in self._old.items() if handle in self.dirty}
        self.counted["evicted"] += len(self._old) - len(kept)
        self._old, self._young = self._young, kept

    def packed(self, handles: Iterable[int], as_of: int) -> Iterator[SubjectRow]:
        """The rows of such as are in memory, as they are now, and clean from here on."""
        for handle in handles:
            subject = self._young.get(handle) or self._old.get(handle)
            if subject is None:
                continue
            self.dirty.discard(handle)
            leads = any(person > LAST_NOBODY for person in subject.links[1::2])
            stranger = not leads and kind_of_handle(handle) != PERSON
            yield SubjectRow(handle, as_of, subject.day, stranger, sealed(pack(subject)))

    def packed_totals(self, as_of: int) -> SubjectRow:
        """The row of what is counted of everybody."""
        return SubjectRow(TOTALS, as_of, self._day, False, sealed(pack(dict(self.outcomes))))

    def restore_totals(self) -> int:
        """Read them; up to which log row they count. Raises StorageError."""
        for row in self._rows.subjects([TOTALS]):
            body = checked(row.body)
            if body is None:
                self.damaged.append(TOTALS)
                return 0
            self.outcomes = Counter(_totals(body))
            self._ahead[TOTALS] = row.as_of
            return row.as_of
        return 0

    def touched_since(self, handle: int, day: int) -> bool:
        """Whether memory knows of a touch on that day or later, or of one that the disk lacks."""
        subject = self._young.get(handle) or self._old.get(handle)
        return subject is not None and (subject.day >= day or handle in self.dirty)

    def residents(self) -> Iterator[tuple[int, Subject]]:
        """All records in memory."""
        yield from self._old.items()
        yield from self._young.items()

    def forget(self, handles: Collection[int]) -> None:
        """Of handles that are destroyed nothing is known; nor does a link lead to them.

        A thing finds out when it is next fetched.
        """
        self._erased.update(handle for handle in handles if kind_of_handle(handle) == PERSON)
        for handle in handles:
            self._young.pop(handle, None)
            self._old.pop(handle, None)
            self.dirty.discard(handle)

    def restored(self) -> None:
        """The log has been folded: every record is up to date."""
        self._ahead = {}
        self._restoring = False

    # Folds. Each changes only prefetched records.

    def at(self, row: int, received_ms: int, site: str, source: Source = NO_SOURCE) -> None:
        """The log row whose folds follow."""
        self._row = row
        self._day = received_ms // _DAY_MS
        self._site = self._sites.setdefault(site, site)
        self._source = source

    def apply(self, batch: Batch) -> None:
        """Fold one batch, whose times are corrected."""
        touch = self._touch
        for handle, at_ms, often in batch.touches():
            links = touch(handle, at_ms, often)
            # A telephone's links are what it is remembered for: it leads to nobody.
            is_thing = links and kind_of_handle(handle) == OWN
            if is_thing and (person := holder(links, at_ms)) > LAST_NOBODY:
                touch(person, at_ms, often)
        if not _FOLDS.keys().isdisjoint(batch.groups):
            for _, code, at_ms, values in batch.told(_FOLDS.keys()):
                _FOLDS[code](self, values, at_ms)
        self.news = self._stitched(batch) if batch.stitched else {}

    def _stitched(self, batch: Batch) -> dict[int, News]:
        news: dict[int, News] = {}
        for place, code, at_ms, values in batch.told(VISITS):
            handle = values[1]
            if handle not in batch.stitched or self._ahead.get(handle, 0) >= self._row:
                continue
            piece = piece_of(code, at_ms, values, self._site, self._source)
            if piece is not None:
                subject = self._young[handle]
                stays = stays_in(subject)
                news[place] = stays.hear(piece)
                subject.stays = pack(stays)
                self.dirty.add(handle)
        return news

    def apply_offered(self, offered: Offered) -> None:
        """Fold one decision."""
        self._change(offered.visitor, offered.at_ms, Profile.offer, offered.offer, offered.at_ms)

    def apply_joined(self, joined: Joined) -> None:
        """Fold the joining of a call: the telephone is remembered, and whose the call was."""
        past = PastCall(joined.at_ms, joined.number, RING, 0)
        self._told(joined.whose, Journey.called, joined.call, past)
        caller = self._young.get(joined.caller) if joined.caller > LAST_NOBODY else None
        if caller is not None and self._ahead.get(joined.caller, 0) < self._row:
            caller.links = remembered(caller.links, joined.whose, joined.at_ms)
            self.dirty.add(joined.caller)

    def _touch(self, handle: int, at_ms: int, often: int) -> Links:
        subject = self._young[handle]
        if self._ahead and self._ahead.get(handle, 0) >= self._row:
            return subject.links
        if at_ms > subject.seen_ms:
            subject.seen_ms = at_ms
            subject.site = self._site
        subject.day = self._day
        subject.touches += often
        self.dirty.add(handle)
        return subject.links

    def _change(
        self, handle: int | None, at_ms: int, change: Callable[..., None], *of: object
    ) -> None:
        """Change the profile of whoever a handle meant at that time."""
        whose = self.subject_of(handle, at_ms)
        if whose is None or self._ahead.get(whose, 0) >= self._row:
            return
        subject = self._young[whose]
        profile = profile_in(subject)
        change(profile, *of)
        subject.profile = pack(profile)
        self.dirty.add(whose)

    def _told(self, handle: int | None, change: Callable[..., None], *of: object) -> None:
        """Change the journey of a record."""
        if handle is None or handle <= LAST_NOBODY or self._ahead.get(handle, 0) >= self._row:
            return
        subject = self._young[handle]
        journey = journey_in(subject)
        change(journey, *of)
        subject.journey = pack(journey)
        subject.day = self._day
        self.dirty.add(handle)

    def _page_view(self, values: tuple[Any, ...], at_ms: int) -> None:
        session, page, category, _ = values
        if category:
            self._change(session, at_ms, Profile.look, category, at_ms)
        if page:
            self._told(self.subject_of(session, at_ms), Journey.page, page, at_ms)

    def _basket(self, values: tuple[Any, ...], at_ms: int) -> None:
        session, action, item, quantity, value_minor, currency = values
        if action and item:
            told = Item(at_ms, action, quantity or 1, value_minor, currency)
            self._told(self.subject_of(session, at_ms), Journey.basket, item, told)

    def _order(self, values: tuple[Any, ...], at_ms: int) -> None:
        self._told(self.subject_of(values[0], at_ms), Journey.ordered, at_ms)

    def _exit(self, values: tuple[Any, ...], at_ms: int) -> None:
        _, visitor, zone, dwell_ms, *_ = values
        whose = self.subject_of(visitor, at_ms)
        if whose is not None and kind_of_handle(whose) == PERSON:  # of a stranger nobody asks
            visit = Visit(at_ms, self._site, zone or "", dwell_ms or 0)
            self._told(whose, Journey.visited, visit)

    def _call(self, values: tuple[Any, ...], at_ms: int) -> None:
        call, phase, number, caller, _, duration_ms, *_ = values
        if call and phase:
            past = PastCall(at_ms, number or "", phase, max(0, duration_ms or 0))
            self._told(caller, Journey.called, call, past)

    def _consent(self, values: tuple[Any, ...], at_ms: int) -> None:
        subject, purpose, granted, _ = values
        if purpose:
            self._change(subject, at_ms, Profile.say, purpose, at_ms, bool(granted))

    def _identify(self, values: tuple[Any, ...], at_ms: int) -> None:
        seen, known_as, _ = values
        thing = self._young.get(seen) if seen is not None else None  # nobody's: none
        links = thing.links if thing is not None else ()
        verdict, links = linked(seen, known_as, links, at_ms)
        self.counted[f"identify.{verdict}"] += 1
        if thing is None or verdict not in ("claimed", "linked"):
            return
        if self._ahead.get(seen, 0) >= self._row:
            return  # and so is everybody whom it has belonged to
        bound = {seen, *thing.links[1::2], *links[1::2]} - {nobody_like(PERSON)}
        if verdict == "claimed" and thing.profile:
            claimed = profile_in(thing)
            thing.profile = b""
            self._change(known_as, at_ms, Profile.claim, claimed)
        if verdict == "claimed" and thing.journey:
            journey = journey_in(thing)
            thing.journey = b""
            self._told(known_as, Journey.claim, journey)
        thing.links = links
        self.dirty |= bound
        self.bound |= bound

    def _outcome(self, outcome: str) -> None:
        if self._ahead.get(TOTALS, 0) < self._row:
            self.outcomes[outcome] += 1

    # What is asked

    def subject_of(self, handle: int | None, at_ms: int) -> int | None:
        """Who this was at that time: a person, or the thing where nobody has logged in on it.

        None where it can never lead to a person.
        """
        if handle is None or handle <= LAST_NOBODY:
            return None
        kind = kind_of_handle(handle)
        if kind == PERSON:
            return handle
        if kind != OWN:
            return None
        links = self._young[handle].links
        if not links:
            return handle
        person = holder(links, at_ms)
        return person if person > LAST_NOBODY else None

    def is_here(self, handle: int) -> bool:
        """Whether this is somebody, and in memory."""
        return handle > LAST_NOBODY and handle in self._young

    def recalled(self, caller: int, at_ms: int) -> tuple[int, float]:
        """Whose a telephone is by its earlier calls, and how sure that is; (0, 0.0): nobody's."""
        known = self._young.get(caller)
        return (0, 0.0) if known is None else recalled(known.links, at_ms)

    def journey_of(self, handle: int) -> Journey:
        """What a handle did lately, as far as it is in memory."""
        known = self._young.get(handle)
        return Journey() if known is None else journey_in(known)

    def profile_of(self, subject: int) -> Profile | None:
        """What a subject said and did; None: nothing."""
        known = self._young.get(subject)
        return profile_in(known) if known is not None and known.profile else None

    def packed_profile_of(self, subject: int) -> bytes:
        """The same, packed: another object whenever it has changed."""
        known = self._young.get(subject)
        return b"" if known is None else known.profile

    def subject(self, handle: int) -> Subject:
        """One record. Raises StorageError."""
        self.prefetch([handle])
        return self._young[handle]


def without_dead(joined: Joined, dead: Collection[int]) -> Joined:
    """The same, where these handles are nobody."""
    caller, whose = (nobody_like(h) if h in dead else h for h in (joined.caller, joined.whose))
    return msgspec.structs.replace(joined, caller=caller, whose=whose)


def digest(people: People, rows: AllRows) -> str:
    """One hash of all that is derived: the same log gives the same, however it was folded."""
    hashed = hashlib.sha256(pack(sorted(people.outcomes.items())))
    known = {row.handle: row.body[:-4] for row in rows.all_subjects() if row.handle != TOTALS}
    known.update((handle, pack(subject)) for handle, subject in people.residents())
    blank = pack(Subject())
    for handle in sorted(known):
        if known[handle] != blank:
            hashed.update(pack((handle, known[handle])))
    return hashed.hexdigest()


def _outcome_fold(outcome: str) -> "Callable[[People, tuple[Any, ...], int], None]":
    return lambda people, _values, _at_ms: people._outcome(outcome)


_FOLDS: dict[int, Callable[[People, tuple[Any, ...], int], None]] = {
    PAGE_VIEW: People._page_view,
    IDENTIFY: People._identify,
    CONSENT: People._consent,
    BASKET: People._basket,
    ORDER: People._order,
    EXIT: People._exit,
    CALL: People._call,
    **{code: _outcome_fold(outcome) for code, outcome in OUTCOME_CODES.items()},
}
