"""The port of a presence engine, and what every engine refuses to hear.

An engine takes readings in and gives touchpoints out. It knows no clock and does no I/O: time is an
argument. The same engine runs in a gateway that has several radios, or in the bridge when the
receivers of a store are separate boards and it hears the medians of their sightings.
"""

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Protocol, TypeGuard

    from ..wire.touchpoint import Touchpoint

    class PresenceEngine(Protocol):
        """What turns readings into `sighting`, `visit.*` and `position` touchpoints.

        `at_ms` is ms on the caller's clock, 0 to 2**53 - 1, and becomes the touchpoints' time. It
        should not go back; an earlier time is taken for the latest one. Touchpoints come out in
        the order in which they are to be captured.

        Nothing that is heard can raise: what makes no sense is dropped and counted under its
        reason (`DROPS`). Memory has a bound, which the engine states.
        """

        dropped: dict[str, int]

        def hear(self, at_ms: int, receiver: str, beacon: str, rssi_dbm: int) -> "list[Touchpoint]":
            """One reading: `receiver` heard `beacon` ("scheme:value") at `rssi_dbm`."""
            ...

        def tick(self, at_ms: int) -> "list[Touchpoint]":
            """What time alone brings: dwell, the end of a silence. To be called every second."""
            ...

        def close(self, at_ms: int) -> "list[Touchpoint]":
            """The caller stops: the end of every open visit, and whatever waited to be summed up.

            Nobody left because of that: `probability_pct` of an exit is how probable it is that
            the visit is over all the same. The engine forgets its beacons; it may hear again.
            """
            ...


# Why something was dropped. "evicted": a beacon was forgotten to make room for another.
DROPS = ("time", "receiver", "beacon", "rssi", "evicted")

# A radio reports -127 to +20 dBm (Bluetooth Core, HCI RSSI); +127 says "not available".
RSSI_MIN_DBM = -127
RSSI_MAX_DBM = 20

MAX_BEACON_LENGTH = 96
_MAX_MS = 1 << 53


def is_time(at_ms: object) -> "TypeGuard[int]":
    """Whether this is a time in ms that a touchpoint can carry."""
    return isinstance(at_ms, int) and not isinstance(at_ms, bool) and 0 <= at_ms < _MAX_MS


def is_rssi(rssi_dbm: object) -> "TypeGuard[int]":
    """Whether a radio can have meant this."""
    return (
        isinstance(rssi_dbm, int)
        and not isinstance(rssi_dbm, bool)
        and RSSI_MIN_DBM <= rssi_dbm <= RSSI_MAX_DBM
    )


def is_beacon(beacon: object) -> "TypeGuard[str]":
    """Whether this can be an identifier "scheme:value": 3 to 96 visible ASCII characters."""
    if not isinstance(beacon, str) or not 2 < len(beacon) <= MAX_BEACON_LENGTH:
        return False
    if not 0 < beacon.find(":") < len(beacon) - 1:
        return False
    for char in beacon:
        if not "!" <= char <= "~":
            return False
    return True
