"""The desk of /numbers: a page, a kiosk or a poster is lent a telephone number.

Answered from memory, once it is on disk. Where nothing can be kept now, or no number is free, the
pool's fallback is told: a page always has a number to show. It knows nothing of sockets.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from cloud_bridge.clock import Clock
from cloud_bridge.collect_desk import Head, Header, key_in
from cloud_bridge.errors import StalledError
from cloud_bridge.keys import ANY, KeyRing, Site
from cloud_bridge.numbers_file import PoolSpec
from cloud_bridge.peppers import Peppers
from edge_sdk.calls.phone import forms_of
from edge_sdk.numbers.lease import CHANNEL, KINDS, PLACE, SESSION
from edge_sdk.numbers.ledger_rows import ENDED_LEASE, NONE_FREE, Done

PATH: Final = "/numbers/"
MAX_BODY_BYTES: Final = 2048
# Pages give up after a second and a half, and show what they have.
ANSWER_S: Final = 1.2
HEARTBEAT_S: Final = 60
RETRY_AFTER_S: Final = 5

_JSON: Final = (b"content-type", b"application/json")
_NO_STORE: Final = (b"cache-control", b"no-store")
_VARY: Final = (b"vary", b"Origin")
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
    (b"access-control-max-age", b"7200"),
)

_SCHEMES: Final = {PLACE: ("kiosk", "place"), CHANNEL: ("channel",)}
_SHARED: Final = ("kiosk", "place", "channel")

Answer = tuple[int, tuple[Header, ...], bytes]


class LeaseAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A body of POST /numbers/lease.

    `session` is who is to have the number: "cookie:...", for a place "kiosk:NAME" or "place:NAME",
    for a channel "channel:NAME".
    """

    session: Annotated[str, Meta(max_length=128, pattern="^[a-z0-9]+:.")]
    pool: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    kind: str = SESSION
    intent: Annotated[float, Meta(ge=0, le=1)] | None = None


class LeaseNamed(msgspec.Struct, forbid_unknown_fields=True):
    """A body of POST /numbers/heartbeat and /numbers/release."""

    lease: Annotated[str, Meta(min_length=1, max_length=96)]


_asked = msgspec.json.Decoder(LeaseAsked)
_named = msgspec.json.Decoder(LeaseNamed)
_INVALID: Final = "the body is not as described in /docs"


@dataclass(frozen=True, slots=True)
class NumbersPorts:
    """What the desk reaches of the bridge.

    lend   a tenant's number for what was asked at a site, once it is on disk. Raises StalledError
    tell   heartbeat ("heartbeat") or release ("release") of a lease of one of these kinds; None:
           there is none such
    marks  a tenant's peppers: a page gets the id of its lease with a mark, and names it so
    pool   the pool of that name, or the first; None: there is none
    """

    clock: Clock
    keys: KeyRing
    look: Callable[[], None]
    lend: Callable[[str, str, LeaseAsked, PoolSpec], Awaitable[Done | None]]
    tell: Callable[[str, str, str, Sequence[str]], Awaitable[Done | None]]
    marks: Callable[[str], Peppers]
    pool: Callable[[str, str | None], PoolSpec | None]
    counted: Counter[str] = field(default_factory=Counter)


