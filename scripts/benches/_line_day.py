"""A bridge with lent numbers, a store's telephone line before it, and what became of the calls."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches._shop import SCRIPTS
from benches.lease import Client
from cloud_bridge.calling import told_of
from cloud_bridge.sqlite_store import SqliteStore
from cloud_bridge.vault import Vault
from edge_sdk import Device, DeviceConfig, enrol
from edge_sdk.adapters.aes import AesCcm
from edge_sdk.adapters.paho_link import Broker, PahoLink
from edge_sdk.call_gateway import AGENTS, CallGateway, CallLine
from edge_sdk.wire.touchpoint import Touchpoint
from simulators.bridge_process import BridgeProcess
from simulators.sip_line import SipLine, free_port

TENANT, SITE = "bench", "paris-1"
CONFIG = SCRIPTS.parent / "examples" / "call_tracking" / "kamailio.cfg"
POOL = """
[[pool]]
name = "web"
region = "FR"
fallback = "+33199000000"
numbers = ["+33180000000..{last:06}"]
"""
_CREW = 16


@dataclass
class Day:
    """The parts, and who was lent what: number -> session."""

    bridge: BridgeProcess
    line: SipLine
    folder: Path
    lent: dict[str, str] = field(default_factory=dict)


@contextmanager
def day(folder: Path, leases: int) -> Iterator[Day]:
    """A bridge that has lent so many numbers, and a line."""
    home = folder / "bridge"
    (home / TENANT).mkdir(parents=True, mode=0o700)
    (home / TENANT / "numbers.toml").write_text(POOL.format(last=leases - 1))
    with (
        _bridge(home) as bridge,
        SipLine(folder / "line", CONFIG) as line,
    ):
        yield Day(bridge, line, folder, _lent(bridge, leases))


def _bridge(home: Path) -> BridgeProcess:
    """One that is found at the same addresses when it is started again."""
    http, mqtt = (free_port(socket.SOCK_STREAM) for _ in range(2))
    more = ("--broker-port", str(mqtt))
    return BridgeProcess(home, tenant=TENANT, http=f"127.0.0.1:{http}", more=more)


def _lent(bridge: BridgeProcess, leases: int) -> dict[str, str]:
    lent: dict[str, str] = {}

    def some(first: int) -> None:
        with Client(bridge.http, bridge.key(SITE)) as client:
            for n in range(first, leases, _CREW):
                session = f"cookie:{n}"
                said: dict[str, Any] = {}
                while not said.get("lease"):
                    said = client.post("/numbers/lease", {"session": session})[2]
                    if not said.get("lease"):
                        time.sleep(0.1)  # the pool is not read yet
                lent[said["number"]["e164"]] = session

    bridge.key(SITE)
    with ThreadPoolExecutor(_CREW) as crew:
        list(crew.map(some, range(_CREW)))
    return lent


@dataclass
class Seen:
    """What a run came to. `took_ms`: from the INVITE to the first pop, of each call."""

    names: dict[str, str] = field(default_factory=dict)  # call -> number
    took_ms: list[float] = field(default_factory=list)
    right_leases: int = 0
    rc: int = 0


class _Watched:
    """A device that remembers which calls it was given."""

    def __init__(self, device: Device, seen: Seen) -> None:
        self._device = device
        self._seen = seen

    async def capture(self, touchpoint: Touchpoint) -> None:
        number = touchpoint.get("number")
        if number:
            self._seen.names[touchpoint.get("call")] = number
        await self._device.capture(touchpoint)


class _Screens:
    """Agents' screens: when each call was first shown."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._first: set[str] = set()

    def link_up(self, window: int) -> None:
        """Nothing to do."""

    def link_down(self, why: str) -> None:
        """Nothing to do."""

    def settled(self, mid: int, refusal: str | None) -> None:
        """Nothing to do."""

    def received(self, topic: str, payload: bytes, mid: int) -> None:
        now_ms = time.time() * 1000
        pop = json.loads(payload)
        if pop["state"] == "ringing" and pop["call"] not in self._first and pop["from"] == "store":
            self._first.add(pop["call"])
            self._seen.took_ms.append(now_ms - pop["at_ms"])
            self._seen.right_leases += pop["lease"] is not None


async def run(day: Day, calls: Sequence[tuple[str, str]], per_s: float, trouble: str) -> Seen:
    """Have the calls made; `trouble` "bridge" or "broker" is killed in the middle."""
    seen = Seen()
    home = day.folder / "device"
    enrol(day.bridge.enrol(SITE, "line"), home)
    line = CallLine(
        day.line.broker,
        day.line.accounting,
        day.folder / "gateway",
        region="FR",
        bridge=day.bridge.http,
        key=day.bridge.key(SITE),
    )
    screens = PahoLink(
        Broker.parse(day.line.broker), "screens", _Screens(seen), [f"{AGENTS}#"], max_delay_s=0.5
    )
    async with Device(DeviceConfig(home, day.bridge.broker)) as device, screens:
        async with CallGateway(_Watched(device, seen), line) as gateway:
            await _until(lambda: len(gateway.leases) == len(day.lent) and screens.connected)
            await asyncio.sleep(2.0)  # the proxy reads them
            callers = day.line.call(calls, per_s)
            await asyncio.sleep(len(calls) / per_s / 2)
            await asyncio.to_thread(_trouble, day, trouble)
            seen.rc = await asyncio.to_thread(callers.wait, 120)
            with contextlib.suppress(TimeoutError):  # what is missing is counted
                await _until(lambda: len(seen.names) == len(calls), 10.0)
            await asyncio.sleep(1.5)  # the account is read twice a second
        async with asyncio.timeout(60):
            await device.drained()
    return seen


async def _until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110  many parts, and no event for all of them
            await asyncio.sleep(0.1)


def _trouble(day: Day, trouble: str) -> None:
    if trouble == "bridge":
        day.bridge.kill()
        time.sleep(1.0)
        day.bridge.start()
    elif trouble == "broker":
        day.line.kill("mosquitto")
        day.line.kill("kamailio")
        time.sleep(0.3)
        day.line.start("mosquitto")
        day.line.start("kamailio")


def joined(day: Day, seen: Seen) -> tuple[int, int]:
    """Once the bridge has stopped: how many calls it has in full, and how many rightly joined."""
    store = SqliteStore(day.bridge.home / TENANT)
    try:
        store.open(TENANT)
        marks = store.marks()
        vault = Vault(AesCcm(), store, marks.pepper, marks.next_number)
        handles = vault.find(day.lent.values())
        rows = list(store.calls([(SITE, name) for name in seen.names]))
    finally:
        store.close()
    whole = right = 0
    for row in rows:
        call = told_of(row).call
        whole += call.state == "ended" and bool(call.number)
        right += row.whose == handles.get(day.lent.get(call.number, ""), -1)
    return whole, right
