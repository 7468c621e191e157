"""Answers of the working thread to those who wait on the event loop: many by one wake-up."""

import asyncio
from collections import deque
from concurrent.futures import Future


class Answers:
    """Futures of the event loop for those of a thread; as asyncio.wrap_future, but in company.

    Waking a loop costs a system call: who comes while it is being woken comes along.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[asyncio.Future[bool], Future[bool]]] = deque()
        self._is_woken = False

    def of(self, asked: "Future[bool]") -> "asyncio.Future[bool]":
        """To be called on the event loop."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        asked.add_done_callback(lambda done: self._settled(waiter, done))
        return waiter

    def _settled(self, waiter: "asyncio.Future[bool]", done: "Future[bool]") -> None:
        self._done.append((waiter, done))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_woken = False  # before the first is taken: who comes from now on wakes again
        while self._done:
            waiter, done = self._done.popleft()
            if waiter.done():
                continue
            error = done.exception()
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())
