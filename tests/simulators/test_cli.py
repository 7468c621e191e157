"""The command store-simulator shows a day, and explains itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.cli import main

ROOT = Path(__file__).parents[2]


def test_touchpoints_come_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", "--shoppers", "2", "--gap", "5"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["type"] for line in lines} >= {"sighting", "position", "visit.enter", "identify"}


def test_readings_come_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", "--shoppers", "1", "--show", "readings", "--speed", "1e9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0]).keys() == {"at_ms", "receiver", "beacon", "rssi_dbm"}


def test_the_summary_names_every_shopper_and_every_type(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["day", "--format", "summary"]) == 0
    told = capsys.readouterr().out
    assert told.count("seen in") == 6
    assert "never logs in" in told
    assert "said no" in told
    assert "visit.exit" in told
    assert "2 for rssi" in told


def test_a_summary_of_a_day_without_bad_data_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", "--format", "summary", "--shoppers", "1", "--seed", "2"]) == 0
    assert "dropped: nothing" in capsys.readouterr().out


def test_the_mix_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mix"]) == 0
    assert "sighting" in json.loads(capsys.readouterr().out)["shares"]


@pytest.mark.parametrize(
    "wrong", [["--shoppers", "0"], ["--speed", "0"], ["--speed", "nan"], ["--gap", "-1"]]
)
def test_what_makes_no_sense_is_explained(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["day", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "simulators.cli", "day", "--show", "readings"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="MISSING: BlueZ, which bleak needs, is Linux's")
def test_a_day_on_the_air_is_heard_by_another_process() -> None:
    command = [sys.executable, "-m", "simulators.cli", "radio", "--speed", "60", "--shoppers", "1"]
    player = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert player.stdout is not None
    name, _, address = player.stdout.readline().removeprefix("export ").strip().partition("=")
    assert name == "DBUS_SYSTEM_BUS_ADDRESS"
    assert player.stdout.readline().startswith("# hci0=sensor")
    environment = {**os.environ, name: address.strip("'")}
    heard = subprocess.run(
        [sys.executable, "-c", LISTENER],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert heard.returncode == 0, heard.stderr
    assert heard.stdout.startswith("ble:")
    player.terminate()
    player.communicate(timeout=20)
    assert not Path(address.strip("'").removeprefix("unix:path=")).exists()


LISTENER = """
import asyncio
from edge_sdk.sources.bluetooth import Bluetooth

async def main():
    async with Bluetooth({f"hci{n}": f"r{n}" for n in range(12)}) as radio:
        async for reading in radio:
            print(reading.beacon)
            return

asyncio.run(main())
"""
