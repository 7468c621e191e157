"""Ways of lending a pool's numbers, side by side: who finds none, and whom calls are ascribed to.

Visitors are made up (simulators/pool_visitors.py): one every 30 s; one in ten is a likely caller,
who calls with 35 %, the others with 0.5 %; they keep a number for two minutes on average. Strangers
call each number once in 30 days. The mixes of delays, fast, mid and slow, and all these figures are
assumptions. The same visitors meet every policy:

    first_free       the first number of a list that is free
    random           any that is free
    lru              the least recently used
    intent_split     likely callers have numbers of their own, least recently used in either part
    noisy_intent     the same, with a score whose log odds err by 2 (standard deviation)
    shuffled_intent  the same, with the scores of other visitors: it has to find out by itself

A pool knows what a bridge would know: half of the calls are confirmed (by a log-in, an order, the
caller's number), and of those it learns how long callers take, how many call, and whether the score
is worth anything. The first five days are for learning, and are not scored.

    blocked            of the visitors, found no number free
    late_error         of the calls, those whose number had been lent again: naming the last holder
                       would be wrong
    named_error        of those named, above 0.8, wrong ones
    named_coverage     of all calls, strangers' too, those of which somebody was named
    calibration_error  between how sure the likeliest candidate was and how often it was right, ten
                       bins; by chance alone it is about 0.25 * sqrt(10 / calls), 0.014 at 3,300

    split_saves_*      of lru's late errors, what intent_split avoids; without a suffix: the mean
    closed_form_worst  between the closed form and a simulation in which all call, 15 rows
    erlang_b_worst     between Erlang's B and `blocked` of lru
"""

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence

from benches import _report
from benches._pool_play import POLICIES, Play
from edge_sdk.numbers.erlang import erlang_b
from edge_sdk.numbers.late_call import late_call_probability
from simulators.pool_visitors import MIXES, CrowdOfVisitors, late_calls, visitors

SIZES = (10, 20, 40, 80, 160)
CROWD = CrowdOfVisitors()
_LEAST_VISITORS = 20_000  # seven days of them: five to learn, two to score

Row = dict[str, object]


def main(argv: list[str]) -> int:
    """Play all, print, and publish."""
    args = parsed(argv)
    rows = played(args.visitors, args.seed, args.mixes, args.sizes, args.jobs)
    keys = goals(rows)
    keys["closed_form_worst"] = closed_form_worst(args.visitors, args.seed)
    keys["visitors"] = args.visitors
    print(shown(rows))
    told = [(name.replace("_", " "), value, "") for name, value in keys.items()]
    _report.publish("pools", told, keys, args, {"rows": rows})
    return 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=100_000, metavar="N")
    parser.add_argument("--mixes", nargs="+", choices=MIXES, default=list(MIXES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="N")
    parser.add_argument("--jobs", type=int, default=_report.usable_cores(), metavar="N")
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.visitors < _LEAST_VISITORS:
        parser.error(f"--visitors is {_LEAST_VISITORS:,} at least: five days are for learning")
    if min(args.sizes) < 1 or args.jobs < 1:
        parser.error("--sizes and --jobs are 1 at least")
    return args


def played(
    count: int, seed: int, mixes: Sequence[str], sizes: Sequence[int], jobs: int = 1
) -> list[Row]:
    """A row for each policy, mix and size, in that order of nesting from the inside."""
    tasks = [(count, seed, mix, size) for mix in mixes for size in sizes]
    if jobs == 1:
        return [row for task in tasks for row in _played(task)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return [row for rows in pool.imap(_played, tasks) for row in rows]


def _played(task: tuple[int, int, str, int]) -> list[Row]:
    """All policies with one mix and size."""
    count, seed, mix, size = task
    people = visitors(CROWD, MIXES[mix], count, seed)
    return [
        {"policy": policy, "mix": mix, "n": size}
        | Play(policy, people, size, CROWD, seed).run().row()
        for policy in POLICIES
    ]


def goals(rows: Sequence[Mapping[str, object]]) -> Row:
    """What the rows say of the goals."""
    by_name = {(str(row["policy"]), str(row["mix"]), int(str(row["n"]))): row for row in rows}
    keys: Row = {}
    saves, noisy_saves, worse, blocked = [], [], [], []
    for (policy, mix, size), row in by_name.items():
        if policy != "lru":
            continue
        late = {each: number(by_name[each, mix, size], "late_error") for each in POLICIES}
        saves.append(1 - late["intent_split"] / max(1e-9, late["lru"]))
        noisy_saves.append(1 - late["noisy_intent"] / max(1e-9, late["lru"]))
        worse.append(late["shuffled_intent"] - late["lru"])
        blocked.append(abs(number(row, "blocked") - erlang_b(size, CROWD.per_s * CROWD.hold_s)))
        keys[f"split_saves_{mix}_{size}"] = round(saves[-1], 4)
    keys["split_saves"] = round(sum(saves) / len(saves), 4)
    keys["split_saves_rows_35"] = sum(1 for each in saves if each >= 0.35)
    keys["noisy_saves"] = round(sum(noisy_saves) / len(noisy_saves), 4)
    keys["shuffled_worse_by_at_most"] = round(max(worse), 4)
    keys["calibration_error_at_most"] = max(number(row, "calibration_error") for row in rows)
    if (named := by_name.get(("intent_split", "mid", 40))) is not None:
        keys["named_error_mid_40"] = named["named_error"]
        keys["named_coverage_mid_40"] = named["named_coverage"]
    keys["erlang_b_worst"] = round(max(blocked), 5)
    return keys


def number(row: Mapping[str, object], name: str) -> float:
    """A figure of a row."""
    value = row[name]
    assert isinstance(value, float | int)
    return value


def closed_form_worst(count: int, seed: int) -> float:
    """The largest difference between the closed form and a simulation, of 15."""
    worst = 0.0
    for mix in MIXES.values():
        for size in SIZES:
            found = late_calls(size, CROWD.per_s, mix, count, seed)
            worst = max(worst, abs(found - late_call_probability(size, CROWD.per_s, mix)))
    return round(worst, 4)


def shown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    names = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in names]
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
