import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cloud_bridge.call_hooks import desk as desk_file
from cloud_bridge.call_hooks.board import HookBoard
from cloud_bridge.call_hooks.desk import (
    KEY_BYTES,
    MAX_BODY_BYTES,
    PASSED,
    REFUSALS,
    Answer,
    HookPorts,
    HooksDesk,
)
from cloud_bridge.call_hooks.hooks_file import FILE_NAME
from cloud_bridge.errors import StalledError
from edge_sdk.calls.model import CallEvent
from tests.cloud_bridge.call_hooks import signed
from tests.cloud_bridge.call_hooks.test_telnyx import event as telnyx_event
from tests.cloud_bridge.call_hooks.test_twilio import ASKED, LEG, OURS, REPORT, SHE
from tests.cloud_bridge.rig import Rig, SetClock
from tests.cloud_bridge.served import Door, served

BASE = "https://calls.shop.example"
HOOKS = f"""
[[hook]]
name = "twilio-paris"
provider = "twilio"
site = "paris-1"
public_url = "{BASE}"
secret_env = "HOOK_SECRET"
region = "FR"

[[hook.route]]
number = "{OURS}"
dial = "sip:desk@pbx.example"
whisper = "From the page of coffee."

[[hook]]
name = "telnyx-paris"
provider = "telnyx"
site = "paris-1"
public_url = "{BASE}"
secret_env = "TELNYX"
"""
ONE_HOOK = HOOKS.rpartition("[[hook]]")[0]
URL = f"{BASE}/calls/hooks/twilio-paris"
PATH = "/calls/hooks/twilio-paris"


class Desk:
    """A desk whose bridge remembers keys, or takes nothing."""

    def __init__(self, home: Path) -> None:
        (home / FILE_NAME).write_text(HOOKS)
        self.clock = SetClock()
        environment = {"HOOK_SECRET": "token", "TELNYX": signed.TELNYX_PUBLIC}
        board = HookBoard({"acme": home}, self.clock, environment)
        self.ports = HookPorts(self.clock, board.find, self._take)
        self.counted = self.ports.counted
        self.taken: dict[bytes, Sequence[CallEvent]] = {}
        self.wrong: BaseException | None = None
        self._desk = HooksDesk(self.ports)

    async def _take(self, tenant: str, site: str, key: bytes, events: Sequence[CallEvent]) -> bool:
        assert (tenant, site, len(key)) == ("acme", "paris-1", KEY_BYTES)
        if self.wrong is not None:
            raise self.wrong
        known = key in self.taken
        self.taken[key] = events
        return known

    def ask(
        self,
        body: bytes,
        head: dict[str, str],
        *,
        method: str = "POST",
        path: str = PATH,
        query: str = "",
    ) -> Answer:
        raw = {name.lower().encode(): value.encode() for name, value in head.items()}
        return asyncio.run(self._desk.answer(method, path, query, raw, body))

    def twilio(self, fields: dict[str, str], query: str = "") -> Answer:
        head, body = signed.twilio(f"{URL}?{query}" if query else URL, fields)
        return self.ask(body, head, query=query)

    def telnyx(self, body: object, now_s: int) -> Answer:
        head, raw = signed.telnyx(body, now_s)
        return self.ask(raw, head, path="/calls/hooks/telnyx-paris")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_call_is_taken_and_connected(desk: Desk) -> None:
    status, headers, body = desk.twilio(ASKED)
    assert (status, headers) == (200, ((b"content-type", b"application/xml"),))
    assert ElementTree.fromstring(body)[0][0].text == "sip:desk@pbx.example"
    (events,) = desk.taken.values()
    assert events[0].caller == SHE
    assert desk.counted == {"taken": 1, "events": 1, "routed": 1}
    # Where the file does not say where a call goes, it is not ours to send it anywhere.
    status, _, body = desk.twilio(ASKED | {"CallSid": "CA09", "To": "+33170180001"})
    assert (status, len(ElementTree.fromstring(body))) == (200, 0)
    assert desk.counted["unrouted"] == 1


