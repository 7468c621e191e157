"""The air of tests: a peer that plays BlueZ, a source that scans it, and a beacon that is on."""

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec

import pytest

if sys.platform != "linux":
    pytest.skip("MISSING: BlueZ, which bleak scans by, is Linux's", allow_module_level=True)
else:
    from simulators.bluez import BlueZ

__all__ = ["BEACON", "NOISE", "BlueZ", "always", "in_a_loop", "until"]

P = ParamSpec("P")

BEACON = "C0:FF:EE:00:00:01"
NOISE = "C0:FF:EE:00:00:02"


def in_a_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """An asynchronous test, run in a loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            await test(*args, **kwargs)

        asyncio.run(whole())

    return run


@asynccontextmanager
async def always(each: Callable[[], object], every_s: float = 0.002) -> AsyncIterator[None]:
    """Meanwhile, do this again and again."""

    async def again() -> None:
        while True:
            each()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    """Return when it is so."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.002)
