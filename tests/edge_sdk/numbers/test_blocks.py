"""What goes between bridge and store survives the way unchanged, or is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.adapters.ed25519 import SigningKey, VerifyingKey
from edge_sdk.numbers.blocks import SIGNATURE_BYTES, Block, BlockError, Reply, Report, block_of
from edge_sdk.numbers.lease import Lease
from edge_sdk.numbers.terms import Terms

KEY = SigningKey(bytes(32))
PUBLIC = VerifyingKey(KEY.public_key)
BLOCK = Block(
    7, "acme", "paris-1", "web", "f00d", 3, ("+33160000001", "+33160000002"), 1_000, 9_000,
    Terms(), "+33999999999",
)  # fmt: skip
LEASE = Lease("k7-1", "web", "+33160000001", "kiosk:1", "session", 5, 9, 8, 0.5)
REPORT = Report("web", "f00d", 4, 7, {7: (3, ("+33160000001",))}, (LEASE,), 20)

counts = st.integers(0, 1 << 52)
texts = st.text(max_size=12)
numbers = st.lists(texts, max_size=4).map(tuple)
blocks = st.builds(
    Block, counts, texts, texts, texts, texts, counts, numbers, counts, counts,
    st.builds(Terms, minimum_ms=st.integers(0, 1 << 40)), texts,
)  # fmt: skip
leases = st.builds(
    Lease, texts, st.just("web"), texts, texts, st.sampled_from(["session", "place"]), counts,
    counts, st.none() | counts, st.none() | st.floats(0, 1),
)  # fmt: skip
reports = st.builds(
    Report, st.just("web"), texts.filter(bool), counts, counts,
    st.dictionaries(counts, st.tuples(counts, numbers), max_size=3),
    st.lists(leases, max_size=3).map(tuple), counts,
)  # fmt: skip


@given(blocks)
def test_a_block_comes_back_as_it_was(block: Block) -> None:
    assert Block.verify(block.encode(KEY), PUBLIC) == block


@given(reports)
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    again = Report.decode(report.encode())
    assert again == report
    assert again.digest == report.digest


@given(st.builds(
    Reply, texts, counts, counts, st.lists(blocks, max_size=2).map(tuple),
    st.lists(counts, max_size=3).map(tuple), st.booleans(),
))  # fmt: skip
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    assert Reply.verify(reply.encode(KEY), PUBLIC) == reply


def test_a_block_with_any_bit_changed_or_bytes_missing_is_refused() -> None:
    signed = BLOCK.encode(KEY)
    for at in range(len(signed)):
        for damaged in (signed[:at], signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]):
            with pytest.raises(BlockError):
                Block.verify(damaged, PUBLIC)


def test_a_block_that_another_key_signed_is_refused() -> None:
    with pytest.raises(BlockError):
        Block.verify(BLOCK.encode(SigningKey(bytes([1] * 32))), PUBLIC)
    reply = Reply("f00d", 1, 1, (BLOCK,))
    with pytest.raises(BlockError):
        Reply.verify(reply.encode(SigningKey(bytes([1] * 32))), PUBLIC)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b"\xff", b"[" * 10_000, b'["block",2,7]', b'["block",1]', b'["reply",1]',
    json.dumps(["block", 1, -1, *["x"] * 4, 1, [], 1, 1, [1] * 8, ""]).encode(),
    json.dumps(["block", 1, 1, *["x"] * 4, 1, [1], 1, 1, [1] * 8, ""]).encode(),
    json.dumps(["block", 1, 1, *["x"] * 4, 1, [], 1, 1, [-1] * 8, ""]).encode(),
    json.dumps(["block", 1, 1, *["x"] * 4, 1, [], 1, 1, [1] * 9, ""]).encode(),
])  # fmt: skip
def test_a_signed_block_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(BlockError):
        Block.verify(KEY.sign(body) + body, PUBLIC)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(message: bytes) -> None:
    for read in (
        lambda: Block.verify(message, PUBLIC),
        lambda: Report.decode(message),
        lambda: Reply.verify(message, PUBLIC),
    ):
        with pytest.raises(BlockError):
            read()


def test_a_report_whose_parts_are_not_what_they_should_be_is_refused() -> None:
    whole = json.loads(REPORT.encode())
    parts: list[tuple[int, Any]] = [
        (2, 5), (3, None), (3, ""), (3, "f" * 65), (4, -1), (4, True), (4, 1.5), (5, "7"),
        (2, "\ud800"), (6, {}), (6, [[7, 1]]),
        (6, [[7, 1, "+33"]]), (7, [[]]), (7, [["k7-1"] * 8]), (8, None), (7, 3), (6, 3),
    ]  # fmt: skip
    for at, wrong in parts:
        values = [*whole[:at], wrong, *whole[at + 1 :]]
        with pytest.raises(BlockError):
            Report.decode(json.dumps(values).encode())
    of_lease: list[tuple[int, Any]] = [
        (3, "channel"), (4, -1), (5, "x"), (6, 1.5), (7, 2), (7, "x"), (0, 7),
    ]  # fmt: skip
    for at, wrong in of_lease:
        fields: list[Any] = json.loads(REPORT.encode())[7][0]
        fields[at] = wrong
        with pytest.raises(BlockError):
            Report.decode(json.dumps([*whole[:7], [fields], 0]).encode())


def test_every_truncation_of_a_report_is_refused() -> None:
    message = REPORT.encode()
    for at in range(len(message)):
        with pytest.raises(BlockError):
            Report.decode(message[:at])


def test_what_a_block_was_made_of_is_in_a_lease_s_id() -> None:
    assert [block_of(id_) for id_ in ("k7-1", "k12-3", "k9.my-web-3")] == [7, 12, 9]
    for id_ in (
        "b-1",
        "b.k7-1",
        "k7",
        "k-1",
        "k.web-1",
        "kx-1",
        "k7-",
        "",
        "k\u0661-1",
        "k" + "9" * 40 + "-1",
    ):
        assert block_of(id_) == 0


def test_no_holder_is_in_a_repr() -> None:
    assert "kiosk" not in repr(REPORT)
    assert len(KEY.sign(b"")) == SIGNATURE_BYTES
    assert BLOCK.over_ms == 9_000 + 30 * 60_000 + 60_000
    assert replace(BLOCK, serial=4) != BLOCK
