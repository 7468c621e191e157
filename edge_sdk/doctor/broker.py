"""Check `broker`: whether it lets this device in, and lets it subscribe and publish.

The device's own connection is not disturbed: the doctor calls itself otherwise. What it publishes
is empty; the bridge counts it as truncated and does nothing. An access list that goes by client
names is therefore not tested.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from edge_sdk.adapters.paho_link import Broker, PahoLink
from edge_sdk.doctor.finding import FAIL, OK, WARN, Finding
from edge_sdk.errors import ConfigError
from edge_sdk.key_slots import Slot
from edge_sdk.wire.topics import BULK, DOWN, LIVE, topic

_CONNECT_S = 15.0
_SETTLE_S = 5.0
_TWICE = 2  # the first failure may be a broker that speaks MQTT 3.1.1 alone
_ACL = "give the device's user read on edge/1/TENANT/down/DEVICE, and write on live/ and bulk/"
_V311 = "; in MQTT 3.1.1 a broker cannot say no, so only --deliver proves it"


class _Ear:
    """What the broker said so far (`paho_link.Listener`)."""

    def __init__(self) -> None:
        self.up = False
        self.downs: list[str] = []
        self.settlements: dict[int, str | None] = {}
        self.moved = asyncio.Event()

    def link_up(self, window: int) -> None:
        self.up = True
        self.moved.set()

    def link_down(self, why: str) -> None:
        self.up = False
        self.downs.append(why)
        self.moved.set()

    def received(self, topic: str, payload: bytes, mid: int) -> None:
        pass  # never released: it is the device's

    def settled(self, mid: int, refusal: str | None) -> None:
        self.settlements[mid] = refusal
        self.moved.set()


async def check_broker(url: str, ca_file: str | None, slot: Slot | None) -> list[Finding]:
    """What a broker says to the device of a slot, or, without one, to anybody."""
    try:
        broker = Broker.parse(url, ca_file)
    except ConfigError as error:
        return [Finding("broker", FAIL, str(error), "--broker mqtt://[user:password@]host[:port]")]
    found = []
    if ca_file is not None and not await asyncio.to_thread(Path(ca_file).is_file):
        return [Finding("broker", FAIL, f"{ca_file}: there is no such file", "--ca-file FILE")]
    if broker.password is not None and not broker.tls and broker.host not in _HERE:
        what = f"{broker}: the password travels in clear"
        found.append(Finding("broker", WARN, what, "use mqtts://"))
    who = f"edge-{slot.tenant}-{slot.device:08x}" if slot else "edge"
    ear = _Ear()
    down = [topic(slot.tenant, DOWN, slot.device)] if slot else []
    async with PahoLink(broker, f"{who}-doctor", ear, down, max_delay_s=0.5) as link:
        await _until(ear, lambda: ear.up or len(ear.downs) >= _TWICE, _CONNECT_S)
        if not ear.up:
            return [*found, _refused(broker, ear)]
        allowed = "connects and subscribes" if slot else "connects"
        found.append(Finding("broker", OK, f"{broker} {allowed} (MQTT {_version(link)})"))
        if slot is None:
            what = "whether the device may publish was not tried"
            return [*found, Finding("broker", WARN, what, "say whose: --home DIR")]
        for lane in (LIVE, BULK):
            found.append(await _publishes(link, ear, topic(slot.tenant, lane, slot.device), lane))
    return found


_HERE = ("localhost", "127.0.0.1", "::1")


def _refused(broker: Broker, ear: _Ear) -> Finding:
    why = ear.downs[-1] if ear.downs else f"{broker} does not answer"
    to_do = "is it running, and does a firewall let this machine through?"
    if "subscription" in why:
        to_do = _ACL
    elif "certificate" in why.lower():
        to_do = "name the authority that signed its certificate: --ca-file; is the clock right?"
    elif "refused the connection" in why:
        to_do = "look at the user and password in --broker, and at the broker's log"
    return Finding("broker", FAIL, why, to_do)


async def _publishes(link: PahoLink, ear: _Ear, name: str, lane: str) -> Finding:
    mid = link.publish(name, b"")
    await _until(ear, lambda: mid in ear.settlements or not ear.up, _SETTLE_S)
    if mid is None or not ear.up:
        why = ear.downs[-1] if ear.downs else "it hung up"
        return Finding("broker", FAIL, f"{lane} lane: {why} when the device published", _ACL)
    if mid not in ear.settlements:
        what = f"{lane} lane: the broker says nothing to what the device publishes"
        return Finding("broker", WARN, what, "see the broker's log; --deliver proves the whole way")
    refusal = ear.settlements[mid]
    if refusal is not None and "No matching subscribers" not in refusal:
        return Finding("broker", FAIL, f"{lane} lane: the device may not publish ({refusal})", _ACL)
    more = "" if _version(link) == "5" else _V311
    return Finding("broker", OK, f"{lane} lane: the device may publish{more}")


def _version(link: PahoLink) -> str:
    return "5" if int(link.protocol) == 5 else "3.1.1"


async def _until(ear: _Ear, condition: Callable[[], bool], within_s: float) -> None:
    """Return when it is so, or when that takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not condition():
                ear.moved.clear()
                await ear.moved.wait()
