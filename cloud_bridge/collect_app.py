"""POST /collect over ASGI: who may, from where, how much; the answer comes when all is on disk.

It stands before the framework that serves the rest, because it is the one hot endpoint: a request
costs one look-up, one decoding and one wait.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from starlette.types import Message, Receive, Scope, Send

from cloud_bridge.clock import Clock
from cloud_bridge.collect import MAX_BODY_BYTES, key_of, parse
from cloud_bridge.errors import CollectError, StalledError
from cloud_bridge.keys import ANY, MAX_WAITING_OF_ONE, KeyRing, Site
from cloud_bridge.turn import Collected

PATH = "/collect"
# A commit takes a millisecond; whoever waits so long is better told to come again.
ANSWER_S = 10.0
RETRY_AFTER_S = 5
# Browsers keep what a preflight said for two hours at most.
PREFLIGHT_MAX_AGE_S = 7200

# Why a request was refused, as /health counts it.
REASONS = (
    *("method", "encoding", "no_key", "origin", "rate", "too_many_waiting", "too_long"),
    *("not_json", "invalid", "stalled", "disconnected"),
)

_Headers = list[tuple[bytes, bytes]]
_JSON = (b"content-type", b"application/json")
_VARY = (b"vary", b"Origin")
_EXPOSED = (b"access-control-expose-headers", b"Retry-After")
_ALLOW = (b"allow", b"POST, OPTIONS")
_PREFLIGHT: _Headers = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
    (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_S).encode()),
]


@dataclass(frozen=True, slots=True)
class CollectPorts:
    """What the endpoint reaches of the bridge.

    collect  takes a tenant's body; once it is durable, whether it had been collected before. Raises
             StalledError
    look     brings the ring up to date, when a key is not on it
    counted  what became of requests: `accepted`, `duplicate`, `events`, `refused.` and a reason
    """

    clock: Clock
    keys: KeyRing
    collect: Callable[[str, Collected], Awaitable[bool]]
    look: Callable[[], None] = lambda: None
    counted: Counter[str] = field(default_factory=Counter)


class _Refusal(Exception):
    """Why a request gets nothing but this."""

    def __init__(self, status: int, reason: str, message: str, *headers: tuple[bytes, bytes]):
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


_NO_KEY = "an API key is needed: Authorization: Bearer KEY"
_TOO_LONG = f"a body has at most {MAX_BODY_BYTES} bytes"


class CollectApp:
    """The ASGI application of this one path."""

    def __init__(self, ports: CollectPorts) -> None:
        self._ports = ports
        self._patience = _Patience(ANSWER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        origin = headers[b"origin"].decode("latin-1") if b"origin" in headers else None
        counted = self._ports.counted
        try:
            if scope["method"] != "POST":
                await self._other(scope["method"], headers, origin, send)
                return
            site, collected, duplicate = await self._posted(headers, origin, receive)
        except _Refusal as refusal:
            counted[f"refused.{refusal.reason}"] += 1
            if refusal.reason != "disconnected":
                answer = {"error": str(refusal)}
                told = [*refusal.headers, *self._cors(origin, None)]
                await _send(send, refusal.status, msgspec.json.encode(answer), told)
            return
        count = len(collected.touchpoints)
        counted["duplicate" if duplicate else "accepted"] += 1
        counted["events"] += 0 if duplicate else count
        body = b'{"accepted":%d,"duplicate":%s}' % (count, b"true" if duplicate else b"false")
        await _send(send, 202, body, self._cors(origin, site) if origin else ())

    async def _posted(
        self, headers: Mapping[bytes, bytes], origin: str | None, receive: Receive
    ) -> tuple[Site, Collected, bool]:
        """Raises _Refusal."""
        ports = self._ports
        _check_form(headers)
        raw = None
        key = _key_in(headers)
        if key is None:
            raw = await _read(receive)
            key = key_of(raw)
        site = self._site(key)
        if origin is not None and not site.allows(origin):
            raise _Refusal(403, "origin", "this key is not for pages of this origin")
        wait_s = site.bucket.admit(ports.clock.steady_s())
        if wait_s > 0:
            after = (b"retry-after", b"%d" % math.ceil(wait_s))
            raise _Refusal(429, "rate", "too many events for this key; come again", after)
        if site.waiting >= MAX_WAITING_OF_ONE:
            after = (b"retry-after", b"1")
            raise _Refusal(429, "too_many_waiting", "too many at once for this key", after)
        site.waiting += 1
        try:
            if raw is None:
                raw = await _read(receive)
            collected = parse(raw, site.site, ports.clock.wall_ms())
            site.bucket.charge(len(collected.touchpoints) - 1)
            duplicate = await self._patience.wait(ports.collect(site.tenant, collected))
        except CollectError as error:
            reason = "not_json" if error.status == 400 else "invalid"
            raise _Refusal(error.status, reason, str(error)) from None
        except (StalledError, TimeoutError):
            after = (b"retry-after", b"%d" % RETRY_AFTER_S)
            raise _Refusal(503, "stalled", "try again", after) from None
        finally:
            site.waiting -= 1
        return site, collected, duplicate

    def _site(self, key: str | None) -> Site:
        site = self._ports.keys.find(key) if key else None
        if site is None and key:
            self._ports.look()
            site = self._ports.keys.find(key)
        if site is None:
            raise _Refusal(401, "no_key", _NO_KEY, (b"www-authenticate", b"Bearer"))
        return site

    async def _other(
        self, method: str, headers: Mapping[bytes, bytes], origin: str | None, send: Send
    ) -> None:
        """A browser's question before it posts, or what nobody should ask. Raises _Refusal."""
        if method != "OPTIONS":
            raise _Refusal(405, "method", "POST to it", _ALLOW)
        if origin is None or b"access-control-request-method" not in headers:
            await _send(send, 204, b"", [_ALLOW])
            return
        self._ports.look()
        if not self._ports.keys.allows(origin):
            raise _Refusal(403, "origin", "no key is for pages of this origin")
        await _send(send, 204, b"", [*_PREFLIGHT, *self._cors(origin, None)])

    def _cors(self, origin: str | None, site: Site | None) -> _Headers:
        """What lets a page of an allowed origin read the answer; of the ring, where no site is."""
        if origin is None:
            return []
        allows = self._ports.keys.allows if site is None else site.allows
        if not allows(origin):
            return [_VARY]
        # An origin that is allowed by `*` may be any bytes: it is not repeated.
        named = self._ports.keys.names(origin)
        allowed = origin if named else ANY
        return [_VARY, (b"access-control-allow-origin", allowed.encode("latin-1")), _EXPOSED]


