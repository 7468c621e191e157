"""Numbers as people, lines and providers write them, and back. The only file with phonenumbers.

What a line says of a caller may be anything: a number in some country's manner, an address of SIP,
a word that stands for no number, the same word spelt on a keypad, or noise. It comes to one of the
four states of `Caller`; only a number that exists is KNOWN, as only that can be called back, and
only that may ever be a key.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from edge_sdk.calls.caller import KNOWN, NOT_TOLD, UNAVAILABLE, UNPARSABLE, WITHHELD, Caller
from edge_sdk.errors import ConfigError

try:
    import phonenumbers
    from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult
except ImportError:  # told when a number is asked about
    phonenumbers = None  # type: ignore[assignment]

# A longer text is no number: the longest, with an extension and a context, has some sixty.
MAX_TEXT = 256
# Parsing costs 40 us, and the events of a call say the same numbers again and again. The cache is
# small, for it holds callers' numbers in memory.
CACHED = 512

# Words of lines, SIP and providers that stand for no number; "P" and "O" are Bellcore's letters.
_WITHHELD_WORDS = frozenset(
    {"anonymous", "blocked", "p", "private", "restricted", "withheld", "id withheld"}
)
_UNAVAILABLE_WORDS = frozenset(
    {"o", "out of area", "out-of-area", "unavailable", "unknown", "not available"}
)
# The same words spelt on a keypad, which providers send as if they were numbers. All but the first
# are also a number of somebody's where no "+" says that they cannot be.
_ANONYMOUS = "266696687"
_WITHHELD_KEYS = frozenset({"+" + _ANONYMOUS, "+2562533", "+7748283", "+7378742833"})
_UNAVAILABLE_KEYS = frozenset({"+8656696", "+86282452253"})

# Of `"Ann" <sip:+33612345678;x=y:secret@host;user=phone>` what is before the secret.
_SIP = re.compile(r"(?:.*<)?\s*sips?:([^@>:]*)(?::[^@>]*)?(@?)", re.IGNORECASE | re.DOTALL)
_SHORT = re.compile(r"[0-9]{2,6}")
# Of a number's parameters these say something of it; others (`npdi`, `rn=...`) are for exchanges.
_TELLING = ("ext=", "phone-context=")
_DIAL_AROUND = re.compile(r"[\s*#]+")


@dataclass(frozen=True, slots=True)
class Forms:
    """A number as it is shown; `tel` is the target of a link.

    national is as it is written where it is shown: the international form, if it is of elsewhere.
    """

    e164: str
    national: str
    international: str
    tel: str


def check_region(region: str | None) -> None:
    """Raise ConfigError unless it is a country of two capital letters, as "FR", or None."""
    _need_phonenumbers()
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigError("a region is a country's two capital letters, as FR or GB")


def caller_of(text: str | None, region: str | None, *, restricted: bool = False) -> Caller:
    """Who calls, of what a line says; `region` is where the line is, for numbers without "+".

    restricted: the line says that the number must not be shown; then none is taken, even if it is
    there. Raises ConfigError alone, of a region that is none; no text makes it raise.

    A short code (3631) is nobody's number, and a number that cannot exist is somebody's invention:
    both are UNPARSABLE, as are letters and what is too long.
    """
    check_region(region)
    if restricted:
        return Caller(WITHHELD)
    if text is None or not text.strip():
        return NOT_TOLD
    if len(text) > MAX_TEXT:
        return Caller(UNPARSABLE)
    return _caller(text, region)


def number_of(text: str, region: str | None) -> str | None:
    """E.164 of a number of our own; None where it can be none. Raises ConfigError of a region.

    It need not be in the library's tables: a provider lends from ranges that are newer. It has the
    length of a number of its country.
    """
    check_region(region)
    return _number(text, region) if text and len(text) <= MAX_TEXT else None


def forms_of(e164: str, region: str | None) -> Forms:
    """The ways to show a number of our own in a region. Raises ConfigError where it is none."""
    check_region(region)
    return _forms(e164, region)


def region_of(e164: str) -> str:
    """The country of a number of our own, as "FR". Raises ConfigError where it is of none."""
    check_region(None)
    number = _parsed(e164, None) if len(e164) <= MAX_TEXT else None
    region = None if number is None else phonenumbers.region_code_for_number(number)
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigError("a number of our own is written as +33170180000, and is of a country")
    return str(region)


def _need_phonenumbers() -> None:
    if phonenumbers is None:
        raise ConfigError("telephone numbers need phonenumbers: pip install 'edge-sdk[calls]'")


@lru_cache(maxsize=CACHED)
def _caller(text: str, region: str | None) -> Caller:
    said = _addressee(text)
    word = said.casefold()
    if word in _WITHHELD_WORDS:
        return Caller(WITHHELD)
    if word in _UNAVAILABLE_WORDS or not said:
        return Caller(UNAVAILABLE)
    key = re.sub(r"[\s().-]+", "", said)
    if key == _ANONYMOUS or key in _WITHHELD_KEYS:
        return Caller(WITHHELD)
    if key in _UNAVAILABLE_KEYS:
        return Caller(UNAVAILABLE)
    number = _parsed(said, region)
    if number is None or not phonenumbers.is_valid_number(number):
        return Caller(UNPARSABLE)
    return Caller(KNOWN, phonenumbers.format_number(number, PhoneNumberFormat.E164))


@lru_cache(maxsize=CACHED)
def _number(text: str, region: str | None) -> str | None:
    number = _parsed(_addressee(text), region)
    if number is None:
        return None
    # Not `is_possible_number`: it is content with a number that lacks its area.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


@lru_cache(maxsize=CACHED)
def _forms(e164: str, region: str | None) -> Forms:
    number = _parsed(e164, region) if len(e164) <= MAX_TEXT else None
    if number is None:
        raise ConfigError("a number to show is written as +33170180000")
    international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    at_home = region is None or number.country_code == phonenumbers.country_code_for_region(region)
    return Forms(
        phonenumbers.format_number(number, PhoneNumberFormat.E164),
        phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        if at_home
        else international,
        international,
        phonenumbers.format_number(number, PhoneNumberFormat.RFC3966),
    )


def _addressee(text: str) -> str:
    """The number, or the word for none, within an address of SIP or a `tel:`; else the text."""
    match = _SIP.match(text)
    if match is not None:
        user, at = match.groups()
        # Without "@" there is a host alone, and a host is no number.
        text = unquote(user, errors="replace") if at else ""
    number, *parameters = text.strip().split(";")
    telling = [told for told in parameters if told.strip().lower().startswith(_TELLING)]
    return ";".join([number, *telling])


def _parsed(text: str, region: str | None) -> "PhoneNumber | None":
    """A number without its extension; None for a short code, and for what is none."""
    if _is_short(text, region):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    number.extension = None
    return number


def _is_short(text: str, region: str | None) -> bool:
    """Whether it is a service's code. It has to be asked first: 3631 parses, to +333631."""
    code = _DIAL_AROUND.sub("", text)
    if region is None or not _SHORT.fullmatch(code):
        return False
    return phonenumbers.is_valid_short_number(phonenumbers.parse(code, region))
