"""`hooks.toml` of a tenant: which providers post to it, by what they are known, where calls go.

    [[hook]]
    name        = "twilio-paris"                # the last part of its URL
    provider    = "twilio"                      # or telnyx, texml, plivo, vonage, sinch
    site        = "paris-1"
    public_url  = "https://calls.shop.example"  # the bridge, as the provider reaches it
    secret_file = "twilio.token"                # or secret_env = "TWILIO_TOKEN"
    region      = "FR"                          # for numbers that come without "+"

    [[hook.route]]
    number  = "+33170180000"                    # left out: of all numbers
    dial    = "sip:desk@pbx.example"

A provider of one's own is `mapping = "file.toml"` in the place of `provider` (mapping.py).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from cloud_bridge.call_hooks import mapping, signatures
from cloud_bridge.call_hooks.answers import DEFAULT_S, LEAST_S, MOST_S, Route
from cloud_bridge.call_hooks.mapping import BUILT_IN, Mapped
from cloud_bridge.call_hooks.reading import Provider
from cloud_bridge.call_hooks.signatures import Secret
from cloud_bridge.call_hooks.telnyx import Telnyx
from cloud_bridge.call_hooks.twilio import Twilio
from edge_sdk import settings_file
from edge_sdk.calls.phone import check_region, number_of
from edge_sdk.errors import ConfigError
from edge_sdk.settings_file import Entry
from edge_sdk.text_file import read_text

FILE_NAME = "hooks.toml"
PATH = "/calls/hooks/"
MAX_HOOKS = 100
MAX_ROUTES = 1000
MAX_SECRET_BYTES = 4096

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_LOCAL = ("127.0.0.1", "localhost", "::1")
# Of providers that are read by code: how they sign, and the dialect that they take.
_CODED: dict[str, tuple[Provider, str, str]] = {
    "twilio": (Twilio(), "twilio", "twilio"),
    "telnyx": (Telnyx(), "telnyx", "telnyx"),
    "texml": (Twilio("telnyx"), "telnyx", "texml"),
}
# In these dialects an answer without a route ends the call.
_CONNECTING = ("twilio", "texml", "plivo")
PROVIDERS = (*_CODED, *BUILT_IN)

Environment = Mapping[str, str]
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Hook:
    """One URL that a provider posts to. `url` is the whole of it, as the provider knows it."""

    name: str
    provider: Provider
    dialect: str
    secret: Secret = field(repr=False)
    site: str
    url: str
    region: str | None = None
    routes: tuple[tuple[str | None, Route], ...] = ()
    doubts: tuple[str, ...] = ()

    def route(self, number: str) -> Route | None:
        """Where calls to this number of ours go; None: the file does not say."""
        for ours, route in self.routes:
            if ours is None or ours == number:
                return route
        return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a file says, and the files that it is made of, to look at for changes."""

    hooks: tuple[Hook, ...] = ()
    files: tuple[Path, ...] = ()


def read_hooks(path: Path, environment: Environment = os.environ) -> Hooks:
    """The hooks of a file. Raises ConfigError, which names entry and key and no secret."""
    top = settings_file.read(path)
    rows = top.rows("hook")
    if len(rows) > MAX_HOOKS:
        raise top.fault("hook", f"entries are {MAX_HOOKS} at most")
    reader = _Reader(path.parent, environment)
    hooks: dict[str, Hook] = {}
    for row in rows:
        hook = reader.hook(row)
        if hook.name in hooks:
            raise row.fault("name", f"{hook.name!r} has another hook; each has its own")
        hooks[hook.name] = hook
    top.end()
    return Hooks(tuple(hooks.values()), (path, *reader.files))


