"""A device's keys in memory, for what seals and is not about disks."""

from dataclasses import replace
from pathlib import Path

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.key_slots import KeySlots, Slot
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.keys import next_chain_key, root_key


class Chain(KeySlots):
    """The chain of an enrolled device; each epoch is opened once."""

    def __init__(self, enrolment: Enrolment) -> None:
        suite = AesCcm()
        super().__init__(Path(), suite)
        key = root_key(suite, enrolment.tenant, enrolment.site, enrolment.secret)
        who = (enrolment.tenant, enrolment.site, enrolment.device, enrolment.generation)
        self._slot = Slot(*who, 0, key)
        self._hash = suite

    def open_epoch(self) -> tuple[Slot, bytes]:
        slot = self._slot
        following = next_chain_key(self._hash, slot.chain_key)
        self._slot = replace(slot, epoch=slot.epoch + 1, chain_key=following)
        return slot, slot.chain_key
