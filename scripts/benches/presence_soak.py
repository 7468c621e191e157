"""A day of presence through the real source, in minutes: scanners die each hour, and are healed.

Twenty devices in a little shop of six radios, each an adapter of a D-Bus peer that the real bleak
scans; the real source watches them, by a clock that is moved by hand. Each hour scans die without a
word until their adapter is reset: in turns one of them, or all at once. Readings go to the engine
with a tick a second.

    healed_within_s       simulated seconds from a death until its adapter hears again, the longest
    ended_by_deaths       visits said to end while or soon after all scans were dead, where she was
                          truly still there when it was said
    open_at_the_end       visits that stay open once everybody has gone
    rss_growth_mb         from the end of the first hour to the end
"""

import argparse
import asyncio
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benches import _report
from benches._visit_scores import ToldVisits, scored, visits_of
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.zone_belief import ZoneBeliefs
from edge_sdk.sources.bluetooth import Bluetooth
from simulators.bluez import BlueZ
from simulators.crowd import Crowd, CrowdSettings
from simulators.crowd_store import CrowdStore, little_store
from simulators.hand_clock import HandClock

DEVICES = 20
INTERVAL_MS = 2_000
EXPONENT = 2.2
HOUR_MS = 3_600_000
FIRST_DEATH_MS = 300_000  # into an hour
AFTER_DEATH_MS = 120_000
_CLOSE_S = 130
_STATM = Path("/proc/self/statm")


class Death(NamedTuple):
    """Scans that died together, and how long until all of them heard again."""

    at_ms: int
    adapters: tuple[str, ...]
    healed_s: float


@dataclass(slots=True)
class Soak:
    """What came of it."""

    told: ToldVisits = field(default_factory=ToldVisits)
    deaths: list[Death] = field(default_factory=list)
    readings: int = 0
    rss_first_mb: float = 0.0
    rss_mb: float = 0.0
    open_visits: int = 0
    beacons: int = 0


def main(argv: list[str]) -> int:
    """Run the day, print and publish."""
    args = parsed(argv)
    began_s = time.monotonic()
    store = little_store()
    crowd = Crowd(store, args.seed, CrowdSettings(devices=DEVICES, interval_ms=INTERVAL_MS))
    soak = asyncio.run(soaked(store, crowd, round(args.hours * HOUR_MS)))
    scores = scored(soak.told, crowd.stays)
    ended = ended_by_deaths(soak, crowd)
    took_s = time.monotonic() - began_s
    healed_s = max((death.healed_s for death in soak.deaths), default=0.0)
    keys: dict[str, object] = {
        "simulated_hours": args.hours,
        "took_s": round(took_s, 1),
        "deaths": len(soak.deaths),
        "healed_within_s": round(healed_s, 1),
        "ended_by_deaths": ended,
        "open_at_the_end": soak.open_visits,
        "beacons_at_the_end": soak.beacons,
        "rss_growth_mb": round(soak.rss_mb - soak.rss_first_mb, 1),
        "readings": soak.readings,
        "visits": scores.told,
        "visit_precision": round(scores.precision, 4),
        "visit_recall": round(scores.recall, 4),
    }
    _report.publish(
        "presence-soak", [(key.replace("_", " "), keys[key], "") for key in keys], keys, args
    )
    return 0 if soak.open_visits == 0 and healed_s <= 100 else 1


