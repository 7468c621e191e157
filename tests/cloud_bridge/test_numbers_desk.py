import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge import numbers_desk
from edge_sdk.errors import StorageError
from tests.cloud_bridge.rig import SITE, Rig
from tests.cloud_bridge.served import ORIGIN, Door, served
from tests.cloud_bridge.test_calls_desk import bearer, in_a_loop, told
from tests.cloud_bridge.test_pools import FILE

SESSION = {"session": "cookie:5f"}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    (tmp_path / "numbers.toml").write_text(FILE.format(last=3))
    with Rig(tmp_path) as rig:
        door = Door(rig)
        yield door


async def pools(door: Door) -> None:
    """Once the bridge has read its pools."""
    await door.ask(lambda _: 1)
    assert len(door.rig.intake.pools) == 1


def plain(answer: dict[str, Any]) -> str:
    """The id of a lease as the stream has it."""
    return str(answer["lease"].rpartition(".")[0])


@in_a_loop
async def test_a_page_gets_a_number_keeps_it_and_gives_it_back(door: Door) -> None:
    async with served(door) as client:
        await pools(door)
        key = bearer(door.key())
        answer = (await client.post("/numbers/lease", headers=key, json=SESSION)).json()
        assert answer["number"] == {
            "e164": "+33170180000",
            "national": "01 70 18 00 00",
            "international": "+33 1 70 18 00 00",
            "tel": "tel:+33-1-70-18-00-00",
        }
        assert not answer["fallback"]
        again = (await client.post("/numbers/lease", headers=key, json=SESSION)).json()
        assert again["lease"] == answer["lease"]
        lease = {"lease": answer["lease"]}
        for doing in ("heartbeat", "release"):
            said = await client.post(f"/numbers/{doing}", headers=key, json=lease)
            assert (said.status_code, said.json()["lease"]) == (200, answer["lease"])
        door.rig.clock.ms += 3_600_000
        assert (await client.post("/numbers/heartbeat", headers=key, json=lease)).status_code == 410
        other = {"lease": "b-999"}
        assert (await client.post("/numbers/release", headers=key, json=other)).status_code == 404


@in_a_loop
async def test_two_hundred_at_once_get_four_numbers_and_the_fallback(door: Door) -> None:
    async with served(door) as client:
        await pools(door)
        key = bearer(door.key())

        async def ask(n: int) -> dict[str, Any]:
            body = {"session": f"cookie:{n}"}
            found: dict[str, Any] = (
                await client.post("/numbers/lease", headers=key, json=body)
            ).json()
            return found

        answers = await asyncio.gather(*(ask(n) for n in range(200)))
        lent = [a["number"]["e164"] for a in answers if not a["fallback"]]
        assert sorted(lent) == [f"+3317018000{n}" for n in range(4)]
        assert {a["number"]["e164"] for a in answers if a["fallback"]} == {"+33170180099"}
        assert door.lent["fallback"] == 196


@in_a_loop
async def test_a_page_of_the_keys_origin_may_ask(door: Door) -> None:
    async with served(door) as client:
        await pools(door)
        key = bearer(door.key())
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        before = await client.options("/numbers/lease", headers=asked)
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == ORIGIN
        page = key | {"Origin": ORIGIN}
        answer = await client.post("/numbers/lease", headers=page, json=SESSION)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        other = key | {"Origin": "https://other.example"}
        assert (await client.post("/numbers/lease", headers=other, json=SESSION)).status_code == 403
        place = {"session": "kiosk:entrance", "kind": "place"}
        assert (await client.post("/numbers/lease", headers=page, json=place)).status_code == 403
        staff = bearer(door.key(SITE, ()))
        assert (await client.post("/numbers/lease", headers=staff, json=place)).is_success


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"session": "+33612345678"}, 422),
        ({"session": "tel:+33612345678", "kind": "place"}, 422),
        ({"session": "cookie:5f", "kind": "channel"}, 422),
        ({"session": "place:a", "kind": "channel"}, 422),
        ({"session": "channel:a", "kind": "place"}, 422),
        ({"session": "kiosk:a"}, 422),
        ({"session": "cookie:5f", "pool": "other"}, 404),
        ({"session": "cookie:5f", "kind": "person"}, 422),
        ({"session": "cookie:5f", "intent": 7}, 422),
        ({"session": "cookie:5f", "number": "+33612345678"}, 422),
        ({"session": "c:" + "x" * 200}, 422),
        ({"session": "cookie:" + "x" * 4000}, 413),
        ([], 422),
    ],
)
@in_a_loop
async def test_a_faulty_question_is_refused_and_not_repeated(
    door: Door, body: Any, status: int
) -> None:
    async with served(door) as client:
        await pools(door)
        key = bearer(door.key(SITE, ()))
        answer = await client.post("/numbers/lease", headers=key, json=body)
        assert answer.status_code == status
        assert "612345678" not in answer.text
        assert (await client.get("/numbers/lease", headers=key)).status_code == 405
        assert (await client.post("/numbers/lease", json=SESSION)).status_code == 401


