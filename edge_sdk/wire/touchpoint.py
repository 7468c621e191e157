"""Touchpoints: what was seen, by which identifiers, when; the one table of their types.

A touchpoint never says who a person is. It carries the identifiers that were seen ("ble:...",
"cookie:...", "loyalty:..."); the bridge derives the person from evidence. Every number is an
integer whose unit is in its name.
"""

from .packing import utf8

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any, TypeGuard

# How a field travels (docs/wire.md, "Fields"). The kind also says what the bridge may do with it:
# only an ID can point to a person.
TEXT = "text"  # str or None; repeated values cost one byte in a column batch
ID = "id"  # identifier "scheme:value" or None; travels as TEXT
INT = "int"  # int or None, -2**63 .. 2**64 - 1
DBM = "dbm"  # int or None; sent negated, because a negative number costs a byte more
DATA = "data"  # bytes or None

# Priority classes, most precious first. Known only at the edge: a full outbox sheds from the end.
CONTROL, CALLS, SCANS, VISITS, POSITIONS, SIGHTINGS = range(6)
CLASS_NAMES = ("control", "calls", "scans", "visits", "positions", "sightings")

_SESSION = (("session", ID),)
_CUSTOMER = (("customer", ID),)
_MONEY = (("value_minor", INT), ("currency", TEXT))
_VISIT = (("visit", INT), ("visitor", ID), ("zone", TEXT))
_DWELL = (
    ("dwell_ms", INT),
    ("probability_pct", INT),
    ("dwell_low_ms", INT),
    ("dwell_high_ms", INT),
)
_PROMPT = (("prompt", INT), ("offer", TEXT), ("surface", TEXT))

# (code, name, class, can it trigger a prompt, fields). Codes are for ever; new fields are appended.
TYPES = (
    (
        1,
        "sighting",
        SIGHTINGS,
        False,
        (
            ("receiver", TEXT),
            ("beacon", ID),
            ("window_ms", INT),
            ("readings", INT),
            ("rssi_median_dbm", DBM),
            ("rssi_spread_db", INT),
        ),
    ),
    # Low and high are the ends of an interval that holds the truth four times in five. When a visit
    # began, it says as a span before `at_ms`: in the interval, too, a device's clock takes no part.
    (
        2,
        "visit.enter",
        VISITS,
        True,
        _VISIT + (("probability_pct", INT), ("ago_low_ms", INT), ("ago_high_ms", INT)),
    ),
    (3, "visit.dwell", VISITS, True, _VISIT + _DWELL),
    (4, "visit.exit", VISITS, False, _VISIT + _DWELL),
    (
        5,
        "position",
        POSITIONS,
        False,
        (
            ("visitor", ID),
            ("floor", INT),
            ("x_cm", INT),
            ("y_cm", INT),
            ("sd_x_cm", INT),
            ("sd_y_cm", INT),
            ("correlation_pct", INT),
        ),
    ),
    (
        6,
        "scan",
        SCANS,
        True,
        (("scanner", TEXT), ("symbology", TEXT), ("code", TEXT), ("visitor", ID)),
    ),
    (
        7,
        "call",
        CALLS,
        True,
        (
            ("call", TEXT),
            ("phase", TEXT),
            ("number", TEXT),
            ("caller", ID),
            ("caller_state", TEXT),
            ("duration_ms", INT),
            ("waited_ms", INT),
            ("cause", TEXT),
            ("agent", TEXT),
            ("lease", TEXT),
        ),
    ),
    (
        8,
        "number.lease",
        CALLS,
        False,
        (
            ("pool", TEXT),
            ("number", TEXT),
            ("session", ID),
            ("ttl_ms", INT),
            ("lease", TEXT),
            ("kind", TEXT),
            ("ended", INT),
        ),
    ),
    (9, "identify", CALLS, True, (("seen", ID), ("known_as", ID), ("method", TEXT))),
    (
        10,
        "consent",
        CALLS,
        True,
        (("subject", ID), ("purpose", TEXT), ("granted", INT), ("source", TEXT)),
    ),
    (
        11,
        "kiosk.interaction",
        SCANS,
        True,
        (("kiosk", TEXT), ("session", ID), ("action", TEXT), ("target", TEXT)),
    ),
    (
        12,
        "page.view",
        SCANS,
        False,
        _SESSION + (("page", TEXT), ("category", TEXT), ("referrer", TEXT)),
    ),
    (
        13,
        "ad.click",
        SCANS,
        False,
        _SESSION + (("campaign", TEXT), ("medium", TEXT), ("click", ID)),
    ),
    (
        14,
        "basket",
        SCANS,
        False,
        _SESSION + (("action", TEXT), ("item", TEXT), ("quantity", INT)) + _MONEY,
    ),
    (15, "order", CALLS, False, _CUSTOMER + (("order", TEXT), ("items", INT)) + _MONEY),
    (16, "return", CALLS, False, _CUSTOMER + (("order", TEXT), ("item", TEXT)) + _MONEY),
    (
        17,
        "appointment",
        CALLS,
        False,
        _CUSTOMER + (("appointment", TEXT), ("status", TEXT), ("starts_at_ms", INT)),
    ),
    (18, "collection", CALLS, True, _CUSTOMER + (("order", TEXT), ("status", TEXT))),
    (
        19,
        "message",
        CALLS,
        False,
        _CUSTOMER + (("channel", TEXT), ("direction", TEXT), ("campaign", TEXT), ("action", TEXT)),
    ),
    (20, "queue.join", SCANS, True, _CUSTOMER + (("queue", TEXT), ("ticket", TEXT))),
    (
        21,
        "queue.leave",
        SCANS,
        False,
        _CUSTOMER + (("queue", TEXT), ("ticket", TEXT), ("outcome", TEXT), ("waited_ms", INT)),
    ),
    (22, "prompt.shown", CALLS, False, _PROMPT),
    (23, "prompt.accepted", CALLS, False, _PROMPT),
    (24, "prompt.dismissed", CALLS, False, _PROMPT),
    (25, "prompt.expired", CALLS, False, _PROMPT),
    (26, "prompt.unknown", CALLS, False, _PROMPT),
    (
        27,
        "device.health",
        SIGHTINGS,
        False,
        (
            ("uptime_s", INT),
            ("outbox_bytes", INT),
            ("outbox_batches", INT),
            ("shed_batches", INT),
            ("disk_free_mb", INT),
        ),
    ),
    (28, "custom", SCANS, True, (("name", TEXT), ("subject", ID), ("data", DATA))),
    (
        29,
        "count",
        VISITS,
        False,
        (
            ("counter", TEXT),
            ("zone", TEXT),
            ("window_ms", INT),
            ("entered", INT),
            ("left", INT),
            ("present", INT),
        ),
    ),
    (
        30,
        "geolocation",
        POSITIONS,
        False,
        (
            ("visitor", ID),
            ("latitude_e7", INT),
            ("longitude_e7", INT),
            ("accuracy_cm", INT),
        ),
    ),
    (31, "call.outcome", CALLS, False, (("call", TEXT), ("outcome", TEXT), ("agent", TEXT))),
)

