"""What beacon frames and rotating identifiers must do, as functions for CPython and MicroPython.

Each check takes (ecb, hmac, vectors), asserts, and returns how many cases it went through.
"""

from edge_sdk.presence import beacons, identifiers
from edge_sdk.presence.address_table import AddressTable
from edge_sdk.presence.beacons import parse_advertisement, parse_data, to_advertisement
from edge_sdk.presence.eid_table import EidTable
from tests.wire.dice import Dice
from tests.wire.refusals import raw, refused

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.presence.beacons import Frame
    from edge_sdk.presence.identifiers import Ecb

    Hmac = Any
    Vectors = dict[str, Any]

UUID = bytes(range(16))
FRAMES = (
    beacons.IBeacon(UUID, 1, 65_535, -59),
    beacons.AltBeacon(bytes(range(20)), -66, 9, 0x0118),
    beacons.EddystoneUid(bytes(range(10)), bytes(range(6)), -18),
    beacons.EddystoneUrl("https://www.example.com/a", 127),
    beacons.EddystoneUrl("http://example.info", -128),
    beacons.EddystoneTlm(3000, -12.5, 4_294_967_295, 429_496_729_500),
    beacons.EddystoneTlm(None, None, 0, 0),
    beacons.EddystoneETlm(bytes(range(12)), b"\xde\xad", b"\xbe\xef"),
    beacons.EddystoneEid(bytes(range(8)), -18),
)
# The upstream suites' names of our kinds; what else they know is none of ours.
KINDS = {
    "ibeacon": "ibeacon",
    "altbeacon": "altbeacon",
    "eddystone_uid": "eddystone-uid",
    "eddystone_url": "eddystone-url",
    "eddystone_tlm": "eddystone-tlm",
    "eddystone_etlm": "eddystone-etlm",
    "eddystone_eid": "eddystone-eid",
}


def unwrapped(container: str, data: bytes) -> "Frame | None":
    """What we read in a vector's container."""
    if container == "adv":
        return parse_advertisement(data)
    if container == "pdu":
        return parse_advertisement(data[8:])  # header 2, address 6
    if container == "mfr":
        return parse_data({data[0] | data[1] << 8: data[2:]}, {})
    assert container == "svc"
    return parse_data({}, {beacons.EDDYSTONE_UUID: data})


def as_upstream(frame: "Frame", little: bool) -> "dict[str, Any]":
    """Our frame in the upstream suites' words."""
    if isinstance(frame, beacons.IBeacon):
        text = frame.uuid.hex()
        return {"uuid": dashed(text), "major": frame.major, "minor": frame.minor}
    if isinstance(frame, beacons.AltBeacon):
        return {
            "company_id": frame.company,
            "id1": dashed(frame.beacon_id[:16].hex()),
            "id2": int.from_bytes(frame.beacon_id[16:18], "big"),
            "id3": int.from_bytes(frame.beacon_id[18:], "big"),
            "mfg_reserved": frame.reserved,
        }
    if isinstance(frame, beacons.EddystoneUid):
        return {"namespace": frame.namespace.hex(), "instance": frame.instance.hex()}
    if isinstance(frame, beacons.EddystoneUrl):
        return {"url": frame.url}
    if isinstance(frame, beacons.EddystoneTlm):
        return {
            "battery_mv": frame.battery_mv,
            "temperature_c": frame.temperature_c,
            "adv_count": frame.advertisements,
            "uptime_deciseconds": frame.uptime_ms // 100,
        }
    if isinstance(frame, beacons.EddystoneETlm):
        # One suite reads these two as little-endian numbers. They are bytes.
        salt, tag = frame.salt, frame.tag
        if little:
            salt, tag = bytes([salt[1], salt[0]]), bytes([tag[1], tag[0]])
        return {
            "encrypted": frame.encrypted.hex(),
            "salt": int.from_bytes(salt, "big"),
            "mic": int.from_bytes(tag, "big"),
        }
    assert isinstance(frame, beacons.EddystoneEid)
    return {"eid": frame.eid.hex()}


def dashed(text: str) -> str:
    """A UUID's hexadecimal as it is written."""
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


# Of the frame, but not in it: what was heard beside it, or worked out from it.
BESIDE = (
    "type",
    "pdu",
    "advA",
    "local_name",
    "tx_power",
    "distance_m_at_rssi",
    "cypress_temperature_x100",
    "cypress_humidity_x100",
)


