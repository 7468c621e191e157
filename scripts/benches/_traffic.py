"""The mix of tests/data/mix.json as many gateways send it: batches of one class, sealed ahead."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from benches._line import Line, Sealed
from benches._people import Crowd
from edge_sdk.wire.touchpoint import PRIORITY, Touchpoint
from simulators.mix import bulk

# A turn's touchpoints happen as fast as this, together: about as fast as they are taken, so that
# a visit is fresh when it arrives, as it is where nothing is sealed ahead.
HAPPEN_PER_S = 50_000

Load = list[tuple[Line, list[Sealed]]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How batches are made.

    size          touchpoints of each
    other_people  whether each has people of its own
    ago_ms        how long ago it all happened; 0: it is fresh
    """

    size: int = 100
    other_people: bool = False
    ago_ms: int = 0


class Traffic:
    """An endless day of the mix among a crowd, dealt out to gateways stretch by stretch."""

    def __init__(self, lines: Sequence[Line], crowd: Crowd, seed: int) -> None:
        self._lines = lines
        self._crowd = crowd
        self._stream = bulk(1 << 60, seed, crowd.names)
        self._filling: dict[tuple[int, int], list[Touchpoint]] = {}  # (device, class) -> batch

    def turn(self, count: int, shape: Shape) -> Load:
        """About `count` touchpoints, sealed for all gateways; what fills no batch waits."""
        each = max(1, count // len(self._lines))
        span_ms = max(1, 1000 * count // HAPPEN_PER_S)
        return [(line, self.stretch(line, each, span_ms, shape)) for line in self._lines]

    def stretch(self, line: Line, count: int, span_ms: int, shape: Shape) -> list[Sealed]:
        """What one gateway seals of `count` touchpoints of the next `span_ms`."""
        base_ms = time.time_ns() // 1_000_000 - shape.ago_ms
        happened = _moved(list(islice(self._stream, count)), base_ms, span_ms)
        fresh = not shape.ago_ms
        batches = self._batches(line, happened, shape)
        return [sealed for batch in batches for sealed in line.seal(batch, fresh=fresh)]

    def _batches(
        self, line: Line, stretch: Iterable[Touchpoint], shape: Shape
    ) -> Iterator[list[Touchpoint]]:
        for touchpoint in stretch:
            key = line.device, PRIORITY[touchpoint.code]
            filling = self._filling.setdefault(key, [])
            filling.append(touchpoint)
            if len(filling) >= shape.size:
                batch, self._filling[key] = filling[: shape.size], filling[shape.size :]
                yield self._crowd.replaced(batch) if shape.other_people else batch


def touchpoints_of(load: Load) -> int:
    """How many touchpoints are sealed in it."""
    return sum(sealed.touchpoints for _, listed in load for sealed in listed)


def batches_of(load: Load) -> int:
    """How many batches it is."""
    return sum(len(listed) for _, listed in load)


def _moved(stretch: Sequence[Touchpoint], base_ms: int, span_ms: int) -> Iterator[Touchpoint]:
    """The same touchpoints in `span_ms` from `base_ms` on."""
    first_ms, last_ms = stretch[0].at_ms or 0, stretch[-1].at_ms or 0
    width_ms = max(1, last_ms - first_ms)
    for said in stretch:
        at_ms = base_ms + ((said.at_ms or 0) - first_ms) * span_ms // width_ms
        yield Touchpoint(said.code, at_ms, said.values)
