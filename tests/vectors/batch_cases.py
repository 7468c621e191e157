"""Batches for the vectors: every type, filled and empty, what is particular, what is no batch."""

from typing import Any

import msgpack

from edge_sdk.wire.batch import encode_columns, encode_rows
from edge_sdk.wire.touchpoint import DATA, DBM, FIELDS, ID, TEXT, TYPES, Touchpoint, make
from tests.vectors.by_the_page import START_MS, Json, packed, tagged

# Where MessagePack changes its form, and the ends of what it can hold.
INTEGERS = (
    *(0, 1, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 53) - 1, 1 << 53),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 1),
    *(-1, -32, -33, -128, -129, -32_768, -32_769, -(1 << 31), -(1 << 31) - 1, -(1 << 63)),
)
TEXTS = (
    "",
    "a",
    "Gr\u00f6\u00dfe 38",
    "\u20ac 5",
    "\u4f1a\u5458",
    "\U0001f6d2 basket",
    "a" * 31,
    "a" * 32,
    "a" * 256,
)


def sample(field: str, kind: str, turn: int) -> Any:
    """A value of a field's kind; another at each turn."""
    if kind is TEXT:
        return f"{field}-{turn}" if turn % 4 else TEXTS[turn // 4 % len(TEXTS)]
    if kind is ID:
        return f"{field}:{turn:04x}"
    if kind is DATA:
        return bytes(range(turn % 4))
    if kind is DBM:
        return (-67, -128, -1, 0, 20, -255, 255)[turn % 7]
    return INTEGERS[turn % len(INTEGERS)]


def filled(code: int, at_ms: int, turn: int) -> Touchpoint:
    """A touchpoint with a value in each field."""
    fields = enumerate(FIELDS[code])
    return Touchpoint(code, at_ms, tuple(sample(f, kind, turn + at) for at, (f, kind) in fields))


def empty(code: int, at_ms: int) -> Touchpoint:
    """A touchpoint that is nil in each field."""
    return Touchpoint(code, at_ms, (None,) * len(FIELDS[code]))


def sighting(at_ms: int, beacon: str, rssi_dbm: int) -> Touchpoint:
    """What the bulk of batches consists of."""
    return make(
        "sighting",
        at_ms,
        receiver="ceiling-4",
        beacon=beacon,
        window_ms=1000,
        readings=9,
        rssi_median_dbm=rssi_dbm,
        rssi_spread_db=4,
    )


def entering() -> list[Touchpoint]:
    """The batch of the first worked example."""
    visit: Json = {"visit": 7, "visitor": "ble:c0ffee", "zone": "shoes"}
    ago: Json = {"ago_low_ms": 2_000, "ago_high_ms": 4_500}
    return [make("visit.enter", START_MS, **visit, probability_pct=97, **ago)]


def sightings() -> list[Touchpoint]:
    """The batch of the second worked example."""
    heard = ((0, "ble:c0ffee", -61), (40, "ble:beef", -74), (1000, "ble:c0ffee", -63))
    return [sighting(START_MS + at_ms, beacon, dbm) for at_ms, beacon, dbm in heard]


def mixed() -> list[Touchpoint]:
    """Several types in turns, times that repeat and fall, values that repeat."""
    visit: Json = {"visit": 8, "visitor": "ble:c0ffee", "zone": "till"}
    return [
        sighting(START_MS, "ble:c0ffee", -61),
        sighting(START_MS, "ble:beef", -61),
        make("visit.enter", START_MS + 5, **visit),
        sighting(START_MS - 3, "ble:c0ffee", -62),
        Touchpoint(999, START_MS - 3, (None, "shoes", 1)),
        make("visit.exit", START_MS + 90_000, dwell_ms=89_995, **visit),
        make("visit.enter", START_MS + 90_000, visit=9),
    ]


def opaque() -> list[Touchpoint]:
    """Types that the table does not have: text, bytes, integers and nil, alike and mixed."""
    rows: list[tuple[Any, ...]] = [
        ("same", b"same", 5, None, "text", 1 << 63, "", b""),
        ("same", b"same", 5, None, b"bytes", -(1 << 63), None, None),
        ("same", b"same", 5, None, 3, (1 << 64) - 1, "\U0001f6d2", b"\xff"),
    ]
    return [
        *(Touchpoint(65_535, START_MS + at, row) for at, row in enumerate(rows)),
        Touchpoint(500, START_MS, ()),
        Touchpoint(501, START_MS, (None,)),
    ]


def full_dictionary() -> list[Touchpoint]:
    """255 different texts: as many as a batch of columns can hold."""
    return [make("scan", START_MS + at, code=f"{at:x}") for at in range(255)]


def batches() -> list[Json]:
    """Every type, filled and empty; then what is particular. Each as rows and as columns."""
    cases: list[tuple[str, list[Touchpoint]]] = []
    for code, name, *_ in TYPES:
        turn = 7 * code
        cases.append((name, [filled(code, START_MS, turn), filled(code, START_MS + 1, turn + 1)]))
        cases.append((f"{name}, all nil", [empty(code, START_MS), empty(code, START_MS + 50)]))
    cases += [
        ("one visit.enter", entering()),
        ("three sightings", sightings()),
        ("mixed runs, times that fall", mixed()),
        ("opaque types", opaque()),
        ("a full dictionary", full_dictionary()),
        ("the first and the last time", [empty(2, 0), empty(2, (1 << 53) - 1), empty(2, 0)]),
        ("each integer", [make("position", START_MS, x_cm=integer) for integer in INTEGERS]),
        ("each text", [make("scan", START_MS, code=text) for text in TEXTS]),
    ]
    listed = []
    for name, touchpoints in cases:
        for form, encode in (("rows", encode_rows), ("columns", encode_columns)):
            listed.append(batch(name, form, touchpoints, encode(touchpoints)))
    return listed + later_batches()


def later_batches() -> list[Json]:
    """What another version, or another encoder, may send: read, but not written by ours."""
    first = make("visit.exit", START_MS, visit=7, visitor="ble:c0ffee")
    second = make("visit.exit", START_MS + 9, visit=8, visitor="ble:beef")
    absent = [None] * 5  # what a visit.exit has behind its visitor
    later_rows = [
        START_MS,
        [4, 0, 7, "ble:c0ffee", *absent, "a later field", True, [1]],
        [4, 9, 8, "ble:beef", *absent, None, 2, [[]]],
    ]
    words = ["ble:c0ffee", "ble:beef"]
    later_columns = [
        *(START_MS, words, [4, 2], [0, 9]),
        [[[7, 8], b"\x01\x02", *absent, True, [[], False]]],
        "a later part",
    ]
    other_forms = [
        *(START_MS, [], [4, 1, 4, 1], [0, 9]),
        [[[7, 8], words, [None, None], b"\0\0", None]],
    ]
    fewer_columns = [START_MS, words, [4, 2], [0, 9], [[[7, 8], b"\x01\x02"]]]
    stay: Json = {"visit": 7, "visitor": "ble:c0ffee", "zone": "shoes", "probability_pct": 97}
    no_interval = [
        make("visit.enter", START_MS, **stay),
        make("visit.dwell", START_MS, dwell_ms=9, **stay),
        make("visit.exit", START_MS, dwell_ms=10, **stay),
    ]
    no_interval_rows = [
        START_MS,
        [2, 0, 7, "ble:c0ffee", "shoes", 97],
        [3, 0, 7, "ble:c0ffee", "shoes", 9, 97],
        [4, 0, 7, "ble:c0ffee", "shoes", 10, 97],
    ]
    no_interval_columns = [
        *(START_MS, ["ble:c0ffee", "shoes"], [2, 1, 3, 1, 4, 1], 0),
        [[7, b"\1", b"\2", 97], [7, b"\1", b"\2", 9, 97], [7, b"\1", b"\2", 10, 97]],
    ]
    held = [Touchpoint(999, START_MS, ("each", 1)), Touchpoint(999, START_MS, ("each", 1))]
    return [
        batch("later fields", "rows", [first, second], packed(later_rows), encodes=False),
        batch(
            "earlier fields",
            "rows",
            [first, second],
            packed([START_MS, [4, 0, 7, "ble:c0ffee"], [4, 9, 8, "ble:beef"]]),
            encodes=False,
        ),
        batch("later fields", "columns", [first, second], packed(later_columns), encodes=False),
        batch("other forms", "columns", [first, second], packed(other_forms), encodes=False),
        batch("earlier fields", "columns", [first, second], packed(fewer_columns), encodes=False),
        batch(
            "visits without an interval",
            "rows",
            no_interval,
            packed(no_interval_rows),
            encodes=False,
        ),
        batch(
            "visits without an interval",
            "columns",
            no_interval,
            packed(no_interval_columns),
            encodes=False,
        ),
        batch(
            "one value for an opaque group",
            "columns",
            held,
            packed([START_MS, [], [999, 2], 0, [["each", 1]]]),
            encodes=False,
        ),
    ]


def batch(
    name: str, form: str, touchpoints: list[Touchpoint], plaintext: bytes, *, encodes: bool = True
) -> Json:
    """One case of the file. `encodes`: whether our encoder writes exactly these bytes."""
    return {
        "name": name,
        "form": form,
        "encodes": encodes,
        "touchpoints": [[t.code, t.at_ms, [tagged(v) for v in t.values]] for t in touchpoints],
        "plaintext": plaintext.hex(),
    }


def malformed() -> list[Json]:
    """Plaintexts that are not the page, although their seal may be good."""
    rows: list[tuple[str, Any]] = [
        ("nil", None),
        ("no touchpoint", [START_MS]),
        ("nothing at all", []),
        ("a time beyond 2^53", [1 << 53, [2, 0]]),
        ("a time before 1970", [-1, [2, 1]]),
        ("a touchpoint before 1970", [5, [2, -6]]),
        ("a touchpoint beyond 2^53", [(1 << 53) - 1, [2, 1]]),
        ("true for a time", [True, [2, 0]]),
        ("true for a difference", [START_MS, [2, True]]),
        ("text for a difference", [START_MS, [2, "0"]]),
        ("a row that is no array", [START_MS, 2]),
        ("a row without a time", [START_MS, [2]]),
        ("type 0", [START_MS, [0, 0]]),
        ("type 65536", [START_MS, [65_536, 0]]),
        ("true for a type", [START_MS, [True, 0]]),
        ("a negative type", [START_MS, [-1, 0]]),
        ("text for an int", [START_MS, [2, 0, "7"]]),
        ("true for an int", [START_MS, [2, 0, True]]),
        ("an int for an id", [START_MS, [2, 0, 7, 7]]),
        ("an id without a scheme", [START_MS, [2, 0, 7, "c0ffee"]]),
        ("bytes for a text", [START_MS, [2, 0, 7, None, b"shoes"]]),
        ("text for data", [START_MS, [28, 0, None, None, "text"]]),
        ("a dbm out of reason", [START_MS, [1, 0, None, None, None, None, 256]]),
        ("a dbm of 64 bits", [START_MS, [1, 0, None, None, None, None, (1 << 64) - 1]]),
        ("an array for a value", [START_MS, [2, 0, [7]]]),
        ("an array in an opaque type", [START_MS, [999, 0, []]]),
        ("true in an opaque type", [START_MS, [999, 0, True]]),
        ("65 values in an opaque type", [START_MS, [999, 0, *([None] * 65)]]),
    ]
    columns: list[tuple[str, Any]] = [
        ("nil", None),
        ("four parts", [START_MS, [], [2, 1], 0]),
        ("true for a time", [True, [], [2, 1], 0, [[]]]),
        ("a touchpoint before 1970", [5, [], [2, 1], -6, [[]]]),
        ("a fall before 1970", [5, [], [2, 3], [0, -6, 6], [[]]]),
        ("words that are no array", [START_MS, "a", [2, 1], 0, [[]]]),
        ("a word that is no text", [START_MS, [7], [2, 1], 0, [[b"\x01"]]]),
        ("256 words", [START_MS, [str(at) for at in range(256)], [2, 1], 0, [[]]]),
        ("an index beyond the words", [START_MS, ["a:b"], [2, 1], 0, [[None, b"\x02"]]]),
        ("no run", [START_MS, [], [], [], []]),
        ("half a run", [START_MS, [], [2], 0, [[]]]),
        ("an empty run", [START_MS, [], [2, 1, 3, 0], 0, [[], []]]),
        ("a negative run", [START_MS, [], [2, 2, 3, -1], 0, [[], []]]),
        ("a run of 4097", [START_MS, [], [2, 4097], 0, [[]]]),
        ("runs of 4097", [START_MS, [], [2, 4096, 3, 1], 0, [[], []]]),
        ("a run of 2^63", [START_MS, [], [2, 1 << 63], 0, [[]]]),
        ("true for a run", [START_MS, [], [2, True], 0, [[]]]),
        ("type 0", [START_MS, [], [0, 1], 0, [[]]]),
        ("times too few", [START_MS, [], [2, 2], [0], [[]]]),
        ("times too many", [START_MS, [], [2, 2], [0, 0, 0], [[]]]),
        ("a time that is nil", [START_MS, [], [2, 1], None, [[]]]),
        ("a time that is true", [START_MS, [], [2, 1], [True], [[]]]),
        ("a time that is a word", [START_MS, ["a"], [2, 1], b"\x01", [[]]]),
        ("a group too few", [START_MS, [], [2, 1, 3, 1], 0, [[]]]),
        ("a group too many", [START_MS, [], [2, 1], 0, [[], []]]),
        ("a group that is no array", [START_MS, [], [2, 1], 0, [5]]),
        ("a column too short", [START_MS, [], [2, 2], 0, [[[7]]]]),
        ("indices too many", [START_MS, [], [2, 1], 0, [[None, b"\0\0"]]]),
        ("a word for an int", [START_MS, ["7"], [2, 1], 0, [[b"\x01"]]]),
        ("one text for an int", [START_MS, [], [2, 1], 0, [["7"]]]),
        ("an id without a scheme", [START_MS, ["c0ffee"], [2, 1], 0, [[7, b"\x01"]]]),
        ("a word for data", [START_MS, ["a"], [28, 1], 0, [[None, None, b"\x01"]]]),
        ("a dbm out of reason", [START_MS, [], [1, 1], 0, [[None, None, None, None, 256]]]),
        ("true in an opaque type", [START_MS, [], [999, 1], 0, [[True]]]),
        ("an array in an opaque type", [START_MS, [], [999, 1], 0, [[[[]]]]]),
        ("65 columns in an opaque type", [START_MS, [], [999, 4096], 0, [[None] * 65]]),
    ]
    cases = [("rows", name, packed(value)) for name, value in rows]
    cases += [("columns", name, packed(value)) for name, value in columns]
    for form in ("rows", "columns"):
        cases += [(form, name, data) for name, data in not_the_subset()]
    return [{"form": f, "name": name, "plaintext": data.hex()} for f, name, data in cases]


def not_the_subset() -> list[tuple[str, bytes]]:
    """What is no MessagePack, or none that the wire uses."""
    row = packed([2, 0])
    return [
        ("no byte", b""),
        ("bytes after the message", packed([0, [2, 0]]) + b"\xc0"),
        ("a float", b"\x92\xcb" + bytes(8) + row),
        ("a map", packed([0, [2, 0, {}]])),
        ("an extension", packed([0, [2, 0, msgpack.ExtType(5, b"x")]])),
        ("the byte that is never used", b"\x92\x00\xc1"),
        ("an array of 2^32 - 1", b"\xdd\xff\xff\xff\xff\x00"),
        ("an array of 65535", b"\xdc\xff\xff\x00"),
        ("bytes of 2^32 - 1", b"\x92\x00\xc6\xff\xff\xff\xff"),
        ("arrays without end", b"\x91" * 2000),
        ("text that is no UTF-8", b"\x92\x00\x93\x06\x00\xa1\xff"),
        ("a lone surrogate", b"\x92\x00\x93\x06\x00\xa3\xed\xa0\x80"),
        ("an overlong letter", b"\x92\x00\x93\x06\x00\xa2\xc1\x81"),
        ("a letter beyond U+10FFFF", b"\x92\x00\x93\x06\x00\xa4\xf4\x90\x80\x80"),
    ]
