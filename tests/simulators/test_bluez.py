"""The peer behaves as BlueZ does: towards bleak's own scanner, and towards clients that are not."""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import pytest
from bleak import BleakScanner
from bleak.args.bluez import OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError

from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import IBeacon
from tests.edge_sdk.air import BEACON, BlueZ, in_a_loop, until

FRAME = to_advertisement(IBeacon(bytes(16), 1, 2, -59))
APPLE = [OrPattern(0, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, b"\x4c\x00")]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        return self.at_ms


class Heard(list[AdvertisementData]):
    """What a scan of bleak's own heard."""

    def scanner(self, mode: str = "active", **filters: object) -> BleakScanner:
        return BleakScanner(
            lambda _device, advertisement: self.append(advertisement),
            scanning_mode=mode,  # type: ignore[arg-type]
            bluez={"adapter": "hci0", "or_patterns": APPLE, "filters": filters},  # type: ignore[typeddict-item]
        )


def wobble(peer: BlueZ, times: int) -> None:
    """A beacon at about one strength, as a steady one is heard."""
    for number in range(times):
        peer.advertise("hci0", BEACON, -60 - number % 4, FRAME)


@in_a_loop
async def test_an_active_scan_is_told_of_every_change_and_a_passive_one_from_8_db_on() -> None:
    active, passive = Heard(), Heard()
    async with BlueZ() as peer:
        async with active.scanner():
            await peer.until_scanned()
            wobble(peer, 40)
            await until(lambda: len(active) == 40)
        assert not peer.scanned("hci0")
        async with passive.scanner("passive"):
            await peer.until_scanned()
            wobble(peer, 40)
            assert peer.advertise("hci0", BEACON, -52, FRAME)  # 8 dB more than when it was found
            await until(lambda: len(passive) == 2)
            assert [each.rssi for each in passive] == [-60, -52]


@in_a_loop
async def test_a_passive_scan_hears_what_its_patterns_say() -> None:
    heard = Heard()
    async with BlueZ() as peer, heard.scanner("passive"):
        await peer.until_scanned()
        assert not peer.advertise("hci0", "C0:FF:EE:00:00:02", -60, b"\x03\x03\xaa\xfe")
        assert peer.advertise("hci0", BEACON, -60, FRAME)


@in_a_loop
async def test_what_does_not_change_is_told_only_to_whoever_wants_repeated_data() -> None:
    for wanted, told in ((False, 1), (True, 10)):
        heard = Heard()
        async with BlueZ() as peer, heard.scanner(DuplicateData=wanted):
            await peer.until_scanned()
            assert sum(peer.advertise("hci0", BEACON, -60, FRAME) for _ in range(10)) == told
            await until(lambda told=told, heard=heard: len(heard) == told)  # type: ignore[misc]


@in_a_loop
async def test_a_device_that_was_not_heard_for_long_is_forgotten() -> None:
    clock = Hand()
    async with BlueZ(clock=clock) as peer:
        scanner = Heard().scanner()
        async with scanner:
            await peer.until_scanned()
            peer.advertise("hci0", BEACON, -60, FRAME)
            await until(lambda: len(scanner.discovered_devices) == 1)
            clock.at_ms += 30_000
            peer.advertise("hci0", "C0:FF:EE:00:00:02", -60, FRAME)
            await until(
                lambda: [d.address for d in scanner.discovered_devices] == ["C0:FF:EE:00:00:02"]
            )


@in_a_loop
async def test_its_table_of_devices_is_bounded() -> None:
    async with BlueZ(max_devices=5) as peer:
        scanner = Heard().scanner()
        async with scanner:
            await peer.until_scanned()
            for number in range(20):
                peer.advertise("hci0", f"C0:FF:EE:00:00:{number:02X}", -60, FRAME)
            last = [f"C0:FF:EE:00:00:{number:02X}" for number in range(15, 20)]
            await until(lambda: [d.address for d in scanner.discovered_devices] == last)


