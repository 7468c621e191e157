"""A store's telephone line on this machine: broker, SIP proxy, PBX and callers, all real programs.

mosquitto, kamailio and sipp run as children on free ports of 127.0.0.1, with files in one folder.
The proxy's configuration is the one that a store would use (examples/call_tracking/kamailio.cfg).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
PROGRAMS = ("mosquitto", "kamailio", "sipp")
_SCENARIOS = Path(__file__).parent / "data" / "sip"
_STARTED_S = 20.0

_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
"""
_PROXY = """\
#!substdef "!LISTEN!udp:127.0.0.1:{sip}!g"
#!substdef "!PBX!127.0.0.1:{pbx}!g"
#!substdef "!MQTT_PORT!{mqtt}!g"
#!substdef "!ACCOUNTING!{accounting}!g"
"""


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def free_port(kind: socket.SocketKind) -> int:
    """A port that is free just now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class SipLine:
    """`with SipLine(folder, config) as line`: `broker` and `accounting` are for a CallGateway."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.accounting = folder / "accounting"
        self._folder = folder
        self._ports = {
            "mqtt": free_port(socket.SOCK_STREAM),
            "sip": free_port(socket.SOCK_DGRAM),
            "pbx": free_port(socket.SOCK_DGRAM),
            "caller": free_port(socket.SOCK_DGRAM),
        }
        self.broker = f"mqtt://{HOST}:{self._ports['mqtt']}"
        self._config = config
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.accounting.mkdir(parents=True, exist_ok=True)
        broker = _BROKER.format(port=self._ports["mqtt"], folder=self._folder)
        (self._folder / "mosquitto.conf").write_text(broker)
        shutil.copy(self._config, self._folder / "kamailio.cfg")
        settings = _PROXY.format(**self._ports, accounting=self.accounting)
        (self._folder / "settings.cfg").write_text(settings)
        try:
            self.start("mosquitto")
            self.start("kamailio")
            self.start("desk")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in list(self._children):
            self.kill(name, signal.SIGTERM)

    def start(self, name: str) -> None:
        """Start "mosquitto", "kamailio" or the "desk", and wait until it answers."""
        ports = {name: str(port) for name, port in self._ports.items()}
        command = {
            "mosquitto": ["mosquitto", "-c", str(self._folder / "mosquitto.conf")],
            "kamailio": [
                *("kamailio", "-f", str(self._folder / "kamailio.cfg"), "-DD", "-E"),
                *("-m", "64", "-M", "8"),
            ],
            "desk": [
                *("sipp", "-sf", str(_SCENARIOS / "desk.xml"), "-i", HOST, "-p", ports["pbx"]),
                *("-nostdin", "-trace_err", "-error_file", str(self._folder / "desk.err")),
            ],
        }[name]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await(name)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one of them, and its children."""
        child = self._children.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)

    def call(self, calls: Sequence[tuple[str, str]], per_s: float) -> "subprocess.Popen[bytes]":
        """Have (caller, number) call one after the other; the child that does it."""
        listed = self._folder / "calls.csv"
        rows = [f"{caller};{number};" for caller, number in calls]
        listed.write_text("\n".join(["SEQUENTIAL", *rows, ""]))
        with (self._folder / "callers.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *("sipp", "-sf", str(_SCENARIOS / "caller.xml"), "-inf", str(listed)),
                    *("-m", str(len(calls)), "-r", f"{per_s:g}", "-i", HOST),
                    *("-p", str(self._ports["caller"]), "-nostdin", "-l", "2000"),
                    f"{HOST}:{self._ports['sip']}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _await(self, name: str) -> None:
        deadline = time.monotonic() + _STARTED_S
        while not self._answers(name):
            if self._children[name].poll() is not None or time.monotonic() > deadline:
                last = (self._folder / f"{name}.log").read_text(errors="replace")[-500:]
                raise RuntimeError(f"{name} did not start: {last}")
            time.sleep(0.05)

    def _answers(self, name: str) -> bool:
        if name == "mosquitto":
            try:
                socket.create_connection((HOST, self._ports["mqtt"]), 1).close()
            except OSError:
                return False
            return True
        port = self._ports["sip" if name == "kamailio" else "pbx"]
        ask = (
            f"OPTIONS sip:{HOST}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:%d;branch=z9hG4bKx\r\n"
            f"From: <sip:a@{HOST}>;tag=a\r\nTo: <sip:b@{HOST}>\r\nCall-ID: probe\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        if name == "desk":  # it answers to calls alone: its port is taken once it is there
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((HOST, port))
                except OSError:
                    return True
            return False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HOST, 0))
            probe.settimeout(0.3)
            try:
                probe.sendto((ask % probe.getsockname()[1]).encode(), (HOST, port))
                return probe.recv(2048).startswith(b"SIP/2.0 200")
            except OSError:
                return False
