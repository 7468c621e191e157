"""A telephone line without one: the same seed calls alike, and the command is a port."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators import phone_line
from simulators.cli import main


@pytest.mark.parametrize("kind", phone_line.KINDS)
def test_the_same_seed_calls_alike(kind: str) -> None:
    streams = [list(phone_line.calls(kind, seed, 60)) for seed in (1, 1, 2)]
    assert streams[0] == streams[1] != streams[2]
    means = " ".join(sent.means or "" for sent in streams[0])
    assert "known" in means
    assert "withheld" in means


def test_a_modem_answers_echoes_and_forgets() -> None:
    answers = phone_line.Answers(phone_line.MOBILE, asleep=1)
    assert answers.feed(b"AT\r") == b""
    assert answers.feed(b"AT") == b""
    assert answers.feed(b"\r") == b"AT\r\r\nOK\r\n"
    assert answers.feed(b"ATE0V1\rAT+VCID=1\r") == b"ATE0V1\r\r\nOK\r\n\r\nERROR\r\n"
    assert answers.feed(b"AT+CLIP=1\r") == b"\r\nOK\r\n"
    assert answers.tells_callers
    answers.forget()
    assert not answers.tells_callers


@pytest.mark.parametrize("line", phone_line.KINDS)
def test_the_command_is_called_at_a_path_that_it_prints(line: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulators.cli", "phone", "--line", line]
    command += ["--gap", "0", "--link", str(tmp_path / "port")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        path = simulator.stdout.readline().strip()
        assert path == str(tmp_path / "port")
        port = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(port, b"AT+CLIP=1\r")
        assert os.read(port, 4)
        os.close(port)
        simulator.terminate()


def test_the_command_explains_a_gap_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["phone", "--gap", "-1"])
    assert "86400" in capsys.readouterr().err
