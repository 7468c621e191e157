"""Bluetooth beacons through bleak: an active scan for each adapter, watched, and begun anew.

Scans die without a word after hours or days, so silence is taken for a fault: the adapter is reset
and scanned again. A scan is active because BlueZ hides changes under 8 dB from a passive one
(docs/bluetooth.md).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Self

from edge_sdk.clock import PacedClock, SteadyClock
from edge_sdk.errors import ConfigError
from edge_sdk.sources.bluetooth_scan import LINUX, THE_ONLY_ADAPTER, AdapterStatus, Scan
from edge_sdk.sources.reading import Reading

__all__ = ["AdapterStatus", "Bluetooth"]


class Bluetooth:
    """`async with Bluetooth({"hci0": "entrance"}) as radio`, then `async for reading in radio`.

    receivers  adapter -> the receiver that it is in the floor plan; {"": name} takes the system's
               own choice of adapter (on macOS and Windows there is no other)
    clock      what readings are stamped with, and what silence is measured by
    silence_s  an adapter that hears nothing at all for this long is taken for dead
    max_queue  readings that wait to be taken; beyond, the oldest is dropped and counted
    reset      whether a dead adapter may be switched off and on: that ends the connections that
               other programs have through it

    Entering starts the scans, whether or not the adapters are there; leaving ends them, and then
    the iteration. It can be entered again. Whatever is the matter with an adapter raises nothing:
    it is logged once, counted, and tried again.
    """

    def __init__(
        self,
        receivers: Mapping[str, str],
        *,
        clock: PacedClock | None = None,
        silence_s: float = 65.0,
        max_queue: int = 8192,
        reset: bool = True,
    ) -> None:
        if not receivers:
            raise ConfigError("no adapter to scan with: name one, such as {'hci0': 'entrance'}")
        if len(set(receivers.values())) < len(receivers):
            raise ConfigError("two adapters are one receiver: give each a name of its own")
        if not LINUX and set(receivers) != {THE_ONLY_ADAPTER}:
            raise ConfigError("only Linux tells adapters apart: here it is {'': 'receiver'}")
        if silence_s <= 0 or max_queue < 1:
            raise ConfigError("silence_s is more than 0, and max_queue is 1 at least")
        self._waiting = _Waiting(max_queue)
        clock = clock or SteadyClock()
        self._scans = [
            Scan(adapter, receiver, clock, self._waiting.put, silence_s=silence_s, reset=reset)
            for adapter, receiver in receivers.items()
        ]
        self._watches: list[asyncio.Task[None]] = []

    @property
    def status(self) -> list[AdapterStatus]:
        """Of each adapter, in the order in which they were given."""
        return [scan.status for scan in self._scans]

    @property
    def counts(self) -> dict[str, int]:
        """Of all adapters together, for one log line."""
        status = self.status
        return {
            "adapters": len(status),
            "in_trouble": sum(each.trouble is not None for each in status),
            "heard": sum(each.heard for each in status),
            "readings": sum(each.readings for each in status),
            "dropped_oldest": self._waiting.dropped_oldest,
            "dropped_rssi": sum(each.dropped["rssi"] for each in status),
            "dropped_beacon": sum(each.dropped["beacon"] for each in status),
            "silences": sum(each.silences for each in status),
            "resets": sum(each.resets for each in status),
        }

    async def __aenter__(self) -> Self:
        self._waiting.open()
        self._watches = [
            asyncio.create_task(scan.run(), name=scan.task_name) for scan in self._scans
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._waiting.close()

    async def __aiter__(self) -> AsyncIterator[Reading]:
        waiting = self._waiting
        readings = waiting.readings
        while True:
            while readings:
                yield readings.popleft()
            if waiting.closed:
                return
            waiting.came.clear()
            await waiting.came.wait()


class _Waiting:
    """Readings that wait to be taken; the oldest makes room for a new one, and is counted."""

    __slots__ = ("came", "closed", "dropped_oldest", "most", "readings")

    def __init__(self, most: int) -> None:
        self.readings: deque[Reading] = deque()
        self.most = most
        self.came = asyncio.Event()
        self.closed = True
        self.dropped_oldest = 0

    def open(self) -> None:
        self.readings.clear()
        self.came = asyncio.Event()  # it belongs to the loop that waits for it
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.came.set()

    def put(self, reading: Reading) -> None:
        readings = self.readings
        if not readings:
            self.came.set()
        elif len(readings) >= self.most:
            readings.popleft()
            self.dropped_oldest += 1
        readings.append(reading)