def parsed(argv: list[str]) -> argparse.Namespace:
    """Read the command line, or end with an explanation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0, metavar="N", help="simulated")
    _report.add_arguments(parser)
    args = parser.parse_args(argv)
    if not 0 < args.hours <= 1_000:
        parser.error("--hours is more than 0, and 1,000 at most")
    return args


async def soaked(store: CrowdStore, crowd: Crowd, until_ms: int) -> Soak:
    """Play the crowd to bleak, second by second."""
    clock = HandClock()
    receivers = {f"hci{n}": name for n, name in enumerate(sorted(store.plan.receivers))}
    adapter_of = {name: adapter for adapter, name in receivers.items()}
    beliefs = ZoneBeliefs(
        store.plan,
        PathLoss(store.plan, exponent=EXPONENT),
        doors=tuple((x_m, 0.0) for x_m in store.doors),
    )
    engine = Presence(beliefs, receivers.values(), PresenceSettings(window_ms=0))
    soak = Soak()
    async with BlueZ(list(receivers), clock) as peer, Bluetooth(receivers, clock=clock) as source:
        await peer.until_scanned()
        hearing = asyncio.create_task(_hear(source, engine, soak), name="hearing")
        deaths = _Deaths(peer, list(receivers), soak)
        seconds = itertools.groupby(crowd.readings(until_ms), lambda each: each.at_ms // 1000)
        heard = dict.fromkeys(receivers, 0)
        second, readings = next(seconds, (0, iter(())))
        for now_s in range(until_ms // 1000):
            await clock.move(1000 * now_s)
            deaths.look(1000 * now_s)
            if now_s == second:
                for reading in readings:
                    adapter = adapter_of[reading.receiver]
                    address, kind = _address(reading.beacon)
                    heard[adapter] += peer.advertise(adapter, address, reading.rssi_dbm, b"", kind)
                second, readings = next(seconds, (-1, iter(())))
            await _arrived(peer, source, sum(heard.values()))
            soak.told.take(engine.tick(1000 * now_s))
            if now_s == min(3_600, until_ms // 2000):
                soak.rss_first_mb = rss_mb()
        hearing.cancel()
    for now_ms in range(until_ms, until_ms + 1000 * _CLOSE_S, 1000):
        soak.told.take(engine.tick(now_ms))
    soak.rss_mb = rss_mb()
    soak.open_visits, soak.beacons = engine.open_visits, engine.beacons
    crowd.close(until_ms)
    return soak


async def _hear(source: Bluetooth, engine: Presence, soak: Soak) -> None:
    async for at_ms, receiver, beacon, rssi_dbm in source:
        soak.readings += 1
        soak.told.take(engine.hear(at_ms, receiver, beacon, rssi_dbm))


async def _arrived(peer: BlueZ, source: Bluetooth, told: int) -> None:
    """Return when what was told has been heard; what is being healed is given a moment."""
    if not all(peer.scanned(each.adapter) for each in source.status):
        await asyncio.sleep(0.005)
        return
    await peer.told()
    for _ in range(2_000):
        if source.counts["heard"] >= told:
            break
        await asyncio.sleep(0)
    await asyncio.sleep(0)


class _Deaths:
    """Lets scans die, one or all in turns, an hour apart, and sees when they are healed."""

    def __init__(self, peer: BlueZ, adapters: list[str], soak: Soak) -> None:
        self._peer = peer
        self._adapters = adapters
        self._soak = soak
        self._next_ms = FIRST_DEATH_MS
        self._dead: tuple[str, ...] = ()
        self._died_ms = 0
        self._count = 0

    def look(self, now_ms: int) -> None:
        """It is so late."""
        if self._dead and all(self._peer.scanned(adapter) for adapter in self._dead):
            healed_s = (now_ms - self._died_ms) / 1000
            self._soak.deaths.append(Death(self._died_ms, self._dead, healed_s))
            self._dead = ()
        if now_ms >= self._next_ms and not self._dead:
            self._next_ms += HOUR_MS
            one = self._adapters[self._count // 2 % len(self._adapters)]
            self._dead = (one,) if self._count % 2 else tuple(self._adapters)
            self._died_ms = now_ms
            self._count += 1
            for adapter in self._dead:
                self._peer.silence(adapter)


def _address(beacon: str) -> tuple[str, str]:
    """A beacon's address as BlueZ writes it, and of what type it is."""
    digits = beacon.partition(":")[2].upper()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)), "random"


def ended_by_deaths(soak: Soak, crowd: Crowd) -> int:
    """Visits that were said to end because all scans were dead, although she was still there.

    Who has truly left by then is no false exit, even if the end is dated some seconds too early.
    """
    true = visits_of(crowd.stays)
    count = 0
    for visit, told_ms in soak.told.exits_ms:
        for death in soak.deaths:
            end_ms = death.at_ms + 1000 * death.healed_s
            if len(death.adapters) > 1 and death.at_ms <= told_ms <= end_ms + AFTER_DEATH_MS:
                count += any(
                    stay.from_ms <= visit.until_ms and stay.until_ms > told_ms
                    for stay in true.get((visit.beacon, visit.zone), [])
                )
    return count


def rss_mb() -> float:
    """Resident memory of this process."""
    if not _STATM.exists():
        return 0.0
    return int(_STATM.read_text(encoding="ascii").split()[1]) * 4096 / 1e6
