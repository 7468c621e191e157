import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from cloud_bridge.call_hooks import mapping
from cloud_bridge.call_hooks.mapping import BUILT_IN, Mapped, built_in, parse_mapping, read_mapping
from cloud_bridge.call_hooks.reading import ROUTE, Line, NotReadableError, Told
from cloud_bridge.call_hooks.signatures import Delivery
from edge_sdk.calls.caller import KNOWN, WITHHELD, Caller
from edge_sdk.errors import ConfigError
from tests.cloud_bridge.call_hooks.signed import FORM_HEAD, JSON_HEAD, VECTORS

NOW_MS = 1_800_000_000_000
LINE = Line("FR", NOW_MS)
SHE = Caller(KNOWN, "+33612345678")
OURS = "+33170180000"

OWN = """
provider = "pbx7"
body = "json"
signature = "hmac-sha256"
asks = ["new"]

[only]
"data.direction" = "in"

[fields]
call = "data.ids.0"
status = "data.state"
number = "data.to"
caller = "data.from"
at = "data.t"
sequence = "data.n"
duration = "data.talked"
waited = "data.waited"
cause = "data.why"
agent = "data.seat"

[phases]
new = "ring"
up = "answer"
over = "end"
lost = "missed"
hold = "none"

[causes]
gone = "cancelled"
engaged = "busy"

[time]
format = "unix-ms"
durations = "ms"
"""


def read(mapped: Mapped, fields: dict[str, Any]) -> Told:
    if mapped.body == "form":
        delivery = Delivery("POST", "https://a.example", FORM_HEAD, urlencode(fields).encode())
    else:
        delivery = Delivery("POST", "https://a.example", JSON_HEAD, json.dumps(fields).encode())
    return mapped.read(delivery, LINE)


def own(**more: Any) -> Told:
    data: dict[str, Any] = {
        "ids": ["c1", "x"],
        "state": "new",
        "to": OURS,
        "from": "06 12 34 56 78",
    }
    data |= {"direction": "in", "t": NOW_MS - 500, "n": 3}
    return read(parse_mapping(OWN), {"data": data | more})


def test_a_file_says_where_everything_is() -> None:
    told = own()
    (ring,) = told.events
    assert (ring.call, ring.phase, ring.number) == ("pbx7:c1", "ring", OURS)
    assert (ring.caller, ring.at_ms, ring.cause) == (SHE, NOW_MS - 500, None)
    assert (told.status, told.sequence, told.asks, told.number) == ("new", "3", ROUTE, OURS)
    (up,) = own(state="up", seat="desk-2", talked=9).events
    assert (up.phase, up.agent, up.duration_ms) == ("answer", "desk-2", None)
    (over,) = own(state="over", talked=61_500, waited="8000", why="gone").events
    assert (over.phase, over.duration_ms, over.waited_ms) == ("end", 61_500, 8000)
    assert over.cause == "answered"
    (lost,) = own(state="lost", talked=61_500, why="gone").events
    assert (lost.phase, lost.cause, lost.duration_ms) == ("missed", "cancelled", 0)
    assert own(state="lost", why="what").events[0].cause == "no_answer"


def test_what_the_file_does_not_say_is_nothing() -> None:
    assert (own(state="hold").events, own(state="hold").passed) == ((), "none")
    assert own(state="later").passed == "unknown_status"
    assert own(state=None).passed == "unknown_status"
    assert own(direction="out").passed == "outgoing"
    assert own(to={"odd": 1}).events[0].number == ""
    assert own(t=True).events[0].at_ms == NOW_MS
    assert own(t=1e400).events[0].at_ms == NOW_MS
    with pytest.raises(NotReadableError, match="name of the call"):
        own(ids=[])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('provider = "pbx7"', "", "provider is missing"),
        ('"pbx7"', '"PBX 7"', "provider is up to 16 small"),
        ('body = "json"', 'body = "xml"', "body is one of form, json"),
        ('"hmac-sha256"', '"md5"', "signature is one of twilio"),
        ('call = "data.ids.0"', "", "fields: call is missing"),
        ('"data.to"', '"data..to"', "fields: number is a field's name"),
        ('status = "data.state"', "status = 7", "fields: status is"),
        ('status = "data.state"', "status = []", "fields: status is"),
        ('agent = "data.seat"', 'agnet = "x"', "'agnet' is not known here; is it agent?"),
        ('new = "ring"', 'new = "rings"', "phases: new is one of ring"),
        ('gone = "cancelled"', 'gone = "canceled"', "causes: gone is one of answered"),
        ('asks = ["new"]', 'asks = ["old"]', "asks names 'old'"),
        ('asks = ["new"]', 'asks = "new"', "asks is a list"),
        ('"unix-ms"', '"unix"', "time: format is one of iso8601"),
        ('durations = "ms"', 'durations = "min"', "time: durations is one of s, ms"),
        ('asks = ["new"]', 'dialect = "xml"', "dialect is one of twilio"),
        ('asks = ["new"]', "plus = 1", "plus is true or false"),
        ('asks = ["new"]', "extra = 1", "'extra' is not known"),
        ("[time]", "[time", "is not TOML"),
    ],
)
def test_a_faulty_file_says_which_entry(old: str, new: str, says: str) -> None:
    assert old in OWN
    with pytest.raises(ConfigError, match=says) as caught:
        parse_mapping(OWN.replace(old, new), "own.toml")
    assert str(caught.value).startswith("own.toml")


