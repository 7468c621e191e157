"""What the doctor finds on this machine: keys, disk, clock, plan."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_sdk.doctor import clocks, disk
from edge_sdk.doctor.clocks import Moment
from edge_sdk.doctor.disk import check_disk
from edge_sdk.doctor.finding import FAIL, OK, SKIPPED, WARN, Finding
from edge_sdk.doctor.keys import check_keys
from edge_sdk.doctor.plan import check_plan
from edge_sdk.key_slots import FILE_NAME, SLOT_BYTES, KeySlots
from edge_sdk.wire.keys import root_key
from tests.edge_sdk.homes import SECRET, enrolled
from tests.edge_sdk.read_outbox import SUITE

ROOT = Path(__file__).parents[3]
posix = pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")


def results(found: list[Finding]) -> list[str]:
    return [finding.result for finding in found]


# Keys


def test_an_enrolled_home(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    KeySlots(home, SUITE).open_epoch()
    (one,), slot = check_keys(home)
    assert slot is not None
    assert one.result == OK
    assert "device 0000002a of acme, site paris-1" in one.found
    assert "next epoch 1" in one.found


def test_no_key_is_ever_told(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    (home / FILE_NAME).chmod(0o644)
    found, slot = check_keys(home)
    key = root_key(SUITE, "acme", "paris-1", SECRET)
    for told in (repr(found), repr(slot), str([finding.as_dict() for finding in found])):
        assert key.hex() not in told
        assert repr(key)[2:-1] not in told


def test_a_home_that_is_none(tmp_path: Path) -> None:
    (one,), slot = check_keys(tmp_path)
    assert (one.result, slot) == (FAIL, None)
    assert "edge-sdk enrol" in one.to_do


def test_damaged_slots(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    (home / FILE_NAME).write_bytes(b"\xff" * 2 * SLOT_BYTES)
    (one,), slot = check_keys(home)
    assert (one.result, slot) == (FAIL, None)
    assert "enrol it anew" in one.to_do


def test_an_enrolment_that_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_sdk.doctor.keys.MAX_EPOCH", 7)
    found, _ = check_keys(enrolled(tmp_path / "home"))
    assert results(found) == [OK, WARN]
    assert "7 starts" in found[1].found


@posix
def test_keys_that_others_may_read(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    (home / FILE_NAME).chmod(0o640)
    found, _ = check_keys(home)
    assert results(found) == [OK, WARN]
    assert "chmod 600" in found[1].to_do


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may open everything")
def test_keys_that_we_may_not_open(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    (home / FILE_NAME).chmod(0)
    (one,), _ = check_keys(home)
    assert one.result == FAIL


# Disk


def test_room_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_ENOUGH_BYTES", 1)
    monkeypatch.setattr(disk, "_LEAST_BYTES", 0)
    (one,) = check_disk(tmp_path / "not" / "yet")
    assert one.result == OK
    assert str(tmp_path) in one.found
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("enough", "least", "result"), [(1 << 62, 1, WARN), (1 << 62, 1 << 62, FAIL)]
)
def test_room_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: int, least: int, result: str
) -> None:
    monkeypatch.setattr(disk, "_ENOUGH_BYTES", enough)
    monkeypatch.setattr(disk, "_LEAST_BYTES", least)
    (one,) = check_disk(tmp_path)
    assert one.result == result
    assert "outbox_bytes" in one.to_do


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files")
def test_a_disk_that_takes_nothing() -> None:
    (one,) = check_disk(Path("/proc/self"))
    assert one.result == FAIL
    assert "cannot be written" in one.found


# Clock

SANE = Moment(1_800_000_000.0, 50.0)


def test_a_sane_year() -> None:
    one = clocks.check_year(SANE)
    assert one.result == OK
    assert "2027-01-15" in one.found


@pytest.mark.parametrize("wall_s", [0.0, 1_700_000_000.0, -5.0, 1e11, 1e300])
def test_a_year_that_cannot_be(wall_s: float) -> None:
    assert clocks.check_year(Moment(wall_s, 0.0)).result == FAIL


@pytest.mark.parametrize(("state", "result"), [(0, OK), (1, OK), (5, WARN)])
def test_whether_somebody_keeps_it(state: int, result: str) -> None:
    assert clocks.check_kept(state).result == result


def test_the_kernel_is_asked() -> None:
    told = clocks.check_kept()
    assert told.result in (OK, WARN, SKIPPED)
    assert (told.result == SKIPPED) == (clocks._kernels_word() is None)


@pytest.mark.parametrize(("wall_s", "result"), [(10.1, OK), (11.0, WARN), (-3600.0, WARN)])
def test_a_wall_clock_that_is_set_meanwhile(wall_s: float, result: str) -> None:
    after = Moment(SANE.wall_s + wall_s, SANE.steady_s + 10.0)
    assert clocks.check_straight(SANE, after).result == result


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """An HTTP server that says one thing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("date", "result"),
    [
        (b"Date: Fri, 01 Jan 2027 00:00:00 GMT\r\n", WARN),
        (b"Date: yesterday\r\n", SKIPPED),
        (b"", SKIPPED),
    ],
)
def test_against_a_bridge(date: bytes, result: str) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + date + b"\r\n") as url:
        assert clocks.check_against(url).result == result


def test_against_nothing() -> None:
    assert clocks.check_against("http://127.0.0.1:1").result == SKIPPED
    for url in ("127.0.0.1:1", "ftp://x", "http://", "http://x:port"):
        assert clocks.check_against(url).result == FAIL


# Plan


def test_a_plan_that_is_one() -> None:
    found, store = check_plan(ROOT / "examples" / "store.toml")
    assert store is not None
    assert results(found) == [OK]


PLAN = """
receivers = [{ name = "r", x = 2, y = 2 }]
zones = [{ name = "z", corners = [[0, 0], [4, 0], [4, 4], [0, 4]] }]
"""


def test_a_plan_that_says_too_little(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text('survey = "nowhere.csv"' + PLAN)
    found, _ = check_plan(tmp_path / "store.toml")
    assert results(found) == [OK, WARN, WARN]
    assert "privacy" in found[1].found
    assert "edge-sdk survey" in found[2].to_do


def test_every_fault_of_a_plan_is_told(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text('privacy = "none"\ny_axis = "left"' + PLAN)
    found, store = check_plan(tmp_path / "store.toml")
    assert store is None
    assert results(found) == [FAIL, FAIL]
    assert "store-plan.md" in found[-1].to_do


def test_rights_are_what_enrolling_made_them(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "home")
    if os.name == "posix":
        assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600
