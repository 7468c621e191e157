"""What the doctor finds at serial ports, which are pseudo-terminals here."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_sdk.doctor import serial_ports
from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding
from edge_sdk.doctor.serial_ports import Named, check_serial

serial = pytest.importorskip("serial", reason="MISSING: pyserial")
if os.name != "posix":
    pytest.skip("MISSING: pseudo-terminals are POSIX's", allow_module_level=True)


@contextmanager
def port(says: bytes = b"") -> Iterator[tuple[str, int]]:
    """A port whose device says this again and again, and our end of it."""
    ours, theirs = os.openpty()
    stop = threading.Event()

    def say() -> None:
        while not stop.wait(0.02):
            if says:
                os.write(ours, says)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield os.ttyname(theirs), ours
    finally:
        stop.set()
        thread.join()
        os.close(theirs)
        os.close(ours)


def of(path: str, found: list[Finding]) -> Finding:
    (one,) = [finding for finding in found if path in finding.found]
    return one


def checked(path: str, listen_s: float = 0.3) -> Finding:
    return of(path, check_serial([Named(path)], listen_s))


def test_a_port_that_answers() -> None:
    with port(b"]C14061000000005\r\n") as (path, _):
        one = checked(path)
    assert one.result == OK
    assert "bytes at 9600 baud" in one.found
    assert "4061" not in one.found, "what was scanned is nobody's business"


def test_a_port_that_says_nothing() -> None:
    with port() as (path, _):
        one = checked(path)
    assert one.result == WARN
    assert "scan" in one.to_do


def test_a_port_at_another_speed() -> None:
    with port(b"\xf0\x80\x00\xff\xfe\x9d") as (path, _):
        one = checked(path)
    assert one.result == WARN
    assert "@115200" in one.to_do


def test_a_port_that_somebody_has() -> None:
    with port(b"x\n") as (path, _), serial.Serial(path, exclusive=True):
        one = checked(path)
    assert one.result == WARN
    assert "another program" in one.found


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    one = checked(str(tmp_path / "ttyUSB7"))
    assert one.result == FAIL
    assert "no such port" in one.found


def test_a_file_that_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    one = checked(str(tmp_path / "file"))
    assert one.result == FAIL
    assert "serial port?" in one.to_do


def test_a_port_that_is_unplugged_meanwhile() -> None:
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    os.close(theirs)
    threading.Timer(0.1, os.close, (ours,)).start()
    one = checked(path, 2.0)
    assert one.result == FAIL
    assert "went away" in one.found


def test_ports_that_were_not_named_are_listed_and_not_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from serial.tools.list_ports_common import ListPortInfo

    with port(b"x\n") as (path, ours):
        info = ListPortInfo(path)
        monkeypatch.setattr(serial_ports, "comports", lambda: [info])
        (one,) = check_serial([], 0.1)
        assert one.result == OK
        assert f"--serial {path}" in one.found
        os.set_blocking(ours, False)
        assert check_serial([Named(path)], 0.1)[0].found.startswith(f"{path} answers")
        monkeypatch.setattr(serial_ports, "comports", list)
        assert [finding.result for finding in check_serial([], 0.1)] == [SKIPPED]


def test_without_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_ports, "serial", None)
    for named, result in (([], SKIPPED), ([Named("/dev/ttyUSB0")], FAIL)):
        (one,) = check_serial(named, 0.1)
        assert one.result == result
        assert "edge-sdk[serial]" in one.to_do


def test_how_a_port_is_named() -> None:
    assert Named.parse("/dev/ttyUSB0") == Named("/dev/ttyUSB0", 9600)
    assert Named.parse("/dev/ttyUSB0@115200") == Named("/dev/ttyUSB0", 115200)
    for wrong in ("/dev/ttyUSB0@fast", "@9600", "/dev/ttyUSB0@1", "x@-9600"):
        with pytest.raises(ValueError):  # noqa: PT011  argparse tells the user
            Named.parse(wrong)
