"""The seal: header, nonce and AES-CCM around one message, either way. docs/wire.md, "Messages".

up    ver|kind 1 | generation 1 | device 4 | epoch 4 | seq 4 | ciphertext | tag 16
down  ver|kind 1 | generation 1 | device 4 | epoch 4 | seq 4 | incarnation 8 | ciphertext | tag
"""

import struct

from .keys import DOWN, MAX_SEQ, UP, down_message_key, nonce

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .suite import Suite

VERSION = 1
TAG_BYTES = 16
MAX_MESSAGE = 65_535

# Kinds of message: the low four bits of the first byte.
ROWS, COLUMNS, HELLO, NOTICE, DEFLATED = 0, 1, 2, 3, 4
ACK, PROMPT, REFUSAL = 8, 9, 10
UP_KINDS = (ROWS, COLUMNS, HELLO, NOTICE, DEFLATED)
DOWN_KINDS = (ACK, PROMPT, REFUSAL)

_HEADER = ">BBIII"
UP_HEADER_BYTES = 14
DOWN_HEADER_BYTES = 22


class Refused(ValueError):
    """Theirs: a message that must change nothing. `reason` is a name from docs/wire.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Header:
    """What travels in the open. `incarnation` is b"" on the way up."""

    __slots__ = ("device", "epoch", "generation", "incarnation", "kind", "raw", "seq")

    def __init__(
        self,
        kind: int,
        generation: int,
        device: int,
        epoch: int,
        seq: int,
        incarnation: bytes = b"",
    ) -> None:
        self.kind = kind
        self.generation = generation
        self.device = device
        self.epoch = epoch
        self.seq = seq
        self.incarnation = incarnation
        self.raw = (
            struct.pack(_HEADER, VERSION << 4 | kind, generation, device, epoch, seq) + incarnation
        )


def seal_up(suite: "Suite", header: Header, key: bytes, plaintext: bytes) -> bytes:
    """A message from device to bridge, under its batch key (`Ratchet.message_key`).

    Raises ValueError (ours) where the message would exceed MAX_MESSAGE.
    """
    return _sealed(suite, header, key, nonce(UP, header.epoch, header.seq), plaintext)


def seal_down(suite: "Suite", header: Header, incarnation_key: bytes, plaintext: bytes) -> bytes:
    """A message from bridge to device, under HMAC(DK_e, incarnation).

    Raises ValueError (ours) where the message would exceed MAX_MESSAGE.
    """
    key = down_message_key(suite, incarnation_key, header.seq)
    return _sealed(suite, header, key, nonce(DOWN, header.epoch, header.seq), plaintext)


def _sealed(suite: "Suite", header: Header, key: bytes, once: bytes, plaintext: bytes) -> bytes:
    # A longer plaintext has no length in CCM with L = 2; a board's struct would cut it, silently.
    if len(header.raw) + len(plaintext) + TAG_BYTES > MAX_MESSAGE:
        raise ValueError("a message has at most %d bytes" % MAX_MESSAGE)
    return header.raw + suite.seal(key, once, header.raw, plaintext)


def read_header(message: bytes, kinds: "tuple[int, ...]") -> Header:
    """Header of a message of one direction (UP_KINDS or DOWN_KINDS). Raises Refused."""
    size = UP_HEADER_BYTES if kinds is UP_KINDS else DOWN_HEADER_BYTES
    if len(message) > MAX_MESSAGE:
        raise Refused("oversized")
    if len(message) < size + TAG_BYTES:
        raise Refused("truncated")
    first, generation, device, epoch, seq = struct.unpack(_HEADER, message[:UP_HEADER_BYTES])
    if first >> 4 != VERSION:
        raise Refused("version")
    if first & 15 not in kinds:
        raise Refused("direction" if first & 15 in UP_KINDS + DOWN_KINDS else "kind")
    if kinds is UP_KINDS and seq > MAX_SEQ:
        raise Refused("sequence")
    return Header(first & 15, generation, device, epoch, seq, bytes(message[UP_HEADER_BYTES:size]))


def open_up(suite: "Suite", header: Header, key: bytes, message: bytes) -> bytes:
    """Plaintext of a message up. Raises Refused("forged")."""
    return _opened(
        suite.open(key, nonce(UP, header.epoch, header.seq), header.raw, message[UP_HEADER_BYTES:])
    )


def open_down(suite: "Suite", header: Header, incarnation_key: bytes, message: bytes) -> bytes:
    """Plaintext of a message down. Raises Refused("forged")."""
    key = down_message_key(suite, incarnation_key, header.seq)
    return _opened(
        suite.open(
            key, nonce(DOWN, header.epoch, header.seq), header.raw, message[DOWN_HEADER_BYTES:]
        )
    )


def _opened(plaintext: "bytes | None") -> bytes:
    if plaintext is None:
        raise Refused("forged")
    return plaintext
