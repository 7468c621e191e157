"""A crowd in a shop, and the truth about it: who was in which zone when, under which identifier.

Walkers come in by a door, stop at shelves, go on, leave, and some return; some only pass by on the
street; some beacons are tags that never move. Phones change their address about every quarter of an
hour, from one advertisement to the next. Everything is drawn by lot from a seed; only who is there
takes memory, so a crowd can be watched for as long as one likes.
"""

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from edge_sdk.sources.reading import Reading
from simulators.crowd_radio import CrowdRadio, RadioSettings
from simulators.crowd_store import CrowdStore

_ROTATION_MS = 900_000
_INTERVALS_MS = (100, 200, 250, 250, 500, 500, 1_000, 1_000, 2_000)
_TURN_MS = (4_000, 15_000)  # how long somebody at a shelf looks the same way
_TRUTH_EVERY_MS = 200


@dataclass(frozen=True, slots=True)
class CrowdSettings:
    """Who comes, and how the radio is.

    devices       there at any time, tags and those on the street included
    tags, passing shares of them that are tags, or only pass by
    returning     share of those who leave and come back
    stops         shelves that a walker stops at: fewest and most
    pause_s       median of how long; nine in ten lie between a third and three times that
    sleeps_s      a phone sends nothing for 2 to 6 s, about so often; 0: never
    bursts_s      a receiver hears nothing for 0.3 to 2 s, about so often; 0: never
    interval_ms   between advertisements of every device; None: 100 to 2,000, each its own
    power_db      of phones beside a tag's, on average, and its standard deviation
    """

    devices: int = 100
    tags: float = 0.1
    passing: float = 0.1
    returning: float = 0.2
    stops: tuple[int, int] = (2, 7)
    pause_s: float = 45.0
    sleeps_s: float = 180.0
    bursts_s: float = 60.0
    interval_ms: int | None = None
    power_db: float = -3.0
    power_sd_db: float = 4.0
    radio: RadioSettings = RadioSettings()  # noqa: RUF009  it is frozen


class Stay(NamedTuple):
    """The truth: an identifier was in a zone, from one time to another."""

    beacon: str
    zone: str
    from_ms: int
    until_ms: int


class _Leg(NamedTuple):
    """A stretch of a walk, or a while at a shelf."""

    from_ms: int
    until_ms: int
    x_m: float
    y_m: float
    dx_m: float
    dy_m: float
    heading: float


@dataclass(slots=True)
class _Device:
    """A phone or a tag, and where its carrier will be."""

    number: int
    legs: list[_Leg]
    interval_ms: int
    power_db: float
    body_db: float
    rotates_ms: int
    kind: str
    beacon: str
    at: int = 0
    silent_until_ms: int = 0
    rotations: int = 0

    @property
    def until_ms(self) -> int:
        """When its carrier has gone."""
        return self.legs[-1].until_ms


