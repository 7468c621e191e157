import json
import sys
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_sdk.calls import phone
from edge_sdk.calls.caller import KNOWN, STATES, UNAVAILABLE, UNPARSABLE, WITHHELD, Caller
from edge_sdk.calls.phone import (
    MAX_TEXT,
    Forms,
    caller_of,
    check_region,
    forms_of,
    number_of,
    region_of,
)
from edge_sdk.errors import ConfigError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "phone_numbers.json").read_text()
)
PAIRS = VECTORS["pairs"]
SHE = Caller(KNOWN, "+33612345678")


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{p['in']}-{p['region']}" for p in PAIRS])
def test_every_published_pair(pair: dict[str, Any]) -> None:
    caller = caller_of(pair["in"], pair["region"])
    ours = number_of(pair["in"], pair["region"])
    if pair["short_valid"]:
        assert caller == Caller(UNPARSABLE)
        assert ours is None
        return
    assert caller == (Caller(KNOWN, pair["e164"]) if pair["valid"] else Caller(UNPARSABLE))
    assert ours == (pair["e164"] if pair["possible"] else None)
    forms = forms_of(pair["e164"], pair["region"])
    assert forms.e164 == pair["e164"]
    assert forms.national == pair["national"].split(" ext.")[0]


@pytest.mark.parametrize(
    "text",
    [
        *VECTORS["withheld_tokens"],
        *("Anonymous", " private ", "RESTRICTED", "P", "withheld", "blocked"),
        *("+7378742833", "+2562533", "+266 696 687"),
        *("sip:anonymous@anonymous.invalid", '"Anonymous" <sip:Anonymous@192.0.2.1>;tag=1'),
    ],
)
@pytest.mark.parametrize("region", [None, "FR", "PT", "US"])
def test_words_for_a_withheld_number(text: str, region: str | None) -> None:
    assert caller_of(text, region) == Caller(WITHHELD)


@pytest.mark.parametrize("text", ["", "+33612345678", "anonymous", "O", None, "3631"])
def test_what_must_not_be_shown_is_not_even_read(text: str | None) -> None:
    assert caller_of(text, "FR", restricted=True) == Caller(WITHHELD)


@pytest.mark.parametrize(
    "text",
    [None, "", " \t", "O", "unavailable", "Unknown", "+8656696", "+86282452253", "sip:192.0.2.1"],
)
def test_what_a_line_could_not_tell(text: str | None) -> None:
    assert caller_of(text, "FR") == Caller(UNAVAILABLE)


def test_a_number_that_spells_a_word_is_somebodys_where_it_exists() -> None:
    assert caller_of("7378742833", "US") == Caller(KNOWN, "+17378742833")
    assert caller_of("+351266696687", None) == Caller(KNOWN, "+351266696687")


@pytest.mark.parametrize(
    "text",
    [
        *("+33612345678", "0033 6 12 34 56 78", "06.12.34.56.78", "33612345678"),
        *("tel:+33612345678", "tel:0612345678;npdi;phone-context=+33", "TEL:+33-6-12-34-56-78"),
        *("sip:+33612345678@192.0.2.1", "sips:0612345678@pbx.example:5061;user=phone"),
        *('"Ann" <sip:+33612345678@pbx.example>;tag=8a', "sip:%2B33612345678@pbx.example"),
        *("sip:+33612345678:secret@pbx.example", "sip:+33612345678;npdi@pbx.example"),
        *("+33612345678;ext=12", "06 12 34 56 78 ext. 12", "+33 6 12 34 56 78 x12"),
    ],
)
def test_the_ways_of_lines_to_say_one_number(text: str) -> None:
    assert caller_of(text, "FR") == SHE


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("0612345678", None),  # of which country?
        ("0612345678", "US"),  # of another country than the line's
        ("+999123456789", None),
        ("+333631", "FR"),  # what 3631 must not become
        ("3631", None),
        ("MARIE", "FR"),
        ("ann@example.org", "FR"),
        ("sip:ann@example.org", "FR"),
        ("*21#", "FR"),
        ("+33", "FR"),
        ("+" + "1" * 40, None),
        ("06 12 34 56 78 " * 100, "FR"),
        ("\ud800", "FR"),
        ("+33612345678\x00" * 2, None),
    ],
)
def test_what_is_no_number(text: str, region: str | None) -> None:
    assert caller_of(text, region) == Caller(UNPARSABLE)


ALPHABET = st.text(
    '0123456789+ ()-.;:=@<>"#*,/xXextsipphoncax\u0660\u0666\uff10\uff16\uff5e' + "\x00\ud800\u200b"
)
REGIONS = st.sampled_from([None, "FR", "GB", "US", "PT", "GP", "NU"])


@given(st.none() | st.text() | ALPHABET, REGIONS)
@example("tel:", None)
@example("sip:@", "FR")
@example("0" * MAX_TEXT, "FR")
@example(";phone-context=", "FR")
@example("²³", "FR")
def test_no_text_makes_it_raise(text: str | None, region: str | None) -> None:
    caller = caller_of(text, region)
    assert caller.state in STATES
    if caller.e164 is not None:
        # What is known stands on its own, and says the same again.
        assert caller_of(caller.e164, None) == caller
        assert number_of(caller.e164, None) == caller.e164
    ours = number_of(text or "", region)
    assert ours is None or forms_of(ours, region).e164 == ours


def test_a_number_that_lacks_its_area_is_none_of_ours() -> None:
    assert number_of("253-0000", "US") is None
    assert number_of("+1 212 253 0000", "US") == "+12122530000"
    assert number_of("", "FR") is None
    assert number_of("0" * (MAX_TEXT + 1), "FR") is None


def test_how_a_number_is_shown() -> None:
    ours = "+33170180000"
    paris = Forms(ours, "01 70 18 00 00", "+33 1 70 18 00 00", "tel:+33-1-70-18-00-00")
    assert forms_of(ours, "FR") == paris
    assert forms_of(ours, None) == paris
    assert forms_of(ours, "GB").national == "+33 1 70 18 00 00"
    for wrong in ("", "ann", "3631", "0" * (MAX_TEXT + 1)):
        with pytest.raises(ConfigError, match="a number to show"):
            forms_of(wrong, "FR")


@pytest.mark.parametrize("region", ["fr", "EU", "", "FRA", "001", "ZZ"])
def test_a_region_that_is_none(region: str) -> None:
    for asked in (
        lambda: check_region(region),
        lambda: caller_of("+33612345678", region),
        lambda: caller_of(None, region),
        lambda: number_of("+33170180000", region),
        lambda: forms_of("+33170180000", region),
    ):
        with pytest.raises(ConfigError, match="two capital letters"):
            asked()


def test_the_cache_is_bounded() -> None:
    for last in range(2 * phone.CACHED):
        caller_of(f"+33170{last:06}", None)
    assert phone._caller.cache_info().currsize <= phone.CACHED


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    try:
        without = reload(import_module("edge_sdk.calls.phone"))
        with pytest.raises(ConfigError, match=r"pip install 'edge-sdk\[calls\]'"):
            without.caller_of("+33612345678", None)
    finally:
        monkeypatch.undo()
        reload(phone)
    assert caller_of("+33612345678", None) == SHE


def test_a_number_of_our_own_says_its_country() -> None:
    for number, region in [("+33170180000", "FR"), ("+12125550123", "US"), ("+493012345678", "DE")]:
        assert region_of(number) == region
    for none in ("0170180000", "+80012345678", "", "+" + "3" * 300):
        with pytest.raises(ConfigError, match="country"):
            region_of(none)
