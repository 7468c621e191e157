"""Rules: a file of offers and of when to make them, read once and checked entry by entry."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from cloud_bridge.errors import RulesError

DEFAULT_FILE = Path(__file__).with_name("rules.toml")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Days = Annotated[int, msgspec.Meta(gt=0, le=3660)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=366 * 86_400)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An offer, and the clauses that must hold. See rules.toml for what each field means."""

    offer: _Name
    category: _Name
    within_days: _Days
    zone: _Name
    purpose: _Name
    surface: _Name
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    body: Annotated[str, msgspec.Meta(max_length=2000)]
    ttl_s: Annotated[int, msgspec.Meta(gt=0, le=86_400)]
    cooldown_s: _Seconds


def load(path: Path = DEFAULT_FILE) -> tuple[Rule, ...]:
    """The rules of a TOML file, in its order. Raises RulesError, which names the entry."""
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RulesError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: not TOML: {error}") from None
    strange = sorted(set(parsed) - {"rule"})
    if strange:
        raise RulesError(f"{path}: unknown entry {strange[0]!r}; rules are [[rule]] entries")
    entries = parsed.get("rule", [])
    if not isinstance(entries, list):
        raise RulesError(f"{path}: rules are [[rule]] entries, with two brackets")
    return tuple(_checked(path, at, entries) for at in range(len(entries)))


def _checked(path: Path, at: int, entries: Sequence[object]) -> Rule:
    entry = entries[at]
    name = entry.get("offer") if isinstance(entry, dict) else None
    where = f"{path}: rule {at + 1}" + (f" ({name!r})" if isinstance(name, str) else "")
    try:
        rule = msgspec.convert(entry, Rule)
    except msgspec.ValidationError as error:
        raise RulesError(f"{where}: {error}") from None
    earlier = [other.get("offer") for other in entries[:at] if isinstance(other, dict)]
    if rule.offer in earlier:
        raise RulesError(f"{where}: another rule has this offer; give each one a name of its own")
    return rule
