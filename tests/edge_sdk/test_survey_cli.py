"""`edge-sdk survey` as it is called: by a page, point by point, and killed in between."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge_sdk.cli import main
from edge_sdk.survey_file import read_places
from tests.edge_sdk.survey.stores import BEACON, PLAN

WAIT_S = 30.0


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "store.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


@contextmanager
def survey(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command with a radio at its standard input."""
    command = [sys.executable, "-m", "edge_sdk.cli", "survey", *arguments, "--readings", "-"]
    lines = b"".join(
        json.dumps({"receiver": name, "beacon": BEACON, "rssi_dbm": level}).encode() + b"\n"
        for name, level in (("left", -60), ("right", -70), ("left", -61))
    )
    stopped = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        stdin = process.stdin

        def feed() -> None:
            with suppress(OSError):  # it has ended
                while not stopped.wait(0.01):
                    stdin.write(b"no reading\n" + lines)
                    stdin.flush()

        feeding = threading.Thread(target=feed)
        feeding.start()
        try:
            yield process
        finally:
            process.kill()
            stopped.set()
            feeding.join(WAIT_S)
            with suppress(OSError):
                stdin.close()


def test_points_are_recorded_one_after_the_other_and_drawn(plan: Path, tmp_path: Path) -> None:
    listed = tmp_path / "points.csv"
    listed.write_text("x_m,y_m\n8,1\n\n9.5,2\n", encoding="utf-8")
    drawn = tmp_path / "map.svg"
    more = ("--at=2,3", "--points", str(listed), "--seconds", "0.1", "--draw", str(drawn))
    with survey(str(plan), "--beacon", BEACON, "--name", "walk", *more) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        assert process.wait(WAIT_S) == 0
    told = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    assert [(one["x_m"], one["kept"], one["points"]) for one in told] == [
        (2.0, True, 1),
        (8.0, True, 2),
        (9.5, True, 3),
    ]
    places = read_places(tmp_path / "survey.csv")
    assert [(place.name, place.x_m) for place in places] == [
        ("walk", 2.0),
        ("walk", 8.0),
        ("walk", 9.5),
    ]
    assert all(sorted(place.heard) == ["left", "right"] for place in places)
    assert drawn.read_text(encoding="utf-8").startswith("<svg")


def test_kill_9_in_the_middle_loses_the_point_under_way_alone(plan: Path, tmp_path: Path) -> None:
    more = ("--beacon", BEACON, "--seconds", "0.2")
    with survey(str(plan), *more, "--at=2,3", "--at=8,1", "--at=9,1") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    before = read_places(tmp_path / "survey.csv")
    assert first["points"] <= len(before) < 3
    with survey(str(plan), *more, "--at=11,3") as process:
        assert process.wait(WAIT_S) == 0
    assert read_places(tmp_path / "survey.csv")[:-1] == before


def test_the_page_s_address_is_printed_and_ctrl_c_ends_it(plan: Path) -> None:
    with survey(str(plan)) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("open http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no receiver of the plan is a radio of this machine"),
        (("--at=1,1",), "say which beacon is carried"),
        (("--listen", "8100"), "an address is HOST:PORT"),
        (("--floor", "2"), "floor 2 has no zone"),
        (("--seconds", "0"), "more than 0"),
        (("--draw", "map.svg"), "survey.csv: there is no such file"),
        (("--readings", "nowhere.jsonl", "--beacon", BEACON, "--at=1,1"), "cannot be read"),
        (("--points", "nowhere.csv"), "cannot be read"),
    ],
)
def test_what_cannot_work_is_told(
    plan: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["survey", str(plan), *arguments]) == 1
    assert says in capsys.readouterr().err


def test_readings_from_a_file_that_ends_make_a_point(plan: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard.jsonl"
    line = json.dumps({"receiver": "left", "beacon": BEACON, "rssi_dbm": -61})
    heard.write_text("\n".join([line, "{", "[]", "null", "7", line]), encoding="utf-8")
    more = ("--readings", str(heard), "--beacon", BEACON, "--at=1,1")
    assert main(["survey", str(plan), *more]) == 0
    (place,) = read_places(tmp_path / "survey.csv")
    assert place.heard["left"].readings == 2
