"""The command `edge-sdk`, as an integrator types it."""

import json
import subprocess
import sys
from pathlib import Path

from edge_sdk.wire.enrolment import Enrolment, to_token

TOKEN = to_token(Enrolment("acme", "paris-1", 42, 0, bytes(range(32))))
NOWHERE = "mqtt://127.0.0.1:1"


def edge_sdk(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk.cli", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_from_token_to_outbox(tmp_path: Path) -> None:
    home = str(tmp_path / "kiosk")
    enrolled = edge_sdk("enrol", "--home", home, given=TOKEN + "\n")
    assert enrolled.returncode == 0, enrolled.stderr
    assert "0000002a of acme" in enrolled.stdout
    assert TOKEN not in enrolled.stdout + enrolled.stderr

    lines = [
        '{"type": "scan", "scanner": "s1", "symbology": "ean13", "code": "4061000000005"}',
        '{"type": "page.view", "session": "app:1", "page": "/"}',
        "",
    ]
    sent = edge_sdk(
        "send", "--home", home, "--broker", NOWHERE, "--no-wait", given="\n".join(lines)
    )
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout) == {"captured": 2, "refused": 0}

    status = edge_sdk("status", "--home", home)
    report = json.loads(status.stdout)
    assert report["device"] == "0000002a"
    assert report["next_epoch"] == 1
    assert report["outbox_scans"]["touchpoints"] == 2


def test_lines_that_are_no_touchpoints_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    home = str(tmp_path / "kiosk")
    edge_sdk("enrol", "--home", home, given=TOKEN)
    lines = [
        "{broken",
        "[]",
        '{"type": "no.such"}',
        '{"type": "scan", "kode": "1"}',
        '{"type": "scan", "visitor": "+441632960001"}',
        '{"type": "page.view", "session": "app:1", "page": "/"}',
    ]
    sent = edge_sdk(
        "send", "--home", home, "--broker", NOWHERE, "--no-wait", given="\n".join(lines)
    )
    assert sent.returncode == 1
    assert json.loads(sent.stdout) == {"captured": 1, "refused": 5}
    assert "line 4: scan has no field kode" in sent.stderr
    assert "+441632960001" not in sent.stderr, "no value in an error"


def test_mistakes_say_what_to_do(tmp_path: Path) -> None:
    missing = edge_sdk("status", "--home", str(tmp_path / "nothing"))
    assert missing.returncode == 1
    assert "edge-sdk enrol" in missing.stderr
    wrong = edge_sdk("enrol", "--home", str(tmp_path / "kiosk"), given="edge1.wrong")
    assert wrong.returncode == 1
    assert "cloud-bridge enrol" in wrong.stderr
    address = edge_sdk("prompts", "--home", str(tmp_path), "--broker", "http://x:secret@y")
    assert address.returncode == 1
    assert "mqtt://host:port" in address.stderr
    assert "secret" not in address.stderr


def test_help_teaches() -> None:
    told = edge_sdk("--help").stdout
    for command in ("enrol", "status", "send", "prompts", "types"):
        assert command in told
    assert "cloud-bridge enrol" in told
    assert "visit.enter" in edge_sdk("types").stdout
