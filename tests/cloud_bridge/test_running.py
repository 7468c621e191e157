"""Where a bridge runs, as others learn it: its file, its process, its lock, its answer."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloud_bridge import running
from cloud_bridge.running import Running, announce, announced, ask, is_alive, lock_holder, withdraw

MINE = Running(17, "http://127.0.0.1:8080", 1_800_000_000_000)


def test_it_is_there_from_start_to_end(tmp_path: Path) -> None:
    announce(tmp_path, MINE)
    assert announced(tmp_path) == MINE
    assert [path.name for path in tmp_path.iterdir()] == [running.FILE_NAME]
    assert stat.S_IMODE((tmp_path / running.FILE_NAME).stat().st_mode) == 0o600
    withdraw(tmp_path, 17)
    assert announced(tmp_path) is None
    withdraw(tmp_path, 17)


def test_another_bridge_s_file_stays(tmp_path: Path) -> None:
    announce(tmp_path, MINE)
    announce(tmp_path, Running(18, "http://127.0.0.1:8081", 1))
    withdraw(tmp_path, 17)
    assert announced(tmp_path) == Running(18, "http://127.0.0.1:8081", 1)


def test_where_it_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / running.FILE_NAME).mkdir()
    with pytest.raises(OSError):  # noqa: PT011  which one is the system's business
        announce(tmp_path, MINE)
    assert [path.name for path in tmp_path.iterdir()] == [running.FILE_NAME]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"pid": "17", "http": "x", "since_ms": 1}',
        '{"pid": -1, "http": "x", "since_ms": 1}',
        '{"pid": 0, "http": "x", "since_ms": 1}',
        '{"pid": true, "http": "x", "since_ms": 1}',
        "\xff",
    ],
)
def test_what_makes_no_sense_is_nothing(tmp_path: Path, said: str) -> None:
    (tmp_path / running.FILE_NAME).write_bytes(said.encode("latin-1"))
    assert announced(tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not asked there")
def test_a_process_lives_until_it_is_gone() -> None:
    assert is_alive(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not is_alive(child.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
def test_who_holds_a_lock(tmp_path: Path) -> None:
    import fcntl

    lock = tmp_path / "bridge.lock"
    assert lock_holder(lock) is None
    with lock.open("ab") as file:
        assert lock_holder(lock) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock_holder(lock) == os.getpid()
    assert lock_holder(lock) is None


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_bridge_answers() -> None:
    health = {"status": "ok", "tenants": {"acme": {}}}
    with answering(200, json.dumps(health).encode()) as address:
        assert ask(address) == health
        assert ask(address.replace("127.0.0.1", "0.0.0.0")) == health


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"hello"), (200, b"[]"), (200, b'{"status": "ok"}'), (500, b'{"tenants": {}}')],
)
def test_others_may_answer_there(status: int, body: bytes) -> None:
    with answering(status, body) as address:
        assert ask(address) is None


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ANSWER_S", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        assert ask(f"http://127.0.0.1:{deaf.getsockname()[1]}") is None
    for address in ("", "nonsense", "http://", "http://127.0.0.1:99999", "http://[::1"):
        assert ask(address) is None
