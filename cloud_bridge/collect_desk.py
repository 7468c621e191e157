"""The desk of POST /collect: who may, from where, how much; what is answered, once all is on disk.

It knows nothing of sockets: it is given heads and bodies, and replies when it can. So the usual way
to it (collect_app.py) and the short one (hot_http.py) say the same.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from cloud_bridge.clock import Clock
from cloud_bridge.collect import MAX_BODY_BYTES, key_of, parse
from cloud_bridge.errors import CollectError, StalledError
from cloud_bridge.keys import ANY, MAX_WAITING_OF_ONE, KeyRing, Site
from cloud_bridge.turn import Collected

log = logging.getLogger(__name__)

PATH = "/collect"
# A commit takes a millisecond; whoever waits so long is better told to come again.
ANSWER_S = 10.0
RETRY_AFTER_S = 5
# Browsers keep what a preflight said for two hours at most.
PREFLIGHT_MAX_AGE_S = 7200

# Why a request was refused, as /health counts it.
REASONS = (
    *("method", "encoding", "no_key", "origin", "rate", "too_many_waiting", "too_long"),
    *("not_json", "invalid", "stalled", "failed", "disconnected"),
)

Header = tuple[bytes, bytes]
Head = Mapping[bytes, bytes]

_JSON = (b"content-type", b"application/json")
_VARY = (b"vary", b"Origin")
_EXPOSED = (b"access-control-expose-headers", b"Retry-After")
_ALLOW = (b"allow", b"POST, OPTIONS")
_PREFLIGHT = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
    (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_S).encode()),
)
_NO_KEY = "an API key is needed: Authorization: Bearer KEY"
_TOO_LONG = f"a body has at most {MAX_BODY_BYTES} bytes"


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


class Answer:
    """What is sent back; its headers are all but the length."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: tuple[Header, ...]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


