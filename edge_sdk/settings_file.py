"""A TOML file of settings, read key by key: every fault names the file, the entry and the key."""

import difflib
import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_sdk.errors import ConfigError
from edge_sdk.text_file import read_text

MAX_FILE_BYTES = 1 << 20


class Entry:
    """One table of a file. What is asked for must be right, and nothing else may be there.

    All methods raise ConfigError.
    """

    def __init__(self, table: dict[str, Any], where: str) -> None:
        self.where = where
        self._table = table
        self._asked: set[str] = set()

    def fault(self, key: str, what: str) -> ConfigError:
        """The error to raise: `what` goes on after the key's name."""
        return ConfigError(f"{self.where}: {key} {what}")

    def has(self, key: str) -> bool:
        return key in self._table

    def value(self, key: str) -> object:
        """Whatever is there, or None."""
        self._asked.add(key)
        return self._table.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.value(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value or len(value) > 1024:
            raise self.fault(key, 'is missing; it is a text in "quotes"' if value is None
                             else "is a text of 1 to 1024 characters")  # fmt: skip
        return value

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        value = self.value(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fault(key, f"is a number, {least:g} to {most:g}")
        if not least <= value <= most or math.isnan(value):
            raise self.fault(key, f"is {least:g} to {most:g}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(key, "is true or false")
        return value

    def table(self, key: str) -> "Entry":
        """A table within this one; empty if it is not there."""
        value = self.value(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.fault(key, "is a table")
        return Entry(value, f"{self.where}: {key}")

    def rows(self, key: str) -> list["Entry"]:
        """The entries [[key]], with one at least."""
        value = self.value(key)
        if not isinstance(value, list) or not value:
            raise self.fault(key, f"is missing: write [[{key}]] entries, with two brackets")
        if not all(isinstance(row, dict) for row in value):
            raise self.fault(key, f"is a list of [[{key}]] entries, with two brackets")
        return [Entry(row, f"{self.where}: {key} {at}") for at, row in enumerate(value, start=1)]

    def names(self) -> Iterable[str]:
        """Its keys, in the order of the file."""
        return tuple(self._table)

    def end(self) -> None:
        """Raise unless every key of the table was asked for."""
        for key in self._table:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, 1)
                meant = f"; is it {close[0]}?" if close else ""
                known = ", ".join(sorted(self._asked))
                raise self.fault(repr(key), f"is not known here{meant} (known are {known})")


def read(path: Path) -> Entry:
    """The top of a file. Raises ConfigError: it is not there, cannot be read, or is not TOML."""
    text = read_text(path, "file of settings", MAX_FILE_BYTES)
    return parse(text, str(path))


def parse(text: str, where: str) -> Entry:
    """The top of this TOML; faults name it as `where`."""
    try:
        return Entry(tomllib.loads(text.replace("\r\n", "\n")), where)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where}: is nested too deep") from None
