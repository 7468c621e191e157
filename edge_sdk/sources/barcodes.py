"""What a scanner's line means: symbology by AIM prefix, GS1 data in one normal form. Needs biip.

A code that is a product's number alone is that number in its usual form, whatever printed it: 8, 13
or 14 digits (a UPC of 12 digits is the GTIN-13 with a leading 0). GS1 data that says more is
written as people read it: "(01)09521234543213(10)ABC(21)7", with a backslash before a parenthesis
that belongs to a value. All else stays as it was read, above all what a store prints itself:
loyalty cards, leases, vouchers.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from edge_sdk.errors import ConfigError
from edge_sdk.sources.framing import is_plain

try:
    import biip
    from biip import ParseConfig
    from biip.checksums import gs1_standard_check_digit
    from biip.gs1_digital_link_uris import GS1DigitalLinkURI
    from biip.gs1_element_strings import GS1ElementStrings
    from biip.gs1_messages import GS1Message
    from biip.upc import Upc
except ImportError:  # told when a scanner is opened
    biip = None  # type: ignore[assignment]

MAX_CODE_BYTES = 4296  # the longest text of a QR code (ISO/IEC 18004)

UNKNOWN = "unknown"

# AIM code character -> symbology (ISO/IEC 15424, table 1).
_FAMILIES = {
    "A": "code39",
    "B": "telepen",
    "C": "code128",
    "D": "code-one",
    "E": "ean13",
    "F": "codabar",
    "G": "code93",
    "H": "code11",
    "I": "itf",
    "J": "dotcode",
    "K": "code16k",
    "L": "pdf417",
    "M": "msi",
    "N": "anker",
    "O": "codablock",
    "P": "plessey",
    "Q": "qr",
    "R": "straight-2-of-5",
    "S": "straight-2-of-5",
    "T": "code49",
    "U": "maxicode",
    "X": UNKNOWN,
    "Z": "no-barcode",
    "c": "channel",
    "d": "datamatrix",
    "e": "gs1-databar",
    "h": "han-xin",
    "o": "ocr",
    "p": "posicode",
    "s": "supercode",
    "z": "aztec",
}

# Code character and modifier -> symbology, where the modifier says more (ISO/IEC 15424; GS1 General
# Specifications, figure 5.1.2-2).
_EXACT = {
    "C1": "gs1-128",
    "E4": "ean8",
    "J1": "gs1-dotcode",
    "Q3": "gs1-qr",
    "Q4": "gs1-qr",
    "d2": "gs1-datamatrix",
    "d5": "gs1-datamatrix",
    "e1": "gs1-composite",
    "e2": "gs1-composite",
}

# What each symbology can hold; the rest of the table holds text alone.
_NUMBERS = ("ean13", "ean8", "itf")
_LINKS = ("qr", "datamatrix", "gs1-qr", "gs1-datamatrix", "aztec", UNKNOWN)

# Overrides of reading order: on a seller's screen a code with one is not the text that it seems.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")

REFUSALS = ("empty", "too_big", "control", "prefix", "check_digit", "gs1")


@dataclass(frozen=True, slots=True)
class Barcode:
    """One code: `symbology` is a name of the tables here, `code` its text in the normal form."""

    symbology: str
    code: str


class Refused(ValueError):
    """Theirs: a line that no code can be. `reason` is one of REFUSALS; the line is not repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a scanner's line was refused: {reason}")
        self.reason = reason


def need_biip() -> None:
    """Raise ConfigError where biip is missing."""
    if biip is None:
        raise ConfigError("a scanner needs biip: pip install 'edge-sdk[scanner]'")


def read(line: str) -> Barcode:
    """The code in one line of a scanner, with or without an AIM prefix. Raises Refused.

    Without a prefix nobody knows the symbology: it is told by the check digit of 8, 12, 13 or 14
    digits, by GS1's separator, and is "unknown" otherwise.
    """
    if len(line) > MAX_CODE_BYTES or len(line.encode("utf-8", "replace")) > MAX_CODE_BYTES:
        raise Refused("too_big")
    if not is_plain(line) or not _REORDERING.isdisjoint(line):
        raise Refused("control")
    line = line.strip(" \t")
    if not line:
        raise Refused("empty")
    if line.startswith("]") and line[1:2] in _FAMILIES:
        return _prefixed(line[1:3], line[3:])
    return _bare(line)


