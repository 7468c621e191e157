"""What is opened, what is held and what is refused, against a model that knows everything."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.holding import MAX_GAPS, Holding
from cloud_bridge.receiving import CLOSED, MAX_EPOCHS, NoHello, Opened, Receiver
from cloud_bridge.restoring import device_row, epoch_row, receivers
from edge_sdk.wire import seal
from edge_sdk.wire.control import SHED, Hello, decode_hello, decode_notice, held_runs
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.keys import MAX_SEQ, down_key, root_key
from edge_sdk.wire.seal import HELLO, NOTICE, UP_KINDS, Refused, read_header
from edge_sdk.wire.touchpoint import make
from tests.cloud_bridge.little_device import SECRET, SUITE, LittleDevice

ENROLMENT = Enrolment("acme", "paris-1", 42, 0, SECRET)
SIGHT = make("sighting", 1_800_000_000_000, receiver="r", beacon="ble:1")


def enrolled(generation: int = 0) -> Receiver:
    key = root_key(SUITE, "acme", "paris-1", SECRET)
    return Receiver(SUITE, 42, generation=generation, next_epoch=0, chain_key=key)


def read(receiver: Receiver, message: bytes, now_s: float = 0.0) -> Opened | None:
    return receiver.read(read_header(message, UP_KINDS), message, now_s)


def take(receiver: Receiver, message: bytes) -> None:
    """Open and hold a message that must be new."""
    opened = read(receiver, message)
    assert opened is not None
    if opened.header.kind == HELLO and opened.header.epoch >= receiver.next_epoch:
        receiver.begin(opened, decode_hello(opened.plaintext))
    elif opened.header.kind == NOTICE:
        receiver.give_up(opened, decode_notice(opened.plaintext))
    else:
        receiver.hold(opened)


def state(receiver: Receiver) -> object:
    """All that is stored of it."""
    return device_row(receiver), {n: epoch_row(receiver, n) for n in receiver.holdings}


def stored_and_restored(receiver: Receiver) -> Receiver:
    rows = [row for n in receiver.holdings if (row := epoch_row(receiver, n)) is not None]
    restored = receivers(SUITE, [device_row(receiver)], rows)[receiver.device]
    assert state(restored) == state(receiver)
    return restored


def refusal(receiver: Receiver, message: bytes, now_s: float = 0.0) -> str:
    """Why a message is refused; nothing that is stored may change."""
    before = state(receiver)
    with pytest.raises(Refused) as refused:
        read(receiver, message, now_s)
    assert state(receiver) == before
    return refused.value.reason


class World:
    """A device, a hostile network and a bridge, and who truly knows what."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.device = LittleDevice(ENROLMENT)
        self.receiver = enrolled()
        self.sent: list[bytes] = []  # the network may deliver any of it, at any time, again
        self.outbox: dict[tuple[int, int], bytes] = {}
        self.done: set[tuple[int, int]] = set()  # held, or given up
        self.last: dict[int, int] = {}  # open epoch -> its last number
        self.newest = -1

    def step(self) -> None:
        actions: list[Callable[[], None]] = [self.deliver] * 8 + [self.capture] * 4
        actions += [self.acknowledge] * 2 + [self.start, self.shed, self.restore]
        self.rng.choice(actions)()

    def send(self, message: bytes) -> None:
        header = read_header(message, UP_KINDS)
        self.outbox[header.epoch, header.seq] = message
        self.sent.append(message)

    def start(self) -> None:
        if self.rng.random() < 0.3:
            self.device.skip_epochs(self.rng.randrange(1, 4))
        held: dict[int, int] = {}
        for epoch, seq in sorted(self.outbox):
            held[epoch] = max(seq, held.get(epoch, 0))
        self.send(self.device.start(*held_runs(sorted(held.items()))))

    def capture(self) -> None:
        if self.device.epoch < 0:
            self.start()
        self.send(self.device.rows(SIGHT))

    def shed(self) -> None:
        victims = [key for key in self.outbox if key[1] > 0 and self.rng.random() < 0.2]
        if victims:
            gaps = [(epoch, seq, seq, 1, SHED) for epoch, seq in victims]
            for victim in victims:
                del self.outbox[victim]
            self.send(self.device.notice(*gaps))

    def acknowledge(self) -> None:
        for key in list(self.outbox):
            if key in self.done and self.rng.random() < 0.5:
                del self.outbox[key]

    def restore(self) -> None:
        self.receiver = stored_and_restored(self.receiver)

    def deliver(self) -> None:
        if self.sent:
            self.arrives(self.rng.choice(self.sent))

    def arrives(self, message: bytes) -> None:
        header = read_header(message, UP_KINDS)
        key = (header.epoch, header.seq)
        ahead = header.epoch > self.newest
        if ahead and header.kind != HELLO:
            assert refusal(self.receiver, message) == "no_hello"
        elif not ahead and self.last.get(header.epoch, -1) < header.seq:
            assert refusal(self.receiver, message) == "past_epoch"
        elif key in self.done:
            assert read(self.receiver, message) is None
        else:
            opened = read(self.receiver, message)
            assert opened is not None
            self.opened(opened)

    def opened(self, opened: Opened) -> None:
        header = opened.header
        self.done.add((header.epoch, header.seq))
        if header.kind == HELLO and header.epoch > self.newest:
            hello = decode_hello(opened.plaintext)
            assert self.receiver.has_room(opened, hello)
            self.receiver.begin(opened, hello)
            listed = {
                epoch: last
                for first, epochs, last in hello.held
                for epoch in range(first, first + epochs)
            }
            known = {**dict.fromkeys(range(self.newest + 1, header.epoch), MAX_SEQ), **self.last}
            self.last = {
                epoch: min(known[epoch], last) for epoch, last in listed.items() if epoch in known
            }
            self.last[header.epoch] = MAX_SEQ
            self.newest = header.epoch
        elif header.kind == NOTICE:
            gaps = decode_notice(opened.plaintext)
            self.receiver.give_up(opened, gaps)
            for epoch, first, last, _, _ in gaps:
                self.done.update((epoch, seq) for seq in range(first, last + 1))
        else:
            self.receiver.hold(opened)

    def check(self) -> None:
        """The gaps are exactly what is not done."""
        assert self.receiver.holdings.keys() == self.last.keys()
        for epoch, last in self.last.items():
            holding = self.receiver.holdings[epoch]
            assert holding.last == last
            for seq in range(min(last, 60) + 1):
                assert (holding.gap_of(seq) is None) == ((epoch, seq) in self.done)


