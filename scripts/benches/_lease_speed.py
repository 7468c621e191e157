"""What a lease costs a pool with many live ones, without a disk."""

import time

from edge_sdk.numbers.allocation import Allocation
from edge_sdk.numbers.pool import Pool

LIVE = 20_000
SPARE = 2_000
LENDS = 5_000


def speed(live: int = LIVE) -> dict[str, float]:
    """Processor time, in microseconds: to lend, beat and release; and to restore all, in ms."""
    pool = Pool("web", Allocation((), split=True))
    pool.add((f"+331{n:08d}" for n in range(live + SPARE)), 0)
    for n in range(live):
        pool.lend(f"cookie:{n}", n)
    began = time.process_time()
    leases = [pool.lend(f"cookie:new-{n}", live + n).lease for n in range(SPARE)]
    lent = time.process_time()
    ids = [lease.id for lease in leases if lease is not None]
    for n in range(LENDS):
        pool.heartbeat(ids[n % len(ids)], live + SPARE + n)
    beaten = time.process_time()
    for id_ in ids:
        pool.release(id_, live + SPARE + LENDS)
    released = time.process_time()
    rows = pool.rows()
    dumped = time.process_time()
    Pool.restored("web", Allocation((), split=True), rows)
    return {
        "live": live,
        "lend_us": round((lent - began) * 1e6 / SPARE, 1),
        "heartbeat_us": round((beaten - lent) * 1e6 / LENDS, 1),
        "release_us": round((released - beaten) * 1e6 / SPARE, 1),
        "restore_ms": round((time.process_time() - dumped) * 1e3, 1),
    }
