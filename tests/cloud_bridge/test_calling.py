import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.calling import AT_KIOSK_MS, told_of
from cloud_bridge.people import unpack_joined
from cloud_bridge.store import JOIN, CallRow
from edge_sdk import touchpoints as tp
from edge_sdk.calls.caller import KNOWN, WITHHELD, Caller
from edge_sdk.calls.model import CallEvent
from edge_sdk.wire.topics import BULK, LIVE
from edge_sdk.wire.touchpoint import Touchpoint
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.rig import Rig

OURS = "+33170180000"
NUMBER = "+33612345678"
SHE = Caller(KNOWN, NUMBER)
SITE = "paris-1"
DAY_MS = 86_400_000


@dataclass
class Held:
    """What pools would say: `sessions` by handle."""

    handle: int | None
    sure: float = 0.9
    why: Sequence[str] = ("lease b-1: 90 % of it",)
    candidates: Sequence[int] = ()
    place: str | None = None


class Pools:
    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.learnt: list[tuple[str, int | None, bool]] = []

    def pool_of(self, number: str) -> str:
        return "web" if number in self.held else ""

    def named(self, number: str, _at_ms: int, _lease: str | None) -> Held | None:
        return self.held.get(number)

    def called(self, number: str, _at_ms: int, handle: int | None, *, confirmed: bool) -> None:
        self.learnt.append((number, handle, confirmed))


