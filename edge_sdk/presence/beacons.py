"""Beacon frames: what an advertisement says, read and written by one table of layouts.

An advertisement is a run of AD structures (Core Specification, Vol 3 Part C, 11): length 1 | type 1
| data. Two types carry beacons, and both begin with a little-endian key: manufacturer data (0xFF |
company) and service data (0x16 | service UUID). The rest of a layout is big-endian.
"""

import struct

from .frames import (
    AltBeacon,
    EddystoneEid,
    EddystoneETlm,
    EddystoneTlm,
    EddystoneUid,
    EddystoneUrl,
    Frame,
    FrameError,
    IBeacon,
)

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .frames import Buffer

__all__ = [
    "APPLE",
    "EDDYSTONE",
    "EDDYSTONE_UUID",
    "LAYOUTS",
    "MANUFACTURER",
    "SERVICE",
    "AltBeacon",
    "EddystoneETlm",
    "EddystoneEid",
    "EddystoneTlm",
    "EddystoneUid",
    "EddystoneUrl",
    "Frame",
    "FrameError",
    "IBeacon",
    "Layout",
    "identify",
    "parse_advertisement",
    "parse_data",
    "to_advertisement",
]

MANUFACTURER, SERVICE = 0xFF, 0x16  # types of AD structures
APPLE, EDDYSTONE = 0x004C, 0xFEAA  # their keys
EDDYSTONE_UUID = "0000feaa-0000-1000-8000-00805f9b34fb"

_FLAGS = b"\x02\x01\x06"  # generally discoverable, no classic Bluetooth
_EDDYSTONE_LISTED = b"\x03\x03\xaa\xfe"  # scanners filter by this list
_ADDRESS_BYTES = 6


class Layout:
    """Where a frame's parts lie.

    frame    its class
    carrier  type of the AD structure
    key      company or service, or None for any
    prefix   the bytes after the key by which it is known
    names    (name, struct code) of each field after them; what follows is the frame's tail
    """

    __slots__ = ("carrier", "format", "frame", "key", "names", "prefix", "read", "size_bytes")

    def __init__(
        self,
        frame: "type[Frame]",
        carrier: int,
        key: "int | None",
        prefix: bytes,
        names: "tuple[tuple[str, str], ...]",
    ) -> None:
        self.frame = frame
        self.read = frame.read
        self.carrier = carrier
        self.key = key
        self.prefix = prefix
        self.names = names
        self.format = ">" + "".join([code for _, code in names])
        self.size_bytes = len(prefix) + struct.calcsize(self.format)  # at least


_POWER = ("power_dbm", "b")

LAYOUTS = (
    Layout(
        IBeacon,
        MANUFACTURER,
        APPLE,
        b"\x02\x15",
        (("uuid", "16s"), ("major", "H"), ("minor", "H"), _POWER),
    ),
    Layout(AltBeacon, MANUFACTURER, None, b"\xbe\xac", (("beacon_id", "20s"), _POWER)),
    Layout(
        EddystoneUid,
        SERVICE,
        EDDYSTONE,
        b"\x00",
        (_POWER, ("namespace", "10s"), ("instance", "6s")),
    ),
    Layout(EddystoneUrl, SERVICE, EDDYSTONE, b"\x10", (_POWER, ("scheme", "B"))),
    Layout(
        EddystoneTlm,
        SERVICE,
        EDDYSTONE,
        b"\x20\x00",
        (("battery_mv", "H"), ("temperature_c", "h"), ("advertisements", "I"), ("uptime_ms", "I")),
    ),
    Layout(
        EddystoneETlm,
        SERVICE,
        EDDYSTONE,
        b"\x20\x01",
        (("encrypted", "12s"), ("salt", "2s"), ("tag", "2s")),
    ),
    Layout(EddystoneEid, SERVICE, EDDYSTONE, b"\x30", (_POWER, ("eid", "8s"))),
)


def _indexed() -> "dict[int, dict[int, tuple[Layout, ...]]]":
    index: "dict[int, dict[int, tuple[Layout, ...]]]" = {MANUFACTURER: {}, SERVICE: {}}
    for layout in LAYOUTS:
        rows = index[layout.carrier]
        rows[layout.prefix[0]] = rows.get(layout.prefix[0], ()) + (layout,)
    return index


# carrier -> first byte after the key -> layouts. Most of what a radio hears ends at this look-up.
_INDEX = _indexed()


