"""The bulk mix: how often each touchpoint occurs, and any number of touchpoints in that mix.

What the radios bring is taken from the store day; what kiosks, scanners, telephones and apps add is
stated here. `tests/data/mix.json` is `draw_up()`, written by `store-simulator mix`.
"""

import functools
import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from edge_sdk.wire.touchpoint import Touchpoint, make
from simulators.gateway import captured, simple_presence_of
from simulators.store_day import PAGES, PURPOSE, StoreDay

# Touchpoints per 100 shoppers, beside what the radios bring. Assumed, and few: a visit of a minute
# and a half brings some 240 touchpoints by radio.
PER_100_SHOPPERS = {
    "scan": 60,
    "kiosk.interaction": 80,  # a shopper in five uses a kiosk, four taps each
    "page.view": 30,  # the web shop on a kiosk
    "basket": 10,
    "call": 24,  # eight calls of three phases: ring, answer, end
    "number.lease": 8,
    "consent": 5,
    "prompt.shown": 40,
    "prompt.accepted": 12,
    "prompt.dismissed": 20,
    "device.health": 10,
}

DRAWN_FROM = (
    "The store day of seed 1 with its default shoppers (simulators/store_day.py: six recorded"
    " walks past twelve real receivers), captured by one gateway through Presence as"
    " simulators/gateway.py makes it, from the first reading until silence has closed every visit."
    " Added to it, per 100 shoppers, are the assumed numbers of PER_100_SHOPPERS in"
    " simulators/mix.py. Shares are of all touchpoints. A walk lasts 47 to 149 s, so a longer visit"
    " would have still fewer of the rest."
)

OPENED_MS = 1_772_440_200_000  # a Monday at 8:30 UTC

_SHOPPERS = 24
_GAP_MS = 4_000  # twenty in the store at once
_PERIOD_MS = _SHOPPERS * _GAP_MS

# The steps of a touchpoint that comes in steps: what is said, and how long after the first.
_STEPS = {"call": (("ring", 0), ("answer", 8_000), ("end", 95_000))}
_ONCE = (("", 0),)


class _Heard(NamedTuple):
    """A touchpoint by radio; its visitor (at `who` among the values) is renamed each turn."""

    at_ms: int
    shopper: int
    touchpoint: Touchpoint
    who: int
    is_visit: bool


class _Said(NamedTuple):
    """A touchpoint that is not by radio; its values are drawn anew each turn."""

    at_ms: int
    shopper: int
    name: str
    step: str
    key: int


def draw_up() -> dict[str, object]:
    """The mix as it stands in tests/data/mix.json: shares per type, and what they come from."""
    day = StoreDay(seed=1)
    by_radio = Counter(touchpoint.name for touchpoint in captured(day, simple_presence_of(day)))
    numbers: dict[str, float] = dict(by_radio)
    for name, per_100 in PER_100_SHOPPERS.items():
        numbers[name] = per_100 * len(day.shoppers) / 100
    total = sum(numbers.values())
    names = sorted(numbers, key=lambda name: (-numbers[name], name))
    return {
        "drawn_from": DRAWN_FROM,
        "regenerate": "store-simulator mix > tests/data/mix.json",
        "shoppers": len(day.shoppers),
        "captured": dict(sorted(by_radio.items())),
        "per_100_shoppers": PER_100_SHOPPERS,
        "shares": {name: round(numbers[name] / total, 6) for name in names},
    }


class Names(NamedTuple):
    """The beacon that a shopper carries, and as whom she identifies herself (None: anybody)."""

    visitor: str
    known_as: str | None = None


# (which coming of a day's shoppers, number among them) -> her names; asked once a while for each.
NameShopper = Callable[[int, int], Names]


def bulk(count: int, seed: int, names: NameShopper | None = None) -> Iterator[Touchpoint]:
    """`count` touchpoints of a busy store, in capture order, in the mix of `draw_up`.

    Twelve receivers, some twenty beacons at a time, every shopper with a beacon of her own and
    nobody whom one has met before, unless `names` says who she is. The day of 24 shoppers comes
    round for ever, each turn overlapping the next, so that any number costs the same memory.
    `at_ms` is in ms since 1970.
    """
    named = functools.lru_cache(maxsize=1024)(names or functools.partial(_stranger, seed))
    return itertools.islice(_turns(seed, named), max(0, count))


def _turns(seed: int, named: NameShopper) -> Iterator[Touchpoint]:
    moments = _moments(seed)
    earliest = max(moment.at_ms for moment in moments) // _PERIOD_MS
    visits = 1 + sum(m.touchpoint.name == "visit.enter" for m in moments if isinstance(m, _Heard))
    for turn in itertools.count():
        for moment in moments:
            # Who came in late in a turn is still there in the next one.
            came = turn + earliest - moment.at_ms // _PERIOD_MS
            at_ms = OPENED_MS + turn * _PERIOD_MS + moment.at_ms % _PERIOD_MS
            shopper = named(came, moment.shopper)
            if isinstance(moment, _Said):
                rng = random.Random(f"{seed}/{came}/{moment.key}")
                yield make(moment.name, at_ms, **_FIELDS[moment.name](rng, shopper, moment.step))
                continue
            values = list(moment.touchpoint.values)
            values[moment.who] = shopper.visitor
            if moment.is_visit:
                values[0] += came * visits
            yield Touchpoint(moment.touchpoint.code, at_ms, tuple(values))


