"""The record of one handle, as it is kept in memory and on disk.

What is read rarely stays packed in it, so that a million of them fit into memory.
"""

import zlib

import msgspec

from cloud_bridge.identity import Links
from cloud_bridge.journey import Journey
from cloud_bridge.profile import Profile
from cloud_bridge.stitching import Stays
from cloud_bridge.store import SubjectRow


class Subject(msgspec.Struct, array_like=True, gc=False):
    """What is known of one handle, small: most of it is read rarely, and stays packed.

    day      when it was last touched, days since 1970 of the bridge's own clock
    seen_ms  when it was last seen, and at which site
    touches  how many touchpoints named it, or a thing that was its own
    links    whose it was, and since when (`identity`)
    profile  a packed `Profile`, or empty
    stays    a packed `Stays`, or empty
    journey  a packed `Journey`, or empty
    """

    day: int = 0
    seen_ms: int = 0
    touches: int = 0
    site: str = ""
    links: Links = ()
    profile: bytes = b""
    stays: bytes = b""
    journey: bytes = b""


pack = msgspec.msgpack.Encoder().encode
unpack_subject = msgspec.msgpack.Decoder(Subject).decode
_profile = msgspec.msgpack.Decoder(Profile).decode
_stays = msgspec.msgpack.Decoder(Stays).decode
_journey = msgspec.msgpack.Decoder(Journey).decode


def unpacked(row: SubjectRow) -> Subject | None:
    """The record in a row; None where it is damaged."""
    body = checked(row.body)
    return None if body is None else unpack_subject(body)


def profile_in(subject: Subject) -> Profile:
    """The profile in a record."""
    return unpacked_profile(subject.profile)


def unpacked_profile(packed: bytes) -> Profile:
    """The profile of `Subject.profile`."""
    return _profile(packed) if packed else Profile()


def stays_in(subject: Subject) -> Stays:
    """The stays in a record."""
    return _stays(subject.stays) if subject.stays else Stays()


def journey_in(subject: Subject) -> Journey:
    """The journey in a record."""
    return _journey(subject.journey) if subject.journey else Journey()


def sealed(body: bytes) -> bytes:
    """A row's body with its CRC."""
    return body + zlib.crc32(body).to_bytes(4, "big")


def checked(body: bytes) -> bytes | None:
    """A row's body without its CRC; None where that does not fit."""
    inner = body[:-4]
    return inner if zlib.crc32(inner).to_bytes(4, "big") == body[-4:] else None
