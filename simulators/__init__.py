"""Simulated shoppers, radios, lines and visitors, for whoever has no store at hand."""

from simulators.store_day import Arrival, Reading, Shopper, StoreDay, collect_bodies, replay

__all__ = ["Arrival", "Reading", "Shopper", "StoreDay", "collect_bodies", "replay"]
