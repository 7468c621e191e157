"""Server-sent events of the bridge, read without a library: a stream that is begun again for ever.

HTTP/1.0 is spoken on purpose: then nothing is chunked, and a line of the answer is a line of the
stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from edge_sdk.errors import ConfigError

log = logging.getLogger(__name__)

# The bridge says every 15 s that it is still there.
_SILENT_S = 40.0
_CONNECT_S = 10.0
_LONGEST_PAUSE_S = 30.0
_MOST_LINE = 1 << 20


class EventStream:
    """`async for data in EventStream("https://bridge/numbers/leases", key)`: JSON, for ever.

    What is no JSON is passed over. `connected` says whether it is being read; after each loss None
    comes first, for whoever keeps what the stream said.
    """

    def __init__(self, url: str, key: str, first_pause_s: float = 0.5) -> None:
        """Raises ConfigError for an address that is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("the bridge's address is http://host:port or https://host")
        self.connected = False
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._key = key
        self._first_pause_s = first_pause_s

    async def __aiter__(self) -> AsyncIterator[Any]:
        pause_s = self._first_pause_s
        while True:
            try:
                async for data in self._once():
                    pause_s = self._first_pause_s
                    yield data
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                log.info("the stream %s is not read: %s", self._path, str(error) or "time-out")
            self.connected = False
            yield None
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _once(self) -> AsyncIterator[Any]:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, limit=_MOST_LINE
            )
        try:
            head = (
                f"GET {self._path} HTTP/1.0\r\nHost: {self._host}\r\n"
                f"Authorization: Bearer {self._key}\r\nAccept: text/event-stream\r\n\r\n"
            )
            writer.write(head.encode())
            status = (await _line(reader)).split(b" ")
            if len(status) < 2 or status[1] != b"200":
                raise ValueError(f"the bridge answers {status[1:2] or 'nothing'}")
            while await _line(reader):
                pass
            self.connected = True
            while True:
                line = await _line(reader, is_stream=True)
                if line.startswith(b"data: "):
                    try:
                        yield json.loads(line[6:])
                    except ValueError:
                        continue
        finally:
            writer.close()


async def _line(reader: asyncio.StreamReader, *, is_stream: bool = False) -> bytes:
    async with asyncio.timeout(_SILENT_S if is_stream else _CONNECT_S):
        line = await reader.readline()
    if not line:
        raise ValueError("the stream has ended")
    return line.rstrip(b"\r\n")
