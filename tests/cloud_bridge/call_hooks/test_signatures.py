import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.call_hooks.signatures import (
    FORM,
    NO_SIGNATURE,
    REASONS,
    SCHEMES,
    STALE,
    WINDOW_S,
    WRONG,
    Delivery,
    check,
    form_of,
    secret,
)
from edge_sdk.errors import ConfigError
from tests.cloud_bridge.call_hooks.signed import FORM_HEAD, JSON_HEAD, VECTORS, Case, cases

CASES = cases()


def of(chosen: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", chosen, ids=[case.name for case in chosen])


each = of(CASES)


def refused(case: Case, delivery: Delivery) -> None:
    assert check(case.secret, delivery, case.now_s) in REASONS


def bytes_changed(text: bytes, alternatives: range = range(1, 256)) -> list[bytes]:
    """The text with one byte changed, at every place, to every other value."""
    return [
        text[:at] + bytes([text[at] ^ flip]) + text[at + 1 :]
        for at in range(len(text))
        for flip in alternatives
    ]


def test_every_scheme_has_a_case() -> None:
    assert {case.secret.scheme for case in CASES} == set(SCHEMES)


@each
def test_every_vector_is_accepted(case: Case) -> None:
    assert check(case.secret, case.delivery, case.now_s) is None


@each
def test_no_byte_of_a_signature_can_be_changed(case: Case) -> None:
    told = case.delivery.head[case.signature]
    signature = told.rpartition(b" ")[2]
    before = told[: len(told) - len(signature)]
    for changed in bytes_changed(signature, range(1, 256, 1 if len(signature) < 100 else 16)):
        refused(case, case.with_header(case.signature, before + changed))
    for end in range(len(told)):
        refused(case, case.with_header(case.signature, told[:end]))
    refused(case, case.with_header(case.signature, told + b"="))
    refused(case, replace(case.delivery, head={}))


@of([case for case in CASES if case.signs_body])
def test_no_byte_of_a_body_can_be_changed(case: Case) -> None:
    body = case.delivery.body
    is_form = case.delivery.head.get(b"content-type") == FORM
    tried = 0
    for changed in bytes_changed(body, range(1, 256, 8)):
        # %2b is %2B: what was sent is the same, however it is written.
        if not is_form or form_of(changed) != form_of(body):
            refused(case, replace(case.delivery, body=changed))
            tried += 1
    assert tried >= len(body)
    more = b"&New=1" if is_form else b" "
    refused(case, replace(case.delivery, body=body + more))
    for end in range(len(body)):
        if not is_form or form_of(body[:end]) != form_of(body):
            refused(case, replace(case.delivery, body=body[:end]))


@of([case for case in CASES if case.signs_url])
def test_no_byte_of_a_url_can_be_changed(case: Case) -> None:
    url = case.delivery.url.encode()
    # Sinch signs the path alone.
    start = len("https://callbacks.yourdomain.com") if case.secret.scheme == "sinch" else 0
    for changed in bytes_changed(url[start:], range(1, 64, 5)):
        other = (url[:start] + changed).decode("latin-1")
        if case.name.startswith("plivo") and same_to_plivo(other, case.delivery.url):
            continue
        if b"\r" in changed or b"\n" in changed or b"\t" in changed or b"#" in changed:
            continue  # no URL has them: a server takes none
        refused(case, replace(case.delivery, url=other))


def same_to_plivo(one: str, other: str) -> bool:
    """Plivo signs what a query says, not how it is written; and none is as good as an empty one."""
    asked = [sorted(form_of(url.partition("?")[2].encode()) or ()) for url in (one, other)]
    return asked[0] == asked[1] and one.partition("?")[0] == other.partition("?")[0]


@each
def test_another_secret_is_refused(case: Case) -> None:
    value = bytearray(case.secret.value)
    value[0] ^= 1
    refused(replace(case, secret=replace(case.secret, value=bytes(value))), case.delivery)


@each
def test_a_signature_holds_for_its_window_where_its_time_is_signed(case: Case) -> None:
    timed = case.secret.scheme in {"telnyx", "vonage", "sinch"}
    for off_s in (-WINDOW_S, WINDOW_S):
        assert check(case.secret, case.delivery, case.now_s + off_s) is None
    for off_s in (-3600, -WINDOW_S - 1, WINDOW_S + 1, 3600):
        due = STALE if timed else None
        assert check(case.secret, case.delivery, case.now_s + off_s) == due


def test_the_time_of_a_delivery_cannot_be_changed() -> None:
    for case in CASES:
        for name in (b"telnyx-timestamp", b"x-timestamp"):
            told = case.delivery.head.get(name, b"")
            for changed in bytes_changed(told, range(1, 256, 3)):
                refused(case, case.with_header(name, changed))


def test_a_nonce_cannot_be_changed() -> None:
    for case in CASES:
        for version in (b"v2", b"v3"):
            name = b"x-plivo-signature-%s-nonce" % version
            for changed in bytes_changed(case.delivery.head.get(name, b""), range(1, 256, 3)):
                refused(case, case.with_header(name, changed))


def test_twilio_signs_with_the_port_or_without() -> None:
    with_port = VECTORS["twilio"]["vectors"][1]
    case = next(case for case in CASES if case.name == "twilio-1")
    assert ":443" in case.delivery.url
    without = replace(case.delivery, url=with_port["url"].replace(":443", ""))
    assert check(case.secret, without, 0) is None
    other = replace(case.delivery, url=with_port["url"].replace(":443", ":444"))
    refused(case, other)


def test_twilios_json_is_signed_by_its_hash_in_the_url_alone() -> None:
    case = next(case for case in CASES if case.name == "twilio-json")
    # A form under the same URL, with which its signature would be right.
    refused(case, replace(case.delivery, head={**case.delivery.head, **FORM_HEAD}, body=b""))
    # Without the hash nothing signs a body that is no form.
    url = "https://mycompany.com/myapp.php"
    mac = hmac.digest(b"12345", url.encode(), hashlib.sha1)
    head = {**JSON_HEAD, b"x-twilio-signature": base64.b64encode(mac)}
    assert check(case.secret, Delivery("POST", url, head, b""), 0) is None
    refused(case, Delivery("POST", url, head, b"{}"))


def test_plivo_may_send_the_signatures_of_several_tokens() -> None:
    case = next(case for case in CASES if case.name == "plivo-0")
    told = case.delivery.head[b"x-plivo-signature-v3"]
    several = case.with_header(b"x-plivo-signature-v3", b"AAAA=," + told)
    assert check(case.secret, several, 0) is None
    by_main = {**case.delivery.head, b"x-plivo-signature-ma-v3": told}
    by_main[b"x-plivo-signature-v3"] = b"AAAA="
    assert check(case.secret, replace(case.delivery, head=by_main), 0) is None


def jwt(header: object, claims: object, key: bytes) -> bytes:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(key, signed, "sha256")
    return signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")


def test_a_token_must_sign_its_time_and_its_body_by_the_one_algorithm() -> None:
    case = next(case for case in CASES if case.name == "vonage")
    key, body = case.secret.value, case.delivery.body
    right: dict[str, Any] = {"iat": 1_700_000_000, "payload_hash": hashlib.sha256(body).hexdigest()}

    def verdict(header: object, claims: object) -> str | None:
        told = b"Bearer " + jwt(header, claims, key)
        return check(case.secret, case.with_header(b"authorization", told), case.now_s)

    assert verdict({"alg": "HS256"}, right) is None
    headers: list[Any] = [{"alg": "none"}, {"alg": "HS512"}, {}, [], "HS256", None]
    for header in headers:
        assert verdict(header, right) == WRONG
    wrong: list[Any] = [
        {},
        [],
        None,
        {"iat": right["iat"]},
        {"payload_hash": right["payload_hash"]},
        right | {"iat": "1700000000"},
        right | {"iat": 10**400},
        right | {"payload_hash": "\ud800"},
        right | {"payload_hash": right["payload_hash"].upper()},
    ]
    for claims in wrong:
        assert verdict({"alg": "HS256"}, claims) == WRONG
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=") + b".e30."
    refused(case, case.with_header(b"authorization", b"Bearer " + unsigned))


HEADS = st.dictionaries(
    st.sampled_from(sorted({name for case in CASES for name in case.delivery.head})),
    st.binary(max_size=120) | st.sampled_from([b"application k:AAAA", b"Bearer a.b.c", FORM]),
)


@given(st.sampled_from(CASES), HEADS, st.binary(max_size=60), st.text(max_size=40))
def test_no_noise_makes_a_check_raise(
    case: Case, head: dict[bytes, bytes], body: bytes, url: str
) -> None:
    delivery = Delivery("POST", f"https://a.example/{url}", head, body)
    verdict = check(case.secret, delivery, case.now_s)
    assert verdict in REASONS or head.get(b"x-secret") == b"made-up"


def test_without_a_signature_it_says_so() -> None:
    for case in CASES:
        assert check(case.secret, replace(case.delivery, head={}), case.now_s) == NO_SIGNATURE


def test_a_shared_secret_may_stand_in_the_url() -> None:
    key = secret("shared-secret", "made-up", query="token")
    for query, verdict in (
        ("?a=1&token=made-up", None),
        ("?token=made-uq", WRONG),
        ("?token=", NO_SIGNATURE),
        ("", NO_SIGNATURE),
        ("?token=%FF", NO_SIGNATURE),
    ):
        assert check(key, Delivery("POST", f"https://a.example/h{query}", {}, b""), 0) == verdict


@pytest.mark.parametrize(
    ("scheme", "text", "says"),
    [
        ("md5", "x", "scheme is one of"),
        ("twilio", " \n", "empty"),
        ("telnyx", "not base64!", "base64"),
        ("telnyx", "AAAA", "32 bytes"),
        ("sinch", "AAAA", "`key`"),
        ("sinch", "?", "base64"),
        ("hmac-sha256", "x", "`header`"),
        ("shared-secret", "x", "`header` or `query`"),
    ],
)
def test_a_secret_that_cannot_be(scheme: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        secret(scheme, text)


def test_nothing_shows_a_secret_or_what_was_sent() -> None:
    for case in CASES:
        shown = repr(case.secret) + repr(case.delivery)
        assert "token" not in shown
        assert "mycompany" not in shown
        assert repr(case.secret.value) not in shown
