"""A bridge as it is started under crashes: its two files, its inside, and whether they agree."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from benches._crash_device import TENANT, Message
from cloud_bridge import restoring
from cloud_bridge.housekeeping import Housekeeping
from cloud_bridge.identity import Links, without
from cloud_bridge.intake import Intake
from cloud_bridge.people import TOTALS, People
from cloud_bridge.record import Subject, unpacked
from cloud_bridge.registry import Registry
from cloud_bridge.schemes import KIND_BITS
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import DECIDED, GAPS, PromptRow, Rewrite, SubjectRow, Writes
from cloud_bridge.turn import Arrival, Collected, Turn
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import OpenConnection
from edge_sdk.wire.control import decode_notice

MOST_PEOPLE = 8  # in memory
KEEP_DAYS = 1.0

Things = dict[tuple[str, object], object]


class SetClock:
    """Moves when the workload says so."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def wall_ms(self) -> int:
        """See Clock."""
        return self.ms

    def steady_s(self) -> float:
        """See Clock."""
        return self.ms / 1000


class _Witness(SqliteStore):
    """The store, and a call after each of its transactions."""

    def __init__(self, home: Path, opener: OpenConnection, committed: Callable[[], None]) -> None:
        super().__init__(home, opener)
        self._committed = committed

    def commit(self, writes: Writes) -> None:
        super().commit(writes)
        self._committed()

    def drop_derived(self) -> None:
        super().drop_derived()
        self._committed()

    def prune(self, before_ms: int, most: int) -> int:
        gone = super().prune(before_ms, most)
        self._committed()
        return gone

    def scrub(self, most: int, rewritten: Rewrite) -> int:
        done = super().scrub(most, rewritten)
        self._committed()
        return done


class _NoRows:
    """Of a bridge that has written nothing behind."""

    def subjects(self, _handles: Sequence[int]) -> Iterable[SubjectRow]:
        return ()


