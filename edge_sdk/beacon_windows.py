"""What a shopper's app heard of the store's beacons, summed up: one `sighting` a beacon and window.

The app moves and the beacons hang, so the roles of a receiver and of what it hears change places: a
`sighting` has the beacon's name in the store's plan as its receiver, and the app as its beacon. A
path is as lossy one way as the other, so the presence engine that hears boards hears apps as well,
and finds the app. And an app's identifier stands where identifiers stand, so that it can be erased.
"""

from collections.abc import Mapping

from edge_sdk.presence.engine import is_rssi
from edge_sdk.presence.nearest import MAX_READINGS, median
from edge_sdk.touchpoints import sighting
from edge_sdk.wire.touchpoint import Touchpoint

DROPS = ("foreign", "rssi", "stale")


class BeaconWindows:
    """`hear` readings, `close` about once a second.

    who        the app, "app:..."
    beacons    identifier on the air ("ibeacon:...") -> its name in the store's plan
    window_ms  what a `sighting` sums up

    What is not the store's is dropped ("foreign"): other people's phones are none of an app's
    business. So is what is older than two windows when it comes or would be summed up, or newer
    than now ("stale"): it was queued while the app slept, or by another clock.
    """

    def __init__(self, who: str, beacons: Mapping[str, str], window_ms: int) -> None:
        self.dropped = dict.fromkeys(DROPS, 0)
        self._who = who
        self._beacons = beacons
        self._window_ms = window_ms
        self._from_ms = 0
        self._heard: dict[str, list[int]] = {}
        self._more: dict[str, int] = {}

    def hear(self, now_ms: int, at_ms: int, beacon: str, rssi_dbm: int) -> str | None:
        """One reading, taken at `at_ms`; the beacon's name, or None where it was dropped."""
        name = self._beacons.get(beacon)
        if name is None:
            self.dropped["foreign"] += 1
        elif not is_rssi(rssi_dbm):
            self.dropped["rssi"] += 1
        elif not now_ms - 2 * self._window_ms <= at_ms <= now_ms + 1000:
            self.dropped["stale"] += 1
        else:
            if not self._heard:
                self._from_ms = at_ms
            readings = self._heard.setdefault(name, [])
            if len(readings) < MAX_READINGS:
                readings.append(rssi_dbm)
            else:
                self._more[name] = self._more.get(name, 0) + 1
            return name
        return None

    def close(self, now_ms: int) -> list[Touchpoint]:
        """The sightings of the window, if it has ended."""
        until_ms = self._from_ms + self._window_ms
        if not self._heard or now_ms < until_ms:
            return []
        heard, more = self._heard, self._more
        self.clear()
        if now_ms > until_ms + self._window_ms:
            self.dropped["stale"] += sum(map(len, heard.values())) + sum(more.values())
            return []
        out = []
        for name, readings in sorted(heard.items()):
            middle_dbm = median(readings)
            out.append(
                sighting(
                    receiver=name,
                    beacon=self._who,
                    window_ms=self._window_ms,
                    readings=len(readings) + more.get(name, 0),
                    rssi_median_dbm=middle_dbm,
                    rssi_spread_db=median([abs(rssi - middle_dbm) for rssi in readings]),
                    at_ms=until_ms,
                )
            )
        return out

    def clear(self) -> None:
        """Forget what was heard and not summed up."""
        self._heard = {}
        self._more = {}
