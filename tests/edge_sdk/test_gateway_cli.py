"""`edge-sdk gateway`: from beacons on the air to visits in a bridge, and a stop that ends them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud_bridge.batch import Batch
from cloud_bridge.factory import Bridge, Config
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import BATCH
from edge_sdk import enrol
from edge_sdk.cli import main
from edge_sdk.presence.beacons import to_advertisement
from edge_sdk.presence.frames import IBeacon
from edge_sdk.sources.caller_id import SDMF, write_frame
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.serial_lines import PseudoPort
from tests.edge_sdk.air import BEACON, BlueZ, always, in_a_loop
from tests.edge_sdk.homes import enrolled

TAG = IBeacon(bytes.fromhex("f7826da64fa24e988024bc5b71e0893e"), 1, 7, -59)
CALLER = write_frame(SDMF, b"112210150612345678")
STRANGER = "C0:FF:EE:00:00:09"
STORE = """
name = "shop"
receivers = [
  { name = "by-the-door", x = 2, y = 3, adapter = "hci0" },
  { name = "by-the-coffee", x = 14, y = 3, adapter = "hci1" },
]
zones = [
  { name = "entrance", corners = [[0, 0], [8, 0], [8, 6], [0, 6]] },
  { name = "coffee", corners = [[8, 0], [16, 0], [16, 6], [8, 6]] },
]
[privacy]
mode = "consented"
ours = ["ibeacon:f7826da64fa24e988024bc5b71e0893e"]
[presence]
min_dwell_ms = 500
window_ms = 1000
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "store.toml"
    path.write_text(STORE)
    return path


