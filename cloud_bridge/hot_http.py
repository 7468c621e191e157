"""The short way to the desk: uvicorn's connection, but for a plain POST /collect.

Of what a request costs, most is a task, a scope and two writes that this one needs none of. So the
plain case (HTTP/1.1, a length, nothing else under way on its connection) goes from the parser to
the desk and back by one call each; everything else takes the usual way and is answered alike.
"""

import logging
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from cloud_bridge.collect import MAX_BODY_BYTES
from cloud_bridge.collect_desk import PATH, Answer, Desk
from cloud_bridge.connections import BoundedHttp
from cloud_bridge.keys import Site

log = logging.getLogger(__name__)

# The parser that called would take it for its sender's fault.
_FAILED = "a request failed"
_URL = PATH.encode()
_STATUS = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}


def speaking_to(desk: Desk) -> type[BoundedHttp]:
    """The class of connections that know this desk."""
    openings: dict[int, tuple[list[tuple[bytes, bytes]], bytes]] = {}

    class Http(HotHttp):
        _desk = desk
        _openings = openings

    return Http


class HotHttp(BoundedHttp):
    """One connection. `_hot` is the plain request that is being read."""

    _desk: Desk
    # Of each status: what its answers begin with, and the list that this was made from.
    _openings: dict[int, tuple[list[tuple[bytes, bytes]], bytes]]
    _hot: "_Exchange | None" = None

    def on_message_begin(self) -> None:
        """See httptools. What only the usual way needs is made there."""
        self._reading = self._in_head = True
        self._resting = False
        self._age_s = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        head = dict(self.headers)
        if self.url != _URL or not self._is_plain(head):
            self._go_the_usual_way()
            return
        self._in_head = False
        self._hot = exchange = _Exchange(self, head)
        self.cycle = exchange  # type: ignore[assignment]  # all that uvicorn asks of one, it knows
        try:
            looked = self._desk.look_at("POST", head)
        except Exception:
            log.exception(_FAILED)
            exchange.response_complete = True
            self.transport.close()
        else:
            if isinstance(looked, Answer):
                exchange.reply(looked)
            else:
                exchange.site = looked

    def _is_plain(self, head: dict[bytes, bytes]) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        length = head.get(b"content-length", b"")
        return (
            (cycle is None or cycle.response_complete)
            # A long or endless body is read with the care that a stream needs.
            and length.isdigit()
            and len(length) <= 5
            and int(length) <= MAX_BODY_BYTES
            and b"expect" not in head
            and b"upgrade" not in head
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and self.parser.get_http_version() == "1.1"
            and len(self.connections) < (self.limit_concurrency or 1 << 30)
        )

    def _go_the_usual_way(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if self._hot is None:
            super().on_body(body)
        elif not self._hot.response_complete:
            self._hot.body.append(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        exchange = self._hot
        super().on_message_complete()
        self._hot = None
        if exchange is not None and not exchange.response_complete:
            raw = exchange.body[0] if len(exchange.body) == 1 else b"".join(exchange.body)
            try:
                self._desk.take(exchange.site, exchange.head, raw, exchange.reply)
            except Exception:
                log.exception(_FAILED)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._hot is not None and not self._hot.response_complete:
            self._desk.left()
        super().connection_lost(exc)

    def send_answer(self, exchange: "_Exchange", answer: Answer) -> None:
        """Write it in one piece, and go on with what the connection has next."""
        if exchange.disconnected or self.transport.is_closing():
            exchange.response_complete = True
            return
        parts = [self._opening(answer.status)]
        for name, value in answer.headers:
            parts += (name, b": ", value, b"\r\n")
        if not exchange.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"content-length: %d\r\n\r\n" % len(answer.body))
        parts.append(answer.body)
        self.transport.write(b"".join(parts))
        exchange.response_started = exchange.response_complete = True
        if not exchange.keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.rest()

    def _opening(self, status: int) -> bytes:
        """Status and date; the date's list is another one each second."""
        dated = self.server_state.default_headers
        opening = self._openings.get(status)
        if opening is None or opening[0] is not dated:
            lines = [name + b": " + value + b"\r\n" for name, value in dated]
            opening = self._openings[status] = dated, b"".join([_STATUS[status], *lines])
        return opening[1]


class _Exchange:
    """A plain request and its answer, in the place of uvicorn's cycle."""

    __slots__ = (
        *("_connection", "body", "disconnected", "head", "keep_alive", "more_body"),
        *("response_complete", "response_started", "site"),
    )

    def __init__(self, connection: HotHttp, head: dict[bytes, bytes]) -> None:
        self._connection = connection
        self.head = head
        self.site: Site | None = None
        self.body: list[bytes] = []
        self.disconnected = False
        self.keep_alive = self.more_body = True
        self.response_started = False
        self.response_complete = False

    @property
    def message_event(self) -> "_Exchange":
        """What uvicorn sets where somebody waits for more; here nobody does."""
        return self

    def set(self) -> None:
        """See `message_event`."""

    def reply(self, answer: Answer) -> None:
        """Send the answer."""
        self._connection.send_answer(self, answer)
