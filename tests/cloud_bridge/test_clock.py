"""What the bridge makes of a device's clock."""

import pytest

from cloud_bridge.clock import EARLIEST_MS, Offset, SystemClock, estimate

NOW = 1_800_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("samples", "newest", "expected"),
    [
        ([40, None], NOW - 40, Offset(0, True)),  # network delay, no more
        ([1999], NOW - 1999, Offset(0, True)),
        ([2000], NOW - 2000, Offset(2000, True)),
        ([HOUR], NOW - HOUR, Offset(HOUR, True)),  # an hour behind
        ([-HOUR], NOW + HOUR, Offset(-HOUR, True)),  # an hour ahead
        ([None, -HOUR], NOW + HOUR, Offset(-HOUR, True)),  # of an older epoch, by the newest
        ([40, HOUR], NOW - HOUR, Offset(0, True)),  # its own epoch counts first
        ([None, HOUR], NOW - 1000, Offset(0, True)),  # never later than it was received
        ([None, None], NOW - HOUR, Offset(0, True)),  # a backlog of a good clock
        ([None], NOW + HOUR, Offset(-HOUR, False)),  # from the future
        ([None], 0, Offset(NOW, False)),  # never set
        ([None], EARLIEST_MS - 1, Offset(NOW - EARLIEST_MS + 1, False)),
        ([NOW - 1000], 1000, Offset(NOW - 1000, True)),  # 1970, measured
    ],
)
def test_offsets(samples: list[int | None], newest: int, expected: Offset) -> None:
    assert estimate(samples, newest, NOW) == expected
    assert newest + expected.ms <= NOW + 2000


def test_the_machines_clocks() -> None:
    clock = SystemClock()
    assert clock.wall_ms() > EARLIEST_MS
    assert clock.steady_s() <= clock.steady_s()
