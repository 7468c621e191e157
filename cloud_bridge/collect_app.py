"""POST /collect over ASGI: from any server to the desk, and its answer back."""

import asyncio

from starlette.types import Receive, Scope, Send

from cloud_bridge.collect import MAX_BODY_BYTES
from cloud_bridge.collect_desk import Answer, Desk


class CollectApp:
    """The ASGI application of this one path."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = dict(scope["headers"])
        looked = self._desk.look_at(scope["method"], head)
        if isinstance(looked, Answer):
            await _send(send, looked)
            return
        raw = await _read(receive)
        if raw is None:
            self._desk.left()
            return
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._desk.take(looked, head, raw, lambda answer: _tell(answered, answer))
        await _send(send, await answered)


def _tell(answered: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not answered.done():  # cancelled, where the server ends
        answered.set_result(answer)


async def _read(receive: Receive) -> bytes | None:
    """The body, or so much of it that it is too long; None: its sender went."""
    body = bytearray()
    more = True
    while more and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _send(send: Send, answer: Answer) -> None:
    headers = list(answer.headers)
    if answer.body:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