class StartedBridge:
    """What a start of the bridge does with its two files, and one turn after another.

    `committed` is called after each transaction of the store. Until the log is folded, `derived`
    is what it was before.
    """

    def __init__(
        self,
        home: Path,
        opener: OpenConnection,
        clock: SetClock,
        *,
        committed: Callable[["StartedBridge"], None] = lambda _: None,
        derived_before: str = "",
        rebuild: bool = False,
    ) -> None:
        self._derived_before = derived_before
        self.registry = Registry(home, opener)
        self.registry.open(TENANT)
        self.store = _Witness(home, opener, lambda: committed(self))
        self.store.open(TENANT)
        self.intake = Intake(TENANT, AesCcm(), (), bytes(16), self.store, most_people=MOST_PEOPLE)
        self.intake.restore(clock, rebuild)
        self._derived_before = ""
        people, vault = self.intake.people, self.intake.vault
        self.house = Housekeeping(self.store, people, vault, clock, KEEP_DAYS)

    def take(
        self,
        arrivals: Sequence[Arrival] = (),
        bodies: Sequence[Collected] = (),
        prompts: Sequence[PromptRow] = (),
        erased: Sequence[str] = (),
        behind: int = 0,
    ) -> Turn:
        """One turn, committed."""
        turn = Turn()
        self.intake.enrolled(turn, self.registry.devices())
        for arrival in arrivals:
            self.intake.message(turn, arrival, now_s=0.0)
        self.intake.bodies(turn, bodies)
        self.intake.erase(turn, erased)
        self.intake.finish(turn, behind)
        turn.writes.prompts.update((row.id, row) for row in prompts)
        self.store.commit(turn.writes)
        return turn

    def state(self, keys: Iterable[object]) -> Things:
        """All that is stored and what is derived; of collected bodies, what is there of `keys`."""
        store = self.store
        marks = store.marks()
        handles = range(1 << KIND_BITS, marks.next_number << KIND_BITS)
        collected = store.collected([key for key in keys if isinstance(key, bytes)])
        things: Things = {("log", row.id): row for row in store.log()}
        things |= {("device", row.device): row for row in store.devices()}
        things |= {("epoch", (row.device, row.epoch)): row for row in store.epochs()}
        things |= {("prompt", row.id): row for row in store.prompts()}
        things |= {("registry", device.number): device for device in self.registry.devices()}
        things |= {("subject", row.handle): row for row in store.all_subjects()}
        things |= {("erased", handle): True for handle in store.erased()}
        things |= {("vault", handle): row for handle, row in store.vault_rows(handles).items()}
        things |= {("collected", key): True for key in collected}
        things["marks", ""] = replace(marks, pepper=b"")  # drawn anew until the first commit
        things["derived", ""] = self.derived()
        return things

    def derived(self) -> str:
        """One hash of all that is known of people."""
        return self._derived_before or _hash_of(self.intake.people, self.store.all_subjects())

    def is_not_what_its_log_says(self) -> str:
        """Whether a fold of the whole log comes to something else, where the log is whole."""
        marks = self.store.marks()
        if marks.pruned_to:
            return ""
        people = People(_NoRows())
        restoring.replay(people, self.store, replace(marks, watermark=0))
        same = _hash_of(people, ()) == self.derived()
        return "" if same else "snapshot and tail are not what the whole log comes to"

    def logged(self) -> Counter[Message]:
        """How often each message of a device is in the log."""
        rows = (row for row in self.store.log() if row.kind not in DECIDED)
        return Counter((row.device, row.epoch, row.seq) for row in rows if row.device is not None)

    def at_odds(self) -> str:
        """Whether a cursor claims what the log does not hold, or does not know what it does."""
        logged: dict[tuple[int, int], set[int]] = {}
        for row in self.store.log():
            if row.device is None or row.kind in DECIDED:
                continue
            numbers = logged.setdefault((row.device, row.epoch), {0})  # a hello is not logged
            numbers.add(row.seq)
            if row.kind == GAPS:
                for epoch, first, last, _, _ in decode_notice(row.body):
                    given_up = logged.setdefault((row.device, epoch), {0})
                    given_up.update(range(first, last + 1))
        pruned = self.store.marks().pruned_to > 0
        receivers = restoring.receivers(AesCcm(), self.store.devices(), self.store.epochs())
        for device, receiver in receivers.items():
            for epoch, holding in receiver.holdings.items():
                is_open = holding.gaps and holding.gaps[-1].last == holding.last
                end = holding.gaps[-1].first if is_open else holding.last + 1
                held = {seq for seq in range(end) if holding.gap_of(seq) is None}
                there = logged.get((device, epoch), {0})
                if not there <= held or (held - there and not pruned):
                    return f"cursor and log of device {device}, epoch {epoch}, do not agree"
        for enrolled in self.registry.devices():
            if enrolled.root_key is None and enrolled.number not in receivers:
                return f"the keys of device {enrolled.number} are nowhere"
        return ""

    def close(self) -> None:
        """End, as far as that can be told from a crash."""
        self.store.close()
        self.registry.close()


def _hash_of(people: People, rows: Iterable[SubjectRow]) -> str:
    """What is known, in memory or else on disk; whom a link leads to without a record is nobody."""
    known = {row.handle: unpacked(row) for row in rows if row.handle != TOTALS}
    known.update(people.residents())
    blank = Subject()
    told = {handle: subject for handle, subject in known.items() if subject != blank}
    listed: list[object] = [sorted(people.outcomes.items())]
    for handle, subject in sorted(told.items()):
        if subject is not None:
            gone = [person for person in subject.links[1::2] if person not in told]
            links = _plain(without(subject.links, gone))
            subject = msgspec.structs.replace(subject, links=links)
        listed.append((handle, subject))
    return hashlib.sha256(msgspec.msgpack.encode(listed)).hexdigest()


def _plain(links: Links) -> Links:
    """Several who were erased are one nobody."""
    plain: Links = ()
    for at in range(0, len(links), 2):
        if not plain or plain[-1] != links[at + 1]:
            plain += links[at : at + 2]
    return plain