def check_published_frames(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """Every published frame of our kinds is read as its suite says, and no other is read."""
    ours = 0
    for case in vectors["ble_frames"]["frames"]:
        expect = case["expect"]
        frame = unwrapped(case["container"], raw(case["hex"]))
        if expect is not None and "ad_structures" in expect:
            assert frame is not None, case
            assert frame.kind == "eddystone-uid", case
            continue
        kind = None if expect is None else KINDS.get(expect["type"])
        assert (None if frame is None else frame.kind) == kind, case
        if frame is None or expect is None:
            continue
        ours += 1
        told = as_upstream(frame, case["source"].startswith("citruz/"))
        assert told == {name: expect[name] for name in expect if name not in BESIDE}, case
        assert frame.power_dbm == expect.get("tx_power"), case
        if "distance_m_at_rssi" in expect:
            assert frame.power_at_1m_dbm == frame.power_dbm
    assert ours == 27, ours
    return len(vectors["ble_frames"]["frames"])


def check_round_trips(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """What is emitted is read as it was, fits an advertisement, and no beginning of it is read."""
    for frame in FRAMES:
        data = to_advertisement(frame)
        assert len(data) <= 31, frame
        assert parse_advertisement(data) == frame, frame
        assert parse_advertisement(data + bytes(31)) == frame, frame
        assert parse_advertisement(bytearray(data)) == frame, frame
        for size in range(len(data)):
            assert parse_advertisement(data[:size]) is None, (frame, size)
    return len(FRAMES)


def check_refused_frames(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """What a layout has no room for is not emitted cut."""
    wrong = (
        beacons.IBeacon(UUID[:15], 1, 2, -59),
        beacons.IBeacon(UUID + b"\0", 1, 2, -59),
        beacons.IBeacon(UUID, -1, 2, -59),
        beacons.IBeacon(UUID, 1, 65_536, -59),
        beacons.IBeacon(UUID, 1, 2, -129),
        beacons.IBeacon(UUID, 1, 2, 128),
        beacons.AltBeacon(bytes(19), -59),
        beacons.AltBeacon(bytes(20), -59, 256),
        beacons.AltBeacon(bytes(20), -59, 0, 65_536),
        beacons.EddystoneUid(bytes(10), bytes(5), -18),
        beacons.EddystoneEid(bytes(9), -18),
        beacons.EddystoneUrl("ftp://example.com", -18),
        beacons.EddystoneUrl("https://", -18),
        beacons.EddystoneUrl("https://a b", -18),
        beacons.EddystoneUrl("https://\u00e9.com", -18),
        beacons.EddystoneUrl("https://\0.com", -18),
        beacons.EddystoneUrl("https://" + "a" * 18, -18),
        beacons.EddystoneTlm(70_000, None, 0, 0),
        beacons.EddystoneTlm(None, 128.0, 0, 0),
        beacons.EddystoneTlm(None, None, -1, 0),
        beacons.Frame(),
    )
    for frame in wrong:
        refused(beacons.FrameError, to_advertisement, frame)
    return len(wrong)


def check_arbitrary_bytes(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """Bytes without meaning, and bytes that begin well, are a frame or none."""
    dice = Dice(23)
    for at in range(600):
        data = dice.bytes(dice.below(40))
        if at % 2:
            good = bytearray(to_advertisement(FRAMES[dice.below(len(FRAMES))]))
            good[dice.below(len(good))] ^= 1 << dice.below(8)
            data = bytes(good) + data
        frame = parse_advertisement(data)
        assert frame is None or isinstance(frame, beacons.Frame)
        frame = parse_data({dice.below(65_536): data}, {beacons.EDDYSTONE_UUID: data})
        assert frame is None or isinstance(frame, beacons.Frame)
    return 600


def check_identify(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """A sender is called by its frame, or else by its address."""
    names = {
        "ibeacon": "ibeacon:000102030405060708090a0b0c0d0e0f-1-65535",
        "altbeacon": "altbeacon:000102030405060708090a0b0c0d0e0f10111213",
        "eddystone-uid": "uid:00010203040506070809-000102030405",
        "eddystone-eid": "eid:0001020304050607",
    }
    address = "4A:BB:CC:DD:EE:0F"
    for frame in FRAMES:
        name = names.get(frame.kind)
        assert frame.identifier == name
        assert beacons.identify(address, frame, True) == (name or "rpa:4abbccddee0f")
    for text, random, name in (
        (address, True, "rpa:4abbccddee0f"),
        (address, False, "ble:4abbccddee0f"),
        ("C0:00:00:00:00:01", True, "ble:c00000000001"),
        ("00:00:00:00:00:01", True, "ble:000000000001"),
        ("00:00:00:00:00", True, None),
        ("0x:00:00:00:00:00", True, None),
        ("E20A39F4-73F5-4BC4-A12F-17D1AD07A961", True, None),
        ("", True, None),
    ):
        assert beacons.identify(text, None, random) == name, text
    assert beacons.identify(raw("7fbbccddee0f"), None, True) == "rpa:7fbbccddee0f"
    assert beacons.identify(b"12345", None, True) is None
    return len(FRAMES) + 10


def check_published_identifiers(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """The published EID and resolvable address."""
    for case in vectors["eddystone_eid"]["eid"]:
        eid = identifiers.eid_at(
            ecb, raw(case["identity_key"]), case["rotation_exponent"], case["beacon_time_s"]
        )
        assert eid == raw(case["eid"])
    for case in vectors["resolvable_address"]["vectors"]:
        key, prand, hashed = raw(case["irk"]), raw(case["prand"]), raw(case["hash"])
        assert identifiers.ah(ecb, key, prand) == hashed
        address = prand + hashed
        assert identifiers.private_address(ecb, key, prand) == address
        keys = [("a", bytes(16)), ("b", key)]
        assert identifiers.resolve_rpa(ecb, keys, address) == "b"
        assert identifiers.resolve_rpa(ecb, keys[:1], address) is None
        assert identifiers.resolve_rpa(ecb, keys, b"\xff" + address[1:]) is None
        assert identifiers.resolve_rpa(ecb, keys, address[:5]) is None
    return 2


def check_eid_runs(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """A run of EIDs is what each of its periods gives, also over a change of temporary key."""
    key = bytes(range(16))
    for exponent in (0, 10, 15):
        middle = 65_536 >> exponent
        run = identifiers.eids(ecb, key, exponent, middle - 2, 5)
        for at in range(5):
            time_s = (middle - 2 + at) << exponent
            assert identifiers.eid_at(ecb, key, exponent, time_s) == run[at]
            assert identifiers.eid_at(ecb, key, exponent, time_s + (1 << exponent) - 1) == run[at]
        assert len(set(run)) == 5
    identifiers.eid_at(ecb, key, 10, identifiers.MAX_TIME_S)
    return 15


def check_eid_table(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """Beacons are known again as time goes, after a restart at zero, and not when removed."""
    table, keys = EidTable(ecb), {}
    for at in range(6):
        keys[f"n{at}"] = bytes([at]) * 16
        table.add(f"n{at}", keys[f"n{at}"], 10, 1000 * at, 50_000)
    for now_s in range(50_000, 70_000, 500):
        while table.refresh(now_s, 4) == 4:
            pass
        for at in range(6):
            eid = identifiers.eid_at(ecb, keys[f"n{at}"], 10, now_s - 50_000 + 1000 * at)
            assert table.resolve(eid, now_s) == f"n{at}"
    eid = identifiers.eid_at(ecb, keys["n3"], 10, 0)
    assert table.resolve(eid, 79_000) is None
    found = []
    for _ in range(40):
        found += table.search(79_000, 8)
    assert found == [(eid, "n3")]
    assert table.resolve(eid, 79_000) == "n3"
    table.remove("n3")
    assert table.resolve(eid, 79_000) is None
    return 240


def check_address_table(ecb: "Ecb", hmac: "Hmac", vectors: "Vectors") -> int:
    """Addresses are known once they were searched for, and not when their identity is removed."""
    table = AddressTable(ecb)
    for at in range(6):
        table.add(f"n{at}", bytes([at]) * 16)
    mine = identifiers.private_address(ecb, bytes([4]) * 16, b"abc")
    assert table.resolve(mine) is None
    assert table.resolve(b"\x40sixth") is None
    assert table.search(100) == [(mine, "n4")]
    assert table.resolve(mine) == "n4"
    table.remove("n4")
    assert table.resolve(mine) is None
    assert table.add("again", bytes([4]) * 16) == [(mine, "again")]
    return 6


CHECKS = (
    ("published frames", check_published_frames),
    ("round trips", check_round_trips),
    ("refused frames", check_refused_frames),
    ("arbitrary bytes", check_arbitrary_bytes),
    ("who sent it", check_identify),
    ("published identifiers", check_published_identifiers),
    ("runs of EIDs", check_eid_runs),
    ("the table of EIDs", check_eid_table),
    ("the table of addresses", check_address_table),
)