class _Refusal(Exception):
    def __init__(self, status: int, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class NumbersDesk:
    """`answer` a request; it returns once what was asked is on disk."""

    def __init__(self, ports: NumbersPorts) -> None:
        self._ports = ports

    async def answer(self, method: str, path: str, head: Head, raw: bytes) -> Answer:
        """Status, headers but the length, body."""
        try:
            if method == "OPTIONS":
                return self._preflight(head)
            doing = path.removeprefix(PATH)
            if doing not in ("lease", "heartbeat", "release"):
                raise _Refusal(404, "there is nothing here")
            if method != "POST":
                raise _Refusal(405, "POST to it", (b"allow", b"POST, OPTIONS"))
            if len(raw) > MAX_BODY_BYTES:
                raise _Refusal(413, f"a body has at most {MAX_BODY_BYTES} bytes")
            site = self._admitted(head)
            said = await (
                self._lend(site, raw) if doing == "lease" else self._tell(site, doing, raw)
            )
        except _Refusal as refusal:
            self._ports.counted[f"refused.{refusal.status}"] += 1
            body = msgspec.json.encode({"error": str(refusal)})
            return refusal.status, (_JSON, *refusal.headers, *self._cors(head)), body
        status, content, *headers = said
        return status, (_JSON, _NO_STORE, *headers, *self._cors(head)), msgspec.json.encode(content)

    async def _lend(self, site: Site, raw: bytes) -> tuple[Any, ...]:
        try:
            asked = _asked.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Refusal(422, _INVALID) from None
        if asked.kind not in KINDS:
            raise _Refusal(422, f"kind: one of {', '.join(KINDS)}")
        if asked.kind != SESSION and site.origins:
            raise _Refusal(403, "a key that web pages may use lends to sessions alone")
        # A place or a channel is stored as it is named: nobody's identifier may be among them.
        scheme = asked.session.partition(":")[0]
        if scheme not in _SCHEMES.get(asked.kind, (scheme,)) or (
            asked.kind == SESSION and scheme in _SHARED
        ):
            raise _Refusal(422, "session: its scheme is not one of this kind")
        ports = self._ports
        spec = ports.pool(site.tenant, asked.pool)
        if spec is None:
            raise _Refusal(404, "there is no such pool: see numbers.toml")
        try:
            async with asyncio.timeout(ANSWER_S):
                done = await ports.lend(site.tenant, site.site, asked, spec)
        except (StalledError, TimeoutError):
            done = None
        if done is None:
            ports.counted["stalled"] += 1
            retry = (b"retry-after", b"%d" % RETRY_AFTER_S)
            return 503, {"error": "try again", **_shown(spec.fallback, spec)}, retry
        if done.refused and done.refused != NONE_FREE:
            raise _Refusal(422, done.refused)
        ports.counted["fallback" if done.lease is None else "lent"] += 1
        said = _shown(done.number or spec.fallback, spec)
        if done.lease is not None:
            shown = ports.marks(site.tenant).shown(done.lease.id)
            said |= {"lease": shown, "until_ms": done.lease.until_ms, "fallback": False}
        return 200, said

    async def _tell(self, site: Site, doing: str, raw: bytes) -> tuple[Any, ...]:
        try:
            shown = _named.decode(raw).lease
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Refusal(422, _INVALID) from None
        lease = self._ports.marks(site.tenant).lease_of(shown)
        if lease is None:
            raise _Refusal(404, "no such lease")
        kinds = (SESSION,) if site.origins else KINDS
        try:
            async with asyncio.timeout(ANSWER_S):
                done = await self._ports.tell(site.tenant, doing, lease, kinds)
        except (StalledError, TimeoutError):
            retry = (b"retry-after", b"%d" % RETRY_AFTER_S)
            raise _Refusal(503, "try again", retry) from None
        if done is None or done.lease is None:
            raise _Refusal(404, "no such lease")
        if done.refused == ENDED_LEASE:
            raise _Refusal(410, "the lease has ended: ask for a number again")
        return 200, {"lease": shown, "until_ms": done.lease.until_ms}

    def _admitted(self, head: Head) -> Site:
        ports = self._ports
        key = key_in(head)
        site = ports.keys.find(key) if key else None
        if site is None and key:
            ports.look()
            site = ports.keys.find(key)
        if site is None:
            raise _Refusal(401, "an API key is needed: Authorization: Bearer KEY")
        if b"origin" in head and not site.allows(head[b"origin"].decode("latin-1")):
            raise _Refusal(403, "this key is not for pages of this origin")
        wait_s = site.bucket.admit(ports.clock.steady_s())
        if wait_s > 0:
            after = (b"retry-after", b"%d" % math.ceil(wait_s))
            raise _Refusal(429, "too many for this key; come again", after)
        return site

    def _preflight(self, head: Head) -> Answer:
        if b"origin" not in head:
            return 204, ((b"allow", b"POST, OPTIONS"),), b""
        self._ports.look()
        if not self._ports.keys.allows(head[b"origin"].decode("latin-1")):
            raise _Refusal(403, "no key is for pages of this origin")
        return 204, (*_PREFLIGHT, *self._cors(head)), b""

    def _cors(self, head: Head) -> tuple[Header, ...]:
        origin = head.get(b"origin")
        if origin is None:
            return ()
        keys = self._ports.keys
        if keys.names(origin.decode("latin-1")):
            return (_VARY, (b"access-control-allow-origin", origin))
        if keys.allows(ANY):
            return (_VARY, (b"access-control-allow-origin", ANY.encode()))
        return (_VARY,)


def _shown(number: str, spec: PoolSpec) -> dict[str, object]:
    """A number without a lease."""
    forms = forms_of(number, spec.region)
    return {
        "lease": None,
        "number": {
            "e164": forms.e164,
            "national": forms.national,
            "international": forms.international,
            "tel": forms.tel,
        },
        "until_ms": None,
        "heartbeat_s": HEARTBEAT_S,
        "fallback": True,
    }
