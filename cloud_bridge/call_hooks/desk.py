"""The desk of POST /calls/hooks/{name}: what a provider posts is checked, kept, and answered.

It knows nothing of sockets. A delivery is answered when what it tells is on disk; when that cannot
be, it is told to come again. With one exception: who asks where to connect a call is told that at
once even then, for a customer waits, and what that delivery said will be said again by the last
event of the call.

Nothing of a delivery is repeated in an answer or a log: it holds numbers and signatures.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from cloud_bridge.call_hooks import answers, signatures
from cloud_bridge.call_hooks.hooks_file import NAME, PATH, Hook
from cloud_bridge.call_hooks.reading import DONE, ROUTE, Line, NotReadableError, Told
from cloud_bridge.call_hooks.signatures import Delivery
from cloud_bridge.clock import Clock
from cloud_bridge.collect_desk import Head, Header
from cloud_bridge.errors import StalledError
from edge_sdk.calls.model import CallEvent

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 65_536
MAX_QUERY_BYTES = 2048
# Providers wait some fifteen seconds for an answer.
ANSWER_S = 10.0
RETRY_AFTER_S = 5
KEY_BYTES = 16

# Why a delivery was refused, as /health counts it.
REFUSALS = (
    *("method", "unknown_hook", "too_long", "encoding", *signatures.REASONS),
    *("unreadable", "invalid", "stalled", "failed"),
)
# What was taken and told nothing that is kept.
PASSED = ("unknown_status", "outgoing", "leg", "none")

Take = Callable[[str, str, bytes, Sequence[CallEvent]], Awaitable[bool]]
Answer = tuple[int, tuple[Header, ...], bytes]

_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class HookPorts:
    """What the desk reaches of the bridge.

    find     the tenant and the hook of a name
    take     takes a site's events under a key; once they are durable, whether they had been taken
             before. Raises StalledError
    counted  what became of deliveries: `taken`, `duplicate`, `events`, `passed.` and why,
             `routed`, `whispered`, `untaken` (routed while nothing could be kept), `refused.` and
             why
    """

    clock: Clock
    find: Callable[[str], tuple[str, Hook] | None]
    take: Take
    counted: Counter[str] = field(default_factory=Counter)


class _Refusal(Exception):
    def __init__(self, status: int, reason: str, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


class HooksDesk:
    """`answer` a request; it returns once what was told is on disk."""

    def __init__(self, ports: HookPorts) -> None:
        self._ports = ports

    async def answer(self, method: str, path: str, query: str, head: Head, body: bytes) -> Answer:
        """Status, headers but for the length, and body. Of the body MAX_BODY_BYTES + 1 suffice."""
        try:
            tenant, hook = self._found(method, path)
            delivery = self._checked(hook, method, query, head, body)
            whispered = _whispered(hook, query)
            if whispered is not None:
                self._ports.counted["whispered"] += 1
                return _said(whispered)
            line = Line(hook.region, self._ports.clock.wall_ms())
            told = hook.provider.read(delivery, line)
            return await self._kept(tenant, hook, told)
        except NotReadableError as error:
            reason = "unreadable" if error.status == 400 else "invalid"
            return self._refused(_Refusal(error.status, reason, str(error)))
        except _Refusal as refusal:
            return self._refused(refusal)

    def _found(self, method: str, path: str) -> tuple[str, Hook]:
        """Raises _Refusal."""
        name = path.removeprefix(PATH)
        found = self._ports.find(name) if NAME.fullmatch(name) else None
        if found is None:
            raise _Refusal(404, "unknown_hook", "there is no such hook")
        if method != "POST":
            raise _Refusal(405, "method", "set the provider to POST", (b"allow", b"POST"))
        return found

    def _checked(self, hook: Hook, method: str, query: str, head: Head, body: bytes) -> Delivery:
        """The delivery, if it is the provider's. Raises _Refusal."""
        if len(body) > MAX_BODY_BYTES or len(query) > MAX_QUERY_BYTES:
            raise _Refusal(413, "too_long", f"a body has at most {MAX_BODY_BYTES} bytes")
        if head.get(b"content-encoding", b"identity").strip().lower() not in {b"", b"identity"}:
            raise _Refusal(415, "encoding", "a body is sent as it is, not compressed")
        url = f"{hook.url}?{query}" if query else hook.url
        delivery = Delivery(method, url, head, body)
        why = signatures.check(hook.secret, delivery, self._ports.clock.wall_ms() / 1000)
        if why is not None:
            raise _Refusal(401, why, "the signature is not right, or too old")
        return delivery

    async def _kept(self, tenant: str, hook: Hook, told: Told) -> Answer:
        """Keep what was told, then answer. Raises _Refusal."""
        counted = self._ports.counted
        route = hook.route(told.number) if told.asks == ROUTE else None
        if told.passed:
            counted[f"passed.{told.passed}"] += 1
        if told.events:
            try:
                async with asyncio.timeout(ANSWER_S):
                    key = key_of(hook.provider.name, told)
                    duplicate = await self._ports.take(tenant, hook.site, key, told.events)
            except (StalledError, TimeoutError):
                if route is None:
                    after = (b"retry-after", b"%d" % RETRY_AFTER_S)
                    raise _Refusal(503, "stalled", "try again", after) from None
                counted["untaken"] += 1
            except Exception:
                log.exception("a delivery to hook %s could not be taken", hook.name)
                raise _Refusal(500, "failed", "it could not be taken") from None
            else:
                counted["duplicate" if duplicate else "taken"] += 1
                counted["events"] += 0 if duplicate else len(told.events)
        if told.asks == ROUTE:
            counted["routed" if route else "unrouted"] += 1
        if told.asks in {ROUTE, DONE}:
            return _said(answers.answer(hook.dialect, route))
        return 200, (_JSON,), b"{}"

    def _refused(self, refusal: _Refusal) -> Answer:
        self._ports.counted[f"refused.{refusal.reason}"] += 1
        body = json.dumps({"error": str(refusal)}).encode()
        return refusal.status, (_JSON, *refusal.headers), body


def key_of(provider: str, told: Told) -> bytes:
    """What two deliveries have in common that tell the same."""
    parts = ("call hook", provider, told.call, told.status, told.sequence)
    name = "\0".join(str(len(part)) + " " + part for part in parts)
    return hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()[:KEY_BYTES]


def _whispered(hook: Hook, query: str) -> answers.Answer | None:
    """What an agent is to hear, where that was asked for: by the URL that the route names."""
    for _, route in hook.routes:
        if route.whisper and query == route.whisper_url.partition("?")[2]:
            return answers.whisper(hook.dialect, route)
    return None


def _said(answer: answers.Answer) -> Answer:
    media_type, body = answer
    return 200, ((b"content-type", media_type.encode()),), body
