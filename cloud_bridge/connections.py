"""HTTP connections that a slow or endless sender cannot hold: uvicorn's, with bounds on reading.

A request has to be here in full, or have ended, within `READ_S` of its first byte, and a connection
to say something within it; its head and its whole are bounded in bytes. Whoever keeps to that
notices nothing.
"""

import asyncio
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

READ_S = 10
MAX_HEAD_BYTES = 32_768
# More than any endpoint takes: what was refused is still read so far, for its sender to listen.
MAX_REQUEST_BYTES = 1 << 20

_ANSWERS = {
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    413: b"HTTP/1.1 413 Content Too Large\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


class BoundedHttp(HttpToolsProtocol):
    """One connection. `grow_older` is called once a second."""

    # Of the request that is being read; a new connection reads, too.
    _reading = True
    _in_head = True
    _resting = False
    _age_s = 0
    _read_bytes = 0

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._reading:
            self._reading = True
            self._resting = False
            self._age_s = 0
        self._read_bytes += len(data)
        super().data_received(data)
        # Of what came in one piece this is after the fact: a piece is of a bounded size.
        if self._read_bytes > (MAX_HEAD_BYTES if self._in_head else MAX_REQUEST_BYTES):
            self._refuse(431 if self._in_head else 413)

    def on_message_begin(self) -> None:
        """See httptools."""
        self._reading = self._in_head = True
        self._resting = False
        self._age_s = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See httptools."""
        self._reading = False
        self._in_head = True
        self._read_bytes = 0
        super().on_message_complete()

    def grow_older(self) -> None:
        """A second has passed."""
        self._age_s += 1
        if self._reading and self._age_s > READ_S:
            self._refuse(408)
        elif self._resting and self._age_s > self.timeout_keep_alive:
            self.transport.close()

    def rest(self) -> None:
        """An answer was sent, by which uvicorn's own timer is not set: rest, but not for ever."""
        self._resting = True
        self._age_s = 0

    def _refuse(self, status: int) -> None:
        """Say so, unless an answer is under way, and end the connection."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if self._in_head:
            may_say = self._read_bytes > 0 and (cycle is None or cycle.response_complete)
        else:
            may_say = cycle is not None and not cycle.response_started
        if may_say:
            self.transport.write(
                _ANSWERS[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n"
            )
        self.transport.close()


async def age(connections: Callable[[], Iterable[object]], pause_s: float = 1.0) -> None:
    """Let all connections grow older, for ever."""
    while True:
        await asyncio.sleep(pause_s)
        for connection in list(connections()):
            if isinstance(connection, BoundedHttp):
                connection.grow_older()
