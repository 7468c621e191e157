from pathlib import Path
from typing import Any

import pytest

from edge_sdk.lease_replica import LeaseReplica


def lease(n: int, number: str = "+33170180000", **more: Any) -> dict[str, Any]:
    told = {"id": f"b-{n}", "pool": "web", "number": number, "kind": "session", "until_ms": 5}
    return {"lease": {**told, **more}}


def told(replica: LeaseReplica, *items: object) -> list[bytes]:
    for item in items:
        replica.take(item)
    return list(replica.changes())


def test_changes_are_told_once_and_the_newest_lease_of_a_number_counts(tmp_path: Path) -> None:
    replica = LeaseReplica(tmp_path)
    assert told(replica, lease(1), lease(2, "+33170180001")) == [
        b"+33170180000=b-1;+33170180001=b-2;"
    ]
    assert told(replica, lease(1)) == []
    assert told(replica, lease(3), {"ended": "b-1"}) == [b"+33170180000=b-3;"]
    assert told(replica, {"ended": "b-3"}) == [b"+33170180000=;"]
    replica.tell_all()
    assert list(replica.changes()) == [b"+33170180001=b-2;"]


def test_what_a_new_snapshot_does_not_tell_has_ended(tmp_path: Path) -> None:
    replica = LeaseReplica(tmp_path)
    told(replica, lease(1), lease(2, "+33170180001"))
    assert told(replica, None, lease(1), {"snapshot": 1}) == [b"+33170180001=;"]
    held = replica.find("+33170180000")
    assert held is not None
    assert held.lease == "b-1"
    assert replica.find("+33170180001") is None


def test_while_the_bridge_is_away_what_was_told_holds(tmp_path: Path) -> None:
    replica = LeaseReplica(tmp_path)
    told(replica, lease(1), None)
    assert replica.find("+33170180000")
    replica.save()
    again = LeaseReplica(tmp_path)
    again.load()
    assert again.find("+33170180000") == replica.find("+33170180000")
    assert list(again.changes()) == [b"+33170180000=b-1;"]


@pytest.mark.parametrize(
    "item",
    [7, "x", [], {}, {"lease": 1}, {"lease": {}}, lease(1, number=""), lease(1, number="a=b"),
     lease(1, pool="x;y"), lease(1, until_ms="soon"), {"ended": None}, {"snapshot": 3}],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(tmp_path: Path, item: object) -> None:
    replica = LeaseReplica(tmp_path)
    assert told(replica, lease(9, "+33170180009")) == [b"+33170180009=b-9;"]
    assert told(replica, item) == []
    assert len(replica) == 1


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"+33": 1}', '{"+33": [1]}'):
        (tmp_path / "leases.json").write_text(text)
        replica = LeaseReplica(tmp_path)
        replica.load()
        assert len(replica) == 0
