"""A modem at a pseudo-terminal that answers, is called, unplugged, restarted and garbled."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from edge_sdk.calls.caller import KNOWN, Caller
from edge_sdk.calls.model import Call, CallEvent, event_of
from edge_sdk.errors import ConfigError
from edge_sdk.sources import serial_line
from edge_sdk.sources.call_touchpoints import CallTouchpoints
from edge_sdk.sources.modem import Modem
from edge_sdk.sources.serial_line import Port
from simulators import phone_line
from simulators.phone_line import Answers
from simulators.serial_lines import PseudoPort, Sent
from tests.edge_sdk.sources.waiting import until

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "modem_lines.json").read_text())
OURS = "+33170180000"
SHE = Caller(KNOWN, "+33612345678")
CLIP = b'\r\n+CLIP: "+33612345678",145\r\n'


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PseudoPort]:
    with PseudoPort(tmp_path / "modem") as device:
        yield device


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(serial_line, "_MOST_DELAY_S", 0.05)
    monkeypatch.setattr(serial_line, "_LOOK_S", 0.02)
    monkeypatch.setattr("edge_sdk.sources.modem._TICK_S", 0.01)


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.at_ms


class Shop:
    """A modem's source that is read, and the clock by which it lives."""

    def __init__(self, device: PseudoPort, answers: Answers, region: str | None = None) -> None:
        self.device = device
        self.answers = answers
        self.watch = Watch()
        self.modem = Modem(str(device.path), OURS, region, clock=self.watch)
        self.events: list[CallEvent] = []

    async def read(self) -> None:
        async for event in self.modem:
            self.events.append(event)

    async def hear(self, stream: Iterable[Sent]) -> None:
        """Send, and wait until each line was understood at its own time."""
        for sent in stream:
            self.watch.at_ms += round(1000 * sent.pause_s)
            counts = self.modem.counts
            ends = len([line for line in sent.data.splitlines() if line])
            before = counts["lines"] + counts["garbled"]
            self.device.send(sent.data)
            await until(
                lambda: (
                    self.modem.counts["lines"] + self.modem.counts["garbled"] >= before + ends  # noqa: B023
                )
            )

    async def is_over(self) -> None:
        self.watch.at_ms += 100_000
        await until(lambda: self.modem.counts["calls"] == len(self.ended))

    @property
    def calls(self) -> list[Call]:
        merged: dict[str, Call] = {}
        for event in self.events:
            call = Call.of(event)
            merged[event.call] = merged[event.call].merged(call) if event.call in merged else call
        return list(merged.values())

    @property
    def ended(self) -> list[Call]:
        return [call for call in self.calls if call.over_ms is not None]


@asynccontextmanager
async def shop(
    device: PseudoPort, answers: Answers | None = None, region: str | None = None
) -> AsyncIterator[Shop]:
    answers = answers or Answers(phone_line.MOBILE)
    one = Shop(device, answers, region)
    attending = asyncio.create_task(phone_line.attend(device, answers))
    try:
        async with one.modem:
            reading = asyncio.create_task(one.read())
            try:
                yield one
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)


async def set_up(one: Shop, times: int = 1) -> None:
    await until(lambda: one.modem.counts["set_up"] >= times)


@pytest.mark.parametrize("vector", VECTORS["modem_lines"], ids=lambda vector: vector["source"])
@pytest.mark.parametrize("channels", [1, 2])
def test_logs_of_real_modems(device: PseudoPort, vector: dict[str, Any], channels: int) -> None:
    async def run() -> None:
        async with shop(device, Answers(phone_line.ANALOGUE), vector["region"]) as one:
            await set_up(one)
            stream = phone_line.played(vector["lines"])
            await one.hear(phone_line.on_two_channels(stream) if channels == 2 else stream)
            await one.is_over()
            assert [call.caller.state for call in one.calls] == vector["states"]
            assert one.modem.counts[vector["states"][0]] == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", [phone_line.MOBILE, phone_line.ANALOGUE])
def test_a_day_at_a_line_comes_to_what_was_meant(device: PseudoPort, kind: str) -> None:
    stream = list(phone_line.calls(kind, 7, 40))

    async def run() -> None:
        async with shop(device, Answers(kind)) as one:
            await set_up(one)
            await one.hear(stream)
            await one.is_over()
            ends = {"missed": "missed", "ended": "end"}
            told = [
                " ".join(filter(None, (ends[call.state], call.caller.state, call.caller.e164)))
                for call in one.calls
            ]
            assert sorted(told) == sorted(sent.means for sent in stream if sent.means)
            withheld = [sent for sent in stream if "withheld" in (sent.means or "")]
            assert one.modem.counts["withheld"] == len(withheld) > 0
            assert {call.number for call in one.calls} == {OURS}
            assert len({call.call for call in one.calls}) == len(told)

    asyncio.run(run())


