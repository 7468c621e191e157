"""The sender counts only what the bridge acknowledges, and sends again what it does not."""

import asyncio
import time
import zlib
from pathlib import Path

import pytest

from benches._fleet import enrolled
from benches._line import Line
from benches._people import Crowd, introduced
from benches._sender import Sender
from benches._stage import BenchFailedError, Stage, figure
from benches._traffic import Shape, Traffic, batches_of, touchpoints_of
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.wire.batch import decode_columns
from edge_sdk.wire.enrolment import Enrolment, to_token
from edge_sdk.wire.seal import DEFLATED, UP_KINDS, open_up, read_header
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import PRIORITY
from tests.journey.brokers import mosquitto, needs_mosquitto


@needs_mosquitto
def test_what_nobody_acknowledges_is_not_held() -> None:
    async def lonely(broker: str) -> Sender:
        line = a_line(7)
        async with Sender(broker, [line]) as sender:
            with pytest.raises(BenchFailedError, match="1 batches were not acknowledged"):
                await sender.introduce([line], 0.3)
            assert sender.oldest_s() > 0.3
        return sender

    with mosquitto() as broker:
        sender = asyncio.run(lonely(f"mqtt://127.0.0.1:{broker.port}"))
    assert sender.batches_held == 0


@needs_mosquitto
def test_a_bridge_killed_on_the_way_gets_it_all_and_once(tmp_path: Path) -> None:
    async def through(stage: Stage) -> None:
        fleet = enrolled(stage.bridge, 2, 1)
        await asyncio.to_thread(stage.start)
        async with Sender(stage.broker, fleet.lines) as sender:
            await sender.introduce(fleet.gateways, 20)
            load = Traffic(fleet.gateways, Crowd(50, 1), 1).turn(60_000, Shape(size=20))
            for line, listed in load:
                sender.push(line, listed)
            while sender.batches_held < batches_of(load) // 4:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
            stage.bridge.kill()
            held = sender.touchpoints_held
            assert held < touchpoints_of(load)
            await asyncio.to_thread(stage.start)
            await sender.drained(fleet.lines, 20)
            assert sender.touchpoints_held == touchpoints_of(load)
            assert sender.sent_again > 0
            counted = figure(stage.bridge.health(), "touchpoints.from_devices")
            assert counted is not None
            assert counted <= touchpoints_of(load) - held

    with Stage(tmp_path) as stage:
        asyncio.run(through(stage))


def a_line(device: int) -> Line:
    line = Line(to_token(Enrolment("bench", "s", device, 0, bytes(32))), "s")
    line.begin()
    return line


def test_batches_are_of_one_class_and_never_the_same() -> None:
    lines = [a_line(1), a_line(2)]
    load = Traffic(lines, Crowd(1000, 1), 1).turn(6000, Shape())
    messages = [sealed.message for _, listed in load for sealed in listed]
    assert len(set(messages)) == len(messages) == batches_of(load)
    assert {sealed.touchpoints for _, listed in load for sealed in listed} == {100}
    assert {sealed.lane for _, listed in load for sealed in listed} == {LIVE, BULK}
    assert touchpoints_of(load) == 100 * batches_of(load)


def test_a_backlog_takes_the_bulk_lane() -> None:
    load = Traffic([a_line(1)], Crowd(1000, 1), 1).turn(6000, Shape(ago_ms=3_600_000))
    assert {sealed.lane for _, listed in load for sealed in listed} == {BULK}


def test_a_batch_makes_as_many_people_known_as_a_dictionary_holds() -> None:
    line = a_line(1)
    for batch in introduced(0, 1000, time.time_ns() // 1_000_000):
        assert len({PRIORITY[said.code] for said in batch}) == 1
        assert len(line.seal(batch)) == 1


def test_other_people_are_the_same_number_of_others() -> None:
    crowd = Crowd(1 << 20, 1)
    batch = next(introduced(0, 84, 1))
    other = crowd.replaced(batch)
    assert [said.code for said in other] == [said.code for said in batch]
    names = {said.get("known_as") for said in batch} - {None}
    others = {said.get("known_as") for said in other} - {None}
    assert len(names) == len(others) == 84
    assert not names & others
    first = other[0]
    assert first.get("seen")[-8:] == first.get("known_as")[-8:]


def test_its_keys_open_what_a_line_sealed() -> None:
    line = a_line(1)
    batches = list(introduced(0, 200, 5))
    listed = [sealed for batch in batches for sealed in line.seal(batch)]
    keys = line.keys([sealed.seq for sealed in listed])
    for batch, sealed, key in zip(batches, listed, keys, strict=True):
        header = read_header(sealed.message, UP_KINDS)
        plaintext = open_up(AesCcm(), header, key, sealed.message)
        assert header.kind == DEFLATED
        assert decode_columns(zlib.decompress(plaintext, -zlib.MAX_WBITS)) == batch
