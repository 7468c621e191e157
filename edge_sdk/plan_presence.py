"""What a store plan says of presence: the tables [privacy] and [presence], and `positions`."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from edge_sdk.presence.footfall import LEAST, MAX_WINDOW_MS, MIN_WINDOW_MS, WINDOW_MS
from edge_sdk.presence.privacy import AGGREGATE, CONSENTED, MODES, PSEUDONYMOUS, prefix_of
from edge_sdk.presence.settings import PresenceSettings

Fault = Callable[[str, str], None]  # where, and what is wrong there

_MOST_OURS = 64
_MOST_LEAST = 1_000

# Name of a setting -> its default, which shows what kind of value it takes.
SETTINGS: Mapping[str, object] = MappingProxyType(
    {
        name: parameter.default
        for name, parameter in inspect.signature(PresenceSettings).parameters.items()
    }
)

# Mode -> the keys of [privacy] that mean something in it.
_PRIVACY_KEYS = {
    AGGREGATE: ("mode", "least", "window_ms"),
    PSEUDONYMOUS: ("mode",),
    CONSENTED: ("mode", "ours", "count_others", "least", "window_ms"),
}


@dataclass(frozen=True, slots=True)
class PresencePlan:
    """How presence is to work in a store.

    positions     whether positions are wanted, and not visits alone
    settings      keywords of PresenceSettings that differ from its defaults
    ours          in mode consented: what our own app and tags emit (presence/privacy.py)
    count_others  in mode consented: whether all others are counted, as in mode aggregate
    least         the smallest group that is counted
    window_ms     what a count sums up
    """

    positions: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    ours: tuple[str, ...] = ("eid:",)
    count_others: bool = False
    least: int = LEAST
    window_ms: int = WINDOW_MS


def read_presence(tables: Mapping[str, object], fault: Fault) -> tuple[str | None, PresencePlan]:
    """The mode, if one is said, and the rest. Faults are told one by one."""
    positions = tables.get("positions", False)
    if not isinstance(positions, bool):
        fault("positions", "is true or false")
        positions = False
    mode, privacy = _privacy(tables.get("privacy"), fault)
    settings = _settings(tables.get("presence", {}), positions, fault)
    return mode, replace(PresencePlan(positions, settings), **privacy)


def presence_lines(mode: str | None, presence: PresencePlan) -> tuple[list[str], list[str]]:
    """TOML that `read_presence` reads back: keys of the top, and tables for the end of a file."""
    top = ["positions = true"] if presence.positions else []
    default = PresencePlan()
    privacy = [
        f"{name} = {_toml(value)}"
        for name in ("ours", "count_others", "least", "window_ms")
        if (value := getattr(presence, name)) != getattr(default, name)
    ]
    tables = []
    if mode and privacy:
        tables += ["", "[privacy]", f'mode = "{mode}"', *privacy]
    elif mode:
        top.append(f'privacy = "{mode}"')
    if presence.settings:
        told = [f"{name} = {_toml(value)}" for name, value in presence.settings.items()]
        tables += ["", "[presence]", *told]
    return top, tables


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _privacy(said: object, fault: Fault) -> tuple[str | None, dict[str, Any]]:
    table = {"mode": said} if isinstance(said, str) else said
    if table is None:
        return None, {}
    if not isinstance(table, dict):
        fault("privacy", f"is one of {', '.join(MODES)}, or a table [privacy] with a mode")
        return None, {}
    mode = table.get("mode")
    if mode not in MODES:
        where = "privacy" if isinstance(said, str) else "privacy.mode"
        near = _nearest(mode, MODES) if isinstance(mode, str) else ""
        fault(where, f"is one of {', '.join(MODES)}{near}")
        return None, {}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _PRIVACY_KEYS[mode]:
            known = ", ".join(_PRIVACY_KEYS[mode])
            near = _nearest(key, _PRIVACY_KEYS[mode]) or f"; there are {known}"
            fault(f"privacy.{_shown(key)}", f"means nothing in mode {mode}{near}")
        elif key != "mode" and _is_right(key, value, fault):
            found[key] = tuple(value) if isinstance(value, list) else value
    if mode == CONSENTED and not table.get("count_others"):
        for key in ("least", "window_ms"):
            if key in table:
                fault(f"privacy.{key}", "is for counting others: say count_others = true as well")
    return mode, found


def _is_right(key: str, value: object, fault: Fault) -> bool:
    where = f"privacy.{key}"
    if key == "ours":
        if not isinstance(value, list) or not 0 < len(value) <= _MOST_OURS:
            fault(where, 'is a list of namespaces, as ["eid:", "uid:00010203040506070809"]')
            return False
        for at, namespace in enumerate(value, 1):
            try:
                prefix_of(namespace)
            except (ValueError, AttributeError) as error:
                what = str(error) if isinstance(error, ValueError) else "is a text in quotes"
                fault(f"{where}[{at}]", what)
                return False
        return True
    if key == "count_others":
        if not isinstance(value, bool):
            fault(where, "is true or false")
        return isinstance(value, bool)
    least, most = (2, _MOST_LEAST) if key == "least" else (MIN_WINDOW_MS, MAX_WINDOW_MS)
    if not _is_whole(value) or not least <= value <= most:  # type: ignore[operator]
        fault(where, f"is a whole number, {least} to {most}")
        return False
    return True


def _settings(table: object, positions: bool, fault: Fault) -> dict[str, object]:
    if not isinstance(table, dict):
        fault("presence", "is a table: write [presence], and its keys below")
        return {}
    found: dict[str, object] = {}
    faults = 0
    for key, value in table.items():
        what = _wrong_with(key, value)
        if what is None and key == "position_every_ms" and value and not positions:
            what = "is for positions: say positions = true as well"
        if what is not None:
            fault(f"presence.{_shown(key)}", what)
            faults += 1
            continue
        default = SETTINGS[key]
        found[key] = tuple(value) if isinstance(value, list) else value
        if isinstance(default, float):
            found[key] = float(value)
    if not faults:
        try:
            PresenceSettings(**found)  # type: ignore[arg-type]
        except ValueError as error:
            fault("presence", str(error))
    return found


def _wrong_with(key: str, value: object) -> str | None:
    """What is wrong with a setting by itself: it is judged by the kind of its default."""
    default = SETTINGS.get(key)
    if default is None:
        near = _nearest(key, SETTINGS) or f"; there are {', '.join(SETTINGS)}"
        return f"is no key that we know{near}"
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(map(_is_whole, value)):
            return "is a list of whole numbers, as [10000, 60000]"
        if sorted(set(value)) != value or 0 in value:
            return "rises from number to number, from 1 on"
    elif isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is a number, as {default}"
    elif not _is_whole(value):
        return f"is a whole number, as {default}"
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _shown(key: str) -> str:
    return key if len(key) <= 64 and key.isprintable() else "this"


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
