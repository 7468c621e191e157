"""Which messages of a device can be opened, with which key, and what is held of them.

Pure: no I/O and no clock. A device's life is a row of epochs (docs/wire.md, "Keys"): the bridge
keeps the chain key of the first one that it has not met, and a `Holding` for each one that may
still send. Nothing kept here changes before a message has been opened.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloud_bridge.holding import MAX_GAPS, Holding
from edge_sdk.wire.control import NOTICE_REASONS, Hello
from edge_sdk.wire.keys import Ratchet, down_key, next_chain_key
from edge_sdk.wire.seal import HELLO, Header, Refused, open_up
from edge_sdk.wire.suite import Suite

MAX_AHEAD = 65_536
FREE_AHEAD = 64
RETRY_S = 1.0
# A hello that would leave more epochs open than this is malformed.
MAX_EPOCHS = 65_536

# Why something never comes, besides the reasons of a notice: what came could not be read; the
# epoch was closed by a hello that no longer lists it.
MALFORMED, CLOSED = 2, 3
GAP_REASONS = (*NOTICE_REASONS, "malformed", "closed")

# (epoch, first, last, batches that are missing, reason)
GapRange = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Ear:
    """The epoch in which a device hears us, and the key to be heard."""

    generation: int
    epoch: int
    down_key: bytes = field(repr=False)


class NoHello(Refused):
    """An authentic message of an epoch that no hello has opened; its sender hears `ear`."""

    def __init__(self, ear: Ear) -> None:
        super().__init__("no_hello")
        self.ear = ear


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic message. `ratchet` stands at its number."""

    header: Header
    plaintext: bytes = field(repr=False)
    ratchet: Ratchet = field(repr=False)


