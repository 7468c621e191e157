"""A day in one store: who comes, what she did on the web before, and what twelve receivers hear.

The radio is real (simulators/tracks.py): each shopper walks one of the recorded tracks under a
beacon of her own. The people are drawn by lot, from a seed, and one seed is always the same day.
"""

import asyncio
import hashlib
import heapq
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from edge_sdk.sources.reading import Reading
from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators import tracks

PURPOSE = "in_store_prompts"
SITE = "web-shop"

# A category of the web shop that has a zone of the same name in the store, and one that has none.
PAGES = {
    "coffee": ("espresso", "grinders", "beans", "milk-frothers", "filters"),
    "kitchen": ("knives", "pans", "ovens", "tableware", "storage"),
    "living": ("lamps", "sofas", "rugs", "shelves", "cushions"),
    "garden": ("grills", "hoses", "seeds", "deck-chairs", "lanterns"),
}

# What each shopper of a block of six is like: (has a loyalty card and logs in, consents, and the
# category she browsed is one whose zone she will walk through).
CHARACTERS = (
    (True, True, True),
    (True, True, True),
    (True, True, False),
    (True, False, True),  # says no: whatever she does, nothing may be shown to her
    (True, True, True),
    (False, True, True),  # never logs in: nobody can know that the cookie and the beacon are one
)

NAMES = (
    "Ada", "Bela", "Cleo", "Dina", "Emil", "Fay", "Gus", "Hana", "Ines", "Jon", "Kira", "Lev",
    "Mina", "Nils", "Olga", "Paul", "Rosa", "Sami", "Tove", "Uma", "Vito", "Wim", "Yara", "Zoe",
)  # fmt: skip

_MINUTE_MS = 60_000
_NEW_SITTING_MS = 30 * _MINUTE_MS  # a pause that ends a web session


class Timed(Protocol):
    """Whatever happens at a time of the day."""

    @property
    def at_ms(self) -> int:
        """Since the store opened."""
        ...


TimedT = TypeVar("TimedT", bound=Timed)


class Arrival(NamedTuple):
    """A shopper's app says who carries the beacon; `at_ms` is her first reading's."""

    at_ms: int
    touchpoint: Touchpoint


@dataclass(frozen=True, slots=True)
class Shopper:
    """One person, her identifiers in each channel, and what she did before she came.

    `web_history` holds events of POST /collect, oldest first, with `ago_ms` (before she enters the
    store) where `collect_bodies` puts `at_ms`. `consent` is what she answered there.
    """

    name: str
    beacon: str
    session: str
    loyalty: str | None
    consent: bool
    interests: tuple[str, ...]
    web_history: tuple[dict[str, object], ...]
    start_ms: int
    track: str

    @property
    def visitor(self) -> str:
        """The identifier under which the store sees her beacon."""
        return f"ble:{self.beacon}"

    @property
    def end_ms(self) -> int:
        """When she is heard last, since the store opened."""
        return self.start_ms + tracks.load(self.track).lasts_ms


class StoreDay:
    """One seeded day of one store.

    seed       one seed, one day
    shoppers   how many come; of six, four consent and log in, one refuses, one never logs in
    gap_ms     how long after one shopper the next one enters, on average; the first enters at 0
    """

    def __init__(self, seed: int, shoppers: int = 6, gap_ms: int = 20_000) -> None:
        self.seed = seed
        self.receivers = tracks.receivers()
        self.zones = {receiver.name: receiver.zone for receiver in self.receivers}
        self.places_m = {r.name: (r.x_m, r.y_m) for r in self.receivers}
        self.shoppers = tuple(itertools.islice(_shoppers(seed, gap_ms), shoppers))

    @property
    def end_ms(self) -> int:
        """When the last shopper is heard last."""
        return max((shopper.end_ms for shopper in self.shoppers), default=0)

    def readings(self) -> Iterator[Reading]:
        """All that the receivers hear, in the order of time; `at_ms` is since the store opened.

        Only shoppers who are in the store take memory.
        """
        coming = iter(self.shoppers)  # in the order in which they enter
        upcoming = next(coming, None)
        inside: list[tuple[Reading, Iterator[Reading]]] = []
        while inside or upcoming:
            if upcoming and (not inside or upcoming.start_ms <= inside[0][0].at_ms):
                walk = _walk(upcoming)
                heapq.heappush(inside, (next(walk), walk))
                upcoming = next(coming, None)
                continue
            reading, walk = inside[0]
            yield reading
            following = next(walk, None)
            if following is None:
                heapq.heappop(inside)
            else:
                heapq.heapreplace(inside, (following, walk))

    def arrivals(self) -> Iterator[Arrival]:
        """What the apps of the shoppers with a loyalty card say on entering, in order of time."""
        for shopper in self.shoppers:
            if shopper.loyalty is not None:
                identify = make(
                    "identify", seen=shopper.visitor, known_as=shopper.loyalty, method="app"
                )
                yield Arrival(shopper.start_ms, identify)


