"""A gateway: whatever its sources do, what they bring is captured, and it stops in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import pytest

from edge_sdk import ConfigError, Device, DeviceConfig, touchpoints
from edge_sdk.clock import ScaledClock
from edge_sdk.gateway import Gateway
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint
from tests.edge_sdk.homes import enrolled

SCAN = touchpoints.scan(scanner="till", symbology="ean13", code="4006381333931")


class Recorder:
    """A device that only remembers; its time runs a hundred times as fast."""

    def __init__(self) -> None:
        self.clock = ScaledClock(100, start_ms=1_000_000)
        self.kept: list[Touchpoint] = []

    async def capture_many(self, touchpoints: Iterable[Touchpoint]) -> None:
        listed = list(touchpoints)
        await asyncio.sleep(0.001)
        self.kept += listed

    def named(self, name: str) -> list[Touchpoint]:
        return [touchpoint for touchpoint in self.kept if touchpoint.name == name]


class Script:
    """A source that does what each of its lives is told to do."""

    def __init__(self, *lives: Callable[[], AsyncIterator[object]]) -> None:
        self.counts: Mapping[str, int] = {"lives": 0}
        self.inside = False
        self._lives = list(lives)

    async def __aenter__(self) -> Self:
        self.counts = {"lives": self.counts["lives"] + 1}
        self.inside = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.inside = False

    async def __aiter__(self) -> AsyncIterator[object]:
        if self._lives:
            async for item in self._lives.pop(0)():
                yield item
        else:
            await asyncio.Event().wait()


def engine() -> NearestReceiver:
    return NearestReceiver({"door": "entrance"})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.002)


def test_readings_become_visits_and_silence_ends_them() -> None:
    async def life() -> None:
        device = Recorder()

        async def stays_a_while() -> AsyncIterator[Reading]:
            for _ in range(100):
                yield Reading(device.clock.now_ms(), "door", "ble:c0ffee", -60)
                await device.clock.sleep(0.2)

        async with Gateway(device, engine(), {"radio": Script(stays_a_while)}) as gateway:
            await until(lambda: device.named("visit.exit"))
            assert gateway.counts["readings"] == 100
        (enter,) = device.named("visit.enter")
        assert enter.get("zone") == "entrance"
        assert gateway.counts["captured"] == len(device.kept)

    asyncio.run(life())


def test_touchpoints_of_a_source_are_captured_as_they_are_with_their_time() -> None:
    async def life() -> None:
        device = Recorder()

        async def scans() -> AsyncIterator[object]:
            yield SCAN
            yield "what is this?"
            yield Touchpoint(SCAN.code, 17, SCAN.values)

        async with Gateway(device, engine(), {"till": Script(scans)}) as gateway:
            await until(lambda: len(device.kept) == 2)
            assert gateway.counts["unknown"] == 1
        assert {t.values for t in device.kept} == {SCAN.values}
        assert device.kept[0].at_ms is not None
        assert device.kept[0].at_ms >= 1_000_000
        assert device.kept[1].at_ms == 17

    asyncio.run(life())


def test_a_source_that_ends_or_fails_is_begun_again_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def life() -> None:
        device = Recorder()

        async def ends() -> AsyncIterator[object]:
            yield SCAN

        async def fails() -> AsyncIterator[object]:
            yield SCAN
            raise OSError("a driver")

        flaky, steady = Script(ends, fails, ends), Script()
        async with Gateway(device, engine(), {"flaky": flaky, "steady": steady}) as gateway:
            await until(lambda: flaky.counts["lives"] == 4)
            assert gateway.counts["restarts"] == 3
            assert steady.counts["lives"] == 1
        assert len(device.kept) == 3

    asyncio.run(life())
    assert "source flaky: failed" in caplog.text
    assert "source flaky: ended" in caplog.text


def test_a_source_that_cannot_work_is_told_to_whoever_starts_and_all_is_left_again() -> None:
    class Impossible(Script):
        async def __aenter__(self) -> Self:
            raise ConfigError("an extra is missing")

    async def life() -> None:
        steady = Script()
        with pytest.raises(ConfigError, match="extra"):
            async with Gateway(Recorder(), engine(), {"a": steady, "b": Impossible()}):
                pass
        assert not steady.inside

    asyncio.run(life())


def test_leaving_captures_what_is_on_its_way_and_leaves_the_sources() -> None:
    async def life() -> None:
        device = Recorder()

        async def scans() -> AsyncIterator[object]:
            for _ in range(500):
                yield SCAN

        source = Script(scans)
        async with Gateway(device, engine(), {"till": source}) as gateway:
            await until(lambda: gateway.counts["touchpoints"] == 500)
        assert not source.inside
        assert len(device.kept) == 500
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(life())


def test_its_log_lines_count_and_name_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_sdk")

    async def life() -> None:
        device = Recorder()

        async def heard() -> AsyncIterator[Reading]:
            yield Reading(device.clock.now_ms(), "door", "ble:c0ffee", -60)
            yield Reading(device.clock.now_ms(), "door", "ble:c0ffee", 127)

        source = Script(heard)
        async with Gateway(device, engine(), {"radio": source}, report_s=5):
            await until(lambda: "gateway: readings=2" in caplog.text)

    asyncio.run(life())
    assert "gateway starts: sources=radio" in caplog.text
    assert "presence.rssi=1" in caplog.text
    assert "radio.lives=" in caplog.text
    assert "gateway stops" in caplog.text
    assert "c0ffee" not in caplog.text


def test_a_real_device_takes_what_it_brings(tmp_path: Path) -> None:
    async def life() -> int:
        async def scans() -> AsyncIterator[object]:
            for _ in range(20):
                yield SCAN

        config = DeviceConfig(enrolled(tmp_path / "home"), "mqtt://127.0.0.1:1")
        async with Device(config) as device:
            async with Gateway(device, engine(), {"till": Script(scans)}) as gateway:
                await until(lambda: gateway.counts["touchpoints"] == 20)
            return device.status().captured

    assert asyncio.run(life()) == 20
