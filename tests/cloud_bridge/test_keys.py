"""API keys: only what is live opens anything, from its own pages, and no more than its rate."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.errors import KeyRefusedError
from cloud_bridge.keys import ANY, ApiKey, Bucket, KeyRing, checked, digest_of, new_key

SHOP = "https://shop.example"


def row(key: str, site: str = "shop", *origins: str, **changes: int) -> ApiKey:
    made = ApiKey(1, site, digest_of(key), origins, 10, 20, 0, revoked=False)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_keys_are_long_random_and_not_in_any_repr() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {35}
    key = keys.pop()
    assert key not in repr(row(key))
    assert repr(digest_of(key)) not in repr(row(key))


def test_a_ring_holds_the_live_keys_of_several_tenants() -> None:
    ring = KeyRing()
    ring.replace("acme", [row("a", "shop", SHOP), row("b", "app"), row("c", revoked=1)], 0.0)
    ring.replace("other", [row("d", "shop", "https://other.example")], 0.0)
    found = {key: ring.find(key) for key in ("a", "b", "c", "d", "e", "")}
    assert {key: (s.tenant, s.site) for key, s in found.items() if s is not None} == {
        "a": ("acme", "shop"),
        "b": ("acme", "app"),
        "d": ("other", "shop"),
    }
    assert (ring.allows(SHOP), ring.names(SHOP), ring.allows("https://x.example")) == (1, 1, 0)
    ring.replace("acme", [], 0.0)
    assert ring.find("a") is None
    assert not ring.allows(SHOP)
    assert ring.find("d") is found["d"]
    assert len(ring) == 1


def test_no_tenant_takes_a_key_of_another() -> None:
    ring = KeyRing()
    ring.replace("acme", [row("a")], 0.0)
    ring.replace("other", [row("a", "stolen")], 0.0)
    site = ring.find("a")
    assert site is not None
    assert (site.tenant, site.site) == ("acme", "shop")


def test_a_key_that_stays_keeps_its_bucket_and_one_that_changes_does_not() -> None:
    ring = KeyRing()
    ring.replace("acme", [row("a", burst=1)], 0.0)
    site = ring.find("a")
    assert site is not None
    assert site.bucket.admit(0.0) == 0
    ring.replace("acme", [row("a", burst=1), row("b")], 0.0)
    assert ring.find("a") is site
    ring.replace("acme", [row("a", burst=2)], 0.0)
    changed = ring.find("a")
    assert changed is not None
    assert changed.bucket.admit(0.0) == 0


def test_any_page_may_use_a_key_that_says_so() -> None:
    ring = KeyRing()
    ring.replace("acme", [row("a", "shop", ANY)], 0.0)
    assert ring.allows("null")
    assert not ring.names("null")


def test_origins_are_written_as_browsers_write_them() -> None:
    good = ["https://Shop.Example/", "https://shop.example:443", "http://localhost:8080", "*"]
    assert checked("shop", good, 1, 1) == (SHOP, "http://localhost:8080", "*")
    assert checked("shop", ["http://[::1]:80", "http://h:8080"], 1, 1) == (
        "http://[::1]",
        "http://h:8080",
    )


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "shop.example",
        "ftp://a",
        "https://a/b",
        "https://u:p@a",
        "https://",
        "https://a b",
        "**",
    ],
)
def test_other_origins_are_refused_without_an_echo(origin: str) -> None:
    with pytest.raises(KeyRefusedError) as error:
        checked("shop", [origin], 1, 1)
    assert "u:p" not in str(error.value)


@pytest.mark.parametrize(
    ("site", "rate", "burst"),
    [("", 1, 1), ("x" * 65, 1, 1), ("a\nb", 1, 1), ("a", 0, 1), ("a", 1, 0), ("a", 1 << 40, 1)],
)
def test_limits_that_cannot_be_are_refused(site: str, rate: int, burst: int) -> None:
    with pytest.raises(KeyRefusedError):
        checked(site, [], rate, burst)


def test_a_bucket_says_when_to_come_again() -> None:
    bucket = Bucket(10, 20, 0.0)
    assert [bucket.admit(0.0) for _ in range(20)] == [0.0] * 20
    wait_s = bucket.admit(0.0)
    assert wait_s == pytest.approx(0.1)
    assert bucket.admit(wait_s) == 0
    bucket.charge(99)  # more than the burst: a debt
    wait_s = bucket.admit(0.1)
    assert wait_s == pytest.approx(10)
    assert bucket.admit(wait_s + 0.1 - 0.01) > 0
    assert bucket.admit(wait_s + 0.1) == 0


@given(
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 512)), max_size=50),
)
def test_never_more_than_the_burst_and_the_rate(
    rate: int, burst: int, asked: list[tuple[float, int]]
) -> None:
    bucket, now_s, taken, last = Bucket(rate, burst, 0.0), 0.0, 0, 0
    for pause_s, events in asked:
        now_s += pause_s
        if bucket.admit(now_s) == 0:
            bucket.charge(events - 1)
            taken, last = taken + events, events
            assert taken - last <= burst + rate * now_s + 1e-3
