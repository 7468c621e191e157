import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.call_hooks.answers import DIALECTS, MAX_WHISPER, Route, answer, whisper
from edge_sdk.errors import ConfigError

DESK = Route(
    "sip:desk@pbx.example;transport=tls",
    30,
    "From the page <coffee & tea>",
    "fr-FR",
    "https://a.example/calls/hooks/h?whisper=0",
    "https://a.example/calls/hooks/h",
)


def xml(told: tuple[str, bytes]) -> ElementTree.Element:
    media_type, body = told
    assert media_type == "application/xml"
    assert body.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    return ElementTree.fromstring(body)


@pytest.mark.parametrize("dialect", ["twilio", "texml"])
def test_twiml(dialect: str) -> None:
    (dial,) = xml(answer(dialect, DESK))
    assert dial.tag == "Dial"
    # Answered when an agent answers: until then the caller hears it ring, and pays nothing.
    assert dial.attrib == {
        "answerOnBridge": "true",
        "timeout": "30",
        "action": DESK.status_url,
    }
    (sip,) = dial
    assert (sip.tag, sip.text, sip.get("url")) == ("Sip", DESK.target, DESK.whisper_url)
    assert sip.get("statusCallback") == DESK.status_url
    (number,) = xml(answer(dialect, Route("+33170180001")))[0]
    assert (number.tag, number.text, number.attrib) == ("Number", "+33170180001", {})
    assert len(xml(answer(dialect, None))) == 0
    (say,) = xml(whisper(dialect, DESK))
    assert (say.tag, say.text, say.get("language")) == ("Say", DESK.whisper, "fr-FR")


def test_plivo() -> None:
    (dial,) = xml(answer("plivo", DESK))
    assert dial.attrib == {"timeout": "30", "confirmSound": DESK.whisper_url}
    assert (dial[0].tag, dial[0].text) == ("User", DESK.target)
    (speak,) = xml(whisper("plivo", DESK))
    assert (speak.tag, speak.text) == ("Speak", DESK.whisper)
    assert len(xml(answer("plivo", None))) == 0


def test_telnyx_is_commanded_in_json() -> None:
    media_type, body = answer("telnyx", DESK)
    assert media_type == "application/json"
    assert json.loads(body) == {"to": DESK.target, "timeout_secs": 30}
    assert json.loads(whisper("telnyx", DESK)[1])["payload"] == DESK.whisper
    assert json.loads(answer("telnyx", None)[1]) == {}
    assert json.loads(answer("none", DESK)[1]) == json.loads(whisper("none", DESK)[1]) == {}


PRINTABLE = st.text(max_size=MAX_WHISPER).filter(lambda text: (text + " ").isprintable())


@given(PRINTABLE, st.sampled_from(DIALECTS))
def test_whatever_is_whispered_arrives_as_it_was_written(text: str, dialect: str) -> None:
    media_type, body = whisper(dialect, Route("+33170180001", whisper=text))
    if media_type == "application/xml":
        (said,) = ElementTree.fromstring(body)
        assert (said.text or "") == text
        assert len(said) == 0
    elif dialect == "telnyx":
        assert json.loads(body)["payload"] == text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": "0170180000"}, "connected to"),
        ({"target": ""}, "connected to"),
        ({"target": "+331701<Play>"}, "connected to"),
        ({"target": "sip:desk@pbx.example\nx"}, "connected to"),
        ({"target": "https://evil.example"}, "connected to"),
        ({"timeout_s": 4}, "rings for"),
        ({"timeout_s": 601}, "rings for"),
        ({"whisper": "x" * (MAX_WHISPER + 1)}, "whisper"),
        ({"whisper": "a\x00b"}, "whisper"),
        ({"whisper": "\ud800"}, "whisper"),
        ({"language": "french"}, "language"),
        ({"language": '"><x'}, "language"),
    ],
)
def test_a_route_that_leads_nowhere(wrong: dict[str, Any], says: str) -> None:
    right: dict[str, Any] = {"target": "+33170180001"}
    with pytest.raises(ConfigError, match=says) as caught:
        Route(**(right | wrong))
    assert "evil" not in str(caught.value)


def test_a_route_shows_no_number() -> None:
    assert "+33" not in repr(Route("+33170180001"))
