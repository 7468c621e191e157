"""What a beacon can say: a class for each kind of frame, and how it goes in and out of fields.

Where the fields lie on the air is told by the table of layouts in beacons.py. Sources: Apple,
"Getting Started with iBeacon"; AltBeacon 1.0; google/eddystone, protocol-specification.md.
"""

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

# What the first metre costs at 2.4 GHz; Eddystone's specification has the same 41 dB.
FIRST_METRE_DB = 41

URL_SCHEMES = ("http://www.", "https://www.", "http://", "https://")
_DOMAINS = (".com", ".org", ".edu", ".net", ".info", ".biz", ".gov")
URL_ENDINGS = tuple([domain + "/" for domain in _DOMAINS]) + _DOMAINS


class FrameError(ValueError):
    """Ours: a frame that cannot be emitted. Says which field; never repeats an identifier."""


class Frame:
    """What all frames have.

    kind              name of its layout
    scheme            what its identifier begins with, or None: it does not identify
    power_dbm         measured power as emitted, or None
    power_distance_m  at what distance that is: 1, or 0 for Eddystone
    """

    __slots__: "tuple[str, ...]" = ()

    kind = ""
    scheme: "str | None" = None
    power_dbm: "int | None" = None
    power_distance_m = 1

    @property
    def identifier(self) -> "str | None":
        """What a sighting calls it ("scheme:value"), or None."""
        return None

    @property
    def power_at_1m_dbm(self) -> "int | None":
        """Measured power at 1 m whatever the frame counts from, or None."""
        if self.power_dbm is None or self.power_distance_m:
            return self.power_dbm
        return self.power_dbm - FIRST_METRE_DB

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "Frame | None":
        """The frame of its layout's fields, of what follows them and of the key before them."""
        return cls(*values)

    def fields(self) -> "tuple[Any, ...]":
        """Its layout's fields."""
        raise NotImplementedError

    def tail(self) -> bytes:
        """What follows them."""
        return b""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        for name in self.__slots__:
            if getattr(self, name) != getattr(other, name):
                return False
        return True

    def __hash__(self) -> int:
        return hash((self.kind, self.fields(), self.tail()))

    def __repr__(self) -> str:
        return "<%s frame>" % self.kind


class IBeacon(Frame):
    """Apple's beacon: a UUID of 16 bytes, major and minor of 16 bits."""

    __slots__ = ("major", "minor", "power_dbm", "uuid")
    kind = scheme = "ibeacon"

    def __init__(self, uuid: bytes, major: int, minor: int, power_dbm: int) -> None:
        self.uuid = uuid
        self.major = major
        self.minor = minor
        self.power_dbm = power_dbm

    @property
    def identifier(self) -> str:
        return "ibeacon:%s-%d-%d" % (self.uuid.hex(), self.major, self.minor)

    def fields(self) -> "tuple[Any, ...]":
        return self.uuid, self.major, self.minor, self.power_dbm


class AltBeacon(Frame):
    """The open one: an id of 20 bytes under any company; `reserved` is the maker's own byte."""

    __slots__ = ("beacon_id", "company", "power_dbm", "reserved")
    kind = scheme = "altbeacon"

    def __init__(
        self, beacon_id: bytes, power_dbm: int, reserved: int = 0, company: int = 0xFFFF
    ) -> None:
        self.beacon_id = beacon_id
        self.power_dbm = power_dbm
        self.reserved = reserved
        self.company = company

    @property
    def identifier(self) -> str:
        return "altbeacon:" + self.beacon_id.hex()

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "AltBeacon":
        # Beacons in the field leave the last byte out.
        return cls(values[0], values[1], tail[0] if tail else 0, key)

    def fields(self) -> "tuple[Any, ...]":
        return self.beacon_id, self.power_dbm

    def tail(self) -> bytes:
        if not 0 <= self.reserved < 256:
            raise FrameError("altbeacon: reserved is one byte")
        return bytes([self.reserved])


class EddystoneUid(Frame):
    """A namespace of 10 bytes and an instance of 6."""

    __slots__ = ("instance", "namespace", "power_dbm")
    kind, scheme = "eddystone-uid", "uid"
    power_distance_m = 0

    def __init__(self, namespace: bytes, instance: bytes, power_dbm: int) -> None:
        self.namespace = namespace
        self.instance = instance
        self.power_dbm = power_dbm

    @property
    def identifier(self) -> str:
        return "uid:%s-%s" % (self.namespace.hex(), self.instance.hex())

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "EddystoneUid":
        return cls(values[1], values[2], values[0])

    def fields(self) -> "tuple[Any, ...]":
        return self.power_dbm, self.namespace, self.instance

    def tail(self) -> bytes:
        return b"\0\0"  # reserved; in the field there are frames with one of them, and with none


