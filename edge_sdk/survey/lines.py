"""Readings as lines of JSON, from a pipe or a file: for radios that another program hears."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

_MAX_WAITING = 4096


class Line(NamedTuple):
    """A reading; see `session.Reading`."""

    receiver: str
    beacon: str
    rssi_dbm: int


class Lines:
    """`async for` of the readings in a text; lines that are none are counted in `refused`.

    A line is {"receiver": NAME, "beacon": "SCHEME:VALUE", "rssi_dbm": N}, and is heard when it is
    read. What is read faster than it is taken waits; beyond 4,096 lines the reading waits.
    """

    def __init__(self, path: Path) -> None:
        self.refused = 0
        self._path = path

    async def __aiter__(self) -> AsyncIterator[Line]:
        """Raises ConfigError where the file cannot be read."""
        text = self._opened()
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[str | None] = asyncio.Queue()
        room = threading.BoundedSemaphore(_MAX_WAITING)

        def read() -> None:
            with suppress(RuntimeError):  # the loop has ended; so do we
                try:
                    for line in text:
                        room.acquire()
                        loop.call_soon_threadsafe(waiting.put_nowait, line)
                except (OSError, ValueError):
                    log.warning("the readings cannot be read any further")
                finally:
                    if text is not sys.stdin:
                        text.close()
                    loop.call_soon_threadsafe(waiting.put_nowait, None)

        # Not a task's thread: a pipe that says nothing must not keep the program from ending.
        threading.Thread(target=read, name="survey lines", daemon=True).start()
        while (line := await waiting.get()) is not None:
            room.release()
            reading = parsed(line)
            if reading is not None:
                yield reading
            elif line.strip():
                self.refused += 1

    def _opened(self) -> TextIO:
        if str(self._path) == "-":
            return sys.stdin
        try:
            return self._path.open(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read ({error.strerror})") from None


def parsed(line: str) -> Line | None:
    """The reading in a line; None: there is none."""
    try:
        told = json.loads(line)
        receiver, beacon, rssi_dbm = told["receiver"], told["beacon"], told["rssi_dbm"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(receiver) is type(beacon) is str and type(rssi_dbm) is int:
        return Line(receiver, beacon, rssi_dbm)
    return None
