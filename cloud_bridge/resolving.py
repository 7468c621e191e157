"""Whose rotating identifiers these are, for those who agreed: asked before anything sees a batch.

The tables know what every registered beacon emits about now. An identifier that is one of theirs
is taken for the thing only if its person said yes to `PURPOSE`, last and before it was heard. For
everybody else it stays what it is: of no one, and of no other rotation; and nothing is learnt from
it, not even when it was heard.

On the way of a batch there are look-ups alone. Tables are kept up to date, and searched for what
they lack, by `step` between turns.
"""

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from cloud_bridge.batch import Batch
from cloud_bridge.beacons import EID, IRK, Beacon
from cloud_bridge.clock import STEADY_MS
from cloud_bridge.people import People
from cloud_bridge.record import unpacked_profile
from cloud_bridge.store import IdentityRow
from cloud_bridge.turn import Origin
from cloud_bridge.vault import Vault
from edge_sdk.adapters.aes import ecb
from edge_sdk.presence.address_table import AddressTable
from edge_sdk.presence.eid_table import EidTable

# What a person has to have said yes to, for her beacon to be known again.
PURPOSE: Final = "in_store_prompts"

_NEVER_MS: Final = 1 << 60
_MAX_REMEMBERED: Final = 50_000
# An engine says that a visit is over when nothing has been heard for as long.
_LATE_S: Final = 150
_SCHEMES: Final = frozenset({"eid:", "rpa:"})
_CLOCK: Final = struct.Struct(">qqqQ")
# A new key is tried on all addresses that are remembered: 2 ms.
_MAX_ADDRESSES: Final = 4_096
# One step: so many identities refreshed, then slices until one of both is reached.
_REFRESHED: Final = 64
_EIDS_A_SLICE, _KEYS_A_SLICE, _SLICES = 256, 16, 64
_STEP_S: Final = 0.003