class _Refusal(Exception):
    """Why a request gets nothing but this."""

    def __init__(self, status: int, reason: str, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


class Desk:
    """`look_at` a head; unless that is answered at once, `take` the body that follows."""

    def __init__(self, ports: CollectPorts) -> None:
        self._ports = ports
        self._waiting: dict[_Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def look_at(self, method: str, head: Head) -> "Answer | Site | None":
        """An answer, or whose key the head names; None: the body may name one."""
        try:
            if method != "POST":
                return self._other(method, head)
            _check_form(head)
            key = key_in(head)
            return None if key is None else self._admitted(key, head)
        except _Refusal as refusal:
            return self._refused(refusal, head)

    def take(
        self, site: Site | None, head: Head, raw: bytes, reply: Callable[[Answer], None]
    ) -> None:
        """Take what a head was looked at for; `reply` is called once, now or later."""
        try:
            if len(raw) > MAX_BODY_BYTES:
                raise _Refusal(413, "too_long", _TOO_LONG)
            if site is None:
                site = self._admitted(key_of(raw), head)
            ports = self._ports
            collected = parse(raw, site.site, ports.clock.wall_ms())
            events = len(collected.touchpoints)
            site.bucket.charge(events - 1)
            if site.waiting >= MAX_WAITING_OF_ONE:
                after = (b"retry-after", b"1")
                raise _Refusal(429, "too_many_waiting", "too many at once for this key", after)
            done = asyncio.ensure_future(ports.collect(site.tenant, collected))
        except _Refusal as refusal:
            reply(self._refused(refusal, head))
        except CollectError as error:
            reason = "not_json" if error.status == 400 else "invalid"
            reply(self._refused(_Refusal(error.status, reason, str(error)), head))
        except StalledError:
            reply(self._refused(_stalled(), head))
        else:
            site.waiting += 1
            waiting = _Waiting(self, site, head, events, reply)
            self._wait(waiting)
            done.add_done_callback(waiting.settled)

    def left(self) -> None:
        """Its sender went before it was here in full."""
        self._ports.counted["refused.disconnected"] += 1

    # The head

    def _admitted(self, key: str | None, head: Head) -> Site:
        """Raises _Refusal."""
        ports = self._ports
        site = ports.keys.find(key) if key else None
        if site is None and key:
            ports.look()
            site = ports.keys.find(key)
        if site is None:
            raise _Refusal(401, "no_key", _NO_KEY, (b"www-authenticate", b"Bearer"))
        if b"origin" in head and not site.allows(head[b"origin"].decode("latin-1")):
            raise _Refusal(403, "origin", "this key is not for pages of this origin")
        wait_s = site.bucket.admit(ports.clock.steady_s())
        if wait_s > 0:
            after = (b"retry-after", b"%d" % math.ceil(wait_s))
            raise _Refusal(429, "rate", "too many events for this key; come again", after)
        return site

    def _other(self, method: str, head: Head) -> Answer:
        """A browser's question before it posts, or what nobody should ask. Raises _Refusal."""
        if method != "OPTIONS":
            raise _Refusal(405, "method", "POST to it", _ALLOW)
        if b"origin" not in head or b"access-control-request-method" not in head:
            return Answer(204, b"", (_ALLOW,))
        self._ports.look()
        if not self._ports.keys.allows(head[b"origin"].decode("latin-1")):
            raise _Refusal(403, "origin", "no key is for pages of this origin")
        return Answer(204, b"", _PREFLIGHT + self._cors(head))

    # The answer

    def _wait(self, waiting: "_Waiting") -> None:
        loop = asyncio.get_running_loop()
        self._waiting[waiting] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(ANSWER_S / 4, self._lose_patience, loop)

    def _lose_patience(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all: nobody waits for longer than ANSWER_S and a quarter."""
        before_s = loop.time() - ANSWER_S
        overdue = [waiting for waiting, since_s in self._waiting.items() if since_s <= before_s]
        for waiting in overdue:
            self.tell(waiting, None)
        more = bool(self._waiting)
        self._timer = loop.call_later(ANSWER_S / 4, self._lose_patience, loop) if more else None

    def tell(self, waiting: "_Waiting", duplicate: "bool | _Refusal | None") -> None:
        """Answer who waits; None: it takes too long."""
        if self._waiting.pop(waiting, None) is None:
            return  # it has been told
        waiting.site.waiting -= 1
        if not isinstance(duplicate, bool):
            waiting.reply(self._refused(duplicate or _stalled(), waiting.head))
            return
        counted = self._ports.counted
        if duplicate:
            counted["duplicate"] += 1
        else:
            counted["accepted"] += 1
            counted["events"] += waiting.events
        said = b"true" if duplicate else b"false"
        body = b'{"accepted":%d,"duplicate":%s}' % (waiting.events, said)
        waiting.reply(Answer(202, body, (_JSON, *self._cors(waiting.head))))

    def _refused(self, refusal: _Refusal, head: Head) -> Answer:
        self._ports.counted[f"refused.{refusal.reason}"] += 1
        body = msgspec.json.encode({"error": str(refusal)})
        told = self._cors(head)
        if refusal.reason == "origin":
            told = told[:1]
        return Answer(refusal.status, body, (_JSON, *refusal.headers, *told))

    def _cors(self, head: Head) -> tuple[Header, ...]:
        """What lets a page read the answer, if any live key is for pages of its origin."""
        origin = head.get(b"origin")
        if origin is None:
            return ()
        keys = self._ports.keys
        if keys.names(origin.decode("latin-1")):
            allowed = origin
        elif keys.allows(ANY):  # such an origin may be any bytes: it is not repeated
            allowed = ANY.encode()
        else:
            return (_VARY,)
        return (_VARY, (b"access-control-allow-origin", allowed), _EXPOSED)


class _Waiting:
    """A body on its way to the disk."""

    __slots__ = ("_desk", "events", "head", "reply", "site")

    def __init__(
        self, desk: Desk, site: Site, head: Head, events: int, reply: Callable[[Answer], None]
    ) -> None:
        self._desk = desk
        self.site = site
        self.head = head
        self.events = events
        self.reply = reply

    def settled(self, done: "asyncio.Future[bool]") -> None:
        """It is there, or will not be."""
        error = None if done.cancelled() else done.exception()
        if error is None and not done.cancelled():
            self._desk.tell(self, done.result())
        elif error is None or isinstance(error, StalledError):
            self._desk.tell(self, None)
        else:
            log.error("a body could not be taken", exc_info=error)
            self._desk.tell(self, _Refusal(500, "failed", "it could not be taken"))


def _stalled() -> _Refusal:
    return _Refusal(503, "stalled", "try again", (b"retry-after", b"%d" % RETRY_AFTER_S))


def _check_form(head: Head) -> None:
    """Refuse what need not be read. Raises _Refusal."""
    encoding = head.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        accepted = (b"accept-encoding", b"identity")
        raise _Refusal(415, "encoding", "a body is sent as it is, not compressed", accepted)
    length = head.get(b"content-length", b"")
    if length.isdigit() and (len(length) > 10 or int(length) > MAX_BODY_BYTES):
        raise _Refusal(413, "too_long", _TOO_LONG)


def key_in(head: Head) -> str | None:
    """The API key that a head names."""
    scheme, _, key = head.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        key = head.get(b"x-api-key", b"")
    return key.strip().decode("latin-1") or None
