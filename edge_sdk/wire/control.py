"""What device and bridge tell each other besides touchpoints. docs/wire.md, "Control".

hello    [1, now_ms, agent, [[first_epoch, epochs, last_seq], ...]]
notice   [[epoch, first, last, touchpoints, reason], ...]
ack      [[epoch, first, last], ...]
refusal  [[epoch, seq, reason], ...]
prompt   [id, ttl_ms, surface, title, body, offer, [why, ...]]
"""

from .keys import MAX_EPOCH, MAX_SEQ
from .packing import PackingError, pack, unpack

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

MAX_HELD_RUNS = 2048
MAX_AGENT = 64

# Why a device gives up batches it had sealed (notice).
SHED, CORRUPT = 0, 1
NOTICE_REASONS = ("shed", "corrupt")

# Why a bridge did not take a message of a device it knows (refusal), and whether sending the same
# bytes again can help. A name's place in the table is its number on the wire.
REFUSALS = (
    ("busy", True),  # storage is full or the bridge is catching up
    ("no_hello", True),  # this epoch's hello has not come yet
    ("gaps", True),  # too many holes below: fill some first
    ("generation", False),  # the device was enrolled anew since
    ("revoked", False),
    ("malformed", False),  # opened, and what is inside is not docs/wire.md
)
REFUSAL_CODES = {REFUSALS[at][0]: at for at in range(len(REFUSALS))}


class ControlError(ValueError):
    """Theirs: an opened control message does not have the form of docs/wire.md."""


class Hello:
    """First message of an epoch: the device's clock, its software, what it still holds.

    `held` has (first_epoch, epochs, last_seq) runs of older epochs that may still send; every
    older epoch that is in none of them is closed.
    """

    __slots__ = ("agent", "held", "now_ms")

    def __init__(self, now_ms: int, agent: str, held: "list[tuple[int, int, int]]") -> None:
        self.now_ms = now_ms
        self.agent = agent
        self.held = held


class Prompt:
    """What a person is shown. `ttl_ms` is the life that was left when it was dispatched."""

    __slots__ = ("body", "id", "offer", "surface", "title", "ttl_ms", "why")

    def __init__(
        self,
        id: int,  # noqa: A002 -- its name on the page
        ttl_ms: int,
        surface: str,
        title: str,
        body: str,
        offer: str,
        why: "tuple[str, ...]",
    ) -> None:
        self.id = id
        self.ttl_ms = ttl_ms
        self.surface = surface
        self.title = title
        self.body = body
        self.offer = offer
        self.why = why

    def __repr__(self) -> str:
        return "<Prompt %d of offer %s>" % (self.id, self.offer)


def held_runs(held: "list[tuple[int, int]]") -> "list[tuple[int, int, int]]":
    """(first_epoch, epochs, last_seq) runs of ascending (epoch, last_seq).

    A device that restarted thousands of times offline names its oldest epochs in one coarse run:
    the bridge then keeps their keys until a later hello drops them, and nothing is lost.
    """
    runs: "list[list[int]]" = []
    for epoch, last_seq in held:
        if runs and runs[-1][0] + runs[-1][1] == epoch and runs[-1][2] == last_seq:
            runs[-1][1] += 1
        else:
            runs.append([epoch, 1, last_seq])
    extra = len(runs) - MAX_HELD_RUNS
    if extra > 0:
        merged = runs[: extra + 1]
        first = merged[0][0]
        epochs = merged[-1][0] + merged[-1][1] - first
        runs = [[first, epochs, max([run[2] for run in merged])]] + runs[extra + 1 :]
    return [(run[0], run[1], run[2]) for run in runs]


def encode_hello(hello: Hello) -> bytes:
    """Plaintext of a hello; a longer agent is cut."""
    return pack([1, hello.now_ms, hello.agent[:MAX_AGENT], hello.held])


def decode_hello(plaintext: bytes) -> Hello:
    """Raises ControlError."""
    parts = _parts(plaintext, 4)
    _natural(parts[0], 255)
    agent = _text(parts[2], MAX_AGENT)
    held = []
    for first, epochs, last_seq in _rows(parts[3], 3, MAX_HELD_RUNS):
        if _natural(epochs, MAX_EPOCH) + _natural(first, MAX_EPOCH) > MAX_EPOCH + 1 or not epochs:
            raise ControlError("a run holds an epoch at least, and ends before 2^32")
        held.append((first, epochs, _natural(last_seq, MAX_SEQ)))
    return Hello(_natural(parts[1], (1 << 53) - 1), agent, held)


