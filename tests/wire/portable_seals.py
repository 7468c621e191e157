"""Keys, the cipher suite and sealed messages, checked alike on CPython and MicroPython."""

from edge_sdk.wire import batch, keys, seal
from tests.wire.refusals import raw, refused

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from typing import Any

    from edge_sdk.wire.suite import Suite

    Vectors = dict[str, Any]


def check_key_schedule(suite: "Suite", vectors: "Vectors") -> int:
    schedule = vectors["wire"]["keys"]
    chain = keys.root_key(suite, schedule["tenant"], schedule["site"], raw(schedule["secret"]))
    cases = 0
    for epoch in schedule["epochs"]:
        assert chain.hex() == epoch["chain"]
        ratchet = keys.Ratchet.of_epoch(suite, chain)
        for entry in epoch["ratchet"]:
            there = ratchet.at(entry["seq"])
            assert there.state()[4:36].hex() == entry["run"]
            assert there.message_key().hex() == entry["message"]
            assert suite.hmac(raw(entry["block"]), b"\2") == there.state()[36:]
            cases += 1
        down = keys.down_key(suite, chain)
        assert down.hex() == epoch["down"]
        incarnation_key = suite.hmac(down, raw(epoch["incarnation"]))
        assert incarnation_key.hex() == epoch["incarnation_key"]
        for entry in epoch["messages_down"]:
            key = keys.down_message_key(suite, incarnation_key, entry["seq"])
            assert key.hex() == entry["message"]
            cases += 1
        chain = keys.next_chain_key(suite, chain)
    return cases


def check_ratchet(suite: "Suite", vectors: "Vectors") -> int:
    """Steps and leaps meet; a state comes back; nothing steps back; no key comes twice."""
    met = set()
    last = 2 * keys.RUN + 3
    for epoch in vectors["wire"]["keys"]["epochs"]:
        start = keys.Ratchet.of_epoch(suite, raw(epoch["chain"]))
        step = start
        for seq in range(last + 1):
            assert step.seq == seq
            met.add(step.message_key())
            if seq % 51 == 0 or seq % keys.RUN in (0, 1, keys.RUN - 1):
                assert start.at(seq).state() == step.state()
                assert step.at(seq).state() == step.state()
                back = keys.Ratchet.restored(suite, step.state())
                assert back.state() == step.state()
                assert back.at(last).state() == start.at(last).state()
                if seq:
                    refused(ValueError, step.at, seq - 1)
            step = step.at(seq + 1)
        assert start.seq == 0
    assert len(met) == (last + 1) * len(vectors["wire"]["keys"]["epochs"])
    return len(met)


def check_hkdf_extract(suite: "Suite", vectors: "Vectors") -> int:
    for case in vectors["hkdf"]["cases"]:
        assert suite.hmac(raw(case["salt"]), raw(case["ikm"])).hex() == case["prk"]
    return len(vectors["hkdf"]["cases"])


def check_ccm(suite: "Suite", vectors: "Vectors") -> int:
    for case in vectors["ccm"]["cases"]:
        key, nonce, header = raw(case["key"]), raw(case["nonce"]), raw(case["header"])
        plaintext = suite.open(key, nonce, header, raw(case["sealed"]))
        if case["plaintext"] is None:
            assert plaintext is None
        else:
            assert plaintext == raw(case["plaintext"])
            assert suite.seal(key, nonce, header, plaintext) == raw(case["sealed"])
    for size in range(keys.INCARNATION_BYTES + 8):
        assert suite.open(bytes(16), bytes(13), b"header", bytes(size)) is None
    return len(vectors["ccm"]["cases"])


def header_of(case: "Any") -> seal.Header:
    """Header of a message in the file."""
    return seal.Header(
        case["kind"],
        case["generation"],
        case["device"],
        case["epoch"],
        case["seq"],
        raw(case["incarnation"]),
    )


def kinds_of(case: "Any") -> "tuple[int, ...]":
    """Kinds of a message's direction."""
    return seal.UP_KINDS if case["direction"] == "up" else seal.DOWN_KINDS


def key_of(suite: "Suite", vectors: "Vectors", case: "Any", epoch: "int | None" = None) -> bytes:
    """What opens a message: its batch key on the way up, its incarnation's key on the way down."""
    chain = raw(
        vectors["wire"]["keys"]["epochs"][case["epoch"] if epoch is None else epoch]["chain"]
    )
    if case["direction"] == "up":
        return keys.Ratchet.of_epoch(suite, chain).at(case["seq"]).message_key()
    return suite.hmac(keys.down_key(suite, chain), raw(case["incarnation"]))


def opened(suite: "Suite", case: "Any", key: bytes, message: bytes) -> bytes:
    """Plaintext of a message, as a receiver of its direction reads it. Raises Refused."""
    header = seal.read_header(message, kinds_of(case))
    if case["direction"] == "up":
        return seal.open_up(suite, header, key, message)
    return seal.open_down(suite, header, key, message)


