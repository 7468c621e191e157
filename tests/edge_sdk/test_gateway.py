"""A gateway: whatever its sources do, what they bring is captured, and it stops in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import pytest

from edge_sdk import ConfigError, Device, DeviceConfig, gateway, touchpoints
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

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
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

        async with Gateway(device, engine(), {"radio": Script(stays_a_while)}) as running:
            await until(lambda: device.named("visit.exit"))
            assert running.counts["readings"] == 100
        (enter,) = device.named("visit.enter")
        assert enter.get("zone") == "entrance"
        assert running.counts["captured"] == len(device.kept)

    asyncio.run(life())


def test_touchpoints_of_a_source_are_captured_as_they_are_with_their_time() -> None:
    async def life() -> None:
        device = Recorder()

        async def scans() -> AsyncIterator[object]:
            yield SCAN
            yield "what is this?"
            yield Touchpoint(SCAN.code, 17, SCAN.values)

        async with Gateway(device, engine(), {"till": Script(scans)}) as running:
            await until(lambda: len(device.kept) == 2)
            assert running.counts["unknown"] == 1
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
        async with Gateway(device, engine(), {"flaky": flaky, "steady": steady}) as running:
            await until(lambda: flaky.counts["lives"] == 4)
            assert running.counts["restarts"] == 3
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
        async with Gateway(device, engine(), {"till": source}) as running:
            await until(lambda: running.counts["touchpoints"] == 500)
        assert not source.inside
        assert len(device.kept) == 500
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(life())


def test_leaving_ends_every_visit() -> None:
    async def life() -> None:
        device = Recorder()

        async def stays() -> AsyncIterator[Reading]:
            while True:
                for phone in ("ble:c0ffee01", "ble:c0ffee02"):
                    yield Reading(device.clock.now_ms(), "door", phone, -60)
                await device.clock.sleep(0.2)

        class Fence(Script):
            def close(self, at_ms: int) -> list[Touchpoint]:
                assert not self.inside
                return [
                    touchpoints.visit_exit(
                        visit=1, visitor="gnss:1", zone="car park", dwell_ms=1, at_ms=at_ms
                    )
                ]

        engine_ = engine()
        async with Gateway(device, engine_, {"radio": Script(stays), "fence": Fence()}):
            await until(lambda: len(device.named("visit.enter")) == 2)
            assert engine_.open_visits == 2
        exits = device.named("visit.exit")
        assert [t.get("zone") for t in exits] == ["entrance", "entrance", "car park"]
        # Nobody has left, as far as is known; that the zone was wrong is three in ten.
        assert [t.get("probability_pct") for t in exits] == [30, 30, None]
        assert (engine_.open_visits, engine_.beacons) == (0, 0)

    asyncio.run(life())


def test_a_source_that_fails_as_it_is_left_is_not_begun_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sticky(Script):
        async def __aexit__(self, *exc_info: object) -> None:
            await super().__aexit__(*exc_info)
            raise OSError("the cable is gone")

    async def life() -> None:
        source = Sticky()
        async with asyncio.timeout(30):
            async with Gateway(Recorder(), engine(), {"till": source}):
                await until(lambda: source.inside)
        assert source.counts["lives"] == 1
        assert not source.inside

    asyncio.run(life())
    assert "source till: failed" in caplog.text


def test_a_source_that_does_not_let_go_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_STOP_WITHIN_S", 0.05)
    let_go = asyncio.Event()

    class Stuck(Script):
        async def __aexit__(self, *exc_info: object) -> None:
            await let_go.wait()

    async def life() -> None:
        source = Stuck()
        async with Gateway(Recorder(), engine(), {"till": source}):
            await until(lambda: source.inside)
        let_go.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(life())
    assert "source till: does not let go" in caplog.text


def test_an_engine_that_fails_stops_neither_sources_nor_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(NearestReceiver):
        def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> list[Touchpoint]:
            raise ZeroDivisionError

        def tick(self, at_ms: int) -> list[Touchpoint]:
            raise ZeroDivisionError

    async def life() -> None:
        device = Recorder()

        async def heard() -> AsyncIterator[object]:
            yield Reading(device.clock.now_ms(), "door", "ble:c0ffee", -60)
            yield SCAN
            await asyncio.Event().wait()

        source = Script(heard)
        broken = Broken({"door": "entrance"})
        async with Gateway(device, broken, {"radio": source}) as running:
            await until(lambda: running.counts["engine_failed"] >= 3)
            await until(lambda: device.named("scan"))
        assert source.counts["lives"] == 1

    asyncio.run(life())
    assert caplog.text.count("the presence engine failed") == 1
    assert "c0ffee" not in caplog.text


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
            async with Gateway(device, engine(), {"till": Script(scans)}) as running:
                await until(lambda: running.counts["touchpoints"] == 20)
            return device.status().captured

    assert asyncio.run(life()) == 20