class Shop:
    """A rig with pools, a gateway, and what agents were shown."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.pools = Pools()
        rig.intake.calling.numbers = self.pools
        self.gateway = rig.enrol(site=SITE)
        rig.send(self.gateway, self.gateway.start())
        self.pops: list[dict[str, Any]] = []

    def tell(self, *touchpoints: Touchpoint, lane: str = LIVE) -> None:
        self.rig.offer(self.gateway, self.gateway.rows(*touchpoints), lane=lane)
        released = False
        while not released:
            outcome = self.rig.follow()
            self.pops += [event.fields for event in outcome.pops]
            released = bool(outcome.tokens)

    def call(self, *events: CallEvent) -> dict[str, Any]:
        """Tell the events of a call; the last pop."""
        for event in events:
            self.rig.clock.ms = max(self.rig.clock.ms, event.at_ms)
            self.tell(event.touchpoint())
        return self.pops[-1]

    def browse(self, session: str, *, consents: bool = True) -> int:
        """Somebody looks at a page and puts something into her basket; her handle."""
        at_ms = self.rig.clock.ms
        seen = [
            tp.page_view(session=session, page="/rugs/blue", category="rugs", at_ms=at_ms),
            tp.basket(session=session, action="add", item="rug-7", value_minor=9900, at_ms=at_ms),
        ]
        if consents:
            seen.append(said(session, granted=True, at_ms=at_ms))
        self.tell(*seen)
        return self.rig.intake.vault.known([session])[0]

    def lend(self, handle: int) -> None:
        self.pools.held[OURS] = Held(handle, candidates=[handle])

    def row(self, call: str = "sip:1") -> CallRow:
        return next(iter(self.rig.store.calls([(SITE, call)])))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Rig(tmp_path) as rig:
        yield Shop(rig)


def said(subject: str, *, granted: bool, at_ms: int) -> Touchpoint:
    return tp.consent(subject=subject, purpose="call_assistance", granted=granted, at_ms=at_ms)


def events(call: str = "sip:1", at_ms: int = START_MS + 1000, **others: Any) -> list[CallEvent]:
    told = {"number": OURS, "caller": SHE, **others}
    return [
        CallEvent(call, "ring", at_ms, **told),
        CallEvent(call, "answer", at_ms + 8_000, agent="desk-2", **told),
        CallEvent(call, "end", at_ms + 68_000, duration_ms=60_000, waited_ms=8_000, **told),
    ]


def missed(call: str = "sip:1", at_ms: int = START_MS + 1000, **others: Any) -> list[CallEvent]:
    told = {"number": OURS, "caller": SHE, **others}
    over = CallEvent(call, "missed", at_ms + 140_000, cause="cancelled", waited_ms=140_000, **told)
    return [CallEvent(call, "ring", at_ms, **told), over]


def test_an_agent_is_shown_who_calls_while_it_rings(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    pop = shop.call(events()[0])
    assert (pop["state"], pop["group"], pop["pool"]) == ("ringing", "agents", "web")
    assert (pop["joined_by"], pop["sure"], pop["who"]) == ("lease", 0.9, {"id": "cookie:5f"})
    assert [seen["page"] for seen in pop["journey"]] == ["/rugs/blue"]
    assert [(item["item"], item["value_minor"]) for item in pop["basket"]] == [("rug-7", 9900)]
    assert pop["why"] == ["lease b-1: 90 % of it"]
    assert pop["caller"]["state"] == "known"
    assert NUMBER[1:] not in json.dumps(pop)


def test_the_pop_follows_the_call(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.call(*events())
    assert [pop["state"] for pop in shop.pops] == ["ringing", "answered", "ended"]
    last = shop.pops[-1]
    assert (last["agent"], last["waited_ms"], last["duration_ms"]) == ("desk-2", 8_000, 60_000)
    assert told_of(shop.row()).call.cause == "answered"


def test_without_consent_only_the_call_is_shown(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f", consents=False))
    pop = shop.call(events()[0])
    assert pop["session_known"]
    assert (pop["who"], pop["journey"], pop["basket"]) == (None, [], [])
    assert "no consent" in pop["why"][-1]


def test_consent_is_asked_at_each_pop(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    ring, answer, _ = events()
    assert shop.call(ring)["who"] is not None
    shop.tell(said("cookie:5f", granted=False, at_ms=shop.rig.clock.ms))
    assert shop.call(answer)["who"] is None


def test_whoever_has_logged_in_is_shown_by_her_name(shop: Shop) -> None:
    handle = shop.browse("cookie:5f")
    shop.tell(tp.identify(seen="cookie:5f", known_as="loyalty:17", at_ms=shop.rig.clock.ms))
    visit: dict[str, Any] = {"visit": 1, "visitor": "loyalty:17", "zone": "rugs"}
    shop.tell(tp.visit_exit(**visit, dwell_ms=60_000, at_ms=shop.rig.clock.ms))
    shop.lend(handle)
    pop = shop.call(events()[0])
    assert pop["who"] == {"id": "loyalty:17"}
    assert [item["item"] for item in pop["basket"]] == ["rug-7"]
    assert [(visit["zone"], visit["dwell_ms"]) for visit in pop["visits"]] == [("rugs", 60_000)]


def test_a_joining_is_a_fact_with_its_evidence(shop: Shop) -> None:
    handle = shop.browse("cookie:5f")
    shop.lend(handle)
    shop.call(*events())
    [row] = [row for row in shop.rig.store.log() if row.kind == JOIN]
    joined = unpack_joined(row.body)
    assert (joined.call, joined.whose, joined.method, joined.sure_pct) == (
        "sip:1", handle, "lease", 90,
    )  # fmt: skip
    assert shop.pools.learnt == [(OURS, handle, False)]


@pytest.mark.parametrize("seed", range(8))
def test_order_loss_and_repetition_give_the_same_row(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with Rig(tmp_path / "straight") as rig:
        straight = Shop(rig)
        straight.lend(straight.browse("cookie:5f"))
        straight.call(*events())
        wanted = told_of(straight.row())
    with Rig(tmp_path / "crooked") as rig:
        crooked = Shop(rig)
        crooked.lend(crooked.browse("cookie:5f"))
        ring, answer, end = events()
        told = [end, *rng.choices([ring, answer, end], k=rng.randrange(6)), answer]
        rng.shuffle(told)
        rig.clock.ms = end.at_ms
        crooked.call(*told)
        found = told_of(crooked.row())
    for name in ("state", "began_ms", "over_ms", "duration_ms", "waited_ms", "cause", "agent"):
        assert getattr(found.call, name) == getattr(wanted.call, name), name
    assert (found.method, found.sure) == (wanted.method, wanted.sure)


def test_several_events_of_a_call_may_come_in_one_batch(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.rig.clock.ms = events()[-1].at_ms
    shop.tell(*(event.touchpoint() for event in reversed(events())))
    assert told_of(shop.row()).call.state == "ended"
    assert shop.rig.intake.counted["calls"] == 1
    assert len([row for row in shop.rig.store.log() if row.kind == JOIN]) == 1


def test_a_telephone_is_remembered(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.call(*events())
    shop.pools.held.clear()
    pop = shop.call(events("sip:2", START_MS + DAY_MS, number="+33170180009")[0])
    assert (pop["joined_by"], pop["who"]) == ("memory", {"id": "cookie:5f"})
    assert 0.5 < pop["sure"] < 0.8
    assert [call["answered"] for call in pop["earlier_calls"]] == [True]
    late = shop.call(events("sip:3", START_MS + 200 * DAY_MS, number="+33170180009")[0])
    assert late["joined_by"] is None


def test_a_kiosks_number_leads_to_who_was_alone_at_it(shop: Shop) -> None:
    shop.pools.held[OURS] = Held(None, why=["lent to kiosk-1"], place="kiosk-1")
    here = shop.browse("cookie:a"), shop.browse("cookie:b")
    at_ms = shop.rig.clock.ms
    touched = {"kiosk": "kiosk-1", "action": "tap"}
    shop.tell(tp.kiosk_interaction(**touched, session="cookie:a", at_ms=at_ms))
    assert shop.call(events()[0])["joined_by"] == "place"
    assert shop.row().whose == here[0]
    shop.tell(tp.kiosk_interaction(**touched, session="cookie:b", at_ms=at_ms))
    other = events("sip:2", START_MS + 2000, caller=Caller(WITHHELD))[0]
    pop = shop.call(other)
    assert (pop["joined_by"], pop["caller"]) == (None, {"state": "withheld"})
    assert "2 sessions" in pop["why"][-1]
    late = START_MS + AT_KIOSK_MS + 5000
    assert shop.call(events("sip:3", late, caller=Caller(WITHHELD))[0])["joined_by"] is None


def test_whoever_gives_up_is_on_the_list_until_somebody_has_called_back(shop: Shop) -> None:
    shop.call(*missed())
    calling = shop.rig.intake.calling
    [row] = calling.waiting.values()
    assert row.waits
    assert shop.rig.intake.peppers.open(row.sealed) == NUMBER
    assert told_of(row).call.waited_ms == 140_000
    at_ms = shop.rig.clock.ms
    shop.tell(tp.call_outcome(call="sip:1", outcome="called_back", agent="ann", at_ms=at_ms))
    assert not calling.waiting
    assert (shop.row().waits, shop.row().sealed) == (False, b"")
    assert (told_of(shop.row()).outcome, told_of(shop.row()).outcome_agent) == (
        "called_back", "ann",
    )  # fmt: skip


def test_whoever_gets_through_later_need_not_be_called_back(shop: Shop) -> None:
    shop.call(*missed())
    shop.call(*events("sip:2", START_MS + DAY_MS))
    assert not shop.rig.intake.calling.waiting
    assert shop.row("sip:1").sealed == b""


@pytest.mark.parametrize("caller", [Caller(WITHHELD), Caller("unavailable")])
def test_nobody_can_call_back_a_number_that_was_not_told(shop: Shop, caller: Caller) -> None:
    shop.call(*missed(caller=caller))
    assert not shop.rig.intake.calling.waiting
    assert shop.rig.intake.counted[f"calls.{caller.state}"] == 1


def test_an_answered_calls_number_is_kept_by_nobody(shop: Shop) -> None:
    shop.call(events()[0])
    assert shop.row().sealed
    shop.call(*events()[1:])
    assert shop.row().sealed == b""


def test_no_number_lies_open_in_the_files(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        shop = Shop(rig)
        shop.lend(shop.browse("cookie:5f"))
        shop.call(*events())
        shop.call(*missed("sip:2", START_MS + DAY_MS))
        shop.tell(tp.order(customer=f"tel:{NUMBER}", order="o-1", value_minor=5, currency="EUR"))
        said = repr(rig.events) + repr(shop.pops) + repr(rig.intake.counted)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        assert NUMBER[1:].encode() not in path.read_bytes(), path
        assert NUMBER[3:].encode() not in path.read_bytes(), path
    assert NUMBER[3:] not in said


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    ring, answer, end = events()
    with Rig(tmp_path) as rig:
        shop = Shop(rig)
        shop.lend(shop.browse("cookie:5f"))
        shop.call(ring)
        shop.call(*missed("sip:2", START_MS + 2000))
        before = rig.digest()
    with Rig(tmp_path, clock=rig.clock) as again:
        assert again.digest() == before
        again.know(shop.gateway)
        assert [row.call for row in again.intake.calling.waiting.values()] == ["sip:2"]
        shop.rig = again
        again.send(shop.gateway, shop.gateway.start())
        shop.tell(*(e.touchpoint() for e in (answer, end)))
        known = told_of(shop.row())
    assert (known.call.state, known.method) == ("ended", "lease")


def test_erasing_a_caller_takes_her_calls_and_number_along(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.call(*missed())
    turn = shop.rig.erase([f"tel:{NUMBER}"])
    assert turn.writes.erased
    assert not list(shop.rig.store.calls([(SITE, "sip:1")]))
    assert not shop.rig.intake.calling.waiting


def test_erasing_a_session_leaves_a_call_of_nobody(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.call(*events())
    shop.rig.erase(["cookie:5f"])
    assert (shop.row().whose, shop.row().caller > 0) == (0, True)
    shop.pools.held.clear()
    pop = shop.call(events("sip:2", START_MS + DAY_MS)[0])
    assert pop["joined_by"] is None


def test_after_a_new_pepper_a_known_caller_is_known_still(shop: Shop) -> None:
    shop.lend(shop.browse("cookie:5f"))
    shop.call(*events())
    before = shop.row().caller
    peppers = shop.rig.intake.peppers
    peppers._versions = {2: bytes(32), **peppers._versions}
    peppers.newest = 2
    shop.call(events("sip:2", START_MS + DAY_MS)[0])
    assert shop.row("sip:2").caller == before
    other = replace(SHE, e164="+33698765432")
    pop = shop.call(events("sip:3", START_MS + DAY_MS, caller=other)[0])
    assert pop["caller"]["pseudonym"].startswith("tel:v2:")


def test_an_event_that_makes_no_sense_is_counted(shop: Shop) -> None:
    shop.tell(
        tp.call(call="sip:9", phase="hums", number=OURS, caller_state="known", at_ms=START_MS)
    )
    assert shop.rig.intake.counted["calls.malformed"] == 1
    shop.tell(tp.call_outcome(call="sip:9", outcome="sale", at_ms=START_MS))
    assert shop.rig.intake.counted["calls.outcome_of_none"] == 1


def test_old_news_changes_the_call_and_shows_no_pop(shop: Shop) -> None:
    shop.rig.clock.ms = START_MS + DAY_MS
    shop.tell(events()[0].touchpoint(), lane=BULK)
    assert not shop.pops
    assert told_of(shop.row()).call.rang_ms == events()[0].at_ms
