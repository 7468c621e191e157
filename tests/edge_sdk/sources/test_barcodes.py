"""What scanners send: symbologies, GS1 data in one form, a store's own codes, and hostile ones."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.sources import barcodes
from edge_sdk.sources.barcodes import Barcode, Refused, read
from edge_sdk.wire.touchpoint import make

# Numbers are of GS1's ranges for examples (952), or published as examples in its specifications.
PRODUCT = "9521234543213"


@pytest.mark.parametrize(
    ("line", "symbology", "code"),
    [
        # One product, whatever printed its number.
        (PRODUCT, "ean13", PRODUCT),
        (f"]E0{PRODUCT}", "ean13", PRODUCT),
        (f"]C1010{PRODUCT}", "gs1-128", PRODUCT),
        (f"]e0010{PRODUCT}", "gs1-databar", PRODUCT),
        (f"]I10{PRODUCT}", "itf", PRODUCT),
        (f"]d2010{PRODUCT}", "gs1-datamatrix", PRODUCT),
        (f"]Q3010{PRODUCT}", "gs1-qr", PRODUCT),
        (f"]J1010{PRODUCT}", "gs1-dotcode", PRODUCT),
        (f"]Q1https://id.gs1.org/01/0{PRODUCT}", "qr", PRODUCT),
        (f"]d1HTTP://ID.EXAMPLE/shop/01/0{PRODUCT}?linkType=all", "datamatrix", PRODUCT),
        # UPC and EAN-8, GTIN-14
        ("]E0036000291452", "ean13", "0036000291452"),
        ("036000291452", "ean13", "0036000291452"),
        ("]E004252614", "ean13", "0042100005264"),
        ("]E496385074", "ean8", "96385074"),
        ("]E096385074", "ean8", "96385074"),
        ("96385074", "ean8", "96385074"),
        ("]C10100000096385074", "gs1-128", "96385074"),
        ("]C10119521234543210", "gs1-128", "19521234543210"),
        (f"]E3{PRODUCT}12", "ean13", f"{PRODUCT}+12"),
        ("]E212345", "ean13", "12345"),
        # more than a product's number
        (f"]C1010{PRODUCT}10AB\x1d2199", "gs1-128", f"(01)0{PRODUCT}(10)AB(21)99"),
        (f"]d2\x1d010{PRODUCT}17270100", "gs1-datamatrix", f"(01)0{PRODUCT}(17)270100"),
        (f"010{PRODUCT}10AB\x1d2199", "unknown", f"(01)0{PRODUCT}(10)AB(21)99"),
        (f"https://x.example/01/0{PRODUCT}/10/A?37=2", "unknown", f"(01)0{PRODUCT}(10)A(37)2"),
        (f"]C1010{PRODUCT}21A(10)B", "gs1-128", f"(01)0{PRODUCT}(21)A\\(10)B"),
        ("]C100106141412345678908", "gs1-128", "(00)106141412345678908"),
        # a store's own
        ("]Q1loyalty:17", "qr", "loyalty:17"),
        (f"]Q1{PRODUCT}", "qr", PRODUCT),
        ("]Q1952123454321X", "qr", "952123454321X"),
        ("]Q1https://shop.example/lease/9f3a?c=1", "qr", "https://shop.example/lease/9f3a?c=1"),
        (f"]Q1https://a.example/01/0{PRODUCT}?lease=9f", "qr", f"https://a.example/01/0{PRODUCT}?lease=9f"),
        (f"]Q1https://a.example/01/0{PRODUCT}#9f", "qr", f"https://a.example/01/0{PRODUCT}#9f"),
        ("]C0LC-0017", "code128", "LC-0017"),
        ("]A0K17", "code39", "K17"),
        ("]F0A123B", "codabar", "A123B"),
        ("]L0text", "pdf417", "text"),
        ("]z0text", "aztec", "text"),
        ("]I0123456", "itf", "123456"),
        ("]I012345678901234", "itf", "12345678901234"),
        ("LC-0017", "unknown", "LC-0017"),
        ("9521234543210", "unknown", "9521234543210"),
        ("]?7", "unknown", "]?7"),
        ("http://[", "unknown", "http://["),
        ("  LC 17 ", "unknown", "LC 17"),
    ],
)  # fmt: skip
def test_a_code(line: str, symbology: str, code: str) -> None:
    assert read(line) == Barcode(symbology, code)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("]Q1", "empty"),
        ("]Q", "prefix"),
        ("]Q?x", "prefix"),
        ("]E09521234543210", "check_digit"),
        ("]E0952123454321", "check_digit"),
        ("]I119521234543213", "check_digit"),
        ("]C10109521234543210", "gs1"),
        ("]C1010952123454321305123", "gs1"),
        ("]C1hello", "gs1"),
        ("]d2\x1d", "gs1"),
        ("]C1" + "0" * 4001, "gs1"),
        ("a\x00b", "control"),
        ("\x1b[2J", "control"),
        ("pay \u202eecnav", "control"),
        ("x" * 8192, "too_big"),
        ("\u20ac" * 2000, "too_big"),
    ],
)
def test_what_no_code_can_be(line: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        read(line)
    assert refused.value.reason == reason
    assert reason in barcodes.REFUSALS
    assert line not in str(refused.value) or not line.strip()


PIECES = st.sampled_from(
    ["]C1", "]Q1", "]Q3", "]d2", "]e0", "]E0", "]E3", "]I1", "]", "\x1d", "01", "10", "21", "17",
     "00", "https://", "/01/", "?", "=", "[", "%00", "%", "#", PRODUCT, "0" + PRODUCT, "9", "é",
     "٣", "²", "(", "\\", "\ud800", " "]
)  # fmt: skip
LINES = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


@given(LINES)
def test_no_line_raises_anything_but_refused_and_what_comes_out_is_a_scan(line: str) -> None:
    try:
        barcode = read(line)
    except Refused:
        return
    assert barcode.code
    if "\ud800" not in line:  # a line that was decoded has no halves of characters
        make("scan", scanner="s", symbology=barcode.symbology, code=barcode.code)


@given(st.integers(0, 10**12 - 1))
def test_a_changed_digit_is_no_product(number: int) -> None:
    digits = f"{number:012d}"
    total = sum(int(d) * (3 if at % 2 else 1) for at, d in enumerate(digits))
    ean = digits + str(-total % 10)
    assert read("]E0" + ean).code == ean
    at = random.Random(number).randrange(13)
    wrong = ean[:at] + str((int(ean[at]) + 1) % 10) + ean[at + 1 :]
    with pytest.raises(Refused):
        read("]E0" + wrong)


def test_without_biip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barcodes, "biip", None)
    with pytest.raises(ConfigError, match=r"edge-sdk\[scanner\]"):
        barcodes.need_biip()