@in_a_loop
async def test_while_the_disk_takes_nothing_the_fallback_is_shown(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_writes: object) -> None:
        raise StorageError("no room")

    async with served(door) as client:
        await pools(door)
        monkeypatch.setattr(numbers_desk, "ANSWER_S", 0.2)
        key = bearer(door.key())
        with monkeypatch.context() as disk:
            disk.setattr(door.rig.store, "commit", full)
            answer = await client.post("/numbers/lease", headers=key, json=SESSION)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["number"]["e164"] == "+33170180099"
        while door.rig.ingest.stalled:  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(0.01)


@in_a_loop
async def test_a_gateway_hears_of_every_lease_and_of_no_holder(door: Door) -> None:
    async with served(door) as client:
        await pools(door)
        page, staff = bearer(door.key()), bearer(door.key(SITE, ()))
        assert (await client.get("/numbers/leases", headers=page)).status_code == 403
        first = (await client.post("/numbers/lease", headers=page, json=SESSION)).json()
        async with client.stream("GET", "/numbers/leases", headers=staff) as stream:
            lines = told(stream)
            seen = [await anext(lines), await anext(lines)]
            assert (seen[0]["lease"]["id"], seen[1]) == (plain(first), {"snapshot": 1})
            body = {"session": "cookie:6"}
            second = (await client.post("/numbers/lease", headers=page, json=body)).json()
            door.leases.publish("acme", list(door.rig.intake.pools.live()))
            changed = [await anext(lines), await anext(lines)]
            assert [one["lease"]["id"] for one in changed] == [plain(first), plain(second)]
            assert "cookie" not in json.dumps([*seen, *changed])
            assert "h:" not in json.dumps([*seen, *changed])


@in_a_loop
async def test_who_guesses_an_id_or_has_a_pages_key_ends_nobodys_lease(door: Door) -> None:
    async with served(door) as client:
        await pools(door)
        page, staff = bearer(door.key()), bearer(door.key(SITE, ()))
        mine = (await client.post("/numbers/lease", headers=page, json=SESSION)).json()
        place = {"session": "kiosk:entrance", "kind": "place"}
        kiosk = (await client.post("/numbers/lease", headers=staff, json=place)).json()
        assert (plain(mine), plain(kiosk)) == ("b.web-1", "b.web-2")
        swapped = plain(kiosk) + "." + mine["lease"].rpartition(".")[2]
        for guess in (plain(mine), plain(kiosk), plain(mine) + "." + "0" * 16, swapped, "é", "."):
            for doing in ("heartbeat", "release"):
                told = {"lease": guess}
                said = await client.post(f"/numbers/{doing}", headers=staff, json=told)
                assert said.status_code == 404
        told = {"lease": kiosk["lease"]}
        for doing in ("heartbeat", "release"):
            said = await client.post(f"/numbers/{doing}", headers=page, json=told)
            assert said.status_code == 404
        assert len(list(door.rig.intake.pools.live())) == 2
        assert (await client.post("/numbers/release", headers=staff, json=told)).is_success
        assert len(list(door.rig.intake.pools.live())) == 1
