"""The floor of `scripts/bench ingest`: open, inflate and decode the same batches, nothing else."""

import time
import zlib

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from benches._traffic import Load, touchpoints_of
from edge_sdk.wire.keys import UP, nonce
from edge_sdk.wire.seal import DEFLATED, TAG_BYTES, UP_HEADER_BYTES, UP_KINDS, read_header

_Job = tuple[AESCCM, bytes, bytes, bytes, bool]


def per_second(load: Load) -> float:
    """Touchpoints a second through the libraries alone, on the core that this thread is on."""
    jobs = _jobs(load)
    unpack = msgspec.msgpack.Decoder().decode
    began_s = time.perf_counter()
    for cipher, once, sealed, header, deflated in jobs:
        plaintext = cipher.decrypt(once, sealed, header)
        unpack(zlib.decompress(plaintext, -zlib.MAX_WBITS) if deflated else plaintext)
    return touchpoints_of(load) / (time.perf_counter() - began_s)


def _jobs(load: Load) -> list[_Job]:
    jobs: list[_Job] = []
    for line, listed in load:
        keys = line.keys([sealed.seq for sealed in listed])
        for sealed, key in zip(listed, keys, strict=True):
            header = read_header(sealed.message, UP_KINDS)
            cipher = AESCCM(key, tag_length=TAG_BYTES)
            once = nonce(UP, header.epoch, header.seq)
            body = sealed.message[UP_HEADER_BYTES:]
            jobs.append((cipher, once, body, header.raw, header.kind == DEFLATED))
    return jobs
