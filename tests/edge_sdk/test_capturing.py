"""What an engine tells reaches the device in order, once, and past a disk that refuses."""

import asyncio
from collections.abc import Iterable

import pytest

from edge_sdk import touchpoints
from edge_sdk.capturing import Capturing
from edge_sdk.clock import ScaledClock
from edge_sdk.errors import ClosedError, DiskFullError
from edge_sdk.wire.touchpoint import Touchpoint, TouchpointError, check


class Disk:
    """A device whose disk fails when it is told to."""

    def __init__(self) -> None:
        self.clock = ScaledClock(1000)
        self.kept: list[Touchpoint] = []
        self.tried = 0
        self.full = False
        self.closed = False
        self.at_once: list[bool] = []

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        self.tried += 1
        self.at_once.append(at_once)
        listed = list(touchpoints)
        for touchpoint in listed:
            check(touchpoint)
        await asyncio.sleep(0)
        if self.closed:
            raise ClosedError("closed")
        if self.full:
            raise DiskFullError("no room")
        self.kept += listed


def sighting(at_ms: int) -> Touchpoint:
    return touchpoints.sighting(
        receiver="door",
        beacon="ble:c0ffee",
        window_ms=5_000,
        readings=3,
        rssi_median_dbm=-60,
        at_ms=at_ms,
    )


def enter(number: int) -> Touchpoint:
    return touchpoints.visit_enter(visit=number, visitor="ble:c0ffee", zone="door", at_ms=number)


def test_a_visit_leaves_at_once_and_takes_along_what_waits() -> None:
    async def life() -> None:
        disk = Disk()
        capturing = Capturing(disk, disk.clock)
        capturing.add([sighting(1)])
        await asyncio.sleep(0.01)
        assert disk.tried == 0
        capturing.add([enter(2)])
        await asyncio.sleep(0.01)
        # The outbox commits what lingers there, which comes first, together with what does not.
        assert [t.at_ms for t in disk.kept] == [1, 2]
        assert disk.at_once == [False, True]

    asyncio.run(life())


def test_many_that_are_in_no_hurry_leave_together() -> None:
    async def life() -> None:
        disk = Disk()
        capturing = Capturing(disk, disk.clock)
        for at_ms in range(1000):
            capturing.add([sighting(at_ms)])
        await capturing.finish(10)
        assert [t.at_ms for t in disk.kept] == [*range(1000)]
        assert disk.tried <= 4
        assert capturing.counts["captured"] == 1000

    asyncio.run(life())


def test_a_full_disk_loses_no_visit_and_keeps_their_order() -> None:
    async def life() -> None:
        disk = Disk()
        capturing = Capturing(disk, disk.clock)
        disk.full = True
        for number in range(50):
            capturing.add([enter(number)])
            await asyncio.sleep(0)
        while disk.tried < 3:  # noqa: ASYNC110 - a disk tells nobody
            await asyncio.sleep(0.001)
        assert disk.kept == []
        disk.full = False
        await capturing.finish(30)
        assert [t.get("visit") for t in disk.kept] == [*range(50)]
        assert capturing.counts["captured"] == 50
        assert capturing.counts["again"] >= 2
        assert capturing.counts["lost"] == capturing.counts["given_up"] == 0

    asyncio.run(life())


def test_while_the_disk_is_full_sightings_are_given_up_for_visits_and_then_sources_wait() -> None:
    async def life() -> None:
        disk = Disk()
        capturing = Capturing(disk, disk.clock, most=100)
        disk.full = True
        capturing.add([enter(0)])
        await asyncio.sleep(0.01)
        for number in range(1, 81):
            capturing.add([sighting(number)])
        for number in range(1, 61):
            capturing.add([enter(number)])
        assert not capturing.is_full
        assert capturing.counts["given_up"] == 80
        for number in range(61, 101):
            capturing.add([enter(number)])
        assert capturing.is_full
        waits = asyncio.create_task(capturing.room())
        await asyncio.sleep(0.01)
        assert not waits.done()
        disk.full = False
        await asyncio.wait_for(waits, 30)
        await capturing.finish(30)
        assert [t.get("visit") for t in disk.kept] == [*range(101)]

    asyncio.run(life())


