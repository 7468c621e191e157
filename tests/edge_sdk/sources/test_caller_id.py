"""Caller-id frames: published ones, every damage, any noise, and another decoder by real audio."""

import json
import math
import os
import random
import shutil
import struct
import subprocess
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.sources.caller_id import (
    CALL_TYPE,
    MDMF,
    NAME,
    NO_NUMBER,
    NUMBER,
    SDMF,
    WHEN,
    CallerId,
    Frames,
    Refused,
    read_frame,
    write_frame,
    write_parameters,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "caller_id_frames.json").read_text())
FRAMES = [bytes.fromhex(vector["hex"]) for vector in VECTORS["vectors"]]
GOOD = [vector for vector in VECTORS["vectors"] if vector["checksum_ok"]]
LETTERS = {"private": "P", "unavailable": "O"}
FR = bytes.fromhex(GOOD[-1]["hex"])
NEEDS_MINIMODEM = pytest.mark.skipif(
    shutil.which("minimodem") is None, reason="MISSING: minimodem, the other decoder of caller id"
)


def meant(vector: dict[str, Any]) -> CallerId:
    when = "".join(char for char in vector["time"] if char.isdigit())
    absent = LETTERS.get(vector.get("absent", ""))
    return CallerId(when, vector.get("number"), absent, vector.get("name_field"))


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_published_frames(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    frames = Frames(with_name=True)
    if vector["checksum_ok"]:
        assert read_frame(frame, with_name=True) == meant(vector)
        assert frames.feed(frame) == [meant(vector)]
        assert frames.counts["frames"] == 1
        return
    with pytest.raises(Refused, match="checksum"):
        read_frame(frame)
    assert frames.feed(frame + FR) == [meant(GOOD[-1])]
    assert frames.counts["checksum"] == frames.counts["frames"] == 1


def test_a_name_is_dropped_unless_it_is_asked_for() -> None:
    assert read_frame(FR).name is None
    assert Frames().feed(FR)[0].name is None


def test_a_number_and_a_name_are_in_no_repr() -> None:
    told = repr(read_frame(FR, with_name=True))
    assert "170180007" not in told
    assert "LYON" not in told


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"112210150170180007", CallerId("11221015", "0170180007")),
        (b"11221015P", CallerId("11221015", absent="P")),
        (b"11221015O", CallerId("11221015", absent="O")),
        (b"11221015", CallerId("11221015")),
        (b"13991015O", CallerId(None, absent="O")),  # no such day, and a caller all the same
    ],
)
def test_the_short_form(payload: bytes, told: CallerId) -> None:
    assert read_frame(write_frame(SDMF, payload)) == told


def test_frames_that_are_about_no_call() -> None:
    for parameters in (
        [(0x0B, b"\xff")],  # a message waits
        [(CALL_TYPE, b"\x81"), (WHEN, b"11221015"), (NUMBER, b"0170180007")],
        [(NAME, b"MAGASIN")],
    ):
        frames = Frames()
        assert frames.feed(write_frame(MDMF, write_parameters(parameters))) == []
        assert frames.counts["other"] == 1
    called = [(CALL_TYPE, b"\x01"), (NUMBER, b"0170180007")]
    assert read_frame(write_frame(MDMF, write_parameters(called))).number == "0170180007"


def test_a_number_outweighs_the_reason_for_having_none() -> None:
    both = write_parameters([(NO_NUMBER, b"P"), (NUMBER, b"0170180007")])
    assert read_frame(write_frame(MDMF, both)) == CallerId(number="0170180007")


