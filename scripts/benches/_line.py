"""A device's end of the wire without a disk: it seals ahead, and opens what the bridge says."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benches._chain import Chain
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.batching import encode
from edge_sdk.downlink import Downlink
from edge_sdk.epoch import Epoch
from edge_sdk.key_slots import Slot
from edge_sdk.version import AGENT
from edge_sdk.wire import seal
from edge_sdk.wire.control import Hello, encode_hello
from edge_sdk.wire.enrolment import from_token
from edge_sdk.wire.keys import Ratchet
from edge_sdk.wire.topics import BULK, DOWN, LIVE, topic
from edge_sdk.wire.touchpoint import PROMPTING, Touchpoint


@dataclass(frozen=True, slots=True)
class Sealed:
    """One message up, and what it weighs."""

    seq: int
    lane: str
    message: bytes = field(repr=False)
    touchpoints: int


class Line:
    """One enrolled device, made known by its token. `begin` opens an epoch, then `seal`."""

    def __init__(self, token: str, site: str, surface: str = "") -> None:
        enrolment = from_token(token)
        self.site = site
        self.surface = surface
        self.device = enrolment.device
        self.tenant = enrolment.tenant
        self.refused: Counter[str] = Counter()
        self._chain = _RememberedChain(enrolment)
        self._suite = AesCcm()
        self._epoch: Epoch | None = None
        self._downlink: Downlink | None = None

    @property
    def epoch(self) -> Epoch:
        """The open one."""
        assert self._epoch is not None
        return self._epoch

    @property
    def incarnations(self) -> int:
        """How many starts of the bridge were heard in this epoch."""
        assert self._downlink is not None
        return self._downlink.incarnations

    def begin(self) -> Sealed:
        """Open the next epoch; its hello. Nothing of an earlier one may still be unacknowledged."""
        self._epoch = Epoch(self._chain, self._suite)
        self._downlink = Downlink(self._suite, self._epoch, self.refused)
        hello = Hello(time.time_ns() // 1_000_000, AGENT, [])
        seq, message = self._epoch.seal(seal.HELLO, encode_hello(hello))
        return Sealed(seq, LIVE, message, 0)

    def seal(self, touchpoints: Sequence[Touchpoint], *, fresh: bool = False) -> list[Sealed]:
        """One class's touchpoints as a batch, or as more where they do not fit one.

        What can trigger a prompt and is fresh goes by the live lane, as the courier decides it.
        """
        prompting = fresh and any(PROMPTING[touchpoint.code] for touchpoint in touchpoints)
        lane = LIVE if prompting else BULK
        sealed = []
        for kind, plaintext, count in encode(touchpoints):
            seq, message = self.epoch.seal(kind, plaintext)
            sealed.append(Sealed(seq, lane, message, count))
        return sealed

    def opened(self, name: str, payload: bytes) -> tuple[int, bytes] | None:
        """(kind, plaintext) of a message down; None: refused, and counted."""
        return self._downlink.open(name, payload) if self._downlink is not None else None

    def topic(self, lane: str) -> str:
        """Where its messages travel."""
        return topic(self.tenant, lane, self.device)

    @property
    def down(self) -> str:
        """Where it is spoken to."""
        return self.topic(DOWN)

    def keys(self, seqs: Sequence[int]) -> list[bytes]:
        """The keys of these messages of the open epoch, in ascending order; for the floor."""
        ratchet = Ratchet.of_epoch(self._suite, self._chain.chain_key)
        found = []
        for seq in seqs:
            ratchet = ratchet.at(seq)
            found.append(ratchet.message_key())
        return found


class _RememberedChain(Chain):
    """Keeps what a device forgets: the chain key of the open epoch."""

    chain_key = b""

    def open_epoch(self) -> tuple[Slot, bytes]:
        slot, self.chain_key = super().open_epoch()
        return slot, self.chain_key