CODES = {row[1]: row[0] for row in TYPES}
BY_CODE = {row[0]: row for row in TYPES}
FIELDS = {row[0]: row[4] for row in TYPES}
PRIORITY = {row[0]: row[2] for row in TYPES}
PROMPTING = {row[0]: row[3] for row in TYPES}
OUTCOMES = ("shown", "accepted", "dismissed", "expired", "unknown")

MAX_CODE = 65535
MAX_VALUES = 64
MAX_VALUE_BYTES = 16384
MAX_ID_BYTES = 512
_INT_MIN = -(1 << 63)
_INT_MAX = (1 << 64) - 1
_END_MS = 1 << 53
_KINDS = {row[0]: tuple([kind for _, kind in row[4]]) for row in TYPES}


class TouchpointError(ValueError):
    """Ours: a touchpoint was made with a wrong name or value. Names the field, never its value."""


class Touchpoint:
    """One fact. `at_ms` is device time in ms since 1970, or None: "when it is captured".

    `values` has the fields of its type in the table's order. A code that is not in the table is
    opaque: it is carried and kept, and `get` knows nothing about it.
    """

    __slots__ = ("at_ms", "code", "values")

    def __init__(self, code: int, at_ms: int | None, values: "tuple[Any, ...]") -> None:
        self.code = code
        self.at_ms = at_ms
        self.values = values

    @property
    def name(self) -> str:
        row = BY_CODE.get(self.code)
        return row[1] if row else "unknown.%d" % self.code

    def get(self, field: str) -> "Any":
        """Value of a named field; None if this type has no such field."""
        at = 0
        for name, _ in FIELDS.get(self.code, ()):
            if name == field:
                return self.values[at]
            at += 1
        return None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Touchpoint)
            and self.code == other.code
            and self.at_ms == other.at_ms
            and self.values == other.values
        )

    def __hash__(self) -> int:
        return hash((self.code, self.at_ms, self.values))

    def __repr__(self) -> str:
        # Values may identify a person: they never reach a log through a repr.
        return "<Touchpoint %s at_ms=%s>" % (self.name, self.at_ms)