def test_unplugged_while_it_rings_and_plugged_in_again(device: PseudoPort) -> None:
    async def run() -> None:
        async with shop(device) as one:
            await set_up(one)
            await one.hear([Sent(0.0, b"\r\nRING\r\n")])
            bytes_before = one.modem.counts["bytes"]
            device.send(b'\r\n+CLIP: "+336')  # and no more of it
            await until(lambda: one.modem.counts["bytes"] > bytes_before)
            device.unplug()
            await until(lambda: one.modem.problem is not None)
            one.answers.forget()
            device.plug()
            await set_up(one, 2)
            assert one.answers.tells_callers
            assert one.modem.problem is None
            assert one.modem.counts["half"] == 1
            await one.hear([Sent(4.0, b"\r\nRING\r\n" + CLIP), Sent(1.0, b"\r\n^CONN:1,0\r\n")])
            await until(lambda: any(event.phase == "answer" for event in one.events))
            one.watch.at_ms += 20_000
            device.unplug()
            await until(lambda: one.modem.counts["unseen_end"] == 1)
            await one.is_over()
            assert [(call.state, call.caller) for call in one.calls] == [("ended", SHE)]

    asyncio.run(run())


def test_a_modem_that_is_asleep_locked_and_echoes(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        answers = Answers(phone_line.MOBILE, asleep=1, has_sim=False)
        async with shop(device, answers) as one:
            await until(lambda: len(answers.heard) == 1)
            one.watch.at_ms += 3_000
            await until(lambda: one.modem.problem is not None and "SIM" in one.modem.problem)
            await one.hear([Sent(0.0, b"\r\nRING\r\n")])  # told all the same
            answers.put_sim_in()
            one.watch.at_ms += 40_000
            await set_up(one)
            assert one.modem.problem is None
            assert answers.tells_callers
            await one.is_over()
            assert one.modem.counts["unanswered"] == 1

    asyncio.run(run())
    assert "put one in" in caplog.text
    assert "tells who calls again" in caplog.text


def test_a_wrong_baud_rate_is_garbage_and_no_call(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with shop(device, Answers(phone_line.MOBILE, asleep=3)) as one:
            await until(lambda: one.modem.counts["opened"] == 1)
            await one.hear(Sent(0.0, b"\x80\xfe\x00\x9c\r\n") for _ in range(12))
            for said in (1, 2, 3):
                await until(lambda: one.modem.counts["commands"] == said)  # noqa: B023
                one.watch.at_ms += 3_000
            await until(lambda: one.modem.problem is not None)
            assert "baud" in str(one.modem.problem)
            assert one.modem.counts["calls"] == 0

    asyncio.run(run())
    assert "right baud rate" in caplog.text


def test_touchpoints_for_a_gateway_and_leaving_in_the_middle_of_a_call(device: PseudoPort) -> None:
    async def run() -> None:
        watch = Watch()
        source = CallTouchpoints(Modem(str(device.path), OURS, clock=watch))
        attending = asyncio.create_task(phone_line.attend(device, Answers(phone_line.MOBILE)))
        async with source:
            reading = asyncio.create_task(anext(source))
            await until(lambda: source.counts["set_up"] == 1)
            device.send(b"\r\nRING\r\n" + CLIP)
            first = await reading
            second = await anext(source)
        attending.cancel()
        last = source.close(watch.at_ms)
        events = [event_of(touchpoint) for touchpoint in (first, second, *last)]
        assert [event.phase for event in events if event] == ["ring", "ring", "missed"]
        assert {event.call for event in events if event} == {first.get("call")}
        assert second.get("caller") == "tel:+33612345678"
        assert source.close(watch.at_ms) == []

    asyncio.run(run())


def test_no_number_of_a_caller_is_in_any_log(
    device: PseudoPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        async with shop(device) as one:
            await set_up(one)
            cut = (Sent(0.1, b'\r\n+CLIP: "+33612345678\r\n'), Sent(0.1, b"\r\n+33612345678\r\n"))
            await one.hear(chain([Sent(0.0, b"\r\nRING\r\n" + CLIP)], cut))
            device.unplug()
            await until(lambda: one.modem.counts["lost"] == 1)
            assert "612345678" not in repr(one.events)

    asyncio.run(run())
    assert "612345678" not in caplog.text


@pytest.mark.parametrize(
    ("number", "region"),
    [("0170180000", None), ("3631", "FR"), ("shop", "FR"), ("", None), ("+33170180000", "ZZ")],
)
def test_a_number_of_ours_that_is_none(number: str, region: str | None) -> None:
    async def run() -> None:
        async with Modem(Port("/dev/none"), number, region):
            pass

    with pytest.raises(ConfigError, match=r"number|region") as raised:
        asyncio.run(run())
    assert not number or number not in str(raised.value).replace("+33170180000", "")


def test_our_number_may_be_written_as_people_do(device: PseudoPort) -> None:
    async def run() -> None:
        modem = Modem(str(device.path), "01 70 18 00 00", "FR")
        async with modem:
            await until(lambda: modem.line.counts["opened"] == 1)
            device.send(b"RING\r\n")
            assert (await anext(modem)).number == OURS

    asyncio.run(run())
