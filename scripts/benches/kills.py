"""Losses and double effects while broker, bridge and two devices are killed with kill -9 at random.

Real processes on this machine, the broker without persistence. Two devices capture without pause
(scans of visits one by one, page views in bulk) and show prompts. After the last kill everything is
left to drain; then the bridge's log is read and held against the devices' own journals:

    lost             captured, as `capture()` returned, and not in the log
    double effects   in the log twice; a prompt handed to the application twice; a key that sealed
                     two different messages, on either side
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches._audit import keys_used_twice
from benches._kill_broker import start as start_broker
from benches._kill_device import DRAIN_S, SHOPPERS
from benches._report import add_arguments, publish
from benches._shop import RULES, SCRIPTS, browsed, free_port
from cloud_bridge.batch import Batch
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.store import BATCH
from edge_sdk import enrol
from simulators.bridge_process import BridgeProcess

TENANT = "bench"


def main(argv: Sequence[str]) -> int:
    """Run the campaign; 0 when nothing was lost and nothing happened twice."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all files there")
    add_arguments(parser)
    args = parser.parse_args(argv)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="edge-sdk-kills-"))
    try:
        campaign = Campaign(folder, args.seed)
        campaign.run(args.kills)
        return _tell(campaign, args)
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Part:
    """One process that may be killed: how it is started, and how often it was killed."""

    name: str
    start: "Callable[[], subprocess.Popen[bytes]]"
    process: "subprocess.Popen[bytes] | None" = None
    kills: int = 0

    def ensure(self) -> None:
        """Start it, if it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.start()

    def kill(self) -> None:
        """End it by kill -9, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.kills += 1


