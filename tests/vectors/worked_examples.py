"""The worked examples of docs/wire.md, from tests/vectors/wire.json."""

import json
import struct
from pathlib import Path
from typing import Any

import msgpack

from tests.vectors.by_the_page import COLUMNS, DEVICE, HELLO, ROWS, Json, packed

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"
START, END = "<!-- examples -->\n", "<!-- /examples -->"

WIDTH = 32  # bytes of hexadecimal a line
MARGIN = 30  # where the explanations start

# What each part of the plaintext is: an array is (its meaning, its parts).
Meaning = str | tuple[str, list[Any]]

ROWS_MEANING: Meaning = (
    "the batch",
    [
        "base_ms",
        (
            "the one touchpoint",
            [
                *("type", "dt_ms", "visit", "visitor", "zone", "probability_pct"),
                *("ago_low_ms", "ago_high_ms"),
            ],
        ),
    ],
)
COLUMNS_MEANING: Meaning = (
    "the batch",
    [
        "base_ms",
        ("words", ["word 1", "word 2", "word 3"]),
        ("runs", ["type", "run length"]),
        ("times", ["ms from base_ms:", "ms from the one before:", "ms from the one before:"]),
        (
            "groups",
            [
                (
                    "columns of sighting",
                    [
                        "receiver: word 1 three times",
                        "beacon: words 2, 3, 2",
                        "window_ms of all three:",
                        "readings of all three:",
                        (
                            "rssi_median_dbm, negated",
                            ["-61 dBm, sent as", "-74 dBm, sent as", "-63 dBm, sent as"],
                        ),
                        "rssi_spread_db of all three:",
                    ],
                )
            ],
        ),
    ],
)
HELLO_MEANING: Meaning = (
    "the hello",
    ["form", "now_ms", "agent", ("held", [("a run", ["first_epoch", "epochs", "last_seq"])])],
)
ACK_MEANING: Meaning = ("the ack", [("a range", ["epoch", "first", "last"])])
PROMPT_MEANING: Meaning = (
    "the prompt",
    ["id", "ttl_ms", "surface", "title", "body", "offer", ("why", ["a reason"])],
)


def block(vectors: Json) -> str:
    """The Markdown between the two marks."""
    hello, rows, columns = vectors["messages"][:3]
    ack, prompt = vectors["messages"][6:8]
    assert [m["kind"] for m in (hello, rows, columns)] == [HELLO, ROWS, COLUMNS]
    parts = [
        "### Keys",
        keys(vectors["keys"]),
        "### One visit, as rows",
        "`visit.enter` at 1800000000000: visit 7, visitor `ble:c0ffee`, zone `shoes`, 97 %; it\n"
        "began between 4.5 and 2 seconds before.",
        fenced(explained(rows, ROWS_MEANING)),
        "Sealed, as the second message of its epoch:",
        sealed(rows),
        "### Three sightings, as columns",
        "One receiver heard `ble:c0ffee` at -61 dBm, `ble:beef` at -74 dBm 40 ms later, and the\n"
        "first again, at -63 dBm, 960 ms after that.",
        fenced(explained(columns, COLUMNS_MEANING)),
        "Sealed:",
        sealed(columns),
        "### A hello",
        fenced(explained(hello, HELLO_MEANING)),
        "Sealed:",
        sealed(hello),
        "### An acknowledgement",
        "Of the three messages above.",
        fenced(explained(ack, ACK_MEANING)),
        "Sealed:",
        sealed(ack),
        "### A prompt",
        fenced(explained(prompt, PROMPT_MEANING)),
        "Sealed:",
        sealed(prompt),
    ]
    return "\n\n".join(parts) + "\n"


