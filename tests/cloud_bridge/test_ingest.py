"""The road from a sealed message to its acknowledgement and prompt, with a real disk and thread."""

import json
import sqlite3
from pathlib import Path

import pytest

from cloud_bridge import ingest
from cloud_bridge.errors import StalledError
from cloud_bridge.store import BATCH, GAPS
from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.wire import seal
from edge_sdk.wire.control import SHED, Prompt
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import Touchpoint, make
from tests.cloud_bridge.little_device import SECRET, START_MS, LittleDevice
from tests.cloud_bridge.rig import Rig, SetClock

SIGHT = make("sighting", START_MS, receiver="r", beacon="ble:1")


def enter(at_ms: int = START_MS, visitor: str = "ble:1", zone: str = "coffee") -> Touchpoint:
    return make("visit.enter", at_ms, visit=1, visitor=visitor, zone=zone)


def identify(at_ms: int = START_MS, seen: str = "ble:1", known_as: str = "loyalty:7") -> Touchpoint:
    return make("identify", at_ms, seen=seen, known_as=known_as, method="app")


def web(key: str = "b1", at_ms: int = START_MS - 60_000, consents: bool = True) -> bytes:
    """She looked at coffee, logged in and consented, or not."""
    events = [
        {"type": "page.view", "at_ms": at_ms, "page": "/coffee", "category": "coffee"},
        {"type": "identify", "at_ms": at_ms, "known_as": "loyalty:7", "method": "login"},
        {"type": "consent", "at_ms": at_ms, "purpose": "in_store_prompts", "granted": consents},
    ]
    body = {"site": "shop", "session": "cookie:5", "id": key, "events": events}
    return json.dumps(body).encode()


def prompts(heard: list[tuple[str, object]]) -> list[Prompt]:
    return [said for kind, said in heard if kind == "prompt" and isinstance(said, Prompt)]


def with_kiosk(rig: Rig) -> tuple[LittleDevice, LittleDevice]:
    """A gateway and a kiosk of the coffee zone, both introduced."""
    gateway, kiosk = rig.enrol(), rig.enrol("kiosk-1", "kiosk", "coffee")
    rig.send(gateway, gateway.start())
    rig.send(kiosk, kiosk.start())
    return gateway, kiosk


def test_batches_are_acknowledged_as_ranges_and_duplicates_again(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        hello = device.start()
        assert rig.send(device, hello) == [("ack", [(0, 0, 0)])]
        batches = [device.columns(SIGHT, SIGHT) for _ in range(4)]
        rig.offer(device, *batches, batches[1], lane=BULK)
        held: set[int] = set()
        while held != {1, 2, 3, 4}:
            rig.follow()
            for kind, ranges in rig.heard[device.number][1:]:
                assert kind == "ack"
                held.update(seq for _, first, last in ranges for seq in range(first, last + 1))
        assert rig.send(device, hello) == [("ack", [(0, 0, 0)])]
        assert rig.intake.counted["touchpoints.sighting"] == 8
        assert rig.intake.counted["duplicates"] == 2


def test_the_headline(tmp_path: Path) -> None:
    """Web, consent, app, zone, prompt, outcome."""
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        assert rig.collect(web()) is False
        rig.send(gateway, gateway.rows(identify(), enter()))
        (prompt,) = prompts(rig.heard[kiosk.number])
        assert (prompt.offer, prompt.surface, prompt.ttl_ms) == ("coffee-tasting", "kiosk", 120_000)
        assert len(rig.intake.outstanding) == 1
        shown = make("prompt.shown", START_MS, prompt=prompt.id, offer=prompt.offer)
        rig.send(kiosk, kiosk.rows(shown), lane=BULK)
        assert len(rig.intake.outstanding) == 0
        assert rig.kinds() == ["visit", "prompt", "outcome"]
        said = json.dumps([event.fields for event in rig.events])
        assert "loyalty" not in said
        assert "ble:" not in said


def test_a_prompt_comes_once_and_leaves_again_until_an_outcome(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web())
        message = gateway.rows(identify(), enter())
        rig.send(gateway, message)
        rig.send(gateway, message)  # a duplicate
        rig.send(gateway, gateway.rows(enter()))  # cooling down
        assert rig.intake.counted["decisions.failed.cooldown"] == 1
        first = prompts(rig.heard[kiosk.number])
        rig.clock.ms += 2000
        rig.send(gateway, gateway.rows(SIGHT))
        rig.clock.ms += 1000
        rig.send(kiosk, kiosk.start(now_ms=rig.clock.ms))  # it has lost everything
        again = prompts(rig.heard[kiosk.number])
        assert {prompt.id for prompt in again} == {first[0].id}
        assert [prompt.ttl_ms for prompt in again] == [120_000, 118_000, 117_000]
        rig.clock.ms += 120_000
        rig.send(gateway, gateway.rows(SIGHT))
        rig.send(gateway, gateway.rows(SIGHT))
        assert len(prompts(rig.heard[kiosk.number])) == 3
        assert list(rig.store.prompts()) == []


def test_only_its_device_says_what_became_of_a_prompt(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web())
        rig.send(gateway, gateway.rows(identify(), enter()))
        (prompt,) = prompts(rig.heard[kiosk.number])
        rig.send(gateway, gateway.rows(make("prompt.shown", START_MS, prompt=prompt.id)))
        assert prompt.id in rig.intake.outstanding


def test_a_restart_rebuilds_the_same_and_goes_on(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web())
        rig.send(gateway, gateway.rows(identify(), enter(), enter(visitor="kiosk:1")))
        (prompt,) = prompts(rig.heard[kiosk.number])
        known = rig.digest()
        clock = rig.clock
    clock.ms += 50_000
    with Rig(tmp_path, clock=clock) as again:
        assert again.digest() == known
        for device in (gateway, kiosk):
            again.know(device)
        again.follow()
        assert prompts(again.heard[kiosk.number])[0].ttl_ms == 70_000
        assert prompts(again.heard[kiosk.number])[0].id == prompt.id
        assert again.collect(web()) is True
        assert again.send(gateway, gateway.rows(SIGHT)) == [("ack", [(0, 2, 2)])]
        assert again.digest() != known


def test_no_consent_no_prompt_and_the_feed_says_why(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web(consents=False))
        rig.send(gateway, gateway.rows(identify(), enter()))
        assert prompts(rig.heard[kiosk.number]) == []
        (told,) = [event.fields for event in rig.events if event.kind == "no_prompt"]
        assert isinstance(told["failed"], dict)
        assert told["failed"]["coffee-tasting"] == "consent"


def test_history_moves_nobody(tmp_path: Path) -> None:
    """A visit that is told late is folded, and not decided upon."""
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web())
        rig.send(gateway, gateway.rows(identify(), SIGHT))
        rig.send(gateway, gateway.rows(enter(START_MS - 60_000)), lane=BULK)
        assert prompts(rig.heard[kiosk.number]) == []
        assert rig.intake.counted["decisions.too_late"] == 1


