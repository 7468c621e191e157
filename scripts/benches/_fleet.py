"""The devices of a retailer: gateways of several sites, and kiosks that show and say so."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from benches._line import Line
from benches._sender import Sender
from edge_sdk.wire.control import Prompt
from edge_sdk.wire.touchpoint import CODES, Touchpoint
from simulators.bridge_process import BridgeProcess
from simulators.store_day import PAGES

GATEWAYS, SITES = 64, 16
ANSWER_EVERY_S = 0.2
_SHOWN = CODES["prompt.shown"]


@dataclass(slots=True)
class Fleet:
    """Who is enrolled; `answering` lets the kiosks show."""

    gateways: list[Line]
    kiosks: list[Line]
    shown: int = 0
    _seen: set[int] = field(default_factory=set)
    _to_tell: dict[int, list[Touchpoint]] = field(default_factory=dict)

    @property
    def lines(self) -> list[Line]:
        """All devices."""
        return self.gateways + self.kiosks

    @contextlib.asynccontextmanager
    async def answering(self, sender: Sender) -> AsyncIterator[None]:
        """While this lasts, each kiosk shows what it is prompted, once, and reports it."""
        sender.on_prompt = self._show
        task = asyncio.create_task(self._tell(sender), name="kiosks")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _show(self, line: Line, prompt: Prompt) -> None:
        if prompt.id in self._seen:
            return
        self._seen.add(prompt.id)
        self.shown += 1
        said = (prompt.id, prompt.offer, prompt.surface)
        at_ms = time.time_ns() // 1_000_000
        self._to_tell.setdefault(line.device, []).append(Touchpoint(_SHOWN, at_ms, said))

    async def _tell(self, sender: Sender) -> None:
        while True:
            await asyncio.sleep(ANSWER_EVERY_S)
            for kiosk in self.kiosks:
                shown = self._to_tell.pop(kiosk.device, None)
                if shown:
                    sender.push(kiosk, kiosk.seal(shown, fresh=True))


def enrolled(bridge: BridgeProcess, gateways: int = GATEWAYS, sites: int = SITES) -> Fleet:
    """Enrol gateways, dealt out to the sites, and a kiosk for each zone of each site."""
    sites = min(gateways, sites)
    stores = [f"store-{number}" for number in range(sites)]
    return Fleet(
        [
            Line(bridge.enrol(stores[n % sites], f"gateway-{n}"), stores[n % sites])
            for n in range(gateways)
        ],
        [
            Line(bridge.enrol(store, f"kiosk-{zone}", "kiosk", zone), store, "kiosk")
            for store in stores
            for zone in PAGES
        ],
    )
