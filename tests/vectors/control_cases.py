"""Control messages for the vectors: at their least, as usual, at their limits, and malformed."""

from collections.abc import Sequence
from typing import Any

from tests.vectors.batch_cases import not_the_subset
from tests.vectors.by_the_page import START_MS, Json, packed, tagged


def hello(now_ms: int, agent: str, held: list[list[int]]) -> Json:
    """A hello and its bytes."""
    plaintext = packed([1, now_ms, agent, held])
    return {"now_ms": now_ms, "agent": agent, "held": held, "plaintext": plaintext.hex()}


def prompt(*parts: Any) -> Json:
    """A prompt and its bytes; parts in the order of the page."""
    names = ("id", "ttl_ms", "surface", "title", "body", "offer", "why")
    case = dict(zip(names, map(tagged, parts), strict=True))
    return {**case, "plaintext": packed(parts).hex()}


def listed(rows: Sequence[Sequence[Any]]) -> Json:
    """Rows of numbers, and their bytes."""
    return {"rows": rows, "plaintext": packed(rows).hex()}


def control() -> Json:
    """Each control message, at its least, as usual and at its limits."""
    last = (1 << 32) - 1
    return {
        "hello": [
            hello(START_MS, "edge-sdk 0.1", [[0, 1, 17]]),
            hello(0, "", []),
            hello((1 << 53) - 1, "\u4f1a" * 64, [[0, 9, 0], [12, 4000, 65_535], [last, 1, 5]]),
        ],
        "notice": [listed([]), listed([[0, 3, 9, 350, 0], [last, 0, 65_535, 1 << 32, 1]])],
        "ack": [listed([]), listed([[1, 0, 2]]), listed([[0, 0, 17], [last, 65_535, 65_535]])],
        "refusal": [
            {**listed([]), "reasons": []},
            {
                **listed([[1, 2, 5], [1, 3, 0], [1, 4, 200]]),
                "reasons": [["malformed", False], ["busy", True], ["reason_200", True]],
            },
        ],
        "prompt": [
            prompt(7, 60_000, "kiosk", "Welcome", "Your order is here.", "o-12", ["order"]),
            prompt((1 << 63) - 1, 0, "", "", "", "", []),
            prompt(1, 1 << 40, "s" * 256, "\U0001f6d2" * 9, "b" * 300, "o" * 256, ["w"] * 32),
        ],
        "malformed": malformed_control(),
    }


def malformed_control() -> list[Json]:
    """Control messages that are not the page."""
    texts = ["kiosk", "title", "body", "offer"]
    cases: list[tuple[str, str, Any]] = [
        ("hello", "three parts", [1, 0, "a"]),
        ("hello", "a time beyond 2^53", [1, 1 << 53, "a", []]),
        ("hello", "true for a version", [True, 0, "a", []]),
        ("hello", "65 letters", [1, 0, "a" * 65, []]),
        ("hello", "a run without an epoch", [1, 0, "a", [[0, 0, 0]]]),
        ("hello", "a run beyond 2^32", [1, 0, "a", [[1, (1 << 32) - 1, 0], [2, (1 << 32) - 1, 0]]]),
        ("hello", "a sequence beyond its epoch", [1, 0, "a", [[0, 1, 65_536]]]),
        ("hello", "a short row", [1, 0, "a", [[0, 1]]]),
        ("notice", "a range that falls", [[0, 5, 4, 1, 0]]),
        ("notice", "a short row", [[0, 4, 5, 1]]),
        ("notice", "a negative count", [[0, 4, 5, -1, 0]]),
        ("ack", "a number", 5),
        ("ack", "a range that falls", [[0, 5, 4]]),
        ("ack", "an epoch of 33 bits", [[1 << 32, 0, 0]]),
        ("ack", "a sequence beyond its epoch", [[0, 0, 65_536]]),
        ("ack", "true for a sequence", [[0, False, True]]),
        ("refusal", "a reason of 256", [[0, 0, 256]]),
        ("refusal", "a reason in words", [[0, 0, "busy"]]),
        ("prompt", "six parts", [7, 0, *texts]),
        ("prompt", "an id of 64 bits", [1 << 63, 0, *texts, []]),
        ("prompt", "a negative life", [7, -1, *texts, []]),
        ("prompt", "a title that is nil", [7, 0, "kiosk", None, "body", "offer", []]),
        ("prompt", "a reason that is no text", [7, 0, *texts, [1]]),
        ("prompt", "reasons that are one text", [7, 0, *texts, "why"]),
        ("prompt", "33 reasons", [7, 0, *texts, ["w"] * 33]),
    ]
    listed = [(kind, name, packed(value)) for kind, name, value in cases]
    for kind in ("hello", "notice", "ack", "refusal", "prompt"):
        listed += [(kind, name, data) for name, data in not_the_subset() if name != "a map"]
    return [{"kind": kind, "name": n, "plaintext": data.hex()} for kind, n, data in listed]