@pytest.mark.parametrize("wrong_ms", [-START_MS, 3_786_912_000_000 - START_MS])
def test_clocks_of_1970_and_2090(tmp_path: Path, wrong_ms: int) -> None:
    with Rig(tmp_path) as rig:
        gateway, kiosk = with_kiosk(rig)
        rig.collect(web())
        now_ms = START_MS + wrong_ms
        rig.send(gateway, gateway.rows(identify(now_ms), enter(now_ms)))
        assert len(prompts(rig.heard[kiosk.number])) == 1
        (row,) = [
            row for row in rig.store.log() if row.device == gateway.number and row.kind == BATCH
        ]
        assert row.offset_ms == -wrong_ms


def test_refusals_change_nothing_and_are_told_where_they_can_be(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        batch = device.rows(SIGHT)
        stranger = rig.know(LittleDevice(Enrolment("acme", "paris-1", 99, 0, SECRET)))
        rig.send(stranger, stranger.start())
        rig.send(device, b"", bytes(70_000), batch[:20], b"\xff" + batch[1:])
        rig.send(device, bytes([*batch[:-1], batch[-1] ^ 1]))
        other = rig.enrol("other")
        rig.offer(other, batch)
        rig.follow()
        assert rig.intake.refused == {
            "unknown_device": 1,
            "truncated": 2,
            "oversized": 1,
            "version": 1,
            "forged": 1,
            "topic": 1,
        }
        assert rig.heard[device.number] == [("ack", [(0, 0, 0)])]
        assert rig.heard[stranger.number] == []
        device.skip_epochs(1)
        device.start()
        assert rig.send(device, device.rows(SIGHT)) == [("refusal", [(2, 1, "no_hello", True)])]
        assert [row.kind for row in rig.store.log()] == []


def test_a_malformed_batch_is_held_set_aside_and_told(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        malformed = [
            device.seal(seal.ROWS, b"\xc0"),
            device.seal(seal.HELLO, b"\x90"),
            device.seal(seal.NOTICE, b"\x91\xc0"),
        ]
        heard = rig.send(device, *malformed)
        told = [row for kind, rows in heard if kind == "refusal" for row in rows]
        assert told == [(0, seq, "malformed", False) for seq in (1, 2, 3)]
        assert rig.send(device, *malformed)[-1][0] == "ack"
        assert rig.intake.counted["gaps.malformed"] == 3
        assert {row.kind for row in rig.store.log()} == {GAPS}
    rows = sqlite3.connect(rig.store.path).execute("SELECT body FROM set_aside ORDER BY place")
    assert list(rows) == [(b"\xc0",), (b"\x90",), (b"\x91\xc0",)]


def test_a_notice_is_a_gap_and_is_acknowledged(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        shed = [device.rows(SIGHT) for _ in range(3)]
        assert rig.send(device, device.notice((0, 1, 3, 30, SHED))) == [("ack", [(0, 4, 4)])]
        assert rig.intake.counted["gaps.shed"] == 3
        assert rig.send(device, shed[0]) == [("ack", [(0, 1, 1)])]
        assert rig.kinds() == ["gap"]


def test_what_a_later_version_sends_is_kept(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        rig.send(device, device.columns(Touchpoint(4711, START_MS, ("new", 1)), SIGHT))
        assert rig.intake.counted["touchpoints.unknown"] == 1


def test_enrolled_anew_and_revoked_while_the_bridge_runs(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        old = rig.enrol("kiosk-1")
        rig.send(old, old.start())
        late = old.rows(SIGHT)
        new = rig.enrol("kiosk-1")
        assert (new.number, new.generation) == (old.number, 1)
        assert rig.send(new, new.start()) == [("ack", [(0, 0, 0)])]
        rig.know(old)
        assert rig.send(old, late) == [("refusal", [(0, 1, "generation", False)])]
        rig.know(new)
        with rig.registry_of_another() as registry:
            assert registry.devices()[0].root_key is None
            registry.revoke(new.number)
        assert rig.send(new, new.rows(SIGHT)) == [("refusal", [(0, 1, "revoked", False)])]
    with Rig(tmp_path) as again:
        again.know(new)
        assert again.send(new, new.rows(SIGHT)) == [("refusal", [(0, 2, "revoked", False)])]
        assert list(again.store.epochs()) == []


def test_a_full_disk_stalls_and_resumes(tmp_path: Path) -> None:
    opened: list[Connection] = []

    def open_small(path: Path) -> Connection:
        opened.append(open_connection(path))
        return opened[-1]

    with Rig(tmp_path, open_database=open_small) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        for row in opened[0].execute("PRAGMA max_page_count = 1"):
            assert row  # it is never less than what is used
        batch = device.seal(seal.ROWS, bytes([0x92]) + bytes([0xC0]) * 60_000)  # malformed, large
        rig.offer(device, batch)
        outcome = rig.follow()
        assert outcome.tokens == []
        assert rig.heard[device.number][-1] == ("refusal", [(0, 1, "busy", True)])
        while rig.ingest.stalled is None:
            pass
        assert "full" in rig.ingest.stalled
        with pytest.raises(StalledError):
            rig.collect(web())
        rig.offer(device, device.rows(SIGHT))
        for row in opened[0].execute("PRAGMA max_page_count = 1000000"):
            assert row
        released = 0
        while released < 2:
            released += len(rig.follow().tokens)
        assert rig.ingest.stalled is None
        acks = [said for kind, said in rig.heard[device.number] if kind == "ack"]
        assert [(0, 1, 1)] in acks
        assert [(0, 2, 2)] in acks
        assert rig.collect(web()) is False


def test_live_overtakes_a_backlog(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        devices = [rig.enrol(f"gateway-{number}") for number in range(5)]
        for device in devices:
            rig.send(device, device.start())
        with rig.ingest._state:  # no turn before all of it waits
            for device in devices:
                rig.offer(device, *[device.rows(SIGHT) for _ in range(60)], lane=BULK)
            rig.offer(devices[0], devices[0].rows(SIGHT), lane=LIVE)
        turns = [rig.follow().tokens]
        while LIVE not in {lane for lane, _, _ in turns[-1]}:
            turns.append(rig.follow().tokens)
        assert sum(map(len, turns)) < 300
        assert max(map(len, turns)) <= ingest.BULK_A_TURN + 1


def test_the_queues_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING", 0)
    with Rig(tmp_path, clock=SetClock()) as rig:
        device = rig.enrol()
        with pytest.raises(AssertionError):
            rig.offer(device, device.start())
        with pytest.raises(StalledError):
            rig.collect(web())


def test_a_stalled_bridge_stops_and_has_promised_nothing(tmp_path: Path) -> None:
    opened: list[Connection] = []

    def open_small(path: Path) -> Connection:
        opened.append(open_connection(path))
        return opened[-1]

    with Rig(tmp_path, open_database=open_small) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        for _ in opened[0].execute("PRAGMA max_page_count = 1"):
            pass
        batch = device.seal(seal.ROWS, bytes(60_000))
        rig.offer(device, batch)
        rig.follow()
        digest = rig.digest()
    with Rig(tmp_path) as again:
        again.know(device)
        assert again.digest() == digest
        heard = again.send(device, batch)
        assert ("ack", [(0, 1, 1)]) in heard


def test_a_mistake_of_ours_ends_the_bridge_before_it_can_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError

    with Rig(tmp_path) as rig:
        device = rig.enrol()
        rig.send(device, device.start())
        monkeypatch.setattr(rig.intake, "message", mistaken)
        rig.offer(device, device.rows(SIGHT))
        outcome = rig.follow()
        assert (outcome.failed, outcome.tokens, rig.ingest.failed) == (True, [], True)
        assert "ZeroDivisionError" in caplog.text
        with pytest.raises(StalledError):
            rig.collect(web())
