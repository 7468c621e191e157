"""Real mosquittos for tests, each with the configuration that the test needs."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A running mosquitto. `options` and access rights can be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, options: str = "", rights: str = "topic readwrite #") -> None:
        """Start it; wait until it answers."""
        assert MOSQUITTO is not None
        self._write(options, rights)
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")], stdout=quiet, stderr=quiet
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, "mosquitto did not start"
                time.sleep(0.02)
            else:
                return

    def allow(self, rights: str, options: str = "") -> None:
        """Other access rights, from now on."""
        self._write(options, rights)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it as a crash would: it keeps nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _write(self, options: str, rights: str) -> None:
        acl = self._folder / "acl"
        acl.write_text(rights + "\n")
        config = self._folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\npersistence false\nacl_file {acl}\n"
            + (options if "allow_anonymous" in options else f"allow_anonymous true\n{options}")
            + "\n"
        )
        for path in (self._folder, acl, config):
            path.chmod(0o755)  # run as root, mosquitto becomes another user

    def url(self, protocol: str = "") -> str:
        """Where it is."""
        return f"mqtt://127.0.0.1:{self.port}" + (f"?protocol={protocol}" if protocol else "")


@contextmanager
def mosquitto(options: str = "", rights: str = "topic readwrite #") -> Iterator[Mosquitto]:
    """A mosquitto that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mosquitto-") as folder:
        broker = Mosquitto(Path(folder))
        broker.start(options, rights)
        try:
            yield broker
        finally:
            broker.stop()
