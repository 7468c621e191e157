"""The real bleak against a peer that plays BlueZ: what is heard, and what is done in silence."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from edge_sdk.clock import ScaledClock
from edge_sdk.errors import ConfigError
from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import AltBeacon, EddystoneTlm, EddystoneUid, Frame, IBeacon
from edge_sdk.sources import bluetooth_scan, bluez, lean_scanner
from edge_sdk.sources.bluetooth import Bluetooth
from edge_sdk.sources.reading import Reading
from tests.edge_sdk.air import BEACON, NOISE, BlueZ, always, in_a_loop, until

IBEACON = IBeacon(bytes(range(16)), 1, 2, -59)
UID = EddystoneUid(bytes(range(10)), bytes(6), -20)
FAST = 200.0  # a minute of silence takes a third of a second


def source(*adapters: str, **options: object) -> Bluetooth:
    names = {adapter: f"at-{adapter}" for adapter in adapters or ("hci0",)}
    return Bluetooth(names, **options)  # type: ignore[arg-type]


class StoppedBetween(ScaledClock):
    """A clock whose shortest sleep, that between off and on, never ends."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.between = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds == bluetooth_scan._SETTLE_S:
            self.between.set()
            await asyncio.Event().wait()
        await super().sleep(seconds)


async def take(radio: Bluetooth, count: int) -> list[Reading]:
    readings = []
    async with asyncio.timeout(30):
        async for reading in radio:
            readings.append(reading)
            if len(readings) == count:
                break
    return readings


@pytest.mark.parametrize(
    ("frame", "beacon"),
    [
        (IBEACON, "ibeacon:000102030405060708090a0b0c0d0e0f-1-2"),
        (UID, "uid:00010203040506070809-000000000000"),
        (AltBeacon(bytes(20), -60), "altbeacon:" + "00" * 20),
    ],
    ids=["ibeacon", "uid", "altbeacon"],
)
@in_a_loop
async def test_a_beacon_on_the_air_becomes_a_reading(frame: Frame, beacon: str) -> None:
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        peer.advertise("hci0", BEACON, -61, to_advertisement(frame))
        (reading,) = await take(radio, 1)
    assert reading[1:] == ("at-hci0", beacon, -61)


@pytest.mark.parametrize(
    ("address", "address_type", "beacon"),
    [
        ("7C:FF:EE:00:00:01", "random", "rpa:7cffee000001"),
        ("7C:FF:EE:00:00:01", "public", "ble:7cffee000001"),
        ("C0:FF:EE:00:00:01", "random", "ble:c0ffee000001"),
    ],
)
@in_a_loop
async def test_what_is_no_beacon_is_called_by_its_address(
    address: str, address_type: str, beacon: str
) -> None:
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        peer.advertise("hci0", address, -61, b"", address_type)
        assert (await take(radio, 1))[0].beacon == beacon


@in_a_loop
async def test_a_steady_beacon_is_heard_each_time() -> None:
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        for _ in range(40):
            assert peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
        assert len(await take(radio, 40)) == 40


@in_a_loop
async def test_a_beacon_that_tells_its_battery_in_between_keeps_its_name() -> None:
    tlm = EddystoneTlm(3000, 20.0, 1, 100)
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        for frame in (UID, tlm, UID, tlm):
            peer.advertise("hci0", BEACON, -61, to_advertisement(frame))
        names = {reading.beacon for reading in await take(radio, 4)}
    assert names == {"uid:00010203040506070809-000000000000"}


@in_a_loop
async def test_several_adapters_are_several_receivers() -> None:
    adapters = [f"hci{n}" for n in range(12)]
    async with BlueZ(adapters) as peer, source(*adapters) as radio:
        await peer.until_scanned()
        for number, adapter in enumerate(adapters):
            peer.advertise(adapter, BEACON, -50 - number, to_advertisement(IBEACON))
        readings = await take(radio, 12)
    assert {(r.receiver, r.rssi_dbm) for r in readings} == {
        (f"at-hci{n}", -50 - n) for n in range(12)
    }


@pytest.mark.parametrize("rssi_dbm", [127, 42, -127, None, 21])
@in_a_loop
async def test_a_strength_that_is_none_is_counted_and_dropped(rssi_dbm: int | None) -> None:
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        peer.advertise("hci0", NOISE, rssi_dbm, to_advertisement(IBEACON))
        peer.advertise("hci0", BEACON, 20, to_advertisement(UID))
        (reading,) = await take(radio, 1)
        assert reading.beacon.startswith("uid:")
        assert radio.counts["dropped_rssi"] == 1


@pytest.mark.parametrize(
    "advertisement",
    [
        b"\x00",
        b"\x1f\xff\x4c\x00",
        to_advertisement(IBEACON)[:-3],
        b"\x05\xff\x4c\x00\x02\x15",
        b"\x03\x16\xaa\xfe",
        b"\x02\x16\xaa",
        bytes(range(1, 32)),
        b"\xff" * 31,
        b"\x09\x09\xff\xfe\xfd\xfc\xfb\xfa\x00\x01",
    ],
)
@in_a_loop
async def test_a_malformed_advertisement_is_somebody_without_a_beacon(
    advertisement: bytes,
) -> None:
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        peer.advertise("hci0", NOISE, -70, advertisement)
        peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
        first, second = await take(radio, 2)
    assert first.beacon == "ble:c0ffee000002"
    assert second.beacon.startswith("ibeacon:")


