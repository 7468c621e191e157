"""A bridge's pool and a store's sub-pool that talk to each other, message by message."""

from edge_sdk.adapters.ed25519 import SigningKey, VerifyingKey
from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.blocks import Reply, Report
from edge_sdk.numbers.ledger_rows import Done
from edge_sdk.numbers.pool import Pool
from edge_sdk.numbers.sub_pool import SubPool
from edge_sdk.numbers.terms import Terms

TERMS = Terms(
    minimum_ms=1_000, keep_alive_ms=400, place_ms=5_000, grace_ms=100, cool_ms=200,
    rest_ms=50_000, remember_ms=20_000, remembered=4,
)  # fmt: skip
FALLBACK = "+33999999999"
NUMBERS = [f"+3316000000{n}" for n in range(6)]
LASTS_MS = 10_000
KEY = SigningKey(bytes(range(32)))
PUBLIC = VerifyingKey(KEY.public_key)


def bridge() -> Pool:
    pool = Pool("web", Allocation((), split=False), tenant="acme", terms=TERMS, fallback=FALLBACK)
    pool.add(NUMBERS, 0)
    return pool


def store(incarnation: str = "file-1", site: str = "paris-1") -> SubPool:
    free = Allocation((), split=False)
    return SubPool(free, tenant="acme", site=site, pool="web", incarnation=incarnation)


def reported(sub_pool: SubPool, now_ms: int, wants: int = 0) -> bytes:
    _, report = sub_pool.report(now_ms, wants=wants)
    assert report is not None
    return report.encode()


def answered(
    pool: Pool, message: bytes, now_ms: int, *, site: str = "paris-1", at_most: int = 0
) -> tuple[Done, bytes]:
    done, reply = pool.reconcile(
        site, Report.decode(message), now_ms, at_most=at_most, lasts_ms=LASTS_MS
    )
    assert reply is not None
    return done, reply.encode(KEY)


def received(sub_pool: SubPool, reply: bytes, now_ms: int) -> Done:
    return sub_pool.receive(Reply.verify(reply, PUBLIC), now_ms)


def talk(pool: Pool, sub_pool: SubPool, now_ms: int, wants: int = 0) -> Done:
    """One report and its reply; what the store made of it."""
    message = reported(sub_pool, now_ms, wants)
    _, reply = answered(pool, message, now_ms, site=sub_pool.site, at_most=wants)
    return received(sub_pool, reply, now_ms)