class _Patience:
    """Waits for no longer than `most_s`, to a quarter more: one timer for all who wait."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._since_s: dict[asyncio.Task[object], float] = {}
        self._over: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, wanted: Awaitable[bool]) -> bool:
        """Its result. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._since_s[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._most_s / 4, self._look, loop)
        try:
            return await wanted
        except asyncio.CancelledError:
            if task in self._over and task.uncancel() <= 0:
                raise TimeoutError from None
            raise
        finally:
            del self._since_s[task]
            self._over.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        before_s = loop.time() - self._most_s
        for task, since_s in self._since_s.items():  # the oldest first
            if since_s > before_s:
                break
            if task not in self._over:
                self._over.add(task)
                task.cancel()
        if self._since_s:
            self._timer = loop.call_later(self._most_s / 4, self._look, loop)


def _check_form(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what need not be read. Raises _Refusal."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        accepted = (b"accept-encoding", b"identity")
        raise _Refusal(415, "encoding", "a body is sent as it is, not compressed", accepted)
    length = headers.get(b"content-length", b"")
    if length.isdigit() and (len(length) > 10 or int(length) > MAX_BODY_BYTES):
        raise _Refusal(413, "too_long", _TOO_LONG)


def _key_in(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        key = headers.get(b"x-api-key", b"")
    return key.strip().decode("latin-1") or None


async def _read(receive: Receive) -> bytes:
    """The body, refused as soon as it is too long. Raises _Refusal."""
    message = await receive()
    body: bytes = _part(message)
    if message.get("more_body"):
        parts = bytearray(body)
        while message.get("more_body") and len(parts) <= MAX_BODY_BYTES:
            message = await receive()
            parts += _part(message)
        body = bytes(parts)
    if len(body) > MAX_BODY_BYTES:
        raise _Refusal(413, "too_long", _TOO_LONG)
    return body


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise _Refusal(400, "disconnected", "")
    part: bytes = message.get("body", b"")
    return part


async def _send(send: Send, status: int, body: bytes, headers: "_Headers | tuple[()]" = ()) -> None:
    length = (b"content-length", b"%d" % len(body))
    sent = [_JSON, length, *headers] if body else [*headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