class Receiver:
    """Keys and cursors of one device, of one enrolment.

    `next_epoch` and `chain_key` belong to the first epoch that it has not met. `ear` is the newest
    met one's, `old_ear` that of the enrolment before. `touched` are the epochs whose holdings have
    changed since they were last stored, `moved` says whether the rest has.
    """

    def __init__(
        self,
        suite: Suite,
        device: int,
        *,
        generation: int,
        next_epoch: int,
        chain_key: bytes,
        ear: Ear | None = None,
        old_ear: Ear | None = None,
        revoked: bool = False,
    ) -> None:
        self.suite = suite
        self.device = device
        self.generation = generation
        self.next_epoch = next_epoch
        self.chain_key = chain_key
        self.ear = ear
        self.old_ear = old_ear
        self.revoked = revoked
        self.holdings: dict[int, Holding] = {}
        self.touched: set[int] = set()
        self.moved = False
        self._failed_s = float("-inf")

    def read(self, header: Header, message: bytes, now_s: float) -> Opened | None:
        """Open a message; None: a duplicate, to be acknowledged again. Raises Refused.

        Changes nothing that is stored. `now_s` is any clock that does not jump.
        """
        if header.generation != self.generation:
            raise Refused("generation")
        if self.revoked:
            raise Refused("revoked")
        if header.epoch >= self.next_epoch:
            return self._read_ahead(header, message, now_s)
        holding = self.holdings.get(header.epoch)
        if holding is None or header.seq > holding.last:
            raise Refused("past_epoch")
        gap = holding.gap_of(header.seq)
        if gap is None:
            return None
        ratchet = gap.ratchet.at(header.seq)
        plaintext = open_up(self.suite, header, ratchet.message_key(), message)
        if len(holding.gaps) >= MAX_GAPS and gap.first < header.seq < gap.last:
            raise Refused("gaps")
        return Opened(header, plaintext, ratchet)

    def _read_ahead(self, header: Header, message: bytes, now_s: float) -> Opened:
        ahead = header.epoch - self.next_epoch + 1
        far = ahead > FREE_AHEAD
        if ahead > MAX_AHEAD or (far and now_s - self._failed_s < RETRY_S):
            raise Refused("future_epoch")
        chain_key = self.chain_key
        for _ in range(ahead - 1):
            chain_key = next_chain_key(self.suite, chain_key)
        ratchet = Ratchet.of_epoch(self.suite, chain_key).at(header.seq)
        try:
            plaintext = open_up(self.suite, header, ratchet.message_key(), message)
            if header.kind != HELLO or header.seq != 0:
                key = down_key(self.suite, chain_key)
                raise NoHello(Ear(self.generation, header.epoch, key))
        except Refused:
            if far:
                self._failed_s = now_s
            raise
        return Opened(header, plaintext, ratchet)

    def hold(self, opened: Opened) -> None:
        """A message of a met epoch is held from now on; its key is forgotten."""
        self.holdings[opened.header.epoch].take(opened.ratchet)
        self.touched.add(opened.header.epoch)

    def begin(self, opened: Opened, hello: Hello | None) -> list[GapRange]:
        """Meet the epoch of an opened hello; what is now known never to come.

        Older epochs that the hello lists may still send up to their last number, all others are
        closed. Of a hello that nobody can read (None) the met ones stay open. Call it only where
        `has_room` says so. Returns (epoch, first, last, missing, CLOSED) of each range.
        """
        listed = _Listed(hello.held) if hello is not None else None
        closed: list[GapRange] = []
        for number in sorted(self.holdings) if listed else ():
            last = listed.last_seq(number) if listed else None
            missing = self.holdings[number].missing(-1 if last is None else last)
            closed += [(number, low, high, high - low + 1, CLOSED) for low, high in missing]
            if last is None:
                del self.holdings[number]
            elif last < self.holdings[number].last:
                self.holdings[number].end_at(last)
            else:
                continue  # it is stored like this
            self.touched.add(number)
        epoch, chain_key = opened.header.epoch, self.chain_key
        for number in range(self.next_epoch, epoch):
            last = listed.last_seq(number) if listed else None
            if last is not None:
                self.holdings[number] = Holding.of_epoch(self.suite, chain_key, last)
                self.touched.add(number)
            chain_key = next_chain_key(self.suite, chain_key)
        self.holdings[epoch] = Holding.of_epoch(self.suite, chain_key)
        self.ear = Ear(self.generation, epoch, down_key(self.suite, chain_key))
        self.next_epoch = epoch + 1
        self.chain_key = next_chain_key(self.suite, chain_key)
        self.moved = True
        self.hold(opened)
        return closed

    def has_room(self, opened: Opened, hello: Hello) -> bool:
        """Whether a hello leaves at most MAX_EPOCHS open, and lists nothing but older epochs."""
        listed = _Listed(hello.held)
        kept = sum(listed.last_seq(number) is not None for number in self.holdings)
        ahead = range(self.next_epoch, opened.header.epoch)
        kept += sum(listed.last_seq(number) is not None for number in ahead)
        return kept < MAX_EPOCHS and listed.end <= opened.header.epoch

    def give_up(self, opened: Opened, ranges: Sequence[GapRange]) -> list[GapRange]:
        """Hold a notice and close what it names, of what was not held before.

        Returns (epoch, first, last, missing, reason) of each range that lacked something. What it
        says of epochs that are not open changes nothing. Raises Refused("gaps"), changing nothing.
        """
        drafts = {opened.header.epoch: self.holdings[opened.header.epoch].copy()}
        drafts[opened.header.epoch].take(opened.ratchet)
        closed = []
        for epoch, first, last, _, reason in ranges:
            if epoch not in drafts and epoch in self.holdings:
                drafts[epoch] = self.holdings[epoch].copy()
            missing = drafts[epoch].remove(first, last) if epoch in drafts else 0
            if missing:
                closed.append((epoch, first, last, missing, reason))
        if any(len(draft.gaps) > MAX_GAPS for draft in drafts.values()):
            raise Refused("gaps")
        self.holdings.update(drafts)
        self.touched.update(drafts)
        return closed

    def revoke(self) -> None:
        """Forget every key but the one with which the device can be told."""
        self.touched.update(self.holdings)
        self.holdings.clear()
        self.chain_key = b""
        self.revoked = self.moved = True

    def ear_of(self, header: Header) -> Ear | None:
        """Where a refusal of this message is heard; None where that cannot be known."""
        for ear in (self.ear, self.old_ear):
            if ear and header.generation == ear.generation and header.epoch <= ear.epoch:
                return ear
        return None


class _Listed:
    """The runs of a hello, to be asked for one epoch."""

    def __init__(self, runs: Sequence[tuple[int, int, int]]) -> None:
        self._runs = sorted(runs)
        self._firsts = [run[0] for run in self._runs]
        self.end = max((first + epochs for first, epochs, _ in runs), default=0)

    def last_seq(self, epoch: int) -> int | None:
        """The last number that the epoch may still send; None: it is closed."""
        at = bisect_right(self._firsts, epoch) - 1
        if at < 0:
            return None
        first, epochs, last = self._runs[at]
        return last if epoch < first + epochs else None