class Crowd:
    """One seeded crowd; `readings` plays it once, and fills `stays` as identifiers come to an end.

    Whoever reads `stays` may clear it; `close` adds those of everybody who is still there.
    """

    def __init__(self, store: CrowdStore, seed: int, settings: CrowdSettings) -> None:
        self.store = store
        self.settings = settings
        self.radio = CrowdRadio(store, seed, settings.radio)
        self.stays: list[Stay] = []
        self._seed = seed
        self._rng = random.Random(f"crowd {seed}")
        self._born = 0
        self._due: list[tuple[float, int, _Device]] = []
        self._deaf_until_ms = [0.0] * len(self.radio.names)
        self._deaf_from_ms = [self._after(settings.bursts_s) for _ in self.radio.names]
        tags = round(settings.tags * settings.devices)
        for number in range(settings.devices):
            self._arrive("tag" if number < tags else "phone", 0, settled=True)

    @property
    def present(self) -> int:
        """How many devices there are just now."""
        return len(self._due)

    def readings(self, until_ms: int) -> Iterator[Reading]:
        """All that is heard from the beginning on, in order of time."""
        due = self._due
        while due and due[0][0] < until_ms:
            at_ms, number, device = due[0]
            now_ms = int(at_ms)
            if now_ms >= device.until_ms:
                heapq.heappop(due)
                self._leave(device, now_ms)
                continue
            if now_ms >= device.rotates_ms:
                self._rotate(device)
            # Core specification: each interval is lengthened by up to 10 ms at random.
            next_ms = at_ms + device.interval_ms + 10 * self._rng.random()
            heapq.heapreplace(due, (next_ms, number, device))
            if now_ms >= device.silent_until_ms:
                yield from self._heard(device, now_ms)

    def close(self, at_ms: int) -> None:
        """Add the stays, so far, of everybody who is there."""
        for _, _, device in sorted(self._due, key=lambda entry: entry[1]):
            self._tell(device, at_ms)

    def _heard(self, device: _Device, now_ms: int) -> Iterator[Reading]:
        rng, settings = self._rng, self.settings
        if settings.sleeps_s and rng.random() < device.interval_ms / (1000 * settings.sleeps_s):
            device.silent_until_ms = now_ms + rng.randrange(2_000, 6_000)
            return
        x_m, y_m, heading = _place(device, now_ms)
        radio = self.radio
        fades_db, loss, hears_dbm = radio.fades_db, settings.radio.loss, settings.radio.hears_dbm
        chance, half_body_db = rng.random, device.body_db / 2
        for at, mean_dbm, bearing in radio.around(x_m, y_m):
            if chance() < loss or self._is_deaf(at, now_ms):
                continue
            rssi_dbm = mean_dbm + device.power_db + fades_db[int(chance() * len(fades_db))]
            rssi_dbm -= half_body_db * (1 - math.cos(bearing - heading))
            if rssi_dbm > hears_dbm:
                yield Reading(now_ms, radio.names[at], device.beacon, min(-20, round(rssi_dbm)))

    def _is_deaf(self, at: int, now_ms: int) -> bool:
        if now_ms < self._deaf_from_ms[at]:
            return False
        if self._deaf_until_ms[at] < self._deaf_from_ms[at]:
            self._deaf_until_ms[at] = self._deaf_from_ms[at] + self._rng.uniform(300, 2_000)
        if now_ms < self._deaf_until_ms[at]:
            return True
        self._deaf_from_ms[at] = now_ms + self._after(self.settings.bursts_s)
        return False

    def _after(self, mean_s: float) -> float:
        return self._rng.expovariate(1 / (1000 * mean_s)) if mean_s else math.inf

    # Who comes and goes

    def _arrive(self, kind: str, now_ms: int, *, settled: bool = False) -> None:
        """A new device; `settled`: it has been there for a while."""
        number = self._born
        self._born += 1
        rng = random.Random(f"device {self._seed}/{number}")
        if kind == "phone" and rng.random() < self.settings.passing:
            kind = "passing"
        legs = _legs(kind, self.store, self.settings, rng)
        lasts_ms = legs[-1].until_ms
        begins_ms = now_ms - (int(rng.random() * lasts_ms) if settled and kind != "tag" else 0)
        device = _Device(
            number=number,
            legs=[_later(leg, begins_ms) for leg in legs],
            interval_ms=self.settings.interval_ms or rng.choice(_INTERVALS_MS),
            power_db=0.0
            if kind == "tag"
            else rng.gauss(self.settings.power_db, self.settings.power_sd_db),
            body_db=0.0 if kind == "tag" else rng.uniform(0.5, 1.0) * self.settings.radio.body_db,
            rotates_ms=1 << 52 if kind == "tag" else now_ms + int(rng.random() * _ROTATION_MS),
            kind=kind,
            beacon="",
        )
        self._name(device)
        first_ms = max(now_ms, begins_ms) + rng.random() * device.interval_ms
        heapq.heappush(self._due, (first_ms, number, device))

    def _leave(self, device: _Device, now_ms: int) -> None:
        self._tell(device, now_ms)
        rng = random.Random(f"leaving {self._seed}/{device.number}")
        if device.kind == "phone" and rng.random() < self.settings.returning:
            back_ms = now_ms + rng.randrange(60_000, 300_000)
            legs = _legs(device.kind, self.store, self.settings, rng)
            self._born += 1
            number = self._born - 1
            returned = replace(
                device, number=number, legs=[_later(leg, back_ms) for leg in legs], at=0
            )
            heapq.heappush(self._due, (back_ms + device.interval_ms, number, returned))
        else:
            self._arrive("phone", now_ms + rng.randrange(1_000, 20_000))

    def _rotate(self, device: _Device) -> None:
        self._tell(device, device.rotates_ms)
        rng = random.Random(f"rotation {self._seed}/{device.number}/{device.rotations}")
        device.rotations += 1
        device.rotates_ms += round(_ROTATION_MS * rng.uniform(0.9, 1.1))
        self._name(device)

    def _name(self, device: _Device) -> None:
        rng = random.Random(f"address {self._seed}/{device.number}/{device.rotations}")
        # Of a random address, the two highest bits say what it is: 11 static, 01 resolvable.
        scheme, kind = ("ble", 0b11) if device.kind == "tag" else ("rpa", 0b01)
        device.beacon = f"{scheme}:{kind << 46 | rng.getrandbits(46):012x}"

    def _tell(self, device: _Device, until_ms: int) -> None:
        """What was true of the identifier that comes to its end, and forget the way up to here."""
        begins_ms = max(0, device.legs[0].from_ms)
        for zone, from_ms, to_ms in _stays(device.legs, self.store, begins_ms, until_ms):
            if zone is not None:
                self.stays.append(Stay(device.beacon, zone, from_ms, to_ms))
        left = [leg for leg in device.legs if leg.until_ms > until_ms]
        if left:
            device.legs, device.at = [_cut(left[0], until_ms), *left[1:]], 0


def _place(device: _Device, now_ms: int) -> tuple[float, float, float]:
    """Where a device is, and which way its carrier looks."""
    legs = device.legs
    while legs[device.at].until_ms <= now_ms:
        device.at += 1
    leg = legs[device.at]
    part = max(0.0, (now_ms - leg.from_ms) / (leg.until_ms - leg.from_ms))
    return leg.x_m + part * leg.dx_m, leg.y_m + part * leg.dy_m, leg.heading


