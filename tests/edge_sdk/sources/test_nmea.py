"""NMEA sentences: fixes with an honest accuracy, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.sources import nmea
from edge_sdk.sources.nmea import Sentences
from simulators import serial_lines


def sentence(content: str) -> str:
    return serial_lines.nmea(content).decode().strip()


AT = "4717.11399,N,00833.91590,E"
GGA = f"GPGGA,092725.00,{AT},1,08,1.01,499.6,M,48.0,M,,"
RMC = f"GPRMC,092725.00,A,{AT},0.004,77.52,091226,,,A"


def test_a_fix_of_gga_with_the_date_of_rmc() -> None:
    sentences = Sentences()
    first = sentences.line(sentence(GGA))
    assert first is not None
    assert (round(first.latitude_deg, 7), round(first.longitude_deg, 7)) == (47.2852332, 8.565265)
    assert first.satellites == 8
    assert first.utc_ms is None
    assert sentences.line(sentence(RMC)) is None  # the same place once more
    second = sentences.line(sentence(GGA))
    assert second is not None
    assert second.utc_ms == 1796808445000  # 2026-12-09 09:27:25
    assert sentences.counts["fixes"] == 2


def test_west_and_south() -> None:
    fix = Sentences().line(sentence(GGA.replace(",N,", ",S,").replace(",E,", ",W,")))
    assert fix is not None
    assert fix.latitude_deg < 0 > fix.longitude_deg


def test_a_receiver_without_gga_is_followed_by_rmc() -> None:
    sentences = Sentences()
    fix = sentences.line(sentence(RMC))
    assert fix is not None
    assert fix.satellites is None
    assert fix.utc_ms == 1796808445000


def test_accuracy_comes_from_the_receivers_own_estimate_or_from_dilution() -> None:
    sentences = Sentences()
    one, five, unknown = (
        sentences.line(sentence(GGA.replace("1.01", dilution))) for dilution in ("1.0", "5.0", "")
    )
    assert one is not None
    assert five is not None
    assert unknown is not None
    assert 3 < one.accuracy_m < 8
    assert five.accuracy_m == pytest.approx(5 * one.accuracy_m, abs=0.1)
    assert unknown.accuracy_m == five.accuracy_m
    sentences.line(sentence("GNGST,092724.00,1.8,,,,30.0,40.0,2.2"))
    told = sentences.line(sentence(GGA))
    assert told is not None
    assert told.accuracy_m == pytest.approx(1.515 * 50 / 2**0.5, abs=0.01)
    later = sentences.line(sentence(GGA.replace("092725", "092825")))
    assert later is not None
    assert later.accuracy_m < 10


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not_nmea"),
        ("hello", "not_nmea"),
        ("$GPGGA,1", "not_nmea"),
        ("$" + GGA, "not_nmea"),  # no checksum
        (sentence(GGA)[:-2] + "00", "checksum"),
        (sentence(GGA).replace("4717", "4718"), "checksum"),
        ("$" + "G" * 5 + "," + "x" * 300 + "*00", "not_nmea"),
        (sentence(GGA.replace(",1,08", ",0,00")), "no_fix"),
        (sentence(GGA.replace(",1,08", ",8,08")), "no_fix"),
        (sentence(GGA.replace(",1,08", ",x,08")), "malformed"),
        (sentence("GPGGA,092725.00"), "no_fix"),
        (sentence("GPGGA,092725.00,,,,,1,08,1.0,,,,,,"), "place"),
        (sentence(GGA.replace("4717.11399", "9917.11399")), "place"),
        (sentence(GGA.replace("4717.11399", "nan")), "place"),
        (sentence(GGA.replace("4717.11399", "0000.0").replace("00833.91590", "00000.0")), "no_fix"),
        (sentence(RMC.replace(",A,", ",V,", 1)), "no_fix"),
    ],
)
def test_what_gives_no_fix(line: str, reason: str) -> None:
    sentences = Sentences()
    assert sentences.line(line) is None
    assert sentences.counts[reason] == 1


@pytest.mark.parametrize("date", ["090407", "060180", "991399", "", "310226"])
def test_a_wrong_date_does_not_cost_the_place(date: str) -> None:
    sentences = Sentences()
    fix = sentences.line(sentence(RMC.replace("091226", date)))
    assert fix is not None
    assert fix.utc_ms is None
    assert sentences.counts["wrong_date"] == 1


@pytest.mark.parametrize("line", ["GPXXX,1,2", "PUBX,00,1", "GPGSV,1,1,00", "GPGST,,,,,,,,"])
def test_other_sentences_are_passed_over(line: str) -> None:
    sentences = Sentences()
    assert sentences.line(sentence(line)) is None
    assert sentences.counts["sentences"] == 1
    assert sum(sentences.counts.values()) == 1


@given(st.text(max_size=120))
def test_no_text_raises(text: str) -> None:
    assert Sentences().line(text) is None


FIELDS = st.one_of(
    st.sampled_from(["", "A", "V", "N", "S", "E", "W", "1", "4717.11", "00833.9", "092725.00",
                     "nan", "inf", "-1", "1e9", "091226", "٣", "99999999999999999999"]),
    st.text(st.characters(codec="ascii", exclude_characters="$*,"), max_size=9),
)  # fmt: skip


@given(st.sampled_from(["GPGGA", "GPRMC", "GNGST"]), st.lists(FIELDS, max_size=16))
def test_no_sentence_with_a_right_checksum_raises(name: str, fields: list[str]) -> None:
    sentences = Sentences()
    for _ in range(2):
        fix = sentences.line(sentence(",".join([name, *fields])))
        if fix is not None:
            assert abs(fix.latitude_deg) <= 90
            assert abs(fix.longitude_deg) <= 180
            assert 0 < fix.accuracy_m < 16_000


@given(st.integers(0, 69), st.integers(0, 7))
def test_no_flipped_bit_is_taken_for_a_fix(at: int, bit: int) -> None:
    raw = bytearray(sentence(GGA).encode())
    raw[at % len(raw)] ^= 1 << bit
    was = sentence(GGA)
    text = raw.decode("latin-1")
    fix = Sentences().line(text)
    if fix is not None:  # a checksum's hexadecimal letters have two cases
        assert text.upper() == was.upper()


def test_without_pynmeagps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmea, "NMEAReader", None)
    with pytest.raises(ConfigError, match=r"edge-sdk\[gnss\]"):
        nmea.need_pynmeagps()