def check_messages(suite: "Suite", vectors: "Vectors") -> int:
    for case in vectors["wire"]["messages"]:
        message, plaintext = raw(case["message"]), raw(case["plaintext"])
        key = key_of(suite, vectors, case)
        header = seal.read_header(message, kinds_of(case))
        for name in ("kind", "generation", "device", "epoch", "seq"):
            assert getattr(header, name) == case[name]
        assert header.incarnation == raw(case["incarnation"])
        assert header.raw == header_of(case).raw == message[: len(header.raw)]
        assert opened(suite, case, key, message) == plaintext
        if case["direction"] == "up":
            assert key == raw(case["message_key"])
            assert seal.seal_up(suite, header_of(case), key, plaintext) == message
            assert len(message) == len(plaintext) + 30
        else:
            assert keys.down_message_key(suite, key, case["seq"]) == raw(case["message_key"])
            assert seal.seal_down(suite, header_of(case), key, plaintext) == message
            assert len(message) == len(plaintext) + 38
    return len(vectors["wire"]["messages"])


def check_truncations(suite: "Suite", vectors: "Vectors") -> int:
    cases = 0
    for case in vectors["wire"]["messages"]:
        key = key_of(suite, vectors, case)
        message = raw(case["message"])
        least = len(message) - len(raw(case["plaintext"]))
        for size in range(len(message)):
            error = refused(seal.Refused, opened, suite, case, key, message[:size])
            assert error.reason == ("truncated" if size < least else "forged")
            cases += 1
        assert refused(seal.Refused, opened, suite, case, key, message + b"\0").reason == "forged"
    return cases


def check_flipped_bits(suite: "Suite", vectors: "Vectors") -> int:
    """Every bit counts, although the receiver keeps the key of the message as it was."""
    cases = 0
    for case in vectors["wire"]["messages"]:
        key = key_of(suite, vectors, case)
        message = bytearray(raw(case["message"]))
        for at in range(8 * len(message)):
            message[at // 8] ^= 1 << at % 8
            reason = refused(seal.Refused, opened, suite, case, key, bytes(message)).reason
            assert reason == "forged" or at < 8 * seal.UP_HEADER_BYTES
            if at // 8 == 0:
                assert reason in ("version", "kind", "direction", "forged")
            message[at // 8] ^= 1 << at % 8
            cases += 1
    return cases


def check_foreign_keys(suite: "Suite", vectors: "Vectors") -> int:
    """Another epoch's key, another device's, another number's, another direction's: all fail."""
    cases = 0
    for case in vectors["wire"]["messages"]:
        message = raw(case["message"])
        right = key_of(suite, vectors, case)
        wrong = [bytes(len(right)), right[1:] + right[:1]]
        wrong += [
            key_of(suite, vectors, case, epoch) for epoch in range(3) if epoch != case["epoch"]
        ]
        root = keys.root_key(suite, "acme", "paris-2", bytes(range(32)))
        wrong.append(keys.Ratchet.of_epoch(suite, root).message_key())
        for key in wrong:
            assert refused(seal.Refused, opened, suite, case, key, message).reason == "forged"
            cases += 1
        # The same key and the same bytes, sent the other way.
        header = seal.read_header(message, kinds_of(case))
        if case["direction"] == "up":
            other = keys.nonce(keys.DOWN, header.epoch, header.seq)
        else:
            other = keys.nonce(keys.UP, header.epoch, header.seq)
            right = raw(case["message_key"])
        assert suite.open(right, other, header.raw, message[len(header.raw) :]) is None
        foreign = seal.DOWN_KINDS if case["direction"] == "up" else seal.UP_KINDS
        error = refused(seal.Refused, seal.read_header, message + bytes(8), foreign)
        assert error.reason == "direction"
        cases += 2
    return cases


def check_refused_headers(suite: "Suite", vectors: "Vectors") -> int:
    listed = vectors["wire"]["refused_headers"]
    for case in listed:
        error = refused(seal.Refused, seal.read_header, raw(case["message"]), kinds_of(case))
        assert error.reason == case["reason"]
    for first in range(256):
        for kinds, size in ((seal.UP_KINDS, 30), (seal.DOWN_KINDS, 38)):
            message = bytes([first]) + bytes(size - 1)
            if first >> 4 != 1:
                wanted = "version"
            elif first & 15 in kinds:
                assert seal.read_header(message, kinds).kind == first & 15
                continue
            else:
                wanted = "direction" if first & 15 in seal.UP_KINDS + seal.DOWN_KINDS else "kind"
            assert refused(seal.Refused, seal.read_header, message, kinds).reason == wanted
    down = bytes([0x18]) + b"\xff" * 37
    assert seal.read_header(down, seal.DOWN_KINDS).seq == (1 << 32) - 1
    return len(listed) + 512


def check_sizes(suite: "Suite", vectors: "Vectors") -> int:
    """The largest message there is goes through; one byte more is refused on each side."""
    key = bytes(16)
    up = seal.Header(seal.ROWS, 0, 1, 0, 0)
    down = seal.Header(seal.ACK, 0, 1, 0, 0, bytes(8))
    assert batch.MAX_PLAINTEXT == seal.MAX_MESSAGE - 30
    for sealing, header, kinds, least in (
        (seal.seal_up, up, seal.UP_KINDS, 30),
        (seal.seal_down, down, seal.DOWN_KINDS, 38),
    ):
        plaintext = bytes(seal.MAX_MESSAGE - least)
        message = sealing(suite, header, key, plaintext)
        assert len(message) == seal.MAX_MESSAGE
        opening = seal.open_up if header is up else seal.open_down
        assert opening(suite, seal.read_header(message, kinds), key, message) == plaintext
        assert not isinstance(
            refused(ValueError, sealing, suite, header, key, plaintext + b"\0"), seal.Refused
        )
        error = refused(seal.Refused, seal.read_header, message + b"\0", kinds)
        assert error.reason == "oversized"
    return 6