@in_a_loop
async def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    async with BlueZ() as peer, source(max_queue=10) as radio:
        await peer.until_scanned()
        for rssi_dbm in range(-80, -50):
            peer.advertise("hci0", BEACON, rssi_dbm, to_advertisement(IBEACON))
        await until(lambda: radio.counts["heard"] == 30)
        assert [r.rssi_dbm for r in await take(radio, 10)] == [*range(-60, -50)]
        assert radio.counts["dropped_oldest"] == 20


@pytest.mark.parametrize("cured_by", ["reset", "restart"])
@in_a_loop
async def test_a_silent_adapter_is_healed(cured_by: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_sdk")
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer, source(clock=clock) as radio:

        def beacon() -> bool:
            return peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))

        async with always(beacon):
            await take(radio, 3)
            peer.silence("hci0", until=cured_by)
            await until(lambda: radio.status[0].silences)
            await until(lambda: radio.status[0].trouble is None)
            await take(radio, 3)
        assert peer.calls["hci0", "Powered True"] >= 1
        assert radio.status[0].resets >= 1
    assert "hears nothing" in caplog.text
    assert "scans again" in caplog.text
    assert BEACON not in caplog.text


@in_a_loop
async def test_one_silent_adapter_does_not_disturb_the_others() -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(["hci0", "hci1"], clock) as peer, source("hci0", "hci1", clock=clock) as radio:

        def beacon() -> None:
            for adapter in ("hci0", "hci1"):
                peer.advertise(adapter, BEACON, -61, to_advertisement(IBEACON))

        async with always(beacon):
            await take(radio, 2)
            peer.silence("hci0")
            await until(lambda: radio.status[0].resets)
        assert radio.status[1].starts == 1


@in_a_loop
async def test_where_a_reset_is_denied_the_scan_is_begun_anew() -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer, source(clock=clock) as radio:
        await peer.until_scanned()
        peer.deny("Set")
        peer.silence("hci0", until="restart")
        await until(lambda: radio.status[0].starts >= 2)
        assert radio.status[0].failures["reset_denied"] >= 1
        peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
        await take(radio, 1)
    assert radio.status[0].resets == 0


@in_a_loop
async def test_an_adapter_that_bluez_believes_to_be_busy_is_reset() -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer:
        peer.jam("hci0")
        async with source(clock=clock) as radio:
            await peer.until_scanned()
            assert radio.status[0].resets == 1
            assert radio.status[0].failures == {"failed": 1}


@in_a_loop
async def test_a_reset_can_be_forbidden() -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer, source(clock=clock, reset=False) as radio:
        await until(lambda: radio.status[0].starts >= 2)
        assert peer.calls["hci0", "Powered False"] == 0


@pytest.mark.parametrize("order", ["Powered False", "Powered True"])
@in_a_loop
async def test_leaving_amid_a_reset_does_not_leave_the_adapter_off(order: str) -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer:
        async with source(clock=clock):
            if order == "Powered True":
                await until(lambda: peer.calls["hci0", "Powered False"])
            peer.switch_slowly("hci0")
            await until(lambda: peer.calls["hci0", order])
            asyncio.get_running_loop().call_later(0.05, peer.switch_now, "hci0")
        assert peer.calls["hci0", "Powered True"] == peer.calls["hci0", "Powered False"] == 1
        assert await bluez.powered("hci0")


@in_a_loop
async def test_leaving_between_off_and_on_does_not_leave_the_adapter_off() -> None:
    clock = StoppedBetween()
    async with BlueZ():
        async with source(clock=clock):
            await clock.between.wait()
            assert not await bluez.powered("hci0")
        assert await bluez.powered("hci0")


@in_a_loop
async def test_an_adapter_that_cannot_be_switched_on_again_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = StoppedBetween()
    async with BlueZ() as peer:
        async with source(clock=clock):
            await clock.between.wait()
            peer.deny("Set")
        assert not await bluez.powered("hci0")
    assert "may be switched off still" in caplog.text


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("absent", "bluetoothctl list"),
        ("off", "rfkill"),
        ("denied", "group `bluetooth`"),
        ("no_service", "systemctl start bluetooth"),
    ],
)
@in_a_loop
async def test_what_is_wrong_is_told_once_and_tried_again(
    trouble: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer:
        ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "absent": (lambda: peer.unplug("hci0"), lambda: peer.plug("hci0")),
            "off": (lambda: peer.power("hci0", False), lambda: peer.power("hci0", True)),
            "denied": (peer.deny, peer.allow),
            "no_service": (peer.stop_service, peer.start_service),
        }
        goes_wrong, is_mended = ways[trouble]
        goes_wrong()
        async with source(clock=clock) as radio:
            await until(lambda: radio.status[0].failures.get(trouble, 0) >= 3)
            assert radio.status[0].trouble == trouble
            assert radio.counts["in_trouble"] == 1
            is_mended()
            await peer.until_scanned()
            peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
            await take(radio, 1)
            assert radio.status[0].trouble is None
    told = [record.getMessage() for record in caplog.records if record.name.startswith("edge_sdk")]
    assert len(told) == 1
    assert words in told[0]


