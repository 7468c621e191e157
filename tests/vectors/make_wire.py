"""Writes tests/vectors/wire.json, and with --docs the worked examples of docs/wire.md.

    python -m tests.vectors.make_wire [--docs]

Keys, seals, headers and control messages are made from the page alone (by_the_page.py), so that
they test the code and not themselves. Only batches come from the encoders;
tests/wire/other_reader.py reads them a second time.

Other readers than Python's lose integers of 2^53 and more, so these are {"int": decimal}; bytes are
{"bin": hexadecimal}; text is written as UTF-8, because MicroPython does not join the two halves of
an escaped character.
"""

import base64
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from edge_sdk.wire.batch import encode_columns, encode_rows
from edge_sdk.wire.touchpoint import Touchpoint
from tests.vectors import batch_cases, control_cases, worked_examples
from tests.vectors.by_the_page import (
    ACK,
    COLUMNS,
    DEFLATED,
    DEVICE,
    HELLO,
    NOTICE,
    PROMPT,
    REFUSAL,
    ROWS,
    SECRET,
    SITE,
    TENANT,
    Json,
    down,
    keys,
    packed,
    up,
)

WIRE = Path(__file__).parent / "wire.json"

# The columns of `repeated()`, deflated once and for all: compressors differ, and so do versions.
SQUEEZED = bytes.fromhex(
    "9b7a9e818171b1444c00c3e495c9a999399979e9ba26ab927252ad920dd2d2525357809849a9a9699318"
    "79e630689c653e70f18f04263571da111e46247084878999098ece32bfe09c63eb650f472c00"
)


def repeated() -> list[Touchpoint]:
    """A batch that is worth deflating."""
    return batch_cases.sightings() * 4


def messages(said: Json) -> list[Json]:
    """Each kind once, and the ends of each number."""

    def of(kind: str, at: int) -> bytes:
        return bytes.fromhex(said[kind][at]["plaintext"])

    return [
        up(HELLO, 1, 0, of("hello", 0)),
        up(ROWS, 1, 1, encode_rows(batch_cases.entering())),
        up(COLUMNS, 1, 2, encode_columns(batch_cases.sightings())),
        up(NOTICE, 1, 256, of("notice", 1)),
        up(ROWS, 2, 65_535, encode_rows(batch_cases.entering()), other=(255, (1 << 32) - 1)),
        up(ROWS, 0, 255, b""),
        down(ACK, 1, 0, of("ack", 1)),
        down(PROMPT, 1, 1, of("prompt", 0)),
        down(REFUSAL, 2, (1 << 32) - 1, of("refusal", 1)),
        down(ACK, 0, 65_536, b""),
        up(DEFLATED, 1, 3, SQUEEZED),
    ]


def refused_headers(sealed: list[Json]) -> list[Json]:
    """Messages that are refused before any key is derived."""
    raw_up = bytes.fromhex(sealed[1]["message"])
    raw_down = bytes.fromhex(sealed[6]["message"])
    cases = [
        ("up", "truncated", b""),
        ("up", "truncated", raw_up[:29]),
        ("down", "truncated", raw_down[:37]),
        ("up", "direction", raw_down),
        ("down", "direction", raw_up),
        ("up", "sequence", raw_up[:10] + struct.pack(">I", 65_536) + raw_up[14:]),
        ("up", "sequence", raw_up[:10] + struct.pack(">I", (1 << 32) - 1) + raw_up[14:]),
    ]
    for direction, raw in (("up", raw_up), ("down", raw_down)):
        cases += [(direction, "version", bytes([v << 4]) + raw[1:]) for v in (0, 2, 15)]
        cases += [(direction, "kind", bytes([0x10 | k]) + raw[1:]) for k in (5, 7, 11, 15)]
    return [{"direction": d, "reason": r, "message": raw.hex()} for d, r, raw in cases]