def _stays(
    legs: list[_Leg], store: CrowdStore, from_ms: int, until_ms: int
) -> Iterator[tuple[str | None, int, int]]:
    """The zones of a walk, one after the other: (zone, from, until)."""
    zone: str | None = None
    since_ms = from_ms
    for leg in legs:
        still = leg.dx_m == leg.dy_m == 0
        first_ms, end_ms = max(leg.from_ms, from_ms), min(leg.until_ms, until_ms)
        every_ms = max(1, end_ms - first_ms) if still else _TRUTH_EVERY_MS
        for at_ms in range(first_ms, end_ms, every_ms):
            part = (at_ms - leg.from_ms) / (leg.until_ms - leg.from_ms)
            here = store.zone_at(leg.x_m + part * leg.dx_m, leg.y_m + part * leg.dy_m)
            if here != zone:
                if at_ms > since_ms:
                    yield zone, since_ms, at_ms
                zone, since_ms = here, at_ms
    until_ms = min(until_ms, legs[-1].until_ms)
    if until_ms > since_ms:
        yield zone, since_ms, until_ms


def _cut(leg: _Leg, from_ms: int) -> _Leg:
    """What is left of a leg."""
    if from_ms <= leg.from_ms:
        return leg
    part = (from_ms - leg.from_ms) / (leg.until_ms - leg.from_ms)
    return leg._replace(
        from_ms=from_ms,
        x_m=leg.x_m + part * leg.dx_m,
        y_m=leg.y_m + part * leg.dy_m,
        dx_m=(1 - part) * leg.dx_m,
        dy_m=(1 - part) * leg.dy_m,
    )


def _later(leg: _Leg, by_ms: int) -> _Leg:
    return leg._replace(from_ms=leg.from_ms + by_ms, until_ms=leg.until_ms + by_ms)


# Walks, from 0 ms on


def _legs(kind: str, store: CrowdStore, settings: CrowdSettings, rng: random.Random) -> list[_Leg]:
    if kind == "tag":
        x_m, y_m = _shelf(store, rng)
        return [_Leg(0, 1 << 52, x_m, y_m, 0.0, 0.0, 0.0)]
    walk = _Walk(rng)
    if kind == "passing":
        ends = [(-10.0, -rng.uniform(2, 5)), (store.width_m + 10, -rng.uniform(2, 5))]
        rng.shuffle(ends)
        walk.begin(*ends[0])
        walk.go(*ends[1])
        return walk.legs
    door = rng.choice(store.doors)
    walk.begin(door + rng.uniform(-8, 8), -9.0)
    walk.go(door, -0.5)
    walk.go(door, 0.5)
    for _ in range(rng.randint(*settings.stops)):
        walk.go(*_shelf(store, rng))
        walk.pause(settings.pause_s * math.exp(rng.gauss(0, 0.65)))
    door = rng.choice(store.doors)
    walk.go(door, 0.5)
    walk.go(door, -0.5)
    walk.go(door + rng.uniform(-8, 8), -9.0)
    return walk.legs


def _shelf(store: CrowdStore, rng: random.Random) -> tuple[float, float]:
    column, row = rng.randrange(store.across), rng.randrange(store.deep)
    span_m = store.zone_m - 2 * store.aisle_m
    x_m = column * store.zone_m + store.aisle_m + span_m * rng.random()
    return x_m, row * store.zone_m + store.aisle_m + span_m * rng.random()


class _Walk:
    """Legs, one after the other, at this walker's pace."""

    def __init__(self, rng: random.Random) -> None:
        self.legs: list[_Leg] = []
        self._rng = rng
        self._speed_m_s = rng.uniform(0.6, 1.4)
        self._now_ms = 0
        self._x_m = self._y_m = 0.0

    def begin(self, x_m: float, y_m: float) -> None:
        self._x_m, self._y_m = x_m, y_m

    def go(self, x_m: float, y_m: float) -> None:
        dx_m, dy_m = x_m - self._x_m, y_m - self._y_m
        lasts_ms = max(1, round(1000 * math.hypot(dx_m, dy_m) / self._speed_m_s))
        self._add(lasts_ms, dx_m, dy_m, math.atan2(dy_m, dx_m))

    def pause(self, seconds: float) -> None:
        left_ms = max(1, round(1000 * seconds))
        while left_ms > 0:
            lasts_ms = min(left_ms, self._rng.randrange(*_TURN_MS))
            self._add(lasts_ms, 0.0, 0.0, self._rng.uniform(-math.pi, math.pi))
            left_ms -= lasts_ms

    def _add(self, lasts_ms: int, dx_m: float, dy_m: float, heading: float) -> None:
        until_ms = self._now_ms + lasts_ms
        self.legs.append(_Leg(self._now_ms, until_ms, self._x_m, self._y_m, dx_m, dy_m, heading))
        self._now_ms = until_ms
        self._x_m += dx_m
        self._y_m += dy_m
