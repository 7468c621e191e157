"""Identifiers that change with time: what a beacon emits, and how its owner knows it again.

Eddystone-EID (google/eddystone, eddystone-eid/eid-computation.md), of an identity key, the beacon's
own clock in seconds t, and an exponent K of 0 to 15; it changes every 2**K s:

    tk  = AES(key, 11 * 00 | FF | 00 00 | t[31:16])
    EID = AES(tk,  11 * 00 | K | t with its low K bits cleared)[:8]

Resolvable private address (Core Specification, Vol 3 Part H, 2.2.2): 3 random bytes whose two top
bits are 01, and 3 bytes of AES(key, 13 * 00 | random). Both are AES-128 of single blocks; the
cipher is handed in: `ecb(key, blocks)` is `adapters.aes.ecb` on CPython, `board_suite.ecb` on a
board. Who resolves thousands of beacons uses `eid_table.py` and `address_table.py`.
"""

import struct

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias, TypeVar

    # Whole blocks under AES-128-ECB: (key of 16 bytes, blocks) -> as many bytes.
    Ecb: TypeAlias = Callable[[bytes, bytes], bytes]
    Name = TypeVar("Name")

KEY_BYTES = 16
EID_BYTES = 8
MAX_EXPONENT = 15
MAX_TIME_S = (1 << 32) - 1  # a beacon's clock ends after 136 years
_TEMPORARY_KEY_BITS = 16  # of t that the temporary key does not depend on


# Eddystone-EID


def eid_at(ecb: "Ecb", identity_key: bytes, exponent: int, beacon_time_s: int) -> bytes:
    """The 8 bytes that a beacon emits when its own clock is at `beacon_time_s`."""
    return eids(ecb, identity_key, exponent, beacon_time_s >> exponent, 1)[0]


def eids(
    ecb: "Ecb", identity_key: bytes, exponent: int, first_period: int, count: int
) -> "list[bytes]":
    """The EIDs of consecutive periods; period p begins at p * 2**exponent of the beacon's clock.

    One cipher call for all of a run of 65,536 s, and one for its key.
    """
    per_key = 1 << _TEMPORARY_KEY_BITS - exponent
    out: "list[bytes]" = []
    period, end = first_period, first_period + count
    while period < end:
        high = period // per_key
        after = min(end, (high + 1) * per_key)
        blocks = b"".join(
            [
                struct.pack(">QHBBI", 0, 0, 0, exponent, number << exponent)
                for number in range(period, after)
            ]
        )
        temporary_key = ecb(identity_key, bytes(11) + struct.pack(">BHH", 0xFF, 0, high))
        sealed = ecb(temporary_key, blocks)
        out.extend([sealed[at : at + EID_BYTES] for at in range(0, len(sealed), 16)])
        period = after
    return out


def identity_key(
    hmac: "Callable[[bytes, bytes], bytes]",
    agreed: bytes,
    resolver_public: bytes,
    beacon_public: bytes,
) -> bytes:
    """The identity key that beacon and resolver share, 16 bytes.

    HKDF-SHA256 (RFC 5869) of what they agreed on by X25519; salt: both public keys, the resolver's
    first; no info. `hmac(key, message)` as in `wire.suite.Suite`.
    """
    extracted = hmac(resolver_public + beacon_public, agreed)
    return hmac(extracted, b"\1")[:KEY_BYTES]


class BeaconClock:
    """A beacon's own clock, in seconds, which never goes back, whatever happens to its power.

    saved_s      what was saved last, or None for a new beacon
    uptime_s     the reading of a counter that only rises while there is power
    exponent     of its EID
    every        periods for which one save is enough

    It saves ahead: a mark that the clock has not reached. As long as the clock is below the mark
    nothing is written, which is one write in `every` periods; it does not pass the mark before the
    next one is saved. After a loss of power it goes on from the mark. So no period is emitted
    twice; each loss puts the clock ahead by `every` periods at most, and the time without power
    puts it behind. The resolver looks in just these places: a few periods ahead in its table, and
    behind down to the last period that was heard (`eid_table.EidTable`).
    """

    __slots__ = ("_base_s", "_mark_s", "_step_s")

    def __init__(self, saved_s: "int | None", uptime_s: int, exponent: int, every: int = 4) -> None:
        self._mark_s = saved_s or 0
        self._base_s = self._mark_s - uptime_s
        self._step_s = every << exponent

    def due(self, uptime_s: int) -> "int | None":
        """What has to be saved now, or None. To be asked before `time_s`, then told `saved`."""
        if self._base_s + uptime_s < self._mark_s:
            return None
        return min(self._base_s + uptime_s + self._step_s, MAX_TIME_S)

    def saved(self, mark_s: int) -> None:
        """What `due` said is on durable storage."""
        self._mark_s = mark_s

    def time_s(self, uptime_s: int) -> int:
        """The beacon's time; it stands still just below the mark while that cannot be saved."""
        return max(0, min(self._base_s + uptime_s, self._mark_s - 1, MAX_TIME_S))


# Resolvable private addresses


def ah(ecb: "Ecb", key: bytes, prand: bytes) -> bytes:
    """The 3 bytes of hash that belong to 3 random ones under an identity resolving key."""
    return ecb(key, b"\0" * 13 + prand)[13:]


def is_resolvable(address: bytes) -> bool:
    """Whether a random address is of the resolvable kind (6 bytes, as written)."""
    return len(address) == 6 and address[0] >> 6 == 1


def private_address(ecb: "Ecb", key: bytes, random: bytes) -> bytes:
    """A resolvable address of 3 random bytes; their two top bits are set to 01."""
    prand = bytes([random[0] & 0x3F | 0x40]) + random[1:]
    return prand + ah(ecb, key, prand)


def resolve_rpa(ecb: "Ecb", keys: "Iterable[tuple[Name, bytes]]", address: bytes) -> "Name | None":
    """Whose address this is, of (name, identity resolving key); None: nobody's of these."""
    if is_resolvable(address):
        for name, key in keys:
            if ah(ecb, key, address[:3]) == address[3:]:
                return name
    return None
