"""What a board takes over from edge_sdk: the portable files, and the modules they may import.

scripts/check compiles each file with MicroPython's compiler and reads what it imports; the tests of
these files run on both interpreters. A file that is added here must keep to that.
"""

PORTABLE = (
    "edge_sdk/presence/__init__.py",
    "edge_sdk/presence/address_table.py",
    "edge_sdk/presence/beacons.py",
    "edge_sdk/presence/belief.py",
    "edge_sdk/presence/eid_table.py",
    "edge_sdk/presence/engine.py",
    "edge_sdk/presence/floor.py",
    "edge_sdk/presence/frames.py",
    "edge_sdk/presence/identifiers.py",
    "edge_sdk/presence/nearest.py",
    "edge_sdk/presence/presence.py",
    "edge_sdk/presence/radio_map.py",
    "edge_sdk/presence/settings.py",
    "edge_sdk/presence/silence.py",
    "edge_sdk/presence/spots.py",
    "edge_sdk/presence/statistics.py",
    "edge_sdk/presence/visits.py",
    "edge_sdk/presence/zone_belief.py",
    "edge_sdk/wire/__init__.py",
    "edge_sdk/wire/batch.py",
    "edge_sdk/wire/ccm.py",
    "edge_sdk/wire/control.py",
    "edge_sdk/wire/enrolment.py",
    "edge_sdk/wire/keys.py",
    "edge_sdk/wire/packing.py",
    "edge_sdk/wire/seal.py",
    "edge_sdk/wire/topics.py",
    "edge_sdk/wire/touchpoint.py",
)

# Built into a stock board. Portable files may import each other as well.
ALLOWED_IMPORTS = ("array", "binascii", "hashlib", "math", "struct", "sys")

# Allowed in one file alone, inside `try: ... except ImportError:`, with a portable fallback.
OPTIONAL_IMPORTS = {
    "edge_sdk/wire/packing.py": ("msgpack",),
}
