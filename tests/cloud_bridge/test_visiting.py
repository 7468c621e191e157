"""Boards of a store send sightings; the bridge makes visits of them, once, whatever is killed."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from cloud_bridge import cli, plans, visiting
from cloud_bridge.batch import Batch
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Device
from cloud_bridge.store import BATCH, LogRow
from cloud_bridge.turn import Arrival, Turn
from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import StorePlan, parse_plan
from edge_sdk.wire.control import Prompt
from edge_sdk.wire.enrolment import Enrolment
from edge_sdk.wire.keys import root_key
from edge_sdk.wire.topics import BULK
from edge_sdk.wire.touchpoint import CODES, Touchpoint, make
from tests.cloud_bridge.little_device import SECRET, START_MS, SUITE, LittleDevice
from tests.cloud_bridge.lives import TENANT, Life
from tests.cloud_bridge.rig import Rig

PLAN = """
receivers = [{ name = "left", x = 2, y = 2 }, { name = "right", x = 12, y = 2 }]
zones = [
  { name = "coffee", corners = [[0, 0], [7, 0], [7, 4], [0, 4]] },
  { name = "tea", corners = [[7, 0], [14, 0], [14, 4], [7, 4]] },
]
kiosks = [{ name = "kiosk-1", x = 1, y = 1 }]
"""
SITE = "paris-1"
ENTER, DWELL, EXIT = CODES["visit.enter"], CODES["visit.dwell"], CODES["visit.exit"]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "store.toml"
    path.parent.mkdir()
    path.write_text(PLAN, encoding="utf-8")
    return path


def sighting(
    receiver: str, rssi_dbm: int, at_ms: int = START_MS, beacon: str = "ble:1"
) -> Touchpoint:
    return make(
        "sighting",
        at_ms,
        receiver=receiver,
        beacon=beacon,
        window_ms=5000,
        readings=10,
        rssi_median_dbm=rssi_dbm,
        rssi_spread_db=2,
    )


class Told(NamedTuple):
    """A visit touchpoint of the log, made by the bridge."""

    code: int
    at_ms: int
    visit: int
    visitor: int
    zone: str
    dwell_ms: int | None


def made(log: Iterator[LogRow]) -> list[Told]:
    """What the bridge itself has logged, of no device."""
    found = []
    for row in log:
        if row.kind == BATCH and row.device is None and row.seq:
            for _, code, at_ms, values in Batch.from_body(row.body).told({ENTER, DWELL, EXIT}):
                visit, visitor, zone, *rest = values
                dwell_ms = None if code == ENTER else rest[0]
                found.append(Told(code, at_ms, visit, visitor, zone, dwell_ms))
    return found


def check_whole(told: Sequence[Told], still_open: int = 0) -> None:
    """Every visit is entered once, ends at most once, and nobody is in two places."""
    inside: dict[int, Told] = {}
    numbers = [visit.visit for visit in told if visit.code == ENTER]
    assert len(numbers) == len(set(numbers))
    for one in told:
        if one.code == ENTER:
            assert one.visitor not in inside
            inside[one.visitor] = one
        else:
            entered = inside[one.visitor]
            assert (entered.visit, entered.zone) == (one.visit, one.zone)
            assert one.dwell_ms is not None
            assert 0 <= one.dwell_ms <= one.at_ms - entered.at_ms + 15_000
            if one.code == EXIT:
                del inside[one.visitor]
    assert len(inside) == still_open


def shape(told: Sequence[Told]) -> list[tuple[int, int, str]]:
    return [(one.code, one.visitor, one.zone) for one in told if one.code != DWELL]


# Through the real thread, and to the kiosk


def store_of_boards(rig: Rig) -> tuple[LittleDevice, LittleDevice, LittleDevice]:
    """Two boards and a kiosk, which the plan puts into its zone."""
    left, right = rig.enrol("left"), rig.enrol("right")
    kiosk = rig.enrol("kiosk-1", "kiosk", "")
    for device in (left, right, kiosk):
        rig.send(device, device.start())
    return left, right, kiosk


def web() -> bytes:
    at_ms = START_MS - 60_000
    events = [
        {"type": "page.view", "at_ms": at_ms, "page": "/coffee", "category": "coffee"},
        {"type": "identify", "at_ms": at_ms, "known_as": "loyalty:7", "method": "login"},
        {"type": "consent", "at_ms": at_ms, "purpose": "in_store_prompts", "granted": True},
    ]
    return json.dumps({"session": "cookie:5", "id": "b1", "events": events}).encode()


def send_for(rig: Rig, boards: Sequence[LittleDevice], seconds: int, strong: str) -> None:
    """Both boards hear the beacon, `strong` more than the other, in windows of 5 s."""
    for _ in range(0, seconds, 5):
        rig.clock.ms += 5_000
        for board, name in zip(boards, ("left", "right"), strict=True):
            rssi_dbm = -50 if name == strong else -75
            rig.send(board, board.columns(sighting(name, rssi_dbm, rig.clock.ms)), lane=BULK)


def follow_until(rig: Rig, kind: str) -> None:
    while kind not in rig.kinds():
        rig.follow()


def test_two_boards_and_one_visit_and_a_prompt_at_the_kiosk(tmp_path: Path, plan: Path) -> None:
    with Rig(tmp_path) as rig:
        plans.put(tmp_path, SITE, plan)
        left, right, kiosk = store_of_boards(rig)
        rig.collect(web())
        seen = make("identify", START_MS, seen="ble:1", known_as="loyalty:7", method="app")
        rig.send(left, left.rows(seen))
        send_for(rig, (left, right), 30, "left")
        follow_until(rig, "prompt")
        heard = [said for kind, said in rig.heard[kiosk.number] if kind == "prompt"]
        assert {(type(said), said.offer) for said in heard} == {(Prompt, "coffee-tasting")}
        assert len({said.id for said in heard}) == 1  # it is sent again until it is shown
        for _ in range(40):  # nobody hears it any more
            rig.clock.ms += 10_000
            rig.follow_quietly()
            if any(one.code == EXIT for one in made(rig.store.log())):
                break
        told = made(rig.store.log())
        check_whole(told)
        assert [(code, zone) for code, _, zone in shape(told)] == [
            (ENTER, "coffee"),
            (EXIT, "coffee"),
        ]
        assert list(rig.store.visits()) == []


def test_a_gateway_that_makes_visits_itself_is_left_to_it(tmp_path: Path, plan: Path) -> None:
    with Rig(tmp_path) as rig:
        plans.put(tmp_path, SITE, plan)
        left, right, _ = store_of_boards(rig)
        own = make("visit.enter", START_MS, visit=1, visitor="ble:1", zone="coffee")
        rig.send(left, left.rows(own))
        rig.send(right, right.rows(own))
        send_for(rig, (left, right), 30, "left")
        assert made(rig.store.log()) == []
        assert rig.intake.counted["presence.fused_elsewhere"] == 12


def test_what_comes_late_is_a_fact_and_no_visit(tmp_path: Path, plan: Path) -> None:
    with Rig(tmp_path) as rig:
        plans.put(tmp_path, SITE, plan)
        left, _, _ = store_of_boards(rig)
        rig.clock.ms += 600_000
        backlog = [sighting("left", -50, START_MS + at_s * 1000) for at_s in range(0, 300, 5)]
        rig.send(left, left.columns(*backlog), lane=BULK)
        assert rig.intake.counted["presence.late"] == 60
        assert rig.intake.counted["touchpoints.sighting"] == 60
        assert made(rig.store.log()) == []


def test_a_plan_is_replaced_and_dropped_while_the_bridge_runs(tmp_path: Path, plan: Path) -> None:
    with Rig(tmp_path) as rig:
        plans.put(tmp_path, SITE, plan)
        left, right, _ = store_of_boards(rig)
        send_for(rig, (left, right), 20, "left")
        assert shape(made(rig.store.log()))[0][2] == "coffee"
        plan.write_text(PLAN.replace('"coffee"', '"espresso"'), encoding="utf-8")
        plans.put(tmp_path, SITE, plan)
        send_for(rig, (left, right), 20, "left")
        plans.drop(tmp_path, SITE)
        send_for(rig, (left, right), 20, "left")
        told = made(rig.store.log())
        check_whole(told)
        assert [zone for code, _, zone in shape(told) if code == EXIT] == ["coffee", "espresso"]
        assert rig.intake.visiting.open_visits == 0


# Killed at any time


BOARDS = {1: "left", 2: "right"}
DEVICES = [
    *(
        Device(n, SITE, name, "", "", 0, False, root_key(SUITE, TENANT, SITE, SECRET))
        for n, name in BOARDS.items()
    ),
    Device(3, SITE, "kiosk-1", "kiosk", "", 0, False, bytes(32)),
]


class StoreLife(Life):
    """A life with a store that has a plan; it looks at the time in every turn."""

    plans: dict[str, StorePlan] | None = None

    def turn(self, now_ms: int, arrivals: Sequence[Arrival] = ()) -> Turn:
        intake: Intake = self.intake
        turn = Turn()
        intake.enrolled(turn, DEVICES)
        if not intake.visiting.stores and self.plans is not None:
            intake.planned(self.plans, now_ms)
        intake.visiting.tick(now_ms)
        for arrival in arrivals:
            intake.message(turn, arrival, 0.0)
        intake.visiting.visits(turn, now_ms)
        intake.finish(turn)
        return turn

    def live_through(self, now_ms: int, arrivals: Sequence[Arrival] = ()) -> None:
        """A turn that is committed."""
        writes = self.turn(now_ms, arrivals).writes
        if writes:
            self.store.commit(writes)


class Second(NamedTuple):
    """What comes in one second."""

    now_ms: int
    arrivals: list[Arrival]


def walks(seed: int) -> list[Second]:
    """Three beacons walk to and fro between two boards for some minutes, and are gone."""
    lot = random.Random(f"walks {seed}")
    boards = {n: LittleDevice(Enrolment(TENANT, SITE, n, 0, SECRET)) for n in BOARDS}
    where = {f"ble:{n}": lot.choice(("left", "right", "")) for n in range(3)}
    seconds = [
        Second(START_MS, [_came(board, board.start(), START_MS) for board in boards.values()])
    ]
    for at_s in range(1, 380):
        now_ms = START_MS + at_s * 1000
        arrivals = []
        for number, board in boards.items():
            if at_s % 5 == number and at_s < 220:
                heard = [
                    sighting(BOARDS[number], -48 if side == BOARDS[number] else -78, now_ms, beacon)
                    for beacon, side in where.items()
                    if side
                ]
                if heard:
                    arrivals.append(_came(board, board.columns(*heard), now_ms))
        if at_s % 40 == 0:
            where[lot.choice(list(where))] = lot.choice(("left", "right", ""))
        seconds.append(Second(now_ms, arrivals))
    return seconds


def _came(board: LittleDevice, message: bytes, now_ms: int) -> Arrival:
    return Arrival(board.topic(BULK), message, now_ms, (BULK, 1, 1))


@pytest.fixture
def store_plan() -> dict[str, StorePlan]:
    return {SITE: parse_plan(PLAN)}


def lived(home: Path, seconds: Sequence[Second], plan: dict[str, StorePlan]) -> list[Told]:
    home.mkdir()
    with StoreLife(home) as life:
        life.plans = plan
        for second in seconds:
            life.live_through(*second)
        assert list(life.store.visits()) == []
        return made(life.store.log())


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_any_time_change_nothing(
    tmp_path: Path, store_plan: dict[str, StorePlan], seed: int
) -> None:
    seconds = walks(seed)
    quiet = lived(tmp_path / "quiet", seconds, store_plan)
    check_whole(quiet)
    assert len(shape(quiet)) >= 6
    lot = random.Random(f"kills {seed}")
    (tmp_path / "hard").mkdir()
    with StoreLife(tmp_path / "hard") as life:
        life.plans = store_plan
        kills = 0
        for second in seconds:
            if lot.random() < 0.1:
                life.turn(*second)  # taken in, and killed before it is committed
                life.again()
                kills += 1
            life.live_through(*second)
            if lot.random() < 0.1:
                life.again()
                kills += 1
        assert kills > 20
        told = made(life.store.log())
        assert list(life.store.visits()) == []
    check_whole(told)
    assert shape(told) == shape(quiet)


def test_a_visit_that_outlasts_the_warm_part_goes_on_or_ends(
    tmp_path: Path, store_plan: dict[str, StorePlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its enter is older than all that warms the engine: it goes on under its number."""
    monkeypatch.setattr(visiting, "WARM_MS", 30_000)
    board = LittleDevice(Enrolment(TENANT, SITE, 1, 0, SECRET))
    with StoreLife(tmp_path) as life:
        life.plans = store_plan
        now_ms = START_MS
        life.live_through(now_ms, [_came(board, board.start(), now_ms)])
        for _ in range(40):
            now_ms += 5_000
            heard = board.columns(sighting("left", -50, now_ms))
            life.live_through(now_ms, [_came(board, heard, now_ms)])
        (row,) = life.store.visits()
        assert row.dwell_ms >= 180_000
        life.again()
        for _ in range(8):
            now_ms += 5_000
            heard = board.columns(sighting("left", -50, now_ms))
            life.live_through(now_ms, [_came(board, heard, now_ms)])
        assert [again.visit for again in life.store.visits()] == [row.visit]
        life.again()
        now_ms += 3_600_000  # the bridge was away for an hour
        life.live_through(now_ms)
        told = made(life.store.log())
        check_whole(told)
        assert told[-1].code == EXIT
        assert list(life.store.visits()) == []


