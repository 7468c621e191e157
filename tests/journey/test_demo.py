"""The first command of the README, as a newcomer types it: nothing lost, nothing done twice."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.journey.brokers import MOSQUITTO, mosquitto, needs_mosquitto

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "demo"
KEYS = {
    "captured", "committed", "joined", "prompts_shown", "lost", "duplicate_effects",
    "payload_bytes_per_event", "touch_to_prompt_ms", "radio",
}  # fmt: skip


def demo(tmp_path: Path, *options: str) -> tuple[dict[str, object], str]:
    """(report, what was printed) of a demo that must succeed."""
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, str(DEMO), "--report", str(report), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return json.loads(report.read_text()), ran.stdout


def check(report: dict[str, object]) -> None:
    assert report.keys() >= KEYS
    assert report["lost"] == 0
    assert report["duplicate_effects"] == 0
    assert report["captured"] == report["committed"]
    assert report["joined"] > 0  # type: ignore[operator]
    assert report["prompts_shown"] > 0  # type: ignore[operator]
    on_bleak = sys.platform == "linux" and importlib.util.find_spec("bleak") is not None
    assert str(report["radio"]).startswith("bleak over D-Bus" if on_bleak else "readings")


def test_with_nothing_but_python(tmp_path: Path) -> None:
    report, printed = demo(
        tmp_path, "--seconds", "15", "--speed", "16", "--headless", "--broker", "embedded"
    )
    check(report)
    assert "0 lost" in printed
    assert str(report["radio"]) in printed


def test_without_the_extra_it_says_at_which_port_it_enters(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--seconds", "3", "--speed", "64", "--headless", "--broker", "embedded"]
    program = (
        "import sys; sys.modules['bleak'] = None\n"
        "from simulators.demo import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "--report", str(report), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(report.read_text())
    assert told["captured"] == told["committed"] > 0
    assert "readings at the radio port" in told["radio"]
    assert "edge-sdk[bluetooth]" in told["radio"]
    assert told["radio"] in ran.stdout


@needs_mosquitto
def test_at_a_broker_that_somebody_else_runs(tmp_path: Path) -> None:
    with mosquitto() as broker:
        report, printed = demo(
            tmp_path, "--seconds", "10", "--speed", "24", "--broker", broker.url()
        )
    check(report)
    assert report["broker"] == broker.url()
    for told in ("web    ", "radio  ", "join   ", "KIOSK  "):
        assert told in printed


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    broker = "auto" if MOSQUITTO else "embedded"
    process = subprocess.Popen(
        [sys.executable, str(DEMO), "--broker", broker, "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "radio" in line:
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "0 lost" in printed
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*socket*"))


def test_help_teaches() -> None:
    ran = subprocess.run([sys.executable, str(DEMO), "--help"], capture_output=True, text=True)
    assert ran.returncode == 0
    for option in ("--seconds", "--speed", "--report", "--broker", "--headless"):
        assert option in ran.stdout


def test_a_broker_address_that_cannot_be_says_so(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(DEMO), "--broker", "http://example", "--seconds", "1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "mqtt://" in ran.stderr
    assert "Traceback" not in ran.stderr