_WHENS = st.tuples(st.integers(1, 12), st.integers(1, 28), st.integers(0, 23), st.integers(0, 59))
_TEXT = st.text("0123456789 ABC", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(_WHENS, st.text("0123456789", min_size=1, max_size=20), _TEXT, st.booleans())
def test_what_is_written_is_read(
    when: tuple[int, int, int, int], number: str, name: str, is_short: bool
) -> None:
    date = "".join(f"{part:02d}" for part in when)
    if is_short:
        frame = write_frame(SDMF, (date + number).encode())
        assert read_frame(frame) == CallerId(date, number)
    else:
        parameters = [(WHEN, date.encode()), (NUMBER, number.encode()), (NAME, name.encode())]
        frame = write_frame(MDMF, write_parameters(parameters))
        assert read_frame(frame, with_name=True) == CallerId(date, number, name=name)
    assert Frames().feed(frame) == [read_frame(frame)]


@pytest.mark.parametrize("frame", [FR, write_frame(SDMF, b"112210150170180007")])
def test_every_truncation_and_every_flipped_bit_is_refused(frame: bytes) -> None:
    for length in range(len(frame)):
        with pytest.raises(Refused):
            read_frame(frame[:length])
        assert Frames().feed(frame[:length]) == []
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            read_frame(bytes(damaged))
        frames = Frames()
        assert frames.feed(bytes(damaged) + bytes(300) + frame) == [read_frame(frame)]


@pytest.mark.parametrize(
    "lead", [b"", b"\x55" * 30 + b"\xff" * 4, b"\x80", b"\x80\xff", b"\x04\x80"]
)
def test_the_next_frame_is_found_at_once_after_any_lead(lead: bytes) -> None:
    for piece in (1, 7, 1000):
        frames, found = Frames(), []
        sent = lead + FR + lead + FR
        for at in range(0, len(sent), piece):
            found += frames.feed(sent[at : at + piece])
        assert found == [read_frame(FR)] * 2
        assert frames.counts["noise"] == 2 * len(lead)


def test_what_had_begun_when_the_cable_went_is_forgotten() -> None:
    frames = Frames()
    frames.feed(FR[:10])
    frames.reset()
    assert frames.feed(FR[10:]) == []
    assert frames.counts["half"] == 1


_LIKELY = st.sampled_from([b"\x80", b"\x04", b"\x80\xff", b"\x01\x08", b"\x55" * 8, b"\x08", b"\0"])


@given(st.lists(_LIKELY | st.binary(max_size=40) | st.sampled_from([*FRAMES, FR[:9]]), max_size=40))
def test_no_bytes_make_it_raise_or_keep_much(pieces: list[bytes]) -> None:
    frames = Frames()
    found = 0
    for piece in pieces:
        found += len(frames.feed(piece))
        assert len(frames._begun) < 258 + 258
    assert found == frames.counts["frames"]


@given(st.binary(max_size=300))
def test_noise_before_a_frame_costs_no_more_than_that_frame(noise: bytes) -> None:
    """Noise may hold a frame, or the head of one that swallows the next: never the second next."""
    frames = Frames()
    frames.feed(noise)
    told = frames.feed(FR) + frames.feed(bytes(300)) + frames.feed(FR)
    assert told[-1] == read_frame(FR)


def test_noise_for_hours_is_read_without_keeping_it() -> None:
    dice = random.Random(5)
    frames = Frames()
    for _ in range(300):
        frames.feed(dice.randbytes(1024))
        assert len(frames._begun) <= 258
    assert sum(frames.counts.values()) > 300 * 1000


# Another implementation, by audio: Bell 202, as it is on the line


def _audio(frame: bytes, path: Path, *, noise: float = 0.0) -> None:
    """The frame as a telephone hears it: row of 0x55, mark, frame."""
    minimodem("--tx", "1200", "--file", str(path), told=b"\x55" * 38 + b"\xff" * 22 + frame)
    with wave.open(str(path)) as sound:
        parameters = sound.getparams()
        samples = sound.readframes(sound.getnframes())
    assert parameters.sampwidth == 2
    dice = random.Random(1)
    values = [value for (value,) in struct.iter_unpack("<h", samples)]
    loudest = max(map(abs, values))
    noisy = [value * 0.5 + dice.gauss(0, noise * loudest) for value in values]
    with wave.open(str(path), "wb") as sound:
        sound.setparams(parameters)
        clipped = (math.trunc(max(-32768, min(32767, value))) for value in noisy)
        sound.writeframes(b"".join(struct.pack("<h", value) for value in clipped))


def minimodem(*arguments: str, told: bytes = b"") -> bytes:
    ran = subprocess.run(
        ["minimodem", *arguments],
        input=told,
        capture_output=True,
        env=os.environ | {"LC_ALL": "C"},
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


AUDIBLE = [
    *FRAMES[1:],
    write_frame(SDMF, b"112210150170180007"),
    write_frame(MDMF, write_parameters([(WHEN, b"12312359"), (NUMBER, b"0612345678")])),
]


@NEEDS_MINIMODEM
@pytest.mark.parametrize("frame", AUDIBLE, ids=lambda frame: frame.hex()[:24])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_minimodem_hears_what_we_write(tmp_path: Path, frame: bytes, noise: float) -> None:
    _audio(frame, tmp_path / "call.wav", noise=noise)
    heard = minimodem("--rx", "--file", str(tmp_path / "call.wav"), "callerid").decode()
    said = read_frame(frame, with_name=True)
    assert said.when is not None
    assert f"{said.when[:2]}/{said.when[2:4]} {said.when[4:6]}:{said.when[6:]}" in heard
    if said.number is not None:
        assert said.number in heard.replace("-", "")
    if said.absent is not None:
        assert {"P": "[blocked]", "O": "[n/a]"}[said.absent] in heard.lower()
    if said.name is not None:
        assert said.name in heard


@NEEDS_MINIMODEM
@pytest.mark.parametrize("frame", AUDIBLE, ids=lambda frame: frame.hex()[:24])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_we_read_what_minimodem_hears(tmp_path: Path, frame: bytes, noise: float) -> None:
    _audio(frame, tmp_path / "call.wav", noise=noise)
    path = str(tmp_path / "call.wav")
    raw = minimodem("--rx", "--quiet", "--file", path, "1200")
    frames = Frames(with_name=True)
    assert frames.feed(raw) == [read_frame(frame, with_name=True)]
