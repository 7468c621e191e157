"""A reading: what radios hand to the presence engine."""

from typing import NamedTuple


class Reading(NamedTuple):
    """At `at_ms`, `receiver` heard `beacon` ("scheme:value") at `rssi_dbm`."""

    at_ms: int
    receiver: str
    beacon: str
    rssi_dbm: int
