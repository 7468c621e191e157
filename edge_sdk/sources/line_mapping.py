"""How the lines of a till or a door counter become touchpoints: a TOML file, checked at once.

An entry is a regular expression with named groups, a type of touchpoint, and where each field of it
comes from. All is held against the table of touchpoint types. docs/sources.md has the format.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from edge_sdk import settings_file
from edge_sdk.errors import ConfigError
from edge_sdk.settings_file import Entry
from edge_sdk.sources.framing import Lines
from edge_sdk.wire.touchpoint import CODES, DATA, DBM, FIELDS, ID, INT, TouchpointError, fits, make

MAX_ENTRIES = 100

# (unit of the device, end of the field's name) -> by how much to multiply. Names of fields end in
# their unit; money is in the currency's least unit, a hundredth unless `per_major` says otherwise.
UNITS = {
    ("ms", "ms"): Decimal(1),
    ("s", "ms"): Decimal(1_000),
    ("min", "ms"): Decimal(60_000),
    ("h", "ms"): Decimal(3_600_000),
    ("s", "s"): Decimal(1),
    ("min", "s"): Decimal(60),
    ("h", "s"): Decimal(3_600),
    ("mm", "cm"): Decimal("0.1"),
    ("cm", "cm"): Decimal(1),
    ("m", "cm"): Decimal(100),
    ("minor", "minor"): Decimal(1),
    ("major", "minor"): Decimal(100),
    ("%", "pct"): Decimal(1),
}

_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")


class Refused(ValueError):
    """Theirs: a line whose pattern fits and whose values do not. `reason`: number, value, range."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a line was refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Field:
    """Where one field of a touchpoint comes from.

    kind      of the touchpoint table
    constant  its value, if it is always the same
    group     of the pattern, otherwise
    factor    of a number; None: it is whole as it stands
    decimal   "." or ","
    values    text in the line -> value; no other text is one
    prefix    before an identifier or text
    total     the number runs on: what counts is by how much it grew since the last line
    elapsed   the milliseconds since the last line of this entry
    """

    name: str
    kind: str
    constant: object = None
    group: str = ""
    factor: Decimal | None = None
    decimal: str = "."
    values: dict[str, object] | None = None
    prefix: str = ""
    total: bool = False
    elapsed: bool = False

    def of(self, text: str) -> object:
        """The value that stands in a line. Raises Refused."""
        if self.values is not None:
            if text not in self.values:
                raise Refused("value")
            return self.values[text]
        if self.kind in (INT, DBM):
            return self._number(text.strip())
        text = self.prefix + text
        return text.encode() if self.kind == DATA else text

    def _number(self, text: str) -> int:
        if self.decimal == ",":
            text = text.replace(".", "!").replace(",", ".")
        if not text.isascii() or not _NUMBER.fullmatch(text):
            raise Refused("number")
        number = Decimal(text)
        if self.factor is not None:
            return int((number * self.factor).to_integral_value())
        if number != number.to_integral_value():
            raise Refused("number")
        return int(number)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry: lines that `pattern` fits from end to end become this type, or are ignored."""

    name: str
    pattern: re.Pattern[str]
    type_name: str | None
    fields: tuple[Field, ...] = ()

    @property
    def compares(self) -> bool:
        """Whether it needs the line before."""
        return any(field.total or field.elapsed for field in self.fields)


@dataclass(frozen=True, slots=True)
class Mapping:
    """The rules of a device, as they are tried: the first that fits has a line."""

    rules: tuple[Rule, ...]
    encoding: str = "utf-8"
    max_line_bytes: int = 512


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises ConfigError, which names entry and key."""
    return _mapping(settings_file.read(path))


def parse_mapping(text: str, where: str = "device.toml") -> Mapping:
    """The mapping in this TOML; faults name it as `where`. Raises ConfigError."""
    return _mapping(settings_file.parse(text, where))


