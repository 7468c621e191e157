"""Prompts at the edge: each is shown at most once, whatever is killed, and what came of it is told.

A durable mark precedes display. A crash between mark and outcome is reported as `unknown` at the
next start, and the prompt is never shown again. Its life is what the bridge said was left on
arrival, counted down by a clock that cannot jump.
"""

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Self

from edge_sdk.errors import StorageError
from edge_sdk.outbox import Outbox
from edge_sdk.wire import control
from edge_sdk.wire.touchpoint import make

log = logging.getLogger(__name__)

_WAITING = 64
_REMEMBERED = 4096


class Prompt:
    """What to show a person, and how to tell what came of it.

    Call `shown` once it is on the screen, then `accepted` or `dismissed` when she decides.
    """

    def __init__(self, wire: control.Prompt, expires_at: float, outbox: Outbox) -> None:
        self.id = wire.id
        self.surface = wire.surface
        self.title = wire.title
        self.body = wire.body
        self.offer = wire.offer
        self.why = wire.why
        self.expires_at = expires_at
        self._outbox = outbox

    def __repr__(self) -> str:
        return f"<Prompt {self.id} of offer {self.offer}>"

    @property
    def ttl_s(self) -> float:
        """Seconds of life that are left."""
        return max(0.0, self.expires_at - asyncio.get_running_loop().time())

    async def shown(self) -> None:
        await self._tell("shown")

    async def accepted(self) -> None:
        await self._tell("accepted")

    async def dismissed(self) -> None:
        await self._tell("dismissed")

    async def _tell(self, outcome: str) -> None:
        await _report(self._outbox, outcome, self.id, self.offer, self.surface)


async def _report(outbox: Outbox, outcome: str, prompt: int, offer: str, surface: str) -> None:
    touchpoint = make(f"prompt.{outcome}", prompt=prompt, offer=offer, surface=surface)
    await outbox.capture_outcome(touchpoint, prompt)


class Prompts(AsyncIterator[Prompt]):
    """`async for prompt in prompts`: each prompt that arrives, once, while it is alive."""

    def __init__(self, outbox: Outbox) -> None:
        self.counts: Counter[str] = Counter()
        self._outbox = outbox
        self._waiting: OrderedDict[int, Prompt] = OrderedDict()
        self._settled: OrderedDict[int, None] = OrderedDict()
        self._ready: deque[Prompt] = deque()  # marked, and handed out next
        self._arrived = asyncio.Event()
        self._open = False

    async def __aenter__(self) -> Self:
        """Report what an earlier process marked and never finished."""
        self._open = True
        for prompt, offer, surface in self._outbox.unreported:
            self.counts["unknown"] += 1
            await _report(self._outbox, "unknown", prompt, offer, surface)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._open = False
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Prompt:
        while True:
            while self._ready and self._open:
                prompt = self._ready.popleft()
                if await self._is_alive(prompt):
                    return prompt
            while not self._waiting:
                if not self._open:
                    raise StopAsyncIteration
                self._arrived.clear()
                await self._arrived.wait()
            if not self._open:
                raise StopAsyncIteration
            await self._mark_waiting()

    async def _mark_waiting(self) -> None:
        """Mark what waits, in one commit, and make it ready to be shown."""
        prompts = [self._waiting.popitem(last=False)[1] for _ in range(len(self._waiting))]
        for prompt in prompts:
            self._settle(prompt.id)
        try:
            marks = [(prompt.id, prompt.offer, prompt.surface) for prompt in prompts]
            first = await self._outbox.mark(marks)
        except StorageError as error:
            # Without the mark none may be shown. The bridge sends them again while they live.
            log.error("%d prompts could not be marked and are not shown: %s", len(prompts), error)
            self.counts["unmarked"] += len(prompts)
            for prompt in prompts:
                self._settled.pop(prompt.id, None)
            return
        for prompt in prompts:
            if prompt.id in first:
                self._ready.append(prompt)
            else:
                self.counts["repeated"] += 1

    async def _is_alive(self, prompt: Prompt) -> bool:
        if prompt.ttl_s > 0:
            self.counts["delivered"] += 1
            return True
        self.counts["expired"] += 1
        await _report(self._outbox, "expired", prompt.id, prompt.offer, prompt.surface)
        return False

    def arrived(self, wire: control.Prompt) -> None:
        """A prompt came, perhaps not for the first time. Called on the event loop."""
        if wire.id in self._waiting or wire.id in self._settled:
            self.counts["repeated"] += 1
            return
        now = asyncio.get_running_loop().time()
        prompt = Prompt(wire, now + wire.ttl_ms / 1000, self._outbox)
        if len(self._waiting) >= _WAITING:
            # Nobody reads. The bridge sends it again while it lives, so dropping loses nothing.
            self._waiting.popitem(last=False)
            self.counts["dropped"] += 1
        self._waiting[wire.id] = prompt
        self._arrived.set()

    def _settle(self, prompt: int) -> None:
        self._settled[prompt] = None
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
