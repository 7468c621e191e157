"""Which edge software this is: told to the bridge in each hello."""

VERSION = "0.1.0"
AGENT = f"edge-sdk/{VERSION}"