def _prefixed(identifier: str, text: str) -> Barcode:
    if len(identifier) < 2 or not (identifier[1].isascii() and identifier[1].isalnum()):
        raise Refused("prefix")
    symbology = _EXACT.get(identifier) or _FAMILIES[identifier[0]]
    if not text:
        raise Refused("empty")
    if symbology in _NUMBERS and text.isascii() and text.isdigit():
        return _number(symbology, text, identifier)
    if symbology in _LINKS and _is_uri(text):
        return Barcode(symbology, _link(text) or text)
    if symbology.startswith("gs1-"):
        return Barcode(symbology, _message(text))
    return Barcode(symbology, text)


def _bare(text: str) -> Barcode:
    if text.isascii() and text.isdigit():
        names = {8: "ean8", 12: "ean13", 13: "ean13"}
        if len(text) in names and _is_checked(text):
            return Barcode(names[len(text)], _gtin(text))
    elif _is_uri(text):
        return Barcode(UNKNOWN, _link(text) or text)
    elif "\x1d" in text:
        return Barcode(UNKNOWN, _message(text))
    return Barcode(UNKNOWN, text)


def _number(symbology: str, text: str, identifier: str) -> Barcode:
    """An EAN, UPC or ITF-14; with ]E3 two or five digits of an add-on follow."""
    if identifier in ("E1", "E2"):  # the add-on alone
        return Barcode(symbology, text)
    if symbology == "itf" and (len(text) != 14 or not (identifier == "I1" or _is_checked(text))):
        return Barcode(symbology, text)  # interleaved 2 of 5 is not for GTINs alone
    add_on = ""
    if identifier == "E3" and len(text) in (15, 18):
        text, add_on = text[:13], "+" + text[13:]
    if identifier == "E0" and len(text) == 8:
        text = _expanded(text)
        if len(text) == 8:
            symbology = "ean8"
    if len(text) not in (8, 12, 13, 14) or not _is_checked(text):
        raise Refused("check_digit")
    return Barcode(symbology, _gtin(text) + add_on)


def _expanded(text: str) -> str:
    """UPC-E as UPC-A; an EAN-8 that came with this prefix stays as it is."""
    # A reader sends UPC-E with its number system, which is 0 or 1.
    if text[0] not in "01":
        return text
    try:
        return Upc.parse(text).as_upc_a()
    except (biip.ParseError, biip.EncodeError):
        return text


def _is_checked(digits: str) -> bool:
    return int(digits[-1]) == gs1_standard_check_digit(digits[:-1])


def _gtin(digits: str) -> str:
    """A GTIN in its usual form: 8, 13 or 14 digits."""
    bare = digits.lstrip("0")
    if len(bare) <= 8 and len(digits) in (8, 14):
        return bare.zfill(8)
    return bare.zfill(13)


def _message(text: str) -> str:
    """GS1 element strings. Raises Refused if they are none: then the code was read wrongly."""
    try:
        elements = GS1Message.parse(text.strip("\x1d"), config=_config()).element_strings
    except (biip.ParseError, ValueError, IndexError, AssertionError):
        raise Refused("gs1") from None
    written = _written(elements)
    if written is None:
        raise Refused("gs1")
    return written


def _link(uri: str) -> str | None:
    """The GS1 data of a Digital Link; None if it is no such link, or says more than GS1 data."""
    try:
        elements = GS1DigitalLinkURI.parse(uri, config=_config()).element_strings
        parts = urlsplit(uri)
        asked = parse_qsl(parts.query, keep_blank_values=True)
    except (biip.ParseError, ValueError, IndexError, AssertionError):
        return None
    # A session or a lease in the query would be lost with the rest of the address.
    if parts.fragment or any(not name.isdigit() and name not in _LINK_WORDS for name, _ in asked):
        return None
    return _written(elements)


def _config() -> "ParseConfig":
    # Real labels have dates that no calendar has; what matters is the number before them.
    return ParseConfig(gs1_element_strings_verify_date=False)


# Parameters of a Digital Link that ask for a representation and say nothing of the thing.
_LINK_WORDS = ("linkType", "context")


def _written(elements: "GS1ElementStrings") -> str | None:
    """The normal form; None if there is nothing, or a number of a product with a wrong digit."""
    if not elements:
        return None
    for element in elements:
        if element.ai.ai in ("00", "01", "02") and not _is_checked(element.value):
            return None
    if len(elements) == 1 and elements[0].ai.ai == "01":
        return _gtin(elements[0].value)
    return "".join(f"({one.ai.ai}){_escaped(one.value)}" for one in elements)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("(", "\\(")


def _is_uri(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))