def test_a_plan_that_went_away_while_the_bridge_was_down_ends_its_visits(
    tmp_path: Path, store_plan: dict[str, StorePlan]
) -> None:
    seconds = walks(1)
    with StoreLife(tmp_path) as life:
        life.plans = store_plan
        for second in seconds[:60]:
            life.live_through(*second)
        assert list(life.store.visits())
        life.plans = {}
        life.again()
        life.live_through(seconds[60].now_ms)
        check_whole(made(life.store.log()))
        assert list(life.store.visits()) == []


def test_nobody_who_was_erased_is_told_of(tmp_path: Path, store_plan: dict[str, StorePlan]) -> None:
    seconds = walks(1)
    with StoreLife(tmp_path) as life:
        life.plans = store_plan
        for second in seconds[:60]:
            life.live_through(*second)
        gone = {row.visitor for row in life.store.visits()}
        assert gone
        turn = Turn()
        life.intake.erase(turn, [f"ble:{n}" for n in range(3)])
        life.intake.finish(turn)
        life.store.commit(turn.writes)
        rows = life.intake.next_log_id
        assert list(life.store.visits()) == []
        for second in seconds[60:]:
            life.live_through(*second)
        later = list(life.store.log(rows - 1))
        assert gone.isdisjoint(one.visitor for one in made(iter(later)))
        check_whole([one for one in made(life.store.log()) if one.visitor not in gone])
        assert list(life.store.visits()) == []


