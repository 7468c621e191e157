"""Control messages: what goes in comes out, held epochs are never lost, no bytes do harm."""

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.wire import control
from edge_sdk.wire.control import ControlError, Hello, Prompt, held_runs
from edge_sdk.wire.keys import MAX_EPOCH, MAX_SEQ
from tests.wire.portable_control import CONTROL_DECODERS, PROMPT_PARTS
from tests.wire.refusals import read_or_refused

epochs = st.integers(0, MAX_EPOCH)
sequences = st.integers(0, MAX_SEQ)
ranges = st.tuples(epochs, sequences, sequences).map(lambda row: (row[0], *sorted(row[1:])))
letters = st.characters(codec="utf-8")
texts = st.text(letters, max_size=60)


@st.composite
def held_epochs(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Ascending (epoch, last_seq), with gaps and with runs."""
    steps = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=60))
    held = []
    epoch = draw(st.integers(-1, 1000))
    for step, last_seq in steps:
        epoch += step
        held.append((epoch, last_seq))
    return held


@given(held=held_epochs())
@settings(max_examples=150, deadline=None)
def test_held_runs_lose_nothing(held: list[tuple[int, int]]) -> None:
    runs = held_runs(held)
    spread = [(first + at, last) for first, count, last in runs for at in range(count)]
    assert spread == held


@given(held=held_epochs(), most=st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_too_many_held_runs_grow_coarse_at_the_old_end(
    held: list[tuple[int, int]], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fine = held_runs(held)
        patch.setattr(control, "MAX_HELD_RUNS", most)
        runs = held_runs(held)
    assert len(runs) == min(len(fine), most)
    spread = {first + at: last for first, count, last in runs for at in range(count)}
    for epoch, last_seq in held:
        assert spread[epoch] >= last_seq
    assert runs[1:] == fine[len(fine) - len(runs) + 1 :]
    if held:
        assert (min(spread), max(spread)) == (held[0][0], held[-1][0])


@given(
    now_ms=st.integers(0, (1 << 53) - 1),
    agent=st.text(letters, max_size=64),
    held=held_epochs(),
)
@settings(max_examples=50, deadline=None)
def test_hello(now_ms: int, agent: str, held: list[tuple[int, int]]) -> None:
    hello = control.decode_hello(control.encode_hello(Hello(now_ms, agent, held_runs(held))))
    assert (hello.now_ms, hello.agent, hello.held) == (now_ms, agent, held_runs(held))


def test_a_long_agent_is_cut() -> None:
    assert control.decode_hello(control.encode_hello(Hello(0, "a" * 99, []))).agent == "a" * 64


@given(
    rows=st.lists(ranges, max_size=30), more=st.tuples(st.integers(0, 1 << 32), st.integers(0, 255))
)
@settings(max_examples=50, deadline=None)
def test_ranges(rows: list[Any], more: tuple[int, int]) -> None:
    assert control.decode_ack(control.encode_ack(rows)) == rows
    gaps = [(*row, *more) for row in rows]
    assert control.decode_notice(control.encode_notice(gaps)) == gaps


@given(
    rows=st.lists(
        st.tuples(epochs, sequences, st.sampled_from(sorted(control.REFUSAL_CODES))), max_size=30
    )
)
@settings(max_examples=50, deadline=None)
def test_refusals(rows: list[Any]) -> None:
    again = dict(control.REFUSALS)
    expected = [(*row, again[row[2]]) for row in rows]
    assert control.decode_refusal(control.encode_refusal(rows)) == expected


@given(
    parts=st.tuples(
        *(st.integers(0, (1 << 63) - 1), st.integers(0, 1 << 40), texts, texts, texts, texts),
        st.lists(texts, max_size=32).map(tuple),
    )
)
@settings(max_examples=50, deadline=None)
def test_prompts(parts: tuple[Any, ...]) -> None:
    prompt = control.decode_prompt(control.encode_prompt(Prompt(*parts)))
    assert tuple(getattr(prompt, name) for name in PROMPT_PARTS) == parts


near_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 1 << 33)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=7),
    max_leaves=20,
)


@pytest.mark.parametrize("decode", CONTROL_DECODERS.values(), ids=CONTROL_DECODERS.keys())
@given(value=near_values, plaintext=st.binary(max_size=100))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_read_or_refused(decode: Any, value: Any, plaintext: bytes) -> None:
    read_or_refused(ControlError, decode, msgpack.packb(value))
    read_or_refused(ControlError, decode, plaintext)


def test_errors_and_reprs_do_not_repeat_what_was_read() -> None:
    prompt = Prompt(7, 0, "kiosk", "secret-title", "secret-body", "o-12", ("secret-why",))
    assert repr(prompt) == "<Prompt 7 of offer o-12>"
    secret = msgpack.packb([1, 0, "secret" * 20, "secret"])
    for decode in CONTROL_DECODERS.values():
        with pytest.raises(ControlError) as refused:
            decode(secret)
        assert "secret" not in str(refused.value)
