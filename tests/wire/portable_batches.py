"""Touchpoints, batches and MessagePack, checked alike on CPython and MicroPython."""

from edge_sdk.wire import batch, packing
from edge_sdk.wire.touchpoint import (
    DATA,
    DBM,
    FIELDS,
    ID,
    TEXT,
    TYPES,
    Touchpoint,
    TouchpointError,
    check,
    make,
)
from tests.wire.dice import Dice
from tests.wire.refusals import raw, read_or_refused, refused

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.wire.suite import Suite

    Vectors = dict[str, Any]

CODECS = {
    "rows": (batch.encode_rows, batch.decode_rows),
    "columns": (batch.encode_columns, batch.decode_columns),
}


def untagged(value: "Any") -> "Any":
    """A value of a batch as it was before the file."""
    if isinstance(value, dict):
        return int(value["int"]) if "int" in value else raw(value["bin"])
    return value


def touchpoints_of(case: "Any") -> "list[Touchpoint]":
    """Touchpoints of a batch in the file."""
    return [
        Touchpoint(code, at_ms, tuple([untagged(value) for value in values]))
        for code, at_ms, values in case["touchpoints"]
    ]


def check_batches(suite: "Suite", vectors: "Vectors") -> int:
    met = set()
    for case in vectors["wire"]["batches"]:
        encode, decode = CODECS[case["form"]]
        touchpoints = touchpoints_of(case)
        for touchpoint in touchpoints:
            check(touchpoint)
            met.add((case["form"], touchpoint.code))
        assert decode(raw(case["plaintext"])) == touchpoints, case["name"]
        if case["encodes"]:
            assert encode(touchpoints).hex() == case["plaintext"], case["name"]
    for row in TYPES:
        assert ("rows", row[0]) in met, row[1]
        assert ("columns", row[0]) in met, row[1]
    return len(vectors["wire"]["batches"])


def check_malformed_batches(suite: "Suite", vectors: "Vectors") -> int:
    for case in vectors["wire"]["malformed"]:
        try:
            CODECS[case["form"]][1](raw(case["plaintext"]))
        except batch.BatchError:
            continue
        raise AssertionError(case["form"] + " were read: " + case["name"])
    return len(vectors["wire"]["malformed"])


def check_cut_batches(suite: "Suite", vectors: "Vectors") -> int:
    """A truncation is refused; a changed bit is read or refused, no more.

    Of every third batch, which meets each type: a board's interpreter is slow, and test_batch.py
    takes them all.
    """
    cases = 0
    for case in vectors["wire"]["batches"][::3]:
        decode = CODECS[case["form"]][1]
        plaintext = raw(case["plaintext"])
        if len(plaintext) > 200:
            continue
        for size in range(len(plaintext)):
            refused(batch.BatchError, decode, plaintext[:size])
            changed = bytearray(plaintext)
            changed[size] ^= 1 << cases % 8
            read_or_refused(batch.BatchError, decode, bytes(changed))
            cases += 1
    return cases


def check_round_trips(suite: "Suite", vectors: "Vectors") -> int:
    dice = Dice(7)
    for _ in range(30):
        touchpoints = [dice.touchpoint() for _ in range(1 + dice.below(30))]
        for touchpoint in touchpoints:
            check(touchpoint)
        for encode, decode in (CODECS["rows"], CODECS["columns"]):
            assert decode(encode(touchpoints)) == touchpoints
    return 60


def check_batch_limits(suite: "Suite", vectors: "Vectors") -> int:
    many = [make("visit.enter", 0)] * batch.MAX_TOUCHPOINTS
    words = [make("scan", 0, code=str(at)) for at in range(batch.MAX_WORDS + 1)]
    fields = {"call": "c" * 16384, "phase": "p" * 16384, "number": "n" * 16384}
    vast = make("call", 0, caller_state="s" * 16384, **fields)
    for encode, decode in (CODECS["rows"], CODECS["columns"]):
        assert decode(encode(many)) == many
        refused(batch.TooLarge, encode, many[:1] + many)
        refused(batch.TooLarge, encode, [vast])
    refused(batch.TooLarge, batch.encode_columns, words)
    assert batch.decode_columns(batch.encode_columns(words[1:])) == words[1:]
    assert batch.decode_rows(batch.encode_rows(words)) == words
    refused(batch.BatchError, batch.decode_rows, packing.pack([0] + [[2, 0]] * 4097))
    # Boards of two versions: what one lacks is nil.
    ragged = [Touchpoint(999, 0, (1,)), Touchpoint(999, 0, (1, "b")), Touchpoint(999, 0, ())]
    padded = batch.decode_columns(batch.encode_columns(ragged))
    assert [t.values for t in padded] == [(1, None), (1, "b"), (None, None)]
    return 10


