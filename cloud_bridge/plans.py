"""The plans of a tenant's stores: a file a site, put there by the command line, watched here.

They lie in `<data>/<tenant>/stores/<site>.toml`, each replaced as a whole. What was put there is
what `edge_sdk.plan_file` has read and written again.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

from cloud_bridge.clock import Clock
from edge_sdk.errors import ConfigError, StorageError
from edge_sdk.plan_file import StorePlan, read_plan, write_plan

log = logging.getLogger(__name__)

FOLDER = "stores"
LOOK_S = 0.5
_SUFFIX = ".toml"
# A folder's time is as coarse as its file system's clock: what changed just now is read again.
_COARSE_NS = 2_000_000_000


class Plans:
    """Watches them, for one question a look to the file system while nothing changes."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._settled_ns: int | None = None
        self._seen: dict[str, tuple[int, int]] | None = None
        self._plans: dict[str, StorePlan] = {}
        self._untold: Mapping[str, StorePlan] | None = None
        self._look_s = float("-inf")

    def keep_up(
        self, planned: Callable[[Mapping[str, StorePlan], int], None], clock: Clock
    ) -> None:
        """Look, if it is time to, and call `planned(plans, now_ms)` until it does not raise."""
        now_s = clock.steady_s()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            changed = self.look()
            if changed is not None:
                self._untold = changed
        if self._untold is not None:
            try:
                planned(self._untold, clock.wall_ms())
                self._untold = None
            except StorageError as error:
                log.error("visits are not made for now: %s", error)

    def look(self) -> Mapping[str, StorePlan] | None:
        """The plans by site, if they have changed or this is the first look; else None.

        A site whose new file is faulty keeps the plan that it had, and the log says so. A plan that
        has not changed is the same object again.
        """
        try:
            touched_ns = self._folder.stat().st_mtime_ns
        except OSError:
            touched_ns = 0
        if touched_ns == self._settled_ns:
            return None
        self._settled_ns = touched_ns if time.time_ns() - touched_ns > _COARSE_NS else None
        seen = dict(self._files())
        if seen == self._seen:
            return None
        before, self._seen = self._seen or {}, seen
        plans: dict[str, StorePlan] = {}
        for site, version in seen.items():
            plan = self._plans.get(site)
            if version != before.get(site):
                plan = self._read(site) or plan
            if plan is not None:
                plans[site] = plan
        self._plans = plans
        return dict(plans)

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_SUFFIX) and entry.is_file():
                        found = entry.stat()
                        site = unquote(entry.name.removesuffix(_SUFFIX))
                        yield site, (found.st_mtime_ns, found.st_ino)
        except OSError:
            return  # no folder: no plans

    def _read(self, site: str) -> StorePlan | None:
        try:
            return read_plan(path_of(self._folder.parent, site))
        except ConfigError as error:
            log.error("the plan of site %s is not taken: %s", site, error)
            return None


def path_of(home: Path, site: str) -> Path:
    """Where the plan of a site lies in a tenant's folder."""
    return home / FOLDER / f"{quote(site, safe='')}{_SUFFIX}"


def put(home: Path, site: str, file: Path) -> StorePlan:
    """Make this file the plan of a site, and its survey with it. Raises ConfigError."""
    if not site or len(site) > 64 or not site.isprintable():
        raise ConfigError("a site's name is 1 to 64 printable characters")
    store = read_plan(file)
    path = path_of(home, site)
    survey: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if store.survey is not None:
            survey = path.with_suffix(".csv")
            survey.write_bytes(store.survey.read_bytes())
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None
    write_plan(path, replace(store, survey=None if survey is None else Path(survey.name)))
    return store


def drop(home: Path, site: str) -> None:
    """Forget the plan of a site. Raises ConfigError if it has none."""
    path = path_of(home, site)
    try:
        path.unlink()
        path.with_suffix(".csv").unlink(missing_ok=True)
    except FileNotFoundError:
        raise ConfigError(f"site {site} has no plan") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be removed ({error.strerror})") from None


def listed(home: Path) -> list[tuple[str, StorePlan | ConfigError]]:
    """Each site that has a plan, with the plan or what is wrong with it."""
    found: list[tuple[str, StorePlan | ConfigError]] = []
    for path in sorted((home / FOLDER).glob(f"*{_SUFFIX}")):
        site = unquote(path.name.removesuffix(_SUFFIX))
        try:
            found.append((site, read_plan(path)))
        except ConfigError as error:
            found.append((site, error))
    return found
