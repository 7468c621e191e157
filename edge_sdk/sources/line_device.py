"""A till, a door counter or whatever else speaks lines over serial: touchpoints by a mapping."""

from typing import Self

from edge_sdk.clock import Clock, SteadyClock
from edge_sdk.sources.framing import Lines
from edge_sdk.sources.line_mapping import Field, Mapping, Refused, Rule
from edge_sdk.sources.serial_line import Port, SerialLine
from edge_sdk.wire.touchpoint import Touchpoint, TouchpointError, make

REFUSALS = ("unmatched", "number", "value", "range")


class Reader:
    """Lines in, touchpoints out, by a mapping. Never raises for a line.

    counts: `touchpoints`, `ignored`, `first` (a running total that had none to compare with), and
    what was refused, by REFUSALS: no pattern fits; no number, or none that is whole; not among the
    `values`; more than a field can hold.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._rules = mapping.rules
        self._before: dict[str, tuple[int, dict[str, int]]] = {}  # rule -> when, and its totals
        self.counts = dict.fromkeys(("touchpoints", "ignored", "first", *REFUSALS), 0)

    def line(self, line: str, now_ms: int) -> Touchpoint | None:
        """The touchpoint of a line that came at `now_ms` of a clock that does not jump."""
        for rule in self._rules:
            found = rule.pattern.fullmatch(line)
            if found is None:
                continue
            if rule.type_name is None:
                self.counts["ignored"] += 1
                return None
            try:
                return self._made(rule, rule.type_name, found.groupdict(), now_ms)
            except Refused as refused:
                self.counts[refused.reason] += 1
            except TouchpointError:
                self.counts["range"] += 1
            return None
        self.counts["unmatched"] += 1
        return None

    def _made(
        self, rule: Rule, type_name: str, groups: dict[str, str | None], now_ms: int
    ) -> Touchpoint | None:
        values = {field.name: _value(field, groups) for field in rule.fields}
        if rule.compares:
            totals = {
                field.name: value
                for field in rule.fields
                if field.total and isinstance(value := values[field.name], int)
            }
            before = self._before.get(rule.name)
            self._before[rule.name] = now_ms, totals
            if before is None:
                self.counts["first"] += 1
                return None
            _compare(rule, values, before, now_ms)
        touchpoint = make(type_name, None, **values)
        self.counts["touchpoints"] += 1
        return touchpoint


def _value(field: Field, groups: dict[str, str | None]) -> object:
    if not field.group:
        return field.constant
    text = groups[field.group]
    return None if text is None else field.of(text)


def _compare(
    rule: Rule, values: dict[str, object], before: tuple[int, dict[str, int]], now_ms: int
) -> None:
    """Put in place of totals by how much they grew, and the time in which they did."""
    before_ms, totals = before
    for field in rule.fields:
        value = values[field.name]
        if field.elapsed:
            values[field.name] = max(0, now_ms - before_ms)
        elif field.total and isinstance(value, int):
            last = totals.get(field.name)
            if last is None:
                values[field.name] = None
            else:  # less than before: the device was restarted and began anew
                values[field.name] = value - last if value >= last else value


class LineDevice:
    """`async with LineDevice(port, read_mapping(path)) as device`, then `async for` of touchpoints.

    Entering raises ConfigError where pyserial is missing. counts: those of Reader and of the line.
    """

    def __init__(
        self,
        port: Port,
        mapping: Mapping,
        *,
        max_waiting: int = 256,
        clock: Clock | None = None,
    ) -> None:
        framing = Lines(mapping.max_line_bytes, mapping.encoding)
        self.line = SerialLine(port, framing, max_waiting=max_waiting)
        self._reader = Reader(mapping)
        self._clock = clock or SteadyClock()

    @property
    def counts(self) -> dict[str, int]:
        return {**self.line.counts, **self._reader.counts}

    async def __aenter__(self) -> Self:
        await self.line.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.line.__aexit__(*exc_info)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Touchpoint:
        while True:
            touchpoint = self._reader.line(await anext(self.line), self._clock.now_ms())
            if touchpoint is not None:
                return touchpoint
