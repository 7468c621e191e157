import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.calling import told_of
from cloud_bridge.numbers_desk import LeaseAsked
from cloud_bridge.pool_rows import MODEL
from cloud_bridge.store import BATCH
from cloud_bridge.turn import Turn
from edge_sdk import touchpoints as tp
from edge_sdk.calls.caller import WITHHELD, Caller
from edge_sdk.errors import StorageError
from edge_sdk.numbers.ledger_rows import Done
from edge_sdk.wire.topics import BULK
from tests.cloud_bridge.little_device import START_MS
from tests.cloud_bridge.rig import Rig
from tests.cloud_bridge.test_calling import DAY_MS, SITE, Shop, events, said

FILE = """
[[pool]]
name = "web"
region = "FR"
fallback = "+33170180099"
numbers = ["+33170180000..{last}"]
"""


class Lender(Shop):
    """A shop whose tenant has pools."""

    def __init__(self, rig: Rig, last: int = 3) -> None:
        super().__init__(rig)
        rig.intake.calling.numbers = rig.intake.pools
        self.want(last)

    def want(self, last: int, more: str = "") -> None:
        home = self.rig.registry.path.parent
        (home / "numbers.toml").write_text(FILE.format(last=last) + more)
        self.pass_time(1000)

    def pass_time(self, ms: int) -> None:
        self.rig.clock.ms += ms
        self.work(lambda _: 0)

    def work(self, work: Any) -> Any:
        told: list[Any] = []
        with self.rig.ingest._ready:
            self.rig.ingest._asked.append(_asked(work, told.append))
            self.rig.ingest._ready.notify()
        while not told:
            self.pops += [event.fields for event in self.rig.follow().pops]
        return told[0]

    def ask(self, session: str, pool: str = "web", kind: str = "session") -> Done:
        intake, now_ms = self.rig.intake, self.rig.clock.ms
        asked = LeaseAsked(session, kind=kind)
        done: Done = self.work(lambda turn: intake.lend(turn, SITE, asked, pool, now_ms))
        return done


def _asked(work: Any, answer: Any) -> Any:
    from cloud_bridge.ingest import _Asked

    return _Asked(work, answer)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Lender]:
    with Rig(tmp_path) as rig:
        yield Lender(rig)


def test_a_call_to_a_lent_number_is_joined_to_its_session(shop: Lender) -> None:
    shop.browse("cookie:5f")
    number = shop.ask("cookie:5f").number
    pop = shop.call(events("sip:1", shop.rig.clock.ms + 60_000, number=number)[0])
    assert (pop["joined_by"], pop["who"], pop["pool"]) == ("lease", {"id": "cookie:5f"}, "web")
    assert pop["sure"] > 0.8
    assert "shown the number" in pop["why"][0]


def test_sessions_have_numbers_of_their_own_and_the_last_one_the_fallback(shop: Lender) -> None:
    shown = [shop.ask(f"cookie:{n}") for n in range(5)]
    assert len({done.number for done in shown}) == 5
    assert shown[4].lease is None
    assert shown[4].number == "+33170180099"
    assert shop.ask("cookie:1").number == shown[1].number
    assert shop.rig.intake.counted["numbers.fallback"] == 1


def test_a_lease_is_a_fact_of_the_log_and_names_nobody(shop: Lender) -> None:
    lease = shop.ask("cookie:5f").lease
    assert lease is not None
    assert lease.holder.startswith("h:")
    stored = list(shop.rig.store.log())
    assert [row.kind for row in stored][-1] == BATCH
    assert shop.rig.intake.counted["touchpoints.number.lease"] == 1
    kept = b"".join(row.body for row in shop.rig.store.pool_rows())
    assert b"cookie" not in kept


