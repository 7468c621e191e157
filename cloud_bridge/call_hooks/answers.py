"""What a provider is told that asks: connect the call there, and say this to the agent first.

Pure. A caller's number is in none of it, whoever wrote the whisper: it is the shop's own text, and
the number that is dialled is the shop's own line.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

from edge_sdk.errors import ConfigError

MAX_WHISPER = 400
LEAST_S, MOST_S = 5, 600
DEFAULT_S = 25

XML = "application/xml"
JSON = "application/json"

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_SIP = re.compile(
    r"sips?:[A-Za-z0-9_.!~*'()%+-]{1,64}@[A-Za-z0-9.:\[\]-]{1,128}(;[a-z0-9=;-]{1,64})?"
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes. Raises ConfigError if it cannot go there.

    target       E.164, or a SIP address: a line of the shop's
    timeout_s    how long it rings there
    whisper      what the agent hears before the caller is put through; "" is nothing
    language     of the whisper, as "fr-FR"
    whisper_url  where the provider fetches the whisper, and status_url where it tells how the
                 agent's line fares; both are the hook's own, and hold no secret
    """

    target: str = field(repr=False)
    timeout_s: int = DEFAULT_S
    whisper: str = field(default="", repr=False)
    language: str = "en-GB"
    whisper_url: str = ""
    status_url: str = ""

    def __post_init__(self) -> None:
        if not (_E164.fullmatch(self.target) or _SIP.fullmatch(self.target)):
            raise ConfigError("a call is connected to +33170180000 or to sip:desk@pbx.example")
        if not LEAST_S <= self.timeout_s <= MOST_S:
            raise ConfigError(f"a line rings for {LEAST_S} to {MOST_S} seconds")
        if len(self.whisper) > MAX_WHISPER or not (self.whisper + " ").isprintable():
            raise ConfigError(f"a whisper has at most {MAX_WHISPER} printable characters")
        if not _LANGUAGE.fullmatch(self.language):
            raise ConfigError("a language is written as fr-FR")

    @property
    def is_sip(self) -> bool:
        return not self.target.startswith("+")


Answer = tuple[str, bytes]


def answer(dialect: str, route: Route | None) -> Answer:
    """The media type and the body that connect a call; without a route, that leave it be."""
    return _DIALECTS[dialect][0](route)


def whisper(dialect: str, route: Route) -> Answer:
    """The media type and the body that an agent hears."""
    return _DIALECTS[dialect][1](route)


def _twiml(route: Route | None) -> Answer:
    """TwiML, and TeXML. With `answerOnBridge` it is answered when an agent answers, not before."""
    response = ElementTree.Element("Response")
    if route is not None:
        told = {"answerOnBridge": "true", "timeout": str(route.timeout_s)}
        if route.status_url:
            told["action"] = route.status_url
        dial = ElementTree.SubElement(response, "Dial", told)
        noun = ElementTree.SubElement(dial, "Sip" if route.is_sip else "Number")
        noun.text = route.target
        if route.whisper and route.whisper_url:
            noun.set("url", route.whisper_url)
        if route.status_url:
            noun.set("statusCallback", route.status_url)
            noun.set("statusCallbackEvent", "answered completed")
    return _xml(response)


def _twiml_whisper(route: Route) -> Answer:
    response = ElementTree.Element("Response")
    say = ElementTree.SubElement(response, "Say", {"language": route.language})
    say.text = route.whisper
    return _xml(response)


def _plivo(route: Route | None) -> Answer:
    response = ElementTree.Element("Response")
    if route is not None:
        told = {"timeout": str(route.timeout_s)}
        if route.whisper and route.whisper_url:
            told["confirmSound"] = route.whisper_url
        dial = ElementTree.SubElement(response, "Dial", told)
        noun = ElementTree.SubElement(dial, "User" if route.is_sip else "Number")
        noun.text = route.target
    return _xml(response)


def _plivo_whisper(route: Route) -> Answer:
    response = ElementTree.Element("Response")
    speak = ElementTree.SubElement(response, "Speak", {"language": route.language})
    speak.text = route.whisper
    return _xml(response)


def _telnyx(route: Route | None) -> Answer:
    """The body of the command `transfer`. Call control takes it as a request of its own."""
    told: dict[str, object] = {}
    if route is not None:
        told = {"to": route.target, "timeout_secs": route.timeout_s}
    return JSON, json.dumps(told).encode()


def _telnyx_whisper(route: Route) -> Answer:
    """The body of the command `speak`, to the agent's leg."""
    told = {"payload": route.whisper, "language": route.language, "voice": "female"}
    return JSON, json.dumps(told).encode()


def _none(_route: Route | None) -> Answer:
    return JSON, b"{}"


# By dialect: how to connect, how to whisper.
_DIALECTS: dict[str, tuple[Callable[[Route | None], Answer], Callable[[Route], Answer]]] = {
    "twilio": (_twiml, _twiml_whisper),
    "texml": (_twiml, _twiml_whisper),
    "plivo": (_plivo, _plivo_whisper),
    "telnyx": (_telnyx, _telnyx_whisper),
    "none": (_none, _none),
}
DIALECTS = tuple(_DIALECTS)


def _xml(root: ElementTree.Element) -> Answer:
    return XML, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