def topics() -> Json:
    """Topics, and names that are none of ours."""
    lanes = [
        {
            "tenant": tenant,
            "lane": lane,
            "device": device,
            "topic": f"edge/1/{tenant}/{lane}/{device:08x}",
        }
        for tenant, device in ((TENANT, DEVICE), ("a" * 32, 0), ("0-_.z", (1 << 32) - 1))
        for lane in ("live", "bulk", "down")
    ]
    foreign = [
        "",
        "edge",
        "edge/1/acme/live",
        "edge/1/acme/live/",
        "edge/1/acme/live/0000002a/",
        "/edge/1/acme/live/0000002a",
        "edge/2/acme/live/0000002a",
        "Edge/1/acme/live/0000002a",
        "edge/1/acme/side/0000002a",
        "edge/1/acme//0000002a",
        "edge/1//live/0000002a",
        "edge/1/ACME/live/0000002a",
        "edge/1/+/live/0000002a",
        "edge/1/acme/live/+",
        "edge/1/acme/live/#",
        "edge/1/acme/live/0000002A",
        "edge/1/acme/live/000002a",
        "edge/1/acme/live/00000002a",
        "edge/1/acme/live/-000002a",
        "edge/1/acme/live/0x00002a",
        "edge/1/acme/live/0000_02a",
        "edge/1/acme/live/ 000002a",
        "edge/1/acme/live/0000002a\n",
        "edge/1/acme/live/\u0660\u0660\u0660\u0660\u0660\u0660\u0662\u0661",
        "$SYS/broker/clients/connected",
    ]
    tenants = ["", "a" * 33, "Acme", "a/b", "a+", "#", "a b", "caf\u00e9", "a\0", "a\n", "\u0661"]
    return {"lanes": lanes, "foreign": foreign, "no_tenants": tenants}


def enrolment() -> Json:
    """An enrolment token."""
    data = packed([TENANT, SITE, DEVICE, 0, SECRET])
    data += struct.pack(">I", zlib.crc32(data))
    return {
        "tenant": TENANT,
        "site": SITE,
        "device": DEVICE,
        "generation": 0,
        "secret": SECRET.hex(),
        "token": "edge1." + base64.urlsafe_b64encode(data).decode().rstrip("="),
    }


def vectors() -> Json:
    """All of the file."""
    said = control_cases.control()
    sealed = messages(said)
    return {
        "about": "Written by tests/vectors/make_wire.py. Hexadecimal unless a number is meant.",
        "keys": keys(),
        "batches": batch_cases.batches(),
        "malformed": batch_cases.malformed(),
        "control": said,
        "deflated": {
            "plaintext": SQUEEZED.hex(),
            "inflated": encode_columns(repeated()).hex(),
        },
        "messages": sealed,
        "refused_headers": refused_headers(sealed),
        "topics": topics(),
        "enrolment": enrolment(),
    }


def as_text(value: Json) -> str:
    """The file's text: one line a case, so that a change shows as that."""
    return (
        "{\n"
        + ",\n".join(f' "{name}": {part_text(part, 1)}' for name, part in value.items())
        + "\n}\n"
    )


def part_text(part: Any, depth: int) -> str:
    """A part of the file, opened two levels deep."""
    margin = " " * depth
    if isinstance(part, dict) and depth < 2:
        lines = [
            f'{margin} "{name}": {part_text(inner, depth + 1)}' for name, inner in part.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(part, list) and any(isinstance(case, dict) for case in part):
        lines = [f"{margin} {json.dumps(case, ensure_ascii=False)}" for case in part]
        return "[\n" + ",\n".join(lines) + f"\n{margin}]"
    return json.dumps(part, ensure_ascii=False)


def main(argv: list[str]) -> None:
    """Write the file and, if asked, the examples of the page."""
    WIRE.write_text(as_text(vectors()), encoding="utf-8")
    if "--docs" in argv:
        worked_examples.rewrite(WIRE)


if __name__ == "__main__":
    main(sys.argv[1:])