def test_a_restart_knows_every_lease(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        shop = Lender(rig)
        before = [shop.ask(f"cookie:{n}") for n in range(3)]
        digest = rig.digest()
    with Rig(tmp_path, clock=rig.clock) as again:
        assert again.digest() == digest
        again.know(shop.gateway)
        shop.rig = again
        shop.pass_time(1000)
        after = [shop.ask(f"cookie:{n}") for n in range(3)]
        assert [d.number for d in after] == [d.number for d in before]
        ids = [(d.lease.id, e.lease.id) for d, e in zip(before, after, strict=True)
               if d.lease and e.lease]  # fmt: skip
        assert len(ids) == 3
        assert all(one == other for one, other in ids)
        fresh = shop.ask("cookie:9")
        assert fresh.lease is not None
        assert fresh.lease.id not in {one for one, _ in ids}


def test_what_was_not_committed_was_not_lent(shop: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, failing = shop.rig.store.commit, [True, True]

    def flaky(writes: Any) -> None:
        if failing and writes.pools:
            failing.pop()
            raise StorageError("no room")
        commit(writes)

    monkeypatch.setattr(shop.rig.store, "commit", flaky)
    lease = shop.ask("cookie:5f").lease
    assert lease is not None
    assert not failing
    assert lease.id in {row.key for row in shop.rig.store.pool_rows()}


def test_time_ends_leases_and_numbers_rest_before_they_are_lent_again(shop: Lender) -> None:
    first = shop.ask("cookie:1")
    shop.pass_time(31 * 60_000 + 1000)
    assert shop.rig.intake.pools.health(shop.rig.clock.ms)["web"]["cooling"] == 1  # type: ignore[index]
    others = [shop.ask(f"cookie:{n}").number for n in (2, 3, 4)]
    assert first.number not in others
    assert first.lease is not None
    name, pools, now_ms = first.lease.id, shop.rig.intake.pools, shop.rig.clock.ms
    ended = shop.work(lambda turn: pools.heartbeat(turn, name, now_ms))
    assert ended.refused


def test_erasing_a_session_leaves_a_lease_of_nobody(shop: Lender) -> None:
    shop.browse("cookie:5f")
    done = shop.ask("cookie:5f")
    shop.rig.erase(["cookie:5f"])
    ring = events("sip:1", shop.rig.clock.ms + 60_000, number=done.number)[0]
    pop = shop.call(ring)
    assert (pop["joined_by"], pop["who"]) == (None, None)
    assert "erased" in " ".join(pop["why"])
    assert b"h:" not in b"".join(r.body for r in shop.rig.store.pool_rows() if r.kind == 1)


@pytest.mark.parametrize("number", ["+33170180099", "+33199999999", ""])
def test_a_call_to_a_number_that_is_not_lent_is_nobodys(shop: Lender, number: str) -> None:
    shop.ask("cookie:5f")
    pop = shop.call(events("sip:1", shop.rig.clock.ms, number=number)[0])
    assert (pop["joined_by"], pop["pool"]) == (None, "")


def test_a_call_to_a_retired_number_is_still_its_holders(shop: Lender) -> None:
    shop.browse("cookie:5f")
    done = shop.ask("cookie:5f")
    shop.want(0, "numbers_of_old = []\n".replace("numbers_of_old = []\n", ""))
    home = shop.rig.registry.path.parent
    kept = FILE.replace("+33170180000..{last}", "+33170180060")
    (home / "numbers.toml").write_text(kept)
    shop.pass_time(1000)
    health: Any = shop.rig.intake.pools.health(shop.rig.clock.ms)["web"]
    assert (health["quarantined"], health["free"]) == (4, 1)
    pop = shop.call(events("sip:1", shop.rig.clock.ms + 1000, number=done.number)[0])
    assert pop["joined_by"] == "lease"
    assert shop.ask("cookie:6").number == "+33170180060"


def test_two_calls_at_once_on_one_number_are_two_calls(shop: Lender) -> None:
    shop.browse("cookie:5f")
    number = shop.ask("cookie:5f").number
    at_ms = shop.rig.clock.ms + 60_000
    one = shop.call(events("sip:1", at_ms, number=number)[0])
    two = shop.call(events("sip:2", at_ms + 500, number=number, caller=Caller(WITHHELD))[0])
    assert one["joined_by"] == "lease"
    # She is not expected to call twice at once from another telephone.
    assert two["sure"] < one["sure"]
    assert shop.rig.intake.counted["calls"] == 2


def test_a_clock_an_hour_off_names_nobody_wrongly(shop: Lender) -> None:
    shop.ask("cookie:5f")
    early = shop.rig.clock.ms - 3_600_000
    ring = events("sip:1", max(1, early), number="+33170180000")[0]
    shop.tell(ring.touchpoint(), lane=BULK)
    known = told_of(shop.row())
    assert (known.method, known.why) == ("", ("lease: nobody is named (before any lease)",))


def test_a_kiosks_number_leads_to_the_session_at_it(shop: Lender) -> None:
    shop.browse("cookie:a")
    done = shop.ask("kiosk:entrance", kind="place")
    touched: Any = {"kiosk": "entrance", "action": "tap", "session": "cookie:a"}
    shop.tell(tp.kiosk_interaction(**touched, at_ms=shop.rig.clock.ms))
    ring = events("sip:1", shop.rig.clock.ms + 1000, number=done.number)[0]
    pop = shop.call(ring)
    assert (pop["joined_by"], pop["who"]) == ("place", {"id": "cookie:a"})


def test_a_pool_that_is_taken_out_lends_nothing_more(shop: Lender) -> None:
    shop.ask("cookie:5f")
    home = shop.rig.registry.path.parent
    (home / "numbers.toml").write_text(
        FILE.replace("web", "other").replace("80000..{last}", "80070")
    )
    shop.pass_time(1000)
    pools = shop.rig.intake.pools
    assert pools.find("web") is None
    assert pools.find(None) is not None
    assert pools.pool_of("+33170180000") == "web"


def test_consent_counts_for_who_was_found_by_a_lease(shop: Lender) -> None:
    shop.browse("cookie:5f")
    shop.tell(said("cookie:5f", granted=False, at_ms=shop.rig.clock.ms + 1))
    number = shop.ask("cookie:5f").number
    pop = shop.call(events("sip:1", shop.rig.clock.ms + 60_000, number=number)[0])
    assert (pop["joined_by"], pop["who"]) == ("lease", None)
    assert "cookie" not in json.dumps(pop)


def test_the_pools_learn_how_long_people_take(shop: Lender) -> None:
    known = shop.rig.intake.pools._pools["web"]
    for n in range(2):
        shop.browse("cookie:5f")
        number = shop.ask("cookie:5f").number
        shop.call(*events(f"sip:{n}", shop.rig.clock.ms + 120_000, number=number))
        # The telephone's memory confirms the second lease, and nothing the first.
        assert known.model.confirmed == n
        shop.pass_time(DAY_MS)
    assert [row for row in shop.rig.store.pool_rows() if row.kind == MODEL]


def test_a_score_that_has_not_proved_itself_names_nobody_more_surely(shop: Lender) -> None:
    """Two held one number; the one who claims to call always is no likelier for that."""
    shop.want(0)
    lent = []
    for session, intent in (("cookie:1", 1.0), ("cookie:2", 0.01)):
        shop.browse(session)
        now_ms = shop.rig.clock.ms
        asked = LeaseAsked(session, intent=intent)
        done = shop.work(
            lambda turn, a=asked, t=now_ms: shop.rig.intake.lend(turn, SITE, a, "web", t)
        )
        lent.append(done.number)
        shop.pass_time(45 * 60_000)
    assert lent[0] == lent[1]
    named = shop.rig.intake.pools.named(lent[0], shop.rig.clock.ms, None)
    assert named is not None
    first = shop.rig.intake.vault.known(["cookie:1"])[0]
    assert named.candidates[0] != first


def test_whether_a_visitor_called_is_learnt_a_day_later(
    shop: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = shop.rig.intake.pools._pools["web"]
    told: list[bool] = []

    def learned(_intent: float | None, called: bool) -> str:
        told.append(called)
        return ""

    monkeypatch.setattr(known.pool, "learned", learned)
    lease = shop.ask("cookie:5f").lease
    assert lease is not None
    shop.pass_time(60 * 60_000)
    assert (told, len(known.awaited)) == ([], 1)
    known.called[lease.id] = 1.0  # she called when her lease had long ended
    shop.pass_time(DAY_MS)
    assert (told, len(known.awaited)) == ([True], 0)


def test_a_turn_that_asks_nothing_writes_nothing(shop: Lender) -> None:
    seen: list[Turn] = []

    def look(turn: Turn) -> int:
        seen.append(turn)
        return 1

    shop.work(look)
    assert not seen[0].writes.pools
    assert shop.rig.clock.ms > START_MS


OTHER = FILE.replace("web", "other").replace("80000..{last}", "80070")


def test_two_pools_of_a_tenant_give_no_two_leases_one_id(shop: Lender) -> None:
    shop.want(3, OTHER)
    one, two = shop.ask("cookie:1").lease, shop.ask("cookie:2", pool="other").lease
    assert one is not None
    assert two is not None
    assert (one.id, two.id) == ("b.web-1", "b.other-1")
    pools, now_ms = shop.rig.intake.pools, shop.rig.clock.ms
    found = shop.work(lambda turn: pools.heartbeat(turn, two.id, now_ms))
    assert found.lease.number == two.number


def test_without_its_terms_a_restored_pool_ends_no_lease(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        shop = Lender(rig)
        shop.want(3, "minimum_minutes = 600\n")
        lease = shop.ask("cookie:1").lease
        assert lease is not None
    (tmp_path / "numbers.toml").write_text("[[pool]\n")
    with Rig(tmp_path, clock=rig.clock) as again:
        shop.rig = again
        pools = again.intake.pools
        shop.pass_time(31 * 60_000)
        shop.work(lambda turn: pools.release(turn, lease.id, again.clock.ms))
        shop.pass_time(601 * 60_000)
        shop.work(lambda turn: pools.erase(turn, [10**6], again.clock.ms))
        assert [one.until_ms for one in pools.live()] == [lease.until_ms]
        shop.want(3, "minimum_minutes = 600\n")
        shop.pass_time(10_000)
        assert not list(pools.live())
