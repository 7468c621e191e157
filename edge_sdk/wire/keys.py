"""Keys that only move forward: from a device's chain to one key a batch, and no way back.

    CK_0    = HMAC(tenant | 0 | site, secret)             at enrolment (HKDF-Extract, RFC 5869)
    CK_e+1  = HMAC(CK_e, "chain")                         written before epoch e is used
    BK_e,0  = HMAC(CK_e, "epoch")                         in memory only, like all below
    RK_e,j  = HMAC(BK_e,j, 1), BK_e,j+1 = HMAC(BK_e,j, 2) a run of 256 batches
    MK      = HMAC(RK, 1)[:16], RK' = HMAC(RK, 2)         one batch
    DK_e    = HMAC(CK_e, "down")
    MK_down = HMAC(HMAC(DK_e, incarnation), seq)[:16]     one message of one start of the bridge

Runs let a receiver skip n batches in n / 256 + 256 steps, not n: a forged sequence number is
cheap to refuse (docs/decisions/0017-runs-of-256.md). docs/wire.md, "Keys".
"""

import struct

TYPE_CHECKING = False  # a board has no `typing`
if TYPE_CHECKING:
    from .suite import Suite

RUN = 256
MAX_SEQ = 65_535  # an epoch ends here: no skip within it is longer than 512 steps
MAX_EPOCH = (1 << 32) - 1

UP, DOWN = 0, 1
INCARNATION_BYTES = 8


def root_key(suite: "Suite", tenant: str, site: str, secret: bytes) -> bytes:
    """CK_0 of a newly enrolled device. `secret`: 32 random bytes, used once and destroyed."""
    return suite.hmac(tenant.encode() + b"\0" + site.encode(), secret)


def next_chain_key(suite: "Suite", chain_key: bytes) -> bytes:
    """CK_e+1 from CK_e."""
    return suite.hmac(chain_key, b"chain")


def down_key(suite: "Suite", chain_key: bytes) -> bytes:
    """DK_e: what both sides keep of an epoch to read and write the way down."""
    return suite.hmac(chain_key, b"down")


def down_message_key(suite: "Suite", incarnation_key: bytes, seq: int) -> bytes:
    """Key of one message down, from HMAC(DK_e, incarnation)."""
    return suite.hmac(incarnation_key, struct.pack(">I", seq))[:16]


def nonce(direction: int, epoch: int, seq: int) -> bytes:
    """13 bytes, never sent: direction 1 | epoch 4 | seq 4 | 0 4."""
    return struct.pack(">BIII", direction, epoch, seq, 0)


class Ratchet:
    """Key of batch `seq` of an epoch, and of every later one; never of an earlier one."""

    __slots__ = ("_block", "_run", "seq", "suite")

    def __init__(self, suite: "Suite", seq: int, run_key: bytes, block_key: bytes) -> None:
        self.suite = suite
        self.seq = seq
        self._run = run_key  # RK at seq
        self._block = block_key  # BK of the next run

    @classmethod
    def of_epoch(cls, suite: "Suite", chain_key: bytes) -> "Ratchet":
        """Ratchet at batch 0 of the epoch whose chain key this is."""
        first = suite.hmac(chain_key, b"epoch")
        return cls(suite, 0, suite.hmac(first, b"\1"), suite.hmac(first, b"\2"))

    @classmethod
    def restored(cls, suite: "Suite", state: bytes) -> "Ratchet":
        """Ratchet from `state()`: seq 4 | run key 32 | block key 32."""
        return cls(suite, struct.unpack(">I", state[:4])[0], state[4:36], state[36:68])

    def state(self) -> bytes:
        return struct.pack(">I", self.seq) + self._run + self._block

    def message_key(self) -> bytes:
        return self.suite.hmac(self._run, b"\1")[:16]

    def at(self, seq: int) -> "Ratchet":
        """A new ratchet at `seq`, which must not lie behind. This one stays where it is."""
        suite, run, block, here = self.suite, self._run, self._block, self.seq
        if seq < here:
            raise ValueError("keys only move forward")
        while here // RUN < seq // RUN:
            run, block = suite.hmac(block, b"\1"), suite.hmac(block, b"\2")
            here = (here // RUN + 1) * RUN
        while here < seq:
            run = suite.hmac(run, b"\2")
            here += 1
        return Ratchet(suite, seq, run, block)
