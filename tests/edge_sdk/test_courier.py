"""The courier, over a link that the test holds in its hand: what is sent, when, by which lane."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_sdk import courier as courier_module
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.clock import SteadyClock
from edge_sdk.courier import BULK_WINDOW, Courier
from edge_sdk.key_slots import KeySlots
from edge_sdk.outbox import Outbox
from edge_sdk.outbox_store import OutboxStore
from edge_sdk.rows import Row
from edge_sdk.wire import control, seal
from edge_sdk.wire.topics import DOWN, topic
from edge_sdk.wire.touchpoint import make
from tests.edge_sdk.homes import DEVICE, enrolled

SUITE = AesCcm()
ENTER = make("visit.enter", visit=1, visitor="ble:aa", zone="coffee")
VIEW = make("page.view", session="app:1", page="/")


class HeldLink:
    """A connection whose far end is the test: a bridge that answers only when told to."""

    def __init__(self, courier: Courier, outbox: Outbox) -> None:
        self.connected = False
        self.sent: list[tuple[str, int, int]] = []  # lane, epoch, seq
        self.released = 0
        self._courier = courier
        self._outbox = outbox
        self._seq = 0
        self.incarnation = b"\1" * 8

    def publish(self, name: str, payload: bytes) -> int | None:
        if not self.connected:
            return None
        header = seal.read_header(payload, seal.UP_KINDS)
        self.sent.append((name.split("/")[3], header.epoch, header.seq))
        return len(self.sent)

    def release(self, mid: int) -> None:
        self.released += 1

    def up(self) -> None:
        self.connected = True
        self._courier.link_up(65_535)

    def say(self, kind: int, plaintext: bytes) -> None:
        """A sealed message from the bridge."""
        epoch = self._outbox.store.epoch
        header = seal.Header(kind, 0, DEVICE, epoch.number, self._seq, self.incarnation)
        self._seq += 1
        key = SUITE.hmac(epoch.down_key, self.incarnation)
        message = seal.seal_down(SUITE, header, key, plaintext)
        self._courier.received(topic("acme", DOWN, DEVICE), message, self._seq)

    def acknowledge(self, *ranges: tuple[int, int, int]) -> None:
        self.say(seal.ACK, control.encode_ack(list(ranges)))

    def refuse(self, epoch: int, seq: int, reason: str) -> None:
        self.say(seal.REFUSAL, control.encode_refusal([(epoch, seq, reason)]))


Shop = tuple[Outbox, Courier, HeldLink]


@asynccontextmanager
async def shop(home: Path) -> AsyncIterator[Shop]:
    clock = SteadyClock()
    store = OutboxStore(home, SUITE, KeySlots(home, SUITE), agent="test", max_bytes=1 << 24)
    async with Outbox(store, clock, linger_s=0.001) as outbox:
        courier = Courier(outbox, SUITE, clock)
        link = HeldLink(courier, outbox)
        courier.link = link
        async with courier:
            yield outbox, courier, link


def run(home: Path, scenario: Callable[[Outbox, Courier, HeldLink], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with shop(home) as parts:
            await scenario(*parts)

    asyncio.run(whole())


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0.002)


def test_a_hello_goes_first_and_alone(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        await outbox.capture(ENTER)
        link.up()
        await settle()
        assert link.sent == [("live", 0, 0)]
        link.acknowledge((0, 0, 0))
        await settle()
        assert link.sent[1:] == [("live", 0, 1)]
        link.acknowledge((0, 0, 1))
        await courier.drained()
        assert link.released == 2

    run(enrolled(tmp_path), scenario)


def test_what_can_prompt_goes_live_and_the_rest_by_bulk(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await outbox.capture(VIEW)
        await outbox.capture(ENTER)
        await settle()
        assert link.sent[1:] == [("bulk", 0, 1), ("live", 0, 2)]

    run(enrolled(tmp_path), scenario)


def test_a_backlog_goes_by_bulk_in_order_and_within_its_window(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        for _ in range(BULK_WINDOW + 10):
            await outbox.capture(VIEW)
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await settle()
        assert link.sent[1:] == [("bulk", 0, seq) for seq in range(1, BULK_WINDOW + 1)]
        await outbox.capture(ENTER)  # fresh ones overtake
        await settle()
        assert link.sent[-1] == ("live", 0, BULK_WINDOW + 11)
        link.acknowledge((0, 1, BULK_WINDOW))
        await settle()
        rest = [("bulk", 0, seq) for seq in range(BULK_WINDOW + 1, BULK_WINDOW + 11)]
        assert link.sent[-10:] == rest
        link.acknowledge((0, 0, BULK_WINDOW + 11))
        await courier.drained()

    run(enrolled(tmp_path), scenario)


def test_a_new_connection_sends_everything_unacknowledged_again(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        for _ in range(5):
            await outbox.capture(VIEW)
        await settle()
        link.acknowledge((0, 2, 3))
        link.connected = False
        courier.link_down("test")
        link.sent.clear()
        link.up()
        await asyncio.sleep(0.6)  # what was acknowledged is deleted within half a second
        link.sent.clear()
        link.up()
        await settle()
        assert [seq for _, _, seq in link.sent] == [1, 4, 5]

    run(enrolled(tmp_path), scenario)


def test_a_connection_that_comes_back_while_the_outbox_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        read = outbox.rows_after
        interrupted = False

        async def interrupting(after_id: int, limit: int) -> list[Row]:
            nonlocal interrupted
            rows = await read(after_id, limit)
            if after_id > 10 and not interrupted:
                interrupted = True
                link.sent.clear()
                courier.link_up(65_535)
            return rows

        monkeypatch.setattr(outbox, "rows_after", interrupting)
        for _ in range(BULK_WINDOW + 10):
            await outbox.capture(VIEW)
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await settle()
        link.acknowledge((0, 1, 5))
        await settle()
        assert interrupted
        sent = {seq for _, _, seq in link.sent}
        assert sent >= set(range(6, BULK_WINDOW + 1)), "the oldest are not passed over"

    run(enrolled(tmp_path), scenario)


def test_a_bridge_that_has_lost_the_epoch_gets_a_new_one(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await outbox.capture(VIEW)
        await outbox.capture(VIEW)
        await asyncio.sleep(0.6)
        link.refuse(0, 1, "no_hello")
        await settle()
        assert link.sent[-1] == ("live", 1, 0), "a new hello, which names what is still held"
        link.acknowledge((1, 0, 0))
        await settle()
        assert link.sent[-2:] == [("bulk", 0, 1), ("bulk", 0, 2)]

    run(enrolled(tmp_path), scenario)


def test_what_was_sent_before_the_bridge_restarted_is_sent_again_at_once(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await outbox.capture(VIEW)
        await outbox.capture(VIEW)
        await settle()
        link.incarnation = b"\2" * 8
        link.acknowledge((0, 2, 2))
        await settle()
        assert link.sent[-1] == ("bulk", 0, 1)
        assert courier.sent_again == 1

    run(enrolled(tmp_path), scenario)


def test_a_final_refusal_is_told_once_and_keeps_the_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await outbox.capture(VIEW)
        for _ in range(3):
            link.refuse(0, 1, "revoked")
        assert outbox.store.batches == 1, "the hello is forgotten, the batch is kept"
        assert courier.refused_by_bridge == {"revoked": 3}

    run(enrolled(tmp_path), scenario)
    assert caplog.text.count("enrol this device anew") == 1


def test_malformed_words_from_the_bridge_are_counted(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        link.say(seal.ACK, b"\xc1")
        link.say(seal.PROMPT, b"\x90")
        link.say(seal.REFUSAL, b"\x01")
        assert courier.downlink_refused == {"malformed": 3}

    run(enrolled(tmp_path), scenario)


def test_unanswered_batches_are_sent_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "FIRST_RETRY_S", 0.02)

    async def scenario(outbox: Outbox, courier: Courier, link: HeldLink) -> None:
        link.up()
        await settle()
        link.acknowledge((0, 0, 0))
        await outbox.capture(ENTER)
        await asyncio.sleep(0.3)
        again = [entry for entry in link.sent if entry[2] == 1]
        assert again[:2] == [("live", 0, 1), ("bulk", 0, 1)]
        assert len(again) <= 5, "each time later"

    run(enrolled(tmp_path), scenario)
