"""What each receiver should hear of a beacon at a place: the radio map.

Without a survey, a path loss by distance: free space falls by 20 dB a decade, a furnished shop by
about 25 (ITU-R P.1238, indoor propagation); bodies and shelves scatter it by some 6 dB.
"""

import math

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Protocol

    from .floor import FloorPlan

    class RadioMap(Protocol):
        """Expected strength by receiver and place."""

        def expect(self, receiver: str, x_m: float, y_m: float) -> "tuple[float, float]":
            """Mean in dBm and standard deviation in dB of a reading of a beacon at that place."""
            ...


class PathLoss:
    """A radio map for a store without a survey.

    power_dbm      at 1 m
    exponent       10 times this many dB a decade of distance
    sd_db          how far a place's true mean is from it, and readings from that, together
    beacon_z_m     how high a beacon is carried
    """

    def __init__(
        self,
        plan: "FloorPlan",
        power_dbm: float = -59.0,
        exponent: float = 2.5,
        sd_db: float = 7.0,
        beacon_z_m: float = 1.2,
    ) -> None:
        self._receivers = plan.receivers
        self._power_dbm = power_dbm
        self._slope_db = 10.0 * exponent
        self._sd_db = sd_db
        self._beacon_z_m = beacon_z_m

    def expect(self, receiver: str, x_m: float, y_m: float) -> "tuple[float, float]":
        """Mean in dBm and standard deviation in dB. Raises KeyError for an unknown receiver."""
        at = self._receivers[receiver]
        dx_m, dy_m, dz_m = x_m - at.x_m, y_m - at.y_m, self._beacon_z_m - at.z_m
        distance_m = max(0.5, math.sqrt(dx_m * dx_m + dy_m * dy_m + dz_m * dz_m))
        return self._power_dbm - self._slope_db * math.log10(distance_m), self._sd_db
