"""POST /numbers/lease: how long a page waits for its number, beside a commit of one row.

A real bridge with many live leases, and one client on a kept connection, so that nobody shares a
commit. In turns it asks for a number for a new session, and posts one event to /collect, which is
an endpoint of the same server that commits one row: the floor. (That one waits 4 ms for company, as
nobody stands before it.)
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from benches._report import add_arguments, publish
from benches._shop import SCRIPTS
from simulators.bridge_process import BridgeProcess

SITE = "web"
POOL = """
[[pool]]
name = "web"
region = "FR"
fallback = "+33199000000"
numbers = ["+33180000000..{last}"]
split = true
"""
_FILLING = 16  # connections


class Client:
    """One kept connection with a key."""

    def __init__(self, url: str, key: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port)
        self._head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def post(self, path: str, body: object) -> tuple[float, int, dict[str, object]]:
        """Seconds, status, what was answered."""
        raw = json.dumps(body).encode()
        began_s = time.perf_counter()
        self._connection.request("POST", path, raw, self._head)
        answer = self._connection.getresponse()
        said = answer.read()
        return time.perf_counter() - began_s, answer.status, json.loads(said)


def main(argv: Sequence[str]) -> int:
    """Measure in turns; 0 when every session got a number of its own."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench lease",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--leases", type=int, default=20_000, metavar="N", help="live; 20,000")
    parser.add_argument("--requests", type=int, default=2000, metavar="N", help="of each; 2,000")
    add_arguments(parser)
    args = parser.parse_args(argv)
    build = SCRIPTS.parent / "build"  # a real disk, where a temporary folder may be memory
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lease-", dir=build) as folder:
        home = Path(folder)
        (home / "bench").mkdir(mode=0o700)
        last = args.leases + args.requests - 1
        (home / "bench" / "numbers.toml").write_text(POOL.format(last=f"{last:06}"))
        with BridgeProcess(home, tenant="bench") as bridge:
            key = bridge.key(SITE)
            _fill(bridge.http, key, args.leases)
            with Client(bridge.http, key) as client:
                took, numbers = _measured(client, args)
    return _tell(took, numbers, args)


def _fill(url: str, key: str, leases: int) -> None:
    def some(first: int) -> None:
        with Client(url, key) as client:
            for n in range(first, leases, _FILLING):
                while client.post("/numbers/lease", {"session": f"cookie:{n}"})[1] != 200:
                    time.sleep(0.1)  # the pool is not read yet

    with ThreadPoolExecutor(_FILLING) as crew:
        list(crew.map(some, range(_FILLING)))


def _measured(client: Client, args: argparse.Namespace) -> tuple[dict[str, list[float]], int]:
    took: dict[str, list[float]] = {"lease": [], "floor": []}
    numbers = set()
    for n in range(args.requests):
        session = f"cookie:new-{args.seed}-{n}"
        event = {"type": "page.view", "page": "/rugs"}
        one_row = {"session": session, "id": str(n), "events": [event]}
        asked = ("lease", "/numbers/lease", {"session": session}), ("floor", "/collect", one_row)
        for what, path, body in asked if n % 2 else reversed(asked):
            spent_s, status, said = client.post(path, body)
            if status in (200, 202):
                took[what].append(1000 * spent_s)
            if what == "lease" and said.get("lease"):
                numbers.add(json.dumps(said["number"]))
    return took, len(numbers)


def _tell(took: dict[str, list[float]], numbers: int, args: argparse.Namespace) -> int:
    lease, floor = sorted(took["lease"]), sorted(took["floor"])
    keys = {
        "p50_ms": lease[len(lease) // 2],
        "p99_ms": lease[len(lease) * 99 // 100],
        "floor_p50_ms": floor[len(floor) // 2],
        "floor_p99_ms": floor[len(floor) * 99 // 100],
        "live_leases": args.leases,
        "requests": args.requests,
        "lent": numbers,
    }
    keys["p99_times_floor"] = keys["p99_ms"] / keys["floor_p99_ms"]
    rows = [
        ("p50, ms", keys["p50_ms"], f"{keys['floor_p50_ms']:.3g} for a commit of one row"),
        ("p99, ms", keys["p99_ms"], f"{keys['floor_p99_ms']:.3g} for a commit of one row"),
        ("p99, times the floor", keys["p99_times_floor"], f"{args.leases:,} live leases"),
        ("numbers lent", numbers, f"to {args.requests:,} sessions"),
    ]
    publish("lease", rows, keys, args)
    return 0 if numbers == args.requests else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