@dataclass(slots=True)
class Campaign:
    """A shop whose parts die."""

    folder: Path
    seed: int
    parts: dict[str, Part] = field(default_factory=dict)
    drained: bool = True

    def run(self, kills: int) -> None:
        """Enrol, warm up, kill `kills` times, drain."""
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ["PYTHONPATH"] = str(SCRIPTS)  # where the children find `benches`
        port = free_port()
        bridge = self._bridge(port)
        self._make_parts(port, bridge)
        try:
            self._open_shop(bridge)
            self._kill_at_random(kills)
            self._drain()
        finally:
            for part in self.parts.values():
                if part.process is not None and part.process.poll() is None:
                    part.process.terminate()
                    part.process.wait()

    def _bridge(self, port: int) -> BridgeProcess:
        rules = self.folder / "rules.toml"
        rules.write_text(RULES)
        program = ("-m", "benches._kill_bridge", str(self.folder / "bridge.keys"))
        return BridgeProcess(
            self.folder / "bridge",
            tenant=TENANT,
            broker=f"mqtt://127.0.0.1:{port}",
            rules=rules,
            http=f"127.0.0.1:{free_port()}",
            program=program,
        )

    def _make_parts(self, port: int, bridge: BridgeProcess) -> None:
        self._add("broker", lambda: start_broker(port, self.folder))
        self._add("bridge", bridge.launch)
        for number, zone in enumerate(("coffee", "kitchen")):
            name = f"device-{number}"
            home = self.folder / name
            enrol(bridge.enrol("bench-store", name, "kiosk", zone), home)
            self._add(name, self._device(name, home, port))

    def _add(self, name: str, start: "Callable[[], subprocess.Popen[bytes]]") -> None:
        self.parts[name] = Part(name, start)

    def _device(self, name: str, home: Path, port: int) -> "Callable[[], subprocess.Popen[bytes]]":
        broker = f"mqtt://127.0.0.1:{port}"
        files = [str(self.folder / f"{name}.journal"), str(self.folder / "stop")]
        program = [sys.executable, "-m", "benches._kill_device"]
        command = [*program, str(home), broker, *files, name]
        log = self.folder / f"{name}.log"

        def start() -> "subprocess.Popen[bytes]":
            with log.open("ab") as out:
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        return start

    def _open_shop(self, bridge: BridgeProcess) -> None:
        for name in ("broker", "bridge"):
            self.parts[name].ensure()
        bridge.await_http()
        now_ms = int(time.time() * 1000)
        for shopper in range(SHOPPERS):
            bridge.collect(browsed(shopper, now_ms))
        for part in self.parts.values():
            part.ensure()

    def _kill_at_random(self, kills: int) -> None:
        rng = random.Random(f"kills {self.seed}")
        began = time.monotonic()
        for done in range(kills):
            pause_s = rng.choice((0.05, 0.2, 0.5, 0.8, 1.5))
            time.sleep(pause_s * rng.uniform(0.5, 1.5))
            part = self.parts[rng.choice(sorted(self.parts))]
            part.kill()
            for other in self.parts.values():
                other.ensure()
            if (done + 1) % 20 == 0:
                took_s = time.monotonic() - began
                print(f"{done + 1} of {kills} kills, {took_s:.0f} s", file=sys.stderr, flush=True)

    def _drain(self) -> None:
        """Let everything live, stop capturing, and wait until the devices say that all is held."""
        time.sleep(2)
        for part in self.parts.values():
            part.ensure()
        (self.folder / "stop").touch()
        for name in ("device-0", "device-1"):
            process = self.parts[name].process
            assert process is not None
            try:
                code = process.wait(DRAIN_S + 30)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            self.drained = self.drained and code == 0

    # The books

    def journal(self, word: str) -> Counter[str]:
        """What the devices wrote down under a word, and how often."""
        found: Counter[str] = Counter()
        for name in ("device-0", "device-1"):
            for line in (self.folder / f"{name}.journal").read_text().splitlines():
                said, _, what = line.partition(" ")
                if said == word:
                    found[what] += 1
        return found

    def committed(self) -> Counter[str]:
        """The names of the touchpoints in the bridge's log, and how often."""
        store = SqliteStore(self.folder / "bridge" / TENANT)
        store.open(TENANT)
        found: Counter[str] = Counter()
        try:
            for row in store.log():
                if row.device is not None and row.kind == BATCH:
                    for touchpoint in Batch.from_body(row.body).touchpoints(_unnamed):
                        name = touchpoint.get("name") or touchpoint.get("page")
                        if name:
                            found[name] += 1
        finally:
            store.close()
        return found

    def keys_used_twice(self) -> int:
        """How many keys sealed two different messages, on either side."""
        return keys_used_twice(sorted(self.folder.glob("*.keys")))


def _unnamed(_handle: int) -> None:
    """Who it was does not matter here."""


def _tell(campaign: Campaign, args: argparse.Namespace) -> int:
    captured, committed = campaign.journal("captured"), campaign.committed()
    shown = campaign.journal("shown")
    lost = sum(name not in committed for name in captured)
    applied_twice = sum(count - 1 for count in committed.values())
    shown_twice = sum(count - 1 for count in shown.values())
    keys_twice = campaign.keys_used_twice()
    double_effects = applied_twice + shown_twice + keys_twice
    kills = {name: part.kills for name, part in campaign.parts.items()}
    keys = {
        "kills": sum(kills.values()),
        "captured": len(captured),
        "lost": lost,
        "double_effects": double_effects,
        "committed": len(committed),
        "prompts_shown": len(shown),
        "touchpoints_applied_twice": applied_twice,
        "prompts_shown_twice": shown_twice,
        "keys_used_twice": keys_twice,
        "drained": campaign.drained,
    }
    rows = [
        ("kills", keys["kills"], json.dumps(kills)),
        ("captured", len(captured), "capture() returned"),
        ("in the bridge's log", len(committed), "more where a kill came before the return"),
        ("lost", lost, ""),
        ("applied twice", applied_twice, ""),
        ("prompts shown", len(shown), ""),
        ("prompts shown twice", shown_twice, ""),
        ("keys used twice", keys_twice, "of all seals on either side"),
        ("drained", campaign.drained, "the devices saw everything acknowledged"),
    ]
    publish("kills", rows, keys, args)
    good = lost == double_effects == 0 and campaign.drained and len(captured) > 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