class _Reader:
    """Reads entries; remembers which other files they name."""

    def __init__(self, home: Path, environment: Environment) -> None:
        self.files: list[Path] = []
        self._home = home
        self._environment = environment
        self._doubts: list[str] = []

    def hook(self, row: Entry) -> Hook:
        name = row.text("name")
        if not NAME.fullmatch(name):
            raise row.fault("name", "is 1 to 32 of a-z, 0-9 and hyphens within")
        row.where += f" ({name!r})"
        self._doubts = []
        provider, scheme, dialect = self._provider(row)
        site = row.text("site")
        if len(site) > 64 or not site.isprintable():
            raise row.fault("site", "is 1 to 64 printable characters")
        url = _public_url(row) + PATH + name
        secret = self._secret(row, scheme)
        region = row.text("region", "") or None
        _told(row, "region", lambda: check_region(region))
        row.value("route")
        row.end()  # before the routes: a region that is misspelt would be told of them
        routes = _routes(row, url, region)
        if url.startswith("http:"):
            self._doubts.append("public_url is not https: whoever listens reads callers' numbers")
        if scheme in {"plivo-v2", "shared-secret"}:
            self._doubts.append(f"{scheme} signs no body: the number in it could be anybody's")
        if dialect in _CONNECTING and not any(number is None for number, _ in routes):
            which = "calls to other numbers" if routes else "calls"
            self._doubts.append(f"no route: {which} that ask it where to go are ended")
        doubts = tuple(self._doubts)
        return Hook(name, provider, dialect, secret, site, url, region, routes, doubts)

    def _provider(self, row: Entry) -> tuple[Provider, str, str]:
        """Who reads its deliveries, the scheme of its signatures, the dialect of instructions."""
        if row.has("mapping") == row.has("provider"):
            raise ConfigError(f"{row.where}: has `provider`, or `mapping`: a file that says it")
        if row.has("mapping"):
            path = self._home / row.text("mapping")
            self.files.append(path)
            mapped: Mapped = mapping.read_mapping(path)
        else:
            name = row.text("provider")
            if name in _CODED:
                return _CODED[name]
            if name not in BUILT_IN:
                raise row.fault("provider", f"is one of {', '.join(PROVIDERS)}")
            mapped = mapping.built_in(name)
        return mapped, mapped.signature, mapped.dialect

    def _secret(self, row: Entry, scheme: str) -> Secret:
        if row.has("secret"):
            raise row.fault("secret", "does not stand in this file: secret_file or secret_env")
        if row.has("secret_file") == row.has("secret_env"):
            raise ConfigError(f"{row.where}: has secret_file, or secret_env: where its secret is")
        if row.has("secret_file"):
            path = self._home / row.text("secret_file")
            self.files.append(path)
            text = read_text(path, "secret", MAX_SECRET_BYTES)
            if os.name == "posix" and path.stat().st_mode & 0o077:
                self._doubts.append(f"{path.name} can be read by others: chmod 600")
        else:
            key = row.text("secret_env")
            text = self._environment.get(key, "")
            if not text:
                raise row.fault("secret_env", f"names {key}, which the environment does not have")
        names = {key: row.text(key) for key in ("key", "header", "query") if row.has(key)}
        return _told(row, "secret", lambda: signatures.secret(scheme, text, **names))


def _public_url(row: Entry) -> str:
    text = row.text("public_url").rstrip("/")
    try:
        parts = urlsplit(text)
        local = parts.hostname in _LOCAL
        right = parts.scheme == "https" or (parts.scheme == "http" and local)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        right = right and plain and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if not right or not text.isascii() or any(letter.isspace() for letter in text):
        raise row.fault("public_url", "is https://host, with a path before ours if there is one")
    return text


def _routes(row: Entry, url: str, region: str | None) -> tuple[tuple[str | None, Route], ...]:
    if not row.has("route"):
        return ()
    entries = row.rows("route")
    if len(entries) > MAX_ROUTES:
        raise row.fault("route", f"entries are {MAX_ROUTES} at most")
    routes = [_route(entry, f"{url}?whisper={at}", url, region) for at, entry in enumerate(entries)]
    numbers = [number for number, _ in routes]
    if len(set(numbers)) != len(numbers):
        raise row.fault("route", "names one number twice")
    # What holds for all numbers is the last to be asked, wherever it stands.
    return tuple(sorted(routes, key=lambda pair: pair[0] is None))


def _route(
    entry: Entry, whisper_url: str, status_url: str, region: str | None
) -> tuple[str | None, Route]:
    number: str | None = None
    if entry.has("number"):
        number = number_of(entry.text("number"), region)
        if number is None:
            raise entry.fault("number", "is one of ours, as +33170180000")
    target = entry.text("dial")
    if not target.startswith(("sip:", "sips:")):
        target = number_of(target, region) or ""
    timeout_s = round(entry.number("timeout_s", LEAST_S, MOST_S, DEFAULT_S))
    whisper = entry.text("whisper") if entry.has("whisper") else ""
    language = entry.text("language", "en-GB")
    entry.end()
    route = _told(entry, "route", lambda: Route(target, timeout_s, whisper, language))
    return number, replace(route, whisper_url=whisper_url, status_url=status_url)


def _told(row: Entry, key: str, made: Callable[[], _Made]) -> _Made:
    """What is made; a fault in it names the entry."""
    try:
        return made()
    except ConfigError as error:
        raise ConfigError(f"{row.where}: {key}: {error}") from None
