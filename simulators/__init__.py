"""Simulated shoppers, radios, lines and visitors, for whoever has no store at hand."""

from edge_sdk.sources.reading import Reading
from simulators.store_day import Arrival, Shopper, StoreDay, collect_bodies, replay

__all__ = ["Arrival", "Reading", "Shopper", "StoreDay", "collect_bodies", "replay"]