@in_a_loop
async def test_what_an_advertisement_says_arrives_as_bleak_tells_it() -> None:
    heard = Heard()
    said = bytes.fromhex("020106 0303aafe 050949454c41 020ac5 0716aafe20000b18 05ff4c000102")
    async with BlueZ() as peer, heard.scanner():
        await peer.until_scanned()
        peer.advertise("hci0", BEACON, -60, said)
        await until(lambda: heard)
    (advertisement,) = heard
    assert advertisement.local_name == "IELA"
    assert advertisement.tx_power == -59
    assert advertisement.manufacturer_data == {0x004C: b"\x01\x02"}
    uuid = "0000feaa-0000-1000-8000-00805f9b34fb"
    assert advertisement.service_uuids == [uuid]
    assert advertisement.service_data == {uuid: bytes.fromhex("20000b18")}


@in_a_loop
async def test_two_clients_scan_at_once_and_one_that_leaves_leaves_the_other() -> None:
    async with BlueZ() as peer:
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER_CLIENT, stdout=asyncio.subprocess.PIPE
        )
        assert other.stdout is not None
        heard = Heard()
        async with heard.scanner():
            assert await other.stdout.readline() == b"scans\n"
            peer.advertise("hci0", BEACON, -60, FRAME)
            assert await other.stdout.readline() == b"heard\n"
            await other.wait()
            peer.advertise("hci0", BEACON, -61, FRAME)
            await until(lambda: len(heard) == 2)
            assert peer.scanned("hci0")


OTHER_CLIENT = """
import asyncio
from bleak import BleakScanner

async def main():
    done = asyncio.Event()
    async with BleakScanner(lambda device, data: done.set(), bluez={"adapter": "hci0"}):
        print("scans", flush=True)
        await done.wait()
        print("heard", flush=True)

asyncio.run(main())
"""


@in_a_loop
async def test_an_adapter_that_is_off_or_denied_says_why() -> None:
    async with BlueZ() as peer:
        peer.power("hci0", False)
        with pytest.raises(BleakDBusError, match="NotReady"):
            await Heard().scanner().start()
        peer.power("hci0", True)
        peer.deny("StartDiscovery")
        with pytest.raises(BleakDBusError, match="AccessDenied"):
            await Heard().scanner().start()
        peer.allow()
        async with Heard().scanner():
            assert peer.scanned("hci0")


@in_a_loop
async def test_what_nobody_hears_is_counted_by_why() -> None:
    async with BlueZ(["hci0", "hci1", "hci2"]) as peer, Heard().scanner():
        peer.silence("hci0")
        peer.power("hci1", False)
        peer.unplug("hci2")
        for adapter in ("hci0", "hci1", "hci2"):
            assert not peer.advertise(adapter, BEACON, -60, FRAME)
        assert peer.missed == {"silent": 1, "off": 1, "unplugged": 1}


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"x" * 64,
        b"\0AUTH EXTERNAL 30\r\nBEGIN\r\nl\1\0\1" + b"\xff" * 12,
        b"\0AUTH EXTERNAL 30\r\nBEGIN\r\nl\1\0\1" + bytes(12),
        b"\0AUTH ANONYMOUS\r\n",
        b"",
    ],
)
@in_a_loop
async def test_a_client_that_speaks_no_d_bus_is_hung_up_on_and_disturbs_nobody(said: bytes) -> None:
    heard = Heard()
    async with BlueZ() as peer, heard.scanner():
        path = peer.address.removeprefix("unix:path=")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.close()
        peer.advertise("hci0", BEACON, -60, FRAME)
        await until(lambda: heard)


@in_a_loop
async def test_it_leaves_no_socket_and_no_variable_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/what/was/before")
    async with BlueZ() as peer:
        folder = Path(peer.address.removeprefix("unix:path=")).parent
        assert os.environ["DBUS_SYSTEM_BUS_ADDRESS"] == peer.address
        assert folder.stat().st_mode & 0o077 == 0
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(folder / "system_bus_socket"))
    idle.close()
    assert not folder.exists()
    assert os.environ["DBUS_SYSTEM_BUS_ADDRESS"] == "unix:path=/what/was/before"
