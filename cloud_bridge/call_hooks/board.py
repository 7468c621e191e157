"""The hooks of all tenants, by name; their files are read again when they change.

It is looked at when a delivery comes, at most every LOOK_S. A tenant whose file has become faulty
keeps the hooks that it had, and the log says why.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from cloud_bridge.call_hooks.hooks_file import FILE_NAME, Environment, Hook, Hooks, read_hooks
from cloud_bridge.clock import Clock
from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_S = 0.5
# A file's time is as coarse as its file system's clock: what changed just now is read again.
_COARSE_NS = 2_000_000_000

# What tells one state of a file from another; None: it is not there.
Version = tuple[int, int, int] | None


class HookBoard:
    """`find` a hook by its name. `homes`: the folder of each tenant."""

    def __init__(
        self, homes: Mapping[str, Path], clock: Clock, environment: Environment = os.environ
    ) -> None:
        self._watched = {
            tenant: _Watched(tenant, home / FILE_NAME, environment)
            for tenant, home in sorted(homes.items())
        }
        self._clock = clock
        self._look_s = float("-inf")
        self._hooks: dict[str, tuple[str, Hook]] = {}

    def __len__(self) -> int:
        return len(self._hooks)

    @property
    def faulty(self) -> int:
        """Tenants whose file cannot be taken as it is."""
        return sum(watched.fault != "" for watched in self._watched.values())

    def find(self, name: str) -> tuple[str, Hook] | None:
        """The tenant and the hook of this name."""
        now_s = self._clock.steady_s()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self.look()
        return self._hooks.get(name)

    def look(self) -> None:
        """Take over what has changed."""
        changed = [watched.look() for watched in self._watched.values()]
        if not any(changed):
            return
        hooks: dict[str, tuple[str, Hook]] = {}
        for tenant, watched in self._watched.items():
            for hook in watched.hooks.hooks:
                if hook.name in hooks:
                    other = hooks[hook.name][0]
                    log.error("hook %s of %s is %s's already: not served", hook.name, tenant, other)
                else:
                    hooks[hook.name] = (tenant, hook)
        self._hooks = hooks


class _Watched:
    """One tenant's file, with the files that it names."""

    def __init__(self, tenant: str, path: Path, environment: Environment) -> None:
        self.hooks = Hooks()
        self.fault = ""
        self._tenant = tenant
        self._path = path
        self._environment = environment
        self._seen: list[Version] | None = None
        self._settled = False

    def look(self) -> bool:
        """Whether the hooks are others than before."""
        seen = self._versions()
        # What is missing in a faulty file may be in one that it names: it is tried until it holds.
        if seen == self._seen and self._settled and not self.fault:
            return False
        before = self.hooks
        try:
            self.hooks = read_hooks(self._path, self._environment) if seen[0] else Hooks()
            self.fault = ""
        except ConfigError as error:
            if str(error) != self.fault:
                log.error("the hooks of %s stay as they are: %s", self._tenant, error)
            self.fault = str(error)
        self._seen = self._versions()
        now_ns = time.time_ns()
        self._settled = all(v is None or now_ns - v[0] > _COARSE_NS for v in self._seen)
        return self.hooks != before

    def _versions(self) -> list[Version]:
        return [_version(path) for path in self.hooks.files or (self._path,)]


def _version(path: Path) -> Version:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
