"""API keys of POST /collect: which site's a key is, from which web pages it is good, and how much.

A key is a random text that is shown once; what is kept and looked up is its SHA-256. It has 192
random bits, so nothing slower than one hash is needed, and a look-up tells nothing by its time.
"""

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cloud_bridge.errors import KeyRefusedError

PREFIX = "ek_"
ANY = "*"
# An event takes one token. A shop's busiest hour is far below, a runaway script above.
RATE_PER_S = 1000
BURST = 5000
MOST_PER_S = 10_000_000
# Bodies of one key that may wait for the disk together: a fraction of what the bridge lets wait.
MAX_WAITING_OF_ONE = 256

_MAX_ORIGINS = 32
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the registry keeps it: all but the key itself."""

    id: int
    site: str
    digest: bytes = field(repr=False)
    origins: tuple[str, ...]
    rate_per_s: int
    burst: int
    created_ms: int
    revoked: bool


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(24)


def digest_of(key: str) -> bytes:
    """What is kept of a key, and what it is found by."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def checked(site: str, origins: Iterable[str], rate_per_s: int, burst: int) -> tuple[str, ...]:
    """The origins as a browser writes them, if all can be. Raises KeyRefusedError."""
    if not 1 <= len(site) <= 64 or not site.isprintable():
        raise KeyRefusedError("a key's site is 1 to 64 printable characters")
    if not (1 <= rate_per_s <= MOST_PER_S and 1 <= burst <= MOST_PER_S):
        raise KeyRefusedError(f"a key's rate and burst are 1 to {MOST_PER_S} events")
    written = tuple(dict.fromkeys(_origin(origin) for origin in origins))
    if len(written) > _MAX_ORIGINS:
        raise KeyRefusedError(f"a key has at most {_MAX_ORIGINS} origins")
    return written


def _origin(text: str) -> str:
    origin = text.lower().rstrip("/")
    scheme, _, rest = origin.partition("://")
    default = {"https": ":443", "http": ":80"}.get(scheme, "")
    if default and rest.endswith(default):
        origin = origin.removesuffix(default)
    if origin != ANY and not _ORIGIN.fullmatch(origin):
        raise KeyRefusedError("an origin is https://host, https://host:port, or * for any page")
    return origin


class Bucket:
    """Tokens that come back at `rate_per_s`, up to `burst`.

    A request takes one when it is admitted, and its events after the first are charged once it is
    read. That may leave a debt, which the next requests wait for: so a body that is larger than the
    burst passes as well, and over time no more than the rate does.
    """

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: int, burst: int, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at_s = now_s

    def admit(self, now_s: float) -> float:
        """Take a token: 0, or in how many seconds there will be one."""
        tokens = self._tokens + (now_s - self._at_s) * self._rate_per_s
        self._at_s = now_s
        tokens = min(self._burst, tokens)
        if tokens < 1.0:
            self._tokens = tokens
            return (1.0 - tokens) / self._rate_per_s
        self._tokens = tokens - 1.0
        return 0.0

    def charge(self, tokens: int) -> None:
        """Take more of what was admitted."""
        self._tokens -= tokens


class Site:
    """What a live key stands for. `waiting`: how many of its bodies wait for the disk."""

    __slots__ = ("bucket", "key", "origins", "site", "tenant", "waiting")

    def __init__(self, tenant: str, key: ApiKey, now_s: float) -> None:
        self.tenant = tenant
        self.site = key.site
        self.origins = frozenset(key.origins)
        self.bucket = Bucket(key.rate_per_s, key.burst, now_s)
        self.waiting = 0
        self.key = key

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use the key."""
        return origin in self.origins or ANY in self.origins


class KeyRing:
    """All tenants' live keys, by digest; a look-up costs the same however many there are."""

    def __init__(self) -> None:
        self._sites: dict[bytes, Site] = {}
        self._of: dict[str, list[bytes]] = {}
        self._found: dict[str, Site] = {}  # of live keys alone: hashed once, not at each request
        self._origins: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sites)

    def replace(self, tenant: str, keys: Iterable[ApiKey], now_s: float) -> None:
        """Have these keys of a tenant and no others; one that stays as it was keeps its bucket."""
        self._found.clear()
        before = {digest: self._sites.pop(digest) for digest in self._of.pop(tenant, ())}
        live = [key for key in keys if not key.revoked and key.digest not in self._sites]
        for key in live:
            known = before.get(key.digest)
            same = known is not None and known.key == key
            self._sites[key.digest] = known if known and same else Site(tenant, key, now_s)
        if live:
            self._of[tenant] = [key.digest for key in live]
        self._origins = Counter(o for site in self._sites.values() for o in site.origins)

    def find(self, key: str) -> Site | None:
        """What a key stands for, if it is live."""
        site = self._found.get(key)
        if site is None:
            site = self._sites.get(digest_of(key))
            if site is not None:
                self._found[key] = site
        return site

    def allows(self, origin: str) -> bool:
        """Whether any live key may be used by pages of this origin."""
        return origin in self._origins or ANY in self._origins

    def names(self, origin: str) -> bool:
        """Whether a live key names this very origin."""
        return origin in self._origins