def test_a_clock_that_goes_back_ends_the_visits_and_begins_anew(
    tmp_path: Path, store_plan: dict[str, StorePlan]
) -> None:
    with StoreLife(tmp_path) as life:
        life.plans = store_plan
        for second in walks(1)[:60]:
            life.live_through(*second)
        assert life.intake.visiting.open_visits
        life.live_through(START_MS - 3_600_000)
        assert life.intake.visiting.open_visits == 0
        assert list(life.store.visits()) == []


# Plans in a folder


def test_plans_are_read_again_when_they_change_and_faulty_ones_leave_the_old(
    tmp_path: Path, plan: Path
) -> None:
    watched = plans.Plans(tmp_path)
    assert watched.look() == {}
    plans.put(tmp_path, "paris/1 é", plan)
    first = watched.look()
    assert first is not None
    assert list(first) == ["paris/1 é"]
    assert watched.look() is None
    path = plans.path_of(tmp_path, "paris/1 é")
    beside = path.with_suffix(".new")
    beside.write_text("zones = 7", encoding="utf-8")
    beside.replace(path)
    again = watched.look()
    assert again is not None
    assert again["paris/1 é"] is first["paris/1 é"]
    plans.drop(tmp_path, "paris/1 é")
    assert watched.look() == {}
    with pytest.raises(ConfigError, match="has no plan"):
        plans.drop(tmp_path, "paris/1 é")