def test_the_agent_hears_the_whisper_and_no_number(desk: Desk) -> None:
    _, _, body = desk.twilio(ASKED)
    url = ElementTree.fromstring(body)[0][0].get("url")
    assert url == f"{URL}?whisper=0"
    agent = {name: value for name, value in LEG.items() if name not in REPORT or name in ASKED}
    status, _, body = desk.twilio(agent | {"CallStatus": "in-progress"}, "whisper=0")
    assert status == 200
    assert ElementTree.fromstring(body)[0].text == "From the page of coffee."
    assert b"33" not in body
    assert desk.counted["whispered"] == 1
    assert len(desk.taken) == 1
    # Another query is another delivery.
    assert desk.twilio(ASKED | {"CallSid": "CA05"}, "whisper=7")[0] == 200
    assert len(desk.taken) == 2


def test_the_same_delivery_is_taken_once_and_answered_alike(desk: Desk) -> None:
    first = desk.twilio(ASKED)
    assert [desk.twilio(ASKED) for _ in range(3)] == [first] * 3
    assert desk.counted == {"taken": 1, "events": 1, "duplicate": 3, "routed": 4}
    for changed in (
        {"CallSid": "CA07"},
        {"CallStatus": "in-progress"},
        {"SequenceNumber": "1"},
        {"SequenceNumber": "2"},
        {"DialCallStatus": "busy"},
    ):
        desk.twilio(ASKED | changed)
    assert len(desk.taken) == 6
    # What is new in a repeated delivery makes it no other.
    desk.twilio(ASKED | {"NewParameter": "x"})
    assert len(desk.taken) == 6


def test_a_signature_that_is_not_right_is_refused_and_counted(desk: Desk) -> None:
    head, body = signed.twilio(URL, ASKED)
    assert desk.ask(body, {"Content-Type": head["Content-Type"]})[0] == 401
    assert desk.ask(body + b"&x=1", head)[0] == 401
    assert desk.ask(body, head, query="x=1")[0] == 401
    other, _ = signed.twilio(URL, ASKED, "another token")
    assert desk.ask(body, other)[0] == 401
    assert desk.counted == {"refused.no_signature": 1, "refused.signature": 3}
    assert not desk.taken


def test_telnyx_and_a_clock_that_is_an_hour_off(desk: Desk) -> None:
    now_s = desk.clock.ms // 1000
    ring = telnyx_event("call.initiated", direction="incoming")
    for off_s in (-3600, 3600, -301, 301):
        assert desk.telnyx(ring, now_s + off_s)[0] == 401
    assert desk.counted == {"refused.stale": 4}
    # Signed now, and said to have happened an hour ago, or in an hour: it is when we heard of it.
    for at, session in (("07:00:00", "a"), ("09:00:00", "b")):
        names = {"direction": "incoming", "call_session_id": session}
        ring = telnyx_event("call.initiated", f"2027-01-15T{at}Z", **names)
        assert desk.telnyx(ring, now_s)[0] == 200
    assert [events[0].at_ms for events in desk.taken.values()] == [desk.clock.ms] * 2


def test_other_paths_methods_and_forms(desk: Desk) -> None:
    head, body = signed.twilio(URL, ASKED)
    for path in (
        "/calls/hooks/",
        "/calls/hooks/none",
        PATH + "/",
        PATH.upper(),
        "/calls/hooks/../x",
    ):
        assert desk.ask(body, head, path=path)[0] == 404
    for method in ("GET", "PUT", "HEAD"):
        status, headers, _ = desk.ask(body, head, method=method)
        assert (status, (b"allow", b"POST") in headers) == (405, True)
    assert desk.ask(b"x" * (MAX_BODY_BYTES + 1), head)[0] == 413
    assert desk.ask(body, head, query="x" * 3000)[0] == 413
    assert desk.ask(body, head | {"Content-Encoding": "gzip"})[0] == 415
    assert desk.counted["refused.unknown_hook"] == 5
    assert not desk.taken