def test_a_malformed_touchpoint_is_refused_and_its_company_is_not() -> None:
    async def life() -> None:
        disk = Disk()
        capturing = Capturing(disk, disk.clock)
        bad = Touchpoint(enter(1).code, 1, ("not a number", "ble:1", "door", None))
        with pytest.raises(TouchpointError):
            check(bad)
        capturing.add([sighting(1), bad, enter(3)])
        await capturing.finish(10)
        assert [t.at_ms for t in disk.kept] == [1, 3]
        assert capturing.counts["refused"] == 1

    asyncio.run(life())


def leave(number: int) -> Touchpoint:
    return touchpoints.visit_exit(
        visit=number, visitor="ble:c0ffee", zone="door", dwell_ms=1, at_ms=number
    )


class Fickle(Disk):
    """A disk that refuses every second commit, and takes each as long as it likes."""

    async def capture_many(
        self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
    ) -> None:
        mine = self.tried
        self.full = mine % 2 == 0
        listed = list(touchpoints)
        for _ in range(5 * ((7 * mine) % 4)):
            await asyncio.sleep(0)
        self.full = mine % 2 == 0
        await super().capture_many(listed, at_once=at_once)


def test_no_exit_passes_its_enter_on_a_disk_that_refuses_now_and_then() -> None:
    async def life() -> None:
        disk = Fickle()
        capturing = Capturing(disk, disk.clock)
        for number in range(1, 101):
            capturing.add([enter(number)])
            await asyncio.sleep(0)
            capturing.add([leave(number), sighting(number)])
            if number % 3 == 0:
                capturing.flush()
            await asyncio.sleep(0)
        await capturing.finish(30)
        told = [(t.get("visit"), t.name) for t in disk.kept if t.name != "sighting"]
        assert told == [
            (number, name) for number in range(1, 101) for name in ("visit.enter", "visit.exit")
        ]
        assert capturing.counts["captured"] == 300
        assert capturing.counts["again"] > 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(life())


def test_a_refusal_beside_a_malformed_touchpoint_captures_nothing_twice() -> None:
    class FullAfterOne(Disk):
        async def capture_many(
            self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
        ) -> None:
            self.full = len(self.kept) == 1 and self.tried < 6
            await super().capture_many(touchpoints, at_once=at_once)

    async def life() -> None:
        disk = FullAfterOne()
        capturing = Capturing(disk, disk.clock)
        bad = Touchpoint(enter(1).code, 1, ("not a number", "ble:1", "door", None))
        capturing.add([enter(1), enter(2), bad, enter(3)])
        await capturing.finish(30)
        assert [t.get("visit") for t in disk.kept] == [1, 2, 3]
        assert capturing.counts["refused"] == 1
        assert capturing.counts["again"] > 0

    asyncio.run(life())


def test_a_device_with_a_bug_loses_one_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Buggy(Disk):
        async def capture_many(
            self, touchpoints: Iterable[Touchpoint], *, at_once: bool = False
        ) -> None:
            if not self.tried:
                self.tried += 1
                raise RuntimeError("a bug")
            await super().capture_many(touchpoints, at_once=at_once)

    async def life() -> None:
        disk = Buggy()
        capturing = Capturing(disk, disk.clock)
        capturing.add([enter(1)])
        await asyncio.sleep(0.01)
        capturing.add([enter(2)])
        await capturing.finish(30)
        assert [t.get("visit") for t in disk.kept] == [2]
        assert capturing.counts["lost"] == 1

    asyncio.run(life())
    assert "a bug" in caplog.text
    assert "1 touchpoints are lost" in caplog.text


@pytest.mark.parametrize("why", ["full", "closed"])
def test_a_stop_that_waits_in_vain_says_what_is_lost(
    why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def life() -> None:
        disk = Disk()
        setattr(disk, why, True)
        capturing = Capturing(disk, disk.clock)
        capturing.add([enter(1), enter(2)])
        await capturing.finish(0.05)
        assert capturing.counts["lost"] == 2

    asyncio.run(life())
    assert "ble:c0ffee" not in caplog.text
