"""A clock that is moved by hand, so that a day passes as fast as what happens in it can."""

import asyncio
import heapq
import itertools


class HandClock:
    """A `PacedClock` (edge_sdk/clock.py): its time is where `move` has put it."""

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = start_ms
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        due_ms = self._now_ms + round(1000 * seconds)
        if due_ms <= self._now_ms:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (due_ms, next(self._order), woken))
        await woken

    async def move(self, to_ms: int) -> bool:
        """It is now so late; whether anybody was woken, one after the other as they are due."""
        woke = False
        while self._waiting and self._waiting[0][0] <= to_ms:
            due_ms, _, woken = heapq.heappop(self._waiting)
            self._now_ms = max(self._now_ms, due_ms)
            if not woken.done():
                woken.set_result(None)
                woke = True
                await asyncio.sleep(0)
        self._now_ms = max(self._now_ms, to_ms)
        return woke
