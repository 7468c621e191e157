"""Visits told against visits true, in crowds of 100, 500 and 2,000 devices; and what each costs.

The crowd is simulated (simulators/crowd.py): phones that advertise every 0.1 to 2 s, carried by
people who walk, stop at shelves, turn round, leave and return; a tenth are tags, a tenth only pass
by on the street. Three advertisements in ten are lost, some in bursts; phones sleep for seconds;
addresses change every quarter of an hour. The shop has fifteen zones of 8 m, side by side, and a
radio for every 32 square metres; its radio map is surveyed every 4 m, with errors. The radio was
chosen to be as hard as the recorded walks (an earlier `ZoneBeliefs` erred by 1.7 m on both; not
measured again since), and made easier on the way there: see docs/presence.md. Some things the
simulator makes easy all the same: a floor without walls within, bodies that only weaken, receivers
that are all alike, a radio field that never changes after the survey, shelves 1.5 m inside of a
zone's border, doors that the engine knows. The harder variants take the survey away, and make the
zones 4 m wide, with a survey every 2 m and a radio for every 15 square metres.

A true visit is a stay of an identifier in a zone, gaps up to 10 s included; a change of address
cuts it in two. Stays under 15 s count for neither side: a visit told of one is left out. A visit
told matches a true one of the same identifier and zone if they share at least half of the longer
of the two; each matches once. It began in the middle of its interval, and lasted `dwell_ms`.

    visit_precision       of the visits told, those that match
    visit_recall          of the true visits, those that are matched
    false_exits_per_hour  visits said to end where she was and stayed on for more than 10 s, in
                          the whole shop; per_device: for one device
    us_per_sighting       processor time of the engine for a reading, ticks and steps included,
                          without `sighting` and `position` touchpoints
    us_per_sighting_bleak the same from the D-Bus socket on, through bleak and our source
    bytes_per_device      what the engine keeps for one device (tracemalloc)

Keys without a number are of 500 devices. `nearest_` is NearestReceiver on the same readings.
"""

import argparse
import gc
import itertools
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benches import _report
from benches._crowd_survey import TAG_Z_M, surveyed
from benches._visit_scores import Scores, ToldVisits, scored
from edge_sdk.presence.nearest import NearestReceiver
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.survey_map import SurveyMap
from edge_sdk.presence.zone_belief import ZoneBeliefs
from edge_sdk.sources.reading import Reading
from simulators.crowd import Crowd, CrowdSettings
from simulators.crowd_store import CrowdStore, large_store, small_zones_store

if TYPE_CHECKING:
    from edge_sdk.presence.engine import PresenceEngine
    from edge_sdk.presence.radio_map import RadioMap

# Devices, and simulated seconds.
SIZES = ((100, 600), (500, 300), (2_000, 60))
NAMED = 500
HARD_DEVICES, HARD_S = 100, 600
SURVEY_M = 4.0
NEAREST_SETTLE_MS = 3_000
_CHUNK = 20_000
_NEVER_MS = 1 << 40
_CLOSE_MS = 130_000


class Outcome(NamedTuple):
    """One engine on one crowd."""

    scores: Scores
    us_per_sighting: float
    hours: float
    devices: int

    @property
    def false_exits_per_hour(self) -> float:
        return self.scores.false_exits / self.hours


def main(argv: list[str]) -> int:
    """Measure, print, and publish."""
    args = parsed(argv)
    rows: list[tuple[str, object, str]] = []
    keys: dict[str, object] = {}
    for devices, seconds in SIZES:
        seconds = max(20, round(seconds * args.part))
        outcome, peer = on_crowd(large_store(), devices, seconds, args.seed)
        for prefix, each in (("", outcome), ("nearest_", peer)):
            told(prefix, f"_{devices}", each, rows, keys)
            if devices == NAMED:
                told(prefix, "", each, [], keys)
    seconds = max(20, round(HARD_S * args.part))
    for name, store, survey_m in (
        ("_no_survey", large_store(), None),
        ("_zones_4m", small_zones_store(), SURVEY_M / 2),
    ):
        outcome, peer = on_crowd(store, HARD_DEVICES, seconds, args.seed, survey_m)
        told("", name, outcome, rows, keys)
        told("nearest_", name, peer, rows, keys)
    keys["bytes_per_device"] = bytes_per_device(args.seed)
    rows.append(("bytes per device", keys["bytes_per_device"], "of the engine, at 100 devices"))
    through_bleak(rows, keys, args.seed)
    _report.publish("presence", rows, keys, args)
    return 0


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--part", type=float, default=1.0, metavar="X", help="of the simulated time, this part"
    )
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if not 0 < args.part <= 10:
        parser.error("--part is more than 0, and 10 at most")
    return args


def told(
    prefix: str,
    suffix: str,
    outcome: Outcome,
    rows: list[tuple[str, object, str]],
    keys: dict[str, object],
) -> None:
    """Rows and keys of an outcome."""
    scores = outcome.scores
    per_hour = outcome.false_exits_per_hour
    found = {
        "visit_precision": (scores.precision, f"{scores.told - scores.neutral:,} visits told"),
        "visit_recall": (scores.recall, f"{scores.true:,} true visits"),
        "false_exits_per_hour": (per_hour, f"{scores.false_exits} in {outcome.hours:.2f} h"),
        "false_exits_per_device_hour": (per_hour / outcome.devices, ""),
        "us_per_sighting": (outcome.us_per_sighting, "processor time"),
        "interval80_coverage": (scores.interval80_coverage, "of how long a visit lasted"),
    }
    for name, (value, note) in found.items():
        if value is None:
            continue
        key = f"{prefix}{name}{suffix}"
        keys[key] = round(value, 4)
        rows.append((key.replace("_", " "), value, note))


