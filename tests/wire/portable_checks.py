"""What the wire must do, as plain functions that CPython and MicroPython both run.

Each check takes (suite, vectors), asserts, and returns how many cases it went through. `vectors`
has the content of tests/vectors/*.json by the file's stem.
"""

from edge_sdk.wire import batch, control, packing
from tests.wire import portable_batches, portable_control, portable_seals
from tests.wire.dice import Dice
from tests.wire.refusals import read_or_refused

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.wire.suite import Suite

    Vectors = dict[str, Any]


def check_arbitrary_bytes(suite: "Suite", vectors: "Vectors") -> int:
    """Bytes without meaning, and bytes that begin well, end in the module's own error."""
    dice = Dice(11)
    for at in range(400):
        data = dice.bytes(dice.below(60))
        if at % 2:
            data = bytes([0x90 | dice.below(8)]) + data
        read_or_refused(packing.PackingError, packing.unpack, data)
        for _, read_batch in portable_batches.CODECS.values():
            read_or_refused(batch.BatchError, read_batch, data)
        for decode in portable_control.CONTROL_DECODERS.values():
            read_or_refused(control.ControlError, decode, data)
    return 400 * (1 + len(portable_batches.CODECS) + len(portable_control.CONTROL_DECODERS))


CHECKS = (
    ("the key schedule", portable_seals.check_key_schedule),
    ("the ratchet", portable_seals.check_ratchet),
    ("HKDF-Extract of RFC 5869", portable_seals.check_hkdf_extract),
    ("CCM of SP 800-38C", portable_seals.check_ccm),
    ("batches", portable_batches.check_batches),
    ("malformed batches", portable_batches.check_malformed_batches),
    ("cut and changed batches", portable_batches.check_cut_batches),
    ("round trips", portable_batches.check_round_trips),
    ("arbitrary bytes", check_arbitrary_bytes),
    ("limits of a batch", portable_batches.check_batch_limits),
    ("claimed sizes", portable_batches.check_claimed_sizes),
    ("touchpoints", portable_batches.check_touchpoints),
    ("control messages", portable_control.check_control),
    ("malformed control messages", portable_control.check_malformed_control),
    ("later control messages", portable_control.check_later_control),
    ("held runs", portable_control.check_held_runs),
    ("sealed messages", portable_seals.check_messages),
    ("truncated messages", portable_seals.check_truncations),
    ("flipped bits", portable_seals.check_flipped_bits),
    ("foreign keys", portable_seals.check_foreign_keys),
    ("refused headers", portable_seals.check_refused_headers),
    ("sizes of messages", portable_seals.check_sizes),
    ("topics", portable_control.check_topics),
    ("enrolment tokens", portable_control.check_enrolment),
    ("MessagePack", portable_batches.check_packing),
)