def encode_notice(gaps: "list[tuple[int, int, int, int, int]]") -> bytes:
    """`gaps`: (epoch, first, last, touchpoints, reason)."""
    return pack(gaps)


def decode_notice(plaintext: bytes) -> "list[tuple[int, int, int, int, int]]":
    """Raises ControlError."""
    gaps = []
    for epoch, first, last, touchpoints, reason in _rows(_unpacked(plaintext), 5, 8192):
        first, last = _range(epoch, first, last)
        gaps.append((epoch, first, last, _natural(touchpoints, 1 << 32), _natural(reason, 255)))
    return gaps


def encode_ack(ranges: "list[tuple[int, int, int]]") -> bytes:
    """`ranges`: (epoch, first, last), all held by the bridge after its commit."""
    return pack(ranges)


def decode_ack(plaintext: bytes) -> "list[tuple[int, int, int]]":
    """Raises ControlError."""
    ranges = []
    for epoch, first, last in _rows(_unpacked(plaintext), 3, 8192):
        first, last = _range(epoch, first, last)
        ranges.append((epoch, first, last))
    return ranges


def encode_refusal(refusals: "list[tuple[int, int, str]]") -> bytes:
    """`refusals`: (epoch, seq, reason), the reason a name of REFUSALS."""
    return pack([(epoch, seq, REFUSAL_CODES[reason]) for epoch, seq, reason in refusals])


def decode_refusal(plaintext: bytes) -> "list[tuple[int, int, str, bool]]":
    """(epoch, seq, reason, send it again?). A reason from a later version helps nobody: retry."""
    refusals = []
    for epoch, seq, code in _rows(_unpacked(plaintext), 3, 8192):
        _range(epoch, seq, seq)
        known = _natural(code, 255) < len(REFUSALS)
        reason, again = REFUSALS[code] if known else ("reason_%d" % code, True)
        refusals.append((epoch, seq, reason, again))
    return refusals


def encode_prompt(prompt: Prompt) -> bytes:
    """Plaintext of a prompt."""
    return pack(
        [
            prompt.id,
            prompt.ttl_ms,
            prompt.surface,
            prompt.title,
            prompt.body,
            prompt.offer,
            prompt.why,
        ]
    )


def decode_prompt(plaintext: bytes) -> Prompt:
    """Raises ControlError."""
    parts = _parts(plaintext, 7)
    why = parts[6]
    if not isinstance(why, list) or len(why) > 32:
        raise ControlError("why is a list of texts")
    return Prompt(
        _natural(parts[0], (1 << 63) - 1),
        _natural(parts[1], 1 << 40),
        _text(parts[2], 256),
        _text(parts[3], 4096),
        _text(parts[4], 16384),
        _text(parts[5], 256),
        tuple([_text(reason, 1024) for reason in why]),
    )


def _unpacked(plaintext: bytes) -> "Any":
    try:
        return unpack(plaintext)
    except PackingError as error:
        raise ControlError(str(error))


def _parts(plaintext: bytes, count: int) -> "list[Any]":
    # More parts than we know come from a later version, and are left alone.
    parts = _unpacked(plaintext)
    if not isinstance(parts, list) or len(parts) < count:
        raise ControlError("an array of %d parts at least" % count)
    return parts


def _rows(rows: "Any", width: int, most: int) -> "list[list[Any]]":
    if not isinstance(rows, list) or len(rows) > most:
        raise ControlError("an array of at most %d rows" % most)
    cut = []
    for row in rows:
        if not isinstance(row, list) or len(row) < width:
            raise ControlError("a row has %d numbers" % width)
        cut.append(row[:width])
    return cut


def _range(epoch: "Any", first: "Any", last: "Any") -> "tuple[int, int]":
    _natural(epoch, MAX_EPOCH)
    first, last = _natural(first, MAX_SEQ), _natural(last, MAX_SEQ)
    if first > last:
        raise ControlError("a range runs from its first to its last")
    return first, last


def _natural(value: "Any", most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ControlError("a number of 0 to %d" % most)
    return value


def _text(value: "Any", most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ControlError("a text of at most %d characters" % most)
    return value