@functools.lru_cache(maxsize=4)
def _moments(seed: int) -> tuple[_Heard | _Said, ...]:
    """One turn, in capture order."""
    day = StoreDay(seed, _SHOPPERS, _GAP_MS)
    number_of = {shopper.visitor: number for number, shopper in enumerate(day.shoppers)}
    moments: list[_Heard | _Said] = []
    keys = itertools.count()
    for touchpoint in captured(day, simple_presence_of(day)):
        at_ms = touchpoint.at_ms or 0
        seen = touchpoint.get("visitor") or touchpoint.get("beacon") or touchpoint.get("seen")
        if touchpoint.name == "identify":
            moments.append(_Said(at_ms, number_of[seen], "identify", "", next(keys)))
        else:
            who = touchpoint.values.index(seen)
            is_visit = touchpoint.name.startswith("visit.")
            moments.append(_Heard(at_ms, number_of[seen], touchpoint, who, is_visit))
    rng = random.Random(f"mix {seed}")
    for name, per_100 in PER_100_SHOPPERS.items():
        steps = _STEPS.get(name, _ONCE)
        for _ in range(round(per_100 * _SHOPPERS / 100 / len(steps))):
            number = rng.randrange(_SHOPPERS)
            shopper = day.shoppers[number]
            at_ms = rng.randrange(shopper.start_ms, shopper.end_ms)
            key = next(keys)
            moments += [_Said(at_ms + after, number, name, step, key) for step, after in steps]
    return tuple(sorted(moments, key=lambda moment: moment.at_ms % _PERIOD_MS))


def _stranger(seed: int, came: int, shopper: int) -> Names:
    return Names("ble:" + hashlib.sha256(f"{seed}/{came}/{shopper}".encode()).hexdigest()[:12])


# What each touchpoint says: (lot, shopper, step) -> fields. Telephone numbers are of the ranges
# that Ofcom keeps for fiction, article numbers of a made-up catalogue of 200.


def _scan(rng: random.Random, _shopper: Names, _step: str) -> dict[str, object]:
    code = f"{4_061_000_000_000 + 97 * rng.randrange(200)}"
    return {"scanner": f"scanner-{rng.randrange(3)}", "symbology": "ean13", "code": code}


def _kiosk(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    kiosk = f"kiosk-{rng.randrange(2)}"
    action = rng.choice(("open", "browse", "compare", "select", "print"))
    session = f"{kiosk}:{rng.randrange(10_000)}"
    return {"kiosk": kiosk, "session": session, "action": action, "target": _page(rng)[1]}


def _page_view(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    category, page = _page(rng)
    return {"session": f"kiosk-0:{rng.randrange(10_000)}", "page": page, "category": category}


def _basket(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    return {
        "session": f"kiosk-1:{rng.randrange(10_000)}",
        "action": rng.choice(("add", "add", "remove")),
        "item": f"{4_061_000_000_000 + 97 * rng.randrange(200)}",
        "quantity": rng.randrange(1, 4),
        "value_minor": rng.randrange(199, 40_000),
        "currency": "GBP",
    }


def _call(rng: random.Random, shopper: Names, step: str) -> dict[str, object]:
    withheld = rng.random() < 0.15
    return {
        "call": f"{rng.getrandbits(32):08x}",
        "phase": step,
        "number": f"+441632960{rng.randrange(20):03d}",
        "caller": None if withheld else f"tel:+447700900{rng.randrange(1000):03d}",
        "caller_state": "withheld" if withheld else "known",
        "duration_ms": 87_000 if step == "end" else None,
    }


def _lease(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    number = f"+441632960{rng.randrange(20):03d}"
    session = f"kiosk-0:{rng.randrange(10_000)}"
    return {"pool": "kiosk", "number": number, "session": session, "ttl_ms": 300_000}


def _identify(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    anybody = f"loyalty:{rng.getrandbits(40):010x}"
    return {
        "seen": shopper.visitor,
        "known_as": shopper.known_as or anybody,
        "method": "app",
    }


def _consent(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    granted = int(rng.random() < 0.8)
    return {"subject": shopper.visitor, "purpose": PURPOSE, "granted": granted, "source": "app"}


def _prompt(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    offer = f"{rng.choice(tuple(PAGES))}-{rng.randrange(5)}"
    return {"prompt": rng.getrandbits(63), "offer": offer, "surface": f"kiosk-{rng.randrange(2)}"}


def _health(rng: random.Random, shopper: Names, _step: str) -> dict[str, object]:
    return {
        "uptime_s": rng.randrange(600, 36_000),
        "outbox_bytes": rng.randrange(40_000),
        "outbox_batches": rng.randrange(20),
        "shed_batches": 0,
        "disk_free_mb": rng.randrange(9_000, 9_100),
    }


def _page(rng: random.Random) -> tuple[str, str]:
    category = rng.choice(tuple(PAGES))
    return category, f"/{category}/{rng.choice(PAGES[category])}"


_FIELDS: dict[str, Callable[[random.Random, Names, str], dict[str, object]]] = {
    "scan": _scan,
    "kiosk.interaction": _kiosk,
    "page.view": _page_view,
    "basket": _basket,
    "call": _call,
    "number.lease": _lease,
    "identify": _identify,
    "consent": _consent,
    "prompt.shown": _prompt,
    "prompt.accepted": _prompt,
    "prompt.dismissed": _prompt,
    "device.health": _health,
}
