"""Touch to prompt: visits captured at a steady rate, and when the prompt of each was there."""

import asyncio
import time
from collections.abc import Sequence

from edge_sdk import Device, touchpoints

SHOPPERS = 40


async def touch(gateway: Device, touched: dict[int, float], count: int, rate: float) -> None:
    """Visits at a steady rate, whether or not the ones before were answered."""
    pending = set()
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        at = len(touched)
        visitor = f"ble:{at % SHOPPERS:012x}"
        visit = touchpoints.visit_enter(visit=at, visitor=visitor, zone="coffee")
        touched[at] = time.perf_counter()
        task = asyncio.create_task(gateway.capture(visit))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)


async def show(kiosk: Device, touched: dict[int, float], took_ms: list[float]) -> None:
    """Prompts come in the order of the touches that brought them: one bridge, one kiosk."""
    told: set[asyncio.Task[None]] = set()
    shown = 0
    async for prompt in kiosk.prompts:
        took_ms.append(1000 * (time.perf_counter() - touched[shown]))
        shown += 1
        task = asyncio.create_task(prompt.shown())
        told.add(task)
        task.add_done_callback(told.discard)


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