def test_what_cannot_be_read_says_why_and_repeats_nothing(desk: Desk) -> None:
    now_s = desk.clock.ms // 1000
    status, _, body = desk.telnyx(b"CallSid=CA01", now_s)
    assert (status, json.loads(body)) == (400, {"error": "the body is not JSON"})
    status, _, body = desk.telnyx({"data": {"payload": {"from": "+33612345678"}}}, now_s)
    assert status == 422
    assert b"33612345678" not in body
    assert desk.twilio({"From": "+33612345678"})[0] == 422
    assert desk.counted == {"refused.unreadable": 1, "refused.invalid": 2}


def test_what_tells_nothing_is_taken_and_not_kept(desk: Desk) -> None:
    for fields in (
        REPORT | {"CallStatus": "on-hold"},
        REPORT | {"Direction": "outbound-api"},
        LEG | {"CallStatus": "busy"},
    ):
        assert desk.twilio(fields)[0] == 200
    assert desk.counted == dict.fromkeys(
        ("passed.unknown_status", "passed.outgoing", "passed.leg"), 1
    )
    assert {name.removeprefix("passed.") for name in desk.counted} <= set(PASSED)
    assert not desk.taken


def test_a_stalled_bridge_has_it_sent_again_but_connects_the_customer(desk: Desk) -> None:
    desk.wrong = StalledError("the disk is full")
    status, headers, _ = desk.twilio(REPORT)
    assert status == 503
    assert (b"retry-after", b"5") in headers
    status, _, body = desk.twilio(ASKED)
    assert status == 200
    assert ElementTree.fromstring(body)[0][0].text == "sip:desk@pbx.example"
    # Nowhere to connect it: then it may come again.
    assert desk.twilio(ASKED | {"To": "+33170180001"})[0] == 503
    assert desk.counted == {"refused.stalled": 2, "untaken": 1, "routed": 1}


def test_nobody_waits_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_file, "ANSWER_S", 0.05)
    desk.wrong = TimeoutError()
    assert desk.twilio(REPORT)[0] == 503

    async def never(*_args: Any) -> bool:
        return await asyncio.Event().wait()

    slow = HooksDesk(HookPorts(desk.clock, desk.ports.find, never))
    head, body = signed.twilio(URL, REPORT)
    raw = {name.lower().encode(): value.encode() for name, value in head.items()}
    assert asyncio.run(slow.answer("POST", PATH, "", raw, body))[0] == 503


def test_no_fault_of_ours_shows_what_was_sent(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.wrong = RuntimeError("a fault")
    with caplog.at_level(logging.DEBUG):
        status, _, body = desk.twilio(REPORT)
    assert status == 500
    assert "could not be taken" in caplog.text
    for told in (caplog.text, body.decode(), str(dict(desk.counted)), repr(desk.taken)):
        assert "612345678" not in told
        assert "Signature" not in told


def test_all_that_is_counted_is_known(desk: Desk) -> None:
    head, body = signed.twilio(URL, ASKED)
    desk.ask(body, head, path="/calls/hooks/x")
    desk.ask(body, head, method="GET")
    desk.ask(body, {})
    refused = {name.removeprefix("refused.") for name in desk.counted}
    assert refused <= set(REFUSALS)


# On a real socket, before a real store


def test_over_http_it_says_the_same(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(ONE_HOOK)
    with Rig(tmp_path) as rig:
        door = Door(rig)

        async def run() -> None:
            async with served(door) as client:
                head, body = signed.twilio(f"{URL}?a=1%20b&c=", ASKED)
                answer = await client.post(f"{PATH}?a=1%20b&c=", content=body, headers=head)
                assert answer.status_code == 200
                assert answer.headers["content-length"] == str(len(answer.content))
                for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
                    answer = await client.request(method, PATH)
                    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
                huge = await client.post(PATH, content=b"x" * 200_000, headers=head)
                assert huge.status_code == 413
                assert (await client.post("/calls/hooks/none")).status_code == 404
                assert (await client.get("/health")).status_code == 200
                rig.ingest.stalled = "the disk is full"
                head, body = signed.twilio(URL, REPORT)
                answer = await client.post(PATH, content=body, headers=head)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

        asyncio.run(run())
        assert rig.intake.counted["touchpoints.call"] == 1
