"""What follows from touchpoints besides the fold: decisions and the outcomes of prompts, as facts.

No I/O. Whoever was seen in a zone just now is decided upon; what was decided is logged and folded,
and leaves after the commit.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from cloud_bridge.batch import Batch, Told
from cloud_bridge.decision import Decision, Shows, Situation, decide, prompt_id, prompt_of
from cloud_bridge.dispatch import Outstanding, row_of
from cloud_bridge.people import OUTCOME_CODES, Offered, People
from cloud_bridge.rules import Rule
from cloud_bridge.turn import Event, Origin, Turn
from edge_sdk.wire.control import Prompt
from edge_sdk.wire.touchpoint import CODES

# A visit that is told later than this is history: the customer may be anywhere.
FRESH_MS = 30_000

_VISIT_ENTER, _VISIT_DWELL = CODES["visit.enter"], CODES["visit.dwell"]
NOTABLE = frozenset({_VISIT_ENTER, _VISIT_DWELL, *OUTCOME_CODES})
_pack = msgspec.msgpack.Encoder().encode

# Puts a decision's body into the log; the id of its row.
LogDecision = Callable[[Turn, Origin, bytes], int]


class Noting:
    """`note` a batch that has been folded. `shows`: what can show something, and where.

    `names`: 16 random bytes; people are shown under names that only this start can relate.
    """

    def __init__(
        self,
        tenant: str,
        rules: Sequence[Rule],
        names: bytes,
        *,
        people: People,
        outstanding: Outstanding,
        counted: Counter[str],
        is_watched: Callable[[], bool],
        log: LogDecision,
    ) -> None:
        self.shows: Shows = {}
        self._tenant = tenant
        self._rules = rules
        self._names = names
        self._people = people
        self._outstanding = outstanding
        self._counted = counted
        self._is_watched = is_watched
        self._log = log

    def note(self, turn: Turn, origin: Origin, batch: Batch) -> None:
        for place, code, at_ms, values in batch.told(NOTABLE):
            if code in OUTCOME_CODES:
                self._outcome(turn, origin, OUTCOME_CODES[code], values[0], values[1])
            else:
                self._visit(turn, origin, (place, code, at_ms, values))

    def _outcome(
        self, turn: Turn, origin: Origin, outcome: str, prompt: int, offer: str | None
    ) -> None:
        row = self._outstanding.settle(prompt, origin.device, outcome)
        if row is not None:
            turn.writes.prompts[row.id] = row
        if self._is_watched():
            fields = {"prompt": str(prompt), "offer": (offer or "")[:64], "outcome": outcome}
            device = f"{origin.device:08x}"
            turn.events.append(Event("outcome", {"site": origin.site, "device": device, **fields}))

    def _visit(self, turn: Turn, origin: Origin, told: Told) -> None:
        index, code, at_ms, (_, visitor, zone, *_) = told
        zone = zone or ""
        if not origin.offset.sure or origin.received_ms - at_ms > FRESH_MS:
            self._counted["decisions.too_late"] += 1
            return
        subject = self._people.subject_of(visitor, at_ms)
        news = self._people.news.get(index)
        if news is not None and not news.is_news(code, told[3]):
            self._same_stay(turn, code, {"site": origin.site, "zone": zone}, subject)
            return
        profile = self._people.profile_of(subject) if subject else None
        situation = Situation(origin.site, zone, origin.received_ms, profile, self.shows)
        decision = decide(self._rules, situation)
        for _, clause in decision.failed:
            self._counted[f"decisions.failed.{clause}"] += 1
        prompt: Prompt | None = None
        if decision.rule is not None and decision.device is not None:
            prompt = self._prompt(turn, origin, (index, visitor or 0), decision)
        if self._is_watched():
            place = {"site": origin.site, "zone": zone, "person": self._name(subject)}
            if code == _VISIT_ENTER:
                fields = {**place, "known": profile is not None}
                if news is not None:
                    fields["visits"] = news.stays.visits
                turn.events.append(Event("visit", fields))
            turn.events.append(_told(place, decision, prompt))

    def _same_stay(
        self, turn: Turn, code: int, place: dict[str, object], subject: int | None
    ) -> None:
        """The stay was decided upon when it was news: its next piece is none."""
        self._counted["decisions.same_stay"] += 1
        if code == _VISIT_ENTER:
            self._counted["visits.continued"] += 1
            if self._is_watched():
                turn.events.append(Event("continued", {**place, "person": self._name(subject)}))

    def _prompt(
        self, turn: Turn, origin: Origin, touched: tuple[int, int], decision: Decision
    ) -> Prompt:
        """What was decided is a fact as well. `touched`: place in its batch, and the visitor."""
        index, visitor = touched
        assert decision.rule is not None
        assert decision.device is not None
        prompt = prompt_of(decision.rule, self._prompt_id(origin, index, decision.rule.offer))
        row = row_of(prompt, decision.device.number, origin.received_ms)
        offered = Offered(row.id, visitor, prompt.offer, origin.received_ms, row.device)
        log_id = self._log(turn, origin, _pack(offered))
        self._people.at(log_id, origin.received_ms, origin.site)
        self._people.apply_offered(offered)
        self._counted["decisions.prompt"] += 1
        turn.writes.prompts[row.id] = row
        turn.prompts.append(row)
        return prompt

    def _prompt_id(self, origin: Origin, index: int, offer: str) -> int:
        batch = (origin.generation, origin.epoch, origin.seq)
        return prompt_id(self._tenant, origin.device or 0, batch, index, offer)

    def _name(self, subject: int | None) -> str | None:
        """A short name for a person, of this start only."""
        if subject is None:
            return None
        number = subject.to_bytes(8, "big")
        return hashlib.blake2b(number, digest_size=4, key=self._names).hexdigest()


def _told(place: Mapping[str, object], decision: Decision, prompt: Prompt | None) -> Event:
    verdict = {**place, "failed": dict(decision.failed)}
    if prompt is None or decision.device is None:
        return Event("no_prompt", verdict)
    device = f"{decision.device.number:08x}"
    shown = {"offer": prompt.offer, "prompt": str(prompt.id), "device": device}
    return Event("prompt", {**verdict, **shown, "why": list(prompt.why)})
