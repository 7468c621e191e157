"""Deliveries as providers sign them: the published vectors, and new ones for tests to send."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud_bridge.call_hooks.signatures import FORM, Delivery, Secret, secret

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "call_signatures.json").read_text()
)
FORM_HEAD = {b"content-type": FORM}
JSON_HEAD = {b"content-type": b"application/json"}


@dataclass(frozen=True, slots=True)
class Case:
    """A delivery that is right at `now_s`, and which headers hold its signature."""

    name: str
    secret: Secret
    delivery: Delivery
    now_s: float
    signature: bytes
    signs_body: bool = True
    signs_url: bool = True

    def with_header(self, name: bytes, value: bytes) -> Delivery:
        return replace(self.delivery, head={**self.delivery.head, name: value})


def cases() -> list[Case]:
    """Every vector of the file, and of each scheme without one a delivery made here."""
    return [*_twilio(), *_of_telnyx_and_vonage(), *_of_sinch_and_plivo(), *_others()]


def _twilio() -> list[Case]:
    found = []
    first = VECTORS["twilio"]["vectors"][0]
    for at, row in enumerate(VECTORS["twilio"]["vectors"]):
        body = _form(first["params"])
        head = {**FORM_HEAD, b"x-twilio-signature": row["signature"].encode()}
        delivery = Delivery("POST", row["url"], head, body)
        key = secret("twilio", row["token"])
        found.append(Case(f"twilio-{at}", key, delivery, 0, b"x-twilio-signature"))
    row = VECTORS["twilio_json"]
    head = {**JSON_HEAD, b"x-twilio-signature": row["signature"].encode()}
    delivery = Delivery("POST", row["url"], head, row["body"].encode())
    key = secret("twilio", row["token"])
    return [*found, Case("twilio-json", key, delivery, 0, b"x-twilio-signature")]


def _of_telnyx_and_vonage() -> list[Case]:
    row = VECTORS["telnyx"]
    head = {
        **JSON_HEAD,
        b"telnyx-signature-ed25519": row["signature_b64"].encode(),
        b"telnyx-timestamp": row["timestamp"].encode(),
    }
    url = "https://calls.shop.example/hooks/a"
    telnyx = Delivery("POST", url, head, row["body"].encode())
    key = secret("telnyx", row["public_key_b64"])
    other = VECTORS["vonage"]
    head = {**JSON_HEAD, b"authorization": b"Bearer " + other["jwt"].encode()}
    vonage = Delivery("POST", url, head, other["body"].encode())
    token = secret("vonage", other["secret"])
    now_s = 1_700_000_000.0
    return [
        Case("telnyx", key, telnyx, now_s, b"telnyx-signature-ed25519", signs_url=False),
        Case("vonage", token, vonage, now_s, b"authorization", signs_url=False),
    ]


def _of_sinch_and_plivo() -> list[Case]:
    row = VECTORS["sinch"]
    told = f"application {row['key']}:{row['signature']}".encode()
    head = {
        b"content-type": row["content_type"].encode(),
        b"x-timestamp": row["x-timestamp"].encode(),
        b"authorization": told,
    }
    url = "https://callbacks.yourdomain.com" + row["path"]
    delivery = Delivery(row["method"], url, head, row["body"].encode())
    key = secret("sinch", row["secret_b64"], key=row["key"])
    found = [Case("sinch", key, delivery, 1_411_556_381, b"authorization")]
    row = VECTORS["plivo"]
    head = {
        b"x-plivo-signature-v2": row["signature"].encode(),
        b"x-plivo-signature-v2-nonce": row["nonce"].encode(),
    }
    key = secret("plivo-v2", row["token"])
    delivery = Delivery("POST", row["uri"], head, b"")
    found.append(Case("plivo-v2", key, delivery, 0, b"x-plivo-signature-v2", signs_body=False))
    versions = VECTORS["plivo_v3"]
    key = secret("plivo", versions["token"])
    for at, row in enumerate(versions["vectors"]):
        body = _form(row["params"])
        head = {
            **FORM_HEAD,
            b"x-plivo-signature-v3": row["signature"].encode(),
            b"x-plivo-signature-v3-nonce": versions["nonce"].encode(),
        }
        delivery = Delivery("POST", row["uri"], head, body)
        found.append(Case(f"plivo-{at}", key, delivery, 0, b"x-plivo-signature-v3"))
    return found


def _others() -> list[Case]:
    body = b'{"call": "7", "state": "ringing"}'
    url = "https://calls.shop.example/hooks/a"
    key = secret("hmac-sha256", "made-up", header="X-Signature")
    mac = hmac.digest(b"made-up", body, "sha256")
    found = []
    for form in (mac.hex().encode(), b"sha256=" + mac.hex().encode(), base64.b64encode(mac)):
        delivery = Delivery("POST", url, {**JSON_HEAD, b"x-signature": form}, body)
        name = f"hmac-{len(form)}"
        found.append(Case(name, key, delivery, 0, b"x-signature", signs_url=False))
    key = secret("shared-secret", "made-up", header="X-Secret")
    delivery = Delivery("POST", url, {**JSON_HEAD, b"x-secret": b"made-up"}, body)
    found.append(Case("shared", key, delivery, 0, b"x-secret", signs_body=False, signs_url=False))
    return found


def _form(pairs: list[list[str]]) -> bytes:
    return urlencode([(name, value) for name, value in pairs]).encode()


# New deliveries


def twilio(
    url: str, fields: Mapping[str, str] | Sequence[tuple[str, str]], token: str = "token"
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of one."""
    pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    said = url + "".join(name + value for name, value in sorted(set(pairs)))
    mac = hmac.digest(token.encode(), said.encode(), hashlib.sha1)
    head = {
        "Content-Type": FORM.decode(),
        "X-Twilio-Signature": base64.b64encode(mac).decode(),
    }
    return head, urlencode(pairs).encode()


TELNYX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TELNYX_PUBLIC = base64.b64encode(
    TELNYX_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode()


def telnyx(body: object, now_s: int) -> tuple[dict[str, str], bytes]:
    """The headers and the body of one; a body of bytes is sent as a form."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    mac = TELNYX_KEY.sign(str(now_s).encode() + b"|" + raw)
    media = FORM.decode() if isinstance(body, bytes) else "application/json"
    head = {
        "Content-Type": media,
        "Telnyx-Timestamp": str(now_s),
        "Telnyx-Signature-Ed25519": base64.b64encode(mac).decode(),
    }
    return head, raw
