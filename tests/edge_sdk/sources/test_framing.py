"""Lines out of bytes: however they are cut up, and whatever else is among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError
from edge_sdk.sources.framing import Chunks, Lines, is_plain

TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1), max_size=8
)


@given(TEXTS, st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\n"]), st.data())
def test_lines_come_whole_however_they_are_cut(
    texts: list[str], end: bytes, data: st.DataObject
) -> None:
    stream = b"".join(text.encode() + end for text in texts)
    framing = Lines()
    lines: list[str] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        lines += framing.feed(stream[:size])
        stream = stream[size:]
    assert lines == texts
    assert sum(framing.counts.values()) == 0


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_no_bytes_raise_and_what_is_kept_is_bounded(pieces: list[bytes]) -> None:
    framing = Lines(max_bytes=64)
    for piece in pieces:
        for line in framing.feed(piece):
            assert line
            assert len(line.encode()) <= 64
            assert is_plain(line)
        assert len(framing._begun) <= 64


def test_a_line_that_is_too_long_is_skipped_to_its_end_and_counted_once() -> None:
    framing = Lines(max_bytes=10)
    assert framing.feed(b"x" * 8) == []
    for _ in range(1000):
        assert framing.feed(b"x" * 8) == []
    assert framing.feed(b"yz\r\nnext\r\n") == ["next"]
    assert framing.feed(b"z" * 11 + b"\n" + b"1234567890\n") == ["1234567890"]
    assert framing.counts == {"garbled": 0, "too_long": 2, "half": 0}


def test_a_line_that_was_cut_is_not_glued_to_what_comes_after() -> None:
    framing = Lines()
    assert framing.feed(b"40610000") == []
    framing.reset()
    assert framing.feed(b"OK\r\n") == ["OK"]
    framing.reset()
    assert framing.counts["half"] == 1


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a\x00b", b"\x1b[2J", "\x85".encode(), b"\x7f"])
def test_garbage_is_counted(raw: bytes) -> None:
    framing = Lines()
    assert framing.feed(raw + b"\rgood\r") == ["good"]
    assert framing.counts["garbled"] == 1


def test_separators_of_codes_are_no_garbage() -> None:
    assert Lines().feed(b"]C110A\x1d21B\x1e\x04\tx\r") == ["]C110A\x1d21B\x1e\x04\tx"]


def test_other_encodings() -> None:
    assert Lines(encoding="latin-1").feed("Käse\n".encode("latin-1")) == ["Käse"]
    with pytest.raises(ConfigError, match="latin-99"):
        Lines(encoding="latin-99")
    with pytest.raises(ConfigError, match="utf-16"):
        Lines(encoding="utf-16")
    with pytest.raises(ConfigError):
        Lines(max_bytes=0)


def test_chunks_are_passed_on() -> None:
    assert Chunks().feed(b"\x00\r\n") == [b"\x00\r\n"]