def on_crowd(
    store: CrowdStore, devices: int, seconds: int, seed: int, survey_m: float | None = SURVEY_M
) -> tuple[Outcome, Outcome]:
    """Our engine and NearestReceiver on the same readings of one crowd."""
    crowd = Crowd(store, seed, CrowdSettings(devices=devices))
    ours, peer = Heard(presence(store, crowd, seed, survey_m)), Heard(nearest(store))
    peer.told = ToldVisits(NEAREST_SETTLE_MS)
    for chunk in chunks(crowd.readings(1000 * seconds)):
        ours.hear(chunk)
        peer.hear(chunk)
    crowd.close(1000 * seconds)
    stays = crowd.stays
    return tuple(  # type: ignore[return-value]
        Outcome(
            scored(each.closed(1000 * seconds), stays),
            1e6 * each.took_s / max(1, each.readings),
            seconds / 3600,
            devices,
        )
        for each in (ours, peer)
    )


def presence(store: CrowdStore, crowd: Crowd, seed: int, survey_m: float | None) -> Presence:
    """Our engine, for this shop; without a survey it knows the path loss alone."""
    radio: RadioMap = PathLoss(store.plan)
    if survey_m is not None:
        points = surveyed(store, crowd.radio, seed, survey_m)
        radio = SurveyMap(store.plan, points, TAG_Z_M)
    doors = tuple((x_m, 0.0) for x_m in store.doors)
    beliefs = ZoneBeliefs(store.plan, radio, doors=doors)
    return Presence(
        beliefs, store.plan.receivers, PresenceSettings(window_ms=0, position_every_ms=0)
    )


def nearest(store: CrowdStore) -> NearestReceiver:
    """The engine to beat."""
    zones = {}
    for name, receiver in store.plan.receivers.items():
        zone = store.zone_at(receiver.x_m, receiver.y_m)
        assert zone is not None
        zones[name] = zone
    return NearestReceiver(
        zones,
        settle_ms=NEAREST_SETTLE_MS,
        window_ms=_NEVER_MS,
        position_every_ms=_NEVER_MS,
        max_beacons=8_192,
    )


class Heard:
    """An engine, what it told, and how long it took."""

    def __init__(self, engine: "PresenceEngine") -> None:
        self.engine = engine
        self.told = ToldVisits()
        self.took_s = 0.0
        self.readings = 0

    def hear(self, chunk: Sequence[Reading]) -> None:
        """Readings, and a tick as the last of them."""
        out = []
        hear = self.engine.hear
        began_s = time.process_time()
        for at_ms, receiver, beacon, rssi_dbm in chunk:
            touchpoints = hear(at_ms, receiver, beacon, rssi_dbm)
            if touchpoints:
                out += touchpoints
        out += self.engine.tick(chunk[-1].at_ms)
        self.took_s += time.process_time() - began_s
        self.readings += len(chunk)
        self.told.take(out)

    def closed(self, at_ms: int) -> ToldVisits:
        """All that was told, once silence has closed every visit."""
        for now_ms in range(at_ms, at_ms + _CLOSE_MS, 1_000):
            self.told.take(self.engine.tick(now_ms))
        if self.told.open:
            raise AssertionError("a visit stays open for ever")
        return self.told


def chunks(readings: Iterator[Reading]) -> Iterator[list[Reading]]:
    """Many readings at a time, so that looking at the clock costs nothing."""
    while chunk := list(itertools.islice(readings, _CHUNK)):
        yield chunk


def bytes_per_device(
    seed: int, devices: int = 100, seconds: int = 60, store: CrowdStore | None = None
) -> int:
    """What an engine keeps for each device, its tables that all share left out."""
    store = store or large_store()
    crowd = Crowd(store, seed, CrowdSettings(devices=devices))
    chunk = list(crowd.readings(1000 * seconds))
    engine = presence(store, crowd, seed, None)
    for reading in chunk:  # so that the shared tables are there
        engine.hear(*reading)
    engine.tick(chunk[-1].at_ms + _CLOSE_MS)
    began_ms = chunk[-1].at_ms + _CLOSE_MS
    gc.collect()
    tracemalloc.start()
    for at_ms, receiver, beacon, rssi_dbm in chunk:
        engine.hear(began_ms + at_ms, receiver, beacon, rssi_dbm)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(taken / engine.beacons)


def through_bleak(rows: list[tuple[str, object, str]], keys: dict[str, object], seed: int) -> None:
    """What a reading costs from the D-Bus socket on, where that can be measured."""
    try:
        from benches._bleak import cost
    except ImportError:
        rows.append(("us per sighting bleak", "-", "only on Linux, with edge-sdk[bluetooth]"))
        return
    radio = cost().us_source
    engine = keys["us_per_sighting"]
    assert isinstance(engine, float)
    keys["us_per_sighting_bleak"] = round(radio + engine, 2)
    rows.append(
        ("us per sighting bleak", radio + engine, f"{radio:.1f} of it bleak and our source")
    )
