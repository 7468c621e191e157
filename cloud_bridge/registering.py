"""What was registered in the registry, or removed there, is taken over, a few beacons a turn.

The command line and the back end of an app write into the registry while the bridge owns the store.
A key lies there until a commit has sealed it under its handle's key; then nothing but the name,
which is how a beacon is listed and removed. Only turns that nobody waits for take any over.
"""

import logging

from cloud_bridge.clock import Clock
from cloud_bridge.intake import Intake
from cloud_bridge.registry import Registry
from cloud_bridge.turn import Turn
from edge_sdk.errors import StorageError

log = logging.getLogger(__name__)

# In a turn that nobody waits for; in one of those that come without an end.
_A_TURN, _IN_A_HURRY = 64, 4
_HURRY_S = 1.0
# After trouble with storage.
_AGAIN_S = 5.0


class Registering:
    """`look` when the registry has changed, `step` in each turn.

    `more`: whether some wait.
    """

    def __init__(self, registry: Registry, intake: Intake, clock: Clock) -> None:
        self.more = False
        self._registry = registry
        self._intake = intake
        self._clock = clock
        self._compared = False
        self._overdue_s = 0.0
        self._again_s: float | None = None

    def look(self) -> None:
        """Something has changed."""
        self.more = True

    def step(self, turn: Turn, now_s: float, *, urgent: bool) -> None:
        """Take some over, into the turn."""
        if self._again_s is not None and now_s >= self._again_s:
            self.more, self._again_s = True, None
        if not self.more or (urgent and now_s < self._overdue_s):
            return
        self._overdue_s = now_s + _HURRY_S
        most = _IN_A_HURRY if urgent else _A_TURN
        try:
            if not self._compared:
                self._compare(turn)
            waiting = self._registry.waiting_beacons(most)
            self._intake.registered(turn, waiting, self._clock.wall_ms())
        except StorageError as error:
            log.error("beacons cannot be taken over: %s", error)
            self.more, self._again_s = False, now_s + _AGAIN_S
            return
        self.more = len(waiting) == most

    def _compare(self, turn: Turn) -> None:
        """Once: registry and store may be of two copies, or an erasure ended halfway."""
        taken = [beacon for beacon in self._registry.beacons() if beacon.key is None]
        lost = self._intake.compared(turn, [b for b in taken if not b.removed])
        if lost:
            self._registry.forget_beacons([beacon.name for beacon in lost])
            log.error("%d beacons must be registered anew: their keys are gone", len(lost))
        self._compared = True


def follow(registry: Registry, turn: Turn) -> None:
    """What a commit allows: keys and names leave the registry."""
    if not (turn.registered or turn.erased):
        return
    try:
        registry.beacons_taken(turn.registered)
        registry.forget_beacons(turn.erased)
    except StorageError as error:
        log.error("keys of beacons stay in the registry for now: %s", error)