def keys(schedule: Json) -> str:
    """The first keys of the schedule, down to those that seal the messages below."""
    first, second = schedule["epochs"][:2]
    batches = {entry["seq"]: entry for entry in second["ratchet"]}
    downs = {entry["seq"]: entry for entry in second["messages_down"]}
    named = [
        ("CK_0", first["chain"]),
        ("CK_1", second["chain"]),
        ("BK_0", batches[0]["block"]),
        ("RK     of seq 0", batches[0]["run"]),
        ("MK     of seq 0", batches[0]["message"]),
        ("RK     of seq 1", batches[1]["run"]),
        ("MK     of seq 1", batches[1]["message"]),
        ("BK_1", batches[256]["block"]),
        ("RK     of seq 256", batches[256]["run"]),
        ("DK_1", second["down"]),
        ("IK     of " + second["incarnation"], second["incarnation_key"]),
        ("MK_down of seq 0", downs[0]["message"]),
        ("MK_down of seq 1", downs[1]["message"]),
    ]
    return fenced([f"{name:<27}{key}" for name, key in named])


def explained(message: Json, meaning: Meaning) -> list[str]:
    """A plaintext, one line a MessagePack head or value."""
    plaintext = bytes.fromhex(message["plaintext"])
    pieces = list(walk(msgpack.unpackb(plaintext), meaning, 0))
    assert b"".join(data for _, data, _ in pieces) == plaintext
    lines = [f"plaintext, {len(plaintext)} bytes"]
    for depth, data, words in pieces:
        shown = " " * depth + data.hex()
        lines += (
            [shown.ljust(MARGIN) + words] if len(shown) < MARGIN else [shown, " " * MARGIN + words]
        )
    return lines


def walk(value: Any, meaning: Meaning, depth: int) -> list[tuple[int, bytes, str]]:
    """(depth, bytes, explanation) of a value and of all in it."""
    if isinstance(meaning, str):
        shown = json.dumps(value) if isinstance(value, str | int) else ""
        return [(depth, packed(value), f"{meaning} {shown}".rstrip())]
    name, inner = meaning
    assert len(value) == len(inner) < 16
    pieces = [(depth, bytes([0x90 | len(value)]), f"array of {len(value)}: {name}")]
    for item, its_meaning in zip(value, inner, strict=True):
        pieces += walk(item, its_meaning, depth + 1)
    return pieces


def sealed(message: Json) -> str:
    """A message: its header's fields, its ciphertext, its tag."""
    raw = bytes.fromhex(message["message"])
    size = 14 + len(message["incarnation"]) // 2
    direction = "up" if message["direction"] == "up" else "down"
    nonce = struct.pack(">BIII", direction == "down", message["epoch"], message["seq"], 0)
    assert message["device"] == DEVICE
    fields = [
        (raw[:1], f"version 1, kind {message['kind']}"),
        (raw[1:2], "generation"),
        (raw[2:6], "device"),
        (raw[6:10], "epoch"),
        (raw[10:14], "seq"),
        (raw[14:size], "incarnation"),
    ]
    lines = [f"message, {len(raw)} bytes {direction}"]
    lines += [data.hex().ljust(MARGIN) + words for data, words in fields if data]
    lines += wrapped(raw[size:-16], "ciphertext") + wrapped(raw[-16:], "tag")
    key = "MK" if direction == "up" else "MK_down"
    lines += ["", f"{key:<8}{message['message_key']}", f"nonce   {nonce.hex()}"]
    return fenced(lines)


def wrapped(data: bytes, words: str) -> list[str]:
    """Hexadecimal in lines of a readable width, then what it is."""
    lines = [data[at : at + WIDTH].hex() for at in range(0, len(data), WIDTH)]
    lines[-1] += f"  {words}"
    return lines


def fenced(lines: list[str]) -> str:
    """A block of code."""
    return "\n".join(["```", *lines, "```"])


def rewritten(page: str, vectors: Json) -> str:
    """The page with its examples made anew."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return before + START + block(vectors) + END + after


def rewrite(vectors: Path) -> None:
    """Write the examples of the file into the page."""
    examples = json.loads(vectors.read_text(encoding="utf-8"))
    page = rewritten(PAGE.read_text(encoding="utf-8"), examples)
    PAGE.write_text(page, encoding="utf-8")
