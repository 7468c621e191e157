"""Waits in tests for what another thread does."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for happens in a thread
            await asyncio.sleep(0.002)
