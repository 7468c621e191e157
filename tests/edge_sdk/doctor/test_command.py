"""`edge-sdk doctor`, as an operator types it."""

import json
import subprocess
import sys
from pathlib import Path

from edge_sdk.doctor.finding import RESULTS
from edge_sdk.wire.keys import root_key
from tests.edge_sdk.homes import SECRET, enrolled
from tests.edge_sdk.read_outbox import SUITE
from tests.journey.brokers import mosquitto, needs_mosquitto

# Stands in for a machine on which nothing extra is installed.
BARE = """
import sys
sys.modules.update(bleak=None, dbus_fast=None, serial=None, biip=None, pynmeagps=None, numpy=None)
from edge_sdk.cli import main
sys.exit(main(sys.argv[1:]))
"""


def doctor(*arguments: str, bare: bool = False) -> "subprocess.CompletedProcess[str]":
    how = ["-c", BARE] if bare else ["-m", "edge_sdk.cli"]
    return subprocess.run(
        [sys.executable, *how, "doctor", "--listen", "0.2", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere/socket", "PATH": "/usr/bin:/bin"},
    )


@needs_mosquitto
def test_all_is_well(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    with mosquitto() as broker:
        ran = doctor("--home", str(home), "--broker", broker.url())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ok       keys" in ran.stdout
    assert "ok       broker" in ran.stdout
    assert not ran.stderr, "findings are the report, and logs would say them twice"


def test_something_fails(tmp_path: Path) -> None:
    ran = doctor("--home", str(tmp_path), "--broker", "mqtt://kiosk:secret@127.0.0.1:1")
    assert ran.returncode == 1
    assert "fail     keys" in ran.stdout
    assert "-> cloud-bridge enrol" in ran.stdout
    assert "secret" not in ran.stdout + ran.stderr


def test_for_machines_to_read(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    ran = doctor("--home", str(home), "--json")
    found = json.loads(ran.stdout)
    assert {"keys", "disk", "bluetooth", "serial", "clock", "broker"} <= {f["check"] for f in found}
    assert all(list(f) == ["check", "result", "found", "to_do"] for f in found)
    assert all(f["result"] in RESULTS and f["found"] for f in found)
    assert ran.returncode == int(any(f["result"] == "fail" for f in found))
    assert root_key(SUITE, "acme", "paris-1", SECRET).hex() not in ran.stdout


def test_without_any_extra(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    ran = doctor("--home", str(home), bare=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "edge-sdk[bluetooth]" in ran.stdout
    assert "edge-sdk[serial]" in ran.stdout
    assert doctor("--adapter", "hci0", bare=True).returncode == 1, "asked for, it has to be there"


def test_called_wrongly() -> None:
    for wrong in (["--serial", "/dev/ttyUSB0@fast"], ["--listen", "-1"], ["--listen", "nan"]):
        assert doctor(*wrong).returncode == 2
