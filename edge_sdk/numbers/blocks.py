"""Blocks of numbers that the bridge lends to a store, and the messages by which both keep step.

A block is signed: 64 bytes of Ed25519, then the JSON that they sign. A report is all that a store
has to say, and a reply all that the bridge has to answer; either may be lost, doubled or late, and
the next one makes up for it (docs/decisions/0030-blocks-come-back-by-hand.md).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, Protocol

from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.numbers.lease import CHANNEL, KINDS, Lease
from edge_sdk.numbers.terms import FOREVER_MS, Terms

MAX_BLOCK = 10_000
MAX_REPORT_BYTES = MAX_REPLY_BYTES = 4 << 20
LEASES_PER_REPORT = 500
SIGNATURE_BYTES = 64
MAX_INCARNATION = 64


class BlockError(EdgeError):
    """Theirs: bytes that are no block, report or reply, or a signature that is not the bridge's."""


class Signer(Protocol):
    """The bridge's key for blocks."""

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    """What a store needs to know of that key."""

    def verifies(self, signature: bytes, message: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers that one store, and one file of it, may lend from `issued_ms` until `expires_ms`.

    id            of the pool, counted up, never used twice
    incarnation   of the store's file: another file, also a copy, may not lend from it
    serial        a renewal has a higher one, the same numbers and a later end
    terms         those on which it is to lend
    fallback      what to show when none is free; empty: the pool has none
    """

    id: int
    tenant: str
    site: str
    pool: str
    incarnation: str
    serial: int
    numbers: tuple[str, ...]
    issued_ms: int
    expires_ms: int
    terms: Terms
    fallback: str = ""

    @property
    def over_ms(self) -> int:
        """By then no lease of this block is live, by the clock of the store."""
        return self.expires_ms + self.terms.session_ms + self.terms.grace_ms

    def encode(self, signer: Signer) -> bytes:
        """The bytes for the store."""
        body = _json([
            "block", 1, self.id, self.tenant, self.site, self.pool, self.incarnation, self.serial,
            self.numbers, self.issued_ms, self.expires_ms, astuple(self.terms), self.fallback,
        ])  # fmt: skip
        return signer.sign(body) + body

    @classmethod
    def verify(cls, signed: bytes, verifier: Verifier) -> "Block":
        """The block that the bridge signed. Raises BlockError."""
        signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not verifier.verifies(signature, body):
            raise BlockError("a block that the bridge did not sign")
        try:
            word, version, *fields = json.loads(body)
            id_, tenant, site, pool, incarnation, serial, numbers, issued, expires, *rest = fields
            terms, fallback = rest
            if (word, version) != ("block", 1):
                raise BlockError("a block of a version that is not known here")
            return cls(
                _count(id_), _text(tenant), _text(site), _text(pool), _text(incarnation),
                _count(serial), _texts(numbers), _count(issued), _count(expires),
                Terms(*(_count(value) for value in terms)), _text(fallback),
            )  # fmt: skip
        except (ValueError, TypeError, RecursionError, ConfigError) as error:
            raise BlockError("a block that cannot be read") from error


@dataclass(frozen=True, slots=True)
class Report:
    """What a store's file says of itself. All of it stays true for ever, however late it is read.

    count   of this file's reports; each is committed before it is sent
    seen    the highest block that was taken or turned down; none as high is taken any more
    holds   of each block its serial and the numbers that are still held: the others are handed back
    leases  begun, moved or ended since the bridge last confirmed them; not all, if they are many
    wants   how many numbers the store would like to hold in all
    """

    pool: str
    incarnation: str
    count: int
    seen: int
    holds: Mapping[int, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    leases: tuple[Lease, ...] = ()
    wants: int = 0

    def encode(self) -> bytes:
        """The bytes for the bridge: personal, so inside the seal only."""
        holds = [[id_, serial, numbers] for id_, (serial, numbers) in sorted(self.holds.items())]
        leases = [_fields(lease) for lease in self.leases]
        return _json([
            "report", 1, self.pool, self.incarnation, self.count, self.seen, holds, leases,
            self.wants,
        ])  # fmt: skip

    @classmethod
    def decode(cls, message: bytes) -> "Report":
        """Raises BlockError."""
        pool, incarnation, count, seen, holds, leases, wants = _open(message, "report", 7)
        try:
            held = {_count(id_): (_count(serial), _texts(ns)) for id_, serial, ns in _list(holds)}
            if not 0 < len(_text(incarnation)) <= MAX_INCARNATION:
                raise ValueError("an incarnation")
            told = tuple(_lease(_text(pool), fields) for fields in _list(leases))
            return cls(
                _text(pool), _text(incarnation), _count(count), _count(seen), held, told,
                _count(wants),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise BlockError("a report that cannot be read") from error

    @property
    def digest(self) -> str:
        """The same for the same report, and for no other."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the bridge answers to a report.

    count     of the report that is answered: its leases are known now
    last      the highest count of this file's reports; if it counted fewer itself, it is a copy
    grants    blocks that the file has not or not so new
    leave     blocks that are to be handed back, or that were written off: nothing of them is lent
    doubtful  two copies of the file report: neither may go on under its incarnation
    """

    incarnation: str
    count: int
    last: int
    grants: tuple[Block, ...] = ()
    leave: tuple[int, ...] = ()
    doubtful: bool = False

    def encode(self, signer: Signer) -> bytes:
        """The bytes for the store."""
        grants = [base64.b64encode(grant.encode(signer)).decode() for grant in self.grants]
        return _json([
            "reply", 1, self.incarnation, self.count, self.last, grants, self.leave,
            int(self.doubtful),
        ])  # fmt: skip

    @classmethod
    def verify(cls, message: bytes, verifier: Verifier) -> "Reply":
        """The reply, if all of its blocks are signed by the bridge. Raises BlockError."""
        incarnation, count, last, grants, leave, doubtful = _open(message, "reply", 6)
        try:
            signed = [base64.b64decode(_text(grant), validate=True) for grant in _list(grants)]
            left = tuple(_count(id_) for id_ in _list(leave))
            blocks = tuple(Block.verify(grant, verifier) for grant in signed)
            return cls(
                _text(incarnation), _count(count), _count(last), blocks, left, bool(doubtful)
            )
        except (ValueError, TypeError, binascii.Error) as error:
            raise BlockError("a reply that cannot be read") from error


def block_of(lease_id: str) -> int:
    """The block that a lease was made from; 0: none, it is the bridge's own."""
    lender, _, counter = lease_id.partition("-")
    digits = lender[1:].partition(".")[0]
    if lender[:1] != "k" or not (digits.isascii() and digits.isdigit() and counter):
        return 0
    return int(digits) if len(digits) < 16 else 0


def lender_of(block: int, pool: str) -> str:
    """What the ids of the leases from a block begin with: each pool counts its own blocks."""
    return f"k{block}.{pool}"


def _fields(lease: Lease) -> list[object]:
    return [
        lease.id, lease.number, lease.holder, lease.kind, lease.since_ms, lease.until_ms,
        lease.ended_ms, lease.intent,
    ]  # fmt: skip


def _lease(pool: str, fields: list[object]) -> Lease:
    id_, number, holder, kind, since_ms, until_ms, ended_ms, intent = fields
    ended_ms = None if ended_ms is None else _count(ended_ms)
    if intent is not None and not (isinstance(intent, int | float) and 0 <= intent <= 1):
        raise ValueError("an intent")
    if kind not in KINDS or kind == CHANNEL:
        raise ValueError("a kind")
    return Lease(
        _text(id_), pool, _text(number), _text(holder), _text(kind), _count(since_ms),
        _count(until_ms), ended_ms, intent,
    )  # fmt: skip


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _open(message: bytes, word: str, fields: int) -> list[Any]:
    if len(message) > MAX_REPORT_BYTES:
        raise BlockError(f"a {word} of too many bytes")
    try:
        values = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise BlockError(f"a {word} that cannot be read") from error
    if not isinstance(values, list) or values[:2] != [word, 1] or len(values) != fields + 2:
        raise BlockError(f"no {word} of a version that is known here")
    return values[2:]


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 2 * FOREVER_MS:
        raise ValueError("not a count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_REPORT_BYTES:
        raise ValueError("not a text")
    value.encode()  # half of a character is no text, and no database takes it
    return value


def _texts(values: object) -> tuple[str, ...]:
    return tuple(_text(value) for value in _list(values))


def _list(values: object) -> list[Any]:
    if not isinstance(values, list) or len(values) > MAX_BLOCK:
        raise ValueError("not a list, or too long")
    return values
