"""A tenant's API keys, from its registry onto the ring, as often as they change."""

import asyncio
import logging

from cloud_bridge.clock import Clock
from cloud_bridge.keys import KeyRing
from cloud_bridge.registry import Registry
from edge_sdk.errors import StorageError

log = logging.getLogger(__name__)

LOOK_S = 0.5


class KeyWatch:
    """`look()` when a key is missed; `run()` for those that were revoked.

    The registry is an open one of its own: the working thread has another.
    """

    def __init__(self, registry: Registry, ring: KeyRing, clock: Clock) -> None:
        self._registry = registry
        self._ring = ring
        self._clock = clock
        self._version: int | None = None
        self._touched_ns = 0

    def look(self, *, well: bool = False) -> None:
        """Take over what has changed; `well`: even what was written twice in one tick."""
        try:
            touched_ns = self._registry.touched_ns()
            if touched_ns == self._touched_ns and not well:
                return
            version = self._registry.version()
            if version != self._version:
                keys = self._registry.api_keys()
                self._ring.replace(self._registry.tenant, keys, self._clock.steady_s())
            self._version, self._touched_ns = version, touched_ns
        except (StorageError, OSError) as error:
            log.error("the registry's keys cannot be read: %s", error)

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            self.look(well=True)
            await asyncio.sleep(LOOK_S)
