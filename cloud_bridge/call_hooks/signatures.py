"""Whether a delivery is from the provider it claims to be: one pure check for each scheme.

All of what was received is signed over, never a list of known fields: providers add parameters
without notice. Signatures are compared as the text they were sent as, in constant time, so that a
text that decodes to the same bytes is refused as well. A check says why it refuses, with one of
REASONS, and repeats nothing of what was sent.

Where a scheme signs the time, a delivery of more than WINDOW_S ago, or so far ahead, is refused.
The others (Twilio, Plivo, a shared secret) can be sent again by whoever recorded one; that is
harmless, because the same delivery is taken once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_sdk.errors import ConfigError

WINDOW_S = 300
MAX_FIELDS = 512
# A header may carry the signatures of several tokens; nobody has more.
_MOST_SIGNATURES = 8

NO_SIGNATURE, WRONG, STALE = "no_signature", "signature", "stale"
REASONS = (NO_SIGNATURE, WRONG, STALE)

FORM = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came.

    url   as the provider knows it: its own host and path, with the query as it came
    head  names in small letters
    """

    method: str
    url: str = field(repr=False)
    head: Mapping[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def query(self) -> str:
        return self.url.partition("?")[2]

    @property
    def media_type(self) -> bytes:
        return self.head.get(b"content-type", b"").partition(b";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Secret:
    """How a hook's deliveries are checked. Make it with `secret`.

    key     the public name that Sinch sends beside a signature
    header  where the signature of `hmac-sha256`, or a `shared-secret`, stands
    query   the parameter of the URL where a `shared-secret` stands instead
    """

    scheme: str
    value: bytes = field(repr=False)
    key: str = field(default="", repr=False)
    header: str = ""
    query: str = ""


Check = Callable[[Secret, Delivery, float], str | None]


def check(secret: Secret, delivery: Delivery, now_s: float) -> str | None:
    """None: it is the provider's; else why not, one of REASONS."""
    return _CHECKS[secret.scheme](secret, delivery, now_s)


def secret(scheme: str, text: str, *, key: str = "", header: str = "", query: str = "") -> Secret:
    """What to check by. `text` is as the provider shows it. Raises ConfigError, without it."""
    if scheme not in SCHEMES:
        raise ConfigError(f"a signature's scheme is one of {', '.join(SCHEMES)}")
    text = text.strip()
    if not text:
        raise ConfigError("the secret is empty")
    value = text.encode()
    if scheme in {"telnyx", "sinch"}:
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"the secret of {scheme} is base64, as its portal shows it") from None
    if scheme == "telnyx" and len(value) != 32:
        raise ConfigError("the secret of telnyx is the public key of its portal: 32 bytes, base64")
    if scheme == "sinch" and not key:
        raise ConfigError("sinch needs `key`, the application key")
    if scheme == "hmac-sha256" and not header:
        raise ConfigError("hmac-sha256 needs `header`, the name of the signature's header")
    if scheme == "shared-secret" and bool(header) == bool(query):
        raise ConfigError("shared-secret needs `header` or `query`: where the secret stands")
    return Secret(scheme, value, key, header, query)


def form_of(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form, in its order; None where it is none."""
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return None


# Twilio: base64(HMAC-SHA1(token, url + each name and value, sorted and once)).

_AUTHORITY = re.compile(r"(https?)://([^/?#:@\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(?=[/?]|$)")
_PORTS = {"https": ":443", "http": ":80"}


def _twilio(secret: Secret, delivery: Delivery, _now_s: float) -> str | None:
    told = delivery.head.get(b"x-twilio-signature")
    if not told:
        return NO_SIGNATURE
    fields: list[tuple[str, str]] | None = []
    due = _query(delivery, "bodySHA256")
    if due is not None and not _same(hashlib.sha256(delivery.body).hexdigest(), due):
        return WRONG
    if delivery.media_type == FORM:
        fields = form_of(delivery.body)
    elif due is None and delivery.body:
        return WRONG  # nothing signs it
    if fields is None:
        return WRONG
    said = "".join(name + value for name, value in sorted(set(fields)))
    signed = [_hmac("sha1", secret.value, url + said) for url in _with_and_without_port(delivery)]
    return _verdict(told, signed)


def _with_and_without_port(delivery: Delivery) -> list[str]:
    """Twilio signs a URL with its port or without, whichever was entered."""
    match = _AUTHORITY.match(delivery.url)
    if match is None:
        return [delivery.url]
    scheme, host, port = match.groups()
    rest = delivery.url[match.end() :]
    return [f"{scheme}://{host}{rest}", f"{scheme}://{host}{port or _PORTS[scheme]}{rest}"]


# Telnyx: Ed25519 over timestamp + "|" + body, by a key of which we have the public half.


def _telnyx(secret: Secret, delivery: Delivery, now_s: float) -> str | None:
    told = delivery.head.get(b"telnyx-signature-ed25519")
    at = delivery.head.get(b"telnyx-timestamp")
    if not told or not at:
        return NO_SIGNATURE
    try:
        signature = base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        return WRONG
    if base64.b64encode(signature) != told or not at.isdigit() or len(at) > 12:
        return WRONG
    try:
        key = Ed25519PublicKey.from_public_bytes(secret.value)
        key.verify(signature, at + b"|" + delivery.body)
    except (InvalidSignature, ValueError):
        return WRONG
    return _fresh(int(at), now_s)


# Vonage: a JWT (HS256) as bearer, whose claim `payload_hash` is hex(SHA-256(body)).


def _vonage(secret: Secret, delivery: Delivery, now_s: float) -> str | None:
    bearer, _, token = delivery.head.get(b"authorization", b"").partition(b" ")
    if bearer.lower() != b"bearer" or not token:
        return NO_SIGNATURE
    signed, dot, told = token.rpartition(b".")
    mac = hmac.digest(secret.value, signed, "sha256")
    if not dot or not _same(base64.urlsafe_b64encode(mac).rstrip(b"="), told):
        return WRONG
    try:
        header, claims = (_json_of(part) for part in signed.split(b"."))
        if header["alg"] != "HS256":
            return WRONG
        at_s, due = claims["iat"], claims["payload_hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return WRONG
    if not isinstance(at_s, int) or not 0 <= at_s < 1 << 40 or not isinstance(due, str):
        return WRONG
    if not _same(hashlib.sha256(delivery.body).hexdigest(), due):
        return WRONG
    return _fresh(at_s, now_s)


def _json_of(part: bytes) -> dict[str, object]:
    """Raises ValueError."""
    padded = part + b"=" * (-len(part) % 4)
    found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


# Sinch: base64(HMAC-SHA256(secret, method, body's MD5, type, timestamp and path, a line each)).


def _sinch(secret: Secret, delivery: Delivery, now_s: float) -> str | None:
    said = delivery.head.get(b"authorization", b"")
    at = delivery.head.get(b"x-timestamp", b"")
    _scheme, _, told = said.partition(b" ")
    key, colon, signature = told.partition(b":")
    if not colon or not at:
        return NO_SIGNATURE
    md5 = hashlib.md5(delivery.body, usedforsecurity=False).digest()
    parts = urlsplit(delivery.url)
    lines = [
        delivery.method.encode(),
        base64.b64encode(md5) if delivery.body else b"",
        delivery.head.get(b"content-type", b""),
        b"x-timestamp:" + at,
        (parts.path + (f"?{parts.query}" if parts.query else "")).encode(),
    ]
    is_right = _same(_hmac("sha256", secret.value, b"\n".join(lines)), signature)
    if not (is_right and _same(secret.key, key)):
        return WRONG
    try:
        when = datetime.fromisoformat(at.decode("ascii"))
    except ValueError:
        return WRONG
    return _fresh(when.timestamp(), now_s) if when.tzinfo else WRONG


# Plivo. V3: base64(HMAC-SHA256(token, url?sorted query.sorted fields.nonce)). V2 signs no body.


def _plivo(secret: Secret, delivery: Delivery, _now_s: float) -> str | None:
    told, nonce = _plivo_head(delivery, "v3")
    if not told or not nonce:
        return NO_SIGNATURE
    fields = form_of(delivery.body) if delivery.media_type == FORM else []
    asked = _asked(delivery)
    if fields is None or asked is None or (delivery.body and not fields):
        return WRONG
    query = "&".join(f"{name}={value}" for name, value in sorted(asked))
    said = delivery.url.partition("?")[0]
    if query or fields:
        said += "?" + query
    if query and fields:
        said += "."
    said += "".join(name + value for name, value in sorted(fields))
    signed = _hmac("sha256", secret.value, f"{said}.".encode() + nonce)
    return _verdict(signed, told)


def _plivo_v2(secret: Secret, delivery: Delivery, _now_s: float) -> str | None:
    told, nonce = _plivo_head(delivery, "v2")
    if not told or not nonce:
        return NO_SIGNATURE
    signed = _hmac("sha256", secret.value, delivery.url.partition("?")[0].encode() + nonce)
    return _verdict(signed, told)


def _plivo_head(delivery: Delivery, version: str) -> tuple[list[bytes], bytes]:
    """The signatures: those by the account's token, and by its main account's; and the nonce."""
    names = [f"x-plivo-signature-{version}", f"x-plivo-signature-ma-{version}"]
    told = b",".join(filter(None, (delivery.head.get(name.encode()) for name in names)))
    nonce = delivery.head.get(f"x-plivo-signature-{version}-nonce".encode(), b"")
    return [one for one in told.split(b",")[:_MOST_SIGNATURES] if one], nonce


# For providers without a scheme of their own.


def _hmac_sha256(secret: Secret, delivery: Delivery, _now_s: float) -> str | None:
    told = delivery.head.get(secret.header.lower().encode())
    if not told:
        return NO_SIGNATURE
    mac = hmac.digest(secret.value, delivery.body, "sha256")
    forms = (mac.hex().encode(), mac.hex().upper().encode(), base64.b64encode(mac))
    told = told.removeprefix(b"sha256=")
    return _verdict(told, forms)


def _shared_secret(secret: Secret, delivery: Delivery, _now_s: float) -> str | None:
    told: bytes | str | None
    if secret.header:
        told = delivery.head.get(secret.header.lower().encode())
    else:
        told = _query(delivery, secret.query)
    return _verdict(secret.value, [_bytes(told)]) if told else NO_SIGNATURE


_CHECKS: dict[str, Check] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "vonage": _vonage,
    "sinch": _sinch,
    "plivo": _plivo,
    "plivo-v2": _plivo_v2,
    "hmac-sha256": _hmac_sha256,
    "shared-secret": _shared_secret,
}
SCHEMES = tuple(_CHECKS)


def _hmac(digest: str, key: bytes, said: str | bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, _bytes(said), digest))


def _same(one: str | bytes, other: str | bytes) -> bool:
    """In constant time."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")


def _verdict(one: bytes, others: Iterable[bytes]) -> str | None:
    """None if it is one of them; all are looked at, whichever it is."""
    is_right = False
    for other in others:
        is_right |= _same(one, other)
    return None if is_right else WRONG


def _fresh(at_s: float, now_s: float) -> str | None:
    return None if abs(now_s - at_s) <= WINDOW_S else STALE


def _asked(delivery: Delivery) -> list[tuple[str, str]] | None:
    return form_of(delivery.query.encode("utf-8", "replace"))


def _query(delivery: Delivery, name: str) -> str | None:
    """A parameter of the URL; the first, where there are several."""
    return next((value for key, value in _asked(delivery) or () if key == name), None)
