"""The checks of beacons over a board's ciphers. MicroPython runs this, not pytest."""

import json

from firmware.board_suite import ecb, hmac_sha256
from tests.presence.portable_beacons import CHECKS as PORTABLE_CHECKS

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VECTORS = {}
for _name in ("ble_frames", "eddystone_eid", "resolvable_address"):
    with open(f"tests/vectors/{_name}.json") as _file:  # noqa: PTH123 -- a board has no pathlib
        VECTORS[_name] = json.load(_file)


def bound(check: "Callable[..., Any]") -> "Callable[[], int]":
    """The check without its arguments."""
    return lambda: check(ecb, hmac_sha256, VECTORS)


CHECKS = tuple([(name, bound(check)) for name, check in PORTABLE_CHECKS])
