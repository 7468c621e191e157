"""Which agents a call is for: `calls.toml` in a tenant's folder, read again when it changes.

default = "agents"              # the group of every other number
keep_numbers_days = 14          # how long a number is kept for calling back

[groups]
sales = ["+33170180000", "pool:web"]
service = ["+33170180001"]
"""

import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from cloud_bridge.clock import Clock
from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

FILE_NAME: Final = "calls.toml"
DEFAULT_GROUP: Final = "agents"
KEEP_DAYS: Final = 14
_MOST_DAYS: Final = 365
_POOL: Final = "pool:"
_LOOK_S: Final = 0.5


class _File(msgspec.Struct, forbid_unknown_fields=True):
    default: str = DEFAULT_GROUP
    keep_numbers_days: float = KEEP_DAYS
    groups: dict[str, list[str]] = {}


@dataclass(frozen=True, slots=True)
class Routing:
    """`group_of` a call. `keep_ms`: how long a caller's number is kept for calling back."""

    default: str = DEFAULT_GROUP
    keep_ms: int = KEEP_DAYS * 86_400_000
    _of: Mapping[str, str] = field(default_factory=dict)

    def group_of(self, number: str, pool: str) -> str:
        """By its number, else by the pool that this is of, else the default."""
        return self._of.get(number) or self._of.get(_POOL + pool) or self.default


def read(path: Path) -> Routing:
    """What the file says; without one, the defaults. Raises ConfigError."""
    try:
        told = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    except FileNotFoundError:
        return Routing()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not 0 <= told.keep_numbers_days <= _MOST_DAYS:
        raise ConfigError(f"{path}: keep_numbers_days is 0 to {_MOST_DAYS}")
    of: dict[str, str] = {}
    for group, members in told.groups.items():
        for member in members:
            if not member.startswith(("+", _POOL)):
                raise ConfigError(
                    f"{path}: groups.{group}: a member is a number as +33170180000, or pool:NAME"
                )
            if of.setdefault(member, group) != group:
                raise ConfigError(f"{path}: {member} is in {of[member]} and in {group}")
    return Routing(told.default, int(told.keep_numbers_days * 86_400_000), of)


class RoutingFile:
    """Called, it tells the routing as it is now. A faulty file changes nothing, and is logged."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._routing = Routing()
        self._path = home / FILE_NAME
        self._clock = clock
        self._seen: tuple[int, int] = (0, 0)
        self._look_s = float("-inf")

    def __call__(self) -> Routing:
        """What the file says; it is looked at twice a second."""
        now_s = self._clock.steady_s()
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_S
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._routing = read(self._path)
                except ConfigError as error:
                    log.error("calls are routed as before: %s", error)
        return self._routing

    def _look(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_size
