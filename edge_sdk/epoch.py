"""The open epoch of a device: its sealing keys, in memory only, and its place in the numbering."""

from edge_sdk.key_slots import KeySlots
from edge_sdk.wire import seal
from edge_sdk.wire.keys import MAX_SEQ, Ratchet, down_key
from edge_sdk.wire.suite import Suite


class Epoch:
    """Seals messages of one epoch, each under a key of its own that is then forgotten."""

    def __init__(self, slots: KeySlots, suite: Suite) -> None:
        """Opens the next epoch: one durable step of the chain. Raises StorageError."""
        slot, chain_key = slots.open_epoch()
        self.device = slot.device
        self.tenant = slot.tenant
        self.generation = slot.generation
        self.number = slot.epoch
        self.down_key = down_key(suite, chain_key)
        self._suite = suite
        self._ratchet: Ratchet | None = Ratchet.of_epoch(suite, chain_key)

    @property
    def next_seq(self) -> int:
        return MAX_SEQ + 1 if self._ratchet is None else self._ratchet.seq

    def room(self) -> int:
        """How many messages this epoch can still seal."""
        return MAX_SEQ + 1 - self.next_seq

    def seal(self, kind: int, plaintext: bytes) -> tuple[int, bytes]:
        """(seq, message). Each call burns its sequence number, whatever becomes of the message."""
        ratchet = self._ratchet
        if ratchet is None:
            raise RuntimeError("this epoch is full: open the next one first")
        header = seal.Header(kind, self.generation, self.device, self.number, ratchet.seq)
        key = ratchet.message_key()
        self._ratchet = ratchet.at(ratchet.seq + 1) if ratchet.seq < MAX_SEQ else None
        return header.seq, seal.seal_up(self._suite, header, key, plaintext)
