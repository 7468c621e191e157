"""What the doctor finds at Bluetooth adapters: the real bleak, at a peer that plays BlueZ."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from edge_sdk.doctor import bluetooth, passive
from edge_sdk.doctor.bluetooth import check_bluetooth
from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding
from edge_sdk.doctor.passive import check_passive
from edge_sdk.presence.beacons import IBeacon, to_advertisement
from tests.edge_sdk.air import BEACON, BlueZ, always, in_a_loop

SHELF = IBeacon(bytes(range(16)), 1, 2, -59)
LISTEN_S = 0.5


def results(found: list[Finding]) -> list[str]:
    return [finding.result for finding in found]


def shelf(peer: BlueZ, adapter: str = "hci0") -> Callable[[], object]:
    """A steady beacon, as steady as radio is."""
    rssi_dbm = itertools.cycle((-61, -62, -60, -63))
    return lambda: peer.advertise(adapter, BEACON, next(rssi_dbm), to_advertisement(SHELF))


@in_a_loop
async def test_an_adapter_that_hears() -> None:
    async with BlueZ() as peer, always(shelf(peer), 0.01):
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == OK
    assert "of 1 senders" in one.found
    assert "ibeacon" in one.found
    assert "8 dB" in one.found
    assert "C0FFEE" not in one.found.upper().replace(":", "")
    assert "000102" not in one.found, "whose beacon it is, is nobody's business"


@in_a_loop
async def test_each_adapter_is_heard() -> None:
    async with BlueZ(["hci0", "hci1"]) as peer, always(shelf(peer, "hci1"), 0.01):
        silent, hears = await check_bluetooth([], LISTEN_S)
    assert results([silent, hears]) == [WARN, OK]
    assert "hci0: it hears nothing at all" in silent.found


@in_a_loop
async def test_a_silent_adapter() -> None:
    async with BlueZ():
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == FAIL
    assert "hears nothing" in one.found
    assert one.to_do


@in_a_loop
async def test_an_adapter_that_is_off() -> None:
    async with BlueZ() as peer:
        peer.power("hci0", False)
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == FAIL
    assert "switched off" in one.found
    assert "rfkill" in one.to_do


@in_a_loop
async def test_an_adapter_that_is_not_there() -> None:
    async with BlueZ() as peer:
        (one,) = await check_bluetooth(["hci7"], LISTEN_S)
        assert one.result == FAIL
        assert "no such adapter; there is hci0" in one.found
        peer.unplug("hci0")
        for wanted, result in (([], WARN), (["hci0"], FAIL)):
            (one,) = await check_bluetooth(wanted, LISTEN_S)
            assert one.result == result
            assert "no such adapter" in one.found


@in_a_loop
async def test_no_permission_at_all() -> None:
    async with BlueZ() as peer:
        peer.deny()
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == FAIL
    assert "group `bluetooth`" in one.to_do


@in_a_loop
async def test_no_permission_to_scan() -> None:
    async with BlueZ() as peer:
        peer.deny("StartDiscovery")
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == FAIL
    assert "may not use" in one.found


@in_a_loop
async def test_no_service() -> None:
    async with BlueZ() as peer:
        peer.stop_service()
        (one,) = await check_bluetooth(["hci0"], LISTEN_S)
    assert one.result == FAIL
    assert "systemctl start bluetooth" in one.to_do


@in_a_loop
async def test_no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/socket")
    for wanted, result in (([], WARN), (["hci0"], FAIL)):
        assert results(await check_bluetooth(wanted, LISTEN_S)) == [result]


@in_a_loop
async def test_the_adapter_is_left_as_it_was() -> None:
    async with BlueZ() as peer:
        await check_bluetooth(["hci0"], LISTEN_S)
        assert not peer.scanned("hci0")
        assert not any(what.startswith("Powered") for _, what in peer.calls)


@in_a_loop
async def test_what_a_passive_scan_misses() -> None:
    async with BlueZ() as peer, always(shelf(peer), 0.01):
        (one,) = await check_passive(["hci0"], LISTEN_S)
        assert one.result == WARN
        assert "under 8 dB" in one.to_do
        peer.deny("StartDiscovery")
        assert results(await check_passive(["hci0"], LISTEN_S)) == [SKIPPED]


def test_without_bleak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluetooth, "_MISSING", "no bleak")
    monkeypatch.setattr(passive, "BleakScanner", None)
    for wanted, result in (([], SKIPPED), (["hci0"], FAIL)):
        (one,) = asyncio.run(check_bluetooth(wanted, LISTEN_S))
        assert one.result == result
        assert "edge-sdk[bluetooth]" in one.to_do
    assert results(asyncio.run(check_passive([], LISTEN_S))) == [SKIPPED]
