"""Presence: what receivers hear becomes visits and positions. Pure, and the same on a board."""

from .nearest import NearestReceiver

__all__ = ["NearestReceiver"]
