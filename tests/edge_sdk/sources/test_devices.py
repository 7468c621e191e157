"""Receiver and door counter at pseudo-terminals: from the wire to touchpoints."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sdk.presence.geofence import Fence, Geofences
from edge_sdk.sources import serial_line
from edge_sdk.sources.geofence import GeofenceSource
from edge_sdk.sources.gnss import Gnss
from edge_sdk.sources.line_device import LineDevice
from edge_sdk.sources.line_mapping import parse_mapping
from edge_sdk.sources.serial_line import Port
from simulators import serial_lines
from simulators.serial_lines import PseudoPort
from tests.edge_sdk.sources.waiting import until


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PseudoPort]:
    with PseudoPort(tmp_path / "device") as device:
        yield device


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(serial_line, "_MOST_DELAY_S", 0.05)


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        return self.at_ms


def test_a_receiver_tells_where_it_is_and_unplugging_costs_only_the_time(
    device: PseudoPort,
) -> None:
    walk = ((0.0, 0.0, 60.0), (60.0, 0.0, 10.0))

    async def run() -> None:
        async with Gnss(Port(str(device.path)), max_waiting=1_000) as gnss:
            for opened in (1, 2):
                await until(lambda: gnss.counts["opened"] == opened)  # noqa: B023
                meant = await serial_lines.play(device, serial_lines.gnss(opened, walk), 500.0)
                for place in meant[:-1]:
                    fix = await anext(gnss)
                    latitude, longitude = (float(part) for part in place.split(","))
                    north_m = 111_195 * (fix.latitude_deg - latitude)
                    east_m = 111_195 * math.cos(math.radians(latitude))
                    east_m *= fix.longitude_deg - longitude
                    assert math.hypot(north_m, east_m) < 5 * fix.accuracy_m
                await anext(gnss)
                device.unplug()
                await until(lambda: gnss.counts["lost"] == opened)  # noqa: B023
                device.plug()
            counts = gnss.counts
            assert counts["no_fix"] >= 6
            assert counts["wrong_date"] > 0
            assert counts["garbled"] + counts["checksum"] + counts["not_nmea"] > 0
            assert counts["dropped"] == 0

    asyncio.run(run())


def test_arriving_at_the_store_and_leaving_it_again(device: PseudoPort) -> None:
    watch = Watch()

    async def walk() -> None:
        for sent in serial_lines.gnss(3):
            watch.at_ms += round(sent.pause_s * 1000)
            await serial_lines.play(device, [sent], math.inf)

    async def run() -> list[tuple[str, object]]:
        fences = Geofences([Fence.circle("store", *serial_lines.STORE, 150)], "app:17")
        source = GeofenceSource(Gnss(Port(str(device.path))), fences, clock=watch)
        told = []
        async with source:
            await until(lambda: source.counts["opened"] == 1)
            walking = asyncio.create_task(walk())
            async for touchpoint in source:
                told.append((touchpoint.name, touchpoint.get("zone")))
                if touchpoint.name == "visit.exit":
                    break
            walking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await walking
        return told

    told = asyncio.run(run())
    assert [name for name, _ in told if name != "visit.dwell"] == ["visit.enter", "visit.exit"]
    assert {zone for _, zone in told} == {"store"}


def test_a_silent_receiver_ends_the_visit(
    device: PseudoPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_sdk.sources.geofence._TICK_S", 0.01)
    watch = Watch()

    async def run() -> None:
        place = Fence.circle("store", *serial_lines.STORE, 150)
        fences = Geofences([place], "app:17", settle_ms=0, silence_ms=60_000)
        async with GeofenceSource(Gnss(Port(str(device.path))), fences, clock=watch) as source:
            await until(lambda: source.counts["opened"] == 1)
            stays = serial_lines.gnss(1, ((0.0, 0.0, 5.0),), faults=0)
            await serial_lines.play(device, stays, 500.0)
            assert (await anext(source)).name == "visit.enter"
            watch.at_ms = 60_000
            assert (await anext(source)).name == "visit.exit"

    asyncio.run(run())


def test_a_door_counter_counts_what_it_said(device: PseudoPort) -> None:
    async def run() -> None:
        mapping = parse_mapping(serial_lines.COUNTER_MAPPING)
        async with LineDevice(Port(str(device.path)), mapping) as counter:
            await until(lambda: counter.counts["opened"] == 1)
            stream = list(serial_lines.counter(4, 80))
            meant = await serial_lines.play(device, stream, 2_000.0)
            counts = [await anext(counter) for _ in meant]
        told = [f"{one.get('entered')},{one.get('left')}" for one in counts]
        assert told == meant
        assert {one.name for one in counts} == {"count"}
        assert counter.counts["garbled"] > 0
        assert counter.counts["unmatched"] > 0
        assert counter.counts["ignored"] >= 79

    asyncio.run(run())
