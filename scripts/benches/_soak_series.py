"""What a soak samples each second, and what it makes of it."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

_ASIDE = ("-wal", "-shm", "-journal", ".log")


@dataclass(frozen=True, slots=True)
class Sample:
    """One second. What the bridge itself tells is None while it does not answer."""

    at_s: float
    age_s: float | None  # of the bridge's process
    rss_mb: float | None
    lag_s: float | None  # the oldest message that waits in the bridge
    oldest_s: float  # the oldest batch that a sender has no acknowledgement of
    held: int  # touchpoints
    database_mb: float
    wal_mb: float


def database_mb(sizes_mb: Mapping[str, float]) -> float:
    """What stays: all files but SQLite's own logs and the text log."""
    return sum(size for name, size in sizes_mb.items() if not name.endswith(_ASIDE))


def wal_mb(sizes_mb: Mapping[str, float]) -> float:
    """SQLite's write-ahead logs."""
    return sum(size for name, size in sizes_mb.items() if name.endswith("-wal"))


def rss_growth_mb(samples: Sequence[Sample], duration_s: float) -> float:
    """Median memory of the last quarter less that of the second one, at equal ages of the process.

    A process that has just started is small, whatever it would come to: for each age in seconds
    that both quarters have, the median of either counts, and of the differences the median.
    """
    second = _by_age(samples, duration_s * 0.25, duration_s * 0.5)
    last = _by_age(samples, duration_s * 0.75, duration_s)
    common = second.keys() & last.keys()
    if not common:  # too short for two starts: what there is
        before, after = list(chain(*second.values())), list(chain(*last.values()))
        return statistics.median(after) - statistics.median(before) if before and after else 0.0
    return statistics.median(
        statistics.median(last[age]) - statistics.median(second[age]) for age in common
    )


def _by_age(samples: Sequence[Sample], from_s: float, until_s: float) -> dict[int, list[float]]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for sample in samples:
        if from_s <= sample.at_s < until_s and sample.age_s is not None and sample.rss_mb:
            found[int(sample.age_s)].append(sample.rss_mb)
    return dict(found)


HEADER = "     s   age   RSS MB    DB MB   WAL MB   lag s  oldest s         held"


def told(sample: Sample) -> str:
    """One line of the time series, under HEADER."""
    age = "down" if sample.age_s is None else f"{sample.age_s:.0f}"
    rss = "-" if sample.rss_mb is None else f"{sample.rss_mb:.1f}"
    lag = "-" if sample.lag_s is None else f"{sample.lag_s:.2f}"
    return (
        f"{sample.at_s:6.0f} {age:>5} {rss:>8} {sample.database_mb:8.1f} {sample.wal_mb:8.1f}"
        f" {lag:>7} {sample.oldest_s:9.2f} {sample.held:12,}"
    )