@in_a_loop
async def test_an_adapter_that_somebody_switches_off_is_left_off_and_scanned_when_it_is_on() -> (
    None
):
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer, source(clock=clock) as radio:
        await peer.until_scanned()
        peer.power("hci0", False)
        await until(lambda: radio.status[0].trouble == "off")
        assert peer.calls["hci0", "Powered True"] == 0
        peer.power("hci0", True)
        await peer.until_scanned()


@pytest.mark.parametrize("what", ["the daemon", "the bus", "the plug"])
@in_a_loop
async def test_what_restarts_beneath_a_scan_is_scanned_again(what: str) -> None:
    clock = ScaledClock(FAST)
    async with BlueZ(clock=clock) as peer, source(clock=clock) as radio:
        await peer.until_scanned()
        if what == "the daemon":
            peer.stop_service()
            peer.start_service()
        elif what == "the bus":
            await peer.hang_up()
        else:
            peer.unplug("hci0")
            peer.plug("hci0")
        assert not peer.scanned("hci0")
        await peer.until_scanned()
        peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
        await take(radio, 1)


@in_a_loop
async def test_a_bus_that_hangs_up_in_the_middle_of_a_question_raises_nothing_strange() -> None:
    async with BlueZ() as peer:
        async with bluez._bus():
            await peer.hang_up()
        assert await bluez.powered("hci0")


@in_a_loop
async def test_a_reset_that_fails_in_no_known_way_ends_no_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(adapter: str) -> bool:
        raise EOFError

    monkeypatch.setattr(bluez, "powered", broken)
    clock = ScaledClock(FAST)
    async with BlueZ() as peer, source(clock=clock) as radio:
        await peer.until_scanned()
        peer.silence("hci0", until="restart")
        await until(lambda: radio.status[0].failures.get("reset_failed"))
        await until(lambda: radio.status[0].starts >= 2)
        await peer.until_scanned()
        async with always(lambda: peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))):
            await take(radio, 1)


@in_a_loop
async def test_it_can_be_left_and_entered_again() -> None:
    radio = source()
    async with BlueZ() as peer:
        for _ in range(2):
            async with radio:
                await peer.until_scanned()
                peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
                await take(radio, 1)
            assert not peer.scanned("hci0")
            assert [reading async for reading in radio] == []


@in_a_loop
async def test_addresses_without_end_take_no_memory_without_end() -> None:
    async with BlueZ(max_devices=64) as peer, source() as radio:
        await peer.until_scanned()
        for number in range(6_000):
            address = f"C0:FF:EE:00:{number >> 8:02X}:{number & 255:02X}"
            peer.advertise("hci0", address, -61, to_advertisement(IBEACON))
            if number % 64 == 0:
                await peer.told()
        await until(lambda: radio.counts["heard"] == 6_000)
        assert len(radio._scans[0]._known) <= 4096


@in_a_loop
async def test_the_shorter_way_through_bleak_is_in_use() -> None:
    """If this fails, bleak has moved: see lean_scanner.py. Everything else goes on without it."""
    assert lean_scanner.USABLE


@in_a_loop
async def test_without_the_shorter_way_bleak_is_heard_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edge_sdk.sources import lean_scanner

    monkeypatch.setattr(lean_scanner, "USABLE", False)
    async with BlueZ() as peer, source() as radio:
        await peer.until_scanned()
        peer.advertise("hci0", BEACON, -61, to_advertisement(IBEACON))
        (reading,) = await take(radio, 1)
    assert reading[1:] == ("at-hci0", "ibeacon:000102030405060708090a0b0c0d0e0f-1-2", -61)


@pytest.mark.parametrize(
    ("receivers", "options", "words"),
    [
        ({}, {}, "no adapter"),
        ({"hci0": "door", "hci1": "door"}, {}, "one receiver"),
        ({"hci0": "door"}, {"silence_s": 0}, "silence_s"),
        ({"hci0": "door"}, {"max_queue": 0}, "max_queue"),
    ],
)
def test_settings_that_cannot_work_say_so(
    receivers: dict[str, str], options: dict[str, float], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Bluetooth(receivers, **options)  # type: ignore[arg-type]


@in_a_loop
async def test_which_adapters_there_are() -> None:
    async with BlueZ(["hci0", "hci1", "hci2"]) as peer, source("hci0"):
        peer.power("hci1", False)
        peer.unplug("hci2")
        await peer.until_scanned("hci0")
        assert await bluez.adapters() == [
            bluez.Adapter("hci0", powered=True, central=True, discovering=True),
            bluez.Adapter("hci1", powered=False, central=True, discovering=False),
        ]
