"""Pseudo-terminals as devices: the same seed sends the same, and what it means is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_sdk.errors import ConfigError
from simulators import serial_lines
from simulators.cli import main
from simulators.serial_lines import PseudoPort


def test_the_same_seed_sends_the_same() -> None:
    for streams in (
        [list(serial_lines.scanner(seed, 50)) for seed in (1, 1, 2)],
        [list(serial_lines.gnss(seed)) for seed in (1, 1, 2)],
        [list(serial_lines.counter(seed, 50)) for seed in (1, 1, 2)],
    ):
        assert streams[0] == streams[1] != streams[2]
        assert any(sent.means for sent in streams[0])


def test_a_path_leads_to_what_is_plugged_in(tmp_path: Path) -> None:
    port = PseudoPort(tmp_path / "port")
    assert port.send(b"nobody") == 0
    with port:
        first = port.path.readlink()
        assert os.path.exists(port.path)  # noqa: PTH110  follows the link
        held = os.open(port.path, os.O_RDWR | os.O_NOCTTY)  # so that its number is not given again
        port.unplug()
        assert not port.path.is_symlink()
        port.plug()
        assert port.path.readlink() != first
        os.close(held)
    assert not port.path.is_symlink()


def test_what_nobody_reads_is_lost_and_blocks_nobody(tmp_path: Path) -> None:
    with PseudoPort(tmp_path / "port") as port:
        sent = sum(port.send(b"x" * 1024) for _ in range(1000))
        assert 0 < sent < 1024 * 1000
        assert port.heard() == b""


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("kept")
    with pytest.raises(ConfigError, match="in the way"):
        PseudoPort(path).plug()
    with pytest.raises(ConfigError, match="cannot be made"):
        PseudoPort(tmp_path / "none" / "port").plug()
    assert path.read_text() == "kept"


@pytest.mark.parametrize("device", ["scanner", "gnss", "counter"])
def test_the_command_prints_a_path_that_can_be_read(device: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulators.cli", "serial", "--device", device]
    command += ["--speed", "50", "--link", str(tmp_path / "port")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        path = simulator.stdout.readline().strip()
        assert path == str(tmp_path / "port")
        with Path(path).open("rb", buffering=0) as port:
            assert port.read(4)
        simulator.terminate()


def test_the_command_says_what_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("")
    assert main(["serial", "--device", "gnss", "--link", str(tmp_path / "x")]) == 1
    assert "in the way" in capsys.readouterr().err
