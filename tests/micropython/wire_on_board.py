"""The wire's portable checks over a board's cipher suite. MicroPython runs this, not pytest."""

import json

from firmware.board_suite import board_suite
from tests.wire.portable_checks import CHECKS as PORTABLE_CHECKS

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_sdk.wire.suite import Suite

    Check = Callable[[Suite, dict[str, object]], int]

VECTORS = {}
for _name in ("wire", "ccm", "hkdf"):
    with open(f"tests/vectors/{_name}.json") as _file:  # noqa: PTH123 -- a board has no pathlib
        VECTORS[_name] = json.load(_file)


def bound(check: "Check") -> "Callable[[], int]":
    """The check without its arguments."""
    return lambda: check(board_suite(), VECTORS)


CHECKS = tuple([(name, bound(check)) for name, check in PORTABLE_CHECKS])