@asynccontextmanager
async def started(home: Path, broker: str, plan: Path, *more: str) -> AsyncIterator[Process]:
    """The gateway as a process of its own; its bus is the peer's."""
    command = ["gateway", "--home", str(home), "--broker", broker, "--plan", str(plan), *more]
    program = [sys.executable, "-W", "error", "-m", "edge_sdk.cli", *command]
    process = await asyncio.create_subprocess_exec(
        *program, stdout=PIPE, stderr=PIPE, env=os.environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def stopped(process: Process) -> str:
    """What it logged, once it is told to stop and has ended in order."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        out, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    assert out == b""
    return log.decode()


def held(folder: Path) -> list[Touchpoint]:
    """Every touchpoint in a bridge's log, without identifiers."""
    store = SqliteStore(folder)
    store.open("acme")
    try:
        rows = [row for row in store.log() if row.kind == BATCH]
    finally:
        store.close()
    return [t for row in rows for t in Batch.from_body(row.body).touchpoints(lambda _: "x:y")]


def named(told: Sequence[Touchpoint], name: str) -> list[Touchpoint]:
    return [touchpoint for touchpoint in told if touchpoint.name == name]


@in_a_loop
async def test_a_beacon_becomes_a_visit_in_the_bridge_and_sigterm_ends_it(
    tmp_path: Path, plan: Path
) -> None:
    scanner, caller_ids = tmp_path / "scanner", tmp_path / "box"
    with PseudoPort(scanner) as till, PseudoPort(caller_ids) as box:
        async with (
            Bridge(Config(tmp_path / "bridge", tenant="acme", http_port=0)) as bridge,
            BlueZ(["hci0", "hci1"]) as peer,
        ):
            home = tmp_path / "gateway"
            enrol(bridge.enrol("paris-1", "gateway-1"), home)
            events = bridge.feed.watch()
            await anext(events)

            def on_the_air() -> None:
                peer.advertise("hci1", BEACON, -55, to_advertisement(TAG))
                peer.advertise("hci0", BEACON, -82, to_advertisement(TAG))
                peer.advertise("hci0", STRANGER, -50)
                till.send(b"]E04006381333931\r\n")
                box.send(CALLER)

            scans = ("--scanner", str(scanner), "--report", "1")
            more = (*scans, "--caller-id", str(caller_ids), "+33170180000")
            async with started(home, bridge.broker_url, plan, *more) as running:
                await peer.until_scanned()
                async with always(on_the_air, every_s=0.05), asyncio.timeout(60):
                    async for event in events:
                        if b"event: visit" in event:
                            break
                    assert b"coffee" in event
                    log = await stopped(running)
        (tenant,) = [path for path in (tmp_path / "bridge").iterdir() if path.is_dir()]
    told = held(tenant)
    (enter,), (leave,) = named(told, "visit.enter"), named(told, "visit.exit")
    assert enter.get("visit") == leave.get("visit")
    assert leave.get("zone") == "coffee"
    assert leave.get("probability_pct") < 50
    assert {t.get("code") for t in named(told, "scan")} == {"4006381333931"}
    assert {t.get("receiver") for t in named(told, "sighting")} == {"by-the-door", "by-the-coffee"}
    calls = named(told, "call")
    assert {t.get("phase") for t in calls} == {"ring", "missed"}  # stopped, it leaves none open
    assert {t.get("call") for t in calls if t.get("phase") == "ring"} == {
        t.get("call") for t in calls if t.get("phase") == "missed"
    }
    assert {t.get("caller_state") for t in calls} == {"known"}
    for line in (
        "presence: zones, by path loss (no survey)",
        "runs in store shop: privacy=consented receivers=by-the-door,by-the-coffee",
        "gateway: connected=yes",
        "presence.foreign=",
        "told to stop",
        "stopped: the bridge holds everything",
    ):
        assert line in log, log
    for secret in (
        "c0ffee",
        "c0:ff:ee",
        "f7826da64fa24e988024bc5b71e0893e",
        "4006381333931",
        "612345678",
    ):
        assert secret not in log.lower()


@in_a_loop
async def test_without_a_bridge_it_runs_and_says_what_waits(tmp_path: Path, plan: Path) -> None:
    async with BlueZ(["hci0", "hci1"]) as peer:
        home = enrolled(tmp_path / "gateway")
        async with started(home, "mqtt://127.0.0.1:1", plan) as running:
            await peer.until_scanned()
            log = await stopped(running)
    assert "stopped: no connection;" in log
    assert "wait for the next start" in log


def code_of(tmp_path: Path, *more: str) -> int:
    home = str(enrolled(tmp_path / "gateway"))
    return main(["gateway", "--home", home, "--broker", "mqtt://127.0.0.1:1", *more])


@pytest.mark.parametrize(
    ("there", "instead", "says"),
    [
        ('mode = "consented"', 'mode = "consenting"', "did you mean 'consented'?"),
        (', adapter = "hci0"', "", None),
        ("min_dwell_ms", "min_dwel_ms", "did you mean 'min_dwell_ms'?"),
    ],
)
def test_a_plan_that_cannot_work_is_told_at_once(
    there: str, instead: str, says: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STORE.replace(there, instead)
    if says is None:
        text, says = text.replace(', adapter = "hci1"', ""), "give one an adapter"
    (tmp_path / "store.toml").write_text(text)
    assert code_of(tmp_path, "--plan", str(tmp_path / "store.toml")) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--scanner", "/dev/ttyUSB0@fast"], "/dev/ttyUSB0@115200"),
        (["--counter", "/dev/ttyUSB0", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["--gnss", "/dev/ttyUSB0", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["--modem", "/dev/ttyUSB0@fast", "+33170180000"], "/dev/ttyUSB0@115200"),
        (["--modem", "/dev/ttyUSB0", "0170180000"], "as +33170180000"),
        (["--caller-id", "/dev/ttyUSB0", "3631"], "as +33170180000"),
    ],
)
def test_a_device_that_cannot_work_is_told_at_once(
    more: list[str], says: str, tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(tmp_path, "--plan", str(plan), *more) == 1
    assert says in capsys.readouterr().err


def test_a_home_that_is_not_enrolled(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["gateway", "--home", str(tmp_path / "none"), "--broker", "mqtt://127.0.0.1:1"]
    assert main([*command, "--plan", str(plan)]) == 1
    assert "none" in capsys.readouterr().err
