"""The device of `scripts/bench backfill` that has a backlog, as a process of its own.

    python -m benches._backlog BROKER TOUCHPOINTS PIECES SEED

Its enrolment token is the first line of its input. It seals everything, says "ready", and sends a
piece at each line more, with the window that a courier has for bulk. Once the bridge holds the
piece it prints a line of JSON: touchpoints, batches, seconds.
"""

import asyncio
import json
import sys
import time

from benches._line import Line
from benches._people import Crowd
from benches._sender import Sender
from benches._stage import guarded
from benches._traffic import Shape, Traffic, batches_of, touchpoints_of
from edge_sdk.courier import BULK_WINDOW

AN_HOUR_MS = 3_600_000
PATIENCE_S = 60.0
STRANGERS = 1 << 20  # the first of a crowd that no shopper of the bench belongs to
CROWD = 10_000


async def main(broker: str, touchpoints: int, pieces: int, seed: int) -> int:
    """Until everything is sent, or the input ends."""
    line = Line(sys.stdin.readline().strip(), "s")
    traffic = Traffic([line], Crowd(CROWD, seed, STRANGERS), seed)
    async with Sender(broker, [line], BULK_WINDOW) as sender:
        await sender.introduce([line], PATIENCE_S)
        loads = [
            traffic.turn(touchpoints // pieces, Shape(ago_ms=AN_HOUR_MS)) for _ in range(pieces)
        ]
        print("ready", flush=True)
        for load in loads:
            if not await asyncio.to_thread(sys.stdin.readline):
                break
            began_s = time.monotonic()
            sender.push(line, load[0][1])
            await sender.drained([line], PATIENCE_S)
            told = touchpoints_of(load), batches_of(load), time.monotonic() - began_s
            print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    _broker, *_numbers = sys.argv[1:]
    _touchpoints, _pieces, _seed = map(int, _numbers)
    sys.exit(guarded("backlog", lambda: asyncio.run(main(_broker, _touchpoints, _pieces, _seed))))