def test_a_file_without_phases() -> None:
    start, _, rest = OWN.partition("[phases]")
    with pytest.raises(ConfigError, match="phases is missing"):
        parse_mapping(
            start.replace('asks = ["new"]', "") + "[causes]" + rest.partition("[causes]")[2]
        )


def test_a_file_is_read_from_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    assert read_mapping(path) == parse_mapping(OWN)
    with pytest.raises(ConfigError, match="no such file"):
        read_mapping(tmp_path / "other.toml")
    with pytest.raises(ConfigError, match="one of plivo, sinch, vonage"):
        built_in("../own")


def test_those_that_come_with_the_bridge_are_right() -> None:
    assert {built_in(name).name for name in BUILT_IN} == set(BUILT_IN)
    files = Path(mapping.__file__).parent.glob("*.toml")
    assert sorted(file.stem for file in files) == sorted(BUILT_IN)


def test_plivo() -> None:
    fields = {
        **{"CallUUID": "d8a2", "From": "33612345678", "To": "33170180000"},
        **{"Direction": "inbound", "Event": "StartApp", "CallStatus": "ringing"},
    }
    told = read(built_in("plivo"), fields)
    (ring,) = told.events
    assert (ring.call, ring.phase, ring.number) == ("plivo:d8a2", "ring", OURS)
    assert (ring.caller, told.asks) == (SHE, ROUTE)
    over = fields | {"Event": "Hangup", "CallStatus": "completed", "Duration": "61"}
    (end,) = read(built_in("plivo"), over).events
    assert (end.phase, end.duration_ms, end.cause) == ("end", 61_000, "answered")
    lost = fields | {"Event": "Hangup", "CallStatus": "no-answer", "HangupCauseName": "Cancelled"}
    (missed,) = read(built_in("plivo"), lost).events
    assert (missed.phase, missed.cause) == ("missed", "cancelled")
    assert read(built_in("plivo"), fields | {"From": "anonymous"}).events[0].caller == Caller(
        WITHHELD
    )


def test_vonage() -> None:
    fields = json.loads(VECTORS["vonage"]["body"]) | {"direction": "inbound"}
    (ring,) = read(built_in("vonage"), fields).events
    assert (ring.call, ring.phase) == ("vonage:aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "ring")
    assert (ring.number, ring.caller) == (OURS, SHE)
    over = fields | {
        "status": "completed",
        "duration": "6",
        "timestamp": "2027-01-15T07:59:50.123Z",
    }
    (end,) = read(built_in("vonage"), over).events
    assert (end.phase, end.duration_ms, end.at_ms) == ("end", 6000, NOW_MS - 9_877)
    (missed,) = read(built_in("vonage"), fields | {"status": "rejected"}).events
    assert (missed.phase, missed.cause) == ("missed", "rejected")
    assert read(built_in("vonage"), fields | {"direction": "outbound"}).passed == "outgoing"


def test_sinch() -> None:
    fields = json.loads(VECTORS["sinch"]["body"])
    (up,) = read(built_in("sinch"), fields).events
    # The published example is of 2014: a clock that is so far off is not followed.
    assert (up.phase, up.at_ms) == ("answer", NOW_MS)
    ice = fields | {"event": "ice", "cli": OURS, "to": {"type": "did", "endpoint": OURS}}
    (ring,) = read(built_in("sinch"), ice).events
    assert (ring.phase, ring.number) == ("ring", OURS)
    dice = fields | {"event": "dice", "result": "ANSWERED", "reason": "CALLERHANGUP", "duration": 9}
    (end,) = read(built_in("sinch"), dice).events
    assert (end.phase, end.duration_ms, end.cause) == ("end", 9000, "answered")
    (missed,) = read(built_in("sinch"), dice | {"result": "N/A", "reason": "CANCEL"}).events
    assert (missed.phase, missed.duration_ms, missed.cause) == ("missed", 0, "cancelled")