def check_claimed_sizes(suite: "Suite", vectors: "Vectors") -> int:
    """A small message that claims to be large costs no more than a large one may."""
    nil = [None] * 30000
    refused(batch.BatchError, batch.decode_columns, packing.pack([0, [], [999, 4096], 0, [nil]]))
    known = batch.decode_columns(packing.pack([0, [], [2, 4096], 0, [nil]]))
    assert known == [Touchpoint(2, 0, (None,) * len(FIELDS[2]))] * 4096
    spread = batch.decode_columns(packing.pack([0, [], [999, 4096], 0, [["x"] * 6]]))
    assert len(spread) == 4096
    assert spread[-1].values == ("x",) * 6
    codes = []
    for code in range(1000, 1000 + 4096):
        codes += [code, 1]
    groups: list[Any] = [[]] * 4096
    each_its_own = batch.decode_columns(packing.pack([0, [], codes, 0, groups]))
    assert [t.code for t in each_its_own] == list(range(1000, 5096))
    for claim in (
        b"\xdc\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff",
    ):
        refused(packing.PackingError, packing.unpack, claim + b"\0\0")
        refused(batch.BatchError, batch.decode_rows, b"\x92" + claim + b"\0\0")
    return 12


def check_touchpoints(suite: "Suite", vectors: "Vectors") -> int:
    """What is refused at capture, and that no message and no repr has a value in it."""
    secret = "ble:secret-value"
    cases = 0
    wrong: dict[str, tuple[Any, ...]] = {
        TEXT: (7, b"x", True, [secret], "s" * 16385, "\ud800" + secret),
        ID: (7, b"x", "no colon", "s:" + "s" * 511, "s:\u20ac" + "s" * 508, "x:\udfff"),
        "int": ("7", b"x", True, 7.0, 1 << 64, -(1 << 63) - 1),
        DBM: ("7", True, -60.5, 256, -256),
        DATA: (secret, 7, bytearray(2), bytes(16385)),
    }
    right: dict[str, tuple[Any, ...]] = {
        TEXT: ("", "s" * 16384, "\U0001f6d2"),
        ID: (secret, ":", "s:" + "s" * 510),
        "int": (0, (1 << 64) - 1, -(1 << 63)),
        DBM: (-255, 255, 0),
        DATA: (b"", bytes(16384)),
    }
    for _, name, _, _, fields in TYPES:
        for field, kind in fields:
            for value in wrong[kind]:
                error = refused(
                    TouchpointError, lambda f, v, n: make(n, 0, **{f: v}), field, value, name
                )
                assert str(error) == f"{name}.{field} is not a valid {kind}"
                cases += 1
            for value in right[kind]:
                touchpoint = make(name, 5, **{field: value})
                assert touchpoint.get(field) == value
                assert touchpoint.name == name
                assert repr(touchpoint) == f"<Touchpoint {name} at_ms=5>"
                cases += 1
    assert make("scan", 0, code="\u20ac" * 5461).get("code") == "\u20ac" * 5461
    refused(TouchpointError, lambda: make("scan", 0, code="\u20ac" * 5462))
    for opaque in (1 << 64, True, 1.5, [secret], "s" * 16385, "\ud800" + secret):
        error = refused(TouchpointError, check, Touchpoint(999, 0, (secret, opaque)))
        assert "secret" not in str(error)
    assert repr(Touchpoint(999, 0, (secret,))) == "<Touchpoint unknown.999 at_ms=0>"
    assert make("visit.enter").get("no such field") is None
    for code in (0, -1, 65536, True, "2", 2.0):
        refused(TouchpointError, check, Touchpoint(code, 0, (None,) * 4))  # type: ignore[arg-type]
    for at_ms in (-1, 1 << 53, True, 1.0, "0"):
        refused(TouchpointError, make, "visit.enter", at_ms)
    refused(TouchpointError, check, Touchpoint(2, 0, (None,) * 3))
    refused(TouchpointError, check, Touchpoint(999, 0, (None,) * 65))
    refused(TouchpointError, make, "no such type")
    assert "secret" not in str(refused(TouchpointError, lambda: make("scan", 0, other=secret)))
    return cases


def check_packing(suite: "Suite", vectors: "Vectors") -> int:
    """Each form at its borders comes back; a text that is no UTF-8 does not come in."""
    values: list[Any] = [None, True, False]
    for bits in (5, 7, 8, 15, 16, 31, 32, 53, 63, 64):
        for near in (-1, 0, 1):
            for number in ((1 << bits) + near, -(1 << bits) + near):
                if -(1 << 63) <= number < 1 << 64:
                    values.append(number)
                else:
                    refused(OverflowError, packing.pack_portably, number)
    for size in (0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536):
        values += ["x" * size, b"x" * size]
        values.append([None] * min(size, 300))
    for value in values:
        data = packing.pack_portably(value)
        assert packing.pack(value) == data
        assert packing.unpack(data) == value
        assert type(packing.unpack(data)) is type(value)
        refused(packing.PackingError, packing.unpack, data + b"\0")
        refused(packing.PackingError, packing.unpack, data[:-1])
    for size, head in ((65535, b"\xdc\xff\xff"), (65536, b"\xdd\0\1\0\0")):
        assert packing.pack_portably([None] * size) == head + b"\xc0" * size
        assert packing.unpack(head + b"\xc0" * size) == [None] * size
    nested: Any = 5
    for _ in range(packing.MAX_DEPTH):
        nested = [nested]
    assert packing.unpack(packing.pack(nested)) == nested
    refused(packing.PackingError, packing.unpack, packing.pack([nested]))
    for size in (1, 2, 3, 4):
        for text in (b"\xff" * size, b"\xed\xa0\x80\x80"[:size], b"\xc0\x80\x80\x80"[:size]):
            refused(packing.PackingError, packing.unpack, bytes([0xA0 | size]) + text)
    for value in (1.5, {}, object()):
        refused(TypeError, packing.pack_portably, value)
    return len(values)