def collect_bodies(shopper: Shopper, now_ms: int) -> list[dict[str, object]]:
    """What her browser sent to POST /collect before she came: one body a sitting, oldest first.

    `now_ms`, in ms since 1970, is when she enters the store. The same arguments give the same
    `id`s, which no other body has.
    """
    bodies: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    last_ms = 0
    for event in shopper.web_history:
        ago_ms = event["ago_ms"]
        assert isinstance(ago_ms, int)
        at_ms = now_ms - ago_ms
        if not events or at_ms - last_ms > _NEW_SITTING_MS:
            events = []
            key = _digest(shopper.session, now_ms, len(bodies))
            bodies.append({"site": SITE, "session": shopper.session, "id": key, "events": events})
        told = {name: value for name, value in event.items() if name != "ago_ms"}
        events.append({**told, "at_ms": at_ms})
        last_ms = at_ms
    return bodies


async def replay(
    readings: Iterable[TimedT],
    speed: float,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[TimedT]:
    """Hand out each reading when it is due, `speed` times as fast as it happened.

    Each waits for its own time since the start, so lateness never adds up. `math.inf` waits for
    nothing, but lets others run now and then. `clock` is in seconds, as `sleep` is.
    """
    if not speed > 0:
        raise ValueError("speed is more than 0")
    began = clock()
    for count, reading in enumerate(readings):
        due_in = began + reading.at_ms / 1000 / speed - clock()
        if due_in > 0:
            await sleep(due_in)
        elif count % 64 == 0:
            await sleep(0)
        yield reading


def _walk(shopper: Shopper) -> Iterator[Reading]:
    for heard in tracks.load(shopper.track).heard:
        yield Reading(
            shopper.start_ms + heard.at_ms, heard.receiver, shopper.visitor, heard.rssi_dbm
        )


def _shoppers(seed: int, gap_ms: int) -> Iterator[Shopper]:
    """Shoppers without end, in blocks of six who walk the six tracks."""
    rng = random.Random(f"store day {seed}")
    start_ms = 0
    for block in itertools.count():
        names = rng.sample(NAMES, len(CHARACTERS))
        walks = rng.sample(tracks.TRACKS, len(CHARACTERS))
        for at, (logs_in, consents, meets_zone) in enumerate(CHARACTERS):
            key = f"{seed}/{block}/{at}"
            interest = _interest(rng, tracks.load(walks[at]), meets_zone)
            loyalty = f"loyalty:{_digest('loyalty', key)[:10]}" if logs_in else None
            yield Shopper(
                name=names[at] if block == 0 else f"{names[at]} {block + 1}",
                beacon=_digest("beacon", key)[:12],
                session=f"cookie:{_digest('cookie', key)[:16]}",
                loyalty=loyalty,
                consent=consents,
                interests=(interest,),
                web_history=tuple(_web_history(rng, interest, loyalty, consents)),
                start_ms=start_ms,
                track=walks[at],
            )
            start_ms += round(gap_ms * rng.uniform(0.5, 1.5))


def _interest(rng: random.Random, track: tracks.Track, meets_zone: bool) -> str:
    walked = set(track.zones)
    return rng.choice([category for category in PAGES if (category in walked) is meets_zone])


def _web_history(
    rng: random.Random, interest: str, loyalty: str | None, consents: bool
) -> Iterator[dict[str, object]]:
    """A look round some days ago, and a second one, with a purpose, shortly before she comes."""
    other = rng.choice([category for category in PAGES if category != interest])
    ago_ms = rng.randrange(1, 6) * 24 * 60 * _MINUTE_MS + rng.randrange(120) * _MINUTE_MS
    for category in (other, interest, interest):
        yield _page_view(rng, category, ago_ms)
        ago_ms -= rng.randrange(10_000, 3 * _MINUTE_MS)
    ago_ms = rng.randrange(35, 50) * _MINUTE_MS
    if loyalty is not None:
        yield {"type": "identify", "known_as": loyalty, "method": "login", "ago_ms": ago_ms}
        ago_ms -= rng.randrange(5_000, 20_000)
    yield {"type": "consent", "purpose": PURPOSE, "granted": consents, "ago_ms": ago_ms}
    for _ in range(rng.randrange(2, 5)):
        ago_ms -= rng.randrange(10_000, 3 * _MINUTE_MS)
        yield _page_view(rng, interest, ago_ms)


def _page_view(rng: random.Random, category: str, ago_ms: int) -> dict[str, object]:
    page = f"/{category}/{rng.choice(PAGES[category])}"
    return {"type": "page.view", "page": page, "category": category, "ago_ms": ago_ms}


def _digest(*parts: object) -> str:
    """32 hexadecimal digits that are these parts' own."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]
