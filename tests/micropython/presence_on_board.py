"""The presence engine's portable checks. MicroPython runs this, not pytest."""

import json

from tests.presence.portable_presence import CHECKS as PORTABLE_CHECKS

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[dict[str, object]], int]

with open("tests/vectors/presence.json") as _file:  # noqa: PTH123 -- a board has no pathlib
    VECTORS = json.load(_file)


def bound(check: "Check") -> "Callable[[], int]":
    """The check without its argument."""
    return lambda: check(VECTORS)


CHECKS = tuple([(name, bound(check)) for name, check in PORTABLE_CHECKS])
