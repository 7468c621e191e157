"""Messages and web bodies become facts: opened, decoded, held, logged, folded and decided upon.

What must be written and what must follow is put into a `Turn`. The memory is ahead of the disk
until the turn is committed, so a turn is committed, sooner or later, or the process ends. Storage
is read before anything changes: where it fails, the message can be taken in again.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cloud_bridge import restoring
from cloud_bridge.batch import Batch
from cloud_bridge.beacons import Beacon
from cloud_bridge.calling import NOTED, Calling
from cloud_bridge.clock import Clock, estimate
from cloud_bridge.decision import shows
from cloud_bridge.decode import decode
from cloud_bridge.dispatch import Outstanding
from cloud_bridge.meeting import Meeting
from cloud_bridge.noting import NOTABLE, Noting
from cloud_bridge.people import MAX_RESIDENT, People
from cloud_bridge.peppers import PEPPER_BYTES, Peppers
from cloud_bridge.pools import HANDLE, Pools
from cloud_bridge.receiving import GAP_REASONS, MALFORMED, GapRange, NoHello, Opened, Receiver
from cloud_bridge.registry import Device
from cloud_bridge.resolving import Resolving
from cloud_bridge.routing import Routing
from cloud_bridge.rules import Rule
from cloud_bridge.snapshot import Snapshot
from cloud_bridge.stitching import NO_SOURCE, VISITS
from cloud_bridge.store import BATCH, DECISION, GAPS, JOIN, LogRow, Store
from cloud_bridge.turn import Arrival, Collected, Event, Origin, Turn
from cloud_bridge.vault import Vault
from cloud_bridge.visiting import Visiting
from edge_sdk.numbers.lease import SESSION
from edge_sdk.numbers.ledger_rows import Done
from edge_sdk.plan_file import StorePlan
from edge_sdk.wire.batch import BatchError
from edge_sdk.wire.control import (
    REFUSAL_CODES,
    ControlError,
    Hello,
    decode_hello,
    decode_notice,
    encode_notice,
)
from edge_sdk.wire.seal import HELLO, NOTICE, UP_KINDS, Header, Refused, read_header
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import LIVE, device_of
from edge_sdk.wire.touchpoint import BY_CODE, Touchpoint, make

# A log row of web bodies holds no more touchpoints than a device's batch may.
_MOST_BODIES = 4096

_FOREVER_MS = 1 << 45

_NAMES = {code: f"touchpoints.{row[1]}" for code, row in BY_CODE.items()}


class Lending(Protocol):
    """Who is to have a number, and for what (`numbers_desk.LeaseAsked`)."""

    @property
    def session(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def intent(self) -> float | None: ...


class Intake:
    """The state of one tenant, and what each message does to it.

    `handle_key`: 16 random bytes; people are shown under names that only this start can relate.
    `most_people`: records that stay in memory. `is_watched`: whether anybody wants to hear of
    visits as they happen. Without `peppers` a caller is known for as long as this start lasts.
    """

    def __init__(
        self,
        tenant: str,
        suite: Suite,
        rules: Sequence[Rule],
        handle_key: bytes,
        store: Store,
        *,
        most_people: int = MAX_RESIDENT,
        is_watched: Callable[[], bool] = lambda: True,
        peppers: Peppers | None = None,
        routing: Callable[[], Routing] = Routing,
    ) -> None:
        self.people = People(store, most_people)
        self.snapshot = Snapshot(self.people)
        self.receivers: dict[int, Receiver] = {}
        self.devices: dict[int, Device] = {}
        self.outstanding = Outstanding()
        self.next_log_id = 1
        self.counted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.without_key = 0
        self.last_seen_ms: dict[int, int] = {}
        self._suite = suite
        self._store = store
        self.peppers = peppers or Peppers(suite, {1: secrets.token_bytes(PEPPER_BYTES)})
        self._routing = routing
        self.pools = Pools(tenant, self.counted)
        self._lent: dict[str, list[Touchpoint]] = {}  # of this turn, by site
        self.noting = Noting(
            tenant,
            rules,
            handle_key,
            people=self.people,
            outstanding=self.outstanding,
            counted=self.counted,
            is_watched=is_watched,
            log=self._log_decision,
        )
        self.visiting = Visiting(
            self.people,
            store,
            self.counted,
            fold=self._fold,
            note=self.noting.note,
            log_id=lambda: self.next_log_id,
        )

    def restore(self, clock: Clock, rebuild: bool = False) -> None:
        """Bring a new intake to where the stored one was. Raises StorageError, SnapshotError."""
        store = self._store
        marks = restoring.checked(store, rebuild)
        self.vault = Vault(self._suite, store, marks.pepper, marks.next_number)
        self.resolving = Resolving(self.people, self.vault, self.counted)
        self.resolving.restore(store.identities(), clock.wall_ms() // 1000)
        self.calling = Calling(
            self.people,
            store,
            self.counted,
            peppers=self.peppers,
            numbers=self.pools,
            routing=self._routing,
            identifier=self.vault.identifier,
            log_join=self._log_join,
        )
        self.calling.restore()
        self.pools.restore(store)
        self._clock = clock
        self._meeting = Meeting(self.vault, self.people, self.resolving, self.calling, self.peppers)
        self.receivers = restoring.receivers(self._suite, store.devices(), store.epochs())
        self.snapshot.grown(restoring.replay(self.people, store, marks))
        self.next_log_id = marks.last + 1
        now_ms, now_s = clock.wall_ms(), clock.steady_s()
        for row in store.prompts():
            life_ms = min(row.expires_ms - now_ms, row.expires_ms - row.created_ms)
            self.outstanding.add(row, life_ms, now_s)

    # What comes in

    def enrolled(self, turn: Turn, devices: Sequence[Device]) -> None:
        """The registry as it is now: new devices, devices enrolled anew, and revoked ones."""
        self.devices = {device.number: device for device in devices}
        self.without_key = 0
        self.noting.shows = shows(self.visiting.placed(devices))
        for device in devices:
            receiver = self.receivers.get(device.number)
            if receiver is None or receiver.generation != device.generation:
                if device.root_key is not None:
                    self.receivers[device.number] = self._adopted(device, receiver)
                    turn.changed.add(device.number)
                elif not device.revoked:
                    self.without_key += 1
            elif device.revoked and not receiver.revoked:
                receiver.revoke()
                turn.changed.add(device.number)
            if device.root_key is not None:
                turn.adopted.append((device.number, device.generation))

    def _adopted(self, device: Device, old: Receiver | None) -> Receiver:
        receiver = Receiver(
            self._suite,
            device.number,
            generation=device.generation,
            next_epoch=0,
            chain_key=device.root_key or b"",
        )
        receiver.moved = True
        if old is not None:
            receiver.old_ear = old.ear or old.old_ear
            receiver.touched = old.touched | old.holdings.keys()
        return receiver

    def registered(self, turn: Turn, beacons: Sequence[Beacon], now_ms: int) -> None:
        """Beacons that were registered, or removed. Raises StorageError: some may be in the turn.

        What they are called is somebody's thing from now on, if it was not before.
        """
        added = [beacon.name for beacon in beacons if not beacon.removed]
        handles = {**self.vault.find([b.name for b in beacons]), **self.vault.handles(added)}
        for beacon in beacons:
            handle = handles.get(beacon.name)
            if beacon.key is not None and handle is not None:
                row = self.resolving.add(handle, beacon, now_ms // 1000)
                turn.writes.identities[handle, beacon.kind] = row
            elif handle is not None:
                self.resolving.remove(handle, beacon.kind)
                turn.writes.identities[handle, beacon.kind] = None
            turn.registered.append((beacon.name, beacon.kind, beacon.serial))

    def compared(self, turn: Turn, beacons: Sequence[Beacon]) -> list[Beacon]:
        """Forget the identities of which none of these is; those of which there is none."""
        handles = self.vault.find([beacon.name for beacon in beacons])
        listed = {(handles.get(beacon.name, 0), beacon.kind): beacon for beacon in beacons}
        held = {(h, kind) for h, kinds in self.resolving.handles.items() for kind in kinds}
        for handle, kind in held - listed.keys():
            self.resolving.remove(handle, kind)
            turn.writes.identities[handle, kind] = None
        return [beacon for key, beacon in listed.items() if key not in held]

    def planned(self, plans: Mapping[str, StorePlan], now_ms: int) -> None:
        """The plans of stores, by site, as they are now. Raises StorageError."""
        self.visiting.planned(plans, now_ms)
        self.noting.shows = shows(self.visiting.placed(self.devices.values()))

    def message(self, turn: Turn, arrival: Arrival, now_s: float) -> None:
        """One message up. What is refused changes nothing but counters."""
        header: Header | None = None
        try:
            header = read_header(arrival.payload, UP_KINDS)
            if device_of(arrival.topic) != header.device:
                raise Refused("topic")
            receiver = self.receivers.get(header.device)
            # The registry has the last word, even an older one that was put back from a backup.
            if receiver is None or header.device not in self.devices:
                raise Refused("unknown_device")
            opened = receiver.read(header, arrival.payload, now_s)
            if opened is None:
                self.counted["duplicates"] += 1
            else:
                self._take(turn, arrival, receiver, opened)
        except Refused as refused:
            self._refuse(turn, header, refused)
            return
        self.last_seen_ms[header.device] = arrival.received_ms
        turn.acks.setdefault(header.device, []).append((header.epoch, header.seq))

    def bodies(self, turn: Turn, bodies: Sequence[Collected]) -> list[bool]:
        """Bodies of POST /collect; whether each had been collected before. Raises StorageError.

        All of a site are one row of the log.
        """
        known = self._store.collected([collected.key for collected in bodies])
        known.update(turn.writes.collected)
        duplicates: list[bool] = []
        fresh: dict[str, list[Collected]] = {}
        for collected in bodies:
            duplicates.append(collected.key in known)
            if not duplicates[-1]:
                known.add(collected.key)
                fresh.setdefault(collected.site, []).append(collected)
        for site, listed in fresh.items():
            for together in _within(listed, _MOST_BODIES):
                self._bodies(turn, site, together)
        self.counted["collect.bodies"] += len(bodies)
        self.counted["collect.duplicates"] += sum(duplicates)
        return duplicates

    def _bodies(self, turn: Turn, site: str, bodies: Sequence[Collected]) -> None:
        batch = Batch.of([t for collected in bodies for t in collected.touchpoints])
        origin = Origin(site, None, 0, 0, 0, bodies[-1].received_ms)
        self._meeting.meet(origin, batch, self.next_log_id)
        turn.writes.collected.update((collected.key, self.next_log_id) for collected in bodies)
        self._fold(turn, origin, batch)
        if not NOTED.isdisjoint(batch.groups):
            self.calling.note(turn, origin, batch)

    def lend(self, turn: Turn, site: str, asked: Lending, pool: str, now_ms: int) -> Done:
        """A number of a pool for a session, a place or a channel. Raises StorageError."""
        holder = asked.session
        if asked.kind == SESSION:
            handle = self.vault.handles([asked.session])[asked.session]
            holder = f"{HANDLE}{handle}"
        done = self.pools.lend(turn, pool, holder, now_ms, kind=asked.kind, intent=asked.intent)
        lease = done.lease
        if lease is not None and lease.since_ms == now_ms:
            told = make(
                "number.lease",
                now_ms,
                pool=pool,
                number=lease.number,
                session=asked.session,
                ttl_ms=min(lease.until_ms - now_ms, _FOREVER_MS),
                lease=lease.id,
                kind=lease.kind,
                ended=0,
            )
            self._lent.setdefault(site, []).append(told)
        return done

    def tell_leases(self, turn: Turn, now_ms: int) -> None:
        """What was lent in this turn is a fact of the log. Raises StorageError."""
        for site in list(self._lent):
            batch = Batch.of(self._lent[site])
            origin = Origin(site, None, 0, 0, 0, now_ms)
            self._meeting.meet(origin, batch, self.next_log_id)
            del self._lent[site]
            self._fold(turn, origin, batch)

    def finish(self, turn: Turn, behind: int = 0) -> None:
        """Add what changed besides the log; the last step before the commit.

        `behind`: how many records of the snapshot may go with it.
        """
        writes = turn.writes
        for number in turn.changed:
            receiver = self.receivers[number]
            if receiver.moved:
                writes.devices[number] = restoring.device_row(receiver)
                receiver.moved = False
            for epoch in receiver.touched:
                writes.epochs[number, epoch] = restoring.epoch_row(receiver, epoch)
            receiver.touched.clear()
        self.calling.settled()
        writes.vault += self.vault.made()
        last_id = self.next_log_id - 1
        if self.people.bound:
            for row in self.people.packed(self.people.bound, last_id):
                writes.subjects[row.handle] = row
            self.people.bound = set()
        if behind:
            self.snapshot.advance(writes, last_id, behind)

    def erase(self, turn: Turn, identifiers: Sequence[str]) -> int:
        """Destroy the handles of these and their keys; how many there were. Raises StorageError."""
        gone = self.vault.known([*identifiers, *self.peppers.all_of(identifiers)])
        self.vault.forget(gone)
        self.people.forget(gone)
        self.resolving.forget(gone)
        turn.erased += identifiers
        self.visiting.forget(gone)
        self.calling.forget(gone)
        self.pools.erase(turn, gone, self._clock.wall_ms())
        turn.writes.erased += gone
        return len(gone)

    def newest_epoch(self, device: int) -> int:
        """The newest epoch that a device has begun."""
        return self.receivers[device].next_epoch - 1

    # One authentic message

    def _take(self, turn: Turn, arrival: Arrival, receiver: Receiver, opened: Opened) -> None:
        header = opened.header
        site = self.devices[receiver.device].site
        batch = (header.generation, header.epoch, header.seq)
        origin = Origin(site, receiver.device, *batch, arrival.received_ms)
        try:
            if (header.kind == HELLO) != (header.seq == 0):
                raise ControlError("a hello is message 0 of its epoch, and nothing else is")
            if header.kind == HELLO:
                self._hello(turn, origin, receiver, opened)
            elif header.kind == NOTICE:
                gaps = receiver.give_up(opened, decode_notice(opened.plaintext))
                self.counted["notices"] += 1
                self._gaps(turn, origin, gaps)
            else:
                is_live = arrival.token[0] == LIVE
                self._batch(turn, origin, receiver, opened, is_live)
        except (BatchError, ControlError):
            self._malformed(turn, origin, receiver, opened)
        turn.changed.add(receiver.device)

    def _hello(self, turn: Turn, origin: Origin, receiver: Receiver, opened: Opened) -> None:
        hello = decode_hello(opened.plaintext)
        if opened.header.epoch < receiver.next_epoch:
            receiver.hold(opened)  # late: a newer one has said more
        elif receiver.has_room(opened, hello):
            self._begin(turn, origin, receiver, opened, hello)
        else:
            raise ControlError("a hello lists older epochs, and not too many of them")
        self.counted["hellos"] += 1

    def _begin(
        self,
        turn: Turn,
        origin: Origin,
        receiver: Receiver,
        opened: Opened,
        hello: Hello | None,
    ) -> None:
        self._gaps(turn, origin, receiver.begin(opened, hello))
        turn.started.add(receiver.device)

    def _malformed(self, turn: Turn, origin: Origin, receiver: Receiver, opened: Opened) -> None:
        """Held, so that it does not come for ever; set aside; and its sender is told."""
        header = opened.header
        if header.epoch < receiver.next_epoch:
            receiver.hold(opened)
        else:
            self._begin(turn, origin, receiver, opened, None)
        aside = (receiver.device, header.epoch, header.seq, opened.plaintext)
        turn.writes.set_aside.append(aside)
        self._gaps(turn, origin, [(header.epoch, header.seq, header.seq, 1, MALFORMED)])
        self._refuse(turn, header, Refused("malformed"))

    def _gaps(self, turn: Turn, origin: Origin, gaps: Sequence[GapRange]) -> None:
        """What will never come is a fact as well."""
        if gaps:
            self._log(turn, origin, GAPS, encode_notice(list(gaps)))
        for _, _, _, missing, reason in gaps:
            name = GAP_REASONS[reason] if reason < len(GAP_REASONS) else f"reason_{reason}"
            self.counted[f"gaps.{name}"] += missing
            fields = {"device": f"{origin.device:08x}", "batches": missing, "reason": name}
            turn.events.append(Event("gap", {"site": origin.site, **fields}))

    def _batch(
        self, turn: Turn, origin: Origin, receiver: Receiver, opened: Opened, is_live: bool
    ) -> None:
        header = opened.header
        batch = decode(header.kind, opened.plaintext)
        newest = max(batch.at_ms)
        holding = receiver.holdings[header.epoch]
        latest = origin.received_ms - newest
        samples = [holding.clock_ms, receiver.holdings[receiver.next_epoch - 1].clock_ms]
        if is_live:
            samples.insert(1, latest)
        origin.offset = estimate(samples, newest, origin.received_ms)
        self._meeting.meet(origin, batch, self.next_log_id)
        receiver.hold(opened)
        if is_live:
            holding.sample(latest)
        holding.count(len(batch), origin.received_ms)
        batch.correct(origin.offset.ms)
        self.counted["batches"] += 1
        self.counted["touchpoints.from_devices"] += len(batch)
        self._fold(turn, origin, batch)
        if not NOTABLE.isdisjoint(batch.groups):
            self.noting.note(turn, origin, batch)
        if not NOTED.isdisjoint(batch.groups):
            self.calling.note(turn, origin, batch)
        if self.visiting.stores:
            self.visiting.hear(origin, batch)

    def _fold(self, turn: Turn, origin: Origin, batch: Batch) -> None:
        """A met batch is logged and folded."""
        source = NO_SOURCE
        if origin.device is not None:
            source = (origin.device, origin.generation, origin.epoch)
        self.people.at(self.next_log_id, origin.received_ms, origin.site, source)
        if self.resolving.handles and not VISITS.isdisjoint(batch.groups):
            batch.stitched = self.resolving.handles.keys() & batch.known()
        self._log(turn, origin, BATCH, batch.to_body(), len(batch))
        self.snapshot.grown(len(batch))
        self._count(batch)
        self.people.apply(batch)

    # Keeping the books

    def _log_decision(self, turn: Turn, origin: Origin, body: bytes) -> int:
        self._log(turn, origin, DECISION, body)
        return self.next_log_id - 1

    def _log_join(self, turn: Turn, origin: Origin, body: bytes) -> int:
        self._log(turn, origin, JOIN, body)
        return self.next_log_id - 1

    def _log(
        self, turn: Turn, origin: Origin, kind: int, body: bytes, touchpoints: int = 0
    ) -> None:
        row = LogRow(
            self.next_log_id,
            origin.site,
            origin.device,
            origin.generation,
            origin.epoch,
            origin.seq,
            kind,
            origin.received_ms,
            origin.offset.ms,
            touchpoints,
            body,
        )
        turn.writes.log.append(row)
        self.next_log_id += 1

    def _count(self, batch: Batch) -> None:
        self.counted["touchpoints"] += len(batch)
        for code, number in batch.counts().items():
            self.counted[_NAMES.get(code, "touchpoints.unknown")] += number

    def _refuse(self, turn: Turn, header: Header | None, refused: Refused) -> None:
        self.refused[refused.reason] += 1
        fields: dict[str, object] = {"reason": refused.reason}
        receiver = self.receivers.get(header.device) if header else None
        if header is not None and receiver is not None:
            fields["device"] = f"{header.device:08x}"
            ear = refused.ear if isinstance(refused, NoHello) else receiver.ear_of(header)
            if ear is not None and refused.reason in REFUSAL_CODES:
                told = turn.refusals.setdefault((header.device, ear), [])
                told.append((header.epoch, header.seq, refused.reason))
        turn.events.append(Event("refused", fields))


def _within(bodies: Sequence[Collected], most: int) -> list[list[Collected]]:
    """Bodies in order, with at most so many touchpoints together, unless one alone has more."""
    parts: list[list[Collected]] = [[]]
    room = most
    for collected in bodies:
        room -= len(collected.touchpoints)
        if room < 0 and parts[-1]:
            parts.append([])
            room = most - len(collected.touchpoints)
        parts[-1].append(collected)
    return [part for part in parts if part]
