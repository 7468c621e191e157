"""The shop of the benches: one zone, one offer without a cooldown, and people who want it."""

import socket
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent

RULES = """
[[rule]]
offer = "bench"
category = "coffee"
within_days = 7
zone = "coffee"
purpose = "in_store_prompts"
surface = "kiosk"
title = "t"
body = "b"
ttl_s = 3600
cooldown_s = 0
"""


def browsed(shopper: int, now_ms: int) -> dict[str, object]:
    """The body of POST /collect that makes a shopper known, consenting and interested."""
    session, known_as = f"cookie:{shopper:08x}", f"loyalty:{shopper:08x}"
    return {
        "site": "web",
        "session": session,
        "id": f"bench-{shopper}",
        "events": [
            {"type": "page.view", "at_ms": now_ms, "page": "/coffee", "category": "coffee"},
            {"type": "identify", "known_as": known_as, "method": "login"},
            {"type": "identify", "seen": f"ble:{shopper:012x}", "known_as": known_as},
            {"type": "consent", "purpose": "in_store_prompts", "granted": True},
        ],
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
