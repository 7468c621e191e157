"""Presence: what receivers hear becomes visits and positions. Pure, and the same on a board."""

from .nearest import NearestReceiver
from .presence import Presence
from .settings import PresenceSettings
from .zone_belief import ZoneBeliefs

__all__ = ["NearestReceiver", "Presence", "PresenceSettings", "ZoneBeliefs"]