def _mapping(top: Entry) -> Mapping:
    encoding = top.text("encoding", "utf-8")
    try:
        Lines(encoding=encoding)
    except ConfigError as error:
        raise top.fault("encoding", f"cannot be: {error}") from None
    max_line_bytes = int(top.number("max_line_bytes", 1, 65_536, 512))
    rows = top.rows("line")
    if len(rows) > MAX_ENTRIES:
        raise top.fault("line", f"entries are {MAX_ENTRIES} at most")
    top.end()
    rules = tuple(_rule(row, str(at)) for at, row in enumerate(rows, start=1))
    names = [rule.name for rule in rules]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise rows[at].fault("name", f"{name!r} has another entry; each has its own")
    return Mapping(rules, encoding, max_line_bytes)


def _rule(row: Entry, number: str) -> Rule:
    name = row.text("name", f"line {number}")
    if row.has("name"):
        row.where += f" ({name!r})"
    written = row.text("pattern")
    try:
        pattern = re.compile(written)
    except (re.error, OverflowError, RecursionError) as error:
        raise row.fault("pattern", f"is not a regular expression: {error}") from None
    if row.flag("ignore"):
        row.end()
        return Rule(name, pattern, None)
    type_name = row.text("type")
    if type_name not in CODES:
        raise row.fault("type", f"{type_name!r} is no touchpoint; `edge-sdk types` lists them")
    fields = row.table("fields")
    row.end()
    kinds = dict(FIELDS[CODES[type_name]])
    found = []
    for key in fields.names():
        if key not in kinds:
            known = ", ".join(kinds)
            raise fields.fault(key, f"is no field of {type_name} (it has {known})")
        found.append(_field(fields, key, kinds[key], pattern))
    try:
        make(type_name, None, **{field.name: field.constant for field in found})
    except TouchpointError as error:
        raise row.fault("fields", f"cannot be: {error}") from None
    return Rule(name, pattern, type_name, tuple(found))


def _field(fields: Entry, key: str, kind: str, pattern: re.Pattern[str]) -> Field:
    value = fields.value(key)
    if not isinstance(value, dict):
        if not fits(kind, value) or value is None:
            raise fields.fault(key, f"is not a valid {kind}")
        return Field(key, kind, constant=value)
    spec = fields.table(key)
    if spec.flag("elapsed"):
        if not key.endswith("_ms"):
            raise spec.fault("elapsed", "is for a field of milliseconds, as window_ms")
        spec.end()
        return Field(key, kind, elapsed=True)
    group = spec.text("from")
    if group not in pattern.groupindex:
        groups = ", ".join(pattern.groupindex) or "none"
        raise spec.fault("from", f"{group!r} is no group of the pattern (it has: {groups})")
    if spec.has("values"):
        field = Field(key, kind, group=group, values=_values(spec.table("values"), kind))
    elif kind in (INT, DBM):
        field = _number_field(spec, key, kind, group)
    else:
        prefix = spec.text("prefix", "") if spec.has("prefix") else ""
        if kind == ID and ":" not in prefix:
            raise spec.fault("prefix", 'is missing: an identifier has a scheme, as "loyalty:"')
        field = Field(key, kind, group=group, prefix=prefix)
    spec.end()
    return field


def _number_field(spec: Entry, key: str, kind: str, group: str) -> Field:
    decimal = spec.text("decimal", ".")
    if decimal not in (".", ","):
        raise spec.fault("decimal", 'is "." or ","')
    factor = None
    end = key.rsplit("_", 1)[-1]
    if spec.has("unit"):
        unit = spec.text("unit")
        factor = UNITS.get((unit, end))
        if factor is None:
            known = ", ".join(u for u, e in UNITS if e == end) or "none"
            raise spec.fault("unit", f"{unit!r} cannot become {key} (units for it: {known})")
    elif any(end == to for _, to in UNITS):
        raise spec.fault("unit", f"is missing: in which unit is the {group!r} that becomes {key}?")
    if spec.has("per_major"):
        if (spec.value("unit"), end) != ("major", "minor"):
            raise spec.fault("per_major", 'goes with unit = "major" of money')
        factor = Decimal(int(spec.number("per_major", 1, 10_000)))
    total = spec.flag("total")
    return Field(key, kind, group=group, factor=factor, decimal=decimal, total=total)


def _values(table: Entry, kind: str) -> dict[str, object]:
    values = {text: table.value(text) for text in table.names()}
    if not values:
        raise ConfigError(f"{table.where} is empty")
    for text, value in values.items():
        if not fits(kind, value):
            raise table.fault(repr(text), f"is not a valid {kind}")
    return values