def make(type_name: str, at_ms: int | None = None, **fields: object) -> Touchpoint:
    """Touchpoint of a named type; fields that are left out are None. Raises TouchpointError."""
    code = CODES.get(type_name)
    if code is None:
        raise TouchpointError("no touchpoint type is called %r" % type_name)
    values = []
    for field, _ in FIELDS[code]:
        values.append(fields.pop(field, None))
    if fields:
        raise TouchpointError("%s has no field %s" % (type_name, ", ".join(sorted(fields))))
    touchpoint = Touchpoint(code, at_ms, tuple(values))
    check(touchpoint)
    return touchpoint


def check(touchpoint: Touchpoint) -> int:  # noqa: PLR0912  a call a value would cost the most
    """Raise TouchpointError unless every value has its field's kind and a sane size.

    Gives the characters and bytes of its values, together. What passes here can be encoded: the
    sealed road behind it has no place for a bad value.
    """
    at_ms = touchpoint.at_ms
    if at_ms is not None and not (_is_int(at_ms) and 0 <= at_ms < _END_MS):
        raise TouchpointError("at_ms is milliseconds since 1970, as an int")
    if not _is_int(touchpoint.code):
        raise TouchpointError("a type code is an int")
    kinds = _KINDS.get(touchpoint.code)
    if kinds is None:
        return _check_opaque(touchpoint)
    values = touchpoint.values
    if len(values) != len(kinds):
        raise TouchpointError("%s takes %d values" % (touchpoint.name, len(kinds)))
    # Nearly all values are decided here, at a third of what `fits` costs; it has the last word.
    size = 0
    for kind, value in zip(kinds, values):
        if value is None:
            continue
        form = type(value)
        if form is int:
            if kind is INT:
                if _INT_MIN <= value <= _INT_MAX:
                    continue
            elif kind is DBM and -255 <= value <= 255:
                continue
        elif form is str:
            length = len(value)
            size += length
            is_plain = length <= MAX_ID_BYTES and _is_ascii(value)
            if is_plain and (kind is TEXT or (kind is ID and ":" in value)):
                continue
        elif isinstance(value, (str, bytes)):
            size += len(value)
        if not fits(kind, value):
            _refuse(touchpoint, kinds)
    return size


def _refuse(touchpoint: Touchpoint, kinds: "tuple[str, ...]") -> None:
    """Name the first field whose value does not fit."""
    at = 0
    for value in touchpoint.values:
        if not fits(kinds[at], value):
            field = FIELDS[touchpoint.code][at][0]
            raise TouchpointError("%s.%s is not a valid %s" % (touchpoint.name, field, kinds[at]))
        at += 1


def _not_known(_text: str) -> bool:
    return False


# A board's str does not tell: there every text takes the longer way.
_is_ascii = getattr(str, "isascii", _not_known)


def fits(kind: str, value: object) -> bool:
    """Whether a field of this kind may hold this value; nil fits every kind."""
    if value is None:
        return True
    if kind is TEXT:
        return _is_text(value, MAX_VALUE_BYTES)
    if kind is ID:
        return _is_text(value, MAX_ID_BYTES) and ":" in value
    if kind is DATA:
        return isinstance(value, bytes) and len(value) <= MAX_VALUE_BYTES
    if kind is DBM:
        return _is_int(value) and -255 <= value <= 255
    return _is_int(value) and _INT_MIN <= value <= _INT_MAX


def fits_opaque(value: object) -> bool:
    """Whether a type that we do not know may hold this value."""
    return fits(INT, value) or fits(TEXT, value) or fits(DATA, value)


def _is_int(value: object) -> "TypeGuard[int]":
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object, most_bytes: int) -> "TypeGuard[str]":
    if not isinstance(value, str) or len(value) > most_bytes:
        return False
    data = utf8(value)
    return data is not None and len(data) <= most_bytes


def _check_opaque(touchpoint: Touchpoint) -> int:
    if not 0 < touchpoint.code <= MAX_CODE or len(touchpoint.values) > MAX_VALUES:
        raise TouchpointError("an unknown touchpoint has a code of 1 to %d" % MAX_CODE)
    size = 0
    for value in touchpoint.values:
        if not fits_opaque(value):
            raise TouchpointError("an unknown touchpoint holds text, bytes and integers only")
        if isinstance(value, (str, bytes)):
            size += len(value)
    return size