class Resolving:
    """The identities of a tenant. `handles`: handle -> of which kinds there are."""

    def __init__(self, people: People, vault: Vault, counted: Counter[str]) -> None:
        self.handles: dict[int, set[str]] = {}
        self._people = people
        self._vault = vault
        self._counted = counted
        self._eids = EidTable(ecb)
        self._addresses = AddressTable(ecb, max_addresses=_MAX_ADDRESSES)
        self._rows: dict[tuple[int, str], IdentityRow] = {}
        # Since when somebody agrees, of the profile that was last read.
        self._yes_ms: dict[int, tuple[bytes, int]] = {}
        self._learned: set[int] = set()  # whose clocks storage does not know
        self._refreshed_s = -1

    # Which there are

    def restore(self, rows: Iterable[IdentityRow], now_s: int) -> None:
        """Those that are stored; without such whose keys went with the vault."""
        for row in rows:
            key = self._vault.unseal_key(row.handle, row.serial, row.sealed)
            if key is not None:
                if row.kind == EID:
                    clock = _CLOCK.unpack(row.clock)
                    self._eids.restore(str(row.handle), key, row.exponent, clock, now_s)
                else:
                    self._addresses.add(str(row.handle), key)
                self._hold(row)

    def add(self, handle: int, beacon: Beacon, now_s: int) -> IdentityRow:
        """Take in a registered beacon, in the place of what was; its row. Raises StorageError."""
        assert beacon.key is not None
        sealed = self._vault.seal_key(handle, beacon.serial, beacon.key)
        name, clock = str(handle), b""
        if beacon.kind == EID:
            at_s = min(beacon.at_s, now_s)
            self._eids.add(name, beacon.key, beacon.exponent, beacon.beacon_time_s, at_s)
            clock = _CLOCK.pack(*(self._eids.clock(name) or (0, 0, 0, 0)))
        else:
            self._addresses.add(name, beacon.key)
        row = IdentityRow(handle, beacon.kind, beacon.serial, beacon.exponent, sealed, clock)
        self._hold(row)
        return row

    def _hold(self, row: IdentityRow) -> None:
        self._rows[row.handle, row.kind] = row
        self.handles.setdefault(row.handle, set()).add(row.kind)

    def remove(self, handle: int, kind: str) -> None:
        """Forget an identity, and its key."""
        if self._rows.pop((handle, kind), None) is None:
            return
        if kind == EID:
            self._eids.remove(str(handle))
            self._learned.discard(handle)
        else:
            self._addresses.remove(str(handle))
        self.handles[handle].discard(kind)
        if not self.handles[handle]:
            del self.handles[handle]

    def forget(self, handles: Iterable[int]) -> None:
        """Forget all identities of handles that are destroyed."""
        for handle in handles:
            for kind in tuple(self.handles.get(handle, ())):
                self.remove(handle, kind)

    # Whose an identifier is

    def meant(self, batch: Batch, identifiers: Collection[str], origin: Origin) -> dict[str, int]:
        """Handles of things, by the rotating identifiers that may be taken for them.

        All that is read is read before anything is learnt. Raises StorageError.
        """
        values = {name: value for name in identifiers if (value := _value(name))}
        if not values or not (origin.offset.sure or origin.device is None):
            return {}  # nobody knows when this was heard: it would teach the tables nonsense
        owners: dict[str, int] = {}
        for name, value in values.items():
            known = self._addresses.resolve if name[0] == "r" else self._eids.whose
            owner = known(value)
            if owner is not None:
                owners[name] = int(owner)
        if owners:
            self._people.prefetch(set(owners.values()))
        seen_ms = batch.seen(values)
        found: dict[str, int] = {}
        for name in sorted(values, key=seen_ms.__getitem__):
            at_ms = min(seen_ms[name] + origin.offset.ms, origin.received_ms)
            handle = owners.get(name)
            if handle is not None and not self.may(handle, at_ms):
                self._counted["beacons.withheld"] += 1
                continue
            if name[0] == "e":
                if self._eids.resolve(values[name], at_ms // 1000, _LATE_S) is None:
                    continue  # a replay, or one to be searched for
                self._learned.add(owners[name])
            if handle is not None:
                found[name] = handle
        self._counted["beacons.resolved"] += len(found)
        return found

    def may(self, handle: int, heard_ms: int) -> bool:
        """Whether what was heard then may be taken for this thing, which is in memory."""
        subject = self._people.subject_of(handle, heard_ms)
        if subject is None:
            return False
        packed = self._people.packed_profile_of(subject)
        known = self._yes_ms.get(subject)
        if known is None or known[0] is not packed:
            said_ms, granted = unpacked_profile(packed).consents.get(PURPOSE, (0, False))
            if len(self._yes_ms) >= _MAX_REMEMBERED:
                self._yes_ms.clear()
            known = self._yes_ms[subject] = packed, said_ms if granted else _NEVER_MS
        return known[1] - STEADY_MS <= heard_ms

    # Between turns

    def step(self, now_s: int, steady_s: Callable[[], float]) -> bool:
        """A few milliseconds of work on the tables; whether there is more."""
        began_s = steady_s()
        if now_s != self._refreshed_s:
            if self._eids.refresh(now_s, _REFRESHED) == _REFRESHED:
                return True
            self._refreshed_s = now_s
        for _ in range(_SLICES):
            if not (self._eids.searching or self._addresses.searching):
                return False
            self._eids.search(now_s, _EIDS_A_SLICE)
            self._addresses.search(_KEYS_A_SLICE)
            if steady_s() - began_s >= _STEP_S:
                break
        return self._eids.searching or self._addresses.searching

    def learned(self, most: int) -> list[IdentityRow]:
        """Rows of beacons of whose clocks more is known than is stored."""
        rows: list[IdentityRow] = []
        for handle in list(self._learned)[:most]:
            clock = self._eids.clock(str(handle))
            if clock is not None:
                rows.append(replace(self._rows[handle, EID], clock=_CLOCK.pack(*clock)))
        return rows

    def written(self, rows: Sequence[IdentityRow]) -> None:
        """These are stored."""
        for row in rows:
            self._rows[row.handle, row.kind] = row
            self._learned.discard(row.handle)

    def health(self) -> dict[str, int]:
        """How many there are, and what became of identifiers since the start."""
        counts = Counter(kind for kinds in self.handles.values() for kind in kinds)
        told = {EID: counts[EID], IRK: counts[IRK]}
        for name in ("unknown", "refused", "recovered", "forgotten"):
            told[name] = self._eids.counts[name] + self._addresses.counts.get(name, 0)
        return told


def _value(name: str) -> bytes | None:
    if name[:4] not in _SCHEMES:
        return None
    try:
        return bytes.fromhex(name[4:])
    except ValueError:
        return None
