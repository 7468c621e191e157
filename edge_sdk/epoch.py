"""The open epoch of a device: its sealing keys, in memory only, and its place in the numbering."""

import zlib
from collections.abc import Sequence

from edge_sdk.key_slots import KeySlots
from edge_sdk.wire import seal
from edge_sdk.wire.batch import TooLarge, encode_columns, encode_rows
from edge_sdk.wire.keys import MAX_SEQ, Ratchet, down_key
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.touchpoint import Touchpoint

# Below this many touchpoints the column form's dictionary costs more than it saves.
_COLUMNS_FROM = 3


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


def encode(touchpoints: Sequence[Touchpoint]) -> list[tuple[int, bytes, int]]:
    """(kind, plaintext, touchpoints) of one batch, or of more where they do not fit one."""
    listed = list(touchpoints)
    try:
        if len(listed) < _COLUMNS_FROM:
            return [(seal.ROWS, encode_rows(listed), len(listed))]
        return [(*_deflated(encode_columns(listed)), len(listed))]
    except TooLarge:
        if len(listed) == 1:
            raise
        half = len(listed) // 2
        return encode(listed[:half]) + encode(listed[half:])


def _deflated(plaintext: bytes) -> tuple[int, bytes]:
    """(kind, plaintext): deflated where shorter (docs/decisions/0018-deflated-columns.md)."""
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    shorter = squeezer.compress(plaintext) + squeezer.flush()
    if len(shorter) < len(plaintext):
        return seal.DEFLATED, shorter
    return seal.COLUMNS, plaintext