def test_the_command_line_sets_lists_and_drops_a_plan(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(tmp_path / "data"))
    new = ("--tenant", "acme", "--site", SITE)
    assert cli.main(["store", "set", *data, *new, str(plan)]) == 0
    assert "no device is enrolled at site paris-1" in capsys.readouterr().err
    assert cli.main(["store", "list", *data]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["paris-1", "2", "2", "1", "-"]
    plan.write_text("zones = []", encoding="utf-8")
    assert cli.main(["store", "set", *data, "--site", SITE, str(plan)]) == 1
    assert "receivers: are missing" in capsys.readouterr().err
    assert cli.main(["store", "list", *data]) == 0
    assert cli.main(["store", "drop", *data, "--site", SITE]) == 0
    assert cli.main(["store", "drop", *data, "--site", SITE]) == 1
    assert "has no plan" in capsys.readouterr().err


def test_a_survey_goes_with_its_plan(tmp_path: Path, plan: Path) -> None:
    plan.write_text(f'survey = "walked.csv"\n{PLAN}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"walked\.csv"):
        plans.put(tmp_path, SITE, plan)
    plan.with_name("walked.csv").write_text("set,x_m\n", encoding="utf-8")
    plans.put(tmp_path, SITE, plan)
    ((site, store),) = plans.listed(tmp_path)
    assert site == SITE
    assert isinstance(store, StorePlan)
    assert store.survey is not None
    assert store.survey.read_text(encoding="utf-8") == "set,x_m\n"


def test_a_life_without_a_plan_makes_no_visits(tmp_path: Path) -> None:
    with StoreLife(tmp_path) as life:
        for second in walks(1)[:60]:
            life.live_through(*second)
        assert made(life.store.log()) == []
