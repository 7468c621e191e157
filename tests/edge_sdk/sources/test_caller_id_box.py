"""A caller-id box at a pseudo-terminal: a frame is a call, whatever surrounds it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sdk.calls.caller import KNOWN, UNPARSABLE, WITHHELD, Caller
from edge_sdk.calls.model import Call, CallEvent
from edge_sdk.errors import ConfigError
from edge_sdk.sources import serial_line
from edge_sdk.sources.caller_id import SDMF, write_frame
from edge_sdk.sources.caller_id_box import CallerIdBox
from simulators import phone_line
from simulators.serial_lines import PseudoPort
from tests.edge_sdk.sources.waiting import until

OURS = "+33170180000"
SHE = Caller(KNOWN, "+33612345678")
HERS = write_frame(SDMF, b"112210150612345678")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PseudoPort]:
    with PseudoPort(tmp_path / "box") as device:
        yield device


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(serial_line, "_MOST_DELAY_S", 0.05)
    monkeypatch.setattr(serial_line, "_LOOK_S", 0.02)
    monkeypatch.setattr("edge_sdk.sources.caller_id_box._TICK_S", 0.01)


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.at_ms


def box_at(device: PseudoPort, watch: Watch) -> CallerIdBox:
    return CallerIdBox(str(device.path), OURS, clock=watch)


async def told(box: CallerIdBox, count: int) -> list[CallEvent]:
    async with asyncio.timeout(10):
        return [await anext(box) for _ in range(count)]


def test_a_frame_is_a_call_that_rings_for_a_while(device: PseudoPort) -> None:
    async def run() -> None:
        watch = Watch()
        async with box_at(device, watch) as box:
            await until(lambda: box.counts["opened"] == 1)
            assert box.problem is None
            device.send(phone_line.LEAD + HERS)
            (ring,) = await told(box, 1)
            watch.at_ms += 30_000
            (missed,) = await told(box, 1)
            assert box.close(watch.at_ms) == []
        assert (ring.phase, ring.caller, ring.number) == ("ring", SHE, OURS)
        call = Call.of(ring).merged(Call.of(missed))
        assert (call.state, call.cause, call.waited_ms) == ("missed", "no_answer", 0)
        assert box.counts["unclear"] == box.counts["known"] == box.counts["calls"] == 1

    asyncio.run(run())


def test_one_frame_twice_is_one_call_and_another_frame_ends_it(device: PseudoPort) -> None:
    async def run() -> None:
        watch = Watch()
        async with box_at(device, watch) as box:
            await until(lambda: box.counts["opened"] == 1)
            device.send(HERS + HERS)
            (first,) = await told(box, 1)
            reading = asyncio.create_task(told(box, 2))
            await until(lambda: box.counts["doubled"] == 1)
            watch.at_ms += 10_000
            device.send(write_frame(SDMF, b"11221016P"))
            missed, second = await reading
            watch.at_ms += 10_000
            device.send(write_frame(SDMF, b"1122101606xxxxxxxx"))
            await told(box, 2)
            (last,) = box.close(watch.at_ms)
        assert [event.call for event in (first, missed)] == [first.call] * 2
        assert (second.caller, last.caller) == (Caller(WITHHELD), Caller(UNPARSABLE))
        counts = box.counts
        assert (counts["doubled"], counts["calls"], counts["withheld"]) == (1, 3, 1)

    asyncio.run(run())


def test_a_day_at_a_box_comes_to_what_was_meant_with_its_cable_pulled(device: PseudoPort) -> None:
    stream = list(phone_line.calls(phone_line.BOX, 3, 40))
    events: list[CallEvent] = []

    async def run() -> None:
        watch = Watch()
        box = box_at(device, watch)

        async def read() -> None:
            async for event in box:
                events.append(event)

        async with box:
            await until(lambda: box.counts["opened"] == 1)
            reading = asyncio.create_task(read())
            for at, sent in enumerate(stream):
                if at == len(stream) // 2:
                    device.send(HERS[:9])
                    device.unplug()
                    await until(lambda: box.problem is not None)
                    device.plug()
                    await until(lambda: box.counts["opened"] == 2)
                watch.at_ms += round(1000 * sent.pause_s)
                before = box.counts
                device.send(sent.data)
                await until(
                    lambda: (
                        box.counts["bytes"] >= before["bytes"] + len(sent.data)  # noqa: B023
                        and box.counts["calls"] >= before["calls"] + bool(sent.means)  # noqa: B023
                    )
                )
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        events.extend(box.close(watch.at_ms))
        ended = [event for event in events if event.phase == "missed"]
        said = [
            " ".join(filter(None, ("missed", event.caller.state, event.caller.e164)))
            for event in ended
        ]
        assert said == [sent.means for sent in stream if sent.means]
        assert box.counts["checksum"] > 0
        assert box.counts["withheld"] > 0

    asyncio.run(run())
    assert "6123" not in repr(events)


def test_a_number_of_ours_that_is_none() -> None:
    async def run() -> None:
        async with CallerIdBox("/dev/none", "0170180000"):
            pass

    with pytest.raises(ConfigError, match="as \\+33170180000"):
        asyncio.run(run())
