"""Control messages, topics and enrolment, checked alike on CPython and MicroPython."""

# ruff: noqa: RUF005 -- MicroPython has no [*a, *b]

from edge_sdk.wire import control, enrolment, packing, topics
from tests.wire.dice import Dice
from tests.wire.portable_batches import untagged
from tests.wire.refusals import raw, refused

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.wire.suite import Suite

    Vectors = dict[str, Any]

CONTROL_DECODERS = {
    "hello": control.decode_hello,
    "notice": control.decode_notice,
    "ack": control.decode_ack,
    "refusal": control.decode_refusal,
    "prompt": control.decode_prompt,
}


PROMPT_PARTS = ("id", "ttl_ms", "surface", "title", "body", "offer", "why")


def control_case(kind: str, case: "Any") -> "tuple[bytes, Any, Any]":
    """(what we encode, what we decode, what that should be) of a control message in the file."""
    plaintext = raw(case["plaintext"])
    if kind == "hello":
        held = [tuple(run) for run in case["held"]]
        hello = control.decode_hello(plaintext)
        encoded = control.encode_hello(control.Hello(case["now_ms"], case["agent"], held))
        decoded = (hello.now_ms, hello.agent, hello.held)
        return encoded, decoded, (case["now_ms"], case["agent"], held)
    if kind == "prompt":
        parts = [untagged(case[name]) for name in PROMPT_PARTS[:-1]] + [tuple(case["why"])]
        prompt = control.decode_prompt(plaintext)
        read = [getattr(prompt, name) for name in PROMPT_PARTS]
        return control.encode_prompt(control.Prompt(*parts)), read, parts
    rows = [tuple(row) for row in case["rows"]]
    if kind == "ack":
        return control.encode_ack(rows), control.decode_ack(plaintext), rows
    if kind == "notice":
        return control.encode_notice(rows), control.decode_notice(plaintext), rows
    wanted = [rows[at][:2] + tuple(case["reasons"][at]) for at in range(len(rows))]
    known = [row[:3] for row in wanted if row[2] in control.REFUSAL_CODES]
    refusals = control.decode_refusal(plaintext)
    # A reason of a later version is read, but we have no name to write it with.
    encoded = control.encode_refusal(known) if len(known) == len(wanted) else plaintext
    return encoded, refusals, wanted


def check_control(suite: "Suite", vectors: "Vectors") -> int:
    cases = 0
    for kind, decode in CONTROL_DECODERS.items():
        for case in vectors["wire"]["control"][kind]:
            encoded, decoded, wanted = control_case(kind, case)
            assert encoded.hex() == case["plaintext"], kind
            assert decoded == wanted, kind
            plaintext = raw(case["plaintext"])
            for size in range(len(plaintext)):
                refused(control.ControlError, decode, plaintext[:size])
            cases += 1
    return cases


def check_malformed_control(suite: "Suite", vectors: "Vectors") -> int:
    listed = vectors["wire"]["control"]["malformed"]
    for case in listed:
        try:
            CONTROL_DECODERS[case["kind"]](raw(case["plaintext"]))
        except control.ControlError:
            continue
        raise AssertionError(case["kind"] + " was read: " + case["name"])
    many = b"\xdc\x20\x01" + b"\x93\0\0\0" * 8193
    refused(control.ControlError, control.decode_ack, many)
    refused(control.ControlError, control.decode_refusal, many)
    many = b"\xdc\x20\x01" + b"\x95\0\0\0\0\0" * 8193
    refused(control.ControlError, control.decode_notice, many)
    held = [[at, 1, 0] for at in range(control.MAX_HELD_RUNS + 1)]
    refused(control.ControlError, control.decode_hello, packing.pack([1, 0, "", held]))
    assert len(control.decode_hello(packing.pack([1, 0, "", held[1:]])).held) == len(held) - 1
    return len(listed) + 4


