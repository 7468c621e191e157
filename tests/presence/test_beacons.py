"""Beacon frames: the portable checks, arbitrary frames, and the page's table."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.adapters.aes import AesCcm, ecb
from edge_sdk.presence import beacons
from edge_sdk.presence.beacons import Frame, identify, parse_advertisement, parse_data
from edge_sdk.presence.engine import is_beacon
from edge_sdk.presence.frames import URL_ENDINGS, URL_SCHEMES
from tests.presence.portable_beacons import CHECKS, FRAMES

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = {
    name: json.loads((ROOT / "tests/vectors" / f"{name}.json").read_text("utf-8"))
    for name in ("ble_frames", "eddystone_eid", "resolvable_address")
}


@pytest.mark.parametrize("check", [check for _, check in CHECKS], ids=[name for name, _ in CHECKS])
def test_check(check: Callable[..., int]) -> None:
    assert check(ecb, AesCcm().hmac, VECTORS) > 0


power = st.integers(-128, 127)
word = st.integers(0, 65_535)
long_word = st.integers(0, (1 << 32) - 1)


def raw(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


@st.composite
def urls(draw: st.DrawFn) -> str:
    parts = st.sampled_from([*URL_ENDINGS, *"abcXYZ019-._~/?#%&="])
    rest = "".join(draw(st.lists(parts, min_size=1, max_size=17)))
    return draw(st.sampled_from(URL_SCHEMES)) + rest


frames = st.one_of(
    st.builds(beacons.IBeacon, raw(16), word, word, power),
    st.builds(beacons.AltBeacon, raw(20), power, st.integers(0, 255), word),
    st.builds(beacons.EddystoneUid, raw(10), raw(6), power),
    st.builds(beacons.EddystoneUrl, urls(), power),
    st.builds(
        beacons.EddystoneTlm,
        st.none() | st.integers(1, 65_535),
        st.none() | st.integers(-32_767, 32_767).map(lambda raw: raw / 256),
        long_word,
        long_word.map(lambda tenths: tenths * 100),
    ),
    st.builds(beacons.EddystoneETlm, raw(12), raw(2), raw(2)),
    st.builds(beacons.EddystoneEid, raw(8), power),
)


def emitted(frame: Frame) -> bytes:
    return beacons.to_advertisement(frame)


@given(frame=frames)
@settings(max_examples=300, deadline=None)
def test_what_is_emitted_is_read(frame: Frame) -> None:
    data = emitted(frame)
    assert len(data) <= 31
    read = parse_advertisement(data)
    assert read == frame
    assert hash(read) == hash(frame)
    if frame.identifier is not None:
        assert is_beacon(frame.identifier)
    at = content_of(data)
    if data[at - 1] == beacons.MANUFACTURER:
        assert parse_data({data[at] | data[at + 1] << 8: data[at + 2 :]}, {}) == frame
    else:
        assert service(data[at + 2 :]) == frame


def content_of(data: bytes) -> int:
    """Where the key of an advertisement's last structure is."""
    at = 0
    while at + 1 + data[at] < len(data):
        at += 1 + data[at]
    return at + 2


def payload_of(data: bytes) -> bytes:
    """What follows that key."""
    return data[content_of(data) + 2 :]


@given(data=st.binary(max_size=80))
@settings(max_examples=500, deadline=None)
def test_bytes_without_meaning_raise_nothing(data: bytes) -> None:
    for frame in (parse_advertisement(data), parse_data({76: data}, {}), service(data)):
        assert frame is None or frame.identifier is None or is_beacon(frame.identifier)


def service(data: bytes) -> Frame | None:
    return parse_data({}, {beacons.EDDYSTONE_UUID: data})


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.kind)
def test_every_flipped_bit_is_another_frame_or_none(frame: Frame) -> None:
    data = emitted(frame)
    reserved = 2 if isinstance(frame, beacons.EddystoneUid) else 0
    for bit in range(8 * content_of(data), 8 * (len(data) - reserved)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert parse_advertisement(bytes(flipped)) != frame, bit


def test_uids_of_18_19_and_20_bytes_are_the_same() -> None:
    frame = beacons.EddystoneUid(bytes(10), bytes(6), -18)
    payload = payload_of(emitted(frame))
    assert len(payload) == 20
    for size in range(20):
        assert service(payload[:size]) == (frame if size >= 18 else None)


def test_power_is_told_for_one_metre_whatever_the_frame_counts_from() -> None:
    for frame in FRAMES:
        if frame.kind.startswith("eddystone"):
            assert frame.power_distance_m == 0
            power = frame.power_dbm
            assert frame.power_at_1m_dbm == (None if power is None else power - 41)
        else:
            assert frame.power_distance_m == 1
            assert frame.power_at_1m_dbm == frame.power_dbm


def test_a_frame_that_identifies_goes_before_one_that_does_not() -> None:
    telemetry, mine = FRAMES[5], beacons.EddystoneUid(bytes(10), bytes(6), -18)
    tail = emitted(mine)[7:]
    assert parse_advertisement(emitted(telemetry) + tail) == mine
    assert parse_advertisement(emitted(FRAMES[3]) + emitted(telemetry)) == FRAMES[3]
    beacon = FRAMES[0]
    content = payload_of(emitted(beacon))
    both = parse_data({76: content}, {beacons.EDDYSTONE_UUID: payload_of(emitted(telemetry))})
    assert both == beacon


def test_whatever_a_company_says_identifies() -> None:
    # parse_data rests on it: it takes the first.
    for layout in beacons.LAYOUTS:
        assert layout.carrier == beacons.SERVICE or layout.frame.scheme is not None


def test_a_length_too_short_is_believed_if_a_structure_follows() -> None:
    data = bytearray(emitted(FRAMES[0]))
    data[3] -= 4
    data[-4:] = b"\x03\x09ab"
    assert parse_advertisement(bytes(data)) is None
    data[-4] = 0xFF
    assert isinstance(parse_advertisement(bytes(data)), beacons.IBeacon)


def test_no_identifier_is_in_a_repr() -> None:
    for frame in FRAMES:
        assert repr(frame) == f"<{frame.kind} frame>"


def test_frames_of_other_kinds_differ() -> None:
    assert len(set(FRAMES)) == len(FRAMES)
    assert FRAMES[0] != "ibeacon"


@given(address=st.text(max_size=20) | st.binary(max_size=8), random=st.booleans())
@settings(max_examples=200, deadline=None)
def test_an_address_is_an_identifier_or_none(address: str | bytes, random: bool) -> None:
    name = identify(address, None, random)
    assert name is None or re.fullmatch("(rpa|ble):[0-9a-f]{12}", name)


def test_the_page_has_the_table_of_layouts() -> None:
    page = (ROOT / "docs/beacons.md").read_text("utf-8")
    for layout in beacons.LAYOUTS:
        names = " ".join(f"{name}:{code}" for name, code in layout.names)
        key = "any" if layout.key is None else f"{layout.key:04X}"
        row = f"| `{layout.frame.kind}` | {layout.carrier:02X} | {key} | "
        assert row + f"`{layout.prefix.hex()}` | `{names}` |" in page
