"""How well positions and zones hold on recorded walks: `python -m edge_sdk.presence.evaluate`."""
