"""What the bridge says, opened: the current epoch and incarnation only, each message once."""

from collections import Counter, deque

from edge_sdk.epoch import Epoch
from edge_sdk.wire.seal import DOWN_KINDS, Header, Refused, open_down, read_header
from edge_sdk.wire.suite import Suite
from edge_sdk.wire.topics import device_of

_WINDOW = 1024
_RETIRED = 4096  # starts of the bridge within one of ours


class Downlink:
    """Opens messages to one device. What it refuses changes nothing but `refused`, by reason."""

    def __init__(self, suite: Suite, epoch: Epoch, refused: Counter[str]) -> None:
        self.refused = refused
        self.incarnations = 0
        self._suite = suite
        self._epoch = epoch
        self._incarnation = b""
        self._incarnation_key = b""
        self._retired: deque[bytes] = deque(maxlen=_RETIRED)
        self._highest = -1
        self._seen = 0  # bit n: message `highest - n` was taken

    def open(self, topic: str, message: bytes) -> tuple[int, bytes] | None:
        """(kind, plaintext), or None where the message was refused and counted."""
        try:
            header = read_header(message, DOWN_KINDS)
            if not device_of(topic) == header.device == self._epoch.device:
                raise Refused("topic")
            return header.kind, self._open(header, message)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return None

    def _open(self, header: Header, message: bytes) -> bytes:
        if header.generation != self._epoch.generation:
            raise Refused("generation")
        if header.epoch != self._epoch.number:
            raise Refused("epoch")
        if header.incarnation in self._retired:
            raise Refused("incarnation")
        if header.incarnation == self._incarnation:
            self._refuse_replay(header.seq)
            plaintext = open_down(self._suite, header, self._incarnation_key, message)
        else:
            key = self._suite.hmac(self._epoch.down_key, header.incarnation)
            plaintext = open_down(self._suite, header, key, message)
            self._retired.append(self._incarnation)
            self._incarnation, self._incarnation_key = header.incarnation, key
            self._highest, self._seen = -1, 0
            self.incarnations += 1
        self._note(header.seq)
        return plaintext

    def _refuse_replay(self, seq: int) -> None:
        age = self._highest - seq
        if age >= _WINDOW or (age >= 0 and self._seen >> age & 1):
            raise Refused("replay")

    def _note(self, seq: int) -> None:
        if seq > self._highest:
            self._seen = (self._seen << min(seq - self._highest, _WINDOW)) & ((1 << _WINDOW) - 1)
            self._highest = seq
        self._seen |= 1 << self._highest - seq