def parse_advertisement(data: "Buffer") -> "Frame | None":
    """The beacon frame in an advertisement, or None. Whatever the bytes are, nothing is raised.

    Of several the first that identifies, or else the first. It is read up to the padding, or to a
    structure that is cut short. A beacon that counts its own structure too short is still read,
    if what follows cannot be a structure either.
    """
    found = None
    at, end = 0, len(data)
    start = layouts = None  # of a structure that began as a frame does, and was none
    while at + 1 < end:
        after = at + 1 + data[at]
        if after > end:
            if start is not None and layouts is not None:
                return found or _frame(layouts, _key(data, start - 2), data[start:])
            break
        if after == at + 1:
            break
        start = layouts = None
        rows = _INDEX.get(data[at + 1])
        if rows is not None and after > at + 4:
            start = at + 4
            layouts = rows.get(data[start])
            if layouts is not None:
                frame = _frame(layouts, _key(data, start - 2), data[start:after])
                if frame is not None:
                    if frame.scheme is not None:
                        return frame
                    found = found or frame
                    start = None
        at = after
    return found


def parse_data(
    manufacturer_data: "Mapping[int, bytes]", service_data: "Mapping[str, bytes]"
) -> "Frame | None":
    """The same of what a Bluetooth library has taken apart (bleak's `AdvertisementData`).

    manufacturer_data  company -> what follows it
    service_data       service's whole UUID, lower case -> what follows it
    """
    for company in manufacturer_data:
        frame = _of_key(MANUFACTURER, company, manufacturer_data[company])
        if frame is not None:
            return frame  # every layout that a company's data can have identifies
    payload = service_data.get(EDDYSTONE_UUID)
    return None if payload is None else _of_key(SERVICE, EDDYSTONE, payload)


def _of_key(carrier: int, key: int, payload: bytes) -> "Frame | None":
    layouts = _INDEX[carrier].get(payload[0]) if payload else None
    return None if layouts is None else _frame(layouts, key, payload)


def _key(data: "Buffer", at: int) -> int:
    return data[at] | data[at + 1] << 8


def _frame(layouts: "tuple[Layout, ...]", key: int, payload: "Buffer") -> "Frame | None":
    size_bytes = len(payload)
    for layout in layouts:
        prefix = layout.prefix
        if (
            size_bytes >= layout.size_bytes
            and (layout.key == key or layout.key is None)
            and payload[: len(prefix)] == prefix
        ):
            values = struct.unpack_from(layout.format, payload, len(prefix))
            return layout.read(values, payload[layout.size_bytes :], key)
    return None


def to_advertisement(frame: Frame) -> bytes:
    """AD structures to be emitted as they are: flags, Eddystone's service list, the frame.

    31 bytes at most. Raises FrameError where a field does not fit its layout.
    """
    for layout in LAYOUTS:
        if type(frame) is layout.frame:
            payload = layout.prefix + _packed(frame, layout.names, frame.fields()) + frame.tail()
            key = frame.company if isinstance(frame, AltBeacon) else layout.key
            content = _packed(frame, (("company", "H"),), (key,))
            content = bytes([content[1], content[0]]) + payload
            listed = _EDDYSTONE_LISTED if layout.carrier == SERVICE else b""
            return _FLAGS + listed + bytes([len(content) + 1, layout.carrier]) + content
    raise FrameError("not a frame that has a layout")


def _packed(frame: Frame, names: "tuple[tuple[str, str], ...]", values: "tuple[Any, ...]") -> bytes:
    # A board's struct cuts numbers and bytes to size without a word.
    for (name, code), value in zip(names, values):
        if code[-1] == "s":
            good = isinstance(value, bytes) and len(value) == int(code[:-1])
        else:
            bits = 8 * struct.calcsize(">" + code)
            low = -(1 << bits - 1) if code in "bh" else 0
            good = isinstance(value, int) and low <= value < low + (1 << bits)
        if not good:
            raise FrameError("%s: %s does not fit its layout (%s)" % (frame.kind, name, code))
    return struct.pack(">" + "".join([code for _, code in names]), *values)


def identify(
    address: "bytes | str", frame: "Frame | None", address_is_random: bool
) -> "str | None":
    """What a sighting calls the sender: its frame's identifier, or else its address.

    address            6 bytes, first byte first as it is written, or "AA:BB:CC:DD:EE:FF"
    address_is_random  as the radio told: a public address can look like any other

    `rpa:` is a resolvable private address (random, two top bits 01; Core Specification, Vol 6 Part
    B, 1.3.2), `ble:` any other. None where there is neither an identifier nor such an address
    (Apple's system gives names of its own). A beacon that alternates UID and TLM is called by its
    address in the TLM: who follows it remembers by address what it was called last.
    """
    if frame is not None and frame.scheme is not None:
        return frame.identifier
    raw = _address(address)
    if raw is None:
        return None
    scheme = "rpa:" if address_is_random and raw[0] >> 6 == 1 else "ble:"
    return scheme + raw.hex()


def _address(address: "bytes | str") -> "bytes | None":
    if isinstance(address, str):
        text = address.replace(":", "")
        if len(text) != 2 * _ADDRESS_BYTES:
            return None
        try:
            address = bytes.fromhex(text)
        except ValueError:
            return None
    return address if len(address) == _ADDRESS_BYTES else None