def check_later_control(suite: "Suite", vectors: "Vectors") -> int:
    """More parts than we know come from a later version, and are left alone."""
    later = [1, [2], None]
    hello = control.decode_hello(packing.pack([9, 5, "a", [[0, 1, 2] + later]] + later))
    assert (hello.now_ms, hello.held) == (5, [(0, 1, 2)])
    assert control.decode_ack(packing.pack([[0, 1, 2] + later])) == [(0, 1, 2)]
    assert control.decode_notice(packing.pack([[0, 1, 2, 3, 9] + later])) == [(0, 1, 2, 3, 9)]
    assert control.decode_refusal(packing.pack([[0, 1, 2] + later])) == [(0, 1, "gaps", True)]
    prompt = control.decode_prompt(packing.pack([7, 0, "s", "t", "b", "o", ["w"]] + later))
    assert (prompt.id, prompt.why) == (7, ("w",))
    return 5


def check_held_runs(suite: "Suite", vectors: "Vectors") -> int:
    """Runs name each held epoch, with a last sequence number that is not below its own."""
    dice = Dice(5)
    for density, count in ((1, 500), (3, 500), (2, 5000), (9, 5000)):
        held = []
        epoch = 0
        for _ in range(count):
            epoch += 1 + (dice.below(density) == 1)
            held.append((epoch, dice.below(density) * 7))
        runs = control.held_runs(held)
        assert len(runs) <= control.MAX_HELD_RUNS
        named = {}
        end = 0
        for first, epochs, last_seq in runs:
            assert epochs >= 1
            assert first >= end
            end = first + epochs
            for at in range(first, end):
                named[at] = last_seq
        exact = len(runs) < control.MAX_HELD_RUNS
        for epoch, last_seq in held:
            assert named[epoch] == last_seq if exact else named[epoch] >= last_seq
        assert not exact or len(named) == len(held)
        # The freshest epochs, which are still sending, are named as they are.
        for epoch, last_seq in held[-1000:]:
            assert named[epoch] == last_seq
        hello = control.decode_hello(control.encode_hello(control.Hello(0, "", runs)))
        assert hello.held == runs
    assert control.held_runs([]) == []
    return 5


def check_topics(suite: "Suite", vectors: "Vectors") -> int:
    listed = vectors["wire"]["topics"]
    for case in listed["lanes"]:
        name = topics.topic(case["tenant"], case["lane"], case["device"])
        assert name == case["topic"]
        assert topics.device_of(name) == case["device"]
        assert topics.is_tenant(case["tenant"])
        every = topics.every_device(case["tenant"], case["lane"])
        assert every[-2:] == "/+"
        assert every[:-1] + name[-8:] == name
    for name in listed["foreign"]:
        assert topics.device_of(name) is None, name
    for name in listed["no_tenants"]:
        assert not topics.is_tenant(name), name
    return len(listed["lanes"]) + len(listed["foreign"]) + len(listed["no_tenants"])


def check_enrolment(suite: "Suite", vectors: "Vectors") -> int:
    """The token of the file, each of its truncations, and a change of each of its letters."""
    case = vectors["wire"]["enrolment"]
    token = case["token"]
    names = ("tenant", "site", "device", "generation")
    parts = [case[name] for name in names]
    tenant, site, device, generation = parts
    theirs = enrolment.Enrolment(tenant, site, device, generation, raw(case["secret"]))
    assert enrolment.to_token(theirs) == token
    read = enrolment.from_token("  " + token + "\n")
    assert [getattr(read, name) for name in names] == parts
    assert read.secret == raw(case["secret"])
    assert case["secret"] not in repr(read)
    for at in range(len(token)):
        other = token[:at] + ("B" if token[at] != "B" else "C") + token[at + 1 :]
        for bad in (token[:at], other):
            error = refused(enrolment.EnrolmentError, enrolment.from_token, bad)
            assert token[-20:] not in str(error)
    return 2 * len(token) + 1
