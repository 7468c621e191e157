"""A real `cloud-bridge run` as a child process on this machine, for demo, benches and tests."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from cloud_bridge.keys import MOST_PER_S
from cloud_bridge.registry import Registry
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.wire.enrolment import to_token

READY_S = 60.0


class BridgeFailedError(RuntimeError):
    """The bridge did not start, or ended by itself; the message names its log."""


class BridgeProcess:
    """`with BridgeProcess(home) as bridge`: started, with its addresses in `http` and `broker`.

    home     the bridge's data directory; its log is bridge.log there
    broker   as for `cloud-bridge run --broker`: auto, embedded or mqtt://...
    more     further options of `cloud-bridge run`
    program  what is run in place of the bridge's own command line, for a campaign's purposes
    """

    def __init__(
        self,
        home: Path,
        *,
        tenant: str = "demo",
        broker: str = "auto",
        rules: Path | None = None,
        http: str = "127.0.0.1:0",
        program: Sequence[str] = ("-m", "cloud_bridge.cli"),
        more: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.http = ""
        self._http = http
        self.broker = broker
        self.log = home / "bridge.log"
        self._tenant = tenant
        self._keys: dict[str, str] = {}
        options = ["--data", str(home), "--tenant", tenant, "--broker", broker, "--http", http]
        options += ["--ready-json"] + (["--rules", str(rules)] if rules else [])
        self._command = [sys.executable, *program, "run", *options, *more]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def enrol(self, site: str, name: str, surface: str = "", zone: str = "") -> str:
        """A device's enrolment token; works before the start as well."""
        with Registry(self.home / self._tenant).opened(self._tenant) as registry:
            return to_token(registry.enrol(AesCcm(), site, name, surface, zone))

    def key(self, site: str) -> str:
        """An API key of a site, made when it is first asked for; works before the start as well."""
        if site not in self._keys:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            with Registry(self.home / self._tenant).opened(self._tenant) as registry:
                now_ms = int(time.time() * 1000)
                made = registry.add_key(site, (), MOST_PER_S, MOST_PER_S, now_ms)
            self._keys[site] = made[1]
        return self._keys[site]

    def start(self) -> None:
        """Start it and wait until it answers. Raises BridgeFailedError."""
        self.launch()
        ready = json.loads(self._ready_line())
        self.http, self.broker = ready["http"], ready["broker"]

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it and do not wait."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        return self._process

    def await_http(self) -> None:
        """Wait until a launched bridge answers at the address that it was given."""
        self.http = f"http://{self._http}"
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.health()
            except OSError:
                if time.monotonic() > deadline or not self.running:
                    raise BridgeFailedError(f"the bridge does not answer: {self.log}") from None
                time.sleep(0.1)
            else:
                return

    def _ready_line(self) -> bytes:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        deadline = time.monotonic() + READY_S
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
                self.kill()
                raise BridgeFailedError(f"the bridge was not ready in {READY_S:.0f} s: {self.log}")
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                last_lines = self.log.read_text(errors="replace").splitlines()[-5:]
                raise BridgeFailedError("\n".join(["the bridge did not start:", *last_lines]))
            line += piece
        return line

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power cut would."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(how)
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code

    def health(self) -> dict[str, Any]:
        """GET /health, whatever its status."""
        try:
            with urllib.request.urlopen(f"{self.http}/health", timeout=10) as answer:
                report: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            report = json.load(error)
        return report

    def collect(self, body: dict[str, object]) -> dict[str, Any]:
        """POST /collect, by its site's key. Raises urllib.error.HTTPError for a refusal."""
        key = self.key(str(body["site"]))
        request = urllib.request.Request(
            f"{self.http}/collect",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            accepted: dict[str, Any] = json.load(answer)
        return accepted

    def feed(self, watching: Callable[[], None]) -> Iterator[tuple[str, dict[str, Any]]]:
        """GET /feed: (kind, fields) of what happens, as it happens, until the bridge ends.

        `watching` is called once nothing can be missed any more.
        """
        kind = ""
        with urllib.request.urlopen(f"{self.http}/feed") as answer:
            for line in answer:
                if line.startswith(b"event:"):
                    kind = line[6:].strip().decode()
                elif line.startswith(b":"):
                    watching()
                elif line.startswith(b"data:"):
                    yield kind, json.loads(line[5:])
