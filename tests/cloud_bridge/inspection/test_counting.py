"""A big log is reckoned from samples, close to what a full count says; a small one is counted."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cloud_bridge.inspection import counting
from cloud_bridge.inspection.facts import Count
from cloud_bridge.inspection.looking import look
from cloud_bridge.inspection.of_store import RECENT_ROWS, Asked
from cloud_bridge.registry import Registry
from cloud_bridge.schemes import KIND_BITS
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import BATCH, GAPS, WAITING, LogRow, PromptRow, VaultRow, Writes
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.sqlite import Connection, open_connection
from edge_sdk.wire.control import encode_notice

ROWS = counting.EXACT_ROWS * 2
DEVICES = 10
BODIES = 6
NOTICE = encode_notice([(0, 5, 9, 5, 0)])


def fill(home: Path) -> None:
    """Device 1 to 9 and the web take turns; each hundredth row is a notice."""
    lot = random.Random(1)
    store = SqliteStore(home)
    store.open("acme")
    writes = Writes()
    for id_ in range(1, ROWS + 1):
        device = id_ % DEVICES or None
        gaps = id_ % 100 == 1
        touchpoints = 0 if gaps else lot.randint(1, 40)
        body = NOTICE if gaps else bytes(touchpoints)
        kind = GAPS if gaps else BATCH
        row = (device, 0, 0, id_ // DEVICES, kind, id_, 0, touchpoints, body)
        writes.log.append(LogRow(id_, "paris-1", *row))
        if device is None:
            for nth in range(BODIES):
                writes.collected[(id_ * BODIES + nth).to_bytes(16, "big")] = id_
        state = WAITING if id_ % 1000 == 0 else lot.choice(("accepted", "expired", "expired"))
        writes.prompts[id_] = PromptRow(lot.getrandbits(63), 1, 0, id_, state, 1, b"")
        if id_ % 4:
            handle = id_ << KIND_BITS | lot.randrange(4)
            writes.vault.append(VaultRow(handle, id_.to_bytes(16, "big"), b"key", b"sealed"))
    store.commit(writes)
    store.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("big")
    fill(data / "acme")
    return data


@pytest.fixture
def database(data: Path) -> Iterator[Connection]:
    database = open_connection(data / "acme/bridge.sqlite")
    yield database
    database.close()


def near(count: Count, exact: Count, share: float = 0.05) -> bool:
    return not count.exact and exact.exact and abs(count.value - exact.value) < exact.value * share


def test_samples_are_near_a_full_count(data: Path) -> None:
    told: list[float] = []
    [quick] = look(data, None, ROWS).tenants
    [full] = look(data, None, ROWS, Asked(full=True, progress=told.append)).tenants
    assert quick.store is not None
    assert full.store is not None
    assert quick.store.log.rows == full.store.log.rows == ROWS
    assert near(quick.store.log.touchpoints, full.store.log.touchpoints)
    assert near(quick.store.log.body_bytes, full.store.log.body_bytes)
    assert near(quick.store.vault.handles, full.store.vault.handles)
    # Each tenth row has some.
    assert near(quick.store.collected, full.store.collected, share=0.2)
    assert full.store.vault.handles == Count(ROWS * 3 // 4)
    assert full.store.collected == Count(ROWS // DEVICES * BODIES)
    assert told == [0.0]


def test_prompts_by_outcome(database: Connection) -> None:
    exact, each = counting.settled(database, WAITING, full=True)
    sampled, about = counting.settled(database, WAITING, full=False)
    assert exact == Count(ROWS - ROWS // 1000)
    assert sum(each.values()) == exact.value
    assert (sampled.value, sampled.exact) == (exact.value, False)
    assert abs(about["expired"] - each["expired"]) < each["expired"] / 20


def test_what_never_came_is_found_without_the_whole_log(data: Path, tmp_path: Path) -> None:
    for home, index in ((data, True), (tmp_path, False)):
        if not index:  # as an earlier build made it
            fill(home / "acme")
            with closing(open_connection(home / "acme/bridge.sqlite")) as database:
                database.execute("DROP INDEX given_up")
        with Registry(home / "acme").opened("acme") as registry:
            registry.enrol(AesCcm(), "paris-1", "gateway-1", "", "")
        [tenant] = look(home, None, ROWS).tenants
        assert tenant.store is not None
        [device] = tenant.devices
        rows = ROWS if index else RECENT_ROWS
        assert device.given_up == {"shed": 5 * rows // 100}
        assert tenant.store.given_up_since == ROWS - rows + 1


def test_few_rows_are_counted(database: Connection) -> None:
    assert counting.log_sums(database, ROWS - 99, ROWS).touchpoints.exact
    assert counting.log_sums(database, ROWS + 1, ROWS).touchpoints == Count(0)


def test_a_sample_meets_whoever_takes_turns() -> None:
    met = {number % DEVICES for number in counting.samples(1, 5_000_000)}
    assert met == set(range(DEVICES))


@pytest.mark.parametrize(("first", "rows"), [(1, 20_001), (1_000_000, 2_000), (5, 123_456_789)])
def test_samples_lie_where_rows_are(first: int, rows: int) -> None:
    drawn = counting.samples(first, rows)
    assert len(set(drawn)) == len(drawn) == counting.SAMPLES
    assert first <= min(drawn) <= max(drawn) < first + rows