@given(st.integers(0, 1 << 32), st.integers(5, 60))
def test_any_order_with_losses_repeats_and_restarts_of_both_sides(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
        world.check()
    # In the end everything is sent again, as by a device that was never heard, and comes through.
    world.start()
    for message in sorted(world.outbox.items()):
        if message[0][1] == 0:
            world.arrives(message[1])
    for message in world.outbox.items():
        world.arrives(message[1])
    world.check()
    assert world.outbox.keys() <= world.done


def test_every_flipped_bit_and_truncation_is_refused_and_changes_nothing() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    batch, notice = device.rows(SIGHT), device.notice((0, 1, 1, 1, SHED))
    hello = device.start((0, 1, 2))
    before = state(receiver)
    for message in (hello, batch, notice):
        for now_s, bit in enumerate(range(8 * len(message))):
            changed = bytearray(message)
            changed[bit // 8] ^= 1 << bit % 8
            with suppress(Refused):
                assert read(receiver, bytes(changed), 2.0 * now_s) is None  # held: never opened
            assert state(receiver) == before
        for end in range(len(message)):
            with pytest.raises(Refused):
                read(receiver, message[:end], 5000.0)
            assert state(receiver) == before
    take(receiver, batch)
    take(receiver, hello)


def test_other_devices_enrolments_tenants_and_directions_are_refused() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    strangers = {
        "forged": [
            Enrolment("acme", "paris-2", 42, 0, SECRET),
            Enrolment("other", "paris-1", 42, 0, SECRET),
            Enrolment("acme", "paris-1", 42, 0, bytes(32)),
        ],
        "generation": [Enrolment("acme", "paris-1", 42, 1, SECRET)],
    }
    for reason, enrolments in strangers.items():
        for enrolment in enrolments:
            stranger = LittleDevice(enrolment)
            stranger.start()
            assert refusal(receiver, stranger.rows(SIGHT)) == reason
    key = SUITE.hmac(down_key(SUITE, root_key(SUITE, "acme", "paris-1", SECRET)), b"12345678")
    header = seal.Header(seal.ACK, 0, 42, 0, 1, b"12345678")
    with pytest.raises(Refused) as refused:
        read(receiver, seal.seal_down(SUITE, header, key, b"\x90"))
    assert refused.value.reason == "direction"


def test_a_revoked_device_is_told_and_nothing_is_kept() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    ear = receiver.ear
    receiver.revoke()
    message = device.rows(SIGHT)
    assert refusal(receiver, message) == "revoked"
    assert receiver.ear_of(read_header(message, UP_KINDS)) == ear
    assert receiver.chain_key == b""
    assert receiver.holdings == {}


def test_a_batch_before_its_hello_is_refused_to_the_epoch_that_sent_it() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    device.skip_epochs(3)
    hello, batch = device.start(), device.rows(SIGHT)
    with pytest.raises(NoHello) as refused:
        read(receiver, batch)
    take(receiver, hello)
    assert refused.value.ear == receiver.ear
    take(receiver, batch)


def test_far_epochs_cost_one_try_a_second() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    device.skip_epochs(64)
    hello = device.start()  # epoch 64 is 65 ahead
    forged = bytes([*hello[:-1], hello[-1] ^ 1])
    assert refusal(receiver, forged, 10.0) == "forged"
    assert refusal(receiver, hello, 10.9) == "future_epoch"
    assert refusal(receiver, device.rows(SIGHT), 11.1) == "no_hello"
    assert refusal(receiver, hello, 12.0) == "future_epoch"
    near = LittleDevice(ENROLMENT)
    near.skip_epochs(63)
    opened = read(receiver, near.start(), 12.0)
    assert opened is not None
    opened = read(receiver, hello, 12.2)
    assert opened is not None


def test_no_epoch_is_tried_beyond_the_limit() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    device.skip_epochs(65_536)
    hello = device.start()
    assert refusal(receiver, hello) == "future_epoch"  # 65,537 ahead
    take(receiver, LittleDevice(ENROLMENT).start())
    take(receiver, hello)
    assert receiver.next_epoch == 65_537


def test_a_full_epoch_is_remembered_until_a_hello_drops_it() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    first = [device.start(), device.rows(SIGHT), device.rows(SIGHT)]
    for message in first:
        take(receiver, message)
    # The acknowledgement was lost, so the device still holds the epoch and sends it again.
    take(receiver, device.start((0, 1, 2)))
    assert receiver.holdings[0].gaps == []
    assert [read(receiver, message) for message in first] == [None] * 3
    beyond = LittleDevice(ENROLMENT)
    beyond.start()
    for _ in range(2):
        beyond.rows(SIGHT)
    assert refusal(receiver, beyond.rows(SIGHT)) == "past_epoch"  # never sealed by that device
    take(receiver, device.start())
    assert refusal(receiver, first[1]) == "past_epoch"


def test_what_a_hello_no_longer_lists_is_counted_as_missing() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    lost, last = [device.rows(SIGHT) for _ in range(3)], device.rows(SIGHT)
    take(receiver, last)
    opened = read(receiver, device.start())
    assert opened is not None
    assert receiver.begin(opened, decode_hello(opened.plaintext)) == [(0, 1, 3, 3, CLOSED)]
    assert {refusal(receiver, message) for message in lost} == {"past_epoch"}


def test_an_unreadable_hello_opens_its_epoch_and_closes_nothing() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    batch = device.rows(SIGHT)
    opened = read(receiver, device.start())
    assert opened is not None
    assert receiver.begin(opened, None) == []
    take(receiver, batch)
    take(receiver, device.rows(SIGHT))


def test_gaps_are_bounded_and_filling_some_helps() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    messages = [device.rows(SIGHT) for _ in range(2 * MAX_GAPS + 2)]
    for at in range(1, 2 * MAX_GAPS - 2, 2):
        take(receiver, messages[at])
    assert len(receiver.holdings[0].gaps) == MAX_GAPS
    last = messages[2 * MAX_GAPS - 1]
    assert refusal(receiver, last) == "gaps"
    take(receiver, messages[0])
    take(receiver, last)
    stored_and_restored(receiver)


def test_a_notice_that_would_leave_too_many_gaps_changes_nothing() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    spread = [(0, seq, seq, 1, SHED) for seq in range(3, 2 * MAX_GAPS + 5, 2)]
    opened = read(receiver, device.notice(*spread))
    assert opened is not None
    before = state(receiver)
    with pytest.raises(Refused) as refused:
        receiver.give_up(opened, spread)
    assert refused.value.reason == "gaps"
    assert state(receiver) == before


def test_a_notice_counts_what_is_truly_missing() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    held, _ = device.rows(SIGHT), device.rows(SIGHT)
    take(receiver, held)
    opened = read(receiver, device.notice((0, 1, 2, 2, SHED), (0, 1, 1, 1, SHED), (9, 0, 5, 1, 0)))
    assert opened is not None
    assert receiver.give_up(opened, decode_notice(opened.plaintext)) == [(0, 1, 2, 1, SHED)]


def test_a_coarse_run_keeps_the_keys_of_all_its_epochs() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    lost = []
    for _ in range(5):
        device.start()
        lost.append(device.rows(SIGHT))
    opened = read(receiver, device.start((0, 5, 1)))
    assert opened is not None
    receiver.begin(opened, decode_hello(opened.plaintext))
    assert sorted(receiver.holdings) == [0, 1, 2, 3, 4, 5]
    for message in lost:
        take(receiver, message)


def test_a_hello_lists_older_epochs_and_not_too_many() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    device.skip_epochs(MAX_EPOCHS - 1)
    opened = read(receiver, device.start())  # epoch 65,536
    assert opened is not None
    assert receiver.has_room(opened, Hello(0, "", [(1, MAX_EPOCHS - 1, 1)]))
    assert not receiver.has_room(opened, Hello(0, "", [(0, MAX_EPOCHS, 1)]))
    assert not receiver.has_room(opened, Hello(0, "", [(MAX_EPOCHS, 1, 1)]))


def test_a_gap_keeps_no_key_of_what_is_held() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    take(receiver, device.rows(SIGHT))
    (gap,) = receiver.holdings[0].gaps
    assert gap.first == 2
    with pytest.raises(ValueError, match="forward"):
        gap.ratchet.at(1)


def test_no_key_is_shown() -> None:
    receiver, device = enrolled(), LittleDevice(ENROLMENT)
    take(receiver, device.start())
    opened = read(receiver, device.rows(SIGHT))
    shown = repr((receiver.ear, opened, device_row(receiver), epoch_row(receiver, 0)))
    assert "key" not in shown
    assert "state" not in shown
    assert isinstance(receiver.holdings[0], Holding)
