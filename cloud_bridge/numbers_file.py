"""The pools of a tenant: `numbers.toml` in its folder, read again when it changes.

    [[pool]]
    name = "web"
    region = "FR"                      # how numbers are written where they are shown
    fallback = "+33170180099"          # shown when none is free, or when nothing can be kept
    numbers = ["+33170180000..39", "+33170180050"]
    split = true                       # likely callers get numbers of their own, while that pays
    minimum_minutes = 30               # a visitor has her number for so long at least
    recalled = [3]                     # blocks whose stores are to hand them back
    written_off = [2]                  # blocks that will not come back: their numbers rest

A number that is taken out of the file rests for 60 days, and is not lent again before.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud_bridge.clock import Clock
from edge_sdk import settings_file
from edge_sdk.calls.phone import check_region
from edge_sdk.errors import ConfigError
from edge_sdk.numbers.terms import MINUTE_MS, Terms
from edge_sdk.settings_file import Entry

log = logging.getLogger(__name__)

FILE_NAME: Final = "numbers.toml"
MAX_NUMBERS: Final = 100_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_RANGE: Final = re.compile(r"(\+[1-9][0-9]{6,14})\.\.([0-9]{1,6})")
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool as its tenant wants it."""

    name: str
    region: str | None
    fallback: str
    numbers: tuple[str, ...]
    split: bool
    terms: Terms
    recalled: tuple[int, ...] = ()
    written_off: tuple[int, ...] = ()


def read(path: Path) -> tuple[PoolSpec, ...]:
    """The pools of a file. Raises ConfigError."""
    top = settings_file.read(path)
    specs = tuple(_spec(entry) for entry in top.rows("pool"))
    top.end()
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two pools have one name")
    owner: dict[str, str] = {}
    for spec in specs:
        for number in spec.numbers:
            if owner.setdefault(number, spec.name) != spec.name:
                raise ConfigError(f"{path}: {number} is in {owner[number]} and in {spec.name}")
    return specs


def _spec(entry: Entry) -> PoolSpec:
    name = entry.text("name")
    if not _NAME.fullmatch(name):
        raise entry.fault("name", "is 1 to 32 of a-z, 0-9, hyphen and underscore")
    region = entry.text("region", "") or None
    try:
        check_region(region)
    except ConfigError as error:
        raise entry.fault("region", f": {error}") from None
    fallback = entry.text("fallback")
    if not _E164.fullmatch(fallback):
        raise entry.fault("fallback", "is a number as +33170180099")
    numbers = tuple(dict.fromkeys(_numbers(entry)))
    if fallback in numbers:
        raise entry.fault("fallback", "is one of the numbers that are lent")
    minutes = entry.number("minimum_minutes", 0, 1440, 30)
    split = entry.flag("split")
    blocks = {key: _blocks(entry, key) for key in ("recalled", "written_off")}
    entry.end()
    terms = Terms(minimum_ms=int(minutes * MINUTE_MS))
    return PoolSpec(name, region, fallback, numbers, split, terms, **blocks)


def _numbers(entry: Entry) -> Iterator[str]:
    listed = entry.value("numbers")
    if not isinstance(listed, list) or not listed:
        raise entry.fault("numbers", 'is missing: a list as ["+33170180000..39"]')
    left = MAX_NUMBERS
    for text in listed:
        found = _expanded(entry, text)
        left -= len(found)
        if left < 0:
            raise entry.fault("numbers", f"are {MAX_NUMBERS} at most")
        yield from found


def _expanded(entry: Entry, text: object) -> Sequence[str]:
    if isinstance(text, str) and _E164.fullmatch(text):
        return [text]
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        first, end = match.group(1), match.group(2)
        stem, start = first[: -len(end)], first[-len(end) :]
        if stem and start <= end:
            return [f"{stem}{n:0{len(end)}}" for n in range(int(start), int(end) + 1)]
    raise entry.fault("numbers", 'are as "+33170180000", or as "+33170180000..39"')


def _blocks(entry: Entry, key: str) -> tuple[int, ...]:
    listed = entry.value(key)
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(type(n) is int and n > 0 for n in listed):
        raise entry.fault(key, "is a list of numbers of blocks, as [3]")
    return tuple(listed)


class NumbersFile:
    """`look` tells the pools when they have changed. A faulty file changes nothing."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.fault = ""
        self._path = home / FILE_NAME
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._look_s = float("-inf")

    def look(self) -> tuple[PoolSpec, ...] | None:
        """The pools, if the file has changed or this is the first look; else None."""
        now_s = self._clock.steady_s()
        if now_s < self._look_s:
            return None
        self._look_s = now_s + _LOOK_S
        try:
            status = self._path.stat()
            seen = status.st_mtime_ns, status.st_size
        except OSError:
            seen = 0, 0
        if seen == self._seen:
            return None
        first, self._seen = self._seen is None, seen
        if seen == (0, 0):
            return () if first else None  # who deletes the file does not retire all numbers
        try:
            specs = read(self._path)
        except ConfigError as error:
            self.fault = str(error)
            log.error("pools stay as they were: %s", error)
            return None
        self.fault = ""
        return specs