class EddystoneUrl(Frame):
    """An address of the web: it names a page, not a beacon."""

    __slots__ = ("power_dbm", "url")
    kind = "eddystone-url"
    power_distance_m = 0

    def __init__(self, url: str, power_dbm: int) -> None:
        self.url = url
        self.power_dbm = power_dbm

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "EddystoneUrl | None":
        power_dbm, scheme = values
        if scheme >= len(URL_SCHEMES) or not tail:
            return None
        text = URL_SCHEMES[scheme]
        for code in tail:
            if code < len(URL_ENDINGS):
                text += URL_ENDINGS[code]
            elif 0x20 < code < 0x7F:
                text += chr(code)
            else:
                return None
        return cls(text, power_dbm)

    def fields(self) -> "tuple[Any, ...]":
        return self.power_dbm, self._scheme()

    def tail(self) -> bytes:
        rest = self.url[len(URL_SCHEMES[self._scheme()]) :]
        out = bytearray()
        while rest:
            text, code = _first_of(rest)
            if not 0 <= code < 0x7F:
                raise FrameError("eddystone-url: url has letters that are none of a URL")
            out.append(code)
            rest = rest[len(text) :]
        if not 0 < len(out) <= 17:
            raise FrameError("eddystone-url: url is 1 to 17 bytes after its scheme")
        return bytes(out)

    def _scheme(self) -> int:
        for scheme in range(len(URL_SCHEMES)):  # those with "www." come first
            if self.url.startswith(URL_SCHEMES[scheme]):
                return scheme
        raise FrameError("eddystone-url: url begins with http:// or https://")


class EddystoneTlm(Frame):
    """How a beacon is: its battery, temperature, frames sent and time since it started."""

    __slots__ = ("advertisements", "battery_mv", "temperature_c", "uptime_ms")
    kind = "eddystone-tlm"
    power_distance_m = 0

    def __init__(
        self,
        battery_mv: "int | None",
        temperature_c: "float | None",
        advertisements: int,
        uptime_ms: int,
    ) -> None:
        self.battery_mv = battery_mv
        self.temperature_c = temperature_c
        self.advertisements = advertisements
        self.uptime_ms = uptime_ms

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "EddystoneTlm":
        battery_mv, temperature, advertisements, uptime_ds = values
        return cls(
            battery_mv or None,
            None if temperature == -0x8000 else temperature / 256,
            advertisements,
            uptime_ds * 100,
        )

    def fields(self) -> "tuple[Any, ...]":
        celsius = self.temperature_c
        return (
            self.battery_mv or 0,
            -0x8000 if celsius is None else round(celsius * 256),
            self.advertisements,
            self.uptime_ms // 100,
        )


class EddystoneETlm(Frame):
    """The same, sealed for the owner of an ephemeral identity: 12 bytes, a salt and a tag."""

    __slots__ = ("encrypted", "salt", "tag")
    kind = "eddystone-etlm"
    power_distance_m = 0

    def __init__(self, encrypted: bytes, salt: bytes, tag: bytes) -> None:
        self.encrypted = encrypted
        self.salt = salt
        self.tag = tag

    def fields(self) -> "tuple[Any, ...]":
        return self.encrypted, self.salt, self.tag


class EddystoneEid(Frame):
    """An identity that changes with time, and that only who shares its key can resolve."""

    __slots__ = ("eid", "power_dbm")
    kind, scheme = "eddystone-eid", "eid"
    power_distance_m = 0

    def __init__(self, eid: bytes, power_dbm: int) -> None:
        self.eid = eid
        self.power_dbm = power_dbm

    @property
    def identifier(self) -> str:
        return "eid:" + self.eid.hex()

    @classmethod
    def read(cls, values: "tuple[Any, ...]", tail: "Buffer", key: int) -> "EddystoneEid":
        return cls(values[1], values[0])

    def fields(self) -> "tuple[Any, ...]":
        return self.power_dbm, self.eid


def _first_of(rest: str) -> "tuple[str, int]":
    for code in range(len(URL_ENDINGS)):  # ".com/" comes before ".com"
        if rest.startswith(URL_ENDINGS[code]):
            return URL_ENDINGS[code], code
    code = ord(rest[0])
    return rest[0], code if code > 0x20 else -1
