"""Keys, seals and MessagePack made from docs/wire.md alone, with none of the wire's own code."""

import hmac
import struct
from typing import Any

import msgpack
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

TENANT, SITE, DEVICE = "acme", "paris-1", 42
SECRET = bytes(range(32))
INCARNATION = bytes(range(0xA0, 0xA8))
START_MS = 1_800_000_000_000

ROWS, COLUMNS, HELLO, NOTICE, DEFLATED = 0, 1, 2, 3, 4
ACK, PROMPT, REFUSAL = 8, 9, 10

Json = dict[str, Any]


def tagged(value: Any) -> Any:
    """A value as JSON that every reader keeps."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, int) and abs(value) >= 1 << 53:
        return {"int": str(value)}
    return value


def packed(value: Any) -> bytes:
    """MessagePack, by the C library."""
    data: bytes = msgpack.packb(value)
    return data


def prf(key: bytes, message: bytes) -> bytes:
    """HMAC(k, m) of the page."""
    return hmac.digest(key, message, "sha256")


def chain_key(epoch: int) -> bytes:
    """CK of an epoch."""
    key = prf(TENANT.encode() + b"\0" + SITE.encode(), SECRET)
    for _ in range(epoch):
        key = prf(key, b"chain")
    return key


def batch_keys(epoch: int, seq: int) -> tuple[bytes, bytes, bytes]:
    """BK of the run, RK and MK of one message up."""
    block = prf(chain_key(epoch), b"epoch")
    for _ in range(seq // 256):
        block = prf(block, b"\x02")
    run = prf(block, b"\x01")
    for _ in range(seq % 256):
        run = prf(run, b"\x02")
    return block, run, prf(run, b"\x01")[:16]


def incarnation_key(epoch: int, incarnation: bytes) -> bytes:
    """IK of an epoch's messages down."""
    return prf(prf(chain_key(epoch), b"down"), incarnation)


def keys() -> Json:
    """The key schedule: three epochs, both sides of each border between runs, and the way down."""
    epochs = []
    for epoch in range(3):
        ratchet = []
        for seq in (0, 1, 255, 256, 511, 512, 65_535):
            block, run, message = batch_keys(epoch, seq)
            ratchet.append(
                {"seq": seq, "block": block.hex(), "run": run.hex(), "message": message.hex()}
            )
        key = incarnation_key(epoch, INCARNATION)
        down = [
            {"seq": seq, "message": prf(key, struct.pack(">I", seq))[:16].hex()}
            for seq in (0, 1, 65_536, (1 << 32) - 1)
        ]
        epochs.append(
            {
                "epoch": epoch,
                "chain": chain_key(epoch).hex(),
                "ratchet": ratchet,
                "down": prf(chain_key(epoch), b"down").hex(),
                "incarnation": INCARNATION.hex(),
                "incarnation_key": key.hex(),
                "messages_down": down,
            }
        )
    return {"tenant": TENANT, "site": SITE, "secret": SECRET.hex(), "epochs": epochs}


def up(
    kind: int, epoch: int, seq: int, plaintext: bytes, *, other: tuple[int, int] = (0, DEVICE)
) -> Json:
    """A message of a device; `other` is its generation and number."""
    generation, device = other
    header = struct.pack(">BBIII", 0x10 | kind, generation, device, epoch, seq)
    key = batch_keys(epoch, seq)[2]
    nonce = struct.pack(">BIII", 0, epoch, seq, 0)
    return {
        "direction": "up",
        "kind": kind,
        "generation": generation,
        "device": device,
        "epoch": epoch,
        "seq": seq,
        "incarnation": "",
        "message_key": key.hex(),
        "plaintext": plaintext.hex(),
        "message": (header + AESCCM(key).encrypt(nonce, plaintext, header)).hex(),
    }


def down(kind: int, epoch: int, seq: int, plaintext: bytes) -> Json:
    """A message of the bridge."""
    header = struct.pack(">BBIII", 0x10 | kind, 0, DEVICE, epoch, seq) + INCARNATION
    key = prf(incarnation_key(epoch, INCARNATION), struct.pack(">I", seq))[:16]
    nonce = struct.pack(">BIII", 1, epoch, seq, 0)
    return {
        "direction": "down",
        "kind": kind,
        "generation": 0,
        "device": DEVICE,
        "epoch": epoch,
        "seq": seq,
        "incarnation": INCARNATION.hex(),
        "message_key": key.hex(),
        "plaintext": plaintext.hex(),
        "message": (header + AESCCM(key).encrypt(nonce, plaintext, header)).hex(),
    }
